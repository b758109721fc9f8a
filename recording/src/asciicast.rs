//! Terminal events as asciicast v2 lines, and back, without a loss.
//!
//! A line is `[S.UUUUUU,"code","text"]` and a line feed. The codes are `o` output, `r` resize (`80x24`), `b` the
//! exact bytes of the output in the line above in base64, `g` a gap (JSON of [`Gap`]) and `x` the end (`3` for an exit
//! code, `-9` for a signal).

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::event::{ExitStatus, Gap, TerminalEvent, TerminalEventKind, TerminalSize};
use crate::manifest::StreamTotals;
use crate::start::Start;
use crate::timestamp::Micros;

/// The first line of an asciicast file. It stands in a stream's first segment only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AsciicastHeader {
    /// Always 2.
    pub version: u8,
    /// The terminal's columns at the start.
    pub width: u16,
    /// The terminal's lines at the start.
    pub height: u16,
    /// When the recording began, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<i64>,
    /// The recorded command, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// A title, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// `TERM` and `SHELL`, where they are known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

impl AsciicastHeader {
    /// The header of a recording with this start.
    #[must_use]
    pub fn of(start: &Start) -> Self {
        let env = [("SHELL", &start.shell), ("TERM", &start.term)];
        Self {
            version: 2,
            width: start.terminal.columns,
            height: start.terminal.rows,
            timestamp: Some(start.started_at.as_millis().div_euclid(1000)),
            command: start.command.as_ref().map(|words| words.join(" ")),
            title: None,
            env: env
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)))
                .collect(),
        }
    }

    /// The header's line, with its line feed.
    #[must_use]
    pub fn to_line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).expect("a header has text keys and values that print");
        line.push(b'\n');
        line
    }

    /// The terminal's size at the start.
    #[must_use]
    pub fn terminal(&self) -> TerminalSize {
        TerminalSize { columns: self.width, rows: self.height }
    }
}

/// The size of a terminal as resize events print it: `80x24`.
impl std::fmt::Display for TerminalSize {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}x{}", self.columns, self.rows)
    }
}

/// Writes events as lines. It holds back a character of UTF-8 that is not whole yet until the next output; the bytes
/// then stand in that output's line, at that output's time.
#[derive(Debug, Default)]
pub struct AsciicastEncoder {
    carried: Vec<u8>,
    last_at: Micros,
    totals: StreamTotals,
}

impl AsciicastEncoder {
    /// An encoder that goes on where another stopped: with the bytes that it held back, and the time of the last
    /// event it took.
    #[must_use]
    pub fn resume(carried: &[u8], last_at: Micros) -> Self {
        Self { carried: carried.to_vec(), last_at, totals: StreamTotals::default() }
    }

    /// The bytes held back: the beginning of one character, at most three bytes.
    #[must_use]
    pub fn carried(&self) -> &[u8] {
        &self.carried
    }

    /// The time of the last event that was taken.
    #[must_use]
    pub fn last_at(&self) -> Micros {
        self.last_at
    }

    /// What was written since the last time it was asked, counted. Bytes held back are not written yet.
    pub fn take_totals(&mut self) -> StreamTotals {
        std::mem::take(&mut self.totals)
    }

    /// Appends the lines of one event. A time before the last event's counts as the last event's.
    ///
    /// A gap and an exit first give up waiting for the rest of a character; a resize does not.
    pub fn event(&mut self, event: &TerminalEvent, lines: &mut Vec<u8>) {
        match &event.kind {
            TerminalEventKind::Output(bytes) => self.output(event.at, bytes, lines),
            TerminalEventKind::Resize(size) => {
                let at = self.advance(event.at);
                self.line(at, b'r', &size.to_string(), lines);
            }
            TerminalEventKind::Gap(gap) => {
                self.flush(event.at, lines);
                let at = self.advance(event.at);
                self.totals.gaps += 1;
                self.totals.lost_bytes = self.totals.lost_bytes.saturating_add(gap.lost_bytes);
                let text = serde_json::to_string(gap).expect("a gap has text keys and values that print");
                self.line(at, b'g', &text, lines);
            }
            TerminalEventKind::Exit(status) => {
                self.flush(event.at, lines);
                let at = self.advance(event.at);
                let text = match status {
                    ExitStatus::Code(code) => code.to_string(),
                    ExitStatus::Signal(signal) => format!("-{signal}"),
                };
                self.line(at, b'x', &text, lines);
            }
        }
    }

