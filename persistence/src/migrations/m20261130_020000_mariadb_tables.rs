//! The tables of MariaDB, as those of the other databases were when it was taken in.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const TABLES: &str = include_str!("m20261130_020000_mariadb_tables.sql");

/// Of every table, whatever the database's own defaults are. `utf8mb4_bin` would take texts for the same key that differ
/// in the spaces at their ends.
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
