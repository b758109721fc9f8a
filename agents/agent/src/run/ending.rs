//! Ends running sessions when there is no room for their recordings: one after the other, the one that takes most room
//! first. That is usually the one that fills the disk, and its delivery gives most back, so that the fewest sessions end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use agent_protocol::local::DiskState;
use agent_protocol::recorder::{ControlReply, ControlRequest};
use recording::{FailurePolicy, TerminalSessionToken};

use super::Agent;
use super::full::Full;
use super::pausing::Pausing;
use super::session::Session;

/// How long the end of a session has to give room back before the next one ends.
const PAUSE: Duration = Duration::from_secs(5);

/// The sessions that were told to end.
#[derive(Debug, Default)]
pub(super) struct Ending {
    told: Arc<Mutex<BTreeMap<TerminalSessionToken, Told>>>,
    next_at: Option<Instant>,
    pausing: Pausing,
    full: Full,
}

/// Whether a session goes on when it cannot be recorded.
pub(super) fn goes_on_without(session: &Session) -> bool {
    session.note.failure_policy == Some(FailurePolicy::BestEffort)
}

/// What is known of a session that was told to end. If its recorder does not hear it, it is told again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Unanswered,
    Ends,
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
        let of_pauses = self.pausing.advance(agent, &people);
        let people: BTreeMap<u32, String> = people
            .into_iter()
            .filter(|(_, too_much)| too_much.for_running_sessions)
            .map(|(person, too_much)| (person, too_much.why))
            .collect();
        let of_ends = self.end_one(agent, disk, &people);
        of_pauses.into_iter().chain(of_ends).chain(self.full.advance(agent)).min()
    }

    fn end_one(
        &mut self,
        agent: &Agent,
        disk: Option<String>,
        people: &BTreeMap<u32, String>,
    ) -> Option<Duration> {
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
            // Whoever goes on without a recording stops being recorded: by itself when the disk has no room, and else
            // because it is paused.
            !goes_on_without(session)
                && !self.told().contains_key(session.token())
                && session.is_recorded_now().unwrap_or(true)
        };
        let sessions = agent.sessions.open().into_iter().filter(can_end);
        let sessions = sessions.filter_map(|session| Some((session.spool_bytes(), why(&session)?, session)));
        let Some((_, why, session)) = sessions.max_by_key(|(bytes, _, _)| *bytes) else {
            return self.look_again_after();
        };
        self.next_at = Some(now + PAUSE);
        self.told().insert(session.token().clone(), Told::Unanswered);
        self.end(session, why);
        Some(PAUSE)
    }

    /// When every session that could end was told to: whoever does not answer may have to be told again, and nothing else
    /// says so.
    fn look_again_after(&self) -> Option<Duration> {
        self.told().values().any(|told| *told == Told::Unanswered).then_some(PAUSE)
    }

    fn told(&self) -> MutexGuard<'_, BTreeMap<TerminalSessionToken, Told>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Without waiting for it, because a recorder may be slow to answer.
    fn end(&self, session: Arc<Session>, reason: String) {
        tracing::warn!(session = %session.token(), "the session is ended: {reason}");
        let told = Arc::clone(&self.told);
        tokio::spawn(async move {
            let answer = session.ask_recorder(&ControlRequest::End { reason }).await;
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            let why = match answer {
                Ok(ControlReply::Done) => {
                    told.entry(session.token().clone()).and_modify(|told| *told = Told::Ends);
                    return;
                }
                Ok(answer) => format!("{answer:?}"),
                Err(error) => error.to_string(),
            };
            tracing::warn!(session = %session.token(), "the session cannot be ended, and is told again: {why}");
            told.remove(session.token());
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_looked_at_again_for_as_long_as_somebody_who_was_told_has_not_answered() {
        let ending = Ending::default();
        assert_eq!(ending.look_again_after(), None, "nobody was told");
        let (slow, quick) = (TerminalSessionToken::generate(), TerminalSessionToken::generate());
        ending.told().extend([(slow.clone(), Told::Unanswered), (quick, Told::Ends)]);
        assert_eq!(ending.look_again_after(), Some(PAUSE));
        ending.told().insert(slow, Told::Ends);
        assert_eq!(ending.look_again_after(), None, "their ends are noticed");
    }
}