    /// Appends the lines of output: the fast path of [`AsciicastEncoder::event`].
    pub fn output(&mut self, at: Micros, bytes: &[u8], lines: &mut Vec<u8>) {
        let at = self.advance(at);
        let joined;
        let bytes = if self.carried.is_empty() {
            bytes
        } else {
            let mut whole = std::mem::take(&mut self.carried);
            whole.extend_from_slice(bytes);
            joined = whole;
            &joined
        };
        let (text, bytes) = match std::str::from_utf8(bytes) {
            Ok(text) => (Some(text), bytes),
            Err(_) => {
                let (whole, begun) = bytes.split_at(bytes.len() - begun_character(bytes));
                self.carried.extend_from_slice(begun);
                (std::str::from_utf8(whole).ok(), whole)
            }
        };
        match text {
            Some("") => {}
            Some(text) => self.output_line(at, text, bytes.len(), lines),
            None => self.inexact(at, bytes, lines),
        }
    }

    /// Appends the bytes held back as they are: nothing will complete them any more.
    pub fn flush(&mut self, at: Micros, lines: &mut Vec<u8>) {
        if !self.carried.is_empty() {
            let at = self.advance(at);
            let begun = std::mem::take(&mut self.carried);
            self.inexact(at, &begun, lines);
        }
    }

    fn advance(&mut self, at: Micros) -> Micros {
        self.last_at = self.last_at.max(at).min(Micros::LATEST);
        self.last_at
    }

    fn inexact(&mut self, at: Micros, bytes: &[u8], lines: &mut Vec<u8>) {
        self.output_line(at, &String::from_utf8_lossy(bytes), bytes.len(), lines);
        write_line(at, b'b', &STANDARD.encode(bytes), lines);
    }

    fn output_line(&mut self, at: Micros, text: &str, captured_bytes: usize, lines: &mut Vec<u8>) {
        self.totals.output_bytes += captured_bytes as u64;
        self.line(at, b'o', text, lines);
    }

    fn line(&mut self, at: Micros, code: u8, text: &str, lines: &mut Vec<u8>) {
        self.totals.events += 1;
        write_line(at, code, text, lines);
    }
}

/// How many bytes at the end are the beginning of a character that further bytes could complete: 0 to 3.
fn begun_character(bytes: &[u8]) -> usize {
    for length in 1..=bytes.len().min(3) {
        let end = &bytes[bytes.len() - length..];
        if !matches!(end[0], 0x80..=0xbf) {
            let begun = std::str::from_utf8(end).is_err_and(|error| error.error_len().is_none());
            return if begun { length } else { 0 };
        }
    }
    0
}

fn write_line(at: Micros, code: u8, text: &str, lines: &mut Vec<u8>) {
    // Room for the time, the punctuation and a few escapes: a line seldom grows the buffer twice.
    lines.reserve(text.len() + text.len() / 4 + 40);
    lines.push(b'[');
    write_time(at, lines);
    lines.extend_from_slice(&[b',', b'"', code, b'"', b',', b'"']);
    write_escaped(text.as_bytes(), lines);
    lines.extend_from_slice(b"\"]\n");
}

/// Writes `S.UUUUUU` without going through a float.
fn write_time(at: Micros, lines: &mut Vec<u8>) {
    // 2^64 has 20 digits; one more byte is the point.
    let mut text = [0; 21];
    let mut place = text.len();
    let mut rest = at.get();
    let mut digits = 0;
    // At least the six decimal places and one digit before the point.
    while digits < 7 || rest > 0 {
        if digits == 6 {
            place -= 1;
            text[place] = b'.';
        }
        place -= 1;
        text[place] = b"0123456789"[(rest % 10) as usize];
        rest /= 10;
        digits += 1;
    }
    lines.extend_from_slice(&text[place..]);
}

