//! `POST /agent/v1/enrol`: enrols an instance's agent. It is the only call without an agent's token; the join token
//! authenticates it.

use std::fmt;

use recording::{AccountId, AgentId, InstanceId, Region, SealingPublicKey};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::capture::Capability;
use crate::configuration::SignedConfiguration;
use crate::encoding::PublicKey;
use crate::keys::ServerKey;

/// The request of an agent that enrols.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct EnrolRequest {
    /// The join token, as `CreateAgentJoinToken` printed it.
    pub join_token: String,
    /// The instance this agent runs on.
    #[schema(value_type = String)]
    pub instance_id: InstanceId,
    /// The key that will sign the agent's requests.
    pub authentication_public_key: PublicKey,
    /// The key that will sign manifests. Never the same as the authentication key.
    #[schema(value_type = String, format = Byte)]
    pub sealing_public_key: SealingPublicKey,
    /// The instance's host name, for people to recognise it by.
    pub hostname: String,
    /// The version of the agent program.
    pub agent_version: String,
    /// The kinds of capture this agent offers.
    pub capabilities: Vec<Capability>,
    /// Whether to replace an agent that is enrolled for this instance. The join token must allow it.
    #[serde(default)]
    pub replace: bool,
}

impl fmt::Debug for EnrolRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolRequest")
            .field("instance_id", &self.instance_id)
            .field("hostname", &self.hostname)
            .field("agent_version", &self.agent_version)
            .field("capabilities", &self.capabilities)
            .field("replace", &self.replace)
            .finish_non_exhaustive()
    }
}

/// The reply to an agent that was enrolled. It pins the server's keys from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct EnrolReply {
    /// The request's id, as in `x-acs-request-id`.
    pub request_id: String,
    /// The agent's id: the `kid` of its tokens.
    #[schema(value_type = String)]
    pub agent_id: AgentId,
    /// The account that owns the instance.
    #[schema(value_type = String)]
    pub account_id: AccountId,
    /// The instance, as enrolled.
    #[schema(value_type = String)]
    pub instance_id: InstanceId,
    /// The region the instance belongs to.
    #[schema(value_type = String)]
    pub region: Region,
    /// The keys that sign configurations; at least one.
    pub server_keys: Vec<ServerKey>,
    /// The configuration in force.
    pub configuration: SignedConfiguration,
}
