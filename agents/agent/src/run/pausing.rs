//! Has sessions go on without their recordings whose people take too much of the spool, where the failure policy lets them. It
//! lasts until what they take is what lets new sessions begin. Recorders are asked again and again: for as long as no agent
//! asks, they record.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_protocol::recorder::{ControlReply, ControlRequest};

use super::Agent;
use super::ending::goes_on_without;
use super::session::Session;
use super::user_limits::TooMuch;

/// How often recorders are asked.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// For how long. Longer than until it is asked again, also where the agent starts anew meanwhile.
const PAUSE_MILLIS: u64 = 20_000;

/// The people whose sessions are not recorded.
#[derive(Debug, Default)]
pub(super) struct Pausing {
    people: BTreeSet<u32>,
    ask_at: Option<Instant>,
}

impl Pausing {
    /// Asks the recorders if it is time. Gives how long it may take until they have to be asked again.
    pub(super) fn advance(&mut self, agent: &Agent, too_much: &BTreeMap<u32, TooMuch>) -> Option<Duration> {
        if self.learn(too_much) {
            self.ask_at = None;
        }
        if self.people.is_empty() {
            return None;
        }
        let now = Instant::now();
        if let Some(wait) = self.ask_at.and_then(|at| at.checked_duration_since(now)) {
            return Some(wait);
        }
        self.ask_at = Some(now + ASK_EVERY);
        for session in agent.sessions.open() {
            let person = session.note.user_id.map(|user_id| agent.user_limits.person(user_id));
            let why =
                person.filter(|person| self.people.contains(person)).and_then(|person| too_much.get(&person));
            let Some(why) = why else { continue };
            if goes_on_without(&session) && session.is_recorded_now().unwrap_or(true) {
                tokio::spawn(pause(session, why.why.clone()));
            }
        }
        Some(ASK_EVERY)
    }

    /// Who is to be paused from now on. True if somebody is new.
    fn learn(&mut self, too_much: &BTreeMap<u32, TooMuch>) -> bool {
        self.people.retain(|person| too_much.contains_key(person));
        let running = too_much.iter().filter(|(_, too_much)| too_much.for_running_sessions);
        running.fold(false, |new, (person, _)| self.people.insert(*person) | new)
    }
}

async fn pause(session: Arc<Session>, reason: String) {
    let why = match session.ask_recorder(&ControlRequest::Pause { reason, millis: PAUSE_MILLIS }).await {
        Ok(ControlReply::Done) => return,
        Ok(ControlReply::Refused { reason }) => reason,
        Ok(ControlReply::State { .. }) => "its answer belongs to another request".to_owned(),
        Err(error) => error.to_string(),
    };
    tracing::warn!(session = %session.token(), "its recording cannot be paused, and it is asked again: {why}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_paused_stays_so_until_new_sessions_may_begin() {
        let too_much = |for_running_sessions| {
            BTreeMap::from([(7, TooMuch { why: "why".to_owned(), for_running_sessions })])
        };
        let mut pausing = Pausing::default();
        assert!(!pausing.learn(&too_much(false)) && pausing.people.is_empty());
        assert!(pausing.learn(&too_much(true)));
        assert!(!pausing.learn(&too_much(true)), "nobody is new");
        assert!(!pausing.learn(&too_much(false)) && pausing.people.contains(&7));
        assert!(!pausing.learn(&BTreeMap::new()) && pausing.people.is_empty());
    }
}
