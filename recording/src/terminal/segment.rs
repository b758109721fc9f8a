//! Segments of the stream `terminal`: lines of [`crate::terminal::asciicast`] in one zstd frame. Together they are one asciicast file.

use super::TerminalTotals;
use super::asciicast::{AsciicastHeader, decode_events};
use super::event::{TerminalEvent, TerminalSize};
use crate::segment::{MAX_SEGMENT_EVENTS, SegmentError, SegmentHeader, decode_text};
use crate::stream::Stream;
use crate::timestamp::Micros;

/// The prelude of a terminal's segment: columns and rows before its first event. It is empty where there is no terminal.
pub(crate) fn prelude(terminal: Option<TerminalSize>) -> Vec<u8> {
    let size = terminal.map(|size| [size.columns.to_be_bytes(), size.rows.to_be_bytes()]);
    size.as_ref().map(|size| size.concat()).unwrap_or_default()
}

fn parse_prelude(prelude: &[u8]) -> Result<Option<TerminalSize>, SegmentError> {
    match *prelude {
        [] => Ok(None),
        [c1, c0, r1, r0] => Ok(Some(TerminalSize {
            columns: u16::from_be_bytes([c1, c0]),
            rows: u16::from_be_bytes([r1, r0]),
        })),
        _ => Err(SegmentError::Header { why: "its prelude is no size of a terminal" }),
    }
}

/// A segment, read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedSegment {
    /// Its header.
    pub header: SegmentHeader,
    /// The size of the terminal before its first event; `None` where there is no terminal.
    pub terminal: Option<TerminalSize>,
    /// Its decompressed lines: a piece of the asciicast file.
    pub text: Vec<u8>,
    /// The asciicast header, in a stream's first segment.
    pub asciicast_header: Option<AsciicastHeader>,
    /// The time of its last event.
    pub last_at: Micros,
    /// Its events.
    pub events: Vec<TerminalEvent>,
    /// What it holds, counted.
    pub totals: TerminalTotals,
    /// How many lines were passed over because this version does not know their code.
    pub unknown: u64,
}

/// Reads a stored segment of a terminal. It needs nothing but the object.
///
/// # Errors
/// The object is no such segment, is damaged, is larger than [`crate::segment::MAX_TEXT_BYTES`] when it is decompressed, or has
/// more than [`MAX_SEGMENT_EVENTS`] events.
pub fn decode_segment(object: &[u8]) -> Result<DecodedSegment, SegmentError> {
    let (header, text) = decode_text(object, Stream::Terminal)?;
    let terminal = parse_prelude(&header.prelude)?;
    let lines = decode_events(&text, MAX_SEGMENT_EVENTS).map_err(SegmentError::Lines)?;
    let disagrees = |why| Err(SegmentError::Disagrees { why });
    let Some((first_at, last_at)) = lines.times else { return disagrees("it has no event") };
    if first_at != header.first_at {
        return disagrees("the time of the first event");
    }
    match (&lines.header, header.number) {
        (Some(asciicast), 0)
            if asciicast.terminal() == terminal.unwrap_or(TerminalSize::WITHOUT_TERMINAL) => {}
        (Some(_), 0) => return disagrees("the size of the terminal"),
        (None, 0) => return disagrees("the first segment has no asciicast header"),
        (Some(_), _) => return disagrees("it is not the first segment and has an asciicast header"),
        (None, _) => {}
    }
    Ok(DecodedSegment {
        header,
        terminal,
        text,
        last_at,
        asciicast_header: lines.header,
        events: lines.events,
        totals: lines.totals,
        unknown: lines.unknown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::{Compressor, MAX_SEGMENT_BYTES, MAX_TEXT_BYTES};
    use crate::terminal::cutter::tests::cutter;

    /// A segment of this compressed frame, with a header that fits.
    fn with_frame(frame: &[u8]) -> Vec<u8> {
        let mut cutter = cutter();
        cutter.push_output(Micros::new(1_000_000), b"a");
        let whole = cutter.cut(&mut Compressor::new().unwrap()).unwrap().unwrap();
        [&whole.header.to_frame(), frame].concat()
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
            (zstd::bulk::compress(b"", 3).unwrap(), "it has no event"),
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
    fn a_prelude_is_a_size_or_nothing() {
        let size = TerminalSize { columns: 300, rows: 24 };
        for terminal in [None, Some(size)] {
            assert_eq!(parse_prelude(&prelude(terminal)).unwrap(), terminal);
        }
        assert!(parse_prelude(&[0, 80]).is_err());
    }
}
