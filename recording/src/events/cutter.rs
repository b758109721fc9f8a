//! Cutting the stream `events` into segments: spool records become lines, and lines become segments of one zstd frame each.

use serde::{Deserialize, Serialize};

use super::{EventLine, GAP, totals};
use crate::chain::ChainValue;
use crate::filling::{CutPolicy, Filling};
use crate::ids::TerminalSessionToken;
use crate::ledger::{Shortfall, StreamLedger};
use crate::manifest::{SegmentEntry, StreamEntry, Totals};
use crate::segment::{Compressor, MAX_SEGMENT_EVENTS, Segment, SegmentError, SegmentHeader};
use crate::spool::{BadRecord, SpoolRecord};
use crate::start::Start;
use crate::stream::Stream;
use crate::timestamp::Micros;

/// Where the stream stands after a cut: what is needed to go on in another process. Keep it with the offset in the
/// spool of the last record that was pushed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsState {
    /// Which recording.
    pub recording: TerminalSessionToken,
    /// The number of the next segment.
    pub next_number: u32,
    /// The chain after the last segment.
    pub chain: ChainValue,
    /// The time of the last event.
    pub last_at: Micros,
    /// How many events all segments so far hold.
    pub events: u64,
    /// How many of them are gaps.
    pub gaps: u64,
    /// What all segments so far lack.
    #[serde(default)]
    pub ledger: StreamLedger,
}

/// Cuts events into segments. A recording without events has no segment of this stream.
#[derive(Debug)]
pub struct EventsCutter {
    /// Where the stream stood after the last cut.
    state: EventsState,
    filling: Filling,
    gaps: u64,
    /// What everything that was pushed lacks.
    ledger: StreamLedger,
}

impl EventsCutter {
    /// A cutter for a new recording with these exact bytes of `start.json`.
    #[must_use]
    pub fn new(start: &Start, start_document: &[u8], policy: CutPolicy) -> Self {
        let state = EventsState {
            recording: start.recording.clone(),
            next_number: 0,
            chain: ChainValue::first(start_document, Stream::Events),
            last_at: Micros::ZERO,
            events: 0,
            gaps: 0,
            ledger: StreamLedger::default(),
        };
        Self::resume(state, policy)
    }

    /// A cutter that goes on after a cut.
    #[must_use]
    pub fn resume(state: EventsState, policy: CutPolicy) -> Self {
        let ledger = state.ledger.clone();
        let filling = Filling::new(policy, state.next_number, MAX_SEGMENT_EVENTS);
        Self { state, filling, gaps: 0, ledger }
    }

    /// Takes one record of the spool: an event, or a gap. A time before the last event's counts as the last event's.
    ///
    /// # Errors
    /// The record is neither, and nothing is taken.
    pub fn push_record(&mut self, record: &SpoolRecord<'_>) -> Result<EventLine, BadRecord> {
        let line = record.event_line()?;
        self.write(&line, record.payload.len());
        Ok(line)
    }

    /// Takes a shortfall behind the last record.
    pub fn push_shortfall(&mut self, at: Micros, shortfall: &Shortfall) {
        self.write(&EventLine::shortfall(at, shortfall), shortfall.reason.len() + 8);
    }

    fn write(&mut self, line: &EventLine, payload_bytes: usize) {
        let latest = self.filling.times().map_or(self.state.last_at, |(_, last)| last);
        let at = line.at.max(latest).min(Micros::LATEST);
        let line = EventLine { at, ..line.clone() };
        if let Some(shortfall) = line.as_shortfall() {
            self.ledger.add(at, &shortfall);
        }
        self.filling.lines.extend_from_slice(line.to_string().as_bytes());
        self.filling.lines.push(b'\n');
        self.filling.count(payload_bytes, 1);
        self.filling.note_time(at);
        self.gaps += u64::from(line.event == GAP);
    }

    /// Whether a segment is to be cut now: it is full or old enough. Never while there is nothing to cut.
    #[must_use]
    pub fn due(&self, now: Micros) -> bool {
        self.filling.due(now)
    }

