//! What the check of an agent's recordings asks and tells (`domain::recording_continuity`).

use std::collections::BTreeMap;

use domain::recording_continuity::{Absence, AuditedRecording, MissingRecording};
use domain::store_location::StoreLocation;
use domain::{AgentId, InstanceId, TerminalSessionToken, Timestamp};
use recording::{ContentHash, ObjectName, Stream};

/// What ties a recording to others, as its `start.json` and its manifest say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingLink {
    /// The recording.
    pub token: TerminalSessionToken,
    /// The agent's number for it.
    pub number: u64,
    /// The manifest that its start names.
    pub follows_at_start: Option<ContentHash>,
    /// Its own manifest, once it is sealed.
    pub manifest_sha256: Option<ContentHash>,
    /// The manifest that its own names.
    pub follows: Option<ContentHash>,
}

/// What the check needs of a recording's row. There may be very many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingRow {
    /// The recording.
    pub token: TerminalSessionToken,
    /// Where its objects are.
    pub location: StoreLocation,
    /// The folder of its objects below the bucket.
    pub folder: ObjectName,
    /// SHA-256 of its start.json.
    pub start_sha256: ContentHash,
    /// SHA-256 of the manifest that sealed it.
    pub manifest_sha256: Option<ContentHash>,
    /// How many segments of each stream were claimed.
    pub segments: Vec<(Stream, u32)>,
    /// Their size together, in bytes.
    pub stored_bytes: u64,
    /// When the control plane first heard of it.
    pub opened_at: Timestamp,
    /// When something last arrived.
    pub last_heard_at: Timestamp,
}

/// What the database knows of an agent's recordings, as it was at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentRows {
    /// The agent's instance, where something says it.
    pub instance: Option<InstanceId>,
    /// The rows.
    pub recordings: Vec<RecordingRow>,
    /// What the audit trail says of openings and seals; each recording once.
    pub audited: Vec<AuditedRecording>,
}

/// What the database knows of the recordings of several agents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContinuityRows {
    /// By the agent.
    pub agents: BTreeMap<AgentId, AgentRows>,
    /// What was read of objects before.
    pub links: BTreeMap<TerminalSessionToken, RecordingLink>,
}

/// A missing recording, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingOfAgent {
    /// The agent.
    pub agent: AgentId,
    /// Its instance.
    pub instance: InstanceId,
    /// What is missing.
    pub missing: MissingRecording,
}

/// How many recordings of which agent are missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MissingCounts(pub(crate) BTreeMap<(String, Absence), u64>);

impl MissingCounts {
    /// How many of an agent.
    #[must_use]
    pub fn of(&self, agent: &AgentId, absence: Absence) -> u64 {
        self.0.get(&(agent.to_string(), absence)).copied().unwrap_or_default()
    }
}

/// What changed since the check before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContinuityChange {
    /// Found now.
    pub found: Vec<MissingOfAgent>,
    /// No longer missing.
    pub healed: Vec<MissingOfAgent>,
}
