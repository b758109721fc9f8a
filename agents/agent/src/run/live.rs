//! What the agent's user and root ask of the sessions that are recorded now: which there are, to end one, to tell the person
//! of one something, to watch one. The recorder does it; the agent says who asked, in its log and, of an end, in the
//! recording.

use std::fs;
use std::io;
use std::sync::Arc;

use agent_protocol::live::{LiveReply, LiveRequest, LiveSession, RecorderState, check_text};
use agent_protocol::local::LocalReply;
use agent_protocol::recorder::{ControlReply, ControlRequest};
use recording::TerminalSessionToken;
use recording::sanitise::sanitised;
use rustix::fd::OwnedFd;
use tokio::task::JoinSet;

use super::Agent;
use super::session::Session;

/// How many sessions one reply names: with commands of [`LONGEST_COMMAND_BYTES`] they fit into its line.
const MOST_IN_A_REPLY: usize = 64;
/// How much of a command is named.
const LONGEST_COMMAND_BYTES: usize = 256;
/// How the kernel says that nobody logged in to start a process.
const NOBODY_LOGGED_IN: &str = "4294967295";

/// Whether this user may do something to the sessions of others.
pub(super) fn may_govern(user_id: u32) -> bool {
    user_id == 0 || user_id == rustix::process::geteuid().as_raw()
}

/// Who asks, as the kernel says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asking {
    pub(super) user_id: u32,
    pub(super) process_id: Option<i32>,
}

impl Asking {
    /// For the log and the recording. Whoever became root has logged in as somebody, which the kernel remembers.
    fn describe(&self) -> String {
        let user = format!("user {}", self.user_id);
        let login = self.process_id.and_then(|id| fs::read_to_string(format!("/proc/{id}/loginuid")).ok());
        match login.as_deref().map(str::trim) {
            Some(login) if login != NOBODY_LOGGED_IN && login != self.user_id.to_string() => {
                format!("{user}, who logged in as user {login}")
            }
            _ => user,
        }
    }
}

/// Answers a request, with the descriptor that goes with the reply.
pub(super) async fn answer(
    agent: &Agent,
    request: LiveRequest,
    asking: Asking,
) -> (LocalReply, Option<OwnedFd>) {
    let refused = |reason: String| (LocalReply::Refused { reason }, None);
    if !may_govern(asking.user_id) {
        tracing::warn!(user_id = asking.user_id, "a request about the sessions of others is refused");
        return refused("only the agent's user and root may do this".to_owned());
    }
    let done = match request {
        LiveRequest::List { after } => Ok((list(agent, after.as_ref()).await, None)),
        LiveRequest::End { terminal_session_token, reason } => {
            end(agent, &terminal_session_token, &reason, asking).await.map(|()| (LiveReply::Done, None))
        }
        LiveRequest::Say { terminal_session_token, text } => {
            say(agent, &terminal_session_token, text, asking).await.map(|()| (LiveReply::Done, None))
        }
        LiveRequest::Watch { terminal_session_token } => watch(agent, &terminal_session_token, asking)
            .await
            .map(|connection| (LiveReply::Watching, Some(connection))),
    };
    match done {
        Ok((reply, descriptor)) => (LocalReply::Live { reply }, descriptor),
        Err(reason) => refused(reason),
    }
}

async fn list(agent: &Agent, after: Option<&TerminalSessionToken>) -> LiveReply {
    let behind = |session: &Arc<Session>| after.is_none_or(|after| session.token() > after);
    let live = |session: &Arc<Session>| session.is_recorded_now().unwrap_or(true);
    let mut open = agent.sessions.open().into_iter().filter(behind).filter(live);
    let mut asked: JoinSet<LiveSession> = open.by_ref().take(MOST_IN_A_REPLY).map(describe).collect();
    let more = open.next().is_some();
    let mut sessions = Vec::new();
    while let Some(session) = asked.join_next().await {
        match session {
            Ok(session) => sessions.push(session),
            Err(error) => tracing::warn!("a session cannot be described: {error}"),
        }
    }
    sessions.sort_by(|one, other| one.terminal_session_token.cmp(&other.terminal_session_token));
    LiveReply::Sessions { sessions, more }
}

