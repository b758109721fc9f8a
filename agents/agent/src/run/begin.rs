//! How a session begins: as the configuration says, if it can be stored.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use agent_protocol::capture::SpoolName;
use agent_protocol::clock;
use agent_protocol::configuration::{EffectiveConfiguration, SignedConfiguration};
use agent_protocol::local::LocalReply;
use agent_protocol::recorder::{Connections, InputWay, RecorderOrder};
use recording::{
    CaptureKind, DeliveryMode, FailurePolicy, Recorder, Start, TerminalSessionToken, TerminalSize, Timestamp,
};
use rustix::fd::AsFd as _;

use super::cannot_be_kept::CannotBeKept;
use super::cutting::Cutter;
use super::delivery;
use super::outer_terminals::TakenForSession;
use super::peer::Peer;
use super::recorded_principals::PersonNames;
use super::recorder_process::RecorderNote;
use super::recorders::WaitingRecorder;
use super::session::{Note, Session, when_leave_comes};
use super::standing::Standing;
use super::transfers;
use super::{Agent, acknowledging};
use crate::readable_command::readable_command;
use crate::{AGENT_VERSION, account, append_only};

/// What `record` asked for.
pub(super) struct RecordRequest {
    pub(super) kind: CaptureKind,
    pub(super) command: Vec<String>,
    /// `None` where there is no terminal.
    pub(super) terminal: Option<TerminalSize>,
    pub(super) term: Option<String>,
    pub(super) shell: Option<String>,
    /// How the command's descriptors are to be connected.
    pub(super) connections: Connections,
    /// The text that the command's shell is to run, if somebody was made to record.
    pub(super) shell_text: Option<String>,
    /// Who asked, as the kernel says.
    pub(super) peer: Peer,
}

/// How a session begins, if it does.
pub(super) enum Beginning {
    /// It is recorded: its recorder has answered.
    Recorded(Box<Session>),
    /// It has a number, so that it is delivered, as interrupted, and leaves no hole; but nobody records it, and this is the
    /// answer.
    Broken(Box<Session>, LocalReply),
    /// It is not, and this is the answer.
    Answered(LocalReply),
}

