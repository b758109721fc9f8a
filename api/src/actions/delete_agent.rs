//! DeleteAgent: removes the agent of an instance. Its keys are refused and its open recordings end; what it has recorded
//! stays, with the key that proves it.

use domain::actions::DeleteAgent;
use domain::gate::Granted;
use domain::principal::Principal;
use domain::{AgentId, InstanceId};
use openapi::error_codes::WireError;
use openapi::workbench::{DeleteAgentReply, DeletedAgent, Envelope};

use super::wire_count;
use crate::dispatch::{Call, Deferred, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for DeleteAgent {
    type Input = Input;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(Input { instance: request.instance_id, agent: request.agent_id.transpose() })
    }

    async fn locate(call: &Call<'_>, input: &Self::Input) -> Result<Located, ActionError> {
        Ok(call.instance(input.instance.clone()).await?.into())
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        input: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let (hansard, named) = (call.hansard, input.agent?);
        let audit = call.audit_of_change(&granted, "");
        let removed = call.store.remove_agent(&granted, named.as_ref(), call.now(), audit).await?;
        // Its link ends before the reply (DECISIONS I5). A link that opens at this moment reads the agent's row first.
        hansard.links.here.close_removed(&removed.agent.id);
        if let Some(link) = removed.link.filter(|link| link.replica != hansard.links.replica) {
            hansard.links.close_retired(&link).await;
        }
        let (agent, recordings) = (&removed.agent, removed.recordings_ended);
        tracing::info!(agent = %agent.id, instance = %agent.instance, recordings, "an agent was removed");
        Ok(Done::changed(DeleteAgentReply {
            envelope: Envelope::ok(call.request_id().as_str()),
            root: DeletedAgent {
                agent_id: agent.id.to_string(),
                instance_id: agent.instance.to_string(),
                recordings_ended: wire_count(recordings),
            },
        }))
    }
}

/// The agent that is to be removed.
pub(crate) struct Input {
    instance: InstanceId,
    agent: Deferred<Option<AgentId>>,
}
