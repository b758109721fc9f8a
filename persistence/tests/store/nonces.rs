//! Nonces on SQLite, which are found by an index in memory: it must know whatever the rows say.

use std::sync::Arc;

use domain::Timestamp;
use domain::server_keys::ServerKeys;
use persistence::{NonceClaim, Store};
use test_facts::{Backend, TestDatabase, World, at};

/// What has lapsed is kept for an hour more.
const HOUR: i64 = 3_600_000;

fn claim(number: u64, now: i64) -> NonceClaim {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&number.to_be_bytes());
    NonceClaim { hash, expires_at: at(now + 1_000), now: at(now) }
}

#[tokio::test]
async fn a_server_that_starts_again_knows_what_was_claimed() {
    let world = World::new(Backend::Sqlite).await;
    for number in 0..100 {
        assert!(world.store.claim_nonce(claim(number, number as i64)).await.unwrap());
    }
    let again = Store::connect(world.database.parsed(), Arc::clone(&world.keys)).await.unwrap();
    for number in 0..100 {
        assert!(!again.claim_nonce(claim(number, 999)).await.unwrap(), "{number}");
    }
    assert!(again.claim_nonce(claim(100, 999)).await.unwrap());
    assert!(again.claim_nonce(claim(0, 1_000)).await.unwrap(), "it has expired");
}

/// An upgrade must not let a request be used again.
#[tokio::test]
async fn what_an_earlier_version_claimed_stays_claimed() {
    let database = TestDatabase::new(Backend::Sqlite).await;
    std::fs::write(database.url.strip_prefix("sqlite:").unwrap(), "").unwrap();
    let earlier = include_str!("../fixtures/before-streams.sql");
    database.execute(earlier).await;
    let keys = Arc::new(ServerKeys::generate().unwrap());
    let store = Store::connect(database.parsed(), keys).await.unwrap();
    let rows = earlier.lines().filter_map(|line| {
        let (hash, expires_at) =
            line.strip_prefix("INSERT INTO \"nonces\" VALUES(X'")?.strip_suffix(");")?.split_once("',")?;
        Some((hex::decode(hash).unwrap().try_into().unwrap(), expires_at.parse::<i64>().unwrap()))
    });
    let rows: Vec<([u8; 32], i64)> = rows.collect();
    assert!(rows.len() > 10);
    for (hash, expires_at) in rows {
        let [before, then, after] =
            [expires_at - 1, expires_at, expires_at + 1_000].map(Timestamp::from_millis);
        let claim = |now| NonceClaim { hash, expires_at: after, now };
        assert!(!store.claim_nonce(claim(before)).await.unwrap());
        assert!(store.claim_nonce(claim(then)).await.unwrap(), "it has expired");
    }
}

#[tokio::test]
async fn expired_nonces_are_removed_from_the_first_one_on_and_numbers_are_not_used_again() {
    let world = World::new(Backend::Sqlite).await;
    for number in 0..20 {
        assert!(world.store.claim_nonce(claim(number, 0)).await.unwrap());
    }
    assert_eq!(world.store.remove_lapsed(at(HOUR + 999)).await.unwrap(), 0);
    assert_eq!(world.store.remove_lapsed(at(HOUR + 1_000)).await.unwrap(), 19);
    assert_eq!(world.count("nonces", "id = 20").await, 1, "the newest keeps the number");
    assert!(world.store.claim_nonce(claim(0, 1_000)).await.unwrap());
    assert_eq!(world.store.remove_lapsed(at(HOUR + 1_000)).await.unwrap(), 1);
    let again = Store::connect(world.database.parsed(), Arc::clone(&world.keys)).await.unwrap();
    for store in [&again, &world.store] {
        assert!(!store.claim_nonce(claim(0, 1_999)).await.unwrap());
        assert!(store.claim_nonce(claim(1, 1_000)).await.unwrap() == std::ptr::eq(store, &again));
    }
    assert_eq!(world.count("nonces", "id IN (21, 22)").await, 2);
}
