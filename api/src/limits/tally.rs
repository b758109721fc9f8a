//! Counts what happens again and again, and makes it one audit event for each caller and minute
//! (DECISIONS A1): refusals of callers that were not authenticated, and calls that were throttled. A job writes what is
//! counted when its minute is over ([`crate::jobs`]), and all of it when the server ends in order; a server that is
//! killed loses the counts of its last minute.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::audit::{AuditDecision, AuditEvent, AuditOrigin, DEPLOYMENT_ACCOUNT};
use domain::identity::AccessKeyId;
use domain::principal::Principal;
use domain::{AccountId, Timestamp};
use tokio::sync::Notify;

use crate::http::request::RequestId;
use crate::limits::network::Network;

/// How many groups are counted separately within a minute. Beyond that, events are counted without their source; every
/// event is counted.
const MOST: usize = 1_000;

const MINUTE_MILLIS: i64 = 60_000;

/// The calls that are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TallyKey {
    account: AccountId,
    principal: Option<String>,
    access_key_id: Option<AccessKeyId>,
    action: &'static str,
    network: Option<Network>,
}

impl TallyKey {
    /// Callers of whom only the source is known.
    pub(crate) fn unauthenticated(source: Option<IpAddr>) -> Self {
        Self::of_account(&DEPLOYMENT_ACCOUNT, "", source)
    }

    /// Callers who named something of this account and did not prove that it is theirs.
    pub(crate) fn of_account(account: &AccountId, action: &'static str, source: Option<IpAddr>) -> Self {
        let (account, network) = (account.clone(), source.map(Network::of));
        Self { account, principal: None, access_key_id: None, action, network }
    }

    /// Callers who named this key of this account.
    pub(crate) fn of_key(account: &AccountId, key: &AccessKeyId, source: Option<IpAddr>) -> Self {
        Self { access_key_id: Some(key.clone()), ..Self::of_account(account, "", source) }
    }

    /// A principal, wherever it calls from; all sessions of a role together, as they are throttled.
    pub(crate) fn principal(principal: &Principal) -> Self {
        Self { principal: Some(principal.policy_arn()), ..Self::of_account(principal.account(), "", None) }
    }

    /// The same, wherever they come from.
    fn wherever_from(self) -> Self {
        Self { network: None, ..self }
    }
}

/// What is kept of one call.
#[derive(Debug, Clone)]
pub(crate) struct Instance<'a> {
    pub(crate) request_id: &'a RequestId,
    pub(crate) source_address: Option<IpAddr>,
    pub(crate) at: Timestamp,
    /// The wire code that it was answered with.
    pub(crate) code: &'a str,
}

/// How many calls, with one as their example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Count {
    /// Of the first one.
    request_id: String,
    /// Of the first one; `None` when they came from many.
    source_address: Option<IpAddr>,
    first_at: Timestamp,
    codes: BTreeMap<String, u64>,
}

impl Count {
    fn total(&self) -> u64 {
        self.codes.values().sum()
    }

    fn add(&mut self, other: Self) {
        for (code, times) in other.codes {
            *self.codes.entry(code).or_default() += times;
        }
    }

    /// The event: its result is the most frequent code, and `how` says all of them.
    pub(crate) fn event(&self, key: &TallyKey) -> AuditEvent {
        let mut codes: Vec<_> = self.codes.iter().collect();
        codes.sort_by_key(|(_, times)| std::cmp::Reverse(**times));
        let mut how = format!("{} refused:", self.total());
        for (number, (code, times)) in codes.iter().enumerate() {
            // Writing to a String cannot fail.
            let _ = write!(how, "{} {code} {times}", if number == 0 { "" } else { "," });
        }
        let origin = AuditOrigin {
            request_id: self.request_id.clone(),
            at: self.first_at,
            account: key.account.clone(),
            principal: key.principal.clone().unwrap_or_default(),
            access_key_id: key.access_key_id.as_ref().map(|id| id.as_str().to_owned()),
            source_address: self.source_address,
            user_agent: String::new(),
        };
        let result = codes.first().map(|(code, _)| code.as_str()).unwrap_or_default();
        let event = AuditEvent::new(origin, key.action, String::new(), AuditDecision::NotAsked, result);
        AuditEvent { how, ..event }
    }
}

/// What was counted and is not written yet.
pub(crate) type Counts = HashMap<TallyKey, Count>;

/// The counts of the present minute, and those of minutes that are over and not written yet.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    minutes: Mutex<Minutes>,
    over: Notify,
}

#[derive(Debug, Default)]
struct Minutes {
    number: i64,
    present: Counts,
    due: Counts,
}

impl Tally {
    /// Counts a call.
    pub(crate) fn count(&self, key: TallyKey, call: &Instance<'_>) {
        let mut minutes = self.lock();
        let over = minutes.turn(call.at);
        let count = Count {
            request_id: call.request_id.as_str().to_owned(),
            source_address: call.source_address,
            first_at: call.at,
            codes: BTreeMap::from([(call.code.to_owned(), 1)]),
        };
        add(&mut minutes.present, key, count);
        if over {
            self.over.notify_one();
        }
    }

    /// Takes what was counted in minutes that are over by `now`.
    pub(crate) fn take_due(&self, now: Timestamp) -> Counts {
        let mut minutes = self.lock();
        minutes.turn(now);
        std::mem::take(&mut minutes.due)
    }

