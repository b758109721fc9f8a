//! Which replicas of the control plane live.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, string, string_null};

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
        .table("replicas")
        .col(string("replica_id").primary_key())
        .col(string_null("internal_address"))
        .col(big_integer("started_at"))
        .col(big_integer("expires_at"))
        .to_owned()
}

/// In MariaDB the columns of a key need a type of limited length.
const MARIADB_TABLE: &str = "CREATE TABLE IF NOT EXISTS replicas (
    replica_id VARCHAR(80) NOT NULL,
    internal_address LONGTEXT,
    started_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (replica_id)
)";
