//! The manifest: what a recording consists of, sealed by the agent's signature over its exact bytes.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::chain::{ChainValue, ContentHash};
use crate::delivery_mode::DeliveryMode;
use crate::end::RecordingEnd;
use crate::ids::{AgentId, TerminalSessionToken};
use crate::leave::SealedBy;
use crate::ledger::StreamLedger;
use crate::sealing::{SIGNATURE_BYTES, SealingKey};
use crate::start::{DocumentFormat, InvalidDocument, parse_document, to_document};
use crate::stream::Stream;
use crate::timestamp::{Micros, Timestamp};

/// The contents of `manifest-NNNN.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format of the document.
    pub format: DocumentFormat,
    /// The number in the manifest's name, from 0.
    pub number: u32,
    /// Which recording.
    pub recording: TerminalSessionToken,
    /// The recording's `start.json`.
    pub start: StartReference,
    /// The agent that made the recording. It sealed it too, unless `sealed_by` says otherwise.
    pub agent: AgentId,
    /// The agent's number for this recording, as in `start.json`.
    pub agent_recording_number: u64,
    /// The SHA-256 of the manifest that this agent sealed before this one; absent in an agent's first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_manifest: Option<ContentHash>,
    /// When the recording began, as in `start.json`.
    pub started_at: Timestamp,
    /// When it ended, by the agent's clock.
    pub ended_at: Timestamp,
    /// How long it took, by a clock that is never set.
    pub duration: Micros,
    /// How it ended.
    pub end: RecordingEnd,
    /// In which mode it was delivered at its end: `start.json` may say `sync`, and this `async`, with an entry in the ledger
    /// that says since when and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_mode: Option<DeliveryMode>,
    /// Its streams, each at most once.
    pub streams: Vec<StreamEntry>,
    /// With whose leave an agent's successor sealed it; absent if the agent did so itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed_by: Option<SealedBy>,
}

/// A manifest's reference to `start.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartReference {
    /// Always `start.json`.
    pub name: String,
    /// The length of the stored object in bytes.
    pub length: u64,
    /// The SHA-256 of the stored object.
    pub sha256: ContentHash,
}

impl StartReference {
    /// The reference to these exact bytes of `start.json`.
    #[must_use]
    pub fn of(start_document: &[u8]) -> Self {
        Self {
            name: "start.json".to_owned(),
            length: start_document.len() as u64,
            sha256: ContentHash::of(start_document),
        }
    }
}

/// One stream in a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamEntry {
    /// Which stream.
    pub stream: Stream,
    /// Its segments, from number 0 without a gap.
    pub segments: Vec<SegmentEntry>,
    /// The chain after the last segment; without segments the stream's first value.
    pub final_chain: ChainValue,
    /// The totals of the segments.
    #[serde(flatten)]
    pub totals: Totals,
    /// What the stream lacks, and what it did less; `None` in a manifest of a version without a ledger.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger: Option<StreamLedger>,
}

/// One segment in a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentEntry {
    /// Its place in the stream, from 0.
    pub number: u32,
    /// The length of the stored object in bytes.
    pub length: u64,
    /// The SHA-256 of the stored object.
    pub sha256: ContentHash,
    /// The chain after this segment.
    pub chain: ChainValue,
    /// The time of its first event.
    pub first_at: Micros,
    /// The time of its last event.
    pub last_at: Micros,
}

/// What a stream's segments hold, counted as they are cut, and compared when they are verified.
///
/// The names belong to the stream; in every stream that counts them, `events` are what happened and `gaps` are holes.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Totals(BTreeMap<String, u64>);

impl Totals {
    /// These counts by their names.
    pub fn new<'a>(counts: impl IntoIterator<Item = (&'a str, u64)>) -> Self {
        Self(counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect())
    }

    /// One count; 0 if it is missing.
    #[must_use]
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// What happened.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.get("events")
    }

    /// Holes.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        self.get("gaps")
    }

    /// Both together.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        for (name, count) in &other.0 {
            let sum = self.0.entry(name.clone()).or_default();
            *sum = sum.saturating_add(*count);
        }
        self
    }

    /// Whether these say the same of each of the counted names; where nothing was counted, that there is nothing.
    pub(crate) fn agrees_with(&self, counted: &Self) -> bool {
        if counted.0.is_empty() {
            return self.0.values().all(|count| *count == 0);
        }
        counted.0.iter().all(|(name, count)| self.0.get(name) == Some(count))
    }
}

