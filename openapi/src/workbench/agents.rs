use domain::agent::{InstancePattern, JoinTokenLifetime};
use domain::{AgentId, InstanceId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Envelope;
use crate::operations::operations;
use crate::parameter_types::{IgnoredRegion, PageNumber, PageSize};
use crate::parameters::{Deferred, Parameters};

operations! {
    CreateAgentJoinToken: CreateAgentJoinTokenRequest => CreateAgentJoinTokenReply;
    ListAgents: ListAgentsRequest => ListAgentsReply;
    DeleteAgent: DeleteAgentRequest => DeleteAgentReply, [AgentNotFound];
}

/// Creates a token with which one agent joins.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct CreateAgentJoinTokenRequest {
    /// The instance that may join, or a pattern of instance ids with `*` and `?`.
    #[parameter(example = "i-bp1example")]
    pub instance_id: Deferred<InstancePattern>,
    /// How long the token lives, in seconds. Omitted: 600.
    #[parameter(default = 600)]
    pub ttl_seconds: Option<Deferred<JoinTokenLifetime>>,
    /// Whether the agent may take over an instance that has a live agent. Omitted: false.
    #[parameter(default = false)]
    pub replace: Option<bool>,
    /// Recorded, and otherwise ignored.
    pub region_id: Option<IgnoredRegion>,
}

/// The token. It is shown only here.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct CreateAgentJoinTokenReply {
    /// RequestId, Code, Message, Success.
    #[serde(flatten)]
    pub envelope: Envelope,
    /// Always true.
    pub root: bool,
    /// The token. It is stored as a hash and cannot be shown again.
    pub token: String,
    /// When the token expires.
    #[schema(example = "2023-04-10T12:46:28Z")]
    pub token_expire_time: String,
}

impl std::fmt::Debug for CreateAgentJoinTokenReply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreateAgentJoinTokenReply")
            .field("envelope", &self.envelope)
            .field("token_expire_time", &self.token_expire_time)
            .finish_non_exhaustive()
    }
}

/// Lists the account's agents.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct ListAgentsRequest {
    /// Whether agents are listed too that another one has replaced, or that were removed; what they sealed while they were
    /// enrolled stays theirs. `true` and `false` in any case.
    #[parameter(default = false)]
    pub include_replaced: Option<bool>,
    /// The number of the page, from 1.
    #[parameter(default = 1)]
    pub page_number: Option<PageNumber>,
    /// How many entries a page shows.
    #[parameter(default = 10)]
    pub page_size: Option<PageSize>,
    /// Recorded, and otherwise ignored.
    pub region_id: Option<IgnoredRegion>,
}

/// A page of agents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListAgentsReply {
    /// RequestId, Code, Message, Success.
    #[serde(flatten)]
    pub envelope: Envelope,
    /// The page.
    pub root: AgentPage,
}

/// Agents, and how many there are in all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct AgentPage {
    /// The total number of agents, on all pages.
    pub total_count: i32,
    /// The entries of this page.
    pub agent_list: Vec<AgentItem>,
    /// The keys with which the control plane gives an agent leave to seal what an earlier agent of its instance has recorded,
    /// the current one first; each 32 bytes in base64. Whoever verifies such a recording trusts these.
    #[serde(default)]
    #[schema(example = json!(["6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw="]))]
    pub leave_keys: Vec<String>,
}

/// An agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct AgentItem {
    /// Its account.
    #[schema(example = 1_609_982_529_000_000_i64)]
    pub account_id: i64,
    /// Its id.
    #[schema(example = "agent-5f0c6de1c8b04a1c9a3f5d0c8e7b6a52")]
    pub agent_id: String,
    /// Its instance.
    pub instance_id: String,
    /// The instance's region.
    pub region_id: String,
    /// The instance's host name, as the agent reports it.
    pub hostname: String,
    /// Its version, as it reports it.
    pub agent_version: String,
    /// What it can capture.
    pub capabilities: Vec<AgentCapability>,
    /// `online` when it was heard from within the last minute, else `offline`.
    #[schema(example = "online")]
    pub status: String,
    /// When it joined.
    #[schema(example = "2023-04-10T12:41:28Z")]
    pub enrol_time: String,
    /// The Ed25519 public key that seals its recordings: 32 bytes in base64 with padding.
    #[schema(example = "6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=")]
    pub sealing_public_key: String,
    /// When that key began to be trusted for recordings of its instance: when the agent joined.
    #[schema(example = "2023-04-10T12:41:28Z")]
    pub enrolled_at: String,
    /// When that ended, because another agent took over its instance; absent while it is the instance's agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "2023-05-10T12:41:28Z")]
    pub replaced_at: Option<String>,
    /// When that ended, because DeleteAgent removed it; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "2023-05-10T12:41:28Z")]
    pub removed_at: Option<String>,
    /// When it was last heard from.
    #[schema(example = "2023-04-10T12:41:28Z")]
    pub last_seen_time: String,
    /// How many of its recordings were gone at the last check, which is made every five minutes: somebody knew them, and
    /// they are not there. VerifyAgentRecordings names them.
    #[serde(default)]
    pub recordings_gone: i32,
    /// How many of its recordings had not arrived at the last check: later ones did, and only the number is missing.
    #[serde(default)]
    pub recordings_not_arrived: i32,
    /// How many recordings wait in its spool because the control plane does not take them, as it said last.
    #[serde(default)]
    pub waiting_recordings: u32,
    /// Why most of them wait; absent when none waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub waiting_reason: Option<String>,
    /// Since when recordings have been waiting; absent when none waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "2023-04-10T12:41:28Z")]
    pub waiting_since: Option<String>,
    /// Whether the disk of its spool has room, as it said last: `available`; `low`, where no new recorded sessions begin; or
    /// `critical`, where running ones are ended or go on unrecorded. Absent when it never said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "available")]
    pub spool_disk_state: Option<String>,
    /// How many bytes were free for its spool then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 5_368_709_120_i64)]
    pub spool_disk_free_bytes: Option<i64>,
    /// When it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "2023-04-10T12:41:28Z")]
    pub spool_disk_told_at: Option<String>,
}

/// A kind of capture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct AgentCapability {
    /// `terminal`, or another kind.
    #[schema(example = "terminal")]
    pub kind: String,
    /// The kind's own version.
    #[schema(example = "1")]
    pub version: String,
}

/// Removes the agent of an instance: from then on its requests are refused, and its recordings that are not sealed end as
/// `interrupted`. Its recordings stay, and its sealing key is still listed for them. What has not been delivered stays in
/// its spool on the instance.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct DeleteAgentRequest {
    /// The instance.
    #[parameter(example = "i-bp1example")]
    pub instance_id: InstanceId,
    /// Only this agent, and not another that is the instance's agent by now. Omitted: the instance's agent.
    #[parameter(example = "agent-5f0c6de1c8b04a1c9a3f5d0c8e7b6a52")]
    pub agent_id: Option<Deferred<AgentId>>,
    /// Recorded, and otherwise ignored.
    pub region_id: Option<IgnoredRegion>,
}

/// The agent is removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteAgentReply {
    /// RequestId, Code, Message, Success.
    #[serde(flatten)]
    pub envelope: Envelope,
    /// What was removed.
    pub root: DeletedAgent,
}

/// The agent that was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct DeletedAgent {
    /// Its id.
    #[schema(example = "agent-5f0c6de1c8b04a1c9a3f5d0c8e7b6a52")]
    pub agent_id: String,
    /// The instance that has no agent now.
    #[schema(example = "i-bp1example")]
    pub instance_id: String,
    /// How many recordings ended with it.
    pub recordings_ended: i32,
}
