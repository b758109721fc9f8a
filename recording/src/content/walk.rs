//! What a stream's content is to whoever verifies.

use crate::end::RecordingEnd;
use crate::manifest::Totals;
use crate::segment::SegmentError;
use crate::timestamp::Micros;

/// A walk along the content of one stream's segments, from the first on.
pub(crate) trait Content {
    /// Checks that the next segment decodes and goes on where the walk stands.
    fn segment(&mut self, object: &[u8]) -> Result<CheckedContent, ContentError>;

    /// Checks what the manifest says of the recording's end against what the whole stream showed.
    fn agrees_with_end(&self, end: &RecordingEnd) -> Result<(), &'static str>;
}

/// What a segment holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedContent {
    /// The time of its last event.
    pub last_at: Micros,
    /// What it holds, counted.
    pub totals: Totals,
    /// How many events were passed over because this version does not know their kind.
    pub unknown: u64,
}

/// A segment that does not go on where its stream stood.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContentError {
    #[error(transparent)]
    Segment(#[from] SegmentError),
    #[error("{0}")]
    Disagrees(&'static str),
}
