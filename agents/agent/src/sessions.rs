//! `hansard-agent sessions`: the sessions that are recorded now, for people on the instance.

mod safe_output;

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use agent_protocol::live::{LiveReply, LiveRequest, LiveSession, RecorderState};
use agent_protocol::local::{LocalReply, LocalRequest};
use agent_protocol::person::{Decoder, FromRecorder};
use recording::TerminalSessionToken;
use recording::sanitise::sanitised;
use rustix::fd::OwnedFd;

use crate::settings::{Output, SessionsCommand, SessionsOptions};
use crate::state_directory::StateDirectory;
use crate::{complain, local_socket, say, say_json};

use safe_output::SafeOutput;

/// Does what was asked with sessions that are recorded now.
pub(crate) fn sessions(state_dir: &Path, options: SessionsOptions) -> Result<(), String> {
    let directory = StateDirectory::at(state_dir);
    match options.command.unwrap_or(SessionsCommand::List { output: Output::Table }) {
        SessionsCommand::List { output } => list(&directory, output),
        SessionsCommand::End { token, reason } => {
            let request = LiveRequest::End { terminal_session_token: token.clone(), reason };
            done(ask(&directory, request)?)?;
            say(&format!("the session {token} ends; the person and the recording are told the reason"));
            Ok(())
        }
        SessionsCommand::Say { token, text } => {
            done(ask(&directory, LiveRequest::Say { terminal_session_token: token, text })?)?;
            say("the person is told");
            Ok(())
        }
        SessionsCommand::Watch { token } => watch(&directory, token),
    }
}

fn ask(directory: &StateDirectory, request: LiveRequest) -> Result<(LiveReply, Vec<OwnedFd>), String> {
    let cannot = |error: std::io::Error| format!("the agent cannot be asked: {error}");
    let Some(stream) = local_socket::connect(directory).map_err(cannot)? else {
        return Err(format!(
            "no agent is running on {}; `hansard-agent run` starts one, which finds the sessions that go on",
            directory.path().display()
        ));
    };
    match local_socket::ask(&stream, &LocalRequest::Live { request }).map_err(cannot)? {
        (LocalReply::Live { reply }, descriptors) => Ok((reply, descriptors)),
        (LocalReply::Refused { reason }, _) => Err(format!("refused: {}", sanitised(&reason))),
        (LocalReply::Busy { reason }, _) => Err(format!("the agent is busy: {reason}")),
        _ => Err(another_answer()),
    }
}

fn another_answer() -> String {
    "the agent's answer does not belong to this request".to_owned()
}

fn done((reply, _): (LiveReply, Vec<OwnedFd>)) -> Result<(), String> {
    if reply == LiveReply::Done { Ok(()) } else { Err(another_answer()) }
}

fn list(directory: &StateDirectory, output: Output) -> Result<(), String> {
    let mut sessions: Vec<LiveSession> = Vec::new();
    loop {
        let after = sessions.last().map(|session| session.terminal_session_token.clone());
        let (LiveReply::Sessions { sessions: some, more }, _) = ask(directory, LiveRequest::List { after })?
        else {
            return Err(another_answer());
        };
        let none = some.is_empty();
        sessions.extend(some);
        if !more || none {
            break;
        }
    }
    match output {
        Output::Json => say_json(&sessions)?,
        Output::Table if sessions.is_empty() => say("no session is recorded now"),
        Output::Table => sessions.iter().for_each(|session| say(&describe(session))),
    }
    Ok(())
}

fn describe(session: &LiveSession) -> String {
    let state = match &session.recorder {
        RecorderState::Answers { has_ended: true, .. } => "the command has ended".to_owned(),
        RecorderState::Answers { is_held: true, .. } => {
            "held until the control plane has stored what was shown".to_owned()
        }
        RecorderState::Answers { recorded_bytes, .. } => format!("goes on, {recorded_bytes} bytes"),
        RecorderState::Silent { reason } => format!("its recorder does not answer: {reason}"),
    };
    let user = match (&session.user, session.user_id) {
        (Some(user), _) => user.clone(),
        (None, Some(user_id)) => format!("user {user_id}"),
        (None, None) => "an unknown user".to_owned(),
    };
    let command = session.command.as_deref().unwrap_or("an unknown command");
    let line =
        format!("{}  {user}  since {}  {state}: {command}", session.terminal_session_token, session.since);
    sanitised(&line).into_owned()
}

/// Shows what is recorded from now on, until the session ends.
fn watch(directory: &StateDirectory, token: TerminalSessionToken) -> Result<(), String> {
    let (reply, descriptors) = ask(directory, LiveRequest::Watch { terminal_session_token: token })?;
    let (LiveReply::Watching, Ok([connection])) = (reply, <[OwnedFd; 1]>::try_from(descriptors)) else {
        return Err(another_answer());
    };
    let mut connection = UnixStream::from(connection);
    complain("what is shown from now on follows, without what could drive this terminal; Ctrl-C ends it");
    let mut shown = std::io::stdout().lock();
    let shown_or = |error: std::io::Error| format!("nothing more can be shown: {error}");
    let (mut decoder, mut safe) = (Decoder::default(), SafeOutput::default());
    loop {
        let received = match connection.read(decoder.room()) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            received => {
                received.map_err(|error| format!("the session cannot be watched any more: {error}"))?
            }
        };
        if received == 0 {
            break;
        }
        decoder.received(received);
        while let Some(message) = decoder.next::<FromRecorder<'_>>().map_err(|error| crate::chain(&error))? {
            if let FromRecorder::Output(_, bytes) = message {
                shown.write_all(safe.show(bytes).as_bytes()).map_err(shown_or)?;
            }
        }
        shown.flush().map_err(shown_or)?;
    }
    shown.write_all(safe.end().as_bytes()).and_then(|()| shown.flush()).map_err(shown_or)?;
    complain("the session has ended, or this was too slow to watch it");
    Ok(())
}
