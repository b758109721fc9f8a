//! The tables of MariaDB, as those of the other databases were when support for it was added.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const TABLES: &str = include_str!("m20261130_020000_mariadb_tables.sql");

/// The options of every table, whatever the database's own defaults are. `utf8mb4_bin` would treat texts as the same key
/// that differ only in trailing spaces.
pub(super) const OPTIONS: &str =
    "ENGINE = InnoDB ROW_FORMAT = DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in TABLES.split(';') {
            manager.get_connection().execute_unprepared(&format!("{table} {OPTIONS}")).await?;
        }
        Ok(())
    }
}
