//! Nonces and access keys: what authentication reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::Timestamp;
use domain::access_key::{AccessKeySecret, AccessKeyStatus};
use domain::audit::DEPLOYMENT_ACCOUNT;
use domain::identity::AccessKeyId;
use domain::principal::Principal;
use domain::server_keys::ServerKeys;
use persistence::{NonceClaim, Store, StoreError};

use test_facts::{Backend, World, account, at, on_both, other_account, until_async};

on_both!(
    of_concurrent_claims_one_is_fresh,
    of_a_thousand_replayed_requests_each_is_accepted_once,
    a_lapsed_nonce_is_fresh_again,
    a_fast_clock_frees_no_nonce_for_others,
    a_root_key_is_found_with_its_secret,
    a_preset_root_is_kept_or_refused,
    other_server_keys_open_no_secret,
    the_database_answers,
    a_call_that_is_given_up_is_done_whole,
);

const HOUR: i64 = 3_600_000;

fn claim(number: u8, now: i64) -> NonceClaim {
    NonceClaim { hash: [number; 32], expires_at: at(now + 1_000), now: at(now) }
}

async fn of_concurrent_claims_one_is_fresh(world: World) {
    let replica = world.replica().await;
    for number in 0..10 {
        let mut claims = tokio::task::JoinSet::new();
        for claimant in 0..8 {
            let store = if claimant % 2 == 0 { world.store.clone() } else { replica.clone() };
            claims.spawn(async move { store.claim_nonce(claim(number, 0)).await.unwrap() });
        }
        let fresh = claims.join_all().await.into_iter().filter(|fresh| *fresh).count();
        assert_eq!(fresh, 1, "nonce {number}");
    }
}

/// Finds the nonces that were not fresh as often as expected, and how often each was. Each of a thousand nonces is
/// claimed at the same moment by four of sixteen tasks, which two replicas serve over as many connections.
async fn replay(stores: &[Store; 2], now: i64, expected: usize) -> Vec<(usize, usize)> {
    const NONCES: usize = 1_000;
    const CLAIMANTS: usize = 16;
    const OF_EACH: usize = 4;
    let start = Arc::new(tokio::sync::Barrier::new(CLAIMANTS));
    let mut claimants = tokio::task::JoinSet::new();
    for claimant in 0..CLAIMANTS {
        let (store, start) = (stores[claimant % 2].clone(), Arc::clone(&start));
        claimants.spawn(async move {
            let mut fresh = Vec::new();
            start.wait().await;
            for nonce in (claimant / OF_EACH..NONCES).step_by(CLAIMANTS / OF_EACH) {
                let mut hash = [0; 32];
                hash[..8].copy_from_slice(&nonce.to_be_bytes());
                let claim = NonceClaim { hash, expires_at: at(now + 1_000), now: at(now) };
                if store.claim_nonce(claim).await.unwrap() {
                    fresh.push(nonce);
                }
            }
            fresh
        });
    }
    let mut times = vec![0; NONCES];
    for nonce in claimants.join_all().await.into_iter().flatten() {
        times[nonce] += 1;
    }
    times.into_iter().enumerate().filter(|(_, times)| *times != expected).collect()
}

