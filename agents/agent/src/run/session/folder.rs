//! The folder of all sessions: what lies there, what is taken up when the agent starts, and how a session's folder is removed.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use agent_protocol::local::{DeliveryState, LocalSession, SessionState};
use recording::{AgentId, Start, TerminalSessionToken, Timestamp};
use serde::Serialize;

use super::refusals::{REFUSALS, Refusals};
use super::stream_spool::SPOOL_EXTENSION;
use super::{START, Session};
use crate::run::severed;
use crate::{append_only, durable};

/// A finished session's folder is renamed so before it is erased: half of a session must never look like one.
pub(super) const DONE_PREFIX: &str = ".done-";
/// A delivered session's folder is renamed so when some of its spool could not be read: somebody may want to look at the raw bytes.
pub(in crate::run) const DAMAGED_PREFIX: &str = "damaged-";

/// Removes a session's folder and everything in it; its spool so that nobody who holds its descriptor can go on with it.
pub(super) fn erase_folder(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == SPOOL_EXTENSION) {
            severed::remove(&path)?;
        }
    }
    fs::remove_dir_all(folder)
}

pub(super) fn allocated_bytes(folder: &Path) -> u64 {
    const BLOCK_BYTES: u64 = 512;
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .filter_map(|entry| {
            let metadata = entry.metadata().ok()?;
            Some(if metadata.is_dir() {
                allocated_bytes(&entry.path())
            } else {
                metadata.blocks() * BLOCK_BYTES
            })
        })
        .sum()
}

/// What lies in the spool when the agent starts.
pub(in crate::run) struct TakenUp {
    pub(in crate::run) sessions: Vec<Session>,
    /// What is left alone because it cannot be read, for `status`.
    pub(in crate::run) unreadable: Vec<LocalSession>,
    /// Whether something may be a session under another name than its own: somebody has put it aside, and may put it back.
    pub(in crate::run) misnamed: bool,
}

/// Opens every session in the spool, clears what was never begun or is done, and leaves alone what it cannot read.
pub(in crate::run) fn take_up(spool: &Path) -> Result<TakenUp, String> {
    let mut sessions = Vec::new();
    let mut unreadable = Vec::new();
    let mut misnamed = false;
    for folder in folders(spool)? {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with(durable::TEMPORARY_PREFIX) || name.starts_with(DONE_PREFIX) {
            append_only::take_off_files_in(&folder)
                .and_then(|()| erase_folder(&folder))
                .map_err(|error| format!("{} cannot be removed: {error}", folder.display()))?;
            continue;
        }
        if name.starts_with(DAMAGED_PREFIX) {
            continue;
        }
        let opened = match Session::open(&folder) {
            Ok(session) if session.token().as_str() == name => Ok(session),
            Ok(session) => Err(format!("{} holds session {}", folder.display(), session.token())),
            Err(why) => Err(why),
        };
        match opened {
            Ok(session) => sessions.push(session),
            Err(why) => {
                tracing::error!("{why}; the session is left alone");
                if let Ok(terminal_session_token) = TerminalSessionToken::parse(&name) {
                    unreadable.push(LocalSession {
                        terminal_session_token,
                        agent_id: None,
                        state: SessionState::Unreadable,
                        delivery: DeliveryState::Pending,
                        quarantined_since: None,
                        reason: Some(why),
                        segments: 0,
                        acknowledged: 0,
                        spool_bytes: allocated_bytes(&folder),
                    });
                } else {
                    // A folder without a start is no session of anybody, such as what a file system has of its own.
                    misnamed |= folder.join(START).try_exists().unwrap_or(true);
                }
            }
        }
    }
    sessions.sort_by_key(|session| session.start.agent_recording_number);
    Ok(TakenUp { sessions, unreadable, misnamed })
}

/// What lies in the spool while no agent runs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct WaitingSession {
    pub(crate) terminal_session_token: TerminalSessionToken,
    /// The agent that recorded it, if that can be read.
    pub(crate) agent_id: Option<AgentId>,
    pub(crate) spool_bytes: u64,
    /// Since when it is in quarantine, by the agent's clock.
    pub(crate) quarantined_since: Option<String>,
    /// What was said when it was refused last.
    pub(crate) reason: Option<String>,
}

/// For `status` while no agent runs: what lies in the spool, by the names of the folders.
pub(crate) fn list_spool(spool: &Path) -> Result<Vec<WaitingSession>, String> {
    let describe = |(token, spool_bytes): (TerminalSessionToken, u64)| {
        let refusals: Option<Refusals> =
            durable::find_json(&spool.join(token.as_str()).join(REFUSALS)).ok().flatten();
        let start = durable::find(&spool.join(token.as_str()).join(START)).ok().flatten();
        let agent_id = start.and_then(|start| Start::parse(&start).ok()).map(|start| start.agent);
        WaitingSession {
            terminal_session_token: token,
            agent_id,
            spool_bytes,
            quarantined_since: refusals
                .as_ref()
                .and_then(Refusals::quarantined_at)
                .map(Timestamp::to_rfc3339_seconds),
            reason: refusals.map(|refusals| refusals.reason().to_owned()),
        }
    };
    Ok(list(spool, "")?.into_iter().map(describe).collect())
}

/// The sessions whose folders are named by this and their token, and how much room they take.
pub(in crate::run) fn list(spool: &Path, prefix: &str) -> Result<Vec<(TerminalSessionToken, u64)>, String> {
    Ok(folders(spool)?
        .into_iter()
        .filter_map(|folder| {
            let name = folder.file_name()?.to_string_lossy().into_owned();
            let token = TerminalSessionToken::parse(name.strip_prefix(prefix)?).ok()?;
            Some((token, allocated_bytes(&folder)))
        })
        .collect())
}

/// Whether anything in the spool is a session, or may be one: all that is neither half made nor delivered.
pub(crate) fn waiting_sessions(spool: &Path) -> Result<usize, String> {
    let passing = |folder: &PathBuf| {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        [durable::TEMPORARY_PREFIX, DONE_PREFIX, DAMAGED_PREFIX].iter().any(|prefix| name.starts_with(prefix))
    };
    Ok(folders(spool)?.iter().filter(|folder| !passing(folder)).count())
}

fn folders(spool: &Path) -> Result<Vec<PathBuf>, String> {
    let cannot = |error: io::Error| format!("{} cannot be read: {error}", spool.display());
    let mut folders = Vec::new();
    for entry in fs::read_dir(spool).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        if entry.file_type().map_err(cannot)?.is_dir() {
            folders.push(entry.path());
        }
    }
    folders.sort();
    Ok(folders)
}
