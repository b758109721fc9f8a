use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, binary, string, string_null, text};

use crate::dialect::Dialect;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let nonces = Table::create()
            .table("nonces")
            .col(binary("hash").primary_key())
            .col(big_integer("expires_at"))
            .to_owned();
        let audit_events = Table::create()
            .table("audit_events")
            .col(string("writer_id"))
            .col(big_integer("sequence"))
            .col(string("chain"))
            .col(string("request_id"))
            .col(big_integer("at"))
            .col(string("account_id"))
            .col(string("principal"))
            .col(string_null("access_key_id"))
            .col(string("action"))
            .col(text("resource"))
            .col(string("decision"))
            .col(string_null("decided_by"))
            .col(string("result"))
            .col(string_null("source_address"))
            .col(text("user_agent"))
            .col(string_null("recording"))
            .col(string("how"))
            .primary_key(Index::create().col("writer_id").col("sequence"))
            .to_owned();
        manager.create_table(nonces).await?;
        manager.create_table(audit_events).await?;
        let lapsing = Index::create().name("nonces_by_expiry").table("nonces").col("expires_at").to_owned();
        let by_time = Index::create()
            .name("audit_events_by_time")
            .table("audit_events")
            .col("account_id")
            .col("at")
            .to_owned();
        manager.create_index(lapsing).await?;
        manager.create_index(by_time).await?;
        append_only(manager).await
    }
}

/// Keeps anyone who mistakenly uses the database through this program's account from changing what was written.
async fn append_only(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let statements: &[&str] = match Dialect::of_backend(manager.get_database_backend()) {
        Dialect::Sqlite => &[
            "CREATE TRIGGER audit_events_unchanged BEFORE UPDATE ON audit_events \
             BEGIN SELECT RAISE(ABORT, 'audit_events is append-only'); END",
            "CREATE TRIGGER audit_events_undeleted BEFORE DELETE ON audit_events \
             BEGIN SELECT RAISE(ABORT, 'audit_events is append-only'); END",
        ],
        Dialect::Postgres => &[
            "CREATE FUNCTION audit_events_refuse() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION 'audit_events is append-only'; END $$",
            "CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events \
             FOR EACH STATEMENT EXECUTE FUNCTION audit_events_refuse()",
        ],
        Dialect::MariaDb => return Err(super::before_mariadb()),
    };
    for statement in statements {
        manager.get_connection().execute_unprepared(statement).await?;
    }
    Ok(())
}
