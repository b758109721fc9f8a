//! Limits how often a caller may call: per source address, before any other work, and per principal, as soon as the
//! caller is authenticated. Each replica counts by itself. The limit of an address protects a replica, and each has it
//! whole; that of a principal is the deployment's, and a replica has its share of it.

mod bounded;

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use actix_web::http::header::{self, HeaderName, HeaderValue};
use domain::clock::Clock;
use domain::principal::Principal;
use openapi::error_codes::ErrorCode;

use crate::limits::network::Network;
use bounded::BoundedStates;

/// How many callers of each kind have a state of their own, which takes a few megabytes. Newcomers beyond that share
/// one allowance, so that a flood of addresses hurts only itself and not those who were there before.
const MOST_CALLERS: usize = 65_536;

/// How often idle states are searched for room, when there is none.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A steady rate, and how many calls may come at once after a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Calls per second.
    pub per_second: NonZeroU32,
    /// Calls at once.
    pub burst: NonZeroU32,
}

/// The limits; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ThrottleLimits {
    /// Of one source address (of IPv6, of a /64), whoever calls from there.
    pub address: Option<RateLimit>,
    /// Of one principal, wherever it calls from.
    pub principal: Option<RateLimit>,
}

/// A call that came too soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Throttled {
    /// How long to wait for the next one.
    pub(crate) retry_after: Duration,
}

/// Both limits, for this replica.
pub(crate) struct Throttle {
    addresses: Option<Limiter<Option<Network>>>,
    principals: Option<Limiter<String>>,
}

impl Throttle {
    /// Nobody has called yet.
    pub(crate) fn new(limits: &ThrottleLimits, clock: &Arc<dyn Clock>) -> Self {
        Self {
            addresses: limits.address.map(|limit| Limiter::new(limit, clock.clone(), MOST_CALLERS)),
            principals: limits.principal.map(|limit| Limiter::new(limit, clock.clone(), MOST_CALLERS)),
        }
    }

    /// Counts a call from this address. Callers without a known address count as one.
    pub(crate) fn by_address(&self, address: Option<IpAddr>) -> Result<(), Throttled> {
        self.addresses.as_ref().map_or(Ok(()), |limiter| limiter.call(&address.map(Network::of)))
    }

    /// Does not count the last call from this address after all: its caller has a limit of another kind.
    pub(crate) fn give_back(&self, address: Option<IpAddr>) {
        if let Some(limiter) = &self.addresses {
            limiter.give_back(&address.map(Network::of));
        }
    }

    /// Counts a call of this principal. All sessions of a role count as one, because the caller who assumes the role
    /// chooses their names.
    pub(crate) fn by_principal(&self, principal: &Principal) -> Result<(), Throttled> {
        self.principals.as_ref().map_or(Ok(()), |limiter| limiter.call(&principal.policy_arn()))
    }

    /// Does not count the last call of this principal after all: it was somebody's repetition of an earlier one.
    pub(crate) fn give_back_to_principal(&self, principal: &Principal) {
        if let Some(limiter) = &self.principals {
            limiter.give_back(&principal.policy_arn());
        }
    }

    /// From now on the limit of a principal is shared among so many replicas, of which this is one. What a caller has used
    /// of its allowance stays the same part of it.
    pub(crate) fn share_among(&self, replicas: NonZeroU32) {
        if let Some(limiter) = &self.principals {
            limiter.among.store(replicas.get(), Ordering::Relaxed);
        }
    }

    /// Frees the states of callers whose allowance is full.
    pub(crate) fn forget_the_idle(&self) {
        if let Some(limiter) = &self.addresses {
            limiter.forget_the_idle();
        }
        if let Some(limiter) = &self.principals {
            limiter.forget_the_idle();
        }
    }
}

