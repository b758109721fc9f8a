//! The agent's half of the stream `events`: makes segments of the facts that a recorder spools beside the terminal's output.

use agent_protocol::capture::{BadState, Pushed, Segmenter, SegmenterState};
use recording::spool::BadRecord;
use recording::{
    Compressor, CutPolicy, EventsCutter, EventsState, Micros, Segment, SegmentEntry, SegmentError, Shortfall,
    ShortfallKind, SpoolRecord, Start, StreamEntry,
};

pub(crate) struct EventsSegmenter {
    cutter: EventsCutter,
}

impl EventsSegmenter {
    pub(crate) fn new(
        start: &Start,
        start_document: &[u8],
        resume: Option<EventsState>,
        policy: CutPolicy,
    ) -> Self {
        let policy = policy.beside_terminal();
        let cutter = match resume {
            Some(state) => EventsCutter::resume(state, policy),
            None => EventsCutter::new(start, start_document, policy),
        };
        EventsSegmenter { cutter }
    }
}

impl Segmenter for EventsSegmenter {
    fn push(&mut self, record: &SpoolRecord<'_>) -> Result<Pushed, BadRecord> {
        let line = self.cutter.push_record(record)?;
        let shortfall = line.as_shortfall().filter(|shortfall| shortfall.kind == ShortfallKind::Gap);
        Ok(shortfall.map_or(Pushed::Content, |gap| Pushed::Gap(gap.reason)))
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
        self.cutter.cut(compressor)
    }

    fn state(&self) -> Result<SegmenterState, BadState> {
        SegmenterState::of(self.cutter.state())
    }

    fn last_at(&self) -> Micros {
        self.cutter.state().last_at
    }

    fn stream_entry(&self, segments: Vec<SegmentEntry>) -> StreamEntry {
        self.cutter.state().stream_entry(segments)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use recording::{EventLine, RecordKind, SpoolReader, SpoolWriter, TerminalEvent};

    use super::*;
    use crate::segmenter::tests::start;

    fn event(at: Micros) -> EventLine {
        EventLine { at, event: "file_change".to_owned(), members: std::iter::empty().collect() }
    }

    #[test]
    fn a_month_of_events_fits_into_a_manifest_beside_the_terminal() {
        let start = start();
        let mut segmenter = EventsSegmenter::new(&start, &start.to_document(), None, CutPolicy::default());
        let mut compressor = Compressor::new().unwrap();
        let mut segments = 0;
        for second in (0..30 * 24 * 3600_u64).step_by(5) {
            let at = Micros::from(Duration::from_secs(second));
            let payload = event(at).to_payload().unwrap();
            segmenter
                .push(&SpoolRecord { at, kind: RecordKind::EVENT, payload: payload.as_bytes() })
                .unwrap();
            if segmenter.due(at) {
                let segment = segmenter.cut(&mut compressor).unwrap().unwrap();
                assert_eq!(segment.header.number, segments);
                segments += 1;
                // As after a restart of the agent.
                let state = segmenter.state().unwrap().read().unwrap();
                segmenter =
                    EventsSegmenter::new(&start, &start.to_document(), Some(state), CutPolicy::default());
            }
        }
        assert!((125..1_300).contains(&segments), "{segments} segments");
        let entry = segmenter.stream_entry(vec![]);
        assert!(entry.totals.events() > 500_000);
    }

    #[test]
    fn the_segmenter_reports_gaps_and_takes_no_other_stream() {
        let start = start();
        let mut segmenter = EventsSegmenter::new(&start, &start.to_document(), None, CutPolicy::default());
        let mut spool = SpoolWriter::new(Vec::new(), 0);
        let at = Micros::new(1);
        spool.append_event(&event(at)).unwrap();
        spool.append_terminal(&TerminalEvent::gap(at, "why", 3)).unwrap();
        spool.append_terminal(&TerminalEvent::output(at, *b"x")).unwrap();
        spool.append_terminal(&TerminalEvent::exit(at, recording::ExitStatus::Code(2))).unwrap();
        let spool = spool.into_inner();
        let mut reader = SpoolReader::new(&spool[..], 0);
        let mut told = Vec::new();
        while let Some(record) = reader.next_record().unwrap() {
            told.push(segmenter.push(&record).ok());
        }
        assert_eq!(told, [Some(Pushed::Content), Some(Pushed::Gap("why".into())), None, None]);
    }
}
