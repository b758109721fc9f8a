//! What an agent says on its link of the recordings that wait in its spool, and how it is written down.

use std::time::Duration;

use domain::actions::ReadAgentConfiguration;
use domain::agent::Agent;
use domain::gate::Granted;
use domain::waiting::{REASON_LIMIT, WaitingRecordings};
use recording::sanitise::sanitised;
use tokio::time::Instant;

use crate::Hansard;
use crate::errors::chain_of;

/// How often it is written down at most, whatever an agent says.
const WRITE_AT_MOST_EVERY: Duration = Duration::from_secs(5);

/// What one link has heard.
#[derive(Debug, Default)]
pub(super) struct WaitingNote {
    said: Option<(u32, String)>,
    written: Option<(u32, String)>,
    written_at: Option<Instant>,
}

impl WaitingNote {
    /// Takes what the agent says.
    pub(super) fn say(&mut self, recordings: u32, reason: Option<String>) {
        let reason = reason.filter(|_| recordings > 0).unwrap_or_default();
        self.said = Some((recordings, sanitised(&reason).chars().take(REASON_LIMIT).collect()));
    }

    /// When there is something to be written down.
    pub(super) fn due_at(&self) -> Option<Instant> {
        let news = self.said.is_some() && self.said != self.written;
        news.then(|| self.written_at.map_or_else(Instant::now, |at| at + WRITE_AT_MOST_EVERY))
    }

    /// Writes down what was said last, for the lists, and says it in the log.
    pub(super) async fn write(
        &mut self,
        hansard: &Hansard,
        granted: &Granted<ReadAgentConfiguration>,
        agent: &Agent,
    ) {
        let Some((recordings, reason)) = self.said.clone() else { return };
        self.written_at = Some(Instant::now());
        let waiting = (recordings > 0).then(|| WaitingRecordings {
            agent: agent.id.clone(),
            instance: agent.instance.clone(),
            recordings,
            reason: reason.clone(),
            since: hansard.now(),
        });
        if let Err(error) = hansard.store.note_waiting(granted, &agent.id, waiting).await {
            // It is still due, and written as soon as it may be again.
            tracing::warn!(agent = %agent.id, chain = %chain_of(&error), "that recordings wait could not be noted");
            return;
        }
        if recordings > 0 {
            tracing::warn!(agent = %agent.id, instance = %agent.instance, recordings, reason, "recordings wait in an agent's spool");
        } else if self.written.as_ref().is_some_and(|(before, _)| *before > 0) {
            tracing::info!(agent = %agent.id, instance = %agent.instance, "no recording waits any more in an agent's spool");
        }
        self.written = Some((recordings, reason));
    }
}
