//! Cutting a stream's events into segments.

use serde::{Deserialize, Serialize};

use crate::chain::ChainValue;
use crate::filling::{CutPolicy, Filling};
use crate::ids::TerminalSessionToken;
use crate::ledger::{Shortfall, StreamLedger};
use crate::manifest::{SegmentEntry, StreamEntry};
use crate::segment::{Compressor, MAX_SEGMENT_EVENTS, Segment, SegmentError, SegmentHeader};
use crate::spool::{BadRecord, RecordKind, SpoolRecord};
use crate::start::Start;
use crate::stream::Stream;
use crate::terminal::TerminalTotals;
use crate::terminal::asciicast::{AsciicastEncoder, AsciicastHeader, Carried};
use crate::terminal::event::{TerminalEvent, TerminalEventKind, TerminalSize};
use crate::terminal::segment::prelude;
use crate::timestamp::Micros;

/// A segment is full with so many events. One record more, and what waits for the rest of a character at the end, still fit.
const FULL_EVENTS: usize = MAX_SEGMENT_EVENTS - 8;

/// Where a stream stands after a cut: what is needed to go on in another process. Keep it with the offset in the
/// spool of the last event that was pushed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutterState {
    /// Which recording.
    pub recording: TerminalSessionToken,
    /// Which stream.
    pub stream: Stream,
    /// The number of the next segment.
    pub next_number: u32,
    /// The chain after the last segment.
    pub chain: ChainValue,
    /// The size of the terminal; `None` where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal: Option<TerminalSize>,
    /// The time of the last event.
    pub last_at: Micros,
    /// The beginning of a character that the last event did not complete: at most three bytes. They will stand in
    /// the next segment.
    pub carried: Vec<u8>,
    /// The same of a standard error that is no terminal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub carried_error_output: Vec<u8>,
    /// What all segments so far hold together.
    pub totals: TerminalTotals,
    /// What all segments so far lack. Versions without a ledger kept none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<StreamLedger>,
}

/// Cuts a terminal's events into segments.
#[derive(Debug)]
pub struct SegmentCutter {
    /// Where the stream stood after the last cut.
    state: CutterState,
    /// Stands before the first segment's lines, until that segment is cut.
    header: Option<AsciicastHeader>,
    encoder: AsciicastEncoder,
    terminal: Option<TerminalSize>,
    /// `None` when a version without a ledger noted gaps before: the recording then has no ledger to its end.
    ledger: Option<StreamLedger>,
    filling: Filling,
}

impl SegmentCutter {
    /// A cutter for a new recording with these exact bytes of `start.json`.
    #[must_use]
    pub fn new(start: &Start, start_document: &[u8], policy: CutPolicy) -> Self {
        let state = CutterState {
            recording: start.recording.clone(),
            stream: Stream::Terminal,
            next_number: 0,
            chain: ChainValue::first(start_document, Stream::Terminal),
            terminal: start.terminal,
            last_at: Micros::ZERO,
            carried: Vec::new(),
            carried_error_output: Vec::new(),
            totals: TerminalTotals::default(),
            ledger: Some(StreamLedger::default()),
        };
        Self { header: Some(AsciicastHeader::of(start)), ..Self::resume(state, policy) }
    }

    /// A cutter that goes on after a cut. (Before the first cut there is nothing to resume: make a new one.)
    #[must_use]
    pub fn resume(state: CutterState, policy: CutPolicy) -> Self {
        Self {
            header: None,
            encoder: AsciicastEncoder::resume(state.carried(), state.last_at),
            terminal: state.terminal,
            ledger: state.ledger.clone().or_else(|| (state.totals.gaps == 0).then(StreamLedger::default)),
            filling: Filling::new(policy, state.next_number, FULL_EVENTS),
            state,
        }
    }

    /// Takes one event. A time before the last event's counts as the last event's.
    ///
    /// One event's output should be no longer than [`crate::spool::MAX_PAYLOAD_BYTES`], so that no segment grows
    /// beyond [`crate::segment::MAX_SEGMENT_BYTES`].
    pub fn push(&mut self, event: &TerminalEvent) {
        let payload_bytes = match &event.kind {
            TerminalEventKind::Output(bytes) => return self.push_output(event.at, bytes),
            TerminalEventKind::ErrorOutput(bytes) => return self.push_error_output(event.at, bytes),
            TerminalEventKind::Resize(size) => {
                self.terminal = Some(*size);
                4
            }
            TerminalEventKind::Shortfall(shortfall) => return self.push_shortfall(event.at, shortfall),
            TerminalEventKind::Exit(_) => 2,
        };
        let before = self.filling.lines.len();
        self.encoder.event(event, &mut self.filling.lines);
        self.note(before, payload_bytes);
    }

