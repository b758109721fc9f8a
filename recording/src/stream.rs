//! The streams of a recording. Each was captured in one way, and has its own chain.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A stream of a recording: data that were captured in one way, with its own chain.
///
/// Streams that a later version adds keep their names here, so that their chains are verified although nobody here knows what
/// they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Stream {
    /// The output of a terminal, or of other outputs, as asciicast lines.
    Terminal,
    /// What happened beside it, one JSON object a line.
    Events,
    /// What a screen showed. This version knows only its name.
    Desktop,
    /// A stream of a later version.
    Unknown(StreamName),
}

/// The name of a stream that this version does not know: at most 24 lower-case letters, digits and hyphens, the first of
/// them a letter. It is kept in place, so that names of objects remain plain values.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamName {
    bytes: [u8; Self::MAX_BYTES],
    length: u8,
}

/// The text is not the name of a stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{shown}\" names no stream: a name has at most 24 lower-case letters, digits and hyphens, begins with a letter, and is none of derived, heads and holds"
)]
pub struct InvalidStreamName {
    shown: String,
}

/// The folders of objects that belong to no stream.
const OTHER_FOLDERS: [&str; 3] = ["derived", "heads", "holds"];

impl StreamName {
    /// The longest name.
    pub const MAX_BYTES: usize = 24;

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }
}

impl fmt::Debug for StreamName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), formatter)
    }
}

impl Stream {
    /// Every stream that this version has a name of its own for.
    pub const NAMED: [Self; 3] = [Self::Terminal, Self::Events, Self::Desktop];

    /// The stream of this name, be it known or not.
    ///
    /// # Errors
    /// No stream can have this name.
    pub fn parse(name: &str) -> Result<Self, InvalidStreamName> {
        if let Some(named) = Self::NAMED.into_iter().find(|stream| stream.name() == name) {
            return Ok(named);
        }
        let well_formed = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            && name.starts_with(|first: char| first.is_ascii_lowercase())
            && !OTHER_FOLDERS.contains(&name);
        let mut bytes = [0; StreamName::MAX_BYTES];
        match (bytes.get_mut(..name.len()), u8::try_from(name.len())) {
            (Some(place), Ok(length)) if well_formed => {
                place.copy_from_slice(name.as_bytes());
                Ok(Self::Unknown(StreamName { bytes, length }))
            }
            _ => Err(InvalidStreamName { shown: crate::ids::shown(name) }),
        }
    }

    /// The stream's name: its folder, and a part of its chain.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Terminal => "terminal",
            Self::Events => "events",
            Self::Desktop => "desktop",
            Self::Unknown(name) => name.as_str(),
        }
    }

    /// What the names of the stream's segments end with, after the number.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Terminal => ".cast.zst",
            Self::Events => ".jsonl.zst",
            Self::Desktop | Self::Unknown(_) => ".segment",
        }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl std::str::FromStr for Stream {
    type Err = InvalidStreamName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Stream {
    type Error = InvalidStreamName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Stream> for String {
    fn from(stream: Stream) -> Self {
        stream.name().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_prints_back_or_is_refused() {
        for name in ["terminal", "events", "desktop", "audio", "k8s-exec", "a", "abcdefghijklmnopqrstuvwx"] {
            let stream = Stream::parse(name).unwrap();
            assert_eq!((stream.name(), stream.to_string().as_str()), (name, name));
            assert_eq!(matches!(stream, Stream::Unknown(_)), !Stream::NAMED.contains(&stream));
        }
        for name in [
            "",
            "Audio",
            "8bit",
            "-a",
            "a/b",
            "a.b",
            "a_b",
            "ä",
            "derived",
            "heads",
            "holds",
            "abcdefghijklmnopqrstuvwxy",
        ] {
            assert!(Stream::parse(name).is_err(), "{name:?}");
        }
    }
}
