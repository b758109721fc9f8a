//! How much room an agent's spool has, as the agent says.

use crate::parameter::Word;
use crate::{AgentId, Timestamp};

/// Whether the spool's disk has room for sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpoolDiskState {
    /// New sessions begin.
    Available,
    /// No new recorded sessions begin; running ones go on.
    Low,
    /// Running sessions are ended, or go on unrecorded, one after the other, until there is room again.
    Critical,
}

impl SpoolDiskState {
    /// The state of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::of(word)
    }

    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Low => "low",
            Self::Critical => "critical",
        }
    }
}

impl Word for SpoolDiskState {
    const ALL: &'static [Self] = &[Self::Available, Self::Low, Self::Critical];

    fn word(self) -> &'static str {
        self.as_str()
    }
}

/// What an agent last said of the disk of its spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolDisk {
    /// The agent.
    pub agent: AgentId,
    /// Whether there is room.
    pub state: SpoolDiskState,
    /// What is free, in bytes.
    pub free_bytes: u64,
    /// When it said so.
    pub told_at: Timestamp,
}
