//! Events as lines.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::end::ExitStatus;
use crate::terminal::TerminalTotals;
use crate::terminal::event::{TerminalEvent, TerminalEventKind};
use crate::timestamp::Micros;

/// Writes events as lines. It holds back a character of UTF-8 that is not whole yet until the next output; the bytes
/// then stand in that output's line, at that output's time.
#[derive(Debug, Default)]
pub struct AsciicastEncoder {
    carried: Carried,
    last_at: Micros,
    totals: TerminalTotals,
}

/// The beginnings of characters that are held back: of each output at most one, of at most three bytes.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Carried {
    /// Of the terminal's or the standard output.
    pub output: Vec<u8>,
    /// Of a standard error that is no terminal.
    pub error_output: Vec<u8>,
}

/// Where output went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Output,
    ErrorOutput,
}

impl Carried {
    fn of(&mut self, way: Way) -> &mut Vec<u8> {
        match way {
            Way::Output => &mut self.output,
            Way::ErrorOutput => &mut self.error_output,
        }
    }
}

impl AsciicastEncoder {
    /// An encoder that goes on where another stopped: with the bytes that it held back, and the time of the last
    /// event it took.
    #[must_use]
    pub fn resume(carried: Carried, last_at: Micros) -> Self {
        Self { carried, last_at, totals: TerminalTotals::default() }
    }

    /// The bytes held back.
    #[must_use]
    pub fn carried(&self) -> &Carried {
        &self.carried
    }

    /// The time of the last event that was taken.
    #[must_use]
    pub fn last_at(&self) -> Micros {
        self.last_at
    }

    /// What was written since [`AsciicastEncoder::forget_totals`], counted. Bytes held back are not written yet.
    #[must_use]
    pub fn totals(&self) -> TerminalTotals {
        self.totals
    }

    /// Counts from here on.
    pub fn forget_totals(&mut self) {
        self.totals = TerminalTotals::default();
    }

    /// Appends the lines of one event. A time before the last event's counts as the last event's.
    ///
    /// A loss and an exit first give up waiting for the rest of a character; a resize and a limit do not.
    pub fn event(&mut self, event: &TerminalEvent, lines: &mut Vec<u8>) {
        match &event.kind {
            TerminalEventKind::Output(bytes) => self.output(event.at, bytes, lines),
            TerminalEventKind::ErrorOutput(bytes) => self.error_output(event.at, bytes, lines),
            TerminalEventKind::Resize(size) => {
                let at = self.advance(event.at);
                self.line(at, b'r', &size.to_string(), lines);
            }
            TerminalEventKind::Shortfall(shortfall) => {
                let is_loss = shortfall.kind.is_loss();
                if is_loss {
                    self.flush(event.at, lines);
                }
                let at = self.advance(event.at);
                let text = serde_json::to_string(&shortfall.written_at(at))
                    .expect("a shortfall has text keys and values that print");
                if is_loss {
                    self.totals.gaps += 1;
                    self.totals.lost_bytes = self.totals.lost_bytes.saturating_add(shortfall.lost_bytes);
                    self.line(at, b'g', &text, lines);
                } else {
                    // No event: readers that do not know the code count none.
                    write_line(at, b'l', &text, lines);
                }
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
        self.shown(Way::Output, at, bytes, lines);
    }

    /// Appends the lines of output to a standard error that is no terminal.
    pub fn error_output(&mut self, at: Micros, bytes: &[u8], lines: &mut Vec<u8>) {
        self.shown(Way::ErrorOutput, at, bytes, lines);
    }

    fn shown(&mut self, way: Way, at: Micros, bytes: &[u8], lines: &mut Vec<u8>) {
        let at = self.advance(at);
        let joined;
        let carried = self.carried.of(way);
        let bytes = if carried.is_empty() {
            bytes
        } else {
            let mut whole = std::mem::take(carried);
            whole.extend_from_slice(bytes);
            joined = whole;
            &joined
        };
        let (text, bytes) = match std::str::from_utf8(bytes) {
            Ok(text) => (Some(text), bytes),
            Err(_) => {
                let (whole, begun) = bytes.split_at(bytes.len() - begun_character(bytes));
                carried.extend_from_slice(begun);
                (std::str::from_utf8(whole).ok(), whole)
            }
        };
        match text {
            Some("") => {}
            Some(text) => {
                self.output_line(at, text, bytes.len(), lines);
                mark(way, at, lines);
            }
            None => self.inexact(way, at, bytes, lines),
        }
    }

    /// Appends the bytes held back as they are: nothing will complete them any more.
    pub fn flush(&mut self, at: Micros, lines: &mut Vec<u8>) {
        for way in [Way::Output, Way::ErrorOutput] {
            let begun = std::mem::take(self.carried.of(way));
            if !begun.is_empty() {
                let at = self.advance(at);
                self.inexact(way, at, &begun, lines);
            }
        }
    }

    fn advance(&mut self, at: Micros) -> Micros {
        self.last_at = self.last_at.max(at).min(Micros::LATEST);
        self.last_at
    }

    fn inexact(&mut self, way: Way, at: Micros, bytes: &[u8], lines: &mut Vec<u8>) {
        self.output_line(at, &String::from_utf8_lossy(bytes), bytes.len(), lines);
        write_line(at, b'b', &STANDARD.encode(bytes), lines);
        mark(way, at, lines);
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

/// Says of the output above that it went to standard error.
fn mark(way: Way, at: Micros, lines: &mut Vec<u8>) {
    if way == Way::ErrorOutput {
        write_line(at, b'e', "", lines);
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
pub(super) fn write_time(at: Micros, lines: &mut Vec<u8>) {
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
