//! `hansard recordings verify --agent ID` and `--all`: checks whether all recordings of agents exist. `hansard
//! recordings verify TOKEN` checks the contents of one.

use openapi::workbench::{CheckedAgentItem, MissingRecordingItem};
use serde_json::{Value, json};

use crate::arguments::{Output, VerifyArguments};
use crate::client::Client;
use crate::failure::{Failure, exit_code};
use crate::{reply, terminal};
use recording::sanitise::sanitised;

const ACTION: &str = "VerifyAgentRecordings";

/// Runs the command and gives its exit code.
///
/// # Errors
/// The call is refused, or there is no such agent, or none of the instance.
pub(crate) async fn run(client: &Client, arguments: &VerifyArguments, output: Output) -> Result<u8, Failure> {
    let instance = arguments.instance_id.as_ref().map(ToString::to_string);
    let agent = arguments.agent.as_ref().map(ToString::to_string);
    let given = [("InstanceId", instance), ("AgentId", agent)];
    let parameters: Vec<_> =
        given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    let answer = client.call(ACTION, &parameters).await?;
    let listed = reply::list(ACTION, &answer, "AgentList")?;
    let agents: Vec<CheckedAgentItem> =
        listed.iter().cloned().map(|agent| reply::read(ACTION, agent)).collect::<Result<_, _>>()?;
    if let (Some(named), true) = (named(arguments), agents.is_empty()) {
        return Err(Failure::not_found(format!("the account has no {named}, and its audit trail has none")));
    }
    let code = exit_code_of(&agents);
    match output {
        Output::Json => terminal::print_json(&as_json(listed, code))?,
        Output::Table => terminal::print(&as_text(&agents, code))?,
    }
    Ok(code)
}

/// What the command line names. An account may have no agents at all.
fn named(arguments: &VerifyArguments) -> Option<String> {
    match (&arguments.agent, &arguments.instance_id) {
        (Some(agent), None) => Some(format!("agent {agent}")),
        (Some(agent), Some(instance)) => Some(format!("agent {agent} of instance {instance}")),
        (None, Some(instance)) => Some(format!("agent of instance {instance}")),
        (None, None) => None,
    }
}

/// The worst result counts; a failed check counts only if nothing worse is known.
fn exit_code_of(agents: &[CheckedAgentItem]) -> u8 {
    let any = |count: fn(&CheckedAgentItem) -> i32| agents.iter().any(|agent| count(agent) > 0);
    if any(|agent| agent.gone_count) {
        exit_code::INCONSISTENT
    } else if any(|agent| agent.unchecked_count) {
        exit_code::FAILED
    } else if any(|agent| agent.not_arrived_count) {
        exit_code::PROVEN_PREFIX
    } else {
        0
    }
}

fn word(code: u8) -> &'static str {
    match code {
        0 => "all there",
        exit_code::INCONSISTENT => "gone",
        exit_code::PROVEN_PREFIX => "not arrived",
        _ => "not checked",
    }
}

fn as_json(agents: Vec<Value>, code: u8) -> Value {
    json!({ "Verdict": word(code), "ExitCode": code, "Agents": agents })
}

fn as_text(agents: &[CheckedAgentItem], code: u8) -> String {
    let mut text = String::new();
    for agent in agents {
        let instance = agent.instance_id.as_deref().unwrap_or("an unknown instance");
        text.push_str(&format!(
            "Agent {} of {}: {}\n",
            sanitised(&agent.agent_id),
            sanitised(instance),
            summary(agent)
        ));
        for missing in &agent.missing_list {
            text.push_str(&format!("! {}\n", line(missing)));
        }
        for token in &agent.unchecked_list {
            text.push_str(&format!("! not checked: {}\n", sanitised(token)));
        }
        let unchecked = usize::try_from(agent.unchecked_count).unwrap_or(0);
        if unchecked > agent.unchecked_list.len() {
            text.push_str(&format!(
                "! and {} more that could not be checked\n",
                unchecked - agent.unchecked_list.len()
            ));
        }
        let shown = agent.missing_list.iter().map(width).fold(0, i64::saturating_add);
        let all = i64::from(agent.gone_count) + i64::from(agent.not_arrived_count);
        if all > shown {
            text.push_str(&format!("! and {} more\n", all - shown));
        }
    }
    if agents.is_empty() {
        text.push_str("No agents.\n");
    }
    text.push_str(&format!("Verdict: {}\n", word(code)));
    if code == 0 && !agents.is_empty() {
        text.push_str("What each holds, `hansard recordings verify TOKEN` checks.\n");
    }
    text
}

