//! The manifest: what a recording consists of, sealed by the agent's signature over its exact bytes.

use serde::{Deserialize, Serialize};

use crate::chain::{ChainValue, ContentHash};
use crate::event::ExitStatus;
use crate::ids::{AgentId, TerminalSessionToken};
use crate::layout::Stream;
use crate::sealing::{SIGNATURE_BYTES, SealingKey};
use crate::start::{DocumentFormat, InvalidDocument, parse_document, to_document};
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
    /// The `start.json` that the recording stands on.
    pub start: StartReference,
    /// The agent that sealed it.
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
    /// Its streams, each at most once.
    pub streams: Vec<StreamEntry>,
}

/// What a manifest says of `start.json`.
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
    /// What a manifest says of these exact bytes of `start.json`.
    #[must_use]
    pub fn of(start_document: &[u8]) -> Self {
        Self {
            name: "start.json".to_owned(),
            length: start_document.len() as u64,
            sha256: ContentHash::of(start_document),
        }
    }
}

/// How a recording ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordingEnd {
    /// The recorded command ended.
    Exited(ExitStatus),
    /// The recording broke off before the command ended.
    Interrupted {
        /// Why, in words for a reader.
        reason: String,
    },
}

/// One stream in a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamEntry {
    /// Which stream.
    pub stream: Stream,
    /// Its segments, from number 0 without a hole.
    pub segments: Vec<SegmentEntry>,
    /// The chain after the last segment; without segments the stream's first value.
    pub final_chain: ChainValue,
    /// What the segments hold together.
    #[serde(flatten)]
    pub totals: StreamTotals,
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

/// What segments hold: counted as they are cut, and compared when they are verified.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamTotals {
    /// Events of all kinds. Output and its exact bytes (`o` and `b`) are one.
    pub events: u64,
    /// Bytes of output as they were captured.
    pub output_bytes: u64,
    /// Gaps.
    pub gaps: u64,
    /// Bytes that the gaps say are lost.
    pub lost_bytes: u64,
}

impl StreamTotals {
    /// Both together.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            events: self.events + other.events,
            output_bytes: self.output_bytes + other.output_bytes,
            gaps: self.gaps + other.gaps,
            lost_bytes: self.lost_bytes.saturating_add(other.lost_bytes),
        }
    }
}

impl Manifest {
    /// Reads the exact bytes of a `manifest-NNNN.json`.
    ///
    /// # Errors
    /// The bytes are too many, no JSON, or not what a manifest says.
    pub fn parse(document: &[u8]) -> Result<Self, InvalidDocument> {
        parse_document("manifest", document)
    }

    /// The entry of a stream.
    #[must_use]
    pub fn find_stream(&self, stream: Stream) -> Option<&StreamEntry> {
        self.streams.iter().find(|entry| entry.stream == stream)
    }
}

/// The two files that seal a recording. They are stored as they are, never printed again.
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
