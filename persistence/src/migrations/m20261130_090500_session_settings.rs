//! What record configurations say about the sessions that they record, and the failure policy of each recording. NULL, the
//! value in all older rows, means that it was never set, or was not said.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::string_null;

use crate::dialect::Dialect;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const COLUMNS: [(&str, &str); 5] = [
    ("record_configs", "failure_policy"),
    // Patterns, parted by commas.
    ("record_configs", "recorded_principals"),
    // `default`, `none` or `text`; only `text` has a notice_text.
    ("record_configs", "notice"),
    ("record_configs", "notice_text"),
    ("recordings", "failure_policy"),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, column) in COLUMNS {
            match Dialect::of_backend(manager.get_database_backend()) {
                Dialect::Sqlite | Dialect::Postgres => {
                    let column = string_null(column);
                    manager.alter_table(Table::alter().table(table).add_column(column).to_owned()).await?;
                }
                Dialect::MariaDb => {
                    let statement = format!("ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column} LONGTEXT");
                    manager.get_connection().execute_unprepared(&statement).await?;
                }
            }
        }
        Ok(())
    }
}
