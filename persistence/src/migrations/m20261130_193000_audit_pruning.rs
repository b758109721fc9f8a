//! How far audit rows were pruned, and triggers that let only those be deleted. The trigger looks for the signed anchor
//! that names the last pruned row; whether its signature is genuine is for `hansard audit verify` to find.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, string};

use super::m20261130_020000_mariadb_tables::OPTIONS;
use crate::dialect::Dialect;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let dialect = Dialect::of_backend(manager.get_database_backend());
        match dialect {
            Dialect::Sqlite | Dialect::Postgres => {
                manager.create_table(table()).await?;
                // For lists, which say on their last page how far back the rows go.
                let mut latest = Index::create();
                latest.name("audit_pruned_latest").table("audit_pruned").col("rows_before");
                manager.create_index(latest).await?;
            }
            Dialect::MariaDb => {
                let statement = format!("{MARIADB_TABLE} {OPTIONS}");
                manager.get_connection().execute_unprepared(&statement).await?;
            }
        }
        for statement in triggers(dialect) {
            manager.get_connection().execute_unprepared(&statement).await?;
        }
        Ok(())
    }
}

fn table() -> TableCreateStatement {
    Table::create()
        .table("audit_pruned")
        .col(string("writer_id").primary_key())
        .col(big_integer("last_number"))
        // The anchor that says so.
        .col(string("anchor_writer"))
        .col(big_integer("anchor_number"))
        // All rows that were pruned are of an earlier time.
        .col(big_integer("rows_before"))
        .to_owned()
}

/// In MariaDB the columns of a key need a type of limited length.
const MARIADB_TABLE: &str = "CREATE TABLE IF NOT EXISTS audit_pruned (
    writer_id VARCHAR(64) NOT NULL,
    last_number BIGINT NOT NULL,
    anchor_writer VARCHAR(64) NOT NULL,
    anchor_number BIGINT NOT NULL,
    rows_before BIGINT NOT NULL,
    PRIMARY KEY (writer_id),
    KEY audit_pruned_latest (rows_before)
)";

/// The condition under which a row is pruned: it stands at or before a row that a stored anchor names as the last pruned
/// one of its writer.
fn is_pruned(contains: &str) -> String {
    format!(
        "EXISTS (SELECT 1 FROM audit_pruned AS pruned JOIN audit_anchors AS anchors \
         ON anchors.writer_id = pruned.anchor_writer AND anchors.number = pruned.anchor_number \
         WHERE pruned.writer_id = OLD.writer_id AND OLD.sequence <= pruned.last_number AND {contains})"
    )
}

fn triggers(dialect: Dialect) -> Vec<String> {
    match dialect {
        Dialect::Sqlite => {
            let pruned = is_pruned(
                "instr(anchors.anchor, 'pruned ' || pruned.writer_id || ' ' || pruned.last_number || ' ') > 0",
            );
            vec![
                "DROP TRIGGER audit_events_undeleted".to_owned(),
                format!(
                    "CREATE TRIGGER audit_events_undeleted BEFORE DELETE ON audit_events WHEN NOT {pruned} \
                     BEGIN SELECT RAISE(ABORT, 'audit_events is append-only'); END"
                ),
            ]
        }
        Dialect::Postgres => {
            let pruned = is_pruned(
                "strpos(anchors.anchor, 'pruned ' || pruned.writer_id || ' ' || pruned.last_number || ' ') > 0",
            );
            vec![
                "DROP TRIGGER audit_events_append_only ON audit_events".to_owned(),
                "CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR TRUNCATE ON audit_events \
                 FOR EACH STATEMENT EXECUTE FUNCTION audit_events_refuse()"
                    .to_owned(),
                format!(
                    "CREATE FUNCTION audit_events_refuse_unless_pruned() RETURNS trigger LANGUAGE plpgsql AS \
                     $$ BEGIN IF NOT {pruned} THEN RAISE EXCEPTION 'audit_events is append-only'; END IF; \
                     RETURN OLD; END $$"
                ),
                "CREATE TRIGGER audit_events_undeleted BEFORE DELETE ON audit_events \
                 FOR EACH ROW EXECUTE FUNCTION audit_events_refuse_unless_pruned()"
                    .to_owned(),
            ]
        }
        Dialect::MariaDb => {
            let pruned = is_pruned(
                "INSTR(anchors.anchor, CONCAT('pruned ', pruned.writer_id, ' ', pruned.last_number, ' ')) > 0",
            );
            vec![format!(
                "CREATE OR REPLACE TRIGGER audit_events_undeleted BEFORE DELETE ON audit_events FOR EACH ROW \
                 IF NOT {pruned} THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'audit_events is append-only'; END IF"
            )]
        }
    }
}
