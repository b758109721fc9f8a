//! What ties this agent's recordings to each other: their numbers, and the manifest sealed last.

use std::sync::{Mutex, MutexGuard, PoisonError};

use recording::{AgentId, ContentHash, Manifest};
use serde::{Deserialize, Serialize};

use super::session::Session;
use crate::durable;
use crate::state_directory::{PRIVATE_MODE, StateDirectory};

const LEDGER: &str = "ledger.json";

/// `ledger.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Entries {
    /// A new agent counts anew.
    agent_id: AgentId,
    /// The number the next recording gets.
    pub(super) next_recording_number: u64,
    /// The manifest sealed last.
    pub(super) last_manifest: Option<ContentHash>,
}

/// The ledger; whoever holds it makes or seals a recording.
pub(super) struct Ledger {
    directory: StateDirectory,
    entries: Mutex<Entries>,
}

impl Ledger {
    pub(super) fn load(directory: &StateDirectory, agent_id: &AgentId) -> Result<Ledger, String> {
        let path = directory.file(LEDGER);
        let entries = durable::find_json::<Entries>(&path)
            .map_err(|error| format!("{} cannot be read: {error}", path.display()))?
            .filter(|entries| entries.agent_id == *agent_id)
            .unwrap_or_else(|| Entries {
                agent_id: agent_id.clone(),
                next_recording_number: 1,
                last_manifest: None,
            });
        Ok(Ledger { directory: directory.clone(), entries: Mutex::new(entries) })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what was changed.
    pub(super) fn store(&self, entries: &Entries) -> std::io::Result<()> {
        durable::write_json(&self.directory.file(LEDGER), entries, PRIVATE_MODE)
    }

    /// A crash may have come between a session's own files and the ledger: the sessions are right.
    pub(super) fn reconcile(&self, sessions: &[Session]) -> Result<(), String> {
        let mut entries = self.lock();
        let before = entries.clone();
        let ours = || sessions.iter().filter(|session| session.start.agent == before.agent_id);
        for session in ours() {
            entries.next_recording_number =
                entries.next_recording_number.max(session.start.agent_recording_number.saturating_add(1));
        }
        let sealed: Vec<(Option<ContentHash>, ContentHash)> = ours()
            .filter_map(|session| session.find_manifest().ok().flatten())
            .filter_map(|sealed| {
                Some((Manifest::parse(&sealed.bytes).ok()?.previous_manifest, sealed.sha256()))
            })
            .collect();
        // Sealing is serial, so at most one manifest stands on the last one that is noted; each pass follows the chain.
        while let Some((_, next)) = sealed.iter().find(|(previous, _)| *previous == entries.last_manifest) {
            entries.last_manifest = Some(*next);
        }
        if *entries == before {
            return Ok(());
        }
        self.store(&entries)
            .map_err(|error| format!("{} cannot be written: {error}", self.directory.file(LEDGER).display()))
    }
}
