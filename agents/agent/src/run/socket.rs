//! The agent's end of the local socket.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agent_protocol::lines::{self, MAXIMUM_LINE_BYTES};
use agent_protocol::local::{LocalReply, LocalRequest, SOCKET_NAME};
use recording::TerminalSize;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::UnixListener;
use tokio::sync::Semaphore;

use super::Agent;
use super::begin::{self, Beginning, RecordRequest};
use super::cutting::Cutter;
use super::damaged_quota;
use super::live::{self, Asking};
use super::peer::Peer;
use super::session::Session;
use crate::state_directory::StateDirectory;
use crate::{durable, local_socket};

/// Everybody on the instance may connect; the kernel identifies the caller.
const SOCKET_MODE: u32 = 0o666;
/// How many requests are answered at once; more wait.
const MOST_WORKERS: usize = 4;
/// How many connections one user may hold. Root, who can do anything to the agent, may hold any number.
const MOST_OF_ONE_USER: usize = 64;
const ROOT: u32 = 0;
/// How long a request may take to arrive.
const REQUEST_WITHIN: Duration = Duration::from_secs(5);
/// How long somebody is kept waiting for the terminal around a session that has ended.
const LEFT_WITHIN: Duration = Duration::from_secs(2);
const PAUSE_AFTER_TROUBLE: Duration = Duration::from_millis(100);

/// Listens in the state directory. The state lock is held, so a socket that lies there is nobody's.
pub(super) fn listen(directory: &StateDirectory) -> Result<UnixListener, String> {
    let cannot =
        |error: io::Error| format!("the socket in {} cannot be made: {error}", directory.path().display());
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
    let workers = Arc::new(Semaphore::new(MOST_WORKERS));
    let callers = Arc::new(Callers::default());
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("a local connection failed: {error}");
                tokio::time::sleep(PAUSE_AFTER_TROUBLE).await;
                continue;
            }
        };
        let Ok(peer) = stream.peer_cred() else { continue };
        let user_id = peer.uid();
        // Subordinate ids are no people of their own. Holding connections cannot keep others from recording: callers with too many are told to try again.
        let Some(caller) = callers.admit(agent.user_limits.person(user_id)) else {
            turn_away(stream, user_id);
            continue;
        };
        let (agent, cutter, workers) = (Arc::clone(&agent), cutter.clone(), Arc::clone(&workers));
        tokio::spawn(async move {
            if let Err(error) = serve(&agent, &cutter, &workers, stream, user_id).await {
                tracing::warn!(user_id, "a local request failed: {error}");
            }
            drop(caller);
        });
    }
}

/// Says why nothing is answered, without waiting for anything.
fn turn_away(stream: tokio::net::UnixStream, user_id: u32) {
    let reason = format!("user {user_id} has {MOST_OF_ONE_USER} requests that wait for the agent's answer");
    tracing::debug!(user_id, "a local request is refused: {reason}");
    // It does not block, and what nobody wants to hear is lost.
    if let Ok(stream) = stream.into_std() {
        let _ = lines::send(&stream, &LocalReply::Busy { reason }, &[]);
    }
}

/// Reads one request without holding a worker, then answers it on one.
async fn serve(
    agent: &Arc<Agent>,
    cutter: &Cutter,
    workers: &Semaphore,
    mut stream: tokio::net::UnixStream,
    user_id: u32,
) -> io::Result<()> {
    let line = tokio::time::timeout(REQUEST_WITHIN, read_line(&mut stream)).await??;
    if line.is_empty() {
        // Somebody only looked whether an agent listens.
        return Ok(());
    }
    let request: LocalRequest =
        serde_json::from_slice(&line).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    if let LocalRequest::Live { request } = request {
        // Recorders may be slow to answer, which keeps no worker from sessions that begin.
        let process_id = stream.peer_cred()?.pid();
        let stream = stream.into_std()?;
        let (reply, descriptor) = live::answer(agent, request, Asking { user_id, process_id }).await;
        return tokio::task::spawn_blocking(move || {
            stream.set_nonblocking(false)?;
            local_socket::set_patience(&stream)?;
            let descriptor = descriptor.as_ref().map(AsFd::as_fd);
            lines::send(&stream, &reply, descriptor.as_slice())
        })
        .await
        .map_err(io::Error::other)?;
    }
    if let LocalRequest::Left { terminal_session_token } = request {
        // Who asks waits no longer than that either.
        let left = agent.outer_terminals.left_by(&terminal_session_token);
        let _ = tokio::time::timeout(LEFT_WITHIN, left).await;
        return lines::send(&stream.into_std()?, &LocalReply::Left, &[]);
    }
    let _worker = workers.acquire().await.map_err(io::Error::other)?;
    let stream = stream.into_std()?;
    let answering = Arc::clone(agent);
    let begun = tokio::task::spawn_blocking(move || answer(&answering, &stream, request, user_id))
        .await
        .map_err(io::Error::other)??;
    if let Some(session) = begun {
        begin::register(agent, cutter, session);
    }
    Ok(())
}

