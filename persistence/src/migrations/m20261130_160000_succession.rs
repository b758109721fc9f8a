//! Recordings that an agent delivers in the place of the one that made them. NULL, the value in all older rows, means that
//! the agent that made it does. Trail rows that say so are read with those about openings and seals.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer_null, string_null};

use crate::dialect::Dialect;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        match Dialect::of_backend(manager.get_database_backend()) {
            Dialect::Sqlite | Dialect::Postgres => {
                for column in [
                    string_null("successor"),
                    big_integer_null("taken_over_at"),
                    string_null("arrived_before"),
                ] {
                    let added = Table::alter().table("recordings").add_column(column).to_owned();
                    manager.alter_table(added).await?;
                }
                // The open recordings of an agent are counted each time it opens one or takes one over.
                let of_successor = Index::create()
                    .name("recordings_of_successor")
                    .table("recordings")
                    .col("successor")
                    .col("state")
                    .to_owned();
                manager.create_index(of_successor).await?;
                for statement in [
                    "DROP INDEX audit_events_of_recordings",
                    "CREATE INDEX audit_events_of_recordings ON audit_events (account_id, writer_id, sequence) \
                     WHERE action IN ('OpenRecording', 'SealRecording', 'TakeOverRecording')",
                ] {
                    connection.execute_unprepared(statement).await?;
                }
            }
            // Its index of the trail holds the rows of every action.
            Dialect::MariaDb => {
                let statement = "ALTER TABLE recordings ADD COLUMN IF NOT EXISTS successor VARCHAR(80), \
                     ADD COLUMN IF NOT EXISTS taken_over_at BIGINT, \
                     ADD COLUMN IF NOT EXISTS arrived_before LONGTEXT, \
                     ADD INDEX IF NOT EXISTS recordings_of_successor (successor, state)";
                connection.execute_unprepared(statement).await?;
            }
        }
        Ok(())
    }
}
