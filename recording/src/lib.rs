//! The recording format of Hansard: how what is captured is spooled, cut into segments, chained, signed,
//! verified and played back.
//!
//! The crate is a leaf: it reads no clock, opens no file (but [`FolderSource`]) and knows no network, so that an agent,
//! a control plane and a third party's program can all use it. The page below the table, `FORMAT.md`, specifies every
//! byte, so that the format can be implemented in another language.
//!
//! | what | where |
//! |---|---|
//! | identifiers that stand in a recording | [`ids`] |
//! | what a recording is of, and what data it has | [`kind`], [`stream`] |
//! | whose sessions are recorded, what happens when that fails, and how late they may be delivered | [`principal_pattern`], [`failure_policy`], [`delivery_mode`] |
//! | the names of objects | [`layout`] |
//! | raw records on the agent's disk | [`spool`] |
//! | segments as they are stored | [`segment`] |
//! | the hash chain | [`ChainValue`] |
//! | `start.json` and the manifest with its signature | [`start`], [`manifest`], [`end`], [`sealing`] |
//! | what a recording lacks, and what it did less | [`ledger`] |
//! | what the segments of a stream hold | [`content`] |
//! | the stream `terminal`: what was captured, asciicast lines, cutting, playing back | [`terminal`] |
//! | the stream `events`: lines, facts about transfers, cutting | [`events`] |
//! | which sealing keys are trusted, for whose recordings | [`trust`] |
//! | proof | [`verify`](mod@verify) |
//!
#![doc = include_str!("../FORMAT.md")]

pub mod capture_note;
mod chain;
pub mod content;
pub mod delivery_mode;
pub mod end;
pub mod events;
pub mod failure_policy;
mod filling;
pub mod ids;
pub mod kind;
pub mod layout;
pub mod leave;
pub mod ledger;
pub mod log_line;
pub mod manifest;
pub mod not_evidence;
pub mod principal_pattern;
pub mod sanitise;
pub mod sealing;
pub mod segment;
pub mod shell_words;
pub mod source;
pub mod spool;
pub mod start;
pub mod stream;
pub mod terminal;
pub mod timestamp;
pub mod trust;
pub mod verify;

pub use capture_note::CaptureNote;
pub use chain::{ChainValue, ContentHash, InvalidHash};
pub use content::{CheckedContent, check_segment};
pub use delivery_mode::{DeliveryMode, UnknownDeliveryMode};
pub use end::{ExitStatus, RecordingEnd};
pub use events::EventLine;
pub use events::cutter::{EventsCutter, EventsState};
pub use events::fact::Fact;
pub use failure_policy::{FailurePolicy, UnknownFailurePolicy};
pub use filling::{CutPolicy, ENOUGH_SEGMENTS, MOST_SEGMENTS, MOST_SPOOL_BYTES};
pub use ids::{AccountId, AgentId, InstanceId, InvalidIdentifier, Region, TerminalSessionToken};
pub use kind::{CaptureKind, UnknownCaptureKind};
pub use layout::{EvidenceName, InvalidObjectName, ObjectName, ObjectPrefix, RecordingLocation};
pub use leave::{ArrivedBefore, InvalidLeave, Leave, LeaveFormat, SealedBy};
pub use ledger::{Cause, KindSummary, LedgerEntry, LedgerSummary, Shortfall, ShortfallKind, StreamLedger};
pub use manifest::{Manifest, SealedManifest, SegmentEntry, StartReference, StreamEntry, Totals, seal};
pub use not_evidence::NotEvidence;
pub use principal_pattern::{InvalidPrincipalPattern, PrincipalKind, PrincipalPattern};
pub use sealing::{InvalidSealingKey, SIGNATURE_BYTES, SealingKey, SealingPublicKey};
pub use segment::{Compressor, InvalidLine, Segment, SegmentError, SegmentHeader};
pub use source::{FolderSource, Listing, MemorySource, ObjectSource};
pub use spool::{
    BadRecord, DamageSearch, RecordKind, Searched, SpoolReader, SpoolRecord, SpoolWriter, Trailing,
};
pub use start::{DocumentFormat, InvalidDocument, MAX_START_BYTES, Recorder, Start, UnknownRecorder};
pub use stream::{InvalidStreamName, Stream, StreamName};
pub use terminal::TerminalTotals;
pub use terminal::asciicast::{AsciicastEncoder, AsciicastHeader, Carried, DecodedLines, decode_lines};
pub use terminal::cutter::{CutterState, SegmentCutter};
pub use terminal::event::{TerminalEvent, TerminalEventKind, TerminalSize};
pub use terminal::replay::{
    DecodedRecording, RecordingReader, ReplayError, decode_recording, to_asciicast, to_text,
};
pub use terminal::segment::{DecodedSegment, decode_segment};
pub use timestamp::{CivilDate, InvalidTimestamp, Micros, Timestamp};
pub use trust::{Enrolment, InvalidTrustedKeys, TrustedKey, TrustedKeys};
pub use verify::{
    Expected, Integrity, SealedInPlace, Signer, Standing, StreamVerification, Trust, Verdict, Verification,
    verify,
};
