//! The content of a stream's segments after their headers, for verification: each stream that this version understands
//! has a `Content`; of another only the chain is known.

pub(crate) mod walk;

use crate::events::EventsWalk;
use crate::segment::{SegmentError, SegmentHeader};
use crate::start::Start;
use crate::stream::Stream;
use crate::terminal::TerminalWalk;

pub use walk::CheckedContent;
use walk::Content;

/// The content of a stream from its beginning; `None` when this version does not understand the stream.
pub(crate) fn content_of(stream: Stream, start: &Start) -> Option<Box<dyn Content>> {
    match stream {
        Stream::Terminal => Some(Box::new(TerminalWalk::new(start))),
        Stream::Events => Some(Box::new(EventsWalk::default())),
        Stream::Desktop | Stream::Unknown(_) => None,
    }
}

impl Stream {
    /// Whether this version understands what the stream's segments hold.
    #[must_use]
    pub const fn is_understood(self) -> bool {
        match self {
            Self::Terminal | Self::Events => true,
            Self::Desktop | Self::Unknown(_) => false,
        }
    }
}

/// Reads one segment of a stream that this version understands, by itself.
///
/// # Errors
/// It is not a segment, it is damaged, or its stream is not understood ([`Stream::is_understood`]).
pub fn check_segment(object: &[u8]) -> Result<(SegmentHeader, CheckedContent), SegmentError> {
    let (header, _) = SegmentHeader::parse(object)?;
    let content = match header.stream {
        Stream::Terminal => CheckedContent::of_terminal(&crate::terminal::segment::decode_segment(object)?),
        Stream::Events => crate::events::decode_segment(object)?.content,
        Stream::Desktop | Stream::Unknown(_) => {
            return Err(SegmentError::Header { why: "this version does not understand its stream" });
        }
    };
    Ok((header, content))
}
