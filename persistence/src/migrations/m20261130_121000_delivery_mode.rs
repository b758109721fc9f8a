//! The delivery mode of record configurations, and of each recording. NULL, the value in all older rows, means that it was
//! never set, or was not said.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::string_null;

use crate::dialect::Dialect;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["record_configs", "recordings"] {
            match Dialect::of_backend(manager.get_database_backend()) {
                Dialect::Sqlite | Dialect::Postgres => {
                    let column = string_null("delivery_mode");
                    manager.alter_table(Table::alter().table(table).add_column(column).to_owned()).await?;
                }
                Dialect::MariaDb => {
                    let statement =
                        format!("ALTER TABLE {table} ADD COLUMN IF NOT EXISTS delivery_mode LONGTEXT");
                    manager.get_connection().execute_unprepared(&statement).await?;
                }
            }
        }
        Ok(())
    }
}
