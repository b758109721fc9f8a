//! The agent's half: makes segments of a terminal's spool records.

use agent_protocol::capture::{BadState, Pushed, Segmenter, SegmenterState};
use recording::spool::BadRecord;
use recording::{
    Compressor, CutPolicy, CutterState, Micros, RecordKind, Segment, SegmentCutter, SegmentEntry,
    SegmentError, Shortfall, ShortfallKind, SpoolRecord, Start, StreamEntry, TerminalEventKind,
};

pub(crate) struct TerminalSegmenter {
    cutter: SegmentCutter,
}

impl TerminalSegmenter {
    pub(crate) fn new(
        start: &Start,
        start_document: &[u8],
        resume: Option<CutterState>,
        policy: CutPolicy,
    ) -> Self {
        let cutter = match resume {
            Some(state) => SegmentCutter::resume(state, policy),
            None => SegmentCutter::new(start, start_document, policy),
        };
        TerminalSegmenter { cutter }
    }
}

impl Segmenter for TerminalSegmenter {
    fn push(&mut self, record: &SpoolRecord<'_>) -> Result<Pushed, BadRecord> {
        if matches!(record.kind, RecordKind::TERMINAL_OUTPUT | RecordKind::ERROR_OUTPUT) {
            self.cutter.push_record(record)?;
            return Ok(Pushed::Content);
        }
        let event = record.terminal_event()?;
        self.cutter.push(&event);
        Ok(match event.kind {
            TerminalEventKind::Output(_)
            | TerminalEventKind::ErrorOutput(_)
            | TerminalEventKind::Resize(_) => Pushed::Content,
            TerminalEventKind::Shortfall(shortfall) if shortfall.kind == ShortfallKind::Gap => {
                Pushed::Gap(shortfall.reason)
            }
            TerminalEventKind::Shortfall(_) => Pushed::Content,
            TerminalEventKind::Exit(status) => Pushed::Exit(status),
        })
    }

    fn push_shortfall(&mut self, at: Micros, shortfall: &Shortfall) {
        self.cutter.push_shortfall(at, shortfall);
    }

    fn due(&self, now: Micros) -> bool {
        self.cutter.due(now)
    }

    fn due_at(&self) -> Option<Micros> {
        self.cutter.due_at()
    }

    fn cut(&mut self, compressor: &mut Compressor) -> Result<Option<Segment>, SegmentError> {
        self.cutter.cut(compressor)
    }

    fn finish(&mut self, compressor: &mut Compressor) -> Result<Option<Segment>, SegmentError> {
        self.cutter.finish(compressor)
    }

    fn state(&self) -> Result<SegmenterState, BadState> {
        SegmenterState::of(self.cutter.state())
    }

    fn last_at(&self) -> Micros {
        self.cutter.state().last_at
    }

    fn stream_entry(&self, segments: Vec<SegmentEntry>) -> StreamEntry {
        self.cutter.stream_entry(segments)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use recording::{
        AccountId, AgentId, CaptureKind, Cause, DocumentFormat, InstanceId, Recorder, SealingKey,
        TerminalEvent, TerminalSessionToken, TerminalSize, Timestamp, decode_segment,
    };

    use super::*;

    pub(crate) fn start() -> Start {
        Start {
            format: DocumentFormat::V1,
            recording: TerminalSessionToken::generate(),
            kind: CaptureKind::Terminal,
            account: AccountId::parse("1000000000000001").unwrap(),
            instance: InstanceId::parse("i-one").unwrap(),
            agent: AgentId::generate(),
            agent_sealing_key: SealingKey::from_seed(&[1; 32]).public_key(),
            agent_recording_number: 1,
            previous_manifest: None,
            configuration_revision: 1,
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

    fn output_of(segment: &Segment) -> Vec<u8> {
        let mut output = Vec::new();
        for event in decode_segment(&segment.bytes).unwrap().events {
            if let TerminalEventKind::Output(bytes) = event.kind {
                output.extend_from_slice(&bytes);
            }
        }
        output
    }

    #[test]
    fn a_month_of_output_fits_into_one_manifest() {
        let start = start();
        let mut segmenter = TerminalSegmenter::new(&start, &start.to_document(), None, CutPolicy::default());
        let mut compressor = Compressor::new().unwrap();
        let mut expected = Vec::new();
        let mut output = Vec::new();
        let mut segments = 0;
        // One byte a second, and a character has three bytes, so that nearly every cut falls inside one.
        for second in 0..30 * 24 * 3600_u64 {
            let at = Micros::from(Duration::from_secs(second));
            let payload = &"€".as_bytes()[(second % 3) as usize..][..1];
            segmenter.push(&SpoolRecord { at, kind: RecordKind::TERMINAL_OUTPUT, payload }).unwrap();
            expected.extend_from_slice(payload);
            if !segmenter.due(at) {
                continue;
            }
            let segment = segmenter.cut(&mut compressor).unwrap().unwrap();
            assert_eq!(segment.header.number, segments);
            segments += 1;
            output.extend(output_of(&segment));
        }
        let last = segmenter.finish(&mut compressor).unwrap().unwrap();
        output.extend(output_of(&last));
        assert!(output == expected);
        assert!((250..2_500).contains(&segments), "{segments} segments");
        assert_eq!(segmenter.cutter.state().next_number, segments + 1);
    }

    #[test]
    fn the_segmenter_reports_every_kind_of_record() {
        let start = start();
        let mut segmenter = TerminalSegmenter::new(&start, &start.to_document(), None, CutPolicy::default());
        let mut spool = Vec::new();
        let mut writer = recording::SpoolWriter::new(&mut spool, 0);
        let at = Micros::new(1);
        for event in [
            TerminalEvent::output(at, *b"x"),
            TerminalEvent::error_output(at, *b"y"),
            TerminalEvent::gap(at, "why", 3),
            TerminalEvent::shortfall(at, Shortfall::new(ShortfallKind::Drop, Cause::OTHER, "dropped")),
            TerminalEvent::exit(at, recording::ExitStatus::Code(2)),
        ] {
            writer.append_terminal(&event).unwrap();
        }
        let mut reader = recording::SpoolReader::new(spool.as_slice(), 0);
        let mut told = Vec::new();
        while let Some(record) = reader.next_record().unwrap() {
            told.push(segmenter.push(&record).unwrap());
        }
        let exit = Pushed::Exit(recording::ExitStatus::Code(2));
        assert_eq!(
            told,
            [Pushed::Content, Pushed::Content, Pushed::Gap("why".into()), Pushed::Content, exit]
        );
        let nonsense = SpoolRecord { at, kind: RecordKind(99), payload: b"?" };
        assert!(segmenter.push(&nonsense).is_err());
    }
}