    /// Takes a shortfall. What happened so far of a recording that has no ledger cannot be listed any more, so that its lines go
    /// on without causes, and without what is no loss.
    pub fn push_shortfall(&mut self, at: Micros, shortfall: &Shortfall) {
        let without_cause;
        let shortfall = match &self.ledger {
            Some(_) => shortfall,
            None => {
                let Some(gap) = shortfall.without_cause() else { return };
                without_cause = gap;
                &without_cause
            }
        };
        let before = self.filling.lines.len();
        let event = TerminalEvent::shortfall(at, shortfall.clone());
        self.encoder.event(&event, &mut self.filling.lines);
        if let Some(ledger) = &mut self.ledger {
            ledger.add(self.encoder.last_at(), shortfall);
        }
        self.note(before, 8 + shortfall.reason.len());
    }

    /// Takes output: the fast path of [`SegmentCutter::push`].
    pub fn push_output(&mut self, at: Micros, bytes: &[u8]) {
        let before = self.filling.lines.len();
        self.encoder.output(at, bytes, &mut self.filling.lines);
        self.note(before, bytes.len());
    }

    /// Takes output to a standard error that is no terminal: the fast path of [`SegmentCutter::push`].
    pub fn push_error_output(&mut self, at: Micros, bytes: &[u8]) {
        let before = self.filling.lines.len();
        self.encoder.error_output(at, bytes, &mut self.filling.lines);
        self.note(before, bytes.len());
    }

    /// Takes one record of the spool.
    ///
    /// # Errors
    /// The record is not a terminal's.
    pub fn push_record(&mut self, record: &SpoolRecord<'_>) -> Result<(), BadRecord> {
        match record.kind {
            RecordKind::TERMINAL_OUTPUT if record.at <= Micros::LATEST => {
                self.push_output(record.at, record.payload);
            }
            RecordKind::ERROR_OUTPUT if record.at <= Micros::LATEST => {
                self.push_error_output(record.at, record.payload);
            }
            _ => self.push(&record.terminal_event()?),
        }
        Ok(())
    }

    fn note(&mut self, lines_before: usize, payload_bytes: usize) {
        // With what a character that was not whole before may have added.
        self.filling.count(payload_bytes, 2);
        if self.filling.lines.len() > lines_before {
            self.filling.note_time(self.encoder.last_at());
        }
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

    /// Cuts a segment from what was pushed since the last cut; `None` when there is nothing. A character that is not
    /// whole yet is kept back for the next segment.
    ///
    /// # Errors
    /// zstd fails: memory is short. Nothing is lost; the cut can be tried again.
    pub fn cut(&mut self, compressor: &mut Compressor) -> Result<Option<Segment>, SegmentError> {
        let Some((first_at, last_at)) = self.filling.times() else { return Ok(None) };
        let header = SegmentHeader {
            recording: self.state.recording.clone(),
            stream: self.state.stream,
            number: self.state.next_number,
            first_at,
            chain_before: self.state.chain,
            prelude: prelude(self.state.terminal),
        };
        let compressed = match &self.header {
            Some(header) => compressor.compress(&[header.to_line().as_slice(), &self.filling.lines].concat()),
            None => compressor.compress(&self.filling.lines),
        }?;
        let totals = self.encoder.totals();
        let segment = Segment::new(header, &compressed, last_at, totals.to_totals())?;
        self.encoder.forget_totals();
        self.state = CutterState {
            recording: self.state.recording.clone(),
            stream: self.state.stream,
            next_number: self.state.next_number + 1,
            chain: segment.chain_after,
            terminal: self.terminal,
            last_at: self.encoder.last_at(),
            carried: self.encoder.carried().output.clone(),
            carried_error_output: self.encoder.carried().error_output.clone(),
            totals: self.state.totals.plus(totals),
            ledger: self.ledger.clone(),
        };
        self.header = None;
        self.filling.begin_next();
        Ok(Some(segment))
    }

    /// Cuts the last segment: as [`SegmentCutter::cut`], but nothing is kept back.
    ///
    /// # Errors
    /// As for [`SegmentCutter::cut`].
    pub fn finish(&mut self, compressor: &mut Compressor) -> Result<Option<Segment>, SegmentError> {
        let before = self.filling.lines.len();
        self.encoder.flush(self.encoder.last_at(), &mut self.filling.lines);
        self.note(before, 0);
        self.cut(compressor)
    }

    /// Where the stream stood after the last cut.
    #[must_use]
    pub fn state(&self) -> &CutterState {
        &self.state
    }

    /// The stream's entry in the manifest, from the entries of all its segments. Ask after
    /// [`SegmentCutter::finish`].
    #[must_use]
    pub fn stream_entry(&self, segments: Vec<SegmentEntry>) -> StreamEntry {
        self.state.stream_entry(segments)
    }
}

impl CutterState {
    fn carried(&self) -> Carried {
        Carried { output: self.carried.clone(), error_output: self.carried_error_output.clone() }
    }

