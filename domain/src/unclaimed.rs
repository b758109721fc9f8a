//! Limits on what an agent may leave unfinished: open recordings, and objects that no recording has claimed. One agent
//! must not be able to fill the disk that every recording of the deployment needs.

use std::time::Duration;

use recording::{EvidenceName, ObjectName};

use crate::store_location::StoreLocation;
use crate::{AgentId, TerminalSessionToken};

/// How many recordings of an agent may be open at once of which anything was heard within [`COUNTED_AS_OPEN_FOR`].
pub const MOST_OPEN_RECORDINGS: u64 = 1_024;

/// How long a recording counts as open after something of it was accepted last. One that is refused for longer (an agent
/// puts it into quarantine then) never keeps others from beginning, and neither does a session in which nothing happens.
/// Only what the control plane accepted counts, never what an agent says: for each recording that stops counting, an agent
/// has waited that long, while it may open and seal others without any limit.
pub const COUNTED_AS_OPEN_FOR: Duration = Duration::from_secs(24 * 3_600);

/// How many bytes an agent may have been granted, or have uploaded, that no recording has claimed.
pub const MOST_UNCLAIMED_BYTES: u64 = 256 * 1024 * 1024;

/// What the smallest object counts as: each takes a block of the disk, an entry in a folder and a row.
pub const COUNTED_AT_LEAST_BYTES: u64 = 64 * 1024;

/// How long an object waits for its claim. An agent keeps its bytes until they are claimed, and uploads them again.
pub const UNCLAIMED_KEPT_FOR: Duration = Duration::from_secs(24 * 3_600);

/// An object that an agent is about to write or has written, and that no recording has claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnclaimedObject {
    /// Where it lies.
    pub location: StoreLocation,
    /// Its whole name.
    pub name: ObjectName,
    /// The agent.
    pub agent: AgentId,
    /// The recording that it is meant for.
    pub recording: TerminalSessionToken,
    /// What of the recording it is.
    pub evidence: EvidenceName,
    /// Its size in bytes.
    pub length: u64,
}

impl UnclaimedObject {
    /// What it counts as against [`MOST_UNCLAIMED_BYTES`].
    #[must_use]
    pub fn counted_bytes(&self) -> u64 {
        self.length.max(COUNTED_AT_LEAST_BYTES)
    }
}

/// An agent has reached a limit. It can continue once something was sealed, claimed or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AgentLimitReached {
    /// It has as many open recordings of which something was heard lately as it may have.
    #[error(
        "the agent has {MOST_OPEN_RECORDINGS} open recordings of which something was heard within {hours} hours, and may \
         not have more; try again when one has ended",
        hours = COUNTED_AS_OPEN_FOR.as_secs() / 3_600
    )]
    OpenRecordings,
    /// It has as many unclaimed bytes as it may have.
    #[error(
        "the agent has {MOST_UNCLAIMED_BYTES} bytes granted or uploaded that no recording has claimed, and may have \
         no more; report what was uploaded, then try again"
    )]
    UnclaimedBytes,
}

impl AgentLimitReached {
    /// Whether one more recording may be opened.
    ///
    /// # Errors
    /// It has as many as it may have.
    pub fn check_open_recordings(open: u64) -> Result<(), Self> {
        if open < MOST_OPEN_RECORDINGS { Ok(()) } else { Err(Self::OpenRecordings) }
    }

    /// Whether an object may be written whose grant was not requested separately, in addition to others that count as
    /// `counted_bytes`: only while half of the limit is left, so that grants in advance do not keep a new delivery
    /// waiting.
    ///
    /// # Errors
    /// Less would be left.
    pub fn check_unclaimed_ahead(counted_bytes: u64, more: &UnclaimedObject) -> Result<(), Self> {
        Self::check_unclaimed(counted_bytes.saturating_add(MOST_UNCLAIMED_BYTES / 2), more)
    }

    /// Whether an object may be written beside others that count as `counted_bytes`.
    ///
    /// # Errors
    /// There would be more than there may be.
    pub fn check_unclaimed(counted_bytes: u64, more: &UnclaimedObject) -> Result<(), Self> {
        if counted_bytes.saturating_add(more.counted_bytes()) <= MOST_UNCLAIMED_BYTES {
            Ok(())
        } else {
            Err(Self::UnclaimedBytes)
        }
    }
}
