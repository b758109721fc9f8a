//! How a session begins: by the configuration, if it can be kept.

use std::fs::{self, File};
use std::sync::Arc;

use agent_protocol::clock;
use agent_protocol::configuration::{EffectiveConfiguration, SignedConfiguration};
use agent_protocol::local::LocalReply;
use recording::{RecordingKind, Start, TerminalSessionToken, TerminalSize, Timestamp};
use rustix::fs::FlockOperation;

use super::Agent;
use super::cutting::Cutter;
use super::delivery;
use super::session::{Note, Session};
use crate::AGENT_VERSION;

const ROOT: u32 = 0;

/// What `record` asked for.
pub(super) struct Asked {
    pub(super) kind: String,
    pub(super) command: Vec<String>,
    pub(super) terminal: TerminalSize,
    pub(super) term: Option<String>,
    pub(super) shell: Option<String>,
    /// Who asked, as the kernel says.
    pub(super) user_id: u32,
}

/// How a session begins, if it does.
pub(super) enum Beginning {
    /// It is recorded: the session, and its spool with the recorder's lock on it.
    Recorded(Box<Session>, File),
    /// It is not, and this is the answer.
    Answered(LocalReply),
}

/// Decides by the effective configuration (DECISIONS N3) and makes the session.
pub(super) fn begin(agent: &Agent, asked: Asked) -> Beginning {
    let refuse = |reason: String| Beginning::Answered(LocalReply::Refused { reason });
    let not_recorded = |reason: String| Beginning::Answered(LocalReply::NotRecorded { reason });

    // Never having seen a configuration is no reason not to record: the control plane uses the deployment's defaults.
    let configuration = agent.configuration.current();
    if let Some((configuration, _)) = &configuration {
        let instance = &configuration.instance_id;
        let revision = configuration.revision;
        if configuration.recording.is_none() {
            return not_recorded(format!(
                "recording is off for instance {instance} (configuration revision {revision})"
            ));
        }
        if configuration.failure_policy_of(&asked.kind).is_none() {
            return not_recorded(format!(
                "the control plane asks for no {} recordings of instance {instance} (configuration revision {revision})",
                asked.kind
            ));
        }
    }
    if agent.capture(&asked.kind).is_none() {
        return refuse(format!("this agent has no capture of kind {:?}", asked.kind));
    }
    // Each costs descriptors and space that others need too.
    if asked.user_id != ROOT && agent.sessions.open_of(asked.user_id) >= agent.most_sessions_of_a_user {
        return refuse(format!(
            "user {} has {} sessions that are being recorded, and may have no more",
            asked.user_id, agent.most_sessions_of_a_user
        ));
    }
    if let Err(why) = check_free_space(agent) {
        return refuse(why);
    }
    match create(agent, asked, configuration) {
        Ok((session, spool)) => Beginning::Recorded(Box::new(session), spool),
        Err(error) => refuse(format!("the recording cannot be kept: {error}")),
    }
}

fn check_free_space(agent: &Agent) -> Result<(), String> {
    let file_system = rustix::fs::statvfs(agent.directory.spool())
        .map_err(|error| format!("the spool's file system cannot be asked for its free space: {error}"))?;
    let free = file_system.f_bavail.saturating_mul(file_system.f_frsize);
    if free < agent.minimum_free_bytes {
        return Err(format!(
            "only {free} bytes are free for the spool in {}, {} are needed",
            agent.directory.spool().display(),
            agent.minimum_free_bytes
        ));
    }
    Ok(())
}

fn create(
    agent: &Agent,
    asked: Asked,
    configuration: Option<(EffectiveConfiguration, SignedConfiguration)>,
) -> std::io::Result<(Session, File)> {
    let (revision, configuration) =
        configuration.map_or((0, None), |(configuration, signed)| (configuration.revision, Some(signed)));
    let mut ledger = agent.ledger.lock();
    let start = Start {
        format: recording::DocumentFormat::V1,
        recording: TerminalSessionToken::generate(),
        kind: RecordingKind::Terminal,
        account: agent.identity.account_id.clone(),
        instance: agent.identity.instance_id.clone(),
        agent: agent.identity.agent_id.clone(),
        agent_sealing_key: agent.sealing.public_key(),
        agent_recording_number: ledger.next_recording_number,
        previous_manifest: ledger.last_manifest,
        configuration_revision: revision,
        started_at: Timestamp::from_millis(agent.control_plane.now_millis()),
        terminal: asked.terminal,
        command: Some(asked.command),
        claimed_user: Some(user_of(asked.user_id)),
        term: asked.term,
        shell: asked.shell,
        agent_version: Some(AGENT_VERSION.to_owned()),
    };
    let note = Note {
        kind: asked.kind,
        start_boottime_micros: clock::boottime_micros(),
        user_id: Some(asked.user_id),
        configuration,
    };
    let (session, spool) = Session::create(&agent.directory.spool(), start, note)?;
    // The number is taken by the session's folder. If noting that fails, the next start reads it from there.
    ledger.next_recording_number += 1;
    agent.ledger.store(&ledger)?;
    // The lock goes with the descriptor: it holds until the recorder ends, however it ends.
    rustix::fs::flock(&spool, FlockOperation::NonBlockingLockExclusive)?;
    Ok((session, spool))
}

/// The user's name, with the number the kernel vouches for.
fn user_of(user_id: u32) -> String {
    let name = fs::read_to_string("/etc/passwd").ok().and_then(|text| find_user(&text, user_id));
    match name {
        Some(name) => format!("{name} (uid {user_id})"),
        None => format!("uid {user_id}"),
    }
}

fn find_user(passwd: &str, user_id: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(user_id)).then(|| name.to_owned())
    })
}

/// From now on the session is cut and delivered.
pub(super) fn register(agent: &Arc<Agent>, cutter: &Cutter, session: Session) {
    let session = Arc::new(session);
    agent.sessions.add(&session);
    if !session.progress().sealed {
        cutter.follow(Arc::clone(&session));
    }
    tokio::spawn(delivery::deliver(Arc::clone(agent), session));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_have_names() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nbad line\nana:x:1000:1000::/home/ana:/bin/sh\n";
        assert_eq!(find_user(passwd, 1000).as_deref(), Some("ana"));
        assert_eq!(find_user(passwd, 0).as_deref(), Some("root"));
        assert_eq!(find_user(passwd, 7), None);
    }
}
