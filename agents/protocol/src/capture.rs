//! The interface between the two halves of a capture, which share only spool files: a *recorder* fills them, next to
//! what it records, and a *segmenter* in the agent makes segments of them. Neither half knows the other's code, so that
//! a recorder may run in another process, and a recording can be delivered after its recorder has ended.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::net::UnixStream;

use recording::{
    Compressor, ExitStatus, Micros, Segment, SegmentEntry, SegmentError, Shortfall, SpoolRecord, Start,
    StreamEntry, TerminalSessionToken, TerminalSize,
};
use rustix::fd::OwnedFd;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::recorder::{CommandDescriptor, Connections};

/// A kind of capture that an agent offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Capability {
    /// The kind: `terminal`.
    pub kind: String,
    /// The version of what the kind delivers.
    pub version: String,
}

/// The agent's half of one kind of capture: how its spools become segments. The agent knows kinds only through this
/// trait.
pub trait Segmenting: Send + Sync {
    /// The kind and version, as announced to the control plane, which delegates by them.
    fn capability(&self) -> Capability;

    /// The spools of its recordings, one for each stream, in the order in which the manifest lists the streams. Never empty.
    fn spools(&self) -> Vec<SpoolName>;

    /// The segmenter of one of these spools. It begins at the start, or continues from a stored position of the stream.
    ///
    /// # Errors
    /// Where the stream stood cannot be read.
    fn segmenter(
        &self,
        spool: &SpoolName,
        start: &Start,
        start_document: &[u8],
        resume: Option<&SegmenterState>,
    ) -> Result<Box<dyn Segmenter>, BadState>;
}

/// The name of a spool, which is that of its stream. It names files and folders of the agent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SpoolName(String);

/// The text is not the name of a spool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the name of a spool, which has 1 to {MOST} characters of a-z, 0-9 and -", MOST = SpoolName::LONGEST_BYTES)]
pub struct BadSpoolName(String);

impl SpoolName {
    const LONGEST_BYTES: usize = 32;

    /// The spool of this name.
    ///
    /// # Errors
    /// It is empty, too long, or has other characters than `a` to `z`, digits and hyphens.
    pub fn parse(name: &str) -> Result<Self, BadSpoolName> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=Self::LONGEST_BYTES).contains(&name.len()) && name.bytes().all(allowed) {
            Ok(SpoolName(name.to_owned()))
        } else {
            Err(BadSpoolName(name.to_owned()))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SpoolName {
    type Error = BadSpoolName;

    fn try_from(name: String) -> Result<Self, BadSpoolName> {
        SpoolName::parse(&name)
    }
}

impl From<SpoolName> for String {
    fn from(name: SpoolName) -> String {
        name.0
    }
}

impl fmt::Display for SpoolName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The position of a stream after a cut, as its segmenter stored it. Only the segmenter reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SegmenterState(serde_json::Value);

/// The position of a stream cannot be stored, or cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the stored position of the stream is not understood: {0}")]
pub struct BadState(#[from] serde_json::Error);

impl SegmenterState {
    /// The state in a segmenter's own form.
    ///
    /// # Errors
    /// The form cannot be written as JSON.
    pub fn of(state: &impl Serialize) -> Result<Self, BadState> {
        Ok(SegmenterState(serde_json::to_value(state)?))
    }

    /// Reads it.
    ///
    /// # Errors
    /// It was written in another form.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, BadState> {
        Ok(T::deserialize(&self.0)?)
    }
}

/// What the person's side of a session is given.
#[derive(Debug)]
pub struct PersonSession {
    /// Which session.
    pub token: TerminalSessionToken,
    /// The stream of messages with the recorder.
    pub recorder: UnixStream,
    /// The command's descriptors, which the recorder made.
    pub descriptors: Vec<(CommandDescriptor, OwnedFd)>,
    /// How they are connected, as was asked for.
    pub connections: Connections,
    /// The terminal's size as `start.json` has it; `None` where there is no terminal.
    pub terminal: Option<TerminalSize>,
    /// The command and its arguments; never empty.
    pub command: Vec<OsString>,
    /// The command is a login shell: its name begins with a hyphen.
    pub is_login_shell: bool,
    /// The program and arguments that run instead of the command: those of a transfer, without a shell.
    pub instead: Option<Vec<String>>,
}

/// Why a session did not begin, or ended before its command did.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The command could not be started.
    #[error("could not {step}")]
    Start {
        /// What was tried.
        step: &'static str,
        /// How it failed.
        #[source]
        source: io::Error,
    },
    /// The capture can no longer be stored: the session was ended.
    #[error("the session was ended because its recording cannot be kept: {reason}")]
    Lost {
        /// Why, for the person and for the recording.
        reason: String,
    },
    /// The session cannot be recorded any further, although there is room for it: the person's side is gone, or the command cannot
    /// begin, or not be read.
    #[error("the session was ended because it cannot be recorded any further: {reason}")]
    BrokenOff {
        /// Why, for the person and for the recording.
        reason: String,
    },
    /// Somebody ended the session, as the recording says.
    #[error("the session was ended: {reason}")]
    Ended {
        /// Why, for the person and for the recording.
        reason: String,
    },
    /// The session was recorded to its end, but not everything that the command printed reached this process's own
    /// outputs. The person was told before, because nothing is printed after a session's end.
    #[error("the command has ended and is recorded, but {reason}")]
    NotDelivered {
        /// What could not be written, and why.
        reason: String,
    },
}