/// Decides by the effective configuration (DECISIONS N3) and makes the session.
/// The recorder gets the connection.
pub(super) fn begin(agent: &Agent, request: RecordRequest, connection: &UnixStream) -> Beginning {
    let refuse = |reason: String| Beginning::Answered(LocalReply::Refused { reason });
    let not_recorded = |reason: String| Beginning::Answered(LocalReply::NotRecorded { reason });

    // Never having seen a configuration is no reason not to record: the control plane uses the deployment's defaults.
    let configuration = agent.configuration.current();
    let cannot_be_kept = CannotBeKept::new(&request, configuration.as_ref().map(|(known, _)| known));
    if let Some((configuration, _)) = &configuration {
        let instance = &configuration.instance_id;
        let revision = configuration.revision;
        if configuration.recording.is_none() {
            return not_recorded(format!(
                "recording is off for instance {instance} (configuration revision {revision})"
            ));
        }
        if configuration.failure_policy_of(request.kind.as_str()).is_none() {
            return not_recorded(format!(
                "the control plane asks for no {} recordings of instance {instance} (configuration revision {revision})",
                request.kind
            ));
        }
        let recorded = configuration.recording.as_ref().and_then(|on| on.recorded_principals.as_ref());
        if let Some(patterns) = recorded
            && !PersonNames::find(request.peer.user_id, request.peer.process_id).may_match(patterns)
        {
            return not_recorded(format!(
                "{} is none of the RecordedPrincipals of instance {instance} (configuration revision {revision})",
                user_of(request.peer.user_id)
            ));
        }
    }
    let Some(segmenting) = agent.segmenting(request.kind.as_str()) else {
        return refuse(format!("this agent cannot capture the kind {}", request.kind));
    };
    match session_around(agent, &request.peer) {
        Ok(None) => {}
        Ok(Some(token)) => {
            return not_recorded(format!("this is inside of session {token}, which is recorded"));
        }
        // Recorded twice is better than not recorded.
        Err(error) => tracing::warn!("whether a session is inside of another cannot be found out: {error}"),
    }
    // Each session uses descriptors and space that others need too.
    let user_id = request.peer.user_id;
    if let Some(why) = agent.user_limits.refusal(agent, user_id) {
        return cannot_be_kept.answer(agent, why);
    }
    if let Some(why) = agent.damaged.refusal(user_id, || agent.sessions.damaged()) {
        return cannot_be_kept.answer(agent, why);
    }
    if let Some(why) = agent.disk.refusal() {
        return cannot_be_kept.answer(agent, why);
    }
    // Last, so that a session that is refused otherwise is not counted.
    if let Err(why) = agent.user_limits.start(user_id) {
        return cannot_be_kept.answer(agent, why);
    }
    let recorder = match agent.recorders.start() {
        Ok(recorder) => recorder,
        Err(error) => return cannot_be_kept.answer(agent, format!("no recorder can be started: {error}")),
    };
    let mut connections = request.connections;
    let text = request.shell_text.as_deref().filter(|_| !connections.any_terminal());
    let mut shortfalls = Vec::new();
    let transfer = text.and_then(|text| {
        transfers::find(text, request.peer.user_id).unwrap_or_else(|as_bytes| {
            shortfalls.push(as_bytes);
            None
        })
    });
    if transfer.is_some() && connections.input == InputWay::Inherited {
        // What is sent is part of what passes.
        connections.input = InputWay::Pipe;
    }
    let recording = configuration.as_ref().and_then(|(known, _)| known.recording.as_ref());
    let notice = recording.and_then(|recording| recording.notice_text.clone());
    let mut standing = agent.powers.towards(&request.peer);
    let mut outer = take_outer_terminals(agent, &request, &standing);
    standing.notes.extend(outer.iter().filter_map(TakenForSession::note));
    let ends_what_is_left = standing.ends_what_is_left;
    let spool_names = segmenting.spools();
    let (note, policy) = (recorder.note().clone(), cannot_be_kept.policy());
    let (session, spools) = match create(agent, request, spool_names, configuration, standing, note, policy) {
        Ok(created) => created,
        Err(error) => {
            return cannot_be_kept.answer(agent, format!("the recording cannot be stored: {error}"));
        }
    };
    if let Some(outer) = &mut outer {
        outer.note_for(session.token());
    }
    if session.start.recorder == Recorder::SameUser {
        shortfalls.extend(append_only::lacking(&spools));
    }
    shortfalls.extend(agent.disk.less_than_advised(agent.sessions.open().len() + 1));
    let order = RecorderOrder {
        terminal_session_token: session.token().clone(),
        spools: session.note.spools.clone(),
        start_boottime_micros: session.note.start_boottime_micros,
        least_free_bytes: agent.disk.least_free_bytes_of_a_recorder(policy == FailurePolicy::BestEffort),
        terminal: session.start.terminal,
        connections,
        user_id,
        transfer,
        most_output_bytes: agent.most_output_bytes,
        ends_what_is_left,
        notice,
        failure_policy: policy,
        sync: (session.start.delivery_mode == Some(DeliveryMode::Sync)).then(|| agent.sync.limits()),
        shortfalls,
    };
    match give_order(recorder, &order, &session, connection, &spools) {
        Ok(without) => {
            if !without.is_empty() {
                tracing::info!(session = %session.token(), "less is recorded: {}", without.join("; "));
            }
            if let Some(outer) = outer {
                outer.has_begun();
            }
            Beginning::Recorded(Box::new(session))
        }
        Err(why) => Beginning::Broken(Box::new(session), cannot_be_kept.reply(agent, why)),
    }
}

/// Takes the terminals around a session that is shown on one. Whose recorder is no other user could take them back.
fn take_outer_terminals<'a>(
    agent: &'a Agent,
    request: &RecordRequest,
    standing: &Standing,
) -> Option<TakenForSession<'a>> {
    let takes = request.connections.any_terminal() && standing.recorder == Recorder::Separate;
    takes.then(|| agent.outer_terminals.take(&request.peer, agent.powers.may_give_and_take()))
}

/// The recorded session that the process is in: one whose command, which runs under a recorder that lives, is among its
/// ancestors, and whose terminal is all that the process can read from and print to. What the process says of itself is not
/// asked, and of what this cannot be shown, there is a recording of its own.
fn session_around(agent: &Agent, peer: &Peer) -> io::Result<Option<TerminalSessionToken>> {
    let line = peer.line()?;
    for session in agent.sessions.open() {
        let Some(command) = session.command_note() else { continue };
        if line.contains(&(command.process_id, command.start_ticks))
            && command.terminal.is_some_and(|terminal| peer.is_on(terminal))
            && session.is_recorded_now()?
        {
            return Ok(Some(session.token().clone()));
        }
    }
    Ok(None)
}