/// Each caller has an allowance, which a call takes a part of, and which comes back at the rate of the limit. What is kept
/// of a caller is the moment at which its allowance is whole again.
struct Limiter<K> {
    limit: RateLimit,
    /// Among how many replicas the limit is shared.
    among: AtomicU32,
    states: BoundedStates<K>,
    clock: Arc<dyn Clock>,
    looked_at_millis: AtomicU64,
}

/// What one replica may let through of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share {
    /// What one call takes: the time in which it comes back.
    one: Duration,
    /// The whole allowance: a number of calls, and at least one.
    whole: Duration,
}

impl RateLimit {
    /// The share of one of so many replicas. The rate is divided exactly, however small it is; the calls at once are
    /// rounded up, because each replica must be able to let one through.
    fn shared(self, among: NonZeroU32) -> Share {
        let one = Duration::from_secs(1) * among.get() / self.per_second.get();
        Share { one, whole: one * self.burst.get().div_ceil(among.get()) }
    }
}

impl Throttled {
    /// The wire code.
    pub(crate) const CODE: &str = ErrorCode::ThrottlingUser.row().code;

    /// The headers of the refusal. The vendor's SDKs read the milliseconds, and take any reply that has them for a
    /// throttled one; the rest of the world reads the seconds.
    pub(crate) fn headers(self) -> [(HeaderName, HeaderValue); 2] {
        let millis = self.retry_after.as_micros().div_ceil(1_000).max(1);
        let millis = u64::try_from(millis).unwrap_or(u64::MAX);
        [
            (HeaderName::from_static("x-acs-retry-after"), millis.into()),
            (header::RETRY_AFTER, millis.div_ceil(1_000).into()),
        ]
    }
}

impl<K: Hash + Eq + Clone> Limiter<K> {
    fn new(limit: RateLimit, clock: Arc<dyn Clock>, most: usize) -> Self {
        let (among, looked_at_millis) = (AtomicU32::new(1), AtomicU64::new(0));
        Self { limit, among, states: BoundedStates::of(most), clock, looked_at_millis }
    }

    /// What this replica may let through now.
    fn share(&self) -> Share {
        self.limit.shared(NonZeroU32::new(self.among.load(Ordering::Relaxed)).unwrap_or(NonZeroU32::MIN))
    }

    /// Takes back one call of this caller.
    fn give_back(&self, caller: &K) {
        self.states.give_back(caller, self.share().one);
    }

    fn call(&self, caller: &K) -> Result<(), Throttled> {
        let (Share { one, whole }, now) = (self.share(), self.clock.elapsed());
        if self.states.is_full() {
            self.make_room(now);
        }
        self.states.change(caller, |whole_at| {
            let whole_at = whole_at.map_or(now, |whole_at| whole_at.max(now)) + one;
            match whole_at.saturating_sub(now + whole) {
                Duration::ZERO => Ok(whole_at),
                retry_after => Err(Throttled { retry_after }),
            }
        })
    }

    /// Drops idle states, unless that was tried just now: it is too much work for every call.
    fn make_room(&self, now: Duration) {
        let millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let every = u64::try_from(LOOK_EVERY.as_millis()).unwrap_or(u64::MAX);
        let due = |last: u64| (last == 0 || millis.saturating_sub(last) >= every).then_some(millis.max(1));
        if self.looked_at_millis.fetch_update(Ordering::Relaxed, Ordering::Relaxed, due).is_ok() {
            self.states.forget_whole_at(now);
        }
    }