/// For each byte: 0 when it stands in a JSON string as it is, else the letter after the backslash (`u` for `\u00XX`).
const ESCAPES: [u8; 256] = {
    let mut escapes = [0; 256];
    let mut byte = 0;
    while byte < 0x20 {
        escapes[byte] = b'u';
        byte += 1;
    }
    escapes[0x08] = b'b';
    escapes[b'\t' as usize] = b't';
    escapes[b'\n' as usize] = b'n';
    escapes[0x0c] = b'f';
    escapes[b'\r' as usize] = b'r';
    escapes[b'"' as usize] = b'"';
    escapes[b'\\' as usize] = b'\\';
    escapes
};

/// Writes valid UTF-8 as the inside of a JSON string. Every byte of every recording passes here.
fn write_escaped(text: &[u8], lines: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut rest = text;
    while let Some(plain) = rest.iter().position(|byte| ESCAPES[usize::from(*byte)] != 0) {
        lines.extend_from_slice(&rest[..plain]);
        let byte = rest[plain];
        match ESCAPES[usize::from(byte)] {
            b'u' => {
                let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
                lines.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
            letter => lines.extend_from_slice(&[b'\\', letter]),
        }
        rest = &rest[plain + 1..];
    }
    lines.extend_from_slice(rest);
}

/// A line that is not what this format writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct InvalidLine {
    line: u64,
    why: &'static str,
}

/// What lines hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DecodedLines {
    /// The header, when the first line is one.
    pub header: Option<AsciicastHeader>,
    /// The events in their order.
    pub events: Vec<TerminalEvent>,
    /// What there is, counted.
    pub totals: StreamTotals,
}

#[derive(Deserialize)]
struct Line<'a>(#[serde(borrow)] &'a RawValue, #[serde(borrow)] Cow<'a, str>, #[serde(borrow)] Cow<'a, str>);

/// Reads lines as [`AsciicastEncoder`] writes them; exact bytes (`b`) replace the output before them.
///
/// # Errors
/// A line is something else, its time is before that of the line above it, or exact bytes do not read as the output
/// before them.
pub fn decode_lines(text: &[u8]) -> Result<DecodedLines, InvalidLine> {
    decode_events(text, usize::MAX)
}

/// The same, of no more than so many events.
pub(crate) fn decode_events(text: &[u8], most: usize) -> Result<DecodedLines, InvalidLine> {
    let mut decoded = DecodedLines::default();
    let Some(text) = text.strip_suffix(b"\n") else {
        return if text.is_empty() {
            Ok(decoded)
        } else {
            Err(InvalidLine { line: 0, why: "the last line is cut off" })
        };
    };
    let mut exact_may_follow = false;
    for (line, number) in text.split(|byte| *byte == b'\n').zip(1..) {
        let invalid = |why| InvalidLine { line: number, why };
        if number == 1 && line.first() == Some(&b'{') {
            let header: AsciicastHeader =
                serde_json::from_slice(line).map_err(|_| invalid("it is no asciicast header"))?;
            if header.version != 2 {
                return Err(invalid("the header is not of asciicast version 2"));
            }
            decoded.header = Some(header);
            continue;
        }
        let Line(at, code, text) =
            serde_json::from_slice(line).map_err(|_| invalid("it is not [time, code, text]"))?;
        let at =
            parse_time(at.get()).ok_or_else(|| invalid("its time is not seconds with six decimal places"))?;
        if decoded.events.last().is_some_and(|last| at < last.at) {
            return Err(invalid("its time is before that of the line above"));
        }
        if code == "b" {
            let last = decoded.events.last_mut().filter(|last| exact_may_follow && last.at == at);
            replace_by_exact(last, &text).map_err(invalid)?;
            exact_may_follow = false;
        } else {
            exact_may_follow = code == "o";
            if decoded.events.len() == most {
                return Err(invalid("there are more events than a segment may have"));
            }
            let kind = parse_kind(&code, text).map_err(invalid)?;
            decoded.events.push(TerminalEvent { at, kind });
        }
    }
    decoded.totals = count(&decoded.events);
    Ok(decoded)
}

