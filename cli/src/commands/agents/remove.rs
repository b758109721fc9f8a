//! `hansard agents rm`: removes the agent of an instance.

use std::io::{BufRead as _, IsTerminal as _, Write as _, stderr, stdin};

use openapi::workbench::AgentItem;
use serde_json::{Value, json};

use crate::arguments::Output;
use crate::client::Client;
use crate::failure::Failure;
use crate::table::facts;
use crate::{reply, terminal};

/// The shortest beginning of a name that is taken for the name.
const SHORTEST_PREFIX: usize = 4;

/// Runs the command.
///
/// # Errors
/// No agent, or more than one, has this name; it was not confirmed; the call is refused.
pub(super) async fn run(client: &Client, name: &str, yes: bool, output: Output) -> Result<(), Failure> {
    let mut agents: Vec<AgentItem> = Vec::new();
    for agent in super::listed(client, false).await? {
        agents.push(reply::read("ListAgents", agent)?);
    }
    let agent = named(&agents, name)?;
    if !yes {
        confirm(agent)?;
    }
    // With both names, so that no other agent is removed that has taken its place meanwhile.
    let parameters = [
        ("InstanceId".to_owned(), agent.instance_id.clone()),
        ("AgentId".to_owned(), agent.agent_id.clone()),
    ];
    let removed = client.call("DeleteAgent", &parameters).await?;
    let ended = removed.get("Root").and_then(|root| root.get("RecordingsEnded")).and_then(Value::as_u64);
    match output {
        Output::Json => terminal::print_json(&json!({
            "AgentId": agent.agent_id,
            "InstanceId": agent.instance_id,
            "RecordingsEnded": ended,
        })),
        Output::Table => terminal::print(&facts([
            ("Removed", agent.agent_id.clone()),
            ("InstanceId", agent.instance_id.clone()),
            ("Recordings ended", ended.unwrap_or_default().to_string()),
        ])),
    }
}

/// The agent with this instance or id; without one, the only agent whose instance or id begins like that.
fn named<'a>(agents: &'a [AgentItem], name: &str) -> Result<&'a AgentItem, Failure> {
    let exact = |agent: &&AgentItem| agent.instance_id == name || agent.agent_id == name;
    if let Some(agent) = agents.iter().find(exact) {
        return Ok(agent);
    }
    let begins = |agent: &&AgentItem| {
        let digits = agent.agent_id.strip_prefix("agent-").unwrap_or_default();
        [agent.instance_id.as_str(), &agent.agent_id, digits].iter().any(|whole| whole.starts_with(name))
    };
    let fitting: Vec<&AgentItem> =
        if name.len() < SHORTEST_PREFIX { Vec::new() } else { agents.iter().filter(begins).collect() };
    match fitting[..] {
        [agent] => Ok(agent),
        [] => Err(Failure::failed(format!(
            "there is no agent of the instance, or with the id, {name}; `hansard agents ls` lists them"
        ))),
        _ => {
            let all: Vec<String> =
                fitting.iter().map(|agent| format!("{} ({})", agent.instance_id, agent.agent_id)).collect();
            Err(Failure::failed(format!("{name} could be each of these agents: {}", all.join(", "))))
        }
    }
}

/// Asks the person, if there is one.
fn confirm(agent: &AgentItem) -> Result<(), Failure> {
    let (agent, instance) = (&agent.agent_id, &agent.instance_id);
    if !stdin().is_terminal() || !stderr().is_terminal() {
        return Err(Failure::usage(format!(
            "nobody can be asked whether {agent} of {instance} is to be removed; add --yes"
        )));
    }
    let question = format!(
        "Remove {agent} of {instance}? Its keys are refused at once, and its open recordings end. [y/N] "
    );
    let failed = |error: std::io::Error| Failure::failed(format!("the terminal cannot be read: {error}"));
    let mut shown = stderr();
    shown.write_all(question.as_bytes()).and_then(|()| shown.flush()).map_err(failed)?;
    let mut answer = String::new();
    stdin().lock().read_line(&mut answer).map_err(failed)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::failed("nothing was removed")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::agent;
    use super::*;

    fn agents() -> Vec<AgentItem> {
        [("i-web1", "agent-aabb1"), ("i-web10", "agent-aabb2"), ("i-db1", "agent-ccdd3")]
            .map(|(instance, id)| AgentItem { instance_id: instance.to_owned(), ..agent(id, None, 0, 0) })
            .into()
    }

    #[test]
    fn an_agent_is_named_by_its_instance_its_id_or_the_beginning_of_one() {
        let agents = agents();
        let found = |name: &str| named(&agents, name).map(|agent| agent.agent_id.clone()).ok();
        // A whole name is never taken for the beginning of another.
        assert_eq!(found("i-web1").as_deref(), Some("agent-aabb1"));
        for name in ["i-db1", "i-db", "agent-ccdd3", "agent-c", "ccdd"] {
            assert_eq!(found(name).as_deref(), Some("agent-ccdd3"), "{name}");
        }
        for name in ["", "i-d", "i-dbx", "xxxx", "DDDD"] {
            assert_eq!(found(name), None, "{name}");
        }
    }

    #[test]
    fn a_name_that_could_be_several_lists_them() {
        let said = named(&agents(), "aabb").unwrap_err().to_string();
        assert!(said.contains("i-web1 (agent-aabb1), i-web10 (agent-aabb2)"), "{said}");
        assert!(named(&agents(), "i-we").is_err());
    }
}
