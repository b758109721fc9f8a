//! As in the other databases, keeps anyone who mistakenly uses MariaDB through this program's account from changing or
//! deleting what was written. TRUNCATE, for which MariaDB runs no trigger, is found by `hansard audit verify`, like
//! everything else that a database administrator can do.

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