fn parse_kind(code: &str, text: Cow<'_, str>) -> Result<TerminalEventKind, &'static str> {
    match code {
        "o" => Ok(TerminalEventKind::Output(text.into_owned().into_bytes())),
        "r" => text
            .split_once('x')
            .and_then(|(columns, rows)| {
                Some(TerminalSize { columns: columns.parse().ok()?, rows: rows.parse().ok()? })
            })
            .map(TerminalEventKind::Resize)
            .ok_or("its size is not columns, x and lines"),
        "g" => serde_json::from_str::<Gap>(&text)
            .map(TerminalEventKind::Gap)
            .map_err(|_| "its text is not the JSON of a gap"),
        "x" => match text.strip_prefix('-') {
            Some(signal) => signal.parse().map(ExitStatus::Signal),
            None => text.parse().map(ExitStatus::Code),
        }
        .map(TerminalEventKind::Exit)
        .map_err(|_| "its text is neither an exit code nor a signal"),
        _ => Err("its code is unknown"),
    }
}

/// Exact bytes must read as the output that they replace, so that every player shows what is in evidence.
fn replace_by_exact(last: Option<&mut TerminalEvent>, text: &str) -> Result<(), &'static str> {
    let Some(TerminalEvent { kind: TerminalEventKind::Output(shown), .. }) = last else {
        return Err("it has exact bytes, but no output stands before it at the same time");
    };
    let exact = STANDARD.decode(text).map_err(|_| "its exact bytes are not base64")?;
    if String::from_utf8_lossy(&exact).as_bytes() != shown {
        return Err("its exact bytes do not read as the output before it");
    }
    *shown = exact;
    Ok(())
}

/// Reads `S.UUUUUU` without going through a float.
fn parse_time(text: &str) -> Option<Micros> {
    let (seconds, microseconds) = text.split_once('.')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if microseconds.len() != 6 || !digits(seconds) || !digits(microseconds) {
        return None;
    }
    let seconds: u64 = seconds.parse().ok()?;
    let time = Micros::new(seconds.checked_mul(1_000_000)?.checked_add(microseconds.parse().ok()?)?);
    (time <= Micros::LATEST).then_some(time)
}