/// What the segmenter learned from a record besides its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pushed {
    /// The session goes on.
    Content,
    /// A gap, with its reason. Other shortfalls do not say why a session ended.
    Gap(String),
    /// The command ended so.
    Exit(ExitStatus),
}

/// Makes segments of spool records.
pub trait Segmenter: Send {
    /// Takes one record.
    ///
    /// # Errors
    /// The record's content does not belong to its kind.
    fn push(&mut self, record: &SpoolRecord<'_>) -> Result<Pushed, recording::spool::BadRecord>;

    /// Notes what the agent found out: that something is missing after the last record, or that less is recorded.
    fn push_shortfall(&mut self, at: Micros, shortfall: &Shortfall);

    /// Whether a segment should be cut now. Never if there is nothing to cut.
    fn due(&self, now: Micros) -> bool;

    /// When a segment will be old enough to be cut, if nothing more is pushed; `None` while there is nothing to cut.
    fn due_at(&self) -> Option<Micros>;

    /// Cuts a segment from what was pushed since the last cut.
    ///
    /// # Errors
    /// It could not be compressed; nothing is lost.
    fn cut(&mut self, compressor: &mut Compressor) -> Result<Option<Segment>, SegmentError>;

    /// Cuts the last segment.
    ///
    /// # Errors
    /// It could not be compressed; nothing is lost.
    fn finish(&mut self, compressor: &mut Compressor) -> Result<Option<Segment>, SegmentError>;

    /// The position of the stream after the last cut.
    ///
    /// # Errors
    /// It cannot be written down.
    fn state(&self) -> Result<SegmenterState, BadState>;

    /// The time of the last event in what was cut; zero while nothing was.
    fn last_at(&self) -> Micros;

    /// The stream's entry in the manifest.
    fn stream_entry(&self, segments: Vec<SegmentEntry>) -> StreamEntry;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_spool_cannot_point_outside_its_folder() {
        for good in ["terminal", "events", "a-1"] {
            assert_eq!(SpoolName::parse(good).unwrap().as_str(), good);
        }
        let long = "a".repeat(SpoolName::LONGEST_BYTES + 1);
        for bad in ["", ".", "..", "a/b", "Terminal", "a.b", "\u{e4}", "a\0", &long] {
            assert_eq!(SpoolName::parse(bad), Err(BadSpoolName(bad.to_owned())));
            assert!(serde_json::from_value::<SpoolName>(bad.into()).is_err());
        }
    }
}
