//! The agents that were on this instance before, whose sessions this one goes on with.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use recording::{AgentId, SealingKey, Start};

use super::ledger::Ledger;
use super::session::Session;
use crate::state_directory::StateDirectory;
use crate::{identity, predecessors};

/// An agent that was on this instance before.
pub(super) struct Predecessor {
    /// The key with which it sealed.
    pub(super) key: SealingKey,
    /// Its numbers and manifests, which those that are sealed in its place continue.
    pub(super) ledger: Ledger,
}

/// Those whose keys are kept. What of one cannot be read, and why, is told to whoever needs it.
type Known = BTreeMap<AgentId, Result<Arc<Predecessor>, String>>;

/// All of them.
pub(super) struct Predecessors {
    folder: PathBuf,
    known: Mutex<Known>,
}

impl Predecessors {
    /// Reads what is kept. That something cannot be read must not keep this agent from recording.
    pub(super) fn load(directory: &StateDirectory) -> Self {
        let folder = predecessors::folder(directory);
        if let Err(error) = predecessors::erase_half_written(&folder) {
            tracing::warn!("{} cannot be cleared: {error}", folder.display());
        }
        let kept = predecessors::kept(&folder).unwrap_or_else(|error| {
            tracing::error!("{} cannot be read: {error}", folder.display());
            BTreeSet::new()
        });
        let load = |agent_id: &AgentId| {
            let key = identity::read_sealing_key(&predecessors::key_path(&folder, agent_id))?;
            let ledger = Ledger::load(predecessors::ledger_path(&folder, agent_id), agent_id)?;
            Ok(Arc::new(Predecessor { key, ledger }))
        };
        let known = kept
            .into_iter()
            .map(|agent_id| {
                let loaded = load(&agent_id);
                (agent_id, loaded)
            })
            .collect();
        Predecessors { folder, known: Mutex::new(known) }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The agent that began this recording, with the key that sealed it; or why this agent cannot go on with what that one left.
    pub(super) fn find(&self, start: &Start) -> Result<Arc<Predecessor>, String> {
        let recorded = format!("it was recorded by {}, before this instance was enrolled again", start.agent);
        match self.known().get(&start.agent) {
            Some(Ok(predecessor)) if predecessor.key.public_key() == start.agent_sealing_key => {
                Ok(Arc::clone(predecessor))
            }
            Some(Ok(_)) => Err(format!(
                "{recorded}, and the key of that agent in {} is not the one that its start.json names",
                self.folder.display()
            )),
            Some(Err(why)) => {
                Err(format!("{recorded}, and what is kept of that agent cannot be used: {why}"))
            }
            None => Err(format!(
                "{recorded}, and the key of that agent is not in {}: without it nobody else can deliver the recording. Put it \
                 there and start the agent again, or take the recording out with `hansard-agent export`",
                self.folder.display()
            )),
        }
    }

    /// A crash may have come between a session's own files and its agent's ledger.
    pub(super) fn reconcile(&self, sessions: &[Session]) {
        for (agent_id, known) in self.known().iter_mut() {
            let Ok(predecessor) = known else { continue };
            if let Err(why) = predecessor.ledger.reconcile(sessions) {
                tracing::error!("recordings of {agent_id} cannot be sealed in its place: {why}");
                *known = Err(why);
            }
        }
    }

    /// Erases what is kept of all that have left nothing in the spool any more.
    pub(super) fn keep_only(&self, needed: &BTreeSet<AgentId>) {
        let mut known = self.known();
        known.retain(|agent_id, _| needed.contains(agent_id));
        if let Err(error) = predecessors::erase_others(&self.folder, needed) {
            // The next start tries again.
            tracing::warn!(
                "keys in {} that nobody needs any more stay there: {error}",
                self.folder.display()
            );
        }
    }
}
