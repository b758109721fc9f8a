//! Segments: one object each, which stands alone, and which together are one asciicast file.
//!
//! An object is a skippable frame with a [`SegmentHeader`], and one zstd frame with lines of [`crate::asciicast`].

use std::io::{self, Read as _};

use crate::asciicast::{AsciicastHeader, InvalidLine, decode_events};
use crate::chain::ChainValue;
use crate::event::{TerminalEvent, TerminalSize};
use crate::ids::TerminalSessionToken;
use crate::layout::Stream;
use crate::manifest::StreamTotals;
use crate::timestamp::Micros;

/// The most bytes that a segment may have when it is decompressed.
pub const MAX_TEXT_BYTES: usize = 24 * 1024 * 1024;

/// The most events that a segment may have: a few stored bytes could say millions, and each takes memory where it is read.
pub const MAX_SEGMENT_EVENTS: usize = 200_000;

/// The most bytes that a stored segment may have.
pub const MAX_SEGMENT_BYTES: usize = 8 * 1024 * 1024;

/// A skippable frame's magic number and length.
const SKIPPABLE_BYTES: usize = 8;

/// 0x184D2A50, as zstd writes it: the lowest byte first.
const SKIPPABLE_MAGIC: [u8; 4] = [0x50, 0x2a, 0x4d, 0x18];

/// The format's name and, in its last byte, the version of the header.
const HEADER_MAGIC: &[u8; 8] = b"hansard\x01";

/// A header without the stream's name.
const FIXED_HEADER_BYTES: usize = 73;

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
/// The object is no segment, is damaged, is larger than [`MAX_TEXT_BYTES`] when it is decompressed, or has more than
/// [`MAX_SEGMENT_EVENTS`] events.
pub fn decode_segment(object: &[u8]) -> Result<DecodedSegment, SegmentError> {
    if object.len() > MAX_SEGMENT_BYTES {
        return Err(SegmentError::TooLong { length: object.len() });
    }
    let (header, skip) = SegmentHeader::parse(object)?;
    let text = decompress(&object[skip..])?;
    let lines = decode_events(&text, MAX_SEGMENT_EVENTS).map_err(SegmentError::Lines)?;
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
    use crate::cutter::Compressor;
    use crate::cutter::tests::cutter;

    /// A segment of this compressed frame, with a header that fits.
    fn with_frame(frame: &[u8]) -> Vec<u8> {
        let mut cutter = cutter();
        cutter.push_output(Micros::new(1_000_000), b"a");
        let whole = cutter.cut(&mut Compressor::new().unwrap()).unwrap().unwrap().bytes;
        let (header, length) = SegmentHeader::parse(&whole).unwrap();
        assert_eq!(header.to_frame(), whole[..length]);
        [&whole[..length], frame].concat()
    }

    #[test]
    fn bombs_and_strange_frames_are_refused() {
        let bomb = zstd::bulk::compress(&vec![b'\n'; MAX_TEXT_BYTES + 1], 3).unwrap();
        let good = zstd::bulk::compress(b"[1.000000,\"o\",\"a\"]\n", 3).unwrap();
        for (frame, why) in [
            (bomb, "holds more than"),
            ([good.clone(), good.clone()].concat(), "bytes stand behind it"),
            (b"".to_vec(), "frame"),
            (b"not zstd".to_vec(), "frame"),
            (good[..good.len() - 1].to_vec(), "frame"),
            (zstd::bulk::compress(b"", 3).unwrap(), "time of the first event"),
            (good, "no asciicast header"),
        ] {
            let error = decode_segment(&with_frame(&frame)).unwrap_err().to_string();
            assert!(error.contains(why), "{why}: {error}");
        }
        assert!(matches!(decode_segment(&vec![0; MAX_SEGMENT_BYTES + 1]), Err(SegmentError::TooLong { .. })));
    }

    #[test]
    fn a_segment_has_so_many_events_and_no_more() {
        let header = "{\"version\":2,\"width\":80,\"height\":24}\n";
        for (events, fits) in [(MAX_SEGMENT_EVENTS, true), (MAX_SEGMENT_EVENTS + 1, false)] {
            let lines = format!("{header}{}", "[1.000000,\"o\",\"\"]\n".repeat(events));
            let decoded = decode_segment(&with_frame(&zstd::bulk::compress(lines.as_bytes(), 3).unwrap()));
            assert_eq!(decoded.is_ok(), fits);
            if let Err(error) = decoded {
                let SegmentError::Lines(line) = error else { panic!("{error}") };
                assert!(line.to_string().contains("more events"), "{line}");
            }
        }
    }

    #[test]
    fn other_skippable_frames_are_no_header() {
        let whole = with_frame(b"");
        for (place, value) in [(0, 0x51), (4, 82), (15, 2), (80, 9), (81, b'T')] {
            let mut other = whole.clone();
            other[place] = value;
            assert!(matches!(SegmentHeader::parse(&other), Err(SegmentError::Header { .. })), "byte {place}");
        }
        for length in 0..whole.len() {
            assert!(matches!(SegmentHeader::parse(&whole[..length]), Err(SegmentError::Header { .. })));
        }
    }
}
