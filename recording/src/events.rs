//! The stream `events`: what happened beside what was shown. Each line is a JSON object with the members `at` (microseconds since
//! the start) and `event` (what happened), and others that belong to the event. The segments are one zstd frame each.

pub mod cutter;
pub mod fact;

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde_json::Value;
use serde_json::map::Map;

use crate::content::walk::{CheckedContent, Content, ContentError};
use crate::end::RecordingEnd;
use crate::events::fact::Fact;
use crate::ledger::{LedgerSummary, Shortfall, StreamLedger};
use crate::manifest::Totals;
use crate::segment::{InvalidLine, MAX_SEGMENT_EVENTS, SegmentError, SegmentHeader, decode_text};
use crate::stream::Stream;
use crate::timestamp::Micros;

/// The longest line, without its line feed.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// The longest name of an event.
const MAX_NAME_BYTES: usize = 40;

/// The name of the event that stands for missing events.
const GAP: &str = "gap";

/// The name of the event that stands for a stated limit or a degraded mode.
const LIMIT: &str = "limit";

/// One line of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventLine {
    /// When, since the start of the recording.
    pub at: Micros,
    /// What: lower-case letters, digits and underscores.
    pub event: String,
    /// The event's own members.
    pub members: Map<String, Value>,
}

impl EventLine {
    /// The line of a shortfall.
    #[must_use]
    pub fn shortfall(at: Micros, shortfall: &Shortfall) -> Self {
        let event = if shortfall.kind.is_loss() { GAP } else { LIMIT };
        let members = serde_json::to_value(shortfall.written_at(at));
        let members = members.ok().and_then(|members| members.as_object().cloned()).unwrap_or_default();
        Self { at, event: event.to_owned(), members }
    }

    /// The shortfall that the line tells; `None` where it is another event.
    #[must_use]
    pub fn as_shortfall(&self) -> Option<Shortfall> {
        if !matches!(&*self.event, GAP | LIMIT) {
            return None;
        }
        let line = self.to_string();
        let checked = CheckedLine { at: self.at.get(), event: Cow::from(self.event.as_str()) };
        checked.shortfall(line.as_bytes()).ok().flatten()
    }

    /// What a spool record holds of it: the line without its time, which the record has.
    ///
    /// # Errors
    /// The line would be longer than any, or its event has no name that an event can have.
    pub fn to_payload(&self) -> Result<String, &'static str> {
        self.check()?;
        let mut object = self.members.clone();
        object.insert("event".to_owned(), Value::from(self.event.clone()));
        Ok(Value::Object(object).to_string())
    }

    /// The line of a spool record.
    pub(crate) fn of_payload(at: Micros, payload: &[u8]) -> Result<Self, &'static str> {
        if payload.len() > MAX_LINE_BYTES {
            return Err("it is longer than any line of the stream events");
        }
        let mut members: Map<String, Value> =
            serde_json::from_slice(payload).map_err(|_| "it is no JSON object")?;
        let Some(Value::String(event)) = members.remove("event") else {
            return Err("it has no event");
        };
        let line = Self { at, event, members };
        line.check()?;
        Ok(line)
    }

    /// Whether a reader takes the line.
    fn check(&self) -> Result<(), &'static str> {
        if !is_name(&self.event) {
            return Err(NO_NAME);
        }
        if self.members.contains_key("at") || self.members.contains_key("event") {
            return Err("a member of the event has a name that belongs to the line");
        }
        if (Self { at: Micros::LATEST, ..self.clone() }).to_string().len() > MAX_LINE_BYTES {
            return Err("it is longer than any line of the stream events");
        }
        Ok(())
    }
}

const NO_NAME: &str = "its event is no name of lower-case letters, digits and underscores";

fn is_name(event: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&event.len())
        && event.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

/// The line, without its line feed.
impl fmt::Display for EventLine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = Map::from_iter([
            ("at".to_owned(), Value::from(self.at.get())),
            ("event".to_owned(), Value::from(self.event.clone())),
        ]);
        line.extend(self.members.clone());
        write!(formatter, "{}", Value::Object(line))
    }
}

/// The checked members of a line: others are skipped without being kept, so that a segment takes no more memory than
/// its text.
#[derive(Deserialize)]
struct CheckedLine<'a> {
    at: u64,
    #[serde(borrow)]
    event: Cow<'a, str>,
}

impl CheckedLine<'_> {
    /// The shortfall of the line; `None` when it is another event. A gap of a recorder that knew no ledger may say anything.
    fn shortfall(&self, line: &[u8]) -> Result<Option<Shortfall>, &'static str> {
        if !matches!(&*self.event, GAP | LIMIT) {
            return Ok(None);
        }
        let members: Map<String, Value> =
            serde_json::from_slice(line).map_err(|_| "it is no JSON object with at and event")?;
        let is_stated = members.contains_key("kind") || members.contains_key("cause");
        let text = |name| members.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let number = |name| members.get(name).and_then(Value::as_u64).unwrap_or_default();
        if self.event == GAP && !is_stated {
            let gap = Shortfall::unstated(text("reason"), number("lost_bytes"));
            return Ok(Some(gap.with_lost_events(number("lost_events"))));
        }
        serde_json::from_value::<Shortfall>(Value::Object(members))
            .ok()
            .filter(|shortfall| shortfall.kind.is_loss() == (self.event == GAP))
            .map(Some)
            .ok_or("its members are no gap, or no limit")
    }
}

