//! One file per subcommand of the client.

pub(crate) mod agents;
pub(crate) mod audit;
mod audit_verify;
pub(crate) mod call;
pub(crate) mod completion;
mod export;
mod follow;
pub(crate) mod named_recording;
pub(crate) mod openapi;
mod playing;
pub(crate) mod policy;
mod recorded_facts;
mod recording_list;
pub(crate) mod recordings;
pub(crate) mod replay_session;
pub(crate) mod verify;
pub(crate) mod verify_agents;
