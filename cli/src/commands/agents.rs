//! `hansard agents`: which agents there are, and the tokens with which they join.

mod remove;

use std::path::Path;

use domain::clock::{Clock as _, SystemClock};
use openapi::workbench::AgentItem;
use recording::{
    AccountId, AgentId, Enrolment, InstanceId, SealingPublicKey, Timestamp, TrustedKey, TrustedKeys,
};
use serde_json::{Value, json};

use crate::arguments::{AgentsArguments, AgentsCommand, Output, TokenCommand};
use crate::client::Client;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::private_file::{self, Existing};
use crate::table::{Table, facts, short_time};
use crate::{reply, terminal};

/// The most that a page may show.
const PAGE_SIZE: usize = 100;

/// Runs the command.
///
/// # Errors
/// The call is refused.
pub(crate) async fn run(arguments: &AgentsArguments, environment: &Environment) -> Result<(), Failure> {
    let client = Client::from_environment(environment)?;
    match &arguments.command {
        AgentsCommand::Ls => list(&client, arguments.output).await,
        AgentsCommand::Rm { name, yes } => remove::run(&client, name, *yes, arguments.output).await,
        AgentsCommand::Keys { out, force } => keys(&client, out.as_deref(), *force).await,
        AgentsCommand::Token(TokenCommand::Create { instance_id, ttl, replace }) => {
            let parameters = [
                ("InstanceId".to_owned(), instance_id.to_string()),
                ("TtlSeconds".to_owned(), ttl.as_secs().to_string()),
                ("Replace".to_owned(), replace.to_string()),
            ];
            let made = client.call("CreateAgentJoinToken", &parameters).await?;
            create_token(&made, instance_id.as_str(), arguments.output)
        }
    }
}

fn create_token(made: &Value, instances: &str, output: Output) -> Result<(), Failure> {
    let token = reply::text("CreateAgentJoinToken", made, "Token")?;
    let expires = reply::text("CreateAgentJoinToken", made, "TokenExpireTime")?;
    match output {
        Output::Json => terminal::print_json(&json!({
            "Token": token,
            "TokenExpireTime": expires,
            "InstanceId": instances,
        })),
        Output::Table => terminal::print(&facts([
            ("Token", token.to_owned()),
            ("InstanceId", instances.to_owned()),
            ("Good until", expires.to_owned()),
        ])),
    }
}

/// All agents that the caller may list.
async fn listed(client: &Client, include_replaced: bool) -> Result<Vec<Value>, Failure> {
    Ok(listed_with_leave_keys(client, include_replaced).await?.0)
}

/// The same, with the keys with which the control plane gives leave; an earlier version has none.
async fn listed_with_leave_keys(
    client: &Client,
    include_replaced: bool,
) -> Result<(Vec<Value>, Vec<SealingPublicKey>), Failure> {
    let mut agents: Vec<Value> = Vec::new();
    let mut leave_keys = Vec::new();
    for page in 1.. {
        let parameters = [
            ("PageNumber".to_owned(), page.to_string()),
            ("PageSize".to_owned(), PAGE_SIZE.to_string()),
            ("IncludeReplaced".to_owned(), include_replaced.to_string()),
        ];
        let reply = client.call("ListAgents", &parameters).await?;
        let listed = reply::list("ListAgents", &reply, "AgentList")?;
        let keys = &reply["Root"]["LeaveKeys"];
        if !keys.is_null() {
            leave_keys = reply::read("ListAgents", keys.clone())?;
        }
        let last = listed.len() < PAGE_SIZE;
        agents.extend(listed);
        if last {
            break;
        }
    }
    Ok((agents, leave_keys))
}

/// Writes what `recordings verify --trust` reads.
async fn keys(client: &Client, out: Option<&Path>, force: bool) -> Result<(), Failure> {
    let (agents, leave_keys) = listed_with_leave_keys(client, true).await?;
    let agents = agents.into_iter().map(|agent| trusted_key(&reply::read("ListAgents", agent)?));
    let text = keys_file(agents.collect::<Result<_, _>>()?, leave_keys);
    let Some(file) = out else { return terminal::print(&text) };
    private_file::write(file, &text, if force { Existing::Replace } else { Existing::Refuse })
}

fn keys_file(agents: Vec<TrustedKey>, leave_keys: Vec<SealingPublicKey>) -> String {
    format!("{KEYS_HEADING}\n{}", TrustedKeys::new(agents, leave_keys))
}

