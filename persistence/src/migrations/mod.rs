//! The history of the tables. A migration is named after the moment it was written, and is never changed once released.
//!
//! Support for MariaDB was added when the others already had a history, which is not repeated there: its list begins
//! with the tables as they were at that moment. A later migration is in both lists. In MariaDB it must be repeatable
//! (`IF NOT EXISTS`), because MariaDB commits a change of a table at once, and an interrupted migration continues at the
//! next start. A test compares the tables of all three.
//!
//! Times are epoch milliseconds in BIGINT everywhere: databases truncate their own timestamps differently.

mod m20261120_110000_identity;
mod m20261120_110100_calls;
mod m20261120_110200_agents;
mod m20261120_110300_recordings;
mod m20261120_122500_join_tokens_used_by;
mod m20261124_110000_identity_store;
mod m20261124_120000_audit_trail;
mod m20261124_130000_condition_keys;
mod m20261129_120500_audit_exports;
mod m20261129_121000_recording_continuity;
mod m20261129_123000_recordings_listed_at;
mod m20261129_123100_unclaimed_objects;
mod m20261129_123200_waiting_recordings;
mod m20261129_134500_recorder;
mod m20261129_200000_recording_streams;
mod m20261129_230000_agent_links;
mod m20261129_230500_unclaimed_region;
mod m20261130_020000_mariadb_tables;
mod m20261130_020100_mariadb_append_only;
mod m20261130_024500_account_settings;
mod m20261130_031500_recorded_command;
mod m20261130_051500_removed_agents;
mod m20261130_051600_identity_tags;
mod m20261130_053000_recording_ledger;
mod m20261130_090500_session_settings;
mod m20261130_121000_delivery_mode;
mod m20261130_160000_succession;
mod m20261130_160500_spool_disks;
mod m20261130_190000_sqlite_nonces;
mod m20261130_190500_list_indexes;
mod m20261130_190600_replicas;
mod m20261130_193000_audit_pruning;
mod m20261130_230000_instance_revisions;

use std::collections::BTreeSet;

use sea_orm_migration::prelude::*;

use crate::dialect::Dialect;

/// Runs the missing migrations.
pub(crate) async fn up<'c>(
    dialect: Dialect,
    connection: impl IntoSchemaManagerConnection<'c>,
) -> Result<(), DbErr> {
    match dialect {
        Dialect::Sqlite | Dialect::Postgres => Migrator::up(connection, None).await,
        Dialect::MariaDb => MariaDbMigrator::up(connection, None).await,
    }
}

/// The names of the migrations that a database of this version has been through.
pub(crate) fn names(dialect: Dialect) -> BTreeSet<String> {
    let all = match dialect {
        Dialect::Sqlite | Dialect::Postgres => Migrator::migrations(),
        Dialect::MariaDb => MariaDbMigrator::migrations(),
    };
    all.iter().map(|migration| migration.name().to_owned()).collect()
}

/// The error of a migration older than MariaDB's list. It is not in that list.
fn before_mariadb() -> DbErr {
    DbErr::Migration("this migration is older than the tables of MariaDB".to_owned())
}

/// The migrations of MariaDB.
struct MariaDbMigrator;

#[async_trait::async_trait]
impl MigratorTrait for MariaDbMigrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261130_020000_mariadb_tables::Migration),
            Box::new(m20261130_020100_mariadb_append_only::Migration),
            Box::new(m20261130_024500_account_settings::Migration),
            Box::new(m20261130_031500_recorded_command::Migration),
            Box::new(m20261130_051500_removed_agents::Migration),
            Box::new(m20261130_051600_identity_tags::Migration),
            Box::new(m20261130_053000_recording_ledger::Migration),
            Box::new(m20261130_090500_session_settings::Migration),
            Box::new(m20261130_121000_delivery_mode::Migration),
            Box::new(m20261130_160000_succession::Migration),
            Box::new(m20261130_160500_spool_disks::Migration),
            Box::new(m20261130_190000_sqlite_nonces::Migration),
            Box::new(m20261130_190500_list_indexes::Migration),
            Box::new(m20261130_190600_replicas::Migration),
            Box::new(m20261130_193000_audit_pruning::Migration),
            Box::new(m20261130_230000_instance_revisions::Migration),
        ]
    }
}

/// The migrations of SQLite and PostgreSQL.
pub(crate) struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261120_110000_identity::Migration),
            Box::new(m20261120_110100_calls::Migration),
            Box::new(m20261120_110200_agents::Migration),
            Box::new(m20261120_110300_recordings::Migration),
            Box::new(m20261120_122500_join_tokens_used_by::Migration),
            Box::new(m20261124_110000_identity_store::Migration),
            Box::new(m20261124_120000_audit_trail::Migration),
            Box::new(m20261124_130000_condition_keys::Migration),
            Box::new(m20261129_120500_audit_exports::Migration),
            Box::new(m20261129_121000_recording_continuity::Migration),
            Box::new(m20261129_123000_recordings_listed_at::Migration),
            Box::new(m20261129_123100_unclaimed_objects::Migration),
            Box::new(m20261129_123200_waiting_recordings::Migration),
            Box::new(m20261129_134500_recorder::Migration),
            Box::new(m20261129_200000_recording_streams::Migration),
            Box::new(m20261129_230000_agent_links::Migration),
            Box::new(m20261129_230500_unclaimed_region::Migration),
            Box::new(m20261130_024500_account_settings::Migration),
            Box::new(m20261130_031500_recorded_command::Migration),
            Box::new(m20261130_051500_removed_agents::Migration),
            Box::new(m20261130_051600_identity_tags::Migration),
            Box::new(m20261130_053000_recording_ledger::Migration),
            Box::new(m20261130_090500_session_settings::Migration),
            Box::new(m20261130_121000_delivery_mode::Migration),
            Box::new(m20261130_160000_succession::Migration),
            Box::new(m20261130_160500_spool_disks::Migration),
            Box::new(m20261130_190000_sqlite_nonces::Migration),
            Box::new(m20261130_190500_list_indexes::Migration),
            Box::new(m20261130_190600_replicas::Migration),
            Box::new(m20261130_193000_audit_pruning::Migration),
            Box::new(m20261130_230000_instance_revisions::Migration),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_moments_in_order(migrations: &[Box<dyn MigrationTrait>]) {
        let names: Vec<String> = migrations.iter().map(|migration| migration.name().to_owned()).collect();
        for name in &names {
            let (moment, what) = (&name[..16], &name[16..]);
            assert!(moment.starts_with("m20") && moment.as_bytes()[9] == b'_', "{name}");
            assert!(moment.bytes().filter(u8::is_ascii_digit).count() == 14 && what.len() > 2, "{name}");
        }
        let mut ordered = names.clone();
        ordered.sort();
        ordered.dedup_by_key(|name| name[..16].to_owned());
        assert_eq!(names, ordered, "each later than the one before, no moment twice");
    }

    #[test]
    fn names_are_moments_and_stand_in_order() {
        assert_moments_in_order(&Migrator::migrations());
        assert_moments_in_order(&MariaDbMigrator::migrations());
    }

    /// Every later migration of the other databases must be in MariaDB's list too.
    #[test]
    fn what_is_later_than_the_tables_of_mariadb_stands_in_both_lists() {
        let (others, mariadb) = (names(Dialect::Sqlite), names(Dialect::MariaDb));
        let first = mariadb.first().unwrap();
        let missing: Vec<_> =
            others.iter().filter(|name| *name > first && !mariadb.contains(*name)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
