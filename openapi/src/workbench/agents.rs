use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use super::Envelope;

/// Creates a token with which one agent joins.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct CreateAgentJoinTokenRequest {
    /// The instance that may join, or a pattern of instance ids with `*` and `?`.
    #[schema(example = "i-bp1example", pattern = r"^[A-Za-z0-9*?-]{1,72}$")]
    pub instance_id: String,
    /// How long the token lives, in seconds. Omitted: 600.
    #[schema(nullable = false, minimum = 60, maximum = 604_800, default = 600)]
    pub ttl_seconds: Option<i64>,
    /// Whether the agent may take over an instance that has a live agent. Omitted: false.
    #[schema(nullable = false, default = false)]
    pub replace: Option<bool>,
    /// Recorded; selects nothing.
    #[schema(nullable = false)]
    #[validate(length(max = 128, message = "it has at most 128 characters"))]
    pub region_id: Option<String>,
}

/// The token, shown this once.
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
    /// Until when an agent can join by it.
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
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListAgentsRequest {
    /// Counts from 1.
    #[schema(nullable = false, minimum = 1, default = 1)]
    #[validate(range(min = 1, message = "it is a whole number from 1"))]
    pub page_number: Option<i32>,
    /// How many a page shows.
    #[schema(nullable = false, minimum = 1, maximum = 100, default = 10)]
    #[validate(range(min = 1, max = 100, message = "it is a whole number from 1 to 100"))]
    pub page_size: Option<i32>,
    /// Recorded; selects nothing.
    #[schema(nullable = false)]
    #[validate(length(max = 128, message = "it has at most 128 characters"))]
    pub region_id: Option<String>,
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
    /// How many agents there are in all, whatever the page.
    pub total_count: i32,
    /// Those of this page.
    pub agent_list: Vec<AgentItem>,
}

/// An agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct AgentItem {
    /// Its id.
    #[schema(example = "agent-5f0c6de1c8b04a1c9a3f5d0c8e7b6a52")]
    pub agent_id: String,
    /// Its instance.
    pub instance_id: String,
    /// The instance's region.
    pub region_id: String,
    /// The instance's host name, as the agent says.
    pub hostname: String,
    /// Its version, as it says.
    pub agent_version: String,
    /// What it can capture.
    pub capabilities: Vec<AgentCapability>,
    /// `online` when it was heard within the last minute, else `offline`.
    #[schema(example = "online")]
    pub status: String,
    /// When it joined.
    #[schema(example = "2023-04-10T12:41:28Z")]
    pub enrol_time: String,
    /// When it was last heard.
    #[schema(example = "2023-04-10T12:41:28Z")]
    pub last_seen_time: String,
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
