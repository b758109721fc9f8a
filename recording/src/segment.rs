//! Segments: one object each, which names its recording. Its content belongs to its stream.
//!
//! An object is a skippable frame of zstd with a [`SegmentHeader`], and behind it the stream's own bytes.

use std::fmt;
use std::io::{self, Read as _};

use crate::chain::{ChainValue, ContentHash};
use crate::ids::TerminalSessionToken;
use crate::manifest::{SegmentEntry, Totals};
use crate::stream::Stream;
use crate::timestamp::Micros;

/// The most bytes that a segment may have when it is decompressed.
pub const MAX_TEXT_BYTES: usize = 24 * 1024 * 1024;

/// The most events that a segment may have: a few stored bytes could say millions, and each takes memory where it is read.
pub const MAX_SEGMENT_EVENTS: usize = 200_000;

/// The most bytes that a stored segment may have.
pub const MAX_SEGMENT_BYTES: usize = 8 * 1024 * 1024;

/// The most bytes that a stream's own part of the header may have.
pub const MAX_PRELUDE_BYTES: usize = 4096;

const LEVEL: i32 = 3;

/// A skippable frame's magic number and length.
const SKIPPABLE_BYTES: usize = 8;

/// 0x184D2A50, as zstd writes it: the lowest byte first.
const SKIPPABLE_MAGIC: [u8; 4] = [0x50, 0x2a, 0x4d, 0x18];

/// The format's name. The version of the header is the byte behind it.
const HEADER_NAME: [u8; 7] = *b"hansard";

/// The size of the terminal stood in the middle of it, and nothing else of any stream.
const VERSION_1: u8 = 1;
/// What belongs to the stream stands at the end, behind its length.
const VERSION_2: u8 = 2;

/// A header of version 1 without the stream's name.
const FIXED_BYTES_1: usize = 73;
/// A header of version 2 without the stream's name and prelude.
const FIXED_BYTES_2: usize = 71;

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
    /// The chain before it.
    pub chain_before: ChainValue,
    /// What the stream says of itself before its first event; at most [`MAX_PRELUDE_BYTES`].
    pub prelude: Vec<u8>,
}

impl SegmentHeader {
    /// The whole skippable frame, with a header of version 2.
    #[must_use]
    pub fn to_frame(&self) -> Vec<u8> {
        let name = self.stream.name().as_bytes();
        let content = FIXED_BYTES_2 + name.len() + self.prelude.len();
        let mut frame = Vec::with_capacity(SKIPPABLE_BYTES + content);
        frame.extend_from_slice(&SKIPPABLE_MAGIC);
        frame.extend_from_slice(&u32::try_from(content).expect("a header has about 80 bytes").to_le_bytes());
        frame.extend_from_slice(&HEADER_NAME);
        frame.push(VERSION_2);
        frame.extend_from_slice(&self.recording.to_bytes());
        frame.extend_from_slice(&self.number.to_be_bytes());
        frame.extend_from_slice(&self.first_at.get().to_be_bytes());
        frame.extend_from_slice(self.chain_before.as_bytes());
        frame.push(u8::try_from(name.len()).expect("the names of streams are short"));
        frame.extend_from_slice(name);
        let prelude = u16::try_from(self.prelude.len()).expect("preludes are short");
        frame.extend_from_slice(&prelude.to_be_bytes());
        frame.extend_from_slice(&self.prelude);
        frame
    }

