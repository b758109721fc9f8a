//! `hansard-agent status`.

use std::path::Path;

use agent_protocol::configuration::EffectiveConfiguration;
use agent_protocol::local::{
    DamagedFiles, Deliveries, DiskState, DiskStatus, LinkState, LocalReply, LocalRequest, LocalSession,
    LocalStatus, SessionState,
};
use recording::AgentId;
use recording::sanitise::sanitised;
use serde::Serialize;

use crate::identity::Identity;
use crate::settings::Output;
use crate::state_directory::StateDirectory;
use crate::{local_socket, run, say, say_json};

/// What `--output json` prints.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Status {
    identity: Identity,
    /// Whether sessions are recorded; nothing when no configuration is known.
    recording: Option<bool>,
    configuration: Option<EffectiveConfiguration>,
    /// Why there is none.
    configuration_error: Option<String>,
    /// Nothing when no agent runs.
    running: Option<LocalStatus>,
    /// What lies in the spool while no agent runs.
    waiting: Vec<run::WaitingSession>,
}

/// Prints the state of the agent.
pub(crate) fn status(state_dir: &Path, output: Output) -> Result<(), String> {
    let directory = StateDirectory::at(state_dir);
    let identity = Identity::get(&directory)?;
    let (configuration, configuration_error) = match identity.stored_configuration(&directory) {
        Ok(configuration) => (configuration, None),
        Err(why) => (None, Some(why)),
    };
    let running = ask(&directory)?;
    let waiting = if running.is_some() { Vec::new() } else { run::list_spool(&directory.spool())? };
    let recording = configuration.as_ref().map(|configuration| configuration.recording.is_some());
    let status = Status { identity, recording, configuration, configuration_error, running, waiting };
    match output {
        Output::Json => say_json(&status)?,
        Output::Table => print_table(&status),
    }
    Ok(())
}

fn ask(directory: &StateDirectory) -> Result<Option<LocalStatus>, String> {
    let cannot = |error: std::io::Error| format!("the agent cannot be asked: {error}");
    let Some(stream) = local_socket::connect(directory).map_err(cannot)? else { return Ok(None) };
    match local_socket::ask(&stream, &LocalRequest::Status).map_err(cannot)? {
        (LocalReply::Status { status }, _) => Ok(Some(*status)),
        (LocalReply::Busy { reason }, _) => Err(format!("the agent is busy: {reason}")),
        _ => Err("the agent's answer does not belong to a status request".to_owned()),
    }
}

fn print_table(status: &Status) {
    let identity = &status.identity;
    say(&format!("agent          {}", identity.agent_id));
    say(&format!(
        "instance       {} (account {}, {})",
        identity.instance_id, identity.account_id, identity.region
    ));
    say(&format!("server         {}", identity.server_url));
    say(&format!("recording      {}", describe_configuration(status)));
    match &status.running {
        None => {
            say("agent process  not running");
            for session in &status.waiting {
                let quarantined = session.quarantined_since.as_deref();
                say(&format!(
                    "session        {}  waiting for an agent{}, {} bytes{}{}",
                    session.terminal_session_token,
                    recorded_by(session.agent_id.as_ref(), identity),
                    session.spool_bytes,
                    quarantined.map(|since| format!(", in quarantine since {since}")).unwrap_or_default(),
                    because(session.reason.as_deref())
                ));
            }
        }
        Some(running) => {
            say(&format!("agent process  {}", running.process_id));
            let link = match running.link {
                LinkState::Connected => "open",
                LinkState::Connecting => "down, being dialled",
                LinkState::Refused => "refused, for the control plane has no such agent any more",
            };
            say(&format!("link           {link}{}", because(running.last_error.as_deref())));
            if let Some(disk) = &running.disk {
                say(&format!("spool's disk   {}", describe_disk(disk)));
            }
            if let Some(damaged) = &running.damaged_files {
                print_damaged(damaged);
            }
            say(&format!("delivery       {}", describe_deliveries(&running.deliveries)));
            for session in &running.sessions {
                say(&format!("session        {}", describe_session(session, identity)));
            }
        }
    }
}

fn describe_disk(disk: &DiskStatus) -> String {
    let DiskStatus { free_bytes, low_below_bytes, critical_below_bytes, advised_bytes, .. } = disk;
    let state = match disk.state {
        DiskState::Available => "available".to_owned(),
        DiskState::Low => format!("low (under {low_below_bytes} bytes): no new session is recorded"),
        DiskState::Critical => {
            format!("critical (under {critical_below_bytes} bytes): running sessions are ended")
        }
    };
    let advice = if free_bytes < advised_bytes {
        format!("; {advised_bytes} bytes are advised for the sessions that run, 1 GiB each")
    } else {
        String::new()
    };
    format!("{state}, {free_bytes} bytes of {} are free{advice}", disk.total_bytes)
}

fn print_damaged(damaged: &DamagedFiles) {
    say(&format!("damaged spools {} bytes of at most {}", damaged.bytes, damaged.most_bytes));
    for user in &damaged.users {
        let whose = user.user_id.map_or("an unknown user".to_owned(), |id| format!("user {id}"));
        let refused = user.refused.as_deref().map(|why| format!("; new sessions are refused: {why}"));
        say(&format!(
            "               {whose}: {} of at most {}{}",
            user.bytes,
            user.most_bytes,
            refused.unwrap_or_default()
        ));
    }
}

fn describe_configuration(status: &Status) -> String {
    match (&status.configuration, &status.configuration_error) {
        (Some(configuration), _) => match &configuration.recording {
            Some(recording) => format!(
                "on, to {} for {} days (set for {}, revision {})",
                recording.record_storage_target,
                recording.expiration_days,
                recording.selector,
                configuration.revision
            ),
            None => format!("off (revision {})", configuration.revision),
        },
        (None, why) => format!("unknown{}: sessions are recorded with the defaults", because(why.as_deref())),
    }
}

fn describe_deliveries(counts: &Deliveries) -> String {
    let Deliveries { pending, retrying, quarantined, delivered } = counts;
    format!(
        "{pending} pending, {retrying} retrying, {quarantined} in quarantine, {delivered} delivered since the start"
    )
}

/// Names the agent that recorded a session, if it was one before this.
fn recorded_by(agent_id: Option<&AgentId>, identity: &Identity) -> String {
    let earlier = agent_id.filter(|agent_id| **agent_id != identity.agent_id);
    earlier.map(|agent_id| format!(", recorded by {agent_id}")).unwrap_or_default()
}

fn describe_session(session: &LocalSession, identity: &Identity) -> String {
    let state = match session.state {
        SessionState::Recording => "recording",
        SessionState::Delivering => "being delivered",
        SessionState::Refused => "refused",
        SessionState::Damaged => "damaged",
        SessionState::Unreadable => "unreadable",
    };
    format!(
        "{}  {state}{}{}, {} of {} segments delivered, {} bytes{}",
        session.terminal_session_token,
        session
            .quarantined_since
            .as_deref()
            .map(|since| format!(", in quarantine since {since}"))
            .unwrap_or_default(),
        recorded_by(session.agent_id.as_ref(), identity),
        session.acknowledged,
        session.segments,
        session.spool_bytes,
        because(session.reason.as_deref())
    )
}

fn because(reason: Option<&str>) -> String {
    reason.map(|reason| format!(" ({})", sanitised(reason))).unwrap_or_default()
}
