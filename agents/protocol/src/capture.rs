//! The seam of a capture. Its two halves meet in spool files alone: a *recorder* fills them, beside what it records, and a *segmenter*
//! in the agent makes segments of them. Neither half knows the other's code, so that a recorder may run in another process, and a
//! recording can be delivered whose recorder is long gone.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io;

use recording::{
    Compressor, ExitStatus, Micros, Segment, SegmentEntry, SegmentError, SpoolRecord, Start, StreamEntry,
    TerminalSessionToken, TerminalSize,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A kind of capture that an agent offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Capability {
    /// The kind: `terminal`.
    pub kind: String,
    /// The version of what the kind delivers.
    pub version: String,
}

/// The agent's half of one kind of capture: how its spools become segments. The agent knows kinds only through this.
pub trait Segmenting: Send + Sync {
    /// The kind and version, as announced to the control plane, which delegates by them.
    fn capability(&self) -> Capability;

    /// The spools of its recordings, one for each stream, in the order in which the manifest lists the streams. Never empty.
    fn spools(&self) -> Vec<SpoolName>;

    /// What makes segments of one of these spools' records. It begins anew, or goes on from where the stream stood.
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

/// The name of a spool: that of the stream which it holds. Files and folders of the agent are called by it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SpoolName(String);

/// A text that names no spool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no spool's name: that is 1 to {MOST} of a-z, 0-9 and -", MOST = SpoolName::LONGEST_BYTES)]
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

/// Where a stream stood after a cut, as its segmenter wrote it down. Nobody else reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SegmenterState(serde_json::Value);

/// Where a stream stood cannot be written down, or cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("where the stream stood is not understood: {0}")]
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

/// What a recorder is given to record a session with.
#[derive(Debug)]
pub struct RecorderSession {
    /// Which session.
    pub token: TerminalSessionToken,
    /// The spools, open for appending. The process that asked for them must be the one that records: once it ends, nothing more is
    /// read. Its exit record is believed when it ends within 10 s.
    pub spools: BTreeMap<SpoolName, File>,
    /// CLOCK_BOOTTIME at time zero of the recording.
    pub start_boottime_micros: u64,
    /// The terminal's size as `start.json` has it; `None` where there is no terminal.
    pub terminal: Option<TerminalSize>,
    /// The session ends when less than this is free on the spool's file system.
    pub least_free_bytes: u64,
    /// The command and its arguments; never empty.
    pub command: Vec<OsString>,
    /// The command is a shell that somebody logs in with: it finds a hyphen before its name.
    pub is_login_shell: bool,
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
    /// What was captured can no longer be kept: the session was ended.
    #[error("the session was ended because its recording cannot be kept: {reason}")]
    Lost {
        /// Why, for the person and for the recording.
        reason: String,
    },
    /// The session was recorded to its end, but not all that the command printed reached this process's own outputs. The person
    /// has been told: nothing is said after a session's end.
    #[error("the command has ended and is recorded, but {reason}")]
    NotDelivered {
        /// What could not be written, and why.
        reason: String,
    },
}

/// What a record told the segmenter besides its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pushed {
    /// The session goes on.
    Content,
    /// A gap, with its reason.
    Gap(String),
    /// The command ended so.
    Exit(ExitStatus),
}

/// Makes segments of spool records.
pub trait Segmenter: Send {
    /// Takes one record.
    ///
    /// # Errors
    /// The record does not hold what its kind says.
    fn push(&mut self, record: &SpoolRecord<'_>) -> Result<Pushed, recording::spool::BadRecord>;

    /// Notes that something is missing after the last record.
    fn push_gap(&mut self, at: Micros, reason: &str, lost_bytes: u64);

    /// Whether a segment is to be cut now. Never while there is nothing to cut.
    fn due(&self, now: Micros) -> bool;

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

    /// Where the stream stood after the last cut.
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
    fn a_spools_name_cannot_lead_out_of_a_folder() {
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
