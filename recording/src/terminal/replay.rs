//! A whole recording, decoded. It is played even if it is not proven: [`verify`](crate::verify()) is for that.

use std::collections::BTreeSet;
use std::io;

use crate::layout::EvidenceName;
use crate::segment::SegmentError;
use crate::source::ObjectSource;
use crate::start::{InvalidDocument, Start};
use crate::stream::Stream;
use crate::terminal::asciicast::AsciicastHeader;
use crate::terminal::event::TerminalEvent;
use crate::terminal::segment::{DecodedSegment, decode_segment};

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
    /// A segment belongs to another recording, or to another place.
    #[error("{object} belongs to another recording or another place")]
    Misplaced {
        /// Its name below the recording's folder.
        object: String,
    },
}

/// Reads a recording segment by segment, so that a long one need not fit in memory.
pub struct RecordingReader<'a> {
    source: &'a dyn ObjectSource,
    start: Start,
    segments: BTreeSet<u32>,
    next: u32,
}

impl<'a> RecordingReader<'a> {
    /// Reads `start.json` and lists the segments.
    ///
    /// # Errors
    /// There is no `start.json`, or it cannot be used, or the objects cannot be listed.
    pub fn open(source: &'a dyn ObjectSource) -> Result<Self, ReplayError> {
        let names = source.list().map_err(ReplayError::List)?.objects;
        let segments = names
            .iter()
            .filter_map(|name| match EvidenceName::parse(name.as_str()) {
                Some(EvidenceName::Segment { stream: Stream::Terminal, number }) => Some(number),
                _ => None,
            })
            .collect();
        let start = Start::parse(&read(source, EvidenceName::Start)?).map_err(ReplayError::Start)?;
        Ok(Self { source, start, segments, next: 0 })
    }

    /// The recording's start.
    #[must_use]
    pub fn start(&self) -> &Start {
        &self.start
    }

    /// The next segment; `None` after the last.
    ///
    /// # Errors
    /// The next segment is missing before another, cannot be read, or is not the next one of this recording. Asked
    /// again, it says so again.
    pub fn next_segment(&mut self) -> Result<Option<DecodedSegment>, ReplayError> {
        let name = EvidenceName::Segment { stream: Stream::Terminal, number: self.next };
        if !self.segments.contains(&self.next) {
            return match self.segments.last() {
                Some(last) if *last > self.next => Err(ReplayError::Missing { object: name.to_string() }),
                _ => Ok(None),
            };
        }
        let object = read(self.source, name)?;
        let segment = decode_segment(&object)
            .map_err(|source| ReplayError::Segment { object: name.to_string(), source })?;
        let header = &segment.header;
        if header.recording != self.start.recording || header.number != self.next {
            return Err(ReplayError::Misplaced { object: name.to_string() });
        }
        self.next += 1;
        Ok(Some(segment))
    }
}

fn read(source: &dyn ObjectSource, name: EvidenceName) -> Result<Vec<u8>, ReplayError> {
    source
        .read(&name.to_object_name())
        .map_err(|source| ReplayError::Read { object: name.to_string(), source })
}

/// All events of a recording.
///
/// # Errors
/// An object is missing or cannot be read.
pub fn decode_recording(source: &dyn ObjectSource) -> Result<DecodedRecording, ReplayError> {
    let mut reader = RecordingReader::open(source)?;
    let mut events = Vec::new();
    while let Some(segment) = reader.next_segment()? {
        events.extend(segment.events);
    }
    Ok(DecodedRecording { start: reader.start, events })
}

/// The recording as one asciicast v2 file. One without segments has only the header.
///
/// # Errors
/// As for [`decode_recording`].
pub fn to_asciicast(source: &dyn ObjectSource) -> Result<Vec<u8>, ReplayError> {
    let mut reader = RecordingReader::open(source)?;
    let mut text = Vec::new();
    while let Some(segment) = reader.next_segment()? {
        text.extend(segment.text);
    }
    if text.is_empty() {
        text = AsciicastHeader::of(&reader.start).to_line();
    }
    Ok(text)
}

/// The exact bytes that the person was given to see: the terminal's, and those of an output or an error output that is none.
///
/// # Errors
/// As for [`decode_recording`].
pub fn to_text(source: &dyn ObjectSource) -> Result<Vec<u8>, ReplayError> {
    let mut reader = RecordingReader::open(source)?;
    let mut text = Vec::new();
    while let Some(segment) = reader.next_segment()? {
        for event in segment.events {
            text.extend(event.kind.shown().unwrap_or_default());
        }
    }
    Ok(text)
}
