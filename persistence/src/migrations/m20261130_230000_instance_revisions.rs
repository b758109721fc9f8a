//! A revision of an account's instances and their tags, beside that of everything else which decides; and which replicas
//! know of it.

use sea_orm_migration::prelude::*;

use crate::dialect::Dialect;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // A version before inserts rows without them, and counts such changes in `revision`.
        let again = match Dialect::of_backend(manager.get_database_backend()) {
            Dialect::Sqlite | Dialect::Postgres => "",
            Dialect::MariaDb => "IF NOT EXISTS ",
        };
        for (table, column) in [("revisions", "instances"), ("replicas", "knows_instances")] {
            let add = format!("ALTER TABLE {table} ADD COLUMN {again}{column} BIGINT NOT NULL DEFAULT 0");
            manager.get_connection().execute_unprepared(&add).await?;
        }
        Ok(())
    }
}