    /// Takes everything.
    pub(crate) fn take_all(&self) -> Counts {
        let mut minutes = self.lock();
        minutes.end();
        std::mem::take(&mut minutes.due)
    }

    /// Takes back counts that could not be written, for the next time.
    pub(crate) fn give_back(&self, counts: Counts) {
        merge(&mut self.lock().due, counts);
    }

    /// Waits until a minute is known to be over. That nothing is counted in the next one must be found by a timer.
    pub(crate) async fn minute_is_over(&self) {
        self.over.notified().await;
    }

    // No change under the lock is left incomplete, so a panic elsewhere does not corrupt the counts.
    fn lock(&self) -> MutexGuard<'_, Minutes> {
        self.minutes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Minutes {
    /// Whether a minute has ended in which something was counted.
    fn turn(&mut self, now: Timestamp) -> bool {
        let number = now.as_millis().div_euclid(MINUTE_MILLIS);
        if self.number == number {
            return false;
        }
        self.number = number;
        let counted = !self.present.is_empty();
        self.end();
        counted
    }

    fn end(&mut self) {
        merge(&mut self.due, std::mem::take(&mut self.present));
    }
}

fn merge(into: &mut Counts, counts: Counts) {
    if into.is_empty() {
        *into = counts;
        return;
    }
    for (key, count) in counts {
        add(into, key, count);
    }
}

fn add(counts: &mut Counts, key: TallyKey, count: Count) {
    if let Some(before) = counts.get_mut(&key) {
        return before.add(count);
    }
    if counts.len() < MOST || key.network.is_none() {
        counts.insert(key, count);
        return;
    }
    // Unauthenticated callers cannot make more groups: there are as many as the deployment has accounts, keys and actions.
    add(counts, key.wherever_from(), Count { source_address: None, ..count });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_764_000_000_000 + seconds * 1_000)
    }

    fn address(number: u32) -> Option<IpAddr> {
        Some(std::net::Ipv4Addr::from_bits(number).into())
    }

    fn count(tally: &Tally, source: Option<IpAddr>, code: &str, now: Timestamp) {
        let request_id = RequestId::generate();
        let call = Instance { request_id: &request_id, source_address: source, at: now, code };
        tally.count(TallyKey::unauthenticated(source), &call);
    }

    fn shown(counts: &Counts) -> Vec<(String, String)> {
        let mut shown: Vec<_> = counts
            .iter()
            .map(|(key, count)| {
                let event = count.event(key);
                (event.source_address.map(|address| address.to_string()).unwrap_or_default(), event.how)
            })
            .collect();
        shown.sort();
        shown
    }

    #[test]
    fn a_source_is_one_event_for_each_minute_with_its_codes() {
        let tally = Tally::default();
        for (number, code, second) in
            [(1, "A", 0), (1, "B", 1), (2, "A", 2), (1, "B", 59), (1, "A", 60), (1, "A", 61)]
        {
            count(&tally, address(number), code, at(second));
        }
        let event = |text: &str, how: &str| (text.to_owned(), how.to_owned());
        let first = tally.take_due(at(62));
        assert_eq!(
            shown(&first),
            [event("0.0.0.1", "3 refused: B 2, A 1"), event("0.0.0.2", "1 refused: A 1")]
        );
        let (key, one) = first.iter().find(|(_, count)| count.total() == 3).unwrap();
        let written = one.event(key);
        assert_eq!(
            (written.result.as_str(), written.at, written.account),
            ("B", at(0), DEPLOYMENT_ACCOUNT.clone())
        );
        assert!(tally.take_due(at(119)).is_empty());
        assert_eq!(shown(&tally.take_all()), [event("0.0.0.1", "2 refused: A 2")]);
        assert!(tally.take_all().is_empty());
    }

    #[test]
    fn counts_that_could_not_be_written_are_written_with_the_next() {
        let tally = Tally::default();
        count(&tally, address(1), "A", at(0));
        let due = tally.take_due(at(60));
        count(&tally, address(1), "A", at(61));
        tally.give_back(due);
        let (key, all) = tally.take_due(at(120)).into_iter().next().unwrap();
        assert_eq!(all.event(&key).how, "2 refused: A 2");
    }

    #[test]
    fn too_many_sources_are_counted_together() {
        let tally = Tally::default();
        let many = u32::try_from(MOST).unwrap() * 3;
        let account: AccountId = "1000000000000001".parse().unwrap();
        for number in 0..many {
            count(&tally, address(number), "A", at(0));
            let request_id = RequestId::generate();
            let call =
                Instance { request_id: &request_id, source_address: address(number), at: at(0), code: "B" };
            tally.count(TallyKey::of_account(&account, "EnrolAgent", address(number)), &call);
        }
        let counts = tally.take_all();
        assert_eq!(counts.len(), MOST + 2);
        let total = |account: &AccountId| -> u64 {
            counts.iter().filter(|(key, _)| key.account == *account).map(|(_, count)| count.total()).sum()
        };
        assert_eq!((total(&DEPLOYMENT_ACCOUNT), total(&account)), (u64::from(many), u64::from(many)));
        let anywhere: Vec<_> = counts.iter().filter(|(key, _)| key.network.is_none()).collect();
        assert!(anywhere.len() == 2 && anywhere.iter().all(|(_, count)| count.source_address.is_none()));
    }
}