    /// Reads the header of a stored segment, of either version, and nothing else of it. Returns how long the skippable frame
    /// is, too.
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
            if take(&mut rest)? != HEADER_NAME {
                return Some(Err("the skippable frame is not of this format"));
            }
            let [version] = take(&mut rest)?;
            if !matches!(version, VERSION_1 | VERSION_2) {
                return Some(Err("the skippable frame is of a later version of the format"));
            }
            let recording = TerminalSessionToken::from_bytes(take(&mut rest)?);
            let number = u32::from_be_bytes(take(&mut rest)?);
            let first_at = Micros::new(u64::from_be_bytes(take(&mut rest)?));
            let mut prelude = if version == VERSION_1 { take::<4>(&mut rest)?.to_vec() } else { Vec::new() };
            let chain_before = ChainValue::from_bytes(take(&mut rest)?);
            let [name] = take(&mut rest)?;
            let Some(stream) = std::str::from_utf8(take_slice(&mut rest, name.into())?)
                .ok()
                .and_then(|name| Stream::parse(name).ok())
            else {
                return Some(Err("its stream has no name that a stream can have"));
            };
            let fixed = if version == VERSION_1 {
                if stream != Stream::Terminal {
                    return Some(Err("a header of version 1 is a terminal's"));
                }
                FIXED_BYTES_1
            } else {
                let length = u16::from_be_bytes(take(&mut rest)?);
                if usize::from(length) > MAX_PRELUDE_BYTES {
                    return Some(Err("what belongs to its stream is too long"));
                }
                prelude = take_slice(&mut rest, length.into())?.to_vec();
                FIXED_BYTES_2 + prelude.len()
            };
            if content != fixed + usize::from(name) {
                return Some(Err("its length is wrong"));
            }
            let header = Self { recording, stream, number, first_at, chain_before, prelude };
            Some(Ok((header, SKIPPABLE_BYTES + content)))
        };
        header().unwrap_or(Err("it is cut off")).map_err(|why| SegmentError::Header { why })
    }
}

/// Takes this many bytes from the front; `None` if there are fewer.
fn take<const LENGTH: usize>(rest: &mut &[u8]) -> Option<[u8; LENGTH]> {
    let (taken, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*taken)
}

fn take_slice<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(taken)
}

/// One segment as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Its header.
    pub header: SegmentHeader,
    /// The exact bytes of the object.
    pub bytes: Vec<u8>,
    /// The SHA-256 of `bytes`.
    pub sha256: ContentHash,
    /// The chain after it.
    pub chain_after: ChainValue,
    /// The time of its last event.
    pub last_at: Micros,
    /// What it holds.
    pub totals: Totals,
}

impl Segment {
    /// The segment with this header, and these bytes of its stream behind it.
    ///
    /// # Errors
    /// It would be longer than [`MAX_SEGMENT_BYTES`].
    pub fn new(
        header: SegmentHeader,
        content: &[u8],
        last_at: Micros,
        totals: Totals,
    ) -> Result<Self, SegmentError> {
        let mut bytes = header.to_frame();
        bytes.extend_from_slice(content);
        if bytes.len() > MAX_SEGMENT_BYTES {
            return Err(SegmentError::TooLong { length: bytes.len() });
        }
        let sha256 = ContentHash::of(&bytes);
        let chain_after = header.chain_before.next(header.number, bytes.len() as u64, &sha256);
        Ok(Self { header, bytes, sha256, chain_after, last_at, totals })
    }

