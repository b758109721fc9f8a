//! The agent's end of the local socket.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use agent_protocol::local::{LocalReply, LocalRequest, SOCKET_NAME};
use recording::TerminalSize;
use tokio::net::UnixListener;
use tokio::sync::Semaphore;

use super::Agent;
use super::begin::{self, Asked, Beginning};
use super::cutting::Cutter;
use super::session::Session;
use crate::state_directory::StateDirectory;
use crate::{durable, local_socket};

/// Everybody on the instance may ask; the kernel says who asks.
const SOCKET_MODE: u32 = 0o666;
/// More at once wait.
const MOST_AT_ONCE: usize = 4;
const PAUSE_AFTER_TROUBLE: Duration = Duration::from_millis(100);

/// Listens in the state directory. The state lock is held, so a socket that lies there is nobody's.
pub(super) fn listen(directory: &StateDirectory) -> Result<UnixListener, String> {
    let cannot = |error: std::io::Error| {
        format!("the socket in {} cannot be made: {error}", directory.path().display())
    };
    durable::remove(&directory.file(SOCKET_NAME)).map_err(cannot)?;
    let (_folder, path) = directory.socket().map_err(cannot)?;
    let listener = UnixListener::bind(&path).map_err(cannot)?;
    std::fs::set_permissions(directory.file(SOCKET_NAME), Permissions::from_mode(SOCKET_MODE))
        .map_err(cannot)?;
    Ok(listener)
}

/// Takes the socket away, so that `record` knows at once that no agent runs.
pub(super) fn remove(directory: &StateDirectory) {
    if let Err(error) = durable::remove(&directory.file(SOCKET_NAME)) {
        tracing::warn!("the socket cannot be removed: {error}");
    }
}

/// Answers until the agent stops.
pub(super) async fn accept(agent: Arc<Agent>, listener: UnixListener, cutter: Cutter) {
    let places = Arc::new(Semaphore::new(MOST_AT_ONCE));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = match listener.accept().await.and_then(|(stream, _)| stream.into_std()) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!("a local connection failed: {error}");
                tokio::time::sleep(PAUSE_AFTER_TROUBLE).await;
                continue;
            }
        };
        let (agent, cutter) = (Arc::clone(&agent), cutter.clone());
        tokio::spawn(async move {
            let asking = Arc::clone(&agent);
            let answered = tokio::task::spawn_blocking(move || answer(&asking, &stream)).await;
            drop(place);
            match answered {
                Ok(Ok(Some(session))) => begin::register(&agent, &cutter, session),
                Ok(Ok(None)) => {}
                Ok(Err(error)) => tracing::warn!("a local request failed: {error}"),
                Err(error) => tracing::error!("a local request was not answered: {error}"),
            }
        });
    }
}

/// Answers one request. A session that was begun is returned even if nobody heard the answer: it has a number, so it is delivered,
/// as interrupted, and leaves no hole.
fn answer(agent: &Agent, stream: &UnixStream) -> std::io::Result<Option<Session>> {
    stream.set_nonblocking(false)?;
    local_socket::set_patience(stream)?;
    let peer = rustix::net::sockopt::socket_peercred(stream)?;
    let user_id = peer.uid.as_raw();
    match local_socket::read_request(stream)? {
        LocalRequest::Status => {
            let ours = rustix::process::geteuid().as_raw();
            let status = agent.sessions.status(user_id == 0 || user_id == ours);
            local_socket::send(stream, &LocalReply::Status { status: Box::new(status) }, None)?;
            Ok(None)
        }
        LocalRequest::Begin { kind, command, columns, rows, term, shell } => {
            let terminal = TerminalSize { columns: columns.max(1), rows: rows.max(1) };
            match begin::begin(agent, Asked { kind, command, terminal, term, shell, user_id }) {
                Beginning::Answered(reply) => {
                    if let LocalReply::Refused { reason } = &reply {
                        tracing::warn!(user_id, "a session is refused: {reason}");
                    }
                    local_socket::send(stream, &reply, None)?;
                    Ok(None)
                }
                Beginning::Recorded(session, spool) => {
                    let token = session.token().clone();
                    tracing::info!(session = %token, user_id, "a session begins");
                    let reply = LocalReply::Recorded {
                        terminal_session_token: token,
                        start_boottime_micros: session.note.start_boottime_micros,
                        least_free_bytes: agent.minimum_free_bytes / 4,
                    };
                    if let Err(error) = local_socket::send(stream, &reply, Some(&spool)) {
                        tracing::warn!(session = %session.token(), "nobody heard that the session begins: {error}");
                    }
                    Ok(Some(*session))
                }
            }
        }
    }
}
