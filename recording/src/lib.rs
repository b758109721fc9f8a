//! The recording format of Hansard: how what a terminal shows is spooled, cut into segments, chained, signed,
//! verified and played back.
//!
//! The crate is a leaf: it reads no clock, opens no file (but [`FolderSource`]) and knows no network, so that an
//! agent, a control plane and a stranger's program can all use it. The page below the table, `FORMAT.md`, lays every
//! byte down, so that the format can be written in another language.
//!
//! | what | where |
//! |---|---|
//! | identifiers that stand in a recording | [`ids`] |
//! | the names of objects | [`layout`] |
//! | what was captured | [`event`] |
//! | raw records on the agent's disk | [`spool`] |
//! | events as asciicast lines, and back | [`asciicast`] |
//! | cutting and compressing segments | [`cutter`] |
//! | segments as they are stored, and reading them | [`segment`] |
//! | the hash chain | [`chain`] |
//! | `start.json` and the manifest with its signature | [`start`], [`manifest`], [`sealing`] |
//! | proof, and playing back a whole recording | [`verify`](mod@verify), [`replay`] |
//!
#![doc = include_str!("../FORMAT.md")]

pub mod asciicast;
pub mod chain;
pub mod cutter;
pub mod event;
pub mod ids;
pub mod layout;
pub mod manifest;
pub mod replay;
pub mod sanitise;
pub mod sealing;
pub mod segment;
pub mod source;
pub mod spool;
pub mod start;
pub mod timestamp;
pub mod verify;

pub use asciicast::{AsciicastEncoder, AsciicastHeader, DecodedLines, InvalidLine, decode_lines};
pub use chain::{ChainValue, ContentHash, InvalidHash};
pub use cutter::{Compressor, CutPolicy, CutterState, Segment, SegmentCutter};
pub use event::{ExitStatus, Gap, TerminalEvent, TerminalEventKind, TerminalSize};
pub use ids::{AccountId, AgentId, InstanceId, InvalidIdentifier, Region, TerminalSessionToken};
pub use layout::{EvidenceName, InvalidObjectName, ObjectName, ObjectPrefix, RecordingLocation, Stream};
pub use manifest::{
    Manifest, RecordingEnd, SealedManifest, SegmentEntry, StartReference, StreamEntry, StreamTotals, seal,
};
pub use replay::{DecodedRecording, RecordingReader, ReplayError, decode_recording, to_asciicast, to_text};
pub use sealing::{InvalidSealingKey, SIGNATURE_BYTES, SealingKey, SealingPublicKey};
pub use segment::{DecodedSegment, SegmentError, SegmentHeader, decode_segment};
pub use source::{FolderSource, MemorySource, ObjectSource};
pub use spool::{BadRecord, RecordKind, SpoolReader, SpoolRecord, SpoolWriter, Trailing};
pub use start::{DocumentFormat, InvalidDocument, RecordingKind, Start};
pub use timestamp::{CivilDate, InvalidTimestamp, Micros, Timestamp};
pub use verify::{Signer, Verdict, Verification, verify};