/// The lines of a text, one after the other, each checked.
struct Lines<'a> {
    rest: Split<'a>,
    number: u64,
    latest: Micros,
}

type Split<'a> = std::slice::Split<'a, u8, fn(&u8) -> bool>;

impl<'a> Lines<'a> {
    fn of(text: &'a [u8]) -> Result<Self, InvalidLine> {
        let text = match text {
            [] => text,
            _ => text.strip_suffix(b"\n").ok_or(InvalidLine { line: 0, why: "the last line is cut off" })?,
        };
        let mut rest: Split<'a> = text.split(|byte| *byte == b'\n');
        if text.is_empty() {
            // An empty text has one piece, which is not a line.
            rest.next();
        }
        Ok(Self { rest, number: 0, latest: Micros::ZERO })
    }

    fn check(&mut self, line: &'a [u8]) -> Result<CheckedLine<'a>, &'static str> {
        if self.number > MAX_SEGMENT_EVENTS as u64 {
            return Err("there are more events than a segment may have");
        }
        if line.len() > MAX_LINE_BYTES {
            return Err("it is longer than any line of this stream");
        }
        let checked: CheckedLine<'a> =
            serde_json::from_slice(line).map_err(|_| "it is no JSON object with at and event")?;
        let at = Micros::new(checked.at);
        if at < self.latest || at > Micros::LATEST {
            return Err("its time is before that of the line above, or later than any");
        }
        if !is_name(&checked.event) {
            return Err(NO_NAME);
        }
        self.latest = at;
        Ok(checked)
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<(&'a [u8], CheckedLine<'a>), InvalidLine>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.rest.next()?;
        self.number += 1;
        let checked = self.check(line).map_err(|why| InvalidLine { line: self.number, why });
        Some(checked.map(|checked| (line, checked)))
    }
}

/// Reads lines, one after the other, so that whoever reads a segment need not keep them all.
///
/// # Errors
/// The text does not end with a line feed. Each item is an error where its line is something else, or where its time is before that
/// of the line above it.
pub fn read_lines(text: &[u8]) -> Result<impl Iterator<Item = Result<EventLine, InvalidLine>>, InvalidLine> {
    let lines = Lines::of(text)?.zip(1..);
    Ok(lines.map(|(line, number)| {
        let (line, checked) = line?;
        let mut members: Map<String, Value> = serde_json::from_slice(line)
            .map_err(|_| InvalidLine { line: number, why: "it is no JSON object" })?;
        members.retain(|name, _| !matches!(name.as_str(), "at" | "event"));
        Ok(EventLine { at: Micros::new(checked.at), event: checked.event.into_owned(), members })
    }))
}

/// The counts of the lines, as in the manifest.
#[must_use]
pub fn totals_of(lines: &[EventLine]) -> Totals {
    let gaps = lines.iter().filter(|line| line.event == GAP).count();
    totals(lines.len() as u64, gaps as u64)
}

/// A segment of the stream, read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedEvents {
    /// Its header.
    pub header: SegmentHeader,
    /// Its decompressed lines, for [`read_lines`].
    pub text: Vec<u8>,
    /// What it holds.
    pub content: CheckedContent,
    /// What it lacks, with the times.
    pub shortfalls: Vec<(Micros, Shortfall)>,
}

/// Reads a stored segment of the stream.
///
/// # Errors
/// The object is not such a segment, or is damaged.
pub fn decode_segment(object: &[u8]) -> Result<DecodedEvents, SegmentError> {
    let (header, text) = decode_text(object, Stream::Events)?;
    if !header.prelude.is_empty() {
        return Err(SegmentError::Header { why: "the stream events says nothing in the header" });
    }
    let (mut times, mut events, mut gaps, mut unknown) = (None, 0, 0, 0);
    let (mut shortfalls, mut ledger) = (Vec::new(), StreamLedger::default());
    for line in Lines::of(&text).map_err(SegmentError::Lines)? {
        let (line, checked) = line.map_err(SegmentError::Lines)?;
        let at = Micros::new(checked.at);
        times = Some((times.map_or(at, |(first, _)| first), at));
        events += 1;
        gaps += u64::from(checked.event == GAP);
        let shortfall =
            checked.shortfall(line).map_err(|why| SegmentError::Lines(InvalidLine { line: events, why }))?;
        if let Some(shortfall) = shortfall {
            ledger.add(at, &shortfall);
            shortfalls.push((at, shortfall));
        } else {
            unknown += u64::from(!Fact::NAMES.contains(&checked.event.as_ref()));
        }
    }
    let Some((first_at, last_at)) = times else {
        return Err(SegmentError::Disagrees { why: "it has no event" });
    };
    if first_at != header.first_at {
        return Err(SegmentError::Disagrees { why: "the time of the first event" });
    }
    let ledger = LedgerSummary::from(&ledger);
    let content = CheckedContent { last_at, totals: totals(events, gaps), unknown, ledger };
    Ok(DecodedEvents { header, text, content, shortfalls })
}