async fn describe(session: Arc<Session>) -> LiveSession {
    let recorder = match session.ask_recorder(&ControlRequest::State).await {
        Ok(ControlReply::State { command, has_ended, is_held, recorded_bytes, version, .. }) => {
            let process_id = command.map(|command| command.process_id);
            RecorderState::Answers { process_id, has_ended, is_held, recorded_bytes, version }
        }
        Ok(ControlReply::Refused { reason }) => RecorderState::Silent { reason },
        Ok(ControlReply::Done) => {
            RecorderState::Silent { reason: "its answer belongs to another request".to_owned() }
        }
        Err(error) => RecorderState::Silent { reason: error.to_string() },
    };
    LiveSession {
        terminal_session_token: session.token().clone(),
        user_id: session.note.user_id,
        user: session.start.claimed_user.clone(),
        command: session.start.command.as_ref().map(|words| short(&words.join(" "))),
        since: session.start.started_at,
        recorder,
    }
}

fn short(command: &str) -> String {
    let end = command.floor_char_boundary(LONGEST_COMMAND_BYTES);
    if end < command.len() { format!("{}...", &command[..end]) } else { command.to_owned() }
}

async fn end(agent: &Agent, token: &TerminalSessionToken, why: &str, asking: Asking) -> Result<(), String> {
    check_text(why)?;
    let session = find(agent, token)?;
    // In the recording, too, it stands who did it.
    let reason = format!("{why} (said on the instance by {})", asking.describe());
    tracing::warn!(session = %token, "the session is ended: {}", sanitised(&reason));
    ask(&session, &ControlRequest::End { reason }).await
}

async fn say(
    agent: &Agent,
    token: &TerminalSessionToken,
    text: String,
    asking: Asking,
) -> Result<(), String> {
    check_text(&text)?;
    let session = find(agent, token)?;
    tracing::info!(session = %token, "the person is told by {}: {}", asking.describe(), sanitised(&text));
    ask(&session, &ControlRequest::Say { text }).await
}

async fn watch(agent: &Agent, token: &TerminalSessionToken, asking: Asking) -> Result<OwnedFd, String> {
    let session = find(agent, token)?;
    tracing::info!(session = %token, "the session is watched by {}", asking.describe());
    let tapped = tokio::task::spawn_blocking(move || session.tap_recorder()).await;
    tapped.map_err(io::Error::other).flatten().map_err(|error| no_answer(&error))
}

fn find(agent: &Agent, token: &TerminalSessionToken) -> Result<Arc<Session>, String> {
    agent.sessions.find_open(token).ok_or_else(|| {
        format!("no session {token} is recorded now; `hansard-agent sessions list` names those that are")
    })
}

async fn ask(session: &Session, request: &ControlRequest) -> Result<(), String> {
    match session.ask_recorder(request).await {
        Ok(ControlReply::Done) => Ok(()),
        Ok(ControlReply::Refused { reason }) => Err(reason),
        Ok(ControlReply::State { .. }) => Err("the recorder's answer belongs to another request".to_owned()),
        Err(error) => Err(no_answer(&error)),
    }
}

fn no_answer(error: &io::Error) -> String {
    format!(
        "the session's recorder does not do it: {error}; if the session has just ended, nothing is left to do"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_commands_are_cut_between_characters() {
        assert_eq!(short("ls -l"), "ls -l");
        let cut = short(&"é".repeat(LONGEST_COMMAND_BYTES));
        assert!(cut.ends_with("é...") && cut.len() <= LONGEST_COMMAND_BYTES + 3, "{cut}");
    }

    #[test]
    fn a_reply_fits_into_a_line() {
        let sessions = (0..MOST_IN_A_REPLY).map(|_| LiveSession {
            terminal_session_token: TerminalSessionToken::generate(),
            user_id: Some(u32::MAX),
            user: Some("\u{1}".repeat(256)),
            // No character takes more room in JSON.
            command: Some(short(&"\u{1}".repeat(2 * LONGEST_COMMAND_BYTES))),
            since: recording::Timestamp::from_millis(0),
            recorder: RecorderState::Silent { reason: "x".repeat(256) },
        });
        let reply =
            LocalReply::Live { reply: LiveReply::Sessions { sessions: sessions.collect(), more: true } };
        let line = serde_json::to_vec(&reply).unwrap();
        assert!(line.len() < agent_protocol::lines::MAXIMUM_LINE_BYTES, "{}", line.len());
    }
}
