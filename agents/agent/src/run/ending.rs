//! Ends running sessions when there is no room for their recordings: one after the other, the one that takes most room
//! first. That is usually the one that fills the disk, and its delivery gives most back, so that the fewest sessions end.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use agent_protocol::local::DiskState;
use agent_protocol::recorder::{ControlReply, ControlRequest};
use recording::{FailurePolicy, TerminalSessionToken};

use super::Agent;
use super::session::Session;

/// How long the end of a session has to give room back before the next one ends.
const PAUSE: Duration = Duration::from_secs(5);

/// The sessions that were told to end.
#[derive(Debug, Default)]
pub(super) struct Ending {
    told: Arc<Mutex<BTreeSet<TerminalSessionToken>>>,
    next_at: Option<Instant>,
}

impl Ending {
    /// Ends a session if that is needed now. Gives how long it may take until it has to be looked at again: nothing is
    /// waited for as long as there is room, or nobody whose session could end.
    pub(super) fn advance(&mut self, agent: &Agent) -> Option<Duration> {
        let disk = agent.disk.is_critical();
        let people = match &disk {
            Some(_) => Default::default(),
            None => agent.user_limits.too_much_spooled(agent, agent.disk.state() == DiskState::Low),
        };
        if disk.is_none() && people.is_empty() {
            self.told().clear();
            self.next_at = None;
            return None;
        }
        let now = Instant::now();
        if let Some(wait) = self.next_at.and_then(|at| at.checked_duration_since(now)) {
            return Some(wait);
        }
        let why = |session: &Session| match (&disk, session.note.user_id) {
            (Some(why), _) => Some(why.clone()),
            (None, Some(user_id)) => people.get(&agent.user_limits.person(user_id)).cloned(),
            (None, None) => None,
        };
        let can_end = |session: &Arc<Session>| {
            // Whoever goes on without a recording stops being recorded by itself when there is no room.
            session.note.failure_policy != Some(FailurePolicy::BestEffort)
                && !self.told().contains(session.token())
                && session.is_recorded_now().unwrap_or(true)
        };
        let sessions = agent.sessions.open().into_iter().filter(can_end);
        let sessions = sessions.filter_map(|session| Some((session.spool_bytes(), why(&session)?, session)));
        let (_, why, session) = sessions.max_by_key(|(bytes, _, _)| *bytes)?;
        self.next_at = Some(now + PAUSE);
        self.told().insert(session.token().clone());
        self.end(session, why);
        Some(PAUSE)
    }

    fn told(&self) -> MutexGuard<'_, BTreeSet<TerminalSessionToken>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Without waiting for it, because a recorder may be slow to answer.
    fn end(&self, session: Arc<Session>, reason: String) {
        tracing::warn!(session = %session.token(), "the session is ended: {reason}");
        let told = Arc::clone(&self.told);
        tokio::spawn(async move {
            let answer = session.ask_recorder(&ControlRequest::End { reason }).await;
            let why = match answer {
                Ok(ControlReply::Done) => return,
                Ok(answer) => format!("{answer:?}"),
                Err(error) => error.to_string(),
            };
            tracing::warn!(session = %session.token(), "the session cannot be ended, and is told again: {why}");
            told.lock().unwrap_or_else(PoisonError::into_inner).remove(session.token());
        });
    }
}
