//! ListAgents: the agents of the account, the latest to join first.

use std::time::Duration;

use domain::actions::ListAgents;
use domain::agent::{Agent, Retired};
use domain::gate::Granted;
use domain::principal::Principal;
use domain::recording_continuity::Absence;
use domain::spool_disk::SpoolDisk;
use domain::waiting::WaitingRecordings;
use openapi::error_codes::WireError;
use openapi::workbench::{AgentCapability, AgentItem, AgentPage, Envelope, ListAgentsReply};
use persistence::{MissingCounts, PageRequest};

use super::{page, wire_count, wire_time};
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

/// An agent is online when it was heard within this time. A link that is silent for 45 s is dead.
const ONLINE_WITHIN: Duration = Duration::from_secs(60);

impl RpcAction for ListAgents {
    type Input = Input;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(Input {
            page: page(request.page_number, request.page_size, None)?,
            include_replaced: request.include_replaced.unwrap_or(false),
        })
    }

    async fn locate(call: &Call<'_>, _: &Self::Input) -> Result<Located, ActionError> {
        Ok(call.list(None, false).await?.into())
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        input: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let waiting = call.store.all_waiting(&granted).await?;
        let store = call.store;
        let page = if input.include_replaced {
            store.list_agents_ever(&granted, input.page).await?
        } else {
            store.list_agents(&granted, input.page).await?
        };
        let shown: Vec<_> = page.agents.iter().map(|agent| &agent.id).collect();
        let missing = store.count_missing_recordings(&granted, &shown).await?;
        let disks = store.spool_disks(&granted, &shown).await?;
        let items = page.agents.iter().map(|agent| item(call, agent, &missing, &waiting, &disks));
        Ok(Done::read(ListAgentsReply {
            envelope: Envelope::ok(call.request_id().as_str()),
            root: AgentPage {
                total_count: wire_count(page.total_count),
                agent_list: items.collect(),
                leave_keys: call.hansard.keys.leave_keys().iter().map(ToString::to_string).collect(),
            },
        }))
    }
}

/// The agents that are wanted.
pub(crate) struct Input {
    page: PageRequest,
    include_replaced: bool,
}

fn item(
    call: &Call<'_>,
    agent: &Agent,
    missing: &MissingCounts,
    waiting: &[WaitingRecordings],
    disks: &[SpoolDisk],
) -> AgentItem {
    let disk = disks.iter().find(|disk| disk.agent == agent.id);
    let waiting = waiting.iter().find(|waiting| waiting.agent == agent.id);
    let linked_here = call.hansard.links.here.is_connected(&agent.id);
    let online =
        agent.retired.is_none() && (linked_here || agent.last_seen_at.plus(ONLINE_WITHIN) >= call.now());
    let (replaced_at, removed_at) = match agent.retired {
        None => (None, None),
        Some(Retired::Replaced { at }) => (Some(at), None),
        Some(Retired::Removed { at }) => (None, Some(at)),
    };
    AgentItem {
        // As in ListInstanceRecords: exact in 64 bits and in every client's numbers (DECISIONS I1).
        account_id: agent.account.as_str().parse().unwrap_or_default(),
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
        sealing_public_key: agent.trusted_key().map_or_else(String::new, |trusted| trusted.key.to_string()),
        enrolled_at: wire_time(agent.enrolled_at),
        replaced_at: replaced_at.map(wire_time),
        removed_at: removed_at.map(wire_time),
        last_seen_time: wire_time(agent.last_seen_at),
        recordings_gone: wire_count(missing.of(&agent.id, Absence::Gone)),
        recordings_not_arrived: wire_count(missing.of(&agent.id, Absence::NotArrived)),
        waiting_recordings: waiting.map_or(0, |waiting| waiting.recordings),
        waiting_reason: waiting.map(|waiting| waiting.reason.clone()),
        waiting_since: waiting.map(|waiting| wire_time(waiting.since)),
        spool_disk_state: disk.map(|disk| disk.state.as_str().to_owned()),
        spool_disk_free_bytes: disk.map(|disk| i64::try_from(disk.free_bytes).unwrap_or(i64::MAX)),
        spool_disk_told_at: disk.map(|disk| wire_time(disk.told_at)),
    }
}