    /// Whether a segment is to be cut before anything more is pushed.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.filling.is_full()
    }

    /// When the segment will be old enough to be cut; `None` while there is nothing to cut.
    #[must_use]
    pub fn due_at(&self) -> Option<Micros> {
        self.filling.due_at()
    }

    /// Cuts a segment from what was pushed since the last cut; `None` when there is nothing.
    ///
    /// # Errors
    /// zstd fails: memory is short. Nothing is lost; the cut can be tried again.
    pub fn cut(&mut self, compressor: &mut Compressor) -> Result<Option<Segment>, SegmentError> {
        let Some((first_at, last_at)) = self.filling.times() else { return Ok(None) };
        let header = SegmentHeader {
            recording: self.state.recording.clone(),
            stream: Stream::Events,
            number: self.state.next_number,
            first_at,
            chain_before: self.state.chain,
            prelude: Vec::new(),
        };
        let (events, gaps) = (self.filling.events() as u64, self.gaps);
        let compressed = compressor.compress(&self.filling.lines)?;
        let segment = Segment::new(header, &compressed, last_at, totals(events, gaps))?;
        self.state = EventsState {
            recording: self.state.recording.clone(),
            next_number: self.state.next_number + 1,
            chain: segment.chain_after,
            last_at,
            events: self.state.events + events,
            gaps: self.state.gaps + gaps,
            ledger: self.ledger.clone(),
        };
        self.filling.begin_next();
        self.gaps = 0;
        Ok(Some(segment))
    }

    /// Where the stream stood after the last cut.
    #[must_use]
    pub fn state(&self) -> &EventsState {
        &self.state
    }
}

impl EventsState {
    /// The stream's entry in the manifest, from the entries of all its segments.
    #[must_use]
    pub fn stream_entry(&self, segments: Vec<SegmentEntry>) -> StreamEntry {
        StreamEntry {
            stream: Stream::Events,
            segments,
            final_chain: self.chain,
            ledger: Some(self.ledger.clone()),
            totals: self.totals(),
        }
    }

