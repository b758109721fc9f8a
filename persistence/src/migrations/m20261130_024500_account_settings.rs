//! The settings of an account: its alias, and the rules for its users' passwords.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, boolean, string, string_null};

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
        .table("account_settings")
        .col(string("account_id").primary_key())
        .col(string_null("alias").unique_key())
        .col(big_integer("minimum_password_length"))
        .col(boolean("require_lowercase"))
        .col(boolean("require_uppercase"))
        .col(boolean("require_numbers"))
        .col(boolean("require_symbols"))
        .foreign_key(ForeignKey::create().from("account_settings", "account_id").to("accounts", "account_id"))
        .to_owned()
}

/// In MariaDB the columns of a key need a type of limited length.
const MARIADB_TABLE: &str = "CREATE TABLE IF NOT EXISTS account_settings (
    account_id VARCHAR(32) NOT NULL,
    alias VARCHAR(63),
    minimum_password_length BIGINT NOT NULL,
    require_lowercase BOOLEAN NOT NULL,
    require_uppercase BOOLEAN NOT NULL,
    require_numbers BOOLEAN NOT NULL,
    require_symbols BOOLEAN NOT NULL,
    PRIMARY KEY (account_id),
    UNIQUE INDEX account_settings_by_alias (alias),
    FOREIGN KEY (account_id) REFERENCES accounts (account_id)
)";
