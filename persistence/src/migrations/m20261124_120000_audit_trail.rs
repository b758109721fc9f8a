use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, string, string_null, text};

use crate::dialect::Dialect;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // What AuditEvent::instance derives from the row; not part of the chain, because it would only repeat what is
        // there.
        let instance = Table::alter().table("audit_events").add_column(string_null("instance_id")).to_owned();
        manager.alter_table(instance).await?;
        let writers = Table::create()
            .table("audit_writers")
            .col(string("writer_id").primary_key())
            // The folder of exported files that its rows go to; NULL until a control plane takes the writer on.
            .col(string_null("origin"))
            .col(big_integer("heard_at"))
            // When the writer was closed, because nothing more was expected of it.
            .col(big_integer_null("closed_at"))
            // How far the export was when it finished.
            .col(big_integer("exported_events"))
            .col(big_integer("exported_anchors"))
            .col(big_integer_null("exported_at"))
            .to_owned();
        let anchors = Table::create()
            .table("audit_anchors")
            .col(string("writer_id"))
            .col(big_integer("number"))
            .col(big_integer("at"))
            // Exactly the text that is signed.
            .col(text("anchor"))
            .col(string("key_id"))
            .col(string("signature"))
            .primary_key(Index::create().col("writer_id").col("number"))
            .to_owned();
        manager.create_table(writers).await?;
        manager.create_table(anchors).await?;
        for statement in statements(Dialect::of_backend(manager.get_database_backend()))? {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }
}

/// sea-query supports neither triggers nor partial indexes.
fn statements(dialect: Dialect) -> Result<Vec<&'static str>, DbErr> {
    let (lift, append_only): (&[&str], &[&str]) = match dialect {
        Dialect::Sqlite => (
            &["DROP TRIGGER audit_events_unchanged"],
            &[
                "CREATE TRIGGER audit_events_unchanged BEFORE UPDATE ON audit_events \
                 BEGIN SELECT RAISE(ABORT, 'audit_events is append-only'); END",
                "CREATE TRIGGER audit_anchors_unchanged BEFORE UPDATE ON audit_anchors \
                 BEGIN SELECT RAISE(ABORT, 'audit_anchors is append-only'); END",
                "CREATE TRIGGER audit_anchors_undeleted BEFORE DELETE ON audit_anchors \
                 BEGIN SELECT RAISE(ABORT, 'audit_anchors is append-only'); END",
            ],
        ),
        Dialect::Postgres => (
            &["ALTER TABLE audit_events DISABLE TRIGGER audit_events_append_only"],
            &[
                // PostgreSQL refuses to alter a table while triggers of it are pending.
                "ALTER TABLE audit_events ENABLE TRIGGER audit_events_append_only",
                "CREATE FUNCTION audit_anchors_refuse() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN RAISE EXCEPTION 'audit_anchors is append-only'; END $$",
                "CREATE TRIGGER audit_anchors_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_anchors \
                 FOR EACH STATEMENT EXECUTE FUNCTION audit_anchors_refuse()",
            ],
        ),
        Dialect::MariaDb => return Err(super::before_mariadb()),
    };
    // Rows that this program wrote name an instance or `*`; a forged row is found by `hansard audit verify`.
    let fill = match dialect {
        Dialect::Sqlite => {
            "UPDATE audit_events SET instance_id = substr(resource, instr(resource, ':workbench/') + 11) \
             WHERE resource LIKE 'acs:ecs-workbench:%:' || account_id || ':workbench/%' \
             AND resource NOT LIKE '%:workbench/*'"
        }
        Dialect::Postgres => {
            "UPDATE audit_events SET instance_id = substr(resource, strpos(resource, ':workbench/') + 11) \
             WHERE resource LIKE 'acs:ecs-workbench:%:' || account_id || ':workbench/%' \
             AND resource NOT LIKE '%:workbench/*'"
        }
        Dialect::MariaDb => return Err(super::before_mariadb()),
    };
    let mut all = lift.to_vec();
    all.push(fill);
    all.extend(append_only);
    all.extend([
        "INSERT INTO audit_writers (writer_id, heard_at, exported_events, exported_anchors) \
         SELECT writer_id, MAX(at), 0, 0 FROM audit_events GROUP BY writer_id",
        "CREATE INDEX audit_events_of_instance ON audit_events (account_id, instance_id, at) \
         WHERE instance_id IS NOT NULL",
        "CREATE INDEX audit_events_of_principal ON audit_events (account_id, principal, at)",
        "CREATE INDEX audit_events_denied ON audit_events (account_id, at) WHERE decision = 'denied'",
        "CREATE INDEX audit_writers_to_close ON audit_writers (heard_at) WHERE closed_at IS NULL",
        "CREATE INDEX audit_writers_to_export ON audit_writers (origin) WHERE exported_at IS NULL",
    ]);
    Ok(all)
}