    /// Its entry in the manifest.
    #[must_use]
    pub fn entry(&self) -> SegmentEntry {
        SegmentEntry {
            number: self.header.number,
            length: self.bytes.len() as u64,
            sha256: self.sha256,
            chain: self.chain_after,
            first_at: self.header.first_at,
            last_at: self.last_at,
        }
    }
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
    /// It is a segment of another stream than was asked for.
    #[error("the segment is of the stream {found}, not {expected}")]
    OtherStream {
        /// The stream that its header names.
        found: Stream,
        /// The stream that was asked for.
        expected: Stream,
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

/// A line is malformed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct InvalidLine {
    /// Its number, from 1; 0 for the whole.
    pub(crate) line: u64,
    pub(crate) why: &'static str,
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

    /// One zstd frame with this text.
    ///
    /// # Errors
    /// zstd fails: memory is short.
    pub fn compress(&mut self, text: &[u8]) -> Result<Vec<u8>, SegmentError> {
        self.context.compress(text).map_err(SegmentError::Compress)
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Compressor").finish_non_exhaustive()
    }
}

/// The header of a stored segment of this stream, and the text of the one zstd frame behind it.
pub(crate) fn decode_text(object: &[u8], expected: Stream) -> Result<(SegmentHeader, Vec<u8>), SegmentError> {
    if object.len() > MAX_SEGMENT_BYTES {
        return Err(SegmentError::TooLong { length: object.len() });
    }
    let (header, skip) = SegmentHeader::parse(object)?;
    if header.stream != expected {
        return Err(SegmentError::OtherStream { found: header.stream, expected });
    }
    let text = decompress(&object[skip..])?;
    Ok((header, text))
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
        decoder.window_log_max(MAX_TEXT_BYTES.next_power_of_two().ilog2())?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn header(stream: Stream, prelude: &[u8]) -> SegmentHeader {
        SegmentHeader {
            recording: TerminalSessionToken::from_bytes([1; 16]),
            stream,
            number: 3,
            first_at: Micros::new(7),
            chain_before: ChainValue::from_bytes([9; 32]),
            prelude: prelude.to_vec(),
        }
    }

    #[test]
    fn a_header_reads_back_and_stands_alone() {
        let unknown = Stream::parse("audio").unwrap();
        for (stream, prelude) in [
            (Stream::Terminal, &[0, 80, 0, 24][..]),
            (Stream::Events, &[]),
            (unknown, &[7; MAX_PRELUDE_BYTES]),
        ] {
            let header = header(stream, prelude);
            let mut object = header.to_frame();
            let length = object.len();
            object.extend_from_slice(b"whatever belongs to the stream");
            assert_eq!(SegmentHeader::parse(&object).unwrap(), (header, length));
            assert!(zstd::stream::decode_all(&object[..length]).unwrap().is_empty(), "zstd passes over it");
        }
        assert!(SegmentHeader::parse(&header(unknown, &[7; MAX_PRELUDE_BYTES + 1]).to_frame()).is_err());
    }

    #[test]
    fn a_header_of_version_1_has_the_terminals_size_as_its_prelude() {
        let new = header(Stream::Terminal, &[0, 80, 0, 24]);
        let mut old = Vec::new();
        old.extend_from_slice(&SKIPPABLE_MAGIC);
        old.extend_from_slice(&81u32.to_le_bytes());
        old.extend_from_slice(b"hansard\x01");
        old.extend_from_slice(&[1; 16]);
        old.extend_from_slice(&3u32.to_be_bytes());
        old.extend_from_slice(&7u64.to_be_bytes());
        old.extend_from_slice(&[0, 80, 0, 24]);
        old.extend_from_slice(&[9; 32]);
        old.push(8);
        old.extend_from_slice(b"terminal");
        assert_eq!(SegmentHeader::parse(&old).unwrap(), (new, 89));
        old.truncate(81);
        old.extend_from_slice(b"desktop!");
        assert!(SegmentHeader::parse(&old).is_err());
        old.truncate(80);
        old.extend_from_slice(b"\x07desktop");
        old[4] = 80;
        assert!(SegmentHeader::parse(&old).unwrap_err().to_string().contains("a terminal's"));
    }

    #[test]
    fn other_skippable_frames_are_no_header() {
        let whole = header(Stream::Terminal, &[0, 80, 0, 24]).to_frame();
        for (place, value) in
            [(0, 0x51), (4, 82), (14, b'D'), (15, 3), (76, 9), (77, b'T'), (86, 3), (85, 99)]
        {
            let mut other = whole.clone();
            other[place] = value;
            assert!(matches!(SegmentHeader::parse(&other), Err(SegmentError::Header { .. })), "byte {place}");
        }
        for length in 0..whole.len() {
            assert!(matches!(SegmentHeader::parse(&whole[..length]), Err(SegmentError::Header { .. })));
        }
    }
}
