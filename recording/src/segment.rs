//! Segments: one object each, which stands alone, and which together are one asciicast file.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::asciicast::{AsciicastHeader, InvalidLine};
use crate::chain::{ChainValue, ContentHash};
use crate::event::{TerminalEvent, TerminalSize};
use crate::ids::TerminalSessionToken;
use crate::layout::Stream;
use crate::manifest::{SegmentEntry, StreamEntry, StreamTotals};
use crate::start::Start;
use crate::timestamp::Micros;

/// The most bytes that a segment may have when it is decompressed.
pub const MAX_TEXT_BYTES: usize = 64 * 1024 * 1024;

/// The most bytes that a stored segment may have.
pub const MAX_SEGMENT_BYTES: usize = 8 * 1024 * 1024;

/// When a segment is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutPolicy {
    /// After so many bytes of spool records.
    pub most_spooled_bytes: u64,
    /// So long after its first event.
    pub longest: Duration,
    /// The same for a stream's first segment, so that a new recording is soon to be seen.
    pub longest_first: Duration,
}

impl Default for CutPolicy {
    /// 1 MiB, 15 seconds, and 5 seconds for the first.
    fn default() -> Self {
        Self {
            most_spooled_bytes: 1024 * 1024,
            longest: Duration::from_secs(15),
            longest_first: Duration::from_secs(5),
        }
    }
}

/// One segment as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The stream that it is a part of.
    pub stream: Stream,
    /// Its place in the stream, from 0.
    pub number: u32,
    /// The exact bytes of the object.
    pub bytes: Vec<u8>,
    /// The SHA-256 of `bytes`.
    pub sha256: ContentHash,
    /// The chain before it; it stands in its header.
    pub chain_before: ChainValue,
    /// The chain after it.
    pub chain_after: ChainValue,
    /// The time of its first event.
    pub first_at: Micros,
    /// The time of its last event.
    pub last_at: Micros,
    /// The size of the terminal before its first event.
    pub terminal: TerminalSize,
    /// What it holds.
    pub totals: StreamTotals,
}

impl Segment {
    /// What the manifest says of it.
    #[must_use]
    pub fn entry(&self) -> SegmentEntry {
        SegmentEntry {
            number: self.number,
            length: self.bytes.len() as u64,
            sha256: self.sha256,
            chain: self.chain_after,
            first_at: self.first_at,
            last_at: self.last_at,
        }
    }
}

/// One zstd context, for all sessions of a worker.
pub struct Compressor {
    context: zstd::bulk::Compressor<'static>,
}

impl Compressor {
    /// A context at level 3 with checksums.
    ///
    /// # Errors
    /// zstd cannot make a context: memory is short.
    pub fn new() -> std::io::Result<Self> {
        todo!()
    }
}

/// Where a stream stands after a cut: what is needed to go on in another process. Keep it with the offset in the
/// spool of the last event that was pushed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutterState {
    /// Which recording.
    pub recording: TerminalSessionToken,
    /// Which stream.
    pub stream: Stream,
    /// The number of the next segment.
    pub next_number: u32,
    /// The chain after the last segment.
    pub chain: ChainValue,
    /// The size of the terminal.
    pub terminal: TerminalSize,
    /// The time of the last event.
    pub last_at: Micros,
    /// The beginning of a character that the last event did not complete: at most three bytes. They will stand in
    /// the next segment.
    pub carried: Vec<u8>,
    /// What all segments so far hold together.
    pub totals: StreamTotals,
}

/// Cuts a terminal's events into segments.
pub struct SegmentCutter {
    policy: CutPolicy,
    header: Option<AsciicastHeader>,
    state: CutterState,
}

impl SegmentCutter {
    /// A cutter for a new recording with these exact bytes of `start.json`.
    #[must_use]
    pub fn new(start: &Start, start_document: &[u8], policy: CutPolicy) -> Self {
        let state = CutterState {
            recording: start.recording.clone(),
            stream: Stream::Terminal,
            next_number: 0,
            chain: ChainValue::first(start_document, Stream::Terminal),
            terminal: start.terminal,
            last_at: Micros::ZERO,
            carried: Vec::new(),
            totals: StreamTotals::default(),
        };
        Self { policy, header: Some(AsciicastHeader::of(start)), state }
    }

    /// A cutter that goes on after a cut. (Before the first cut there is nothing to resume: make a new one.)
    #[must_use]
    pub fn resume(state: CutterState, policy: CutPolicy) -> Self {
        Self { policy, header: None, state }
    }

