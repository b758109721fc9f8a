//! When an agent was removed. NULL, the value in all older rows, means that it was not.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::big_integer_null;

use crate::dialect::Dialect;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        match Dialect::of_backend(manager.get_database_backend()) {
            Dialect::Sqlite | Dialect::Postgres => {
                let column = big_integer_null("removed_at");
                manager.alter_table(Table::alter().table("agents").add_column(column).to_owned()).await
            }
            Dialect::MariaDb => {
                let statement = "ALTER TABLE agents ADD COLUMN IF NOT EXISTS removed_at BIGINT";
                manager.get_connection().execute_unprepared(statement).await.map(drop)
            }
        }
    }
}