async fn of_a_thousand_replayed_requests_each_is_accepted_once(world: World) {
    let stores = [world.store.clone(), world.replica().await];
    assert_eq!(replay(&stores, 0, 1).await, []);
    assert_eq!(replay(&stores, 999, 0).await, [], "none has lapsed");
    assert_eq!(replay(&stores, 1_000, 1).await, [], "all have lapsed");
    // The same while expired nonces are being removed.
    let (purging, ended) = (world.store.clone(), Arc::new(AtomicBool::new(false)));
    let until = Arc::clone(&ended);
    let purge = tokio::spawn(async move {
        while !until.load(Ordering::Relaxed) {
            purging.remove_lapsed(at(HOUR + 2_000)).await.unwrap();
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(replay(&stores, 2_000, 1).await, [], "all have lapsed again");
    ended.store(true, Ordering::Relaxed);
    purge.await.unwrap();
    let rows = match world.database.backend {
        // They are only appended there, and removed in blocks: the last ones may keep others.
        Backend::Sqlite => format!("expires_at > {}", at(2_000).as_millis()),
        Backend::Postgres | Backend::MariaDb => "1 = 1".to_owned(),
    };
    assert_eq!(world.count("nonces", &rows).await, 1_000);
}

async fn a_lapsed_nonce_is_fresh_again(world: World) {
    assert!(world.store.claim_nonce(claim(1, 0)).await.unwrap());
    assert!(!world.store.claim_nonce(claim(1, 999)).await.unwrap());
    assert!(world.store.claim_nonce(claim(1, 1_000)).await.unwrap());
    assert!(!world.store.claim_nonce(claim(1, 1_500)).await.unwrap());
    world.store.claim_nonce(claim(2, 0)).await.unwrap();
    let (before, lapsed) = match world.database.backend {
        // They are only appended there, and removed in blocks, of which this one has not expired.
        Backend::Sqlite => (3, 0),
        Backend::Postgres | Backend::MariaDb => (2, 1),
    };
    assert_eq!(world.count("nonces", "1 = 1").await, before);
    assert_eq!(world.store.remove_lapsed(at(HOUR + 999)).await.unwrap(), 0, "within an hour after it lapsed");
    let removed = world.store.remove_lapsed(at(HOUR + 1_500)).await.unwrap();
    assert_eq!((removed, world.count("nonces", "1 = 1").await), (lapsed, before - lapsed as i64));
    assert!(!world.store.claim_nonce(claim(1, 1_600)).await.unwrap(), "the purge left what has not lapsed");
}

/// A replica whose clock is hours ahead frees no nonce that others still refuse.
async fn a_fast_clock_frees_no_nonce_for_others(world: World) {
    let Some(now) = world.store.clock().await.unwrap() else {
        assert_eq!(world.database.backend, Backend::Sqlite, "its clock is that of the one replica");
        return;
    };
    let claim = |number: u8| NonceClaim { hash: [number; 32], expires_at: now, now: at(0) };
    assert!(world.store.claim_nonce(claim(1)).await.unwrap());
    let ahead = Timestamp::from_millis(now.as_millis() + 10 * HOUR);
    assert_eq!(world.store.remove_lapsed(ahead).await.unwrap(), 0);
    assert!(!world.store.claim_nonce(claim(1)).await.unwrap());
}

async fn a_root_key_is_found_with_its_secret(world: World) {
    let id = AccessKeyId::parse("root-key").unwrap();
    let key = world.store.find_access_key(&id).await.unwrap().unwrap();
    assert_eq!(key.secret.reveal(), "root-secret");
    assert_eq!(key.status, AccessKeyStatus::Active);
    assert_eq!(key.principal, Principal::Account { account: account() });
    assert_eq!(
        world.store.find_access_key(&AccessKeyId::parse("nobody").unwrap()).await.unwrap().map(|k| k.id),
        None
    );
    assert_eq!(world.count("access_keys", "sealed_secret LIKE '%root-secret%'").await, 0);
    assert_eq!(world.store.all_accounts().await.unwrap(), [account(), other_account()]);
}

async fn a_preset_root_is_kept_or_refused(world: World) {
    let id = AccessKeyId::parse("root-key").unwrap();
    let before = world.store.configuration_revision(&account()).await.unwrap();
    let same = AccessKeySecret::new("root-secret".to_owned());
    world.store.ensure_root(&account(), &id, &same, at(5)).await.unwrap();
    assert_eq!(world.store.configuration_revision(&account()).await.unwrap(), before, "nothing changed");
    let new = AccessKeySecret::new("another".to_owned());
    world.store.ensure_root(&account(), &id, &new, at(5)).await.unwrap();
    assert_eq!(world.store.find_access_key(&id).await.unwrap().unwrap().secret.reveal(), "another");
    let refused = world.store.ensure_root(&DEPLOYMENT_ACCOUNT, &id, &new, at(5)).await;
    assert!(matches!(refused, Err(StoreError::Conflict { what: "account", .. })), "{refused:?}");
    let refused = world.store.ensure_root(&other_account(), &id, &new, at(5)).await;
    assert!(matches!(refused, Err(StoreError::Conflict { what: "access key", .. })), "{refused:?}");
}

async fn other_server_keys_open_no_secret(world: World) {
    let keys = Arc::new(ServerKeys::generate().unwrap());
    let store = Store::connect(world.database.parsed(), keys).await.unwrap();
    let refused = store.find_access_key(&AccessKeyId::parse("root-key").unwrap()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Keys { .. }), "{refused:?}");
}

async fn the_database_answers(world: World) {
    world.store.ping().await.unwrap();
    assert!(format!("{:?}", world.store).contains("database"));
}

/// A client that hangs up must not leave a call half done.
async fn a_call_that_is_given_up_is_done_whole(world: World) {
    for number in 0..20_u64 {
        let store = world.store.clone();
        let event = test_facts::event(&account(), "GivenUp");
        let _ = tokio::time::timeout(Duration::from_micros(number * 50), store.record_audit(event)).await;
    }
    // The next row is linked to whatever was committed, without a gap.
    world.store.record_audit(test_facts::event(&account(), "Last")).await.unwrap();
    until_async("what had begun is finished", async || {
        (world.count("audit_events", "action = 'GivenUp'").await == 20).then_some(())
    })
    .await;
    crate::audit::assert_chains_are_whole(&world).await;
}
