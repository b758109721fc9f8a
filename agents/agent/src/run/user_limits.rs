//! How much of the agent one person may have: sessions at once, sessions in a minute, and room in the spool, by bytes and by number. A person is a
//! user id with the ids that are subordinate to it. Root may have any number.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Agent;
use super::subordinate_ids::Owners;
use crate::settings;

pub(super) const ROOT: u32 = 0;
const MINUTE: Duration = Duration::from_secs(60);
/// How long a measurement of the spool is believed, at least.
const MEASURE_AGAIN_AFTER: Duration = Duration::from_secs(2);
/// Measuring takes no greater part of the time than one of so many, however many sessions wait to be delivered.
const MEASURE_AT_MOST: u32 = 50;

/// The limits, and what is known of each person.
#[derive(Debug)]
pub(super) struct UserLimits {
    settings: settings::UserLimits,
    owners: Arc<Owners>,
    starts: Mutex<Starts>,
    spooled: Mutex<Spooled>,
}

/// How much of the spool each person's recordings take.
#[derive(Debug, Default)]
struct Spooled {
    measure_again_at: Option<Instant>,
    by_person: BTreeMap<u32, OfPerson>,
}

/// What of the spool one person's recordings take.
#[derive(Debug, Default, Clone, Copy)]
struct OfPerson {
    bytes: u64,
    recordings: usize,
}

/// That a person's recordings take more of the spool than they may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TooMuch {
    pub(super) why: String,
    /// Whether running sessions are concerned: a quarter more than what keeps new ones from beginning, so that none is
    /// ended that could just begin.
    pub(super) for_running_sessions: bool,
}

impl UserLimits {
    pub(super) fn new(settings: settings::UserLimits, owners: Arc<Owners>) -> Self {
        UserLimits { settings, owners, starts: Mutex::default(), spooled: Mutex::default() }
    }

    /// The person behind a user id.
    pub(super) fn person(&self, user_id: u32) -> u32 {
        self.owners.owner(user_id)
    }

    /// Why this user may have no further session now, if that is so. Nothing changes by it.
    pub(super) fn refusal(&self, agent: &Agent, user_id: u32) -> Option<String> {
        let person = self.person(user_id);
        if person == ROOT {
            return None;
        }
        let most = self.settings.most_sessions_of_a_user;
        let is_theirs = |user_id: Option<u32>| user_id.is_some_and(|id| self.person(id) == person);
        if agent.sessions.open().iter().filter(|session| is_theirs(session.note.user_id)).count() >= most {
            return Some(format!(
                "user {person} has {most} sessions that are being recorded, and may not have more"
            ));
        }
        let OfPerson { bytes: taken, recordings } =
            self.spooled(agent).by_person.get(&person).copied().unwrap_or_default();
        let most = self.settings.most_waiting_recordings_of_a_user;
        if recordings >= most {
            return Some(format!(
                "{recordings} recordings of user {person} are not delivered yet, of at most {most}: new ones can begin when \
                 some are"
            ));
        }
        let most = self.settings.most_spool_bytes_of_a_user.min(agent.disk.free_bytes().unwrap_or(u64::MAX));
        (taken > 0 && taken >= most).then(|| {
            format!(
                "{}, of at most {most}: new ones can begin when they are delivered",
                what_waits(person, taken)
            )
        })
    }

    /// Counts a session that begins now, or says why it may not.
    pub(super) fn start(&self, user_id: u32) -> Result<(), String> {
        let person = self.person(user_id);
        if person == ROOT {
            return Ok(());
        }
        let most = self.settings.most_starts_of_a_user;
        let mut starts = self.starts.lock().unwrap_or_else(PoisonError::into_inner);
        starts.admit(person, most, Instant::now()).map_err(|wait| match wait {
            Some(wait) => format!(
                "user {person} has begun {most} sessions within a minute, and may not begin more: try again in {} s",
                wait.as_secs() + 1
            ),
            None => format!("user {person} may begin no sessions"),
        })
    }

