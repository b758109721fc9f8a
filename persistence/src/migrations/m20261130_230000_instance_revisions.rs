//! A revision of an account's instances and their tags, beside that of everything else which decides.

use sea_orm_migration::prelude::*;

use crate::dialect::Dialect;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // A version before inserts rows without it, and counts such changes in `revision`.
        let again = match Dialect::of_backend(manager.get_database_backend()) {
            Dialect::Sqlite | Dialect::Postgres => "",
            Dialect::MariaDb => "IF NOT EXISTS ",
        };
        let add = format!("ALTER TABLE revisions ADD COLUMN {again}instances BIGINT NOT NULL DEFAULT 0");
        manager.get_connection().execute_unprepared(&add).await.map(drop)
    }
}
