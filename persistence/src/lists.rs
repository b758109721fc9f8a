//! Questions about lists, and their answers.

use domain::Timestamp;
use domain::agent::Agent;
use domain::audit::AuditEvent;
use domain::recording_filter::RecordingFilter;
use domain::recording_life::Recording;

/// Which part of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageRequest {
    /// By number: exact, and slower the deeper it lies.
    Number {
        /// The page, from 1.
        number: u32,
        /// How many entries a page has.
        size: u32,
    },
    /// What follows an earlier page; equally quick at any depth.
    After {
        /// The `next_token` of the page before; `None` is the beginning.
        token: Option<String>,
        /// How many entries are wanted.
        size: u32,
    },
}

impl PageRequest {
    /// How many entries are wanted.
    #[must_use]
    pub fn size(&self) -> u32 {
        match self {
            Self::Number { size, .. } | Self::After { size, .. } => *size,
        }
    }
}

/// Which recordings are wanted. The account and the instance come from the grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingQuery {
    /// Whether hidden ones are shown too.
    pub include_expired: bool,
    /// What the list is narrowed by.
    pub filter: RecordingFilter,
    /// Which part.
    pub page: PageRequest,
    /// The moment at which expiry is judged.
    pub now: Timestamp,
}

/// A part of the list of recordings, newest first, ties by token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingPage {
    /// The recordings.
    pub recordings: Vec<Recording>,
    /// How many the whole list has, exactly, unless `total_is_lower_bound`.
    pub total_count: u64,
    /// Whether the list is narrowed by a filter and has more than `total_count`, which counts no further.
    pub total_is_lower_bound: bool,
    /// For [`PageRequest::After`]; `None` when nothing follows.
    pub next_token: Option<String>,
}

/// A part of the list of agents, the latest to join first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentPage {
    /// The agents that have not been replaced.
    pub agents: Vec<Agent>,
    /// How many the whole list has, exactly.
    pub total_count: u64,
    /// For [`PageRequest::After`]; `None` when nothing follows.
    pub next_token: Option<String>,
}

/// How a call was decided, without by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecisionKind {
    /// It was permitted.
    Allowed,
    /// It was refused by policy.
    Denied,
    /// It was refused before a policy was asked.
    NotAsked,
}

/// Which audit events are wanted; what is `None` selects nothing. The account and the instance come from the grant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditFilter {
    /// Of this caller, by its whole ARN.
    pub principal: Option<String>,
    /// Of this action, by its whole name.
    pub action: Option<String>,
    /// About exactly this resource.
    pub resource: Option<String>,
    /// Decided in this way.
    pub decision: Option<DecisionKind>,
    /// Of calls that arrived at this moment or later.
    pub from: Option<Timestamp>,
    /// Of calls that arrived before this moment.
    pub until: Option<Timestamp>,
}

/// A question about the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditQuery {
    /// Which events.
    pub filter: AuditFilter,
    /// Which part.
    pub page: PageRequest,
}

/// A part of the audit trail, the newest first. How many events there are in all is not said: a trail only grows, and
/// to count it would cost more with every call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPage {
    /// The events.
    pub events: Vec<AuditEvent>,
    /// Where the page ends; `None` when nothing follows.
    pub next_token: Option<String>,
}

/// A claimed segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentRow {
    /// Its stream.
    pub stream: recording::Stream,
    /// Its number, from 0.
    pub number: u32,
    /// Its stored size in bytes.
    pub length: u64,
    /// SHA-256 of its bytes.
    pub sha256: recording::ContentHash,
    /// The chain value after it.
    pub chain_after: recording::ChainValue,
    /// The time of its first event.
    pub first_at: recording::Micros,
    /// The time of its last event.
    pub last_at: recording::Micros,
    /// When it was claimed.
    pub claimed_at: Timestamp,
}

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Recordings that became abandoned.
    pub abandoned: u64,
    /// Recordings that had expired since the last sweep.
    pub expired: u64,
}
