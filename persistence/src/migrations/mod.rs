//! How the tables came to be. A migration is named by the moment it was written, and once released never changed.
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

use sea_orm_migration::prelude::*;

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
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_moments_and_stand_in_order() {
        let names: Vec<String> =
            Migrator::migrations().iter().map(|migration| migration.name().to_owned()).collect();
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
}