fn count(events: &[TerminalEvent]) -> StreamTotals {
    let mut totals = StreamTotals::default();
    for event in events {
        totals.events += 1;
        match &event.kind {
            TerminalEventKind::Output(bytes) => totals.output_bytes += bytes.len() as u64,
            TerminalEventKind::Gap(gap) => {
                totals.gaps += 1;
                totals.lost_bytes = totals.lost_bytes.saturating_add(gap.lost_bytes);
            }
            TerminalEventKind::Resize(_) | TerminalEventKind::Exit(_) => {}
        }
    }
    totals
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(events: &[TerminalEvent]) -> String {
        let mut encoder = AsciicastEncoder::default();
        let mut lines = Vec::new();
        for event in events {
            encoder.event(event, &mut lines);
        }
        encoder.flush(encoder.last_at(), &mut lines);
        String::from_utf8(lines).unwrap()
    }

    fn at(microseconds: u64) -> Micros {
        Micros::new(microseconds)
    }

    #[test]
    fn each_kind_of_event_has_its_line() {
        let events = [
            TerminalEvent::output(at(0), "a\"\\\u{8}\t\n\u{c}\r\u{1b}\u{7f}\u{0}\u{2028}€"),
            TerminalEvent::resize(at(1), TerminalSize { columns: 100, rows: 30 }),
            TerminalEvent::gap(at(1_000_000), "a \"full\" disk", 5),
            TerminalEvent::exit(at(61_000_001), ExitStatus::Code(3)),
        ];
        let expected = concat!(
            "[0.000000,\"o\",\"a\\\"\\\\\\b\\t\\n\\f\\r\\u001b\u{7f}\\u0000\u{2028}€\"]\n",
            "[0.000001,\"r\",\"100x30\"]\n",
            "[1.000000,\"g\",\"{\\\"reason\\\":\\\"a \\\\\\\"full\\\\\\\" disk\\\",\\\"lost_bytes\\\":5}\"]\n",
            "[61.000001,\"x\",\"3\"]\n",
        );
        assert_eq!(lines_of(&events), expected);
        assert_eq!(decode_lines(expected.as_bytes()).unwrap().events, events);
    }

    #[test]
    fn a_character_split_across_reads_waits_also_over_a_resize() {
        let size = TerminalSize { columns: 1, rows: 2 };
        let events = [
            TerminalEvent::output(at(1), b"a\xf0\x9d"),
            TerminalEvent::output(at(2), b"\x84"),
            TerminalEvent::resize(at(3), size),
            TerminalEvent::output(at(4), b"\x9eb"),
        ];
        assert_eq!(
            lines_of(&events),
            "[0.000001,\"o\",\"a\"]\n[0.000003,\"r\",\"1x2\"]\n[0.000004,\"o\",\"𝄞b\"]\n"
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_kept_beside_it() {
        let events = [
            TerminalEvent::output(at(7), b"a\xffb\xe2\x82"),
            TerminalEvent::exit(at(9), ExitStatus::Signal(9)),
        ];
        let lines = lines_of(&events);
        let expected = concat!(
            "[0.000007,\"o\",\"a\u{fffd}b\"]\n[0.000007,\"b\",\"Yf9i\"]\n",
            "[0.000009,\"o\",\"\u{fffd}\"]\n[0.000009,\"b\",\"4oI=\"]\n[0.000009,\"x\",\"-9\"]\n",
        );
        assert_eq!(lines, expected);
        let decoded = decode_lines(lines.as_bytes()).unwrap();
        assert_eq!(decoded.events[0], TerminalEvent::output(at(7), b"a\xffb"));
        assert_eq!(decoded.events[1], TerminalEvent::output(at(9), b"\xe2\x82"));
        assert_eq!(decoded.totals, StreamTotals { events: 3, output_bytes: 5, gaps: 0, lost_bytes: 0 });
    }

    #[test]
    fn times_are_printed_whole() {
        for (microseconds, text) in [
            (0, "0.000000"),
            (999_999, "0.999999"),
            (1_000_000, "1.000000"),
            (10_000_001, "10.000001"),
            (9_007_199_254_740_993, "9007199254.740993"),
            (Micros::LATEST.get(), "9223372036854.775807"),
        ] {
            let mut printed = Vec::new();
            write_time(at(microseconds), &mut printed);
            assert_eq!(printed, text.as_bytes());
            assert_eq!(at(microseconds).to_string(), text);
            assert_eq!(parse_time(text), Some(at(microseconds)));
        }
        for text in [
            "",
            "1",
            "1.",
            "1.0",
            "1.0000000",
            ".000000",
            "-1.000000",
            "1e3",
            "+1.000000",
            "18446744073709.551616",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    #[test]
    fn lines_that_nobody_wrote_are_refused_with_their_number() {
        let good = "[1.000000,\"o\",\"a\"]\n";
        for (line, why) in [
            ("[0.999999,\"o\",\"a\"]\n", "its time is before"),
            ("[1.0,\"o\",\"a\"]\n", "six decimal places"),
            ("[1.000000,\"q\",\"a\"]\n", "code is unknown"),
            ("[1.000000,\"r\",\"80\"]\n", "its size"),
            ("[1.000000,\"x\",\"256\"]\n", "exit code"),
            ("[1.000000,\"g\",\"{}\"]\n", "gap"),
            ("[1.000000,\"b\",\"Yg==\"]\n", "do not read as"),
            ("[1.000001,\"b\",\"YQ==\"]\n", "no output stands before"),
            ("[1.000000,\"b\",\"*\"]\n", "not base64"),
            ("[1.000000,\"o\"]\n", "not [time, code, text]"),
            ("[1.000000,\"o\",\"a\",1]\n", "not [time, code, text]"),
            ("{\"version\":2,\"width\":1,\"height\":1}\n", "not [time, code, text]"),
            ("\n", "not [time, code, text]"),
        ] {
            let error = decode_lines(format!("{good}{line}").as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with("line 2: ") && error.contains(why), "{line} {error}");
        }
        assert!(decode_lines(b"[1.000000,\"o\",\"a\"]").is_err(), "a line without its end");
        assert!(decode_lines(b"{\"version\":3,\"width\":1,\"height\":1}\n").is_err(), "another version");
    }
}
