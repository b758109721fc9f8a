//! The interface to a stream's content for verification.

use crate::end::RecordingEnd;
use crate::manifest::Totals;
use crate::segment::SegmentError;
use crate::timestamp::Micros;

/// A walk along the content of one stream's segments, from the first on.
pub(crate) trait Content {
    /// Checks that the next segment decodes and continues the walk.
    fn segment(&mut self, object: &[u8]) -> Result<CheckedContent, ContentError>;

    /// Compares what the manifest says about the recording's end with the whole stream.
    fn agrees_with_end(&self, end: &RecordingEnd) -> Result<(), &'static str>;
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
}

/// A segment does not continue its stream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContentError {
    #[error(transparent)]
    Segment(#[from] SegmentError),
    #[error("{0}")]
    Disagrees(&'static str),
}
