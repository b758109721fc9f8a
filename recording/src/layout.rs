//! The names of a recording's objects.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{InstanceId, TerminalSessionToken};
use crate::stream::Stream;
use crate::timestamp::{CivilDate, Timestamp};

/// The text is not the name of an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{shown}\" is not an object name: {why}")]
pub struct InvalidObjectName {
    shown: String,
    why: &'static str,
}

impl InvalidObjectName {
    fn new(text: &str, why: &'static str) -> Self {
        Self { shown: crate::ids::shown(text), why }
    }
}

/// The name of an object in a bucket: relative, with slashes between its components. It cannot climb out of a
/// folder, and it prints back as it was read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectName(String);

impl ObjectName {
    /// The longest name in bytes.
    pub const MAX_BYTES: usize = 1023;

    /// Reads a name.
    ///
    /// # Errors
    /// The name is empty or too long, has an empty, `.` or `..` component, a leading or trailing slash, a backslash
    /// or a control character.
    pub fn parse(text: &str) -> Result<Self, InvalidObjectName> {
        check_name(text, Self::MAX_BYTES)?;
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The components between the slashes; never empty, `.` or `..`.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The part of the name below a folder; `None` if the object is not in it.
    #[must_use]
    pub fn below(&self, folder: &ObjectName) -> Option<ObjectName> {
        self.0.strip_prefix(&folder.0)?.strip_prefix('/').map(|rest| ObjectName(rest.to_owned()))
    }

    /// The name of an object in this folder.
    ///
    /// # Errors
    /// The two together are too long.
    pub fn join(&self, below: &ObjectName) -> Result<ObjectName, InvalidObjectName> {
        Self::parse(&format!("{}/{}", self.0, below.0))
    }
}

/// The part before the dates in the names of all recordings of a storage target.
///
/// It is short enough that the whole name of every object of a recording is a valid [`ObjectName`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectPrefix(String);

impl ObjectPrefix {
    /// The longest prefix in bytes.
    pub const MAX_BYTES: usize = 512;

    /// Reads a prefix, without a leading or trailing slash.
    ///
    /// # Errors
    /// As for [`ObjectName::parse`].
    pub fn parse(text: &str) -> Result<Self, InvalidObjectName> {
        check_name(text, Self::MAX_BYTES)?;
        Ok(Self(text.to_owned()))
    }

    /// The prefix as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check_name(text: &str, most: usize) -> Result<(), InvalidObjectName> {
    let why = if text.is_empty() {
        "it is empty"
    } else if text.len() > most {
        "it is too long"
    } else if text.chars().any(|character| character.is_control() || character == '\\') {
        "it has a control character or a backslash"
    } else if text.starts_with('/') || text.ends_with('/') {
        "it begins or ends with a slash"
    } else if text.split('/').any(str::is_empty) {
        "it has an empty component"
    } else if text.split('/').any(|component| component == "." || component == "..") {
        "it has a component . or .."
    } else {
        return Ok(());
    };
    Err(InvalidObjectName::new(text, why))
}

macro_rules! text_conversions {
    ($($name:ident),+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidObjectName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidObjectName;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    )+};
}

text_conversions!(ObjectName, ObjectPrefix);

/// An object of a recording that is evidence. It prints as the part of its name below the recording's folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum EvidenceName {
    /// `start.json`
    Start,
    /// `terminal/000000.cast.zst`, or of another stream its folder, the number and its extension.
    Segment {
        /// The stream that the segment is a part of.
        stream: Stream,
        /// The segment's place in the stream, from 0.
        number: u32,
    },
    /// `manifest-0000.json`
    Manifest(u32),
    /// `manifest-0000.sig`
    ManifestSignature(u32),
}

