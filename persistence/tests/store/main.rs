//! The store on real databases: every test runs on SQLite, on PostgreSQL and on MariaDB.

// Clippy's own exception for tests does not cover helper functions that tests share.
#![allow(clippy::unwrap_used)]

mod access_keys;
mod account_settings;
mod agent_links;
mod agent_removal;
mod agents;
mod attachments;
mod audit;
mod audit_account;
mod audit_export;
mod audit_files;
mod audit_list;
mod audit_pruning;
mod audit_verify;
mod calls;
mod configuration;
mod contention;
mod corrupt_rows;
mod counters;
mod deciding;
mod filtered_lists;
mod group_commit;
mod group_statement;
mod group_thread;
mod group_work;
mod groups;
mod holding;
mod identity;
mod instance_tags;
mod ledger;
mod listed_at;
mod lists;
mod migrated;
mod nonces;
mod policies;
mod recordings;
mod replicas;
mod roles;
mod schema;
mod scoped_lists;
mod silent_database;
mod simulations;
mod streams;
mod succession;
mod sweeps;
mod tags;
mod unclaimed;
mod users;
mod waiting;
