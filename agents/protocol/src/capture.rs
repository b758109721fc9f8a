//! What every kind of capture announces and offers. The agent knows kinds only through this.

use std::ffi::OsString;
use std::fs::File;
use std::io;

use recording::{
    Compressor, CutterState, ExitStatus, Micros, Segment, SegmentEntry, SegmentError, SpoolRecord, Start,
    Stream, StreamEntry, TerminalSessionToken, TerminalSize,
};
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

/// One kind of capture. It has two halves, which meet in a spool file: one runs with what it records, the other runs in the agent.
pub trait Capture: Send + Sync {
    /// The kind and version, as announced to the control plane, which delegates by them.
    fn capability(&self) -> Capability;

    /// The stream that its segments belong to.
    fn stream(&self) -> Stream;

    /// The half in the agent: makes segments of the spool's records. It begins anew, or goes on from where a stream stood.
    fn segmenter(
        &self,
        start: &Start,
        start_document: &[u8],
        resume: Option<CutterState>,
    ) -> Box<dyn Segmenter>;

    /// The half in the person's process: runs the command and spools before it shows. It returns when the command has ended.
    ///
    /// # Errors
    /// The session could not begin, or could not be recorded any longer and was ended.
    fn run(&self, session: CaptureSession) -> Result<ExitStatus, CaptureError>;
}

/// What a person's process was given to record with.
#[derive(Debug)]
pub struct CaptureSession {
    /// Which session.
    pub token: TerminalSessionToken,
    /// The spool, open for appending. Its lock says that the recorder lives.
    pub spool: File,
    /// CLOCK_BOOTTIME at time zero of the recording.
    pub start_boottime_micros: u64,
    /// The terminal's size as `start.json` has it.
    pub terminal: TerminalSize,
    /// The session ends when less than this is free on the spool's file system.
    pub least_free_bytes: u64,
    /// The command and its arguments; never empty.
    pub command: Vec<OsString>,
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
    fn state(&self) -> &CutterState;

    /// The stream's entry in the manifest.
    fn stream_entry(&self, segments: Vec<SegmentEntry>) -> StreamEntry;
}
