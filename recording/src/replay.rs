//! A whole recording, decoded. What is not proved is played all the same: proof is [`verify`](crate::verify())'s.

use std::io;

use crate::event::TerminalEvent;
use crate::segment::SegmentError;
use crate::source::ObjectSource;
use crate::start::{InvalidDocument, Start};

/// A recording, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedRecording {
    /// Its start.
    pub start: Start,
    /// The events of all its segments, in order.
    pub events: Vec<TerminalEvent>,
}

/// A recording that cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The objects cannot be listed.
    #[error("the recording's objects cannot be listed")]
    List(#[source] io::Error),
    /// An object cannot be read.
    #[error("{object} cannot be read")]
    Read {
        /// Its name below the recording's folder.
        object: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// `start.json` says nothing.
    #[error("start.json cannot be used")]
    Start(#[source] InvalidDocument),
    /// A segment cannot be decoded.
    #[error("{object} cannot be decoded")]
    Segment {
        /// Its name below the recording's folder.
        object: String,
        /// Why.
        #[source]
        source: SegmentError,
    },
    /// A segment is missing before another.
    #[error("{object} is missing")]
    Missing {
        /// Its name below the recording's folder.
        object: String,
    },
    /// A segment is of another recording, or stands in another one's place.
    #[error("{object} belongs to another recording or another place")]
    Misplaced {
        /// Its name below the recording's folder.
        object: String,
    },
}

/// All events of a recording.
///
/// # Errors
/// An object is missing or cannot be read.
pub fn decode_recording(_source: &dyn ObjectSource) -> Result<DecodedRecording, ReplayError> {
    todo!()
}

/// The recording as one asciicast v2 file.
///
/// # Errors
/// As for [`decode_recording`].
pub fn to_asciicast(_source: &dyn ObjectSource) -> Result<Vec<u8>, ReplayError> {
    todo!()
}

/// The exact bytes that the terminal was given.
///
/// # Errors
/// As for [`decode_recording`].
pub fn to_text(_source: &dyn ObjectSource) -> Result<Vec<u8>, ReplayError> {
    todo!()
}