impl EvidenceName {
    /// Reads the part of an object's name below the recording's folder; `None` if it is not evidence.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let parsed = if text == "start.json" {
            Self::Start
        } else if let Some((folder, file)) = text.split_once('/') {
            let stream = Stream::parse(folder).ok()?;
            Self::Segment { stream, number: file.strip_suffix(stream.extension())?.parse().ok()? }
        } else {
            let (number, extension) = text.strip_prefix("manifest-")?.split_once('.')?;
            match extension {
                "json" => Self::Manifest(number.parse().ok()?),
                "sig" => Self::ManifestSignature(number.parse().ok()?),
                _ => return None,
            }
        };
        // Only the canonical form names an object: not +1, 1 or 0000001.
        (parsed.to_string() == text).then_some(parsed)
    }

    /// Whether an object of this name, below the recording's folder, is evidence of a kind that this version does not
    /// check: a countersignature, a head, a hold, or the record of a deletion.
    #[must_use]
    pub fn is_reserved(text: &str) -> bool {
        // Only the canonical spelling, as in `parse`.
        let numbered = |rest: &str, least: usize, extensions: &[&str]| {
            rest.split_once('.').is_some_and(|(number, extension)| {
                extensions.contains(&extension)
                    && number.parse::<u32>().is_ok_and(|parsed| format!("{parsed:0least$}") == number)
            })
        };
        if let Some(rest) = text.strip_prefix("manifest-") {
            numbered(rest, 4, &["countersig"])
        } else if let Some(rest) = text.strip_prefix("heads/") {
            numbered(rest, 6, &["json", "countersig", "proof"])
        } else if let Some(rest) = text.strip_prefix("holds/") {
            numbered(rest, 4, &["json", "sig"])
        } else {
            matches!(text, "tombstone.json" | "tombstone.sig")
        }
    }

    /// Whether evidence can lie in a folder of this name below the recording's: a stream's, or a reserved one.
    #[must_use]
    pub fn is_folder(name: &str) -> bool {
        matches!(name, "heads" | "holds") || Stream::parse(name).is_ok()
    }

    /// The part of the object's name below the recording's folder.
    #[must_use]
    pub fn to_object_name(self) -> ObjectName {
        ObjectName(self.to_string())
    }
}

impl fmt::Display for EvidenceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => formatter.write_str("start.json"),
            Self::Segment { stream, number } => {
                write!(formatter, "{stream}/{number:06}{}", stream.extension())
            }
            Self::Manifest(number) => write!(formatter, "manifest-{number:04}.json"),
            Self::ManifestSignature(number) => write!(formatter, "manifest-{number:04}.sig"),
        }
    }
}

impl TryFrom<String> for EvidenceName {
    type Error = InvalidObjectName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or_else(|| InvalidObjectName::new(&text, "it names no evidence of a recording"))
    }
}

impl From<EvidenceName> for String {
    fn from(name: EvidenceName) -> Self {
        name.to_string()
    }
}

/// The place of a recording's objects in its bucket: `<prefix>/<yyyy>/<mm>/<dd>/<instance>/<token>/`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RecordingLocation {
    folder: ObjectName,
}

impl RecordingLocation {
    /// The place of a recording of the UTC day of `at`: the earlier of its claimed start and its arrival.
    #[must_use]
    pub fn new(
        prefix: Option<&ObjectPrefix>,
        at: Timestamp,
        instance: &InstanceId,
        token: &TerminalSessionToken,
    ) -> Self {
        let day: CivilDate = at.date();
        let below = format!("{day}/{instance}/{token}");
        let folder = match prefix {
            Some(prefix) => format!("{prefix}/{below}"),
            None => below,
        };
        Self { folder: ObjectName(folder) }
    }

    /// The recording's folder, without a trailing slash.
    #[must_use]
    pub fn folder(&self) -> &ObjectName {
        &self.folder
    }

    /// What the names of all the recording's objects begin with: the folder and a slash.
    #[must_use]
    pub fn listing_prefix(&self) -> String {
        format!("{}/", self.folder)
    }

    /// The whole name of a piece of evidence.
    #[must_use]
    pub fn object(&self, evidence: EvidenceName) -> ObjectName {
        ObjectName(format!("{}/{evidence}", self.folder))
    }

    /// The whole name of any object in the recording's folder.
    ///
    /// # Errors
    /// The whole name is too long.
    pub fn object_below(&self, below: &ObjectName) -> Result<ObjectName, InvalidObjectName> {
        self.folder.join(below)
    }

