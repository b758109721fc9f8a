//! As in the other databases, nobody who uses MariaDB through this program's account by mistake changes or deletes what
//! was written down. TRUNCATE, which MariaDB runs no trigger for, is found by `hansard audit verify` like all that a
//! database's administrator can do.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["audit_events", "audit_anchors"] {
            for (name, change) in [("unchanged", "UPDATE"), ("undeleted", "DELETE")] {
                let trigger = format!(
                    "CREATE TRIGGER IF NOT EXISTS {table}_{name} BEFORE {change} ON {table} FOR EACH ROW \
                     SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{table} is append-only'"
                );
                manager.get_connection().execute_unprepared(&trigger).await?;
            }
        }
        Ok(())
    }
}
