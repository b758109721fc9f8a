//! Segments: one object each, which stands alone, and which together are one asciicast file.

use std::fmt;
use std::io::{self, Read as _};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::asciicast::{AsciicastEncoder, AsciicastHeader, InvalidLine, decode_lines};
use crate::chain::{ChainValue, ContentHash};
use crate::event::{TerminalEvent, TerminalEventKind, TerminalSize};
use crate::ids::TerminalSessionToken;
use crate::layout::Stream;
use crate::manifest::{SegmentEntry, StreamEntry, StreamTotals};
use crate::spool::{BadRecord, RECORD_HEADER_BYTES, RecordKind, SpoolRecord};
use crate::start::Start;
use crate::timestamp::Micros;

/// The most bytes that a segment may have when it is decompressed.
pub const MAX_TEXT_BYTES: usize = 64 * 1024 * 1024;

/// The most bytes that a stored segment may have.
pub const MAX_SEGMENT_BYTES: usize = 8 * 1024 * 1024;

const LEVEL: i32 = 3;

/// What a cutter's buffer may keep between segments.
const IDLE_BYTES: usize = 64 * 1024;

/// A skippable frame's magic number and length.
const SKIPPABLE_BYTES: usize = 8;

/// 0x184D2A50, as zstd writes it: the lowest byte first.
const SKIPPABLE_MAGIC: [u8; 4] = [0x50, 0x2a, 0x4d, 0x18];

/// The format's name and, in its last byte, the version of the header.
const HEADER_MAGIC: &[u8; 8] = b"hansard\x01";