    fn totals(&self) -> Totals {
        totals(self.events, self.gaps)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{decode_segment, read_lines};
    use super::*;
    use crate::spool::{RecordKind, SpoolReader, SpoolWriter};
    use crate::terminal::cutter::tests::start;

    fn cutter() -> EventsCutter {
        let start = start();
        EventsCutter::new(&start, &start.to_document(), CutPolicy::default())
    }

    fn seconds(seconds: u64) -> Micros {
        Micros::new(seconds * 1_000_000)
    }

    fn event(at: Micros) -> EventLine {
        EventLine { at, event: "shell_command".to_owned(), members: serde_json::Map::new() }
    }

    fn push(cutter: &mut EventsCutter, line: &EventLine) {
        let payload = line.to_payload().unwrap();
        let record = SpoolRecord { at: line.at, kind: RecordKind::EVENT, payload: payload.as_bytes() };
        assert_eq!(cutter.push_record(&record).unwrap().event, line.event);
    }

    #[test]
    fn a_segment_is_due_when_it_is_old_or_full_and_never_while_idle() {
        let mut compressor = Compressor::new().unwrap();
        let mut cutter = cutter();
        assert!(!cutter.due(seconds(1000)) && cutter.due_at().is_none());
        assert!(cutter.cut(&mut compressor).unwrap().is_none());
        push(&mut cutter, &event(seconds(100)));
        assert!(!cutter.due(Micros::new(104_999_999)) && cutter.due(seconds(105)));
        let first = cutter.cut(&mut compressor).unwrap().unwrap();
        push(&mut cutter, &event(seconds(200)));
        assert!(!cutter.due(Micros::new(214_999_999)) && cutter.due(seconds(215)));
        let text = "x".repeat(60_000);
        let mut pushed = 0;
        while !cutter.is_full() {
            let members = serde_json::Map::from_iter([("text".to_owned(), text.clone().into())]);
            push(&mut cutter, &EventLine { members, ..event(seconds(201)) });
            pushed += 1;
            assert!(pushed <= 18, "more than 1 MiB of records");
        }
        assert_eq!(pushed, 18);
        let second = cutter.cut(&mut compressor).unwrap().unwrap();
        assert_eq!((second.header.number, second.header.chain_before), (1, first.chain_after));
        assert_eq!(decode_segment(&second.bytes).unwrap().content.totals.events(), 19);
    }

    #[test]
    fn the_smallest_events_fill_a_segment_before_it_has_too_many() {
        let patient = CutPolicy { most_spooled_bytes: u64::MAX, ..CutPolicy::default() };
        let start = start();
        let mut cutter = EventsCutter::new(&start, &start.to_document(), patient);
        while !cutter.is_full() {
            push(&mut cutter, &EventLine { event: "a".to_owned(), ..event(seconds(1)) });
        }
        let segment = cutter.cut(&mut Compressor::new().unwrap()).unwrap().unwrap();
        let decoded = decode_segment(&segment.bytes).unwrap();
        assert_eq!(decoded.content.totals.events(), MAX_SEGMENT_EVENTS as u64);
    }

    #[test]
    fn gaps_are_events_and_counted() {
        let mut spool = SpoolWriter::new(Vec::new(), 0);
        spool.append_event(&event(seconds(2))).unwrap();
        spool.append_terminal(&crate::TerminalEvent::gap(seconds(3), "the disk is full", 7)).unwrap();
        let spool = spool.into_inner();
        let mut reader = SpoolReader::new(&spool[..], 0);
        let mut cutter = cutter();
        while let Some(record) = reader.next_record().unwrap() {
            cutter.push_record(&record).unwrap();
        }
        // It is noted later than it happened.
        cutter.push_shortfall(seconds(1), &Shortfall::unstated("the spool is damaged".to_owned(), 0));
        let segment = cutter.cut(&mut Compressor::new().unwrap()).unwrap().unwrap();
        let decoded = decode_segment(&segment.bytes).unwrap();
        let lines: Vec<_> = read_lines(&decoded.text).unwrap().map(|line| line.unwrap()).collect();
        assert_eq!(
            lines[1..],
            [
                EventLine::shortfall(seconds(3), &Shortfall::unstated("the disk is full".to_owned(), 7)),
                EventLine::shortfall(seconds(3), &Shortfall::unstated("the spool is damaged".to_owned(), 0))
            ]
        );
        assert_eq!((segment.totals.events(), segment.totals.gaps()), (3, 2));
        assert_eq!(cutter.state().stream_entry(vec![]).totals, segment.totals);
    }

    #[test]
    fn records_that_no_reader_would_take_are_refused() {
        let long =
            format!("{{\"event\":\"a\",\"text\":\"{}\"}}", "x".repeat(super::super::MAX_LINE_BYTES - 26));
        // As long as a payload may be, and too long with its time.
        assert!(long.len() <= super::super::MAX_LINE_BYTES);
        for (kind, payload) in [
            (RecordKind::EVENT, &b"{\"event\":\"Bad\"}"[..]),
            (RecordKind::EVENT, b"{}"),
            (RecordKind::EVENT, b"[]"),
            (RecordKind::EVENT, b"{\"event\":\"a\",\"at\":3}"),
            (RecordKind::EVENT, b"\xff"),
            (RecordKind::EVENT, long.as_bytes()),
            (RecordKind::TERMINAL_OUTPUT, b"{\"event\":\"a\"}"),
            (RecordKind::EXIT, &[0, 0]),
            (RecordKind::GAP, b"short"),
        ] {
            let mut cutter = cutter();
            assert!(cutter.push_record(&SpoolRecord { at: seconds(1), kind, payload }).is_err(), "{kind:?}");
            assert!(cutter.due_at().is_none());
        }
        assert!(
            SpoolWriter::new(Vec::new(), 0)
                .append_event(&EventLine { event: "B".to_owned(), ..event(seconds(1)) })
                .is_err()
        );
    }
}
