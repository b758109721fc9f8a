//! Indexes in the order of the lists, for what lists are filtered by.

use sea_orm_migration::prelude::*;

use crate::dialect::Dialect;
use crate::rows::list_keys;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let statements = match Dialect::of_backend(manager.get_database_backend()) {
            dialect @ (Dialect::Sqlite | Dialect::Postgres) => {
                let [status, claimed_name, action, resource] = list_keys::ALL.map(|key| key.derived(dialect));
                vec![
                    format!(
                        "CREATE INDEX recordings_of_status ON recordings \
                         (account_id, ({status}), listed_at, token, expires_at, instance_id)"
                    ),
                    // With everything that policies refer to in a row, as in the index of all recordings, which SQLite would otherwise
                    // prefer and walk through.
                    "CREATE INDEX recordings_of_proven_user ON recordings \
                     (account_id, session_owner, listed_at, token, expires_at, instance_id, kind, session_owner_id)"
                        .to_owned(),
                    format!(
                        "CREATE INDEX recordings_of_claimed_user ON recordings \
                         (account_id, ({claimed_name}), listed_at, token, expires_at)"
                    ),
                    "DROP INDEX recordings_newest_of_instance".to_owned(),
                    format!(
                        "CREATE INDEX recordings_newest_of_instance ON recordings \
                         (account_id, instance_id, listed_at, token, expires_at, ({status}), kind, session_owner_id, \
                         session_owner)"
                    ),
                    "DROP INDEX recordings_expiring".to_owned(),
                    "CREATE INDEX recordings_expiring ON recordings (account_id, counted, expires_at, instance_id)"
                        .to_owned(),
                    "CREATE INDEX audit_events_not_asked ON audit_events (account_id, at) WHERE decision = 'not-asked'"
                        .to_owned(),
                    format!("CREATE INDEX audit_events_of_action ON audit_events (account_id, ({action}), at)"),
                    // The others are found by their instance.
                    format!(
                        "CREATE INDEX audit_events_of_resource ON audit_events (account_id, ({resource}), at) \
                         WHERE instance_id IS NULL"
                    ),
                ]
            }
            // MariaDB has no index on an expression: a column that it derives itself stands for it. All this can be done again.
            Dialect::MariaDb => {
                let [status, claimed_name, action, resource] = list_keys::ALL.map(|key| {
                    let (column, derived) = (key.column(), key.derived(Dialect::MariaDb));
                    format!("ADD COLUMN IF NOT EXISTS {column} VARCHAR(128) GENERATED ALWAYS AS ({derived}) VIRTUAL")
                });
                vec![
                    format!("ALTER TABLE recordings {status}, {claimed_name}"),
                    "ALTER TABLE recordings \
                     ADD INDEX IF NOT EXISTS recordings_of_status \
                     (account_id, status_key, listed_at, token, expires_at, instance_id), \
                     ADD INDEX IF NOT EXISTS recordings_of_proven_user \
                     (account_id, session_owner, listed_at, token, expires_at, instance_id, kind, session_owner_id), \
                     ADD INDEX IF NOT EXISTS recordings_of_claimed_user \
                     (account_id, claimed_key, listed_at, token, expires_at), \
                     DROP INDEX IF EXISTS recordings_expiring, \
                     ADD INDEX recordings_expiring (account_id, counted, expires_at, instance_id)"
                        .to_owned(),
                    format!("ALTER TABLE audit_events {action}, {resource}"),
                    "ALTER TABLE audit_events \
                     ADD INDEX IF NOT EXISTS audit_events_of_action (account_id, action_key, at), \
                     ADD INDEX IF NOT EXISTS audit_events_of_resource (account_id, instance_id, resource_key, at)"
                        .to_owned(),
                ]
            }
        };
        for statement in statements {
            manager.get_connection().execute_unprepared(&statement).await?;
        }
        Ok(())
    }
}