async fn read_line(stream: &mut tokio::net::UnixStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut limited = BufReader::new(stream).take(MAXIMUM_LINE_BYTES as u64);
    limited.read_until(b'\n', &mut line).await?;
    if line.last().is_some_and(|last| *last != b'\n') {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the request is not whole, or too long"));
    }
    Ok(line)
}

/// How many connections each user has.
#[derive(Default)]
struct Callers {
    connections: Mutex<BTreeMap<u32, usize>>,
}

/// One connection; it is counted until this is dropped.
struct Caller {
    callers: Arc<Callers>,
    user_id: u32,
}

impl Callers {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, usize>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(self: &Arc<Self>, user_id: u32) -> Option<Caller> {
        if user_id == ROOT {
            return Some(Caller { callers: Arc::clone(self), user_id });
        }
        let mut connections = self.lock();
        let held = connections.entry(user_id).or_default();
        if *held >= MOST_OF_ONE_USER {
            return None;
        }
        *held += 1;
        Some(Caller { callers: Arc::clone(self), user_id })
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        let mut connections = self.callers.lock();
        if let Some(held) = connections.get_mut(&self.user_id) {
            *held -= 1;
            if *held == 0 {
                connections.remove(&self.user_id);
            }
        }
    }
}

/// Answers one request. A session that was begun is returned even if nobody heard the answer: it has a number, so it is delivered,
/// as interrupted, and leaves no hole.
fn answer(
    agent: &Agent,
    stream: &UnixStream,
    request: LocalRequest,
    user_id: u32,
) -> io::Result<Option<Session>> {
    stream.set_nonblocking(false)?;
    local_socket::set_patience(stream)?;
    let may_see = live::may_govern(user_id);
    match request {
        // They were answered before.
        LocalRequest::Live { .. } | LocalRequest::Left { .. } => Ok(None),
        LocalRequest::Retry { terminal_session_token } => {
            let reply = if !may_see {
                LocalReply::Refused { reason: "only the agent's user and root may do this".to_owned() }
            } else {
                let recordings = agent.sessions.retry(terminal_session_token.as_ref());
                LocalReply::Retrying { recordings }
            };
            lines::send(stream, &reply, &[])?;
            Ok(None)
        }
        LocalRequest::Status => {
            let mut status = agent.sessions.status(may_see);
            if may_see {
                let kept = damaged_quota::list_kept(&agent.directory.spool()).map_err(io::Error::other)?;
                status.sessions.extend(kept);
            }
            let only = (!may_see).then_some(user_id);
            status.disk = agent.disk.describe(agent.sessions.open().len());
            status.damaged_files = agent.damaged.describe(only, || agent.sessions.damaged());
            lines::send(stream, &LocalReply::Status { status: Box::new(status) }, &[])?;
            Ok(None)
        }
        LocalRequest::Begin { kind, command, columns, rows, term, shell, connections, shell_text } => {
            let refuse = |reason: String| {
                tracing::warn!(user_id, "a session is refused: {reason}");
                lines::send(stream, &LocalReply::Refused { reason }, &[])
            };
            let peer = match Peer::of(stream) {
                Ok(peer) => peer,
                Err(error) => {
                    refuse(format!("the process that asks cannot be seen: {error}"))?;
                    return Ok(None);
                }
            };
            let terminal = (columns > 0 && rows > 0).then_some(TerminalSize { columns, rows });
            let request =
                RecordRequest { kind, command, terminal, term, shell, connections, shell_text, peer };
            match begin::begin(agent, request, stream) {
                Beginning::Answered(LocalReply::Refused { reason }) => {
                    refuse(reason)?;
                    Ok(None)
                }
                Beginning::Answered(reply) => {
                    lines::send(stream, &reply, &[])?;
                    Ok(None)
                }
                Beginning::Broken(session, reply) => {
                    tracing::warn!(session = %session.token(), user_id, "a session has no recorder: {reply:?}");
                    // The caller may be gone; the session is delivered all the same.
                    let _ = lines::send(stream, &reply, &[]);
                    Ok(Some(*session))
                }
                Beginning::Recorded(session) => {
                    tracing::info!(session = %session.token(), user_id, "a session begins");
                    Ok(Some(*session))
                }
            }
        }
    }
}
