//! Terminal events as asciicast v2 lines, and back, without a loss.
//!
//! A line is `[S.UUUUUU,"code","text"]` and a line feed. The codes are `o` output, `r` resize (`80x24`), `b` the
//! exact bytes of the output in the line above in base64, `e` that this output went to standard error, `g` a loss
//! and `l` a stated limit or a degraded mode (JSON of [`Shortfall`](crate::ledger::Shortfall)), and `x` the end (`3` for an exit
//! code, `-9` for a signal). Lines with other codes are counted and passed over.

mod decode;
mod encode;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::event::TerminalSize;
use crate::shell_words::shell_line;
use crate::start::Start;

pub(crate) use decode::decode_events;
pub use decode::{DecodedLines, decode_lines};
pub use encode::{AsciicastEncoder, Carried};

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
    /// The recorded command, where it is known, as a shell would read it.
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
        // The format demands a size, even where there is no terminal.
        let terminal = start.terminal.unwrap_or(TerminalSize::WITHOUT_TERMINAL);
        let env = [("SHELL", &start.shell), ("TERM", &start.term)];
        Self {
            version: 2,
            width: terminal.columns,
            height: terminal.rows,
            timestamp: Some(start.started_at.as_millis().div_euclid(1000)),
            command: start.command.as_ref().map(shell_line),
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

#[cfg(test)]
mod tests {
    use super::decode::parse_time;
    use super::encode::write_time;
    use super::*;
    use crate::end::ExitStatus;
    use crate::terminal::TerminalTotals;
    use crate::terminal::event::TerminalEvent;
    use crate::timestamp::Micros;

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
    fn bytes_that_are_not_text_are_kept_exactly() {
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
        assert_eq!(decoded.totals, TerminalTotals { events: 3, output_bytes: 5, gaps: 0, lost_bytes: 0 });
    }

    #[test]
    fn standard_error_is_marked_behind_its_output_and_waits_for_its_own_characters() {
        let events = [
            TerminalEvent::output(at(1), b"a\xe2\x82"),
            TerminalEvent::error_output(at(2), b"e\xc3"),
            TerminalEvent::output(at(3), b"\xac"),
            TerminalEvent::error_output(at(4), b"\xa9"),
            TerminalEvent::error_output(at(5), b"\xff"),
            TerminalEvent::output(at(6), b"\xe2"),
            TerminalEvent::error_output(at(6), b"\xf0"),
            TerminalEvent::exit(at(7), ExitStatus::Code(0)),
        ];
        let lines = lines_of(&events);
        let expected = concat!(
            "[0.000001,\"o\",\"a\"]\n",
            "[0.000002,\"o\",\"e\"]\n[0.000002,\"e\",\"\"]\n",
            "[0.000003,\"o\",\"€\"]\n",
            "[0.000004,\"o\",\"é\"]\n[0.000004,\"e\",\"\"]\n",
            "[0.000005,\"o\",\"�\"]\n[0.000005,\"b\",\"/w==\"]\n[0.000005,\"e\",\"\"]\n",
            "[0.000007,\"o\",\"�\"]\n[0.000007,\"b\",\"4g==\"]\n",
            "[0.000007,\"o\",\"�\"]\n[0.000007,\"b\",\"8A==\"]\n[0.000007,\"e\",\"\"]\n",
            "[0.000007,\"x\",\"0\"]\n",
        );
        assert_eq!(lines, expected);
        let decoded = decode_lines(lines.as_bytes()).unwrap();
        assert_eq!(decoded.events[1], TerminalEvent::error_output(at(2), "e"));
        assert_eq!(decoded.events[4], TerminalEvent::error_output(at(5), b"\xff"));
        assert_eq!(decoded.events[6], TerminalEvent::error_output(at(7), b"\xf0"));
        assert_eq!(decoded.totals, TerminalTotals { events: 8, output_bytes: 10, gaps: 0, lost_bytes: 0 });
    }

    #[test]
    fn codes_of_later_versions_are_counted_and_skipped() {
        let lines = "[1.000000,\"o\",\"a\"]\n[2.000000,\"q\",\"?\"]\n[2.000000,\"o\",\"b\"]\n";
        let decoded = decode_lines(lines.as_bytes()).unwrap();
        assert_eq!((decoded.events.len(), decoded.unknown, decoded.totals.events), (2, 1, 2));
        // What stands behind one of them does not stand right behind output.
        let parted = "[1.000000,\"o\",\"a\"]\n[1.000000,\"q\",\"?\"]\n[1.000000,\"e\",\"\"]\n";
        assert!(decode_lines(parted.as_bytes()).is_err());
        let earlier = "[2.000000,\"q\",\"?\"]\n[1.000000,\"o\",\"a\"]\n";
        assert!(decode_lines(earlier.as_bytes()).is_err());
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
    fn malformed_lines_are_refused_with_their_number() {
        let good = "[1.000000,\"o\",\"a\"]\n";
        for (line, why) in [
            ("[0.999999,\"o\",\"a\"]\n", "its time is before"),
            ("[1.0,\"o\",\"a\"]\n", "six decimal places"),
            ("[1.000000,\"r\",\"80\"]\n", "its size"),
            ("[1.000000,\"x\",\"256\"]\n", "exit code"),
            ("[1.000000,\"g\",\"{}\"]\n", "gap"),
            ("[1.000000,\"b\",\"Yg==\"]\n", "do not read as"),
            ("[1.000001,\"b\",\"YQ==\"]\n", "no output stands before"),
            ("[1.000000,\"b\",\"*\"]\n", "not base64"),
            ("[1.000001,\"e\",\"\"]\n", "no output stands before"),
            ("[1.000000,\"e\",\"a\"]\n", "has a text"),
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
