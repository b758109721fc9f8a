//! `/agent/v1/recordings`: open, grant, segment, seal. Each call may be repeated; the same bytes give the same answer.

use std::collections::BTreeMap;

use recording::{ChainValue, ContentHash, TerminalSessionToken};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::configuration::SignedConfiguration;
use crate::encoding::Base64Bytes;

/// `POST /agent/v1/recordings`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct OpenRecordingRequest {
    /// The session's identifier, made by the agent: 32 lower-case hexadecimal digits.
    #[schema(value_type = String, pattern = "^[0-9a-f]{32}$")]
    pub terminal_session_token: TerminalSessionToken,
    /// The kind of capture: `terminal`.
    pub kind: String,
    /// The exact bytes of `start.json`.
    pub start: Base64Bytes,
    /// The configuration that was in force when the session began, as the control plane signed it; absent when none was known. It
    /// fixes the target and the days, however late the recording is opened and whatever was set since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<SignedConfiguration>,
}

/// The recording is known; its objects may be delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct OpenRecordingReply {
    /// The request's id.
    pub request_id: String,
    /// The session's identifier.
    #[schema(value_type = String, pattern = "^[0-9a-f]{32}$")]
    pub terminal_session_token: TerminalSessionToken,
    /// Where the recording is kept.
    pub record_storage_target: String,
    /// The prefix of its objects' names.
    pub object_prefix: String,
}

/// `POST /agent/v1/recordings/{token}/grants`: leave to write one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct GrantRequest {
    /// The object's name below the recording's prefix, such as `terminal/000000.cast.zst`.
    pub object_name: String,
    /// Its exact length in bytes; at most 8 MiB.
    pub length: u64,
    /// The SHA-256 of its bytes.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub sha256: ContentHash,
}

/// How to write the one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Grant {
    /// The HTTP method: `PUT`.
    pub method: String,
    /// Where to: absolute, or relative to the control plane's address.
    pub url: String,
    /// The headers that must be sent exactly so.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Until when the grant holds, RFC 3339.
    pub expire_time: String,
}

/// The reply to a `GrantRequest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct GrantReply {
    /// The request's id.
    pub request_id: String,
    /// The grant.
    pub grant: Grant,
}

/// `POST /agent/v1/recordings/{token}/segments`: an object is there and belongs to the recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct SegmentRequest {
    /// The stream: `terminal`.
    pub stream: String,
    /// The segment's number, from 0.
    pub number: u32,
    /// The object's length in bytes.
    pub length: u64,
    /// The SHA-256 of the object.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub sha256: ContentHash,
    /// The chain's value before this segment.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub chain_before: ChainValue,
    /// The chain's value after it.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    pub chain_after: ChainValue,
    /// The time of its first event, microseconds since the start.
    pub first_at_micros: u64,
    /// The time of its last event, microseconds since the start.
    pub last_at_micros: u64,
    /// The segment that is delivered next, when it is at hand: the reply may bring its grant, which saves a call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next: Option<GrantRequest>,
}

/// The recording has claimed the segment; the agent may erase its copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct SegmentReply {
    /// The request's id.
    pub request_id: String,
    /// The number of the segment that is now safe.
    pub acknowledged: u32,
    /// The grant for `Next`. It may be absent, whatever the reason: whoever asks for one by `/grants` is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_grant: Option<Grant>,
}

/// `POST /agent/v1/recordings/{token}/seal`: no more will come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct SealRequest {
    /// The exact bytes of the manifest.
    pub manifest: Base64Bytes,
    /// The detached Ed25519 signature of the agent's sealing key over them.
    pub signature: Base64Bytes,
}

/// The recording is closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct SealReply {
    /// The request's id.
    pub request_id: String,
    /// The status now: `finished`, `interrupted` or `failed`.
    pub status: String,
}
