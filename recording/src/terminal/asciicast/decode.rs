//! Lines as events.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::AsciicastHeader;
use crate::end::ExitStatus;
use crate::ledger::Shortfall;
use crate::segment::InvalidLine;
use crate::terminal::TerminalTotals;
use crate::terminal::event::{TerminalEvent, TerminalEventKind, TerminalSize};
use crate::timestamp::Micros;

/// What lines hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DecodedLines {
    /// The header, when the first line is one.
    pub header: Option<AsciicastHeader>,
    /// The events in their order.
    pub events: Vec<TerminalEvent>,
    /// The times of the first and the last line, whatever their codes.
    pub times: Option<(Micros, Micros)>,
    /// What there is, counted.
    pub totals: TerminalTotals,
    /// How many lines were passed over because this reader does not know their code. The totals leave them out.
    pub unknown: u64,
}

#[derive(Deserialize)]
struct EventLine<'a>(
    #[serde(borrow)] &'a RawValue,
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Cow<'a, str>,
);

/// Reads lines as [`AsciicastEncoder`](super::AsciicastEncoder) writes them; exact bytes (`b`) replace the output before them, and a mark (`e`)
/// makes it standard error's. Lines with a code that is not known are passed over.
///
/// # Errors
/// A line is something else, its time is before that of the line above it, exact bytes do not read as the output
/// before them, or a mark stands behind something else than output of its time.
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
    let mut above = Above::Other;
    let mut latest = Micros::ZERO;
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
        let EventLine(at, code, text) =
            serde_json::from_slice(line).map_err(|_| invalid("it is not [time, code, text]"))?;
        let at =
            parse_time(at.get()).ok_or_else(|| invalid("its time is not seconds with six decimal places"))?;
        if at < latest {
            return Err(invalid("its time is before that of the line above"));
        }
        latest = at;
        decoded.times = Some((decoded.times.map_or(at, |(first, _)| first), at));
        let last = decoded.events.last_mut().filter(|last| last.at == at);
        above = match &*code {
            "b" => {
                let shown = last.filter(|_| above == Above::Output);
                replace_by_exact(shown, &text).map_err(invalid)?;
                Above::Exact
            }
            "e" => {
                let shown = last.filter(|_| matches!(above, Above::Output | Above::Exact));
                turn_to_error_output(shown, &text).map_err(invalid)?;
                Above::Other
            }
            code => {
                if let Some(kind) = parse_kind(code, text).map_err(invalid)? {
                    if decoded.events.len() == most {
                        return Err(invalid("there are more events than a segment may have"));
                    }
                    decoded.events.push(TerminalEvent { at, kind });
                } else {
                    decoded.unknown += 1;
                }
                if code == "o" { Above::Output } else { Above::Other }
            }
        };
    }
    decoded.totals = count(&decoded.events);
    Ok(decoded)
}

/// What the line above is, for the codes that say more about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Above {
    Output,
    Exact,
    Other,
}

/// The event of a line by itself; `None` when its code is not known.
fn parse_kind(code: &str, text: Cow<'_, str>) -> Result<Option<TerminalEventKind>, &'static str> {
    match code {
        "o" => Ok(TerminalEventKind::Output(text.into_owned().into_bytes())),
        "r" => text
            .split_once('x')
            .and_then(|(columns, rows)| {
                Some(TerminalSize { columns: columns.parse().ok()?, rows: rows.parse().ok()? })
            })
            .map(TerminalEventKind::Resize)
            .ok_or("its size is not columns, x and lines"),
        "g" => serde_json::from_str::<Shortfall>(&text)
            .ok()
            .filter(|shortfall| shortfall.kind.is_loss())
            .map(TerminalEventKind::Shortfall)
            .ok_or("its text is not the JSON of a gap"),
        // What is no loss must not hide one.
        "l" => serde_json::from_str::<Shortfall>(&text)
            .ok()
            .filter(|shortfall| !shortfall.kind.is_loss())
            .map(TerminalEventKind::Shortfall)
            .ok_or("its text is not the JSON of a stated limit or a degraded mode"),
        "x" => match text.strip_prefix('-') {
            Some(signal) => signal.parse().map(ExitStatus::Signal),
            None => text.parse().map(ExitStatus::Code),
        }
        .map(TerminalEventKind::Exit)
        .map_err(|_| "its text is neither an exit code nor a signal"),
        _ => return Ok(None),
    }
    .map(Some)
}

fn turn_to_error_output(last: Option<&mut TerminalEvent>, text: &str) -> Result<(), &'static str> {
    if !text.is_empty() {
        return Err("it marks standard error, and has a text");
    }
    let Some(TerminalEvent { kind, .. }) = last else {
        return Err("it marks standard error, but no output stands before it at the same time");
    };
    if let TerminalEventKind::Output(shown) = kind {
        *kind = TerminalEventKind::ErrorOutput(std::mem::take(shown));
    }
    Ok(())
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
pub(super) fn parse_time(text: &str) -> Option<Micros> {
    let (seconds, microseconds) = text.split_once('.')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if microseconds.len() != 6 || !digits(seconds) || !digits(microseconds) {
        return None;
    }
    let seconds: u64 = seconds.parse().ok()?;
    let time = Micros::new(seconds.checked_mul(1_000_000)?.checked_add(microseconds.parse().ok()?)?);
    (time <= Micros::LATEST).then_some(time)
}

fn count(events: &[TerminalEvent]) -> TerminalTotals {
    let mut totals = TerminalTotals::default();
    for event in events {
        totals.events += u64::from(event.kind.counts());
        match &event.kind {
            TerminalEventKind::Output(bytes) | TerminalEventKind::ErrorOutput(bytes) => {
                totals.output_bytes += bytes.len() as u64;
            }
            TerminalEventKind::Shortfall(shortfall) if shortfall.kind.is_loss() => {
                totals.gaps += 1;
                totals.lost_bytes = totals.lost_bytes.saturating_add(shortfall.lost_bytes);
            }
            TerminalEventKind::Shortfall(_) => {}
            TerminalEventKind::Resize(_) | TerminalEventKind::Exit(_) => {}
        }
    }
    totals
}