fn give_order(
    recorder: WaitingRecorder<'_>,
    order: &RecorderOrder,
    session: &Session,
    connection: &UnixStream,
    spools: &[File],
) -> Result<Vec<String>, String> {
    let cannot = |error: io::Error| format!("the recorder's control socket cannot be made: {error}");
    let (control, command_note) = session.open_for_recorder().map_err(cannot)?;
    let mut descriptors = vec![connection.as_fd(), control.as_fd(), command_note.as_fd()];
    descriptors.extend(spools.iter().map(|spool| spool.as_fd()));
    recorder.order(order, &descriptors)
}

fn create(
    agent: &Agent,
    request: RecordRequest,
    spools: Vec<SpoolName>,
    configuration: Option<(EffectiveConfiguration, SignedConfiguration)>,
    standing: Standing,
    recorder: RecorderNote,
    failure_policy: FailurePolicy,
) -> io::Result<(Session, Vec<File>)> {
    // An agent that has never seen a configuration knows of none that asks for more.
    let delivery_mode = configuration.as_ref().and_then(|(known, _)| known.recording.as_ref());
    let delivery_mode = delivery_mode.map(|recording| recording.delivery_mode).unwrap_or_default();
    let (revision, configuration) =
        configuration.map_or((0, None), |(configuration, signed)| (configuration.revision, Some(signed)));
    let mut ledger = agent.ledger.lock();
    let start = Start {
        format: recording::DocumentFormat::V1,
        recording: TerminalSessionToken::generate(),
        kind: request.kind,
        account: agent.identity.account_id.clone(),
        instance: agent.identity.instance_id.clone(),
        agent: agent.identity.agent_id.clone(),
        agent_sealing_key: agent.sealing.public_key(),
        agent_recording_number: ledger.next_recording_number,
        previous_manifest: ledger.last_manifest,
        configuration_revision: revision,
        recorder: standing.recorder,
        notes: standing.notes,
        failure_policy: Some(failure_policy),
        delivery_mode: Some(delivery_mode),
        started_at: Timestamp::from_millis(agent.control_plane.now_millis()),
        terminal: request.terminal,
        // The control plane takes no document of any size, and which program has asked is not known.
        command: Some(readable_command(request.command.iter().map(|word| Cow::Borrowed(word.as_str())))),
        claimed_user: Some(user_of(request.peer.user_id)),
        term: request.term,
        shell: request.shell,
        agent_version: Some(AGENT_VERSION.to_owned()),
    };
    let note = Note {
        kind: request.kind.as_str().to_owned(),
        spools,
        start_boottime_micros: clock::boottime_micros(),
        user_id: Some(request.peer.user_id),
        recorder: Some(recorder),
        configuration,
        failure_policy: Some(failure_policy),
    };
    let begun = Session::create(&agent.directory.spool(), start, note)?;
    // The number is taken by the session's folder. If noting that fails, the session goes on all the same: the next start
    // reads it from there.
    ledger.next_recording_number += 1;
    if let Err(error) = agent.ledger.store(&ledger) {
        tracing::warn!("the number of a recording is noted later: {error}");
    }
    Ok(begun)
}

/// The user's name, with the number the kernel vouches for.
pub(super) fn user_of(user_id: u32) -> String {
    match account::in_passwd(user_id) {
        Some(account) => format!("{} (uid {user_id})", account.name),
        None => format!("uid {user_id}"),
    }
}

/// From now on the session is cut and delivered.
pub(super) fn register(agent: &Arc<Agent>, cutter: &Cutter, session: Session) {
    let session = Arc::new(session);
    agent.sessions.add(&session);
    if !session.progress().sealed {
        cutter.follow(Arc::clone(&session));
    }
    let (agent, cutter) = (Arc::clone(agent), cutter.clone());
    tokio::spawn(async move {
        tokio::select! {
            () = delivery::deliver(agent, Arc::clone(&session)) => {}
            () = acknowledging::tell_recorder(session.clone()) => {}
            () = when_leave_comes(&session, move || cutter.look_now()) => {}
        }
    });
}