    /// The people whose recordings take more of the spool than they may; while the disk is low no more than is left to all
    /// others.
    pub(super) fn too_much_spooled(&self, agent: &Agent, disk_is_low: bool) -> BTreeMap<u32, TooMuch> {
        let most = self.settings.most_spool_bytes_of_a_user;
        let free = disk_is_low.then(|| agent.disk.free_bytes()).flatten().unwrap_or(u64::MAX);
        let most = most.min(free);
        let most_of_running = most.saturating_add(most / 4);
        let spooled = self.spooled(agent);
        let too_much = spooled.by_person.iter().filter(|(person, of)| **person != ROOT && of.bytes > most);
        let describe = |(person, of): (&u32, &OfPerson)| {
            let why = format!("{}, of at most {most_of_running}", what_waits(*person, of.bytes));
            (*person, TooMuch { why, for_running_sessions: of.bytes > most_of_running })
        };
        too_much.map(describe).collect()
    }

    fn spooled(&self, agent: &Agent) -> MutexGuard<'_, Spooled> {
        let mut spooled = self.spooled.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if spooled.measure_again_at.is_none_or(|at| at <= now) {
            let mut by_person = BTreeMap::new();
            for (user_id, bytes) in agent.sessions.spooled() {
                let of: &mut OfPerson = by_person.entry(self.person(user_id)).or_default();
                of.bytes += bytes;
                of.recordings += 1;
            }
            let pause = MEASURE_AGAIN_AFTER.max(now.elapsed() * MEASURE_AT_MOST);
            *spooled = Spooled { measure_again_at: Some(Instant::now() + pause), by_person };
        }
        spooled
    }
}

fn what_waits(person: u32, bytes: u64) -> String {
    format!("recordings of user {person} take {bytes} bytes of the spool until they are delivered")
}

/// When each person could begin a session again if every one before had waited for its turn.
#[derive(Debug, Default)]
struct Starts {
    turns: BTreeMap<u32, Instant>,
}

impl Starts {
    /// Counts a start, or says how long to wait for the next; `None` if that is for ever. After a minute without any, a
    /// minute's worth can begin at once.
    fn admit(&mut self, person: u32, in_a_minute: u32, now: Instant) -> Result<(), Option<Duration>> {
        let each = MINUTE.checked_div(in_a_minute).ok_or(None)?;
        // What lies in the past says nothing.
        self.turns.retain(|_, turn| *turn > now);
        let turn = self.turns.get(&person).copied().unwrap_or(now) + each;
        match turn.saturating_duration_since(now).checked_sub(MINUTE) {
            Some(wait) if !wait.is_zero() => Err(Some(wait)),
            _ => {
                self.turns.insert(person, turn);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_s_worth_of_sessions_begins_at_once_and_then_each_in_its_turn() {
        let mut starts = Starts::default();
        let begin = Instant::now();
        for _ in 0..6 {
            assert_eq!(starts.admit(7, 6, begin), Ok(()));
        }
        assert_eq!(starts.admit(7, 6, begin), Err(Some(Duration::from_secs(10))));
        assert_eq!(starts.admit(8, 6, begin), Ok(()), "others are not concerned");
        let at = |seconds| begin + Duration::from_secs(seconds);
        assert_eq!(starts.admit(7, 6, at(4)), Err(Some(Duration::from_secs(6))), "a refusal costs nothing");
        assert_eq!(starts.admit(7, 6, at(10)), Ok(()));
        assert_eq!(starts.admit(7, 6, at(10)), Err(Some(Duration::from_secs(10))));
        for _ in 0..6 {
            assert_eq!(starts.admit(7, 6, at(200)), Ok(()));
        }
        assert!(starts.admit(7, 6, at(200)).is_err());
        assert_eq!(starts.turns.len(), 1, "nobody is remembered longer than needed");
        assert_eq!(starts.admit(9, 0, begin), Err(None));
    }

    #[test]
    fn a_refusal_says_when_to_try_again_and_root_is_never_refused() {
        let limits = UserLimits::new(settings::UserLimits::of_tests(1), Arc::default());
        limits.start(1_999_999_999).unwrap();
        let why = limits.start(1_999_999_999).unwrap_err();
        assert!(why.ends_with("try again in 60 s"), "{why}");
        for _ in 0..5 {
            limits.start(ROOT).unwrap();
        }
    }
}
