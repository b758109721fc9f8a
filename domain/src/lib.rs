//! The rules of Hansard, pure and synchronous: identifiers, the action catalogue, the gate, which is the only code that
//! can permit an action, the record configuration, storage targets and the life of a recording.
//!
//! Nothing here reads a clock, a network or a database: times arrive as [`Timestamp`], decisions leave as
//! values that `persistence::Store` applies.

pub mod access_key;
pub mod actions;
pub mod agent;
pub mod agent_link;
pub mod audit;
pub mod clock;
pub mod condition_keys;
pub mod decided_under;
pub mod displayed_command;
pub mod enrolment;
pub mod expiration;
pub mod gate;
pub mod identity;
pub mod instance_tags;
pub mod parameter;
pub mod password;
pub mod policy_bearer;
pub mod policy_version;
pub mod principal;
pub mod record_config;
pub mod recording_continuity;
pub mod recording_filter;
pub mod recording_life;
pub mod replica_lease;
pub mod role;
pub mod secret_hash;
pub mod server_keys;
pub mod session_settings;
pub mod spool_disk;
pub mod storage_target;
pub mod store_location;
pub mod succession;
pub mod system_policies;
pub mod unclaimed;
pub mod vocabulary;
pub mod waiting;

pub use recording::{
    AccountId, AgentId, InstanceId, InvalidIdentifier, Region, TerminalSessionToken, Timestamp,
};
