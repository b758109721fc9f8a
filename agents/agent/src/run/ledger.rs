//! What ties an agent's recordings to each other: their numbers, and the manifest sealed last.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use recording::{AgentId, ContentHash, Manifest, SealedManifest};
use serde::{Deserialize, Serialize};

use super::session::Session;
use crate::durable;
use crate::state_directory::PRIVATE_MODE;

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

impl Entries {
    /// Notes a manifest as the last one, if it stands on the one that is noted. One that was made before others were is among those
    /// that the last one stands on: noted again, it would get a second successor.
    pub(super) fn follow(&mut self, sealed: &SealedManifest) -> bool {
        let stands_on = Manifest::parse(&sealed.bytes).map(|manifest| manifest.previous_manifest);
        let follows = stands_on.is_ok_and(|previous| previous == self.last_manifest)
            && self.last_manifest != Some(sealed.sha256());
        if follows {
            self.last_manifest = Some(sealed.sha256());
        }
        follows
    }
}

/// The ledger; whoever holds it makes or seals a recording.
pub(super) struct Ledger {
    path: PathBuf,
    entries: Mutex<Entries>,
}

impl Ledger {
    /// Reads the ledger of this agent. A file of another agent counts for nothing.
    pub(super) fn load(path: PathBuf, agent_id: &AgentId) -> Result<Ledger, String> {
        let entries = durable::find_json::<Entries>(&path)
            .map_err(|error| format!("{} cannot be read: {error}", path.display()))?
            .filter(|entries| entries.agent_id == *agent_id)
            .unwrap_or_else(|| Entries {
                agent_id: agent_id.clone(),
                next_recording_number: 1,
                last_manifest: None,
            });
        Ok(Ledger { path, entries: Mutex::new(entries) })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what was changed.
    pub(super) fn store(&self, entries: &Entries) -> std::io::Result<()> {
        durable::write_json(&self.path, entries, PRIVATE_MODE)
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
        let sealed: Vec<SealedManifest> =
            ours().filter_map(|session| session.find_manifest().ok().flatten()).collect();
        // Sealing is serial, so at most one manifest stands on the last one that is noted; each pass follows the chain.
        while sealed.iter().any(|sealed| entries.follow(sealed)) {}
        if *entries == before {
            return Ok(());
        }
        self.store(&entries).map_err(|error| format!("{} cannot be written: {error}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use recording::{
        DocumentFormat, ExitStatus, Micros, RecordingEnd, SealingKey, StartReference, TerminalSessionToken,
        Timestamp,
    };

    use super::*;

    fn sealed_after(previous_manifest: Option<ContentHash>) -> SealedManifest {
        let manifest = Manifest {
            format: DocumentFormat::V1,
            number: 0,
            recording: TerminalSessionToken::generate(),
            start: StartReference::of(b"start"),
            agent: AgentId::generate(),
            agent_recording_number: 1,
            previous_manifest,
            started_at: Timestamp::from_millis(0),
            ended_at: Timestamp::from_millis(0),
            duration: Micros::ZERO,
            end: RecordingEnd::Exited(ExitStatus::Code(0)),
            delivery_mode: None,
            sealed_by: None,
            streams: vec![],
        };
        recording::seal(&manifest, &SealingKey::generate())
    }

    #[test]
    fn a_seal_that_is_tried_again_late_does_not_fork_the_chain() {
        let mut entries =
            Entries { agent_id: AgentId::generate(), next_recording_number: 1, last_manifest: None };
        let first = sealed_after(None);
        assert!(entries.follow(&first));
        let second = sealed_after(entries.last_manifest);
        assert!(entries.follow(&second));
        // The first one's ledger could not be written; now it is tried again.
        assert!(!entries.follow(&first));
        assert!(!entries.follow(&second));
        assert_eq!(entries.last_manifest, Some(second.sha256()));
    }
}
