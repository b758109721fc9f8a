//! Limits how often a caller may call: per source address, before any other work, and per principal, as soon as the
//! caller is authenticated. Each replica counts by itself.

mod bounded;

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix_web::http::header::{self, HeaderName, HeaderValue};
use domain::clock::Clock;
use domain::principal::Principal;
use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use governor::{Quota, RateLimiter};
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

/// What the limiter measures time by.
struct Elapsed(Arc<dyn Clock>);

impl governor::clock::Clock for Elapsed {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

struct Limiter<K: Hash + Eq + Clone> {
    rates: RateLimiter<K, BoundedStates<K>, Elapsed, NoOpMiddleware<Duration>>,
    states: BoundedStates<K>,
    /// What one call takes of the allowance: the time in which it comes back.
    one: Duration,
    most: usize,
    looked_at_millis: AtomicU64,
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
        let quota = Quota::per_second(limit.per_second).allow_burst(limit.burst);
        let states = BoundedStates::of(most);
        let rates = RateLimiter::new(quota, states.clone(), Elapsed(clock));
        let one = quota.replenish_interval();
        Self { rates, states, one, most, looked_at_millis: AtomicU64::new(0) }
    }

    /// Takes back one call of this caller.
    fn give_back(&self, caller: &K) {
        self.states.give_back(caller, self.one.into());
    }

    fn call(&self, caller: &K) -> Result<(), Throttled> {
        if self.rates.len() >= self.most {
            self.make_room();
        }
        self.rates.check_key(caller).map_err(|not_until| Throttled {
            retry_after: not_until.wait_time_from(self.rates.clock().now()),
        })
    }

    /// Drops idle states, unless that was tried just now: it is too much work for every call.
    fn make_room(&self) {
        let now = u64::try_from(self.rates.clock().now().as_millis()).unwrap_or(u64::MAX);
        let every = u64::try_from(LOOK_EVERY.as_millis()).unwrap_or(u64::MAX);
        let due = |last: u64| (last == 0 || now.saturating_sub(last) >= every).then_some(now.max(1));
        if self.looked_at_millis.fetch_update(Ordering::Relaxed, Ordering::Relaxed, due).is_ok() {
            self.rates.retain_recent();
        }
    }

    fn forget_the_idle(&self) {
        self.rates.retain_recent();
        self.rates.shrink_to_fit();
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
        assert_eq!(limiter.rates.len(), 100);
        // Those who were there before are not affected.
        limiter.call(&0).unwrap();
        assert!(limiter.call(&0).is_err());

        // What is idle makes room: everybody's allowance is whole after two seconds.
        clock.advance_millis(4_000);
        let let_in = (20_000..20_099).filter(|caller| limiter.call(caller).is_ok()).count();
        assert_eq!((let_in, limiter.rates.len()), (99, 99));
        clock.advance_millis(3_000);
        limiter.forget_the_idle();
        assert!(limiter.rates.is_empty());
    }
}