    /// The stream's entry in the manifest, from the entries of all its segments.
    #[must_use]
    pub fn stream_entry(&self, segments: Vec<SegmentEntry>) -> StreamEntry {
        StreamEntry {
            stream: self.stream,
            segments,
            final_chain: self.chain,
            totals: self.totals.to_totals(),
            ledger: self.ledger.clone(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::end::ExitStatus;
    use crate::filling::FULL_LINES_BYTES;
    use crate::ids::{AccountId, AgentId, InstanceId};
    use crate::kind::CaptureKind;
    use crate::sealing::SealingKey;
    use crate::spool::RECORD_HEADER_BYTES;
    use crate::start::{DocumentFormat, Recorder};
    use crate::terminal::segment::decode_segment;
    use crate::timestamp::Timestamp;

    pub(crate) fn start() -> Start {
        Start {
            format: DocumentFormat::V1,
            recording: TerminalSessionToken::from_bytes([1; 16]),
            kind: CaptureKind::Terminal,
            account: AccountId::parse("1000000000000000").unwrap(),
            instance: InstanceId::parse("i-a").unwrap(),
            agent: AgentId::generate(),
            agent_sealing_key: SealingKey::generate().public_key(),
            agent_recording_number: 1,
            previous_manifest: None,
            configuration_revision: 0,
            recorder: Recorder::SameUser,
            notes: vec![],
            failure_policy: None,
            delivery_mode: None,
            started_at: Timestamp::from_millis(0),
            terminal: Some(TerminalSize { columns: 80, rows: 24 }),
            command: None,
            claimed_user: None,
            term: None,
            shell: None,
            agent_version: None,
        }
    }

    pub(crate) fn cutter() -> SegmentCutter {
        let start = start();
        SegmentCutter::new(&start, &start.to_document(), CutPolicy::default())
    }

    fn seconds(seconds: u64) -> Micros {
        Micros::new(seconds * 1_000_000)
    }

    #[test]
    fn a_segment_is_due_when_it_is_old_or_full_and_never_while_idle() {
        let mut compressor = Compressor::new().unwrap();
        let mut cutter = cutter();
        assert!(!cutter.due(seconds(1000)) && cutter.due_at().is_none());
        assert!(cutter.cut(&mut compressor).unwrap().is_none());

        cutter.push_output(seconds(100), b"first");
        assert_eq!(cutter.due_at(), Some(seconds(105)));
        assert!(!cutter.due(Micros::new(104_999_999)) && cutter.due(seconds(105)));
        let first = cutter.cut(&mut compressor).unwrap().unwrap();
        assert_eq!(
            (first.header.number, first.header.first_at, first.last_at),
            (0, seconds(100), seconds(100))
        );
        assert!(!cutter.due(seconds(1000)));

        cutter.push_output(seconds(200), b"second");
        cutter.push_output(seconds(214), b"second");
        assert_eq!(cutter.due_at(), Some(seconds(215)));
        let room = 1024 * 1024 - 2 * (RECORD_HEADER_BYTES + 6) - RECORD_HEADER_BYTES;
        cutter.push_output(seconds(214), &vec![b'x'; room - 1]);
        assert!(!cutter.is_full() && !cutter.due(seconds(214)));
        cutter.push_output(seconds(214), b"");
        assert!(cutter.is_full() && cutter.due(seconds(214)));
        let second = cutter.cut(&mut compressor).unwrap().unwrap();
        assert_eq!((second.header.number, second.header.chain_before), (1, first.chain_after));
    }

    /// Pushes until the cutter says that it is full, and gives the segment as it is read back.
    fn filled(push: impl Fn(&mut SegmentCutter, u64)) -> crate::terminal::segment::DecodedSegment {
        let patient = CutPolicy { most_spooled_bytes: u64::MAX, ..CutPolicy::default() };
        let start = start();
        let mut cutter = SegmentCutter::new(&start, &start.to_document(), patient);
        let mut pushed = 0;
        while !cutter.is_full() {
            push(&mut cutter, pushed);
            pushed += 1;
            assert!(pushed < 1_000_000);
        }
        decode_segment(&cutter.finish(&mut Compressor::new().unwrap()).unwrap().unwrap().bytes).unwrap()
    }

    #[test]
    fn a_segment_is_full_before_it_is_too_large_to_be_read() {
        let many = filled(|cutter, number| cutter.push_output(Micros::new(number), b"x"));
        assert!(many.events.len() > MAX_SEGMENT_EVENTS / 3);
        let large = filled(|cutter, number| cutter.push_output(Micros::new(number), &vec![1; 1024 * 1024]));
        assert!(large.text.len() > FULL_LINES_BYTES);
        let exact = filled(|cutter, number| {
            cutter.push_output(Micros::new(number), &[[0x80; 1024], [1; 1024]].concat());
        });
        assert!(exact.text.len() > FULL_LINES_BYTES);
    }

    #[test]
    fn everything_that_is_pushed_is_counted() {
        let mut cutter = cutter();
        let reason = "x".repeat(crate::spool::MAX_REASON_BYTES);
        let mut pushed = 0;
        while !cutter.is_full() {
            cutter.push(&TerminalEvent::gap(seconds(1), reason.clone(), 0));
            pushed += 1;
            assert!(pushed <= 1024, "{} bytes of lines are no full segment", cutter.filling.lines.len());
        }
    }

    #[test]
    fn a_character_begun_before_a_cut_stands_in_the_next_segment() {
        let mut compressor = Compressor::new().unwrap();
        let mut cutter = cutter();
        cutter.push_output(seconds(1), b"a\xe2\x82");
        let first = cutter.cut(&mut compressor).unwrap().unwrap();
        assert_eq!(cutter.state().carried, b"\xe2\x82");
        // Nothing but the beginning of a character: nothing to cut yet.
        assert!(!cutter.due(seconds(1000)) && cutter.cut(&mut compressor).unwrap().is_none());
        let mut other = SegmentCutter::resume(cutter.state().clone(), CutPolicy::default());
        let last = other.finish(&mut compressor).unwrap().unwrap();
        cutter.push_output(seconds(2), b"\xac");
        let second = cutter.finish(&mut compressor).unwrap().unwrap();
        assert!(cutter.finish(&mut compressor).unwrap().is_none());
        let events = |segment: &Segment| decode_segment(&segment.bytes).unwrap().events;
        assert_eq!(events(&first), [TerminalEvent::output(seconds(1), "a")]);
        assert_eq!(events(&second), [TerminalEvent::output(seconds(2), "€")]);
        assert_eq!(events(&last), [TerminalEvent::output(seconds(1), b"\xe2\x82")]);
        assert_eq!(cutter.stream_entry(vec![]).totals.get("output_bytes"), 4);
    }

    #[test]
    fn random_bytes_stay_below_the_limit_of_a_segment() {
        let mut compressor = Compressor::new().unwrap();
        let mut cutter = cutter();
        let mut state = 1u64;
        let mut random = vec![0; crate::spool::MAX_PAYLOAD_BYTES];
        for byte in &mut random {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = state.to_be_bytes()[0];
        }
        // The worst: one byte less than full, and then the longest payload.
        cutter.push_output(seconds(1), &random[..1024 * 1024 - RECORD_HEADER_BYTES - 1]);
        assert!(!cutter.is_full());
        cutter.push_output(seconds(1), &random);
        let segment = cutter.cut(&mut compressor).unwrap().unwrap();
        assert!(
            segment.bytes.len() < crate::segment::MAX_SEGMENT_BYTES / 2 + 1024 * 1024,
            "{}",
            segment.bytes.len()
        );
        assert_eq!(decode_segment(&segment.bytes).unwrap().totals.to_totals(), segment.totals);
    }

    #[test]
    fn the_worst_times_stay_below_the_limit_of_a_segment() {
        let mut compressor = Compressor::new().unwrap();
        let mut cutter = cutter();
        let (mut state, mut at) = (1u64, 0);
        while !cutter.is_full() {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            at += state % 100_000_000;
            cutter.push_output(Micros::new(at), &state.to_be_bytes()[..1]);
        }
        let segment = cutter.cut(&mut compressor).unwrap().unwrap();
        assert!(segment.bytes.len() < crate::segment::MAX_SEGMENT_BYTES / 2, "{}", segment.bytes.len());
    }

    #[test]
    fn every_event_counts_as_one_record_of_the_spool() {
        let mut cutter = cutter();
        let record = |kind, payload| SpoolRecord { at: seconds(3), kind, payload };
        cutter.push_record(&record(RecordKind::TERMINAL_OUTPUT, b"a")).unwrap();
        cutter.push_record(&record(RecordKind::EXIT, &[1, 15])).unwrap();
        assert!(cutter.push_record(&record(RecordKind(200), b"")).is_err());
        let segment = cutter.finish(&mut Compressor::new().unwrap()).unwrap().unwrap();
        let decoded = decode_segment(&segment.bytes).unwrap();
        assert_eq!(decoded.events.last(), Some(&TerminalEvent::exit(seconds(3), ExitStatus::Signal(15))));
        assert_eq!(decoded.totals.events, 2);
    }
}
