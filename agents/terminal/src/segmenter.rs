//! The half in the agent: spool records of a terminal become segments.

use agent_protocol::capture::{Pushed, Segmenter};
use recording::spool::BadRecord;
use recording::{
    Compressor, CutPolicy, CutterState, Micros, RecordKind, Segment, SegmentCutter, SegmentEntry,
    SegmentError, SpoolRecord, Start, StreamEntry, TerminalEvent, TerminalEventKind,
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
        if record.kind == RecordKind::TERMINAL_OUTPUT {
            self.cutter.push_output(record.at, record.payload);
            return Ok(Pushed::Content);
        }
        let event = record.terminal_event()?;
        self.cutter.push(&event);
        Ok(match event.kind {
            TerminalEventKind::Output(_) | TerminalEventKind::Resize(_) => Pushed::Content,
            TerminalEventKind::Gap(gap) => Pushed::Gap(gap.reason),
            TerminalEventKind::Exit(status) => Pushed::Exit(status),
        })
    }

    fn push_gap(&mut self, at: Micros, reason: &str, lost_bytes: u64) {
        self.cutter.push(&TerminalEvent::gap(at, reason, lost_bytes));
    }

    fn due(&self, now: Micros) -> bool {
        self.cutter.due(now)
    }

    fn cut(&mut self, compressor: &mut Compressor) -> Result<Option<Segment>, SegmentError> {
        self.cutter.cut(compressor)
    }

    fn finish(&mut self, compressor: &mut Compressor) -> Result<Option<Segment>, SegmentError> {
        self.cutter.finish(compressor)
    }

    fn state(&self) -> &CutterState {
        self.cutter.state()
    }

    fn stream_entry(&self, segments: Vec<SegmentEntry>) -> StreamEntry {
        self.cutter.stream_entry(segments)
    }
}
