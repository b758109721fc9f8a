//! What agents say of the disks of their spools.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, string};

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
        .table("spool_disks")
        .col(string("agent_id").primary_key())
        .col(string("account_id"))
        .col(string("state"))
        .col(big_integer("free_bytes"))
        .col(big_integer("told_at"))
        .foreign_key(ForeignKey::create().from("spool_disks", "agent_id").to("agents", "agent_id"))
        .to_owned()
}

/// In MariaDB the columns of a key need a type of limited length.
const MARIADB_TABLE: &str = "CREATE TABLE IF NOT EXISTS spool_disks (
    agent_id VARCHAR(80) NOT NULL,
    account_id VARCHAR(32) NOT NULL,
    state LONGTEXT NOT NULL,
    free_bytes BIGINT NOT NULL,
    told_at BIGINT NOT NULL,
    PRIMARY KEY (agent_id),
    FOREIGN KEY (agent_id) REFERENCES agents (agent_id)
)";