fn summary(agent: &CheckedAgentItem) -> String {
    let recordings = match agent.recording_count {
        1 => "1 recording".to_owned(),
        count => format!("{count} recordings"),
    };
    let more: Vec<String> = [
        (agent.gone_count, "gone"),
        (agent.not_arrived_count, "not arrived"),
        (agent.unchecked_count, "could not be checked, because their store did not answer or refused access"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect();
    if more.is_empty() {
        format!("{recordings}, none missing")
    } else {
        format!("{recordings}; {}", more.join(", "))
    }
}

/// How many recordings are missing there.
fn width(missing: &MissingRecordingItem) -> i64 {
    match (missing.number, missing.last_number) {
        (Some(first), Some(last)) => last.saturating_sub(first).saturating_add(1),
        _ => 1,
    }
}

fn line(missing: &MissingRecordingItem) -> String {
    let number = match (missing.number, missing.last_number) {
        (Some(first), Some(last)) => format!("numbers {first} to {last}"),
        (Some(number), None) => format!("number {number}"),
        (None, _) => "of unknown number".to_owned(),
    };
    let token = missing.terminal_session_token.as_ref().map_or(String::new(), |token| format!(" {token}"));
    let absence = if missing.absence == "Gone" { "gone" } else { "not arrived" };
    sanitised(&format!("{absence}:{token} {number}, since {}: {}", missing.since, missing.reason))
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(gone: i32, not_arrived: i32, unchecked: i32) -> CheckedAgentItem {
        CheckedAgentItem {
            agent_id: "agent-0".to_owned(),
            instance_id: None,
            recording_count: 3,
            unchecked_count: unchecked,
            unchecked_list: Vec::new(),
            gone_count: gone,
            not_arrived_count: not_arrived,
            missing_list: Vec::new(),
        }
    }

    #[test]
    fn the_worst_decides() {
        for (agents, code) in [
            (vec![], 0),
            (vec![agent(0, 0, 0)], 0),
            (vec![agent(0, 0, 0), agent(0, 2, 0)], 3),
            (vec![agent(0, 2, 1)], 1),
            (vec![agent(0, 2, 1), agent(1, 0, 0)], 4),
        ] {
            assert_eq!(exit_code_of(&agents), code);
        }
        assert_eq!(summary(&agent(1, 2, 0)), "3 recordings; 1 gone, 2 not arrived");
        assert_eq!(summary(&agent(0, 0, 0)), "3 recordings, none missing");
    }

    #[test]
    fn recordings_that_could_not_be_checked_are_named() {
        let unchecked = CheckedAgentItem {
            unchecked_list: vec!["000102030405060708090a0b0c0d0e0f".to_owned(), "\u{1b}[2J".to_owned()],
            ..agent(0, 0, 5)
        };
        assert_eq!(
            as_text(&[unchecked], exit_code::FAILED),
            "Agent agent-0 of an unknown instance: \
             3 recordings; 5 could not be checked, because their store did not answer or refused access\n\
             ! not checked: 000102030405060708090a0b0c0d0e0f\n\
             ! not checked: \\u{1b}[2J\n\
             ! and 3 more that could not be checked\n\
             Verdict: not checked\n"
        );
    }

    #[test]
    fn missing_recordings_that_are_not_shown_are_counted() {
        let missing = |first: i64, last: Option<i64>| MissingRecordingItem {
            absence: "NotArrived".to_owned(),
            terminal_session_token: None,
            number: Some(first),
            last_number: last,
            since: "2023-04-10T12:41:28Z".to_owned(),
            reason: "later ones arrived".to_owned(),
        };
        for (missing_list, more) in [
            (vec![missing(1, None)], Some("! and 299 more\n")),
            (vec![missing(1, None), missing(101, Some(350))], Some("! and 49 more\n")),
            (vec![missing(1, None), missing(101, Some(399))], None),
            // More than the count can say.
            (vec![missing(1, Some(i64::MAX)), missing(1, None)], None),
        ] {
            let text = as_text(&[CheckedAgentItem { missing_list, ..agent(0, 300, 0) }], 3);
            assert_eq!(
                text.lines().find(|line| line.starts_with("! and")),
                more.map(str::trim_end),
                "{text}"
            );
        }
    }

    #[test]
    fn a_complete_result_says_that_contents_were_not_checked() {
        let sentence = "What each holds, `hansard recordings verify TOKEN` checks.\n";
        let text = as_text(&[agent(0, 0, 0)], 0);
        assert!(text.ends_with(&format!("Verdict: all there\n{sentence}")), "{text}");
        assert_eq!(as_text(&[], 0), "No agents.\nVerdict: all there\n");
        assert!(!as_text(&[agent(1, 0, 0)], exit_code::INCONSISTENT).contains(sentence));
    }
}
