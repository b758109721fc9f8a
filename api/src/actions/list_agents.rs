//! ListAgents: the agents of the account, the latest to join first.

use std::time::Duration;

use domain::actions::ListAgents;
use domain::agent::Agent;
use domain::gate::{Granted, Resource};
use openapi::workbench::{
    AgentCapability, AgentItem, AgentPage, Envelope, ListAgentsReply, ListAgentsRequest,
};

use super::{page, wire_count, wire_time};
use crate::dispatch::{Call, Done, RpcAction};
use crate::errors::ActionError;

/// An agent is online when it was heard within this time. A link that is silent for 45 s is dead.
const ONLINE_WITHIN: Duration = Duration::from_secs(60);

impl RpcAction for ListAgents {
    type Request = ListAgentsRequest;
    type Reply = ListAgentsReply;

    async fn locate(call: &Call<'_>, _: &Self::Request) -> Result<Resource, ActionError> {
        call.list(None, false).await
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Request,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let page =
            call.hansard.store.list_agents(&granted, page(asked.page_number, asked.page_size, None)?).await?;
        Ok(Done::read(ListAgentsReply {
            envelope: Envelope::ok(call.request_id.as_str()),
            root: AgentPage {
                total_count: wire_count(page.total_count),
                agent_list: page.agents.iter().map(|agent| item(call, agent)).collect(),
            },
        }))
    }
}

fn item(call: &Call<'_>, agent: &Agent) -> AgentItem {
    let linked_here = call.hansard.links.is_connected(&agent.id);
    let online = linked_here || agent.last_seen_at.plus(ONLINE_WITHIN) >= call.arrived_at;
    AgentItem {
        agent_id: agent.id.to_string(),
        instance_id: agent.instance.to_string(),
        region_id: agent.region.to_string(),
        hostname: agent.hostname.clone(),
        agent_version: agent.version.clone(),
        capabilities: agent
            .capabilities
            .iter()
            .map(|capability| AgentCapability {
                kind: capability.kind.clone(),
                version: capability.version.clone(),
            })
            .collect(),
        status: if online { "online" } else { "offline" }.to_owned(),
        enrol_time: wire_time(agent.enrolled_at),
        last_seen_time: wire_time(agent.last_seen_at),
    }
}
