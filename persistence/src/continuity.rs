//! The input and the output of the check of an agent's recordings (`domain::recording_continuity`).

use std::collections::BTreeMap;

use domain::recording_continuity::{Absence, AuditedRecording, MissingRecording};
use domain::store_location::StoreLocation;
use domain::{AgentId, InstanceId, TerminalSessionToken, Timestamp};
use recording::{ContentHash, ObjectName, Stream};

/// What ties a recording to others, according to its `start.json` and its manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingLink {
    /// The recording.
    pub token: TerminalSessionToken,
    /// The number that the agent gave it.
    pub number: u64,
    /// The hash of the manifest that its `start.json` names.
    pub follows_at_start: Option<ContentHash>,
    /// The hash of its own manifest, once it is sealed.
    pub manifest_sha256: Option<ContentHash>,
    /// The hash of the manifest that its own manifest names.
    pub follows: Option<ContentHash>,
}

/// What the check needs from a recording's row. There may be very many such rows.
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
    /// Their total size in bytes.
    pub stored_bytes: u64,
    /// When the control plane first learned of it.
    pub opened_at: Timestamp,
    /// When something last arrived.
    pub last_heard_at: Timestamp,
}

/// What the database holds about an agent's recordings at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentRows {
    /// The agent's instance, where it is known.
    pub instance: Option<InstanceId>,
    /// The rows.
    pub recordings: Vec<RecordingRow>,
    /// What the audit trail holds about openings and seals; each recording once.
    pub audited: Vec<AuditedRecording>,
}

/// What the database holds about the recordings of several agents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContinuityRows {
    /// The rows by agent.
    pub agents: BTreeMap<AgentId, AgentRows>,
    /// What was read from objects earlier.
    pub links: BTreeMap<TerminalSessionToken, RecordingLink>,
    /// Whether rows of the trail were pruned whose files are not at hand, such as another replica's: a recording that only
    /// these speak of is then not missed.
    pub trail_is_partly_elsewhere: bool,
}

/// A missing recording with its agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingOfAgent {
    /// The agent.
    pub agent: AgentId,
    /// Its instance.
    pub instance: InstanceId,
    /// What is missing.
    pub missing: MissingRecording,
}

/// How many recordings of each agent are missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MissingCounts(pub(crate) BTreeMap<(String, Absence), u64>);

impl MissingCounts {
    /// How many recordings of an agent are missing in this way.
    #[must_use]
    pub fn of(&self, agent: &AgentId, absence: Absence) -> u64 {
        self.0.get(&(agent.to_string(), absence)).copied().unwrap_or_default()
    }
}

/// What changed since the previous check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContinuityChange {
    /// Recordings found missing now.
    pub found: Vec<MissingOfAgent>,
    /// Recordings that are no longer missing.
    pub healed: Vec<MissingOfAgent>,
}
