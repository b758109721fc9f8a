//! What a recording lacks or did less, of each kind together, as JSON. NULL, the value in all older rows, means unknown.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::string_null;

use crate::dialect::Dialect;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        match Dialect::of_backend(manager.get_database_backend()) {
            Dialect::Sqlite | Dialect::Postgres => {
                let column = string_null("ledger");
                manager.alter_table(Table::alter().table("recordings").add_column(column).to_owned()).await
            }
            Dialect::MariaDb => {
                let statement = "ALTER TABLE recordings ADD COLUMN IF NOT EXISTS ledger LONGTEXT";
                manager.get_connection().execute_unprepared(statement).await.map(drop)
            }
        }
    }
}
