//! What an agent reports on its link for people to see, and how it is stored: the recordings that wait in its spool, and the
//! room on the spool's disk.

use std::time::Duration;

use agent_protocol::local::DiskState;
use domain::actions::ReadAgentConfiguration;
use domain::agent::Agent;
use domain::gate::Granted;
use domain::spool_disk::{SpoolDisk, SpoolDiskState};
use domain::waiting::{REASON_LIMIT, WaitingRecordings};
use recording::sanitise::sanitised;
use tokio::time::Instant;

use crate::Hansard;
use crate::errors::chain_of;

/// The shortest time between two writes of a report, whatever an agent says.
const WRITE_AT_MOST_EVERY: Duration = Duration::from_secs(5);

/// What one link has heard.
#[derive(Debug, Default)]
pub(super) struct Reports {
    waiting: Report<(u32, String)>,
    disk: Report<(SpoolDiskState, u64)>,
}

/// One kind of report: what was said last, and what is stored.
#[derive(Debug)]
struct Report<T> {
    said: Option<T>,
    written: Option<T>,
    written_at: Option<Instant>,
}

impl<T> Default for Report<T> {
    fn default() -> Self {
        Self { said: None, written: None, written_at: None }
    }
}

impl<T: PartialEq + Clone> Report<T> {
    /// When there is something to write.
    fn due_at(&self) -> Option<Instant> {
        let news = self.said.is_some() && self.said != self.written;
        news.then(|| self.written_at.map_or_else(Instant::now, |at| at + WRITE_AT_MOST_EVERY))
    }

    /// What is to be written now. Until that succeeded it is still due, and tried as soon as it may be again.
    fn take_due(&mut self) -> Option<T> {
        self.due_at().filter(|at| *at <= Instant::now())?;
        self.written_at = Some(Instant::now());
        self.said.clone()
    }
}

impl Reports {
    /// Accepts what the agent says of its waiting recordings.
    pub(super) fn say_waiting(&mut self, recordings: u32, reason: Option<String>) {
        let reason = reason.filter(|_| recordings > 0).unwrap_or_default();
        self.waiting.said = Some((recordings, sanitised(&reason).chars().take(REASON_LIMIT).collect()));
    }

    /// Accepts what the agent says of its spool's disk.
    pub(super) fn say_disk(&mut self, state: DiskState, free_bytes: u64) {
        let state = match state {
            DiskState::Available => SpoolDiskState::Available,
            DiskState::Low => SpoolDiskState::Low,
            DiskState::Critical => SpoolDiskState::Critical,
        };
        self.disk.said = Some((state, free_bytes));
    }

    /// When there is something to write.
    pub(super) fn due_at(&self) -> Option<Instant> {
        [self.waiting.due_at(), self.disk.due_at()].into_iter().flatten().min()
    }

    /// Stores the last reports for the lists, and logs them.
    pub(super) async fn write(
        &mut self,
        hansard: &Hansard,
        granted: &Granted<ReadAgentConfiguration>,
        agent: &Agent,
    ) {
        self.write_waiting(hansard, granted, agent).await;
        self.write_disk(hansard, granted, agent).await;
    }

    async fn write_waiting(
        &mut self,
        hansard: &Hansard,
        granted: &Granted<ReadAgentConfiguration>,
        agent: &Agent,
    ) {
        let Some((recordings, reason)) = self.waiting.take_due() else { return };
        let waiting = (recordings > 0).then(|| WaitingRecordings {
            agent: agent.id.clone(),
            instance: agent.instance.clone(),
            recordings,
            reason: reason.clone(),
            since: hansard.now(),
        });
        if let Err(error) = hansard.store.note_waiting(granted, &agent.id, waiting).await {
            tracing::warn!(agent = %agent.id, chain = %chain_of(&error), "the number of waiting recordings could not be stored");
            return;
        }
        if recordings > 0 {
            tracing::warn!(agent = %agent.id, instance = %agent.instance, recordings, reason, "recordings wait in an agent's spool");
        } else if self.waiting.written.as_ref().is_some_and(|(before, _)| *before > 0) {
            tracing::info!(agent = %agent.id, instance = %agent.instance, "no recording waits in an agent's spool any more");
        }
        self.waiting.written = Some((recordings, reason));
    }

    async fn write_disk(
        &mut self,
        hansard: &Hansard,
        granted: &Granted<ReadAgentConfiguration>,
        agent: &Agent,
    ) {
        let Some((state, free_bytes)) = self.disk.take_due() else { return };
        let disk = SpoolDisk { agent: agent.id.clone(), state, free_bytes, told_at: hansard.now() };
        if let Err(error) = hansard.store.note_spool_disk(granted, disk).await {
            tracing::warn!(agent = %agent.id, chain = %chain_of(&error), "the room on a spool's disk could not be stored");
            return;
        }
        let before = self.disk.written.map_or(SpoolDiskState::Available, |(state, _)| state);
        if state != before {
            let state = state.as_str();
            tracing::warn!(agent = %agent.id, instance = %agent.instance, state, free_bytes, "the room on a spool's disk has changed");
        }
        self.disk.written = Some((state, free_bytes));
    }
}
