//! What both sides of the internal listener know.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The path below which every call lies.
pub(crate) const PREFIX: &str = "/internal/v1";
/// How often whoever opened a channel pings the holder of the link.
pub(crate) const PING_EVERY: Duration = Duration::from_secs(5);
/// A channel's connection that was silent for so long is dead.
pub(crate) const SILENT_AFTER: Duration = Duration::from_secs(20);

/// Why an authenticated call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "Code")]
pub(crate) enum Refused {
    /// This replica does not hold the agent's link.
    NotConnected,
    /// The agent knows no channels.
    NoChannels,
    /// Its link has as many channels as it may have.
    TooManyChannels,
    /// It is sent more than it reads.
    Busy,
}