    /// Takes one event. A time before the last event's counts as the last event's.
    pub fn push(&mut self, _event: &TerminalEvent) {
        todo!()
    }

    /// Takes output: the fast path of [`SegmentCutter::push`].
    pub fn push_output(&mut self, _at: Micros, _bytes: &[u8]) {
        todo!()
    }

    /// Whether a segment is to be cut now: it is full or old enough. Never while there is nothing to cut.
    #[must_use]
    pub fn due(&self, _now: Micros) -> bool {
        todo!()
    }

    /// When the segment will be old enough to be cut; `None` while there is nothing to cut.
    #[must_use]
    pub fn due_at(&self) -> Option<Micros> {
        todo!()
    }

    /// Cuts a segment from what was pushed since the last cut; `None` when there is nothing. A character that is not
    /// whole yet is kept back for the next segment.
    ///
    /// # Errors
    /// zstd fails: memory is short. Nothing is lost; the cut can be tried again.
    pub fn cut(&mut self, _compressor: &mut Compressor) -> Result<Option<Segment>, SegmentError> {
        todo!()
    }

    /// Cuts the last segment: as [`SegmentCutter::cut`], but nothing is kept back.
    ///
    /// # Errors
    /// As for [`SegmentCutter::cut`].
    pub fn finish(&mut self, _compressor: &mut Compressor) -> Result<Option<Segment>, SegmentError> {
        todo!()
    }

    /// Where the stream stood after the last cut.
    #[must_use]
    pub fn state(&self) -> &CutterState {
        &self.state
    }

    /// The stream's entry in the manifest, from the entries of all its segments.
    #[must_use]
    pub fn stream_entry(&self, segments: Vec<SegmentEntry>) -> StreamEntry {
        StreamEntry {
            stream: self.state.stream,
            segments,
            final_chain: self.state.chain,
            totals: self.state.totals,
        }
    }
}

/// The skippable frame with which every segment begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Which recording.
    pub recording: TerminalSessionToken,
    /// Which stream.
    pub stream: Stream,
    /// The segment's place in the stream.
    pub number: u32,
    /// The time of its first event.
    pub first_at: Micros,
    /// The size of the terminal before its first event.
    pub terminal: TerminalSize,
    /// The chain before it.
    pub chain_before: ChainValue,
}

impl SegmentHeader {
    /// The whole skippable frame.
    #[must_use]
    pub fn to_frame(&self) -> Vec<u8> {
        todo!()
    }

    /// Reads the header of a stored segment, and nothing else of it. Returns how long the skippable frame is, too.
    ///
    /// # Errors
    /// The bytes do not begin with such a frame.
    pub fn parse(_segment: &[u8]) -> Result<(Self, usize), SegmentError> {
        todo!()
    }
}

/// A segment, read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedSegment {
    /// Its header.
    pub header: SegmentHeader,
    /// Its decompressed lines: a piece of the asciicast file.
    pub text: Vec<u8>,
    /// The asciicast header, in a stream's first segment.
    pub asciicast_header: Option<AsciicastHeader>,
    /// Its events.
    pub events: Vec<TerminalEvent>,
    /// What it holds, counted.
    pub totals: StreamTotals,
}

/// A segment that cannot be read, or cannot be cut.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// The stored object is longer than any segment.
    #[error("the segment has {length} bytes, more than {MAX_SEGMENT_BYTES}")]
    TooLong {
        /// Its length.
        length: usize,
    },
    /// The header is missing or cannot be read.
    #[error("the segment's header cannot be read: {why}")]
    Header {
        /// What is wrong with it.
        why: &'static str,
    },
    /// The compressed frame is damaged, is followed by something else, or is too large.
    #[error("the segment's compressed frame cannot be read: {why}")]
    Frame {
        /// What is wrong with it.
        why: String,
    },
    /// The lines cannot be read.
    #[error("the segment's lines cannot be read")]
    Lines(#[source] InvalidLine),
    /// The header does not agree with the lines.
    #[error("the segment's header does not agree with its lines: {why}")]
    Disagrees {
        /// In what.
        why: &'static str,
    },
    /// zstd could not compress.
    #[error("the segment could not be compressed")]
    Compress(#[source] std::io::Error),
}

/// Reads a stored segment. It needs nothing but the object.
///
/// # Errors
/// The object is no segment, is damaged, or is larger than [`MAX_TEXT_BYTES`] when it is decompressed.
pub fn decode_segment(_object: &[u8]) -> Result<DecodedSegment, SegmentError> {
    todo!()
}