const KEYS_HEADING: &str = "\
# Sealing keys of agents, for `hansard recordings verify --trust`. Each is trusted for recordings of its own agent,
# account and instance that started between from= and until=; an agent without until= is enrolled still. Those of the
# control plane are trusted to give leave: for recordings of an agent that its successor sealed.";

fn trusted_key(agent: &AgentItem) -> Result<TrustedKey, Failure> {
    let other_shape = |error: &dyn std::fmt::Display| {
        Failure::failed(format!("ListAgents: the server's reply has an unexpected shape: {error}"))
    };
    let moment = |text: &str| Timestamp::parse_rfc3339_seconds(text).map_err(|error| other_shape(&error));
    Ok(TrustedKey {
        key: SealingPublicKey::parse(&agent.sealing_public_key).map_err(|error| other_shape(&error))?,
        enrolment: Some(Enrolment {
            agent: AgentId::parse(&agent.agent_id).map_err(|error| other_shape(&error))?,
            account: AccountId::parse(&agent.account_id.to_string()).map_err(|error| other_shape(&error))?,
            instance: InstanceId::parse(&agent.instance_id).map_err(|error| other_shape(&error))?,
            from: moment(&agent.enrolled_at)?,
            until: agent.replaced_at.as_deref().or(agent.removed_at.as_deref()).map(moment).transpose()?,
        }),
    })
}

async fn list(client: &Client, output: Output) -> Result<(), Failure> {
    let mut values = Vec::new();
    let mut agents = Vec::new();
    for value in listed(client, true).await? {
        let agent: AgentItem = reply::read("ListAgents", value.clone())?;
        if is_shown(&agent) {
            values.push(value);
            agents.push(agent);
        }
    }
    if output == Output::Json {
        return terminal::print_json(&Value::Array(values));
    }
    if agents.is_empty() {
        terminal::note("no agents; `hansard agents token create --instance-id ID` makes a token for one");
    }
    terminal::print(&text_of(&agents, terminal::columns(), SystemClock.now()))
}

/// A line for each agent. A terminal of so many columns is shown what fits there: short times, no column that says
/// nothing, and where something is wrong with an agent, that instead of what it is.
fn text_of(agents: &[AgentItem], columns: Option<usize>, now: Timestamp) -> String {
    let Some(columns) = columns else { return table_of(agents, |time| time.to_owned()).to_text() };
    let table =
        table_of(agents, |time| short_time(time, now)).without_silent(&["MISSING", "WAITING", "DISK"]);
    let troubled = table.has("MISSING") || table.has("WAITING") || table.has("DISK");
    let table = if troubled { table.without(&["VERSION", "CAPTURES"]) } else { table };
    table.to_text_within(
        columns,
        &[("INSTANCE", 8), ("AGENT", 14), ("HOST", 4), ("MISSING", 7), ("WAITING", 7), ("DISK", 8)],
    )
}

/// The present agents, and the replaced and removed ones with missing recordings, which no other line would show.
fn is_shown(agent: &AgentItem) -> bool {
    is_present(agent) || agent.recordings_gone > 0 || agent.recordings_not_arrived > 0
}

/// Whether it is the agent of its instance.
fn is_present(agent: &AgentItem) -> bool {
    agent.replaced_at.is_none() && agent.removed_at.is_none()
}

fn table_of(agents: &[AgentItem], time: impl Fn(&str) -> String) -> Table {
    let mut table = Table::new(&[
        "INSTANCE",
        "AGENT",
        "STATUS",
        "HOST",
        "VERSION",
        "CAPTURES",
        "LAST SEEN",
        "MISSING",
        "WAITING",
        "DISK",
    ]);
    for agent in agents {
        let captures: Vec<_> = agent.capabilities.iter().map(|kind| kind.kind.as_str()).collect();
        let waiting = match (agent.waiting_recordings, &agent.waiting_reason) {
            (0, _) => String::new(),
            (recordings, None) => recordings.to_string(),
            (recordings, Some(reason)) => format!("{recordings}: {reason}"),
        };
        let status = match (&agent.replaced_at, &agent.removed_at) {
            (Some(_), _) => "replaced",
            (None, Some(_)) => "removed",
            (None, None) => agent.status.as_str(),
        };
        table.row([
            agent.instance_id.as_str(),
            &agent.agent_id,
            status,
            &agent.hostname,
            &agent.agent_version,
            &captures.join(","),
            &time(&agent.last_seen_time),
            &missing(agent),
            &waiting,
            &disk(agent),
        ]);
    }
    table
}

