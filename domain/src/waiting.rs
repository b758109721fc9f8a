//! Recordings that wait in an agent's spool because the control plane does not accept them.

use crate::{AgentId, InstanceId, Timestamp};

/// The longest reason that is kept, in characters.
pub const REASON_LIMIT: usize = 500;

/// What an agent last reported about the recordings that wait in its spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingRecordings {
    /// The agent.
    pub agent: AgentId,
    /// Its instance.
    pub instance: InstanceId,
    /// How many wait.
    pub recordings: u32,
    /// Why most of them do, in the agent's words.
    pub reason: String,
    /// Since when some have been waiting, whichever they were.
    pub since: Timestamp,
}