    fn forget_the_idle(&self) {
        self.states.forget_whole_at(self.clock.elapsed());
        self.states.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use domain::Timestamp;
    use domain::clock::ManualClock;

    use super::*;

    fn limit(per_second: u32, burst: u32) -> RateLimit {
        RateLimit { per_second: NonZeroU32::new(per_second).unwrap(), burst: NonZeroU32::new(burst).unwrap() }
    }

    fn clock() -> Arc<ManualClock> {
        Arc::new(ManualClock::at(Timestamp::from_millis(1_764_000_000_000)))
    }

    fn account(id: &str) -> Principal {
        Principal::Account { account: id.parse().unwrap() }
    }

    #[test]
    fn a_caller_has_its_burst_then_its_rate_and_nobody_elses() {
        let clock = clock();
        let limits = ThrottleLimits { address: Some(limit(1_000, 1)), principal: Some(limit(4, 3)) };
        let throttle = Throttle::new(&limits, &(clock.clone() as Arc<dyn Clock>));
        let (one, other) = (account("1000000000000001"), account("1000000000000002"));
        for _ in 0..3 {
            throttle.by_principal(&one).unwrap();
        }
        let refused = throttle.by_principal(&one).unwrap_err();
        assert_eq!(refused.retry_after, Duration::from_millis(250));
        throttle.by_principal(&other).unwrap();

        // A caller that waits as it was told is admitted once; asking in between costs nothing.
        clock.advance_millis(249);
        assert_eq!(throttle.by_principal(&one).unwrap_err().retry_after, Duration::from_millis(1));
        clock.advance_millis(1);
        throttle.by_principal(&one).unwrap();
        throttle.by_principal(&one).unwrap_err();

        // Setting the wall clock back keeps nobody out.
        clock.advance_millis(-3_600_000);
        clock.advance_millis(250);
        throttle.by_principal(&one).unwrap();
    }

    #[test]
    fn the_headers_give_the_pause_in_milliseconds_and_in_seconds() {
        let headers = |micros| {
            let throttled = Throttled { retry_after: Duration::from_micros(micros) };
            throttled.headers().map(|(name, value)| format!("{name} {}", value.to_str().unwrap()))
        };
        assert_eq!(headers(0), ["x-acs-retry-after 1", "retry-after 1"]);
        assert_eq!(headers(250_001), ["x-acs-retry-after 251", "retry-after 1"]);
        assert_eq!(headers(1_000_001), ["x-acs-retry-after 1001", "retry-after 2"]);
    }

    #[test]
    fn a_call_that_is_taken_back_can_be_used_again_but_no_more() {
        let clock = clock();
        let limits = ThrottleLimits { address: Some(limit(1, 3)), principal: None };
        let throttle = Throttle::new(&limits, &(clock.clone() as Arc<dyn Clock>));
        let address = Some("192.0.2.1".parse().unwrap());
        throttle.give_back(address);
        for _ in 0..20 {
            throttle.by_address(address).unwrap();
            throttle.give_back(address);
        }
        for _ in 0..3 {
            throttle.by_address(address).unwrap();
        }
        throttle.by_address(address).unwrap_err();
        throttle.give_back(address);
        throttle.by_address(address).unwrap();
        throttle.by_address(address).unwrap_err();
        // However often it is given back, a pause gives the burst and not more.
        for _ in 0..20 {
            throttle.give_back(address);
        }
        clock.advance_millis(60_000);
        assert_eq!((0..10).filter(|_| throttle.by_address(address).is_ok()).count(), 3);
    }

    #[test]
    fn without_a_limit_every_call_is_admitted() {
        let throttle = Throttle::new(&ThrottleLimits::default(), &(clock() as Arc<dyn Clock>));
        for _ in 0..10_000 {
            throttle.by_address(None).unwrap();
            throttle.by_principal(&account("1000000000000001")).unwrap();
        }
    }

    #[test]
    fn an_address_a_64_and_all_unknown_addresses_count_as_one_caller_each() {
        let limits = ThrottleLimits { address: Some(limit(1, 1)), principal: None };
        let throttle = Throttle::new(&limits, &(clock() as Arc<dyn Clock>));
        let call = |text: &str| throttle.by_address(Some(text.parse().unwrap()));
        call("192.0.2.1").unwrap();
        call("::ffff:192.0.2.1").unwrap_err();
        call("192.0.2.2").unwrap();
        call("2001:db8::1").unwrap();
        call("2001:db8::ffff:1").unwrap_err();
        throttle.by_address(None).unwrap();
        throttle.by_address(None).unwrap_err();
    }

    #[test]
    fn a_flood_of_addresses_takes_no_more_memory_and_displaces_nobody() {
        let clock = clock();
        let limiter = Limiter::<u32>::new(limit(1, 2), clock.clone(), 100);
        limiter.call(&0).unwrap();
        let let_in = (1..10_000).filter(|caller| limiter.call(caller).is_ok()).count();
        // 99 had room for a state of their own, and all the others together have one allowance.
        assert_eq!(let_in, 99 + 2);
        assert_eq!(limiter.states.len(), 100);
        // Those who were there before are not affected.
        limiter.call(&0).unwrap();
        assert!(limiter.call(&0).is_err());

        // What is idle makes room: everybody's allowance is whole after two seconds.
        clock.advance_millis(4_000);
        let let_in = (20_000..20_099).filter(|caller| limiter.call(caller).is_ok()).count();
        assert_eq!((let_in, limiter.states.len()), (99, 99));
        clock.advance_millis(3_000);
        limiter.forget_the_idle();
        assert_eq!(limiter.states.len(), 0);
    }

    /// How many calls of one principal each replica lets through in a minute, when it gets so many a second.
    fn let_through(limit: RateLimit, calls_per_second: &[u32]) -> Vec<u32> {
        let clock = clock();
        let among = NonZeroU32::new(u32::try_from(calls_per_second.len()).unwrap()).unwrap();
        let limits = ThrottleLimits { address: None, principal: Some(limit) };
        let replicas = calls_per_second.iter().map(|calls| {
            let throttle = Throttle::new(&limits, &(clock.clone() as Arc<dyn Clock>));
            throttle.share_among(among);
            (throttle, *calls, 0)
        });
        let mut replicas: Vec<_> = replicas.collect();
        let caller = account("1000000000000001");
        for millis in 0..60_000 {
            for (throttle, calls, admitted) in &mut replicas {
                if millis * *calls / 1_000 < (millis + 1) * *calls / 1_000 {
                    *admitted += u32::from(throttle.by_principal(&caller).is_ok());
                }
            }
            clock.advance_millis(1);
        }
        replicas.into_iter().map(|(.., admitted)| admitted).collect()
    }

    #[test]
    fn replicas_under_even_load_let_the_limit_through_together_and_one_alone_its_share() {
        for limit in [limit(1, 1), limit(1, 5), limit(2, 20), limit(7, 7), limit(100, 200)] {
            let whole = 60 * limit.per_second.get();
            let even: u32 = let_through(limit, &[200; 3]).iter().sum();
            assert!((whole * 9 / 10..=whole * 12 / 10).contains(&even), "{limit:?}: {even} of {whole}");
            let alone: u32 = let_through(limit, &[200, 0, 0]).iter().sum();
            assert!(alone >= whole / 3, "{limit:?}: {alone} of {whole}");
        }
    }

    #[test]
    fn a_caller_that_has_used_up_its_allowance_gets_no_other_when_shares_change() {
        let clock = clock();
        let limits = ThrottleLimits { address: None, principal: Some(limit(6, 12)) };
        let throttle = Throttle::new(&limits, &(clock.clone() as Arc<dyn Clock>));
        let caller = account("1000000000000001");
        let admitted = || (0..100).filter(|_| throttle.by_principal(&caller).is_ok()).count();
        assert_eq!(admitted(), 12);
        for replicas in [3, 1, 2, 12, 100, 1] {
            throttle.share_among(NonZeroU32::new(replicas).unwrap());
            assert_eq!(admitted(), 0, "{replicas} replicas");
        }
        // The others are gone, and this one has the whole limit again.
        clock.advance_millis(1_000);
        assert_eq!(admitted(), 6);
        throttle.share_among(NonZeroU32::new(3).unwrap());
        clock.advance_millis(60_000);
        assert_eq!(admitted(), 4);
    }
}