/// A header without the stream's name.
const FIXED_HEADER_BYTES: usize = 73;

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
    pub fn new() -> io::Result<Self> {
        let mut context = zstd::bulk::Compressor::new(LEVEL)?;
        context.include_checksum(true)?;
        context.include_contentsize(true)?;
        Ok(Self { context })
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Compressor").finish_non_exhaustive()
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
#[derive(Debug)]
pub struct SegmentCutter {
    policy: CutPolicy,
    /// Where the stream stood after the last cut.
    state: CutterState,
    /// Stands before the first segment's lines, until that segment is cut.
    header: Option<AsciicastHeader>,
    encoder: AsciicastEncoder,
    terminal: TerminalSize,
    lines: Vec<u8>,
    spooled_bytes: u64,
    /// The times of the first and the last of the lines.
    times: Option<(Micros, Micros)>,
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
        Self { header: Some(AsciicastHeader::of(start)), ..Self::resume(state, policy) }
    }

    /// A cutter that goes on after a cut. (Before the first cut there is nothing to resume: make a new one.)
    #[must_use]
    pub fn resume(state: CutterState, policy: CutPolicy) -> Self {
        Self {
            policy,
            header: None,
            encoder: AsciicastEncoder::resume(&state.carried, state.last_at),
            terminal: state.terminal,
            lines: Vec::new(),
            spooled_bytes: 0,
            times: None,
            state,
        }
    }

    /// Takes one event. A time before the last event's counts as the last event's.
    ///
    /// One event's output should be no longer than [`crate::spool::MAX_PAYLOAD_BYTES`], so that no segment grows
    /// beyond [`MAX_SEGMENT_BYTES`].
    pub fn push(&mut self, event: &TerminalEvent) {
        match &event.kind {
            TerminalEventKind::Output(bytes) => return self.push_output(event.at, bytes),
            TerminalEventKind::Resize(size) => self.terminal = *size,
            TerminalEventKind::Gap(_) | TerminalEventKind::Exit(_) => {}
        }
        let before = self.lines.len();
        self.encoder.event(event, &mut self.lines);
        self.note(before, 0);
    }

    /// Takes output: the fast path of [`SegmentCutter::push`].
    pub fn push_output(&mut self, at: Micros, bytes: &[u8]) {
        let before = self.lines.len();
        self.encoder.output(at, bytes, &mut self.lines);
        self.note(before, bytes.len());
    }

    /// Takes one record of the spool.
    ///
    /// # Errors
    /// The record is not a terminal's.
    pub fn push_record(&mut self, record: &SpoolRecord<'_>) -> Result<(), BadRecord> {
        if record.kind == RecordKind::TERMINAL_OUTPUT {
            self.push_output(record.at, record.payload);
        } else {
            self.push(&record.terminal_event()?);
        }
        Ok(())
    }

    fn note(&mut self, lines_before: usize, payload_bytes: usize) {
        self.spooled_bytes += (RECORD_HEADER_BYTES + payload_bytes) as u64;
        if self.lines.len() > lines_before {
            let at = self.encoder.last_at();
            self.times = Some((self.times.map_or(at, |(first, _)| first), at));
        }
    }

    /// Whether a segment is to be cut now: it is full or old enough. Never while there is nothing to cut.
    #[must_use]
    pub fn due(&self, now: Micros) -> bool {
        self.is_full() || self.due_at().is_some_and(|due_at| now >= due_at)
    }

    /// Whether a segment is to be cut before anything more is pushed.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.times.is_some() && self.spooled_bytes >= self.policy.most_spooled_bytes
    }

    /// When the segment will be old enough to be cut; `None` while there is nothing to cut.
    #[must_use]
    pub fn due_at(&self) -> Option<Micros> {
        let longest =
            if self.state.next_number == 0 { self.policy.longest_first } else { self.policy.longest };
        self.times.map(|(first, _)| Micros::new(first.get().saturating_add(Micros::from(longest).get())))
    }

    /// Cuts a segment from what was pushed since the last cut; `None` when there is nothing. A character that is not
    /// whole yet is kept back for the next segment.
    ///
    /// # Errors
    /// zstd fails: memory is short. Nothing is lost; the cut can be tried again.
    pub fn cut(&mut self, compressor: &mut Compressor) -> Result<Option<Segment>, SegmentError> {
        let Some((first_at, last_at)) = self.times else { return Ok(None) };
        let header = SegmentHeader {
            recording: self.state.recording.clone(),
            stream: self.state.stream,
            number: self.state.next_number,
            first_at,
            terminal: self.state.terminal,
            chain_before: self.state.chain,
        };
        let compressed = match &self.header {
            Some(header) => compressor.context.compress(&[header.to_line().as_slice(), &self.lines].concat()),
            None => compressor.context.compress(&self.lines),
        }
        .map_err(SegmentError::Compress)?;
        let bytes = [header.to_frame(), compressed].concat();
        if bytes.len() > MAX_SEGMENT_BYTES {
            return Err(SegmentError::TooLong { length: bytes.len() });
        }
        let sha256 = ContentHash::of(&bytes);
        let totals = self.encoder.take_totals();
        let segment = Segment {
            stream: header.stream,
            number: header.number,
            sha256,
            chain_before: header.chain_before,
            chain_after: header.chain_before.next(header.number, bytes.len() as u64, &sha256),
            first_at,
            last_at,
            terminal: header.terminal,
            totals,
            bytes,
        };
        self.state = CutterState {
            recording: header.recording,
            stream: header.stream,
            next_number: header.number + 1,
            chain: segment.chain_after,
            terminal: self.terminal,
            last_at: self.encoder.last_at(),
            carried: self.encoder.carried().to_vec(),
            totals: self.state.totals.plus(totals),
        };
        self.header = None;
        self.lines.clear();
        // A session that once showed much does not keep the memory while it is idle.
        self.lines.shrink_to(IDLE_BYTES);
        self.spooled_bytes = 0;
        self.times = None;
        Ok(Some(segment))
    }

    /// Cuts the last segment: as [`SegmentCutter::cut`], but nothing is kept back.
    ///
    /// # Errors
    /// As for [`SegmentCutter::cut`].
    pub fn finish(&mut self, compressor: &mut Compressor) -> Result<Option<Segment>, SegmentError> {
        let before = self.lines.len();
        self.encoder.flush(self.encoder.last_at(), &mut self.lines);
        self.note(before, 0);
        self.cut(compressor)
    }

    /// Where the stream stood after the last cut.
    #[must_use]
    pub fn state(&self) -> &CutterState {
        &self.state
    }

    /// The stream's entry in the manifest, from the entries of all its segments. Ask after
    /// [`SegmentCutter::finish`].
    #[must_use]
    pub fn stream_entry(&self, segments: Vec<SegmentEntry>) -> StreamEntry {
        self.state.stream_entry(segments)
    }
}

impl CutterState {
    /// The stream's entry in the manifest, from the entries of all its segments.
    #[must_use]
    pub fn stream_entry(&self, segments: Vec<SegmentEntry>) -> StreamEntry {
        StreamEntry { stream: self.stream, segments, final_chain: self.chain, totals: self.totals }
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
        let name = self.stream.name().as_bytes();
        let content = FIXED_HEADER_BYTES + name.len();
        let mut frame = Vec::with_capacity(SKIPPABLE_BYTES + content);
        frame.extend_from_slice(&SKIPPABLE_MAGIC);
        frame.extend_from_slice(&u32::try_from(content).expect("a header has about 80 bytes").to_le_bytes());
        frame.extend_from_slice(HEADER_MAGIC);
        frame.extend_from_slice(&self.recording.to_bytes());
        frame.extend_from_slice(&self.number.to_be_bytes());
        frame.extend_from_slice(&self.first_at.get().to_be_bytes());
        frame.extend_from_slice(&self.terminal.columns.to_be_bytes());
        frame.extend_from_slice(&self.terminal.rows.to_be_bytes());
        frame.extend_from_slice(self.chain_before.as_bytes());
        frame.push(u8::try_from(name.len()).expect("the names of streams are short"));
        frame.extend_from_slice(name);
        frame
    }

