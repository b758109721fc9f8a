//! Queries of lists, and their results.

use domain::Timestamp;
use domain::agent::Agent;
use domain::audit::AuditEvent;
pub use domain::audit::DecisionKind;
use domain::recording_filter::RecordingFilter;
use domain::recording_life::Recording;

/// The part of a list that is requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageRequest {
    /// By number: exact, and slower the higher the number.
    Number {
        /// The page, from 1.
        number: u32,
        /// How many entries a page has.
        size: u32,
    },
    /// The entries after an earlier page; equally fast at any depth.
    After {
        /// The `next_token` of the previous page; `None` is the beginning.
        token: Option<String>,
        /// How many entries are requested.
        size: u32,
    },
}

impl PageRequest {
    /// How many entries are requested.
    #[must_use]
    pub fn size(&self) -> u32 {
        match self {
            Self::Number { size, .. } | Self::After { size, .. } => *size,
        }
    }
}

/// A query of recordings. The account and the instance come from the grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingQuery {
    /// Whether hidden ones are shown too.
    pub include_expired: bool,
    /// The filter that narrows the list.
    pub filter: RecordingFilter,
    /// The part of the list.
    pub page: PageRequest,
    /// The moment at which expiry is judged.
    pub now: Timestamp,
}

/// A part of the list of recordings, newest first, ties by token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingPage {
    /// The recordings.
    pub recordings: Vec<Recording>,
    /// How many recordings the whole list has, exactly, unless `total_is_lower_bound`.
    pub total_count: u64,
    /// Whether the list has more than `total_count` entries, which is where counting stopped.
    pub total_is_lower_bound: bool,
    /// For [`PageRequest::After`]; `None` when nothing follows.
    pub next_token: Option<String>,
}

/// A part of the list of agents, the latest to join first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentPage {
    /// The agents.
    pub agents: Vec<Agent>,
    /// How many agents the whole list has, exactly.
    pub total_count: u64,
    /// For [`PageRequest::After`]; `None` when nothing follows.
    pub next_token: Option<String>,
}

/// A filter of audit events; `None` does not restrict. The account and the instance come from the grant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditFilter {
    /// Of this caller, by its full ARN.
    pub principal: Option<String>,
    /// Of this action, by its full name.
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

/// A query of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditQuery {
    /// Which events are requested.
    pub filter: AuditFilter,
    /// The part of the list.
    pub page: PageRequest,
}

/// A part of the audit trail, the newest first. It has no total: a trail only grows, and counting it would cost more
/// with every call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPage {
    /// The events.
    pub events: Vec<AuditEvent>,
    /// The token for the next page; `None` when nothing follows.
    pub next_token: Option<String>,
    /// On the last page, the time before which events were removed from the database once they had been exported; `None`
    /// when the list does not reach so far back, or nothing was removed.
    pub pruned_before: Option<Timestamp>,
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
    /// How many recordings became abandoned.
    pub abandoned: u64,
    /// How many recordings had expired since the last sweep.
    pub expired: u64,
}
