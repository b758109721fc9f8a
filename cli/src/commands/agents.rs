//! `hansard agents`: which agents there are, and the tokens with which they join.

use openapi::workbench::AgentItem;
use serde_json::{Value, json};

use crate::arguments::{AgentsArguments, AgentsCommand, Output, TokenCommand};
use crate::client::Client;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::table::{Table, facts};
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

async fn list(client: &Client, output: Output) -> Result<(), Failure> {
    let mut agents: Vec<Value> = Vec::new();
    for page in 1.. {
        let parameters =
            [("PageNumber".to_owned(), page.to_string()), ("PageSize".to_owned(), PAGE_SIZE.to_string())];
        let reply = client.call("ListAgents", &parameters).await?;
        let listed = reply::list("ListAgents", &reply, "AgentList")?;
        let last = listed.len() < PAGE_SIZE;
        agents.extend(listed);
        if last {
            break;
        }
    }
    if output == Output::Json {
        return terminal::print_json(&Value::Array(agents));
    }
    let mut table = Table::new(&["INSTANCE", "AGENT", "STATUS", "HOST", "VERSION", "CAPTURES", "LAST SEEN"]);
    for agent in agents {
        let agent: AgentItem = reply::read("ListAgents", agent)?;
        let captures: Vec<_> = agent.capabilities.iter().map(|kind| kind.kind.as_str()).collect();
        table.row([
            agent.instance_id.as_str(),
            &agent.agent_id,
            &agent.status,
            &agent.hostname,
            &agent.agent_version,
            &captures.join(","),
            &agent.last_seen_time,
        ]);
    }
    if table.is_empty() {
        terminal::note("no agents; `hansard agents token create --instance-id ID` makes a token for one");
    }
    terminal::print(&table.to_text())
}
