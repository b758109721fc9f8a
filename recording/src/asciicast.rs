//! Terminal events as asciicast v2 lines, and back, without a loss.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::{TerminalEvent, TerminalSize};
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
    pub fn of(_start: &Start) -> Self {
        todo!()
    }

    /// The header's line, with its line feed.
    #[must_use]
    pub fn to_line(&self) -> Vec<u8> {
        todo!()
    }
}

/// A line that is not what this format writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not an event of this format: {why}")]
pub struct InvalidLine {
    line: u64,
    why: &'static str,
}

/// Writes events as lines. It holds back a character of UTF-8 that is not whole yet until the next output.
#[derive(Debug, Default)]
pub struct AsciicastEncoder {
    carried: Vec<u8>,
    last_at: Micros,
}

impl AsciicastEncoder {
    /// An encoder that goes on where another stopped: with the bytes that it held back, and the time of its last
    /// line.
    #[must_use]
    pub fn resume(carried: &[u8], last_at: Micros) -> Self {
        Self { carried: carried.to_vec(), last_at }
    }

    /// The bytes held back: the beginning of one character, at most three bytes.
    #[must_use]
    pub fn carried(&self) -> &[u8] {
        &self.carried
    }

    /// The time of the last event that was written.
    #[must_use]
    pub fn last_at(&self) -> Micros {
        self.last_at
    }

    /// Appends the lines of one event. A time before the last event's counts as the last event's.
    pub fn event(&mut self, _event: &TerminalEvent, _lines: &mut Vec<u8>) {
        todo!()
    }

    /// Appends the lines of output. The fast path of [`AsciicastEncoder::event`].
    pub fn output(&mut self, _at: Micros, _bytes: &[u8], _lines: &mut Vec<u8>) {
        todo!()
    }

    /// Appends the bytes held back as they are: nothing will complete them any more.
    pub fn flush(&mut self, _at: Micros, _lines: &mut Vec<u8>) {
        todo!()
    }
}

/// What lines hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DecodedLines {
    /// The header, when the first line is one.
    pub header: Option<AsciicastHeader>,
    /// The events in their order.
    pub events: Vec<TerminalEvent>,
}

/// Reads lines as [`AsciicastEncoder`] writes them; exact bytes (`b`) replace the output before them.
///
/// # Errors
/// A line is something else, or its time is before that of the line above it.
pub fn decode_lines(_text: &[u8]) -> Result<DecodedLines, InvalidLine> {
    todo!()
}

/// The size of a terminal as resize events print it: `80x24`.
impl std::fmt::Display for TerminalSize {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}x{}", self.columns, self.rows)
    }
}
