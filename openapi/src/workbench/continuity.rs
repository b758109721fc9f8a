use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use super::Envelope;
use crate::operations::operations;

operations! {
    VerifyAgentRecordings: VerifyAgentRecordingsRequest => VerifyAgentRecordingsReply;
}

/// Checks whether all recordings of agents are there: their numbers, the manifests that they name, and the audit trail's
/// openings and seals are held against rows and objects. What a recording's segments hold is not read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct VerifyAgentRecordingsRequest {
    /// Only agents of this instance. Permission is then asked for this instance, and else for all. Omitted or `*`: all
    /// agents.
    #[schema(nullable = false, example = "i-bp1example", pattern = r"^(\*|[a-z]{1,8}-[A-Za-z0-9]{1,60})$")]
    pub instance_id: Option<String>,
    /// Only this agent, which may be one that was replaced.
    #[schema(
        nullable = false,
        example = "agent-5f0c6de1c8b04a1c9a3f5d0c8e7b6a52",
        pattern = "^agent-[0-9a-f]{32}$"
    )]
    pub agent_id: Option<String>,
    /// Recorded, and otherwise ignored.
    #[schema(nullable = false)]
    #[validate(length(max = 128, message = "it must have at most 128 characters"))]
    pub region_id: Option<String>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct VerifyAgentRecordingsReply {
    /// RequestId, Code, Message, Success.
    #[serde(flatten)]
    pub envelope: Envelope,
    /// What was found.
    pub root: CheckedAgents,
}

/// The agents whose recordings were checked, those that were replaced too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct CheckedAgents {
    /// The agents.
    pub agent_list: Vec<CheckedAgentItem>,
}

/// An agent and its recordings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct CheckedAgentItem {
    /// Its id.
    #[schema(example = "agent-5f0c6de1c8b04a1c9a3f5d0c8e7b6a52")]
    pub agent_id: String,
    /// Its instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub instance_id: Option<String>,
    /// How many recordings it has.
    pub recording_count: i32,
    /// How many of them could not be checked, because the store did not answer or refused access.
    pub unchecked_count: i32,
    /// The first hundred tokens of those.
    #[serde(default)]
    pub unchecked_list: Vec<String>,
    /// How many are gone: something still shows that they existed.
    pub gone_count: i32,
    /// How many have not arrived: only their numbers are missing.
    pub not_arrived_count: i32,
    /// The first hundred missing recordings, those that are gone first.
    pub missing_list: Vec<MissingRecordingItem>,
}

/// A missing recording, or a wide gap in the numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct MissingRecordingItem {
    /// `Gone` when the audit trail, its own row or a later recording knows it; `NotArrived` when only its number is
    /// missing.
    #[schema(example = "Gone")]
    pub absence: String,
    /// Its token, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub terminal_session_token: Option<String>,
    /// The agent's number for it, where it is known; for a gap, its first number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub number: Option<i64>,
    /// The last number of a gap.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub last_number: Option<i64>,
    /// Since when it is known that it should exist.
    #[schema(example = "2023-04-10T12:41:28Z")]
    pub since: String,
    /// Why it should exist.
    pub reason: String,
}