/// What follows from the room on the disk of its spool, where there is too little.
fn disk(agent: &AgentItem) -> String {
    match (agent.spool_disk_state.as_deref(), agent.spool_disk_free_bytes) {
        (None | Some("available"), _) => String::new(),
        (Some(state), None) => state.to_owned(),
        (Some(state), Some(bytes)) => format!("{state}: {} MiB free", bytes / (1024 * 1024)),
    }
}

/// Which recordings were missing at the last check; `hansard recordings verify --agent ID` names them.
fn missing(agent: &AgentItem) -> String {
    match (agent.recordings_gone, agent.recordings_not_arrived) {
        (0, 0) => "-".to_owned(),
        (gone, 0) => format!("{gone} gone"),
        (0, not_arrived) => format!("{not_arrived} not arrived"),
        (gone, not_arrived) => format!("{gone} gone, {not_arrived} not arrived"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn agent(id: &str, replaced_at: Option<&str>, gone: i32, not_arrived: i32) -> AgentItem {
        AgentItem {
            account_id: 1_609_982_529_000_000,
            agent_id: id.to_owned(),
            instance_id: "i-web1".to_owned(),
            region_id: "cn-hangzhou".to_owned(),
            hostname: "web-1".to_owned(),
            agent_version: "0.1.0".to_owned(),
            capabilities: Vec::new(),
            status: "offline".to_owned(),
            enrol_time: "2023-04-10T12:41:28Z".to_owned(),
            sealing_public_key: "6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=".to_owned(),
            enrolled_at: "2023-04-10T12:41:28Z".to_owned(),
            replaced_at: replaced_at.map(str::to_owned),
            removed_at: None,
            last_seen_time: "2023-04-10T12:41:28Z".to_owned(),
            recordings_gone: gone,
            recordings_not_arrived: not_arrived,
            waiting_recordings: 0,
            waiting_reason: None,
            waiting_since: None,
            spool_disk_state: None,
            spool_disk_free_bytes: None,
            spool_disk_told_at: None,
        }
    }

    #[test]
    fn the_file_of_keys_has_those_of_the_agents_and_of_the_control_plane() {
        let key = SealingPublicKey::parse("6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=").unwrap();
        let id = "agent-5f0c6de1c8b04a1c9a3f5d0c8e7b6a52";
        let agent = trusted_key(&agent(id, Some("2023-05-10T12:41:28Z"), 0, 0)).unwrap();
        let text = keys_file(vec![agent.clone()], vec![key]);
        assert!(text.lines().any(|line| line == format!("{key} control-plane")), "{text}");
        assert_eq!(TrustedKeys::parse(&text).unwrap(), TrustedKeys::new(vec![agent], vec![key]));
    }

    #[test]
    fn a_replaced_or_removed_agent_is_shown_as_long_as_a_recording_of_it_is_missing() {
        let replaced = Some("2023-05-10T12:41:28Z");
        let mut agents = vec![
            agent("agent-3", None, 0, 0),
            agent("agent-2", replaced, 1, 0),
            agent("agent-1", replaced, 0, 2),
            agent("agent-0", replaced, 0, 0),
            AgentItem { removed_at: replaced.map(str::to_owned), ..agent("agent-9", None, 0, 1) },
            AgentItem { removed_at: replaced.map(str::to_owned), ..agent("agent-8", None, 0, 0) },
        ];
        agents.retain(is_shown);
        let text = text_of(&agents, None, Timestamp::from_millis(0));
        let mut shown = Vec::new();
        for line in text.lines().skip(1) {
            let cells: Vec<&str> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
            shown.push([cells[1], cells[2], cells[cells.len() - 1]]);
        }
        assert_eq!(
            shown,
            [
                ["agent-3", "offline", "-"],
                ["agent-2", "replaced", "1 gone"],
                ["agent-1", "replaced", "2 not arrived"],
                ["agent-9", "removed", "1 not arrived"],
            ]
        );
    }

    #[test]
    fn a_disk_without_room_is_shown_and_one_with_room_is_not() {
        let disk = |state: Option<&str>, bytes| AgentItem {
            spool_disk_state: state.map(str::to_owned),
            spool_disk_free_bytes: bytes,
            ..agent("agent-1", None, 0, 0)
        };
        let text = |agents: &[AgentItem]| text_of(agents, Some(200), Timestamp::from_millis(0));
        for silent in [disk(None, None), disk(Some("available"), Some(1))] {
            assert!(!text(&[silent]).contains("DISK"));
        }
        let low = text(&[disk(Some("low"), Some(300 * 1024 * 1024 + 1))]);
        assert!(low.contains("DISK") && low.contains("low: 300 MiB free"), "{low}");
        assert!(text(&[disk(Some("of-a-later-version"), None)]).contains("of-a-later-version"));
    }
}
