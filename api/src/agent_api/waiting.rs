//! What an agent reports on its link about the recordings that wait in its spool, and how it is stored.

use std::time::Duration;

use domain::actions::ReadAgentConfiguration;
use domain::agent::Agent;
use domain::gate::Granted;
use domain::waiting::{REASON_LIMIT, WaitingRecordings};
use recording::sanitise::sanitised;
use tokio::time::Instant;

use crate::Hansard;
use crate::errors::chain_of;

/// The shortest time between two writes, whatever an agent reports.
const WRITE_AT_MOST_EVERY: Duration = Duration::from_secs(5);

/// What one link has heard.
#[derive(Debug, Default)]
pub(super) struct WaitingNote {
    said: Option<(u32, String)>,
    written: Option<(u32, String)>,
    written_at: Option<Instant>,
}

impl WaitingNote {
    /// Accepts a report of the agent.
    pub(super) fn say(&mut self, recordings: u32, reason: Option<String>) {
        let reason = reason.filter(|_| recordings > 0).unwrap_or_default();
        self.said = Some((recordings, sanitised(&reason).chars().take(REASON_LIMIT).collect()));
    }

    /// When there is something to write.
    pub(super) fn due_at(&self) -> Option<Instant> {
        let news = self.said.is_some() && self.said != self.written;
        news.then(|| self.written_at.map_or_else(Instant::now, |at| at + WRITE_AT_MOST_EVERY))
    }

    /// Stores the last report for the lists, and logs it.
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
            tracing::warn!(agent = %agent.id, chain = %chain_of(&error), "the number of waiting recordings could not be stored");
            return;
        }
        if recordings > 0 {
            tracing::warn!(agent = %agent.id, instance = %agent.instance, recordings, reason, "recordings wait in an agent's spool");
        } else if self.written.as_ref().is_some_and(|(before, _)| *before > 0) {
            tracing::info!(agent = %agent.id, instance = %agent.instance, "no recording waits in an agent's spool any more");
        }
        self.written = Some((recordings, reason));
    }
}