    /// Which piece of evidence of this recording the object is; `None` if it is not one.
    #[must_use]
    pub fn evidence(&self, object: &ObjectName) -> Option<EvidenceName> {
        EvidenceName::parse(object.below(&self.folder)?.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn location(prefix: Option<&ObjectPrefix>) -> RecordingLocation {
        let token = TerminalSessionToken::from_bytes([0xab; 16]);
        let instance = InstanceId::parse("i-bp1example").unwrap();
        RecordingLocation::new(prefix, Timestamp::from_millis(1_700_103_579_123), &instance, &token)
    }

    #[test]
    fn a_recording_is_in_the_folder_of_the_utc_day_of_its_start() {
        let prefix = ObjectPrefix::parse("audit/terminal").unwrap();
        let place = location(Some(&prefix));
        let segment = EvidenceName::Segment { stream: Stream::Terminal, number: 7 };
        let folder = "audit/terminal/2023/11/16/i-bp1example/abababababababababababababababab";
        assert_eq!(place.object(segment).as_str(), format!("{folder}/terminal/000007.cast.zst"));
        assert_eq!(place.evidence(&place.object(segment)), Some(segment));
        assert_eq!(location(None).object(EvidenceName::Start).as_str().split_once('/').unwrap().0, "2023");
        assert_eq!(place.evidence(&ObjectName::parse(&format!("{folder}x/start.json")).unwrap()), None);
    }

    #[test]
    fn the_longest_names_are_still_valid() {
        let prefix = ObjectPrefix::parse(&"p".repeat(ObjectPrefix::MAX_BYTES)).unwrap();
        let instance = InstanceId::parse(&format!("abcdefgh-{}", "Z".repeat(60))).unwrap();
        let place = RecordingLocation::new(
            Some(&prefix),
            Timestamp::MAX,
            &instance,
            &TerminalSessionToken::generate(),
        );
        let name = place.object(EvidenceName::Segment { stream: Stream::Terminal, number: u32::MAX });
        assert_eq!(ObjectName::parse(name.as_str()).unwrap(), name);
        assert!(name.components().skip(1).all(|component| component.len() <= 80));
    }

    #[test]
    fn names_cannot_climb_out_of_a_folder() {
        let long = "a".repeat(ObjectName::MAX_BYTES + 1);
        for text in [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "a/..",
            "../a",
            "a/./b",
            "a\\..\\b",
            "a\nb",
            "a\u{85}b",
            long.as_str(),
        ] {
            assert!(ObjectName::parse(text).is_err(), "{text:?}");
        }
        for text in ["a", "a/b", "...", "..a/b..", "ä/ø"] {
            assert_eq!(ObjectName::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn evidence_has_one_spelling() {
        for text in [
            "start.json",
            "terminal/000000.cast.zst",
            "terminal/1000000.cast.zst",
            "events/000000.jsonl.zst",
            "desktop/000000.segment",
            "audio/000012.segment",
            "manifest-0000/000000.segment",
            "manifest-0000.json",
            "manifest-12345.sig",
        ] {
            assert_eq!(EvidenceName::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "start.json/",
            "terminal/0.cast.zst",
            "terminal/+00000.cast.zst",
            "terminal/0000000.cast.zst",
            "terminal/000000.cast",
            "terminal/000000.segment",
            "events/000000.cast.zst",
            "audio/000000.zst",
            "Audio/000000.segment",
            "derived/000000.segment",
            "heads/000000.segment",
            "manifest-0.json",
            "manifest-0000.countersig",
            "manifest-0000.json.sig",
            "derived/0000-1/index",
            "terminal/99999999999.cast.zst",
        ] {
            assert_eq!(EvidenceName::parse(text), None, "{text}");
        }
    }

    #[test]
    fn names_of_later_evidence_are_reserved_in_one_form() {
        for text in [
            "manifest-0000.countersig",
            "heads/000000.json",
            "heads/1000000.countersig",
            "heads/000001.proof",
            "holds/0000.json",
            "holds/0001.sig",
            "tombstone.json",
            "tombstone.sig",
        ] {
            assert!(EvidenceName::is_reserved(text) && EvidenceName::parse(text).is_none(), "{text}");
        }
        for text in [
            "manifest-0.countersig",
            "manifest-0000.proof",
            "heads/0.json",
            "heads/000000.sig",
            "heads/000000",
            "holds/+000.json",
            "holds/0000.countersig",
            "tombstone.json.sig",
            "start.json",
            "notes.txt",
        ] {
            assert!(!EvidenceName::is_reserved(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_prints_back(text in any::<String>()) {
            if let Ok(name) = ObjectName::parse(&text) {
                prop_assert_eq!(name.as_str(), &text);
                prop_assert!(name.components().all(|part| !part.is_empty() && part != "." && part != ".."));
            }
        }
    }
}
