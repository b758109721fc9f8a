//! Replicas share the limits of principals: together they let the limit through, whichever of them is called.

use std::num::NonZeroU32;

use api::{RateLimit, ThrottleLimits};
use test_facts::{Backend, TestDatabase, until_async};
use test_server::Running;

/// Calls of one principal that a deployment lets through in a second, and at once.
const PER_SECOND: u32 = 6;
const BURST: u32 = 12;

async fn is_let_through(replica: &Running) -> bool {
    match replica.call("GetInstanceRecordConfig", &[("InstanceId", "i-one")]).await.status {
        200 => true,
        429 => false,
        other => panic!("{other}"),
    }
}

/// How many calls a replica lets through at once, when the caller's allowance is whole.
async fn at_once(replica: &Running) -> u32 {
    replica.advance_seconds(60);
    let mut calls = 0;
    while is_let_through(replica).await {
        calls += 1;
    }
    calls
}

async fn shares_among(replica: &Running, replicas: u32) {
    until_async(&format!("it shares the limit among {replicas}"), async || {
        (at_once(replica).await == BURST.div_ceil(replicas)).then_some(())
    })
    .await;
}

/// How many calls are let through in a minute, when these replicas are called so often that each refuses some.
async fn in_a_minute(replicas: &[&Running]) -> u32 {
    let mut calls = 0;
    for _ in 0..60 * PER_SECOND {
        for replica in replicas {
            calls += u32::from(is_let_through(replica).await);
        }
        replicas[0].clock.advance_millis(1_000 / i64::from(PER_SECOND) + 1);
    }
    calls
}

#[tokio::test(flavor = "multi_thread")]
async fn three_replicas_let_one_limit_through_on_postgresql() {
    three_replicas_let_one_limit_through(Backend::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_replicas_let_one_limit_through_on_mariadb() {
    three_replicas_let_one_limit_through(Backend::MariaDb).await;
}

async fn three_replicas_let_one_limit_through(backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let one = Running::reachable_with(Some(database.url.clone()), |settings| {
        let limit = NonZeroU32::new(PER_SECOND).zip(NonZeroU32::new(BURST));
        let principal = limit.map(|(per_second, burst)| RateLimit { per_second, burst });
        settings.throttle = ThrottleLimits { address: None, principal };
    })
    .await;
    shares_among(&one, 1).await;
    let (two, mut three) = (one.another().await, one.another().await);
    for replica in [&one, &two, &three] {
        shares_among(replica, 3).await;
    }
    let limit = 60 * PER_SECOND;
    let even = in_a_minute(&[&one, &two, &three]).await;
    assert!((limit * 9 / 10..=limit * 12 / 10).contains(&even), "{even} of {limit}");
    let alone = in_a_minute(&[&two]).await;
    assert!(alone >= limit / 3, "{alone} of {limit}");

    three.halt();
    shares_among(&one, 2).await;
    drop(two);
    shares_among(&one, 1).await;
}