fn totals(events: u64, gaps: u64) -> Totals {
    Totals::new([("events", events), ("gaps", gaps)])
}

/// A walk along the stream's segments. Their ledger alone passes from one to the next.
#[derive(Default)]
pub(crate) struct EventsWalk {
    ledger: StreamLedger,
}

impl Content for EventsWalk {
    fn segment(&mut self, object: &[u8]) -> Result<CheckedContent, ContentError> {
        let DecodedEvents { content, shortfalls, .. } = decode_segment(object)?;
        shortfalls.iter().for_each(|(at, shortfall)| self.ledger.add(*at, shortfall));
        Ok(content)
    }

    fn agrees_with_end(&self, _end: &RecordingEnd) -> Result<(), &'static str> {
        Ok(())
    }

    fn ledger(&self) -> &StreamLedger {
        &self.ledger
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Cause, ShortfallKind};

    fn decode_lines(text: &[u8]) -> Result<Vec<EventLine>, InvalidLine> {
        read_lines(text)?.collect()
    }

    #[test]
    fn lines_read_back_whatever_their_events_say() {
        let text = concat!(
            "{\"at\":5,\"event\":\"shell_command\",\"command\":\"ls\",\"nested\":{\"a\":[1]}}\n",
            "{\"at\":5,\"event\":\"gap\",\"lost_events\":3,\"reason\":\"the buffer was full\"}\n",
        );
        let lines = decode_lines(text.as_bytes()).unwrap();
        assert_eq!(lines[0].members["nested"]["a"][0], 1);
        assert_eq!((totals_of(&lines).events(), totals_of(&lines).gaps()), (2, 1));
        let printed: String = lines.iter().map(|line| format!("{line}\n")).collect();
        assert_eq!(decode_lines(printed.as_bytes()).unwrap(), lines);
    }

    #[test]
    fn a_shortfall_is_a_line_of_its_own_and_a_limit_cannot_hide_a_loss() {
        let at = Micros::new(7);
        for kind in ShortfallKind::ALL {
            let shortfall = Shortfall::new(kind, Cause::new("too_much"), "there was too much")
                .with_lost_events(3)
                .counted(4, Micros::new(2));
            let line = EventLine::shortfall(at, &shortfall);
            let text = format!("{line}\n");
            assert_eq!(decode_lines(text.as_bytes()).unwrap(), [line]);
            let read = |text: &str| {
                let (line, checked) = Lines::of(text.as_bytes()).unwrap().next().unwrap().unwrap();
                checked.shortfall(line)
            };
            assert_eq!(read(&text).unwrap(), Some(shortfall));
            let (is, other) = if kind.is_loss() { (GAP, LIMIT) } else { (LIMIT, GAP) };
            let swapped = text.replace(&format!("\"event\":\"{is}\""), &format!("\"event\":\"{other}\""));
            assert!(text != swapped && read(&swapped).is_err(), "{swapped}");
        }
    }

    #[test]
    fn malformed_lines_are_refused_with_their_number() {
        for (line, why) in [
            ("{\"at\":4,\"event\":\"gap\"}\n", "its time"),
            ("{\"at\":9223372036854775808,\"event\":\"gap\"}\n", "its time"),
            ("{\"at\":5}\n", "no JSON object"),
            ("{\"at\":\"5\",\"event\":\"gap\"}\n", "no JSON object"),
            ("[5,\"gap\"]\n", "no JSON object"),
            ("\n", "no JSON object"),
            ("{\"at\":5,\"event\":\"\"}\n", "no name"),
            ("{\"at\":5,\"event\":\"Gap\"}\n", "no name"),
            (
                &format!("{{\"at\":5,\"event\":\"gap\",\"more\":\"{}\"}}\n", "x".repeat(MAX_LINE_BYTES)),
                "longer than",
            ),
            (&format!("{{\"at\":5,\"event\":\"gap\",\"more\":{}}}\n", "[".repeat(300)), "no JSON object"),
        ] {
            let text = format!("{{\"at\":5,\"event\":\"gap\"}}\n{line}");
            let error = decode_lines(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with("line 2: ") && error.contains(why), "{line} {error}");
        }
        assert!(decode_lines(b"{\"at\":5,\"event\":\"gap\"}").is_err(), "a line without its end");
        assert!(decode_lines(b"").unwrap().is_empty());
    }
}
