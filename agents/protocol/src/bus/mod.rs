//! Channels on the link: streams of bytes both ways between the control plane and a service of the agent, many beside each other on
//! one WebSocket.
//!
//! The control plane opens a channel and names a service. Each end may send as much as the other one has said to have
//! room for, its *window*, and keeps what it sent until the other end has consumed it. So when the WebSocket is lost,
//! both ends go on where they stopped, by byte offsets, as soon as the agent has dialled again, within
//! [`RESUME_WITHIN`]. A channel that nobody reads delays itself alone.
//!
//! Each frame is one binary message ([`frame`]). What an end does with them is a state machine without input or output
//! ([`end`]); [`channel`] offers it to its user, and to the code that carries its frames. The replica of the control
//! plane that opened a channel has that channel's end, whichever replica holds the agent's link; the holder only
//! forwards frames.
//!
//! This is not the stream between a recorder and a person ([`crate::person`]): that one is a single stream that is
//! never resumed, so that it counts bytes without offsets, and its messages are framed by their lengths.

pub mod channel;
pub mod end;
pub mod frame;

use std::fmt;
use std::time::Duration;

use aws_lc_rs::rand;

pub use channel::{Channel, Port, Reader, Writer, share};
pub use end::{End, Over};
pub use frame::{BadFrame, Frame, FrameBody};

/// The most bytes of a channel in one frame: a frame of one channel delays those of the others no longer than this
/// takes.
pub const MOST_DATA_BYTES: usize = 16 * 1024;

/// How many bytes an end takes in before somebody reads them, and how many it keeps until they are consumed.
pub const WINDOW_BYTES: u32 = 256 * 1024;

/// How many channels there are on one link at most.
pub const MOST_CHANNELS: usize = 64;

/// How long an end waits to be resumed when its path to the other one is lost.
pub const RESUME_WITHIN: Duration = Duration::from_secs(60);

/// A channel: 128 random bits, made by the replica that opens it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId([u8; ChannelId::BYTES]);

impl ChannelId {
    /// How many bytes it has.
    pub const BYTES: usize = 16;

    /// A new one.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn generate() -> Result<Self, NoRandomness> {
        let mut bytes = [0; Self::BYTES];
        rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
        Ok(Self(bytes))
    }

    /// The channel with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// Reads what [`Display`](fmt::Display) writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; Self::BYTES];
        let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
        (lower && hex::decode_to_slice(text, &mut bytes).is_ok()).then_some(Self(bytes))
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChannelId({self})")
    }
}

/// The system has no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system's random source failed")]
pub struct NoRandomness;

/// The name of the service that a channel is connected to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName(String);

impl ServiceName {
    /// The most bytes of a name.
    pub const MOST_BYTES: usize = 64;

    /// Reads a name.
    ///
    /// # Errors
    /// It has other characters, or too many of them.
    pub fn parse(text: &str) -> Result<Self, InvalidServiceName> {
        let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let well_formed = (1..=Self::MOST_BYTES).contains(&text.len()) && text.bytes().all(letter);
        if well_formed { Ok(Self(text.to_owned())) } else { Err(InvalidServiceName) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is not the name of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name of a service has 1 to 64 lower-case letters, digits and hyphens")]
pub struct InvalidServiceName;

/// Why a channel was reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResetCode {
    /// The user of the other end gave it up.
    Cancelled,
    /// The service failed; the reason says why.
    Failed,
    /// The agent has no service of that name.
    NoSuchService,
    /// The link has reached its limit of channels.
    TooManyChannels,
    /// The end that should be resumed does not exist, or no longer.
    UnknownChannel,
    /// A frame broke the rules.
    Protocol,
    /// The path to the other end was lost and not found again in time. It is never sent, because there is no path to
    /// send it on.
    Lost,
    /// A code of a later version.
    Other(u16),
}

impl ResetCode {
    /// Its number on the wire.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::Cancelled => 1,
            Self::Failed => 2,
            Self::NoSuchService => 3,
            Self::TooManyChannels => 4,
            Self::UnknownChannel => 5,
            Self::Protocol => 6,
            Self::Lost => 7,
            Self::Other(number) => number,
        }
    }

    /// The code with this number.
    #[must_use]
    pub const fn of(number: u16) -> Self {
        match number {
            1 => Self::Cancelled,
            2 => Self::Failed,
            3 => Self::NoSuchService,
            4 => Self::TooManyChannels,
            5 => Self::UnknownChannel,
            6 => Self::Protocol,
            7 => Self::Lost,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for ResetCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("cancelled"),
            Self::Failed => f.write_str("failed"),
            Self::NoSuchService => f.write_str("no such service"),
            Self::TooManyChannels => f.write_str("too many channels"),
            Self::UnknownChannel => f.write_str("unknown channel"),
            Self::Protocol => f.write_str("protocol violated"),
            Self::Lost => f.write_str("connection lost"),
            Self::Other(number) => write!(f, "code {number}"),
        }
    }
}

/// A channel ended before both directions were finished.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the channel was reset ({code}): {reason}")]
pub struct Reset {
    /// The kind of reason.
    pub code: ResetCode,
    /// The reason, for people. It may be text of the other side, which must be sanitised before it is shown.
    pub reason: String,
}

impl Reset {
    /// A reset for this reason, of which as much is kept as a frame can hold.
    #[must_use]
    pub fn new(code: ResetCode, reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        let mut end = reason.len().min(frame::MOST_REASON_BYTES);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        reason.truncate(end);
        Self { code, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_names_read_back_as_they_print_and_nothing_else_is_one() {
        let id = ChannelId::generate().unwrap();
        assert_eq!(ChannelId::parse(&id.to_string()), Some(id));
        for bad in ["", "00", &id.to_string()[1..], &format!("{id}0"), &"A".repeat(32), &"g".repeat(32)] {
            assert_eq!(ChannelId::parse(bad), None, "{bad}");
        }
        assert_eq!(ServiceName::parse("echo-2").unwrap().as_str(), "echo-2");
        for bad in ["", "Echo", "a b", "a/b", "\u{e4}", &"x".repeat(65)] {
            assert!(ServiceName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_code_keeps_its_number() {
        for number in 0..=u16::MAX {
            assert_eq!(ResetCode::of(number).number(), number);
        }
    }

    #[test]
    fn a_reason_is_cut_between_characters() {
        let reset = Reset::new(ResetCode::Failed, format!("x{}", "\u{e4}".repeat(200)));
        assert_eq!(reset.reason.len(), frame::MOST_REASON_BYTES - 1);
    }
}