/// The most counts of a stream, and the longest name of one: a few bytes could name very many.
const MAX_COUNTS: usize = 32;
const MAX_COUNT_NAME_BYTES: usize = 40;

/// A member that may be a count. Others are skipped without being kept.
struct Count(Option<u64>);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyValue;

        impl<'de> Visitor<'de> for AnyValue {
            type Value = Count;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a count, or a member that is none")
            }

            fn visit_u64<E>(self, value: u64) -> Result<Count, E> {
                Ok(Count(Some(value)))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Count, E> {
                Ok(Count(None))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Count, E> {
                Ok(Count(None))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Count, E> {
                Ok(Count(None))
            }

            fn visit_str<E>(self, _: &str) -> Result<Count, E> {
                Ok(Count(None))
            }

            fn visit_unit<E>(self) -> Result<Count, E> {
                Ok(Count(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Count, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Count(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Count, A::Error> {
                while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Count(None))
            }
        }

        deserializer.deserialize_any(AnyValue)
    }
}

/// By hand: what a stream counts stands beside its other members, and members that are not known must take no memory.
impl<'de> Deserialize<'de> for StreamEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = StreamEntry;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("what a manifest says of a stream")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<StreamEntry, A::Error> {
                let (mut stream, mut segments, mut final_chain, mut ledger) = (None, None, None, None);
                let mut totals = BTreeMap::new();
                while let Some(name) = members.next_key::<String>()? {
                    let twice = match name.as_str() {
                        "stream" => stream.replace(members.next_value()?).is_some(),
                        "segments" => segments.replace(members.next_value()?).is_some(),
                        "final_chain" => final_chain.replace(members.next_value()?).is_some(),
                        "ledger" => ledger.replace(members.next_value()?).is_some(),
                        _ => match members.next_value::<Count>()? {
                            Count(Some(count)) if name.len() <= MAX_COUNT_NAME_BYTES => {
                                totals.insert(name.clone(), count).is_some()
                            }
                            // Of these alone it is known that they are counts, in whatever stream.
                            Count(_) if matches!(name.as_str(), "events" | "gaps") => {
                                return Err(Error::custom(format_args!("{name} is no count")));
                            }
                            Count(_) => false,
                        },
                    };
                    if twice {
                        return Err(Error::custom(format_args!(
                            "a stream says twice what it has of {name:?}"
                        )));
                    }
                    if totals.len() > MAX_COUNTS {
                        return Err(Error::custom("a stream has more counts than any"));
                    }
                }
                Ok(StreamEntry {
                    stream: stream.ok_or_else(|| Error::missing_field("stream"))?,
                    segments: segments.ok_or_else(|| Error::missing_field("segments"))?,
                    final_chain: final_chain.ok_or_else(|| Error::missing_field("final_chain"))?,
                    totals: Totals(totals),
                    ledger,
                })
            }
        }

        deserializer.deserialize_map(Members)
    }
}

impl Manifest {
    /// Reads the exact bytes of a `manifest-NNNN.json`.
    ///
    /// # Errors
    /// The bytes are too many, not JSON, or not a manifest.
    pub fn parse(document: &[u8]) -> Result<Self, InvalidDocument> {
        parse_document("manifest", document)
    }

    /// The entry of a stream.
    #[must_use]
    pub fn find_stream(&self, stream: Stream) -> Option<&StreamEntry> {
        self.streams.iter().find(|entry| entry.stream == stream)
    }
}

/// The two files that seal a recording. They are stored as they are, and never serialised again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedManifest {
    /// The exact bytes of `manifest-NNNN.json`.
    pub bytes: Vec<u8>,
    /// The exact bytes of `manifest-NNNN.sig`: the raw Ed25519 signature over `bytes`.
    pub signature: [u8; SIGNATURE_BYTES],
}

impl SealedManifest {
    /// The hash by which the agent's next manifest names this one.
    #[must_use]
    pub fn sha256(&self) -> ContentHash {
        ContentHash::of(&self.bytes)
    }
}

/// Prints the manifest and signs the exact bytes.
#[must_use]
pub fn seal(manifest: &Manifest, key: &SealingKey) -> SealedManifest {
    let bytes = to_document(manifest);
    let signature = key.sign(&bytes);
    SealedManifest { bytes, signature }
}