    /// Reads the header of a stored segment, and nothing else of it. Returns how long the skippable frame is, too.
    ///
    /// # Errors
    /// The bytes do not begin with such a frame.
    pub fn parse(segment: &[u8]) -> Result<(Self, usize), SegmentError> {
        let mut rest = segment;
        let mut header = || {
            if take(&mut rest)? != SKIPPABLE_MAGIC {
                return Some(Err("it does not begin with a skippable frame"));
            }
            let content = u32::from_le_bytes(take(&mut rest)?) as usize;
            if take(&mut rest)? != *HEADER_MAGIC {
                return Some(Err("the skippable frame is not of this format and version"));
            }
            let recording = TerminalSessionToken::from_bytes(take(&mut rest)?);
            let number = u32::from_be_bytes(take(&mut rest)?);
            let first_at = Micros::new(u64::from_be_bytes(take(&mut rest)?));
            let columns = u16::from_be_bytes(take(&mut rest)?);
            let rows = u16::from_be_bytes(take(&mut rest)?);
            let chain_before = ChainValue::from_bytes(take(&mut rest)?);
            let [name] = take(&mut rest)?;
            if content != FIXED_HEADER_BYTES + usize::from(name) {
                return Some(Err("its length is wrong"));
            }
            let name = rest.get(..usize::from(name))?;
            let Some(stream) = std::str::from_utf8(name).ok().and_then(Stream::from_name) else {
                return Some(Err("its stream is unknown"));
            };
            let terminal = TerminalSize { columns, rows };
            let header = Self { recording, stream, number, first_at, terminal, chain_before };
            Some(Ok((header, SKIPPABLE_BYTES + content)))
        };
        header().unwrap_or(Err("it is cut off")).map_err(|why| SegmentError::Header { why })
    }
}

/// Takes so many bytes from the front; `None` when there are fewer.
fn take<const LENGTH: usize>(rest: &mut &[u8]) -> Option<[u8; LENGTH]> {
    let (taken, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*taken)
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
    Compress(#[source] io::Error),
}

/// Reads a stored segment. It needs nothing but the object.
///
/// # Errors
/// The object is no segment, is damaged, or is larger than [`MAX_TEXT_BYTES`] when it is decompressed.
pub fn decode_segment(object: &[u8]) -> Result<DecodedSegment, SegmentError> {
    if object.len() > MAX_SEGMENT_BYTES {
        return Err(SegmentError::TooLong { length: object.len() });
    }
    let (header, skip) = SegmentHeader::parse(object)?;
    let text = decompress(&object[skip..])?;
    let lines = decode_lines(&text).map_err(SegmentError::Lines)?;
    let disagrees = |why| Err(SegmentError::Disagrees { why });
    if lines.events.first().map(|event| event.at) != Some(header.first_at) {
        return disagrees("the time of the first event");
    }
    match (&lines.header, header.number) {
        (Some(asciicast), 0) if asciicast.terminal() == header.terminal => {}
        (Some(_), 0) => return disagrees("the size of the terminal"),
        (None, 0) => return disagrees("the first segment has no asciicast header"),
        (Some(_), _) => return disagrees("it is not the first segment and has an asciicast header"),
        (None, _) => {}
    }
    Ok(DecodedSegment {
        header,
        text,
        asciicast_header: lines.header,
        events: lines.events,
        totals: lines.totals,
    })
}

/// Decompresses exactly one frame, with nothing behind it.
fn decompress(frame: &[u8]) -> Result<Vec<u8>, SegmentError> {
    let damaged = |why: String| SegmentError::Frame { why };
    let length = zstd::zstd_safe::find_frame_compressed_size(frame)
        .map_err(|code| damaged(zstd::zstd_safe::get_error_name(code).to_owned()))?;
    if length != frame.len() {
        return Err(damaged(format!("{} bytes stand behind it", frame.len() - length)));
    }
    let mut text = Vec::new();
    let decoder = zstd::stream::read::Decoder::with_buffer(frame).and_then(|mut decoder| {
        decoder.window_log_max(MAX_TEXT_BYTES.ilog2())?;
        Ok(decoder.single_frame())
    });
    decoder
        .and_then(|decoder| decoder.take(MAX_TEXT_BYTES as u64 + 1).read_to_end(&mut text))
        .map_err(|error| damaged(error.to_string()))?;
    if text.len() > MAX_TEXT_BYTES {
        return Err(damaged(format!("it holds more than {MAX_TEXT_BYTES} bytes")));
    }
    Ok(text)
}
