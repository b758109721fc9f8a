//! The tags of roles and policies. They are removed with what they belong to; names are unique, and cannot change.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::string;

use super::m20261130_020000_mariadb_tables::OPTIONS;
use crate::dialect::Dialect;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        match Dialect::of_backend(manager.get_database_backend()) {
            Dialect::Sqlite | Dialect::Postgres => manager.create_table(table()).await,
            Dialect::MariaDb => {
                let statement = format!("{MARIADB_TABLE} {OPTIONS}");
                manager.get_connection().execute_unprepared(&statement).await.map(drop)
            }
        }
    }
}

fn table() -> TableCreateStatement {
    Table::create()
        .table("identity_tags")
        .col(string("account_id"))
        // `role` or `policy`.
        .col(string("kind"))
        .col(string("name"))
        .col(string("tag_key"))
        .col(string("tag_value"))
        .primary_key(Index::create().col("account_id").col("kind").col("name").col("tag_key"))
        .foreign_key(ForeignKey::create().from("identity_tags", "account_id").to("accounts", "account_id"))
        .to_owned()
}

/// In MariaDB the columns of a key need a type of limited length.
const MARIADB_TABLE: &str = "CREATE TABLE IF NOT EXISTS identity_tags (
    account_id VARCHAR(32) NOT NULL,
    kind VARCHAR(16) NOT NULL,
    name VARCHAR(128) NOT NULL,
    tag_key VARCHAR(128) NOT NULL,
    tag_value LONGTEXT NOT NULL,
    PRIMARY KEY (account_id, kind, name, tag_key),
    FOREIGN KEY (account_id) REFERENCES accounts (account_id)
)";
