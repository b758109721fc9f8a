use domain::AgentId;
use domain::record_config::InstanceSelector;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Envelope;
use crate::operations::operations;
use crate::parameter_types::IgnoredRegion;
use crate::parameters::{Deferred, Parameters};

operations! {
    VerifyAgentRecordings: VerifyAgentRecordingsRequest => VerifyAgentRecordingsReply;
}

/// Checks whether all recordings of agents are there: their numbers, the manifests that they name, and the audit trail's
/// openings and seals are held against rows and objects. What a recording's segments hold is not read.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct VerifyAgentRecordingsRequest {
    /// Only agents of this instance. Permission is then asked for this instance, and else for all. Omitted or `*`: all
    /// agents.
    #[parameter(example = "i-bp1example")]
    pub instance_id: Option<Deferred<InstanceSelector>>,
    /// Only this agent, which may be one that was replaced.
    #[parameter(example = "agent-5f0c6de1c8b04a1c9a3f5d0c8e7b6a52")]
    pub agent_id: Option<Deferred<AgentId>>,
    /// Recorded, and otherwise ignored.
    pub region_id: Option<IgnoredRegion>,
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
