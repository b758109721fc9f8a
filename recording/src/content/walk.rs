//! The interface to a stream's content for verification.

use crate::end::RecordingEnd;
use crate::ledger::{LedgerSummary, StreamLedger};
use crate::manifest::Totals;
use crate::segment::SegmentError;
use crate::terminal::event::TerminalEventKind;
use crate::terminal::segment::DecodedSegment;
use crate::timestamp::Micros;

/// A walk along the content of one stream's segments, from the first on.
pub(crate) trait Content {
    /// Checks that the next segment decodes and continues the walk.
    fn segment(&mut self, object: &[u8]) -> Result<CheckedContent, ContentError>;

    /// Compares what the manifest says about the recording's end with the whole stream.
    fn agrees_with_end(&self, end: &RecordingEnd) -> Result<(), &'static str>;

    /// What the segments so far lack.
    fn ledger(&self) -> &StreamLedger;
}

/// What a segment holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedContent {
    /// The time of its last event.
    pub last_at: Micros,
    /// What it holds, counted.
    pub totals: Totals,
    /// How many events were skipped because this version does not know their kind.
    pub unknown: u64,
    /// What it lacks.
    pub ledger: LedgerSummary,
}

impl CheckedContent {
    /// What a terminal's segment holds.
    pub(crate) fn of_terminal(segment: &DecodedSegment) -> Self {
        let mut ledger = StreamLedger::default();
        for event in &segment.events {
            if let TerminalEventKind::Shortfall(shortfall) = &event.kind {
                ledger.add(event.at, shortfall);
            }
        }
        Self {
            last_at: segment.last_at,
            totals: segment.totals.to_totals(),
            unknown: segment.unknown,
            ledger: LedgerSummary::from(&ledger),
        }
    }
}

/// A segment does not continue its stream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContentError {
    #[error(transparent)]
    Segment(#[from] SegmentError),
    #[error("{0}")]
    Disagrees(&'static str),
}
