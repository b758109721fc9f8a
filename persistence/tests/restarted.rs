//! The database is away for a while, and comes back, while calls are made: what was answered is there once, what was refused
//! is there at most once, and everything goes on by itself. Connections that were lost meanwhile cost no call.
//!
//! `HANSARD_TEST_DATABASE_AWAY_SECONDS` says how long it is away.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may panic, and read its setting; the store itself is tested here"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use domain::actions::CreateAgentJoinToken;
use domain::audit::AuditEvent;
use domain::gate::Resource;
use persistence::{HeldAgainst, JoinTokenIssued, NonceClaim, Store, StoreError};
use sea_orm::ConnectionTrait;

use test_facts::{
    Backend, RestartableServer, TestDatabase, World, account, at, event, join_token, owner, until_async,
};

/// How many callers there are at once: more than connections.
const CALLERS: u64 = 24;

fn away() -> Duration {
    let seconds = std::env::var("HANSARD_TEST_DATABASE_AWAY_SECONDS");
    let seconds = seconds.map_or(5, |seconds| seconds.parse().expect("it is a number of seconds"));
    Duration::from_secs(seconds)
}

fn claim(number: u64) -> NonceClaim {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&number.to_be_bytes());
    NonceClaim { hash, expires_at: at(900_000), now: at(0) }
}

fn row(number: u64) -> AuditEvent {
    AuditEvent { request_id: number.to_string(), ..event(&account(), "ListAgents") }
}

/// A call that changes something.
async fn change(store: &Store, number: u64) -> Result<(), StoreError> {
    let (_, token) = join_token(&account(), "*", false, at(0));
    let granted = owner::<CreateAgentJoinToken>(&account(), Resource::Everything);
    let audit = AuditEvent { request_id: number.to_string(), ..event(&account(), "CreateAgentJoinToken") };
    store.apply(&granted, JoinTokenIssued { token }, audit).await
}

/// One call of each kind, by the number: one that only reads, and one that changes something.
async fn call(store: &Store, number: u64) -> Result<(), StoreError> {
    store.all_accounts().await?;
    if number.is_multiple_of(4) {
        return change(store, number).await;
    }
    let fresh = store.record_audit_once(claim(number), row(number)).await?;
    assert!(fresh, "call {number} was made once");
    Ok(())
}

/// How many rows each call has.
async fn rows(database: &TestDatabase) -> BTreeMap<u64, u64> {
    let mut rows = BTreeMap::new();
    let found =
        "SELECT request_id AS r FROM audit_events WHERE action IN ('ListAgents', 'CreateAgentJoinToken')";
    for row in database.rows(found).await {
        let number: String = row.try_get("", "r").unwrap();
        *rows.entry(number.parse().unwrap()).or_default() += 1;
    }
    rows
}

async fn assert_chains_are_whole(world: &World) {
    let found = world.store.verify_audit(HeldAgainst::default()).await.unwrap();
    assert_eq!(found.findings, []);
}

async fn calls_at_once(store: &Store, from: u64) -> Vec<Result<(), StoreError>> {
    let mut calls = tokio::task::JoinSet::new();
    for number in from..from + CALLERS {
        let store = store.clone();
        calls.spawn(async move { call(&store, number).await });
    }
    calls.join_all().await
}

/// Ends every connection to the database but that of this statement.
async fn end_all_connections(database: &TestDatabase) {
    let raw = database.raw().await;
    if database.backend == Backend::Postgres {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        raw.execute_unprepared(end).await.unwrap();
        return;
    }
    let theirs = "SELECT CAST(id AS CHAR) AS i FROM information_schema.processlist \
                  WHERE db = DATABASE() AND id <> CONNECTION_ID()";
    for connection in database.rows(theirs).await {
        let id: String = connection.try_get("", "i").unwrap();
        // The one that asked is gone already.
        let _ = raw.execute_unprepared(&format!("KILL CONNECTION {id}")).await;
    }
}

async fn lost_connections_cost_no_call(backend: Backend) {
    let server = RestartableServer::start(backend);
    let world = World::on(server.database().await).await;
    for round in 0..5 {
        let number = round * 2 * CALLERS;
        // All connections are made, and idle.
        for answered in calls_at_once(&world.store, number).await {
            answered.unwrap();
        }
        end_all_connections(&world.database).await;
        for answered in calls_at_once(&world.store, number + CALLERS).await {
            answered.unwrap();
        }
    }
    let rows = rows(&world.database).await;
    assert!(rows.into_iter().eq((0..10 * CALLERS).map(|number| (number, 1))));
    assert_chains_are_whole(&world).await;
}

async fn a_database_that_was_away_goes_on(backend: Backend) {
    let mut server = RestartableServer::start(backend);
    let world = World::on(server.database().await).await;
    let (next, answered) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let ended = Arc::new(AtomicBool::new(false));
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..CALLERS {
        let (store, next, answered, ended) =
            (world.store.clone(), Arc::clone(&next), Arc::clone(&answered), Arc::clone(&ended));
        callers.spawn(async move {
            let mut outcomes = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let outcome = call(&store, number).await;
                if outcome.is_ok() {
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                outcomes.push((number, outcome));
            }
            outcomes
        });
    }
    let more_answers = async |many: u64| {
        let before = answered.load(Ordering::Relaxed);
        until_async("calls are answered", async || {
            (answered.load(Ordering::Relaxed) >= before + many).then_some(())
        })
        .await;
    };
    more_answers(200).await;
    server.stop();
    // Not a wait for anything: so long is the database away.
    tokio::time::sleep(away()).await;
    let while_away = answered.load(Ordering::Relaxed);
    server.start_again();
    more_answers(200).await;
    ended.store(true, Ordering::Relaxed);
    let outcomes: Vec<_> = callers.join_all().await.into_iter().flatten().collect();
    let refused = outcomes.iter().filter(|(_, outcome)| outcome.is_err()).count();
    assert!(refused > 0 && while_away >= 200, "it was away: {refused} refused");

    let rows = rows(&world.database).await;
    for (number, outcome) in &outcomes {
        let times = rows.get(number).copied().unwrap_or_default();
        match outcome {
            Ok(()) => assert_eq!(times, 1, "call {number} was answered"),
            Err(StoreError::Unavailable { .. } | StoreError::WriterBehind { .. }) => {
                assert!(times <= 1, "call {number} was refused")
            }
            Err(other) => panic!("call {number}: {other:?}"),
        }
    }
    // What was answered is used up, also after that.
    for (number, _) in outcomes.iter().filter(|(number, outcome)| outcome.is_ok() && number % 4 != 0).take(50)
    {
        assert!(!world.store.claim_nonce(claim(*number)).await.unwrap(), "call {number}");
    }
    world.store.anchor_audit(at(1_000)).await.unwrap();
    assert_chains_are_whole(&world).await;
}

/// A caller that hangs up while its transaction begins leaves no connection on which others go on with it.
async fn a_beginning_that_is_cancelled_leaves_nothing_behind(backend: Backend) {
    let server = RestartableServer::start(backend);
    let world = World::on(server.database().await).await;
    for number in 0..400 {
        let reading = world.store.audit_exports();
        let _ = tokio::time::timeout(Duration::from_micros(number * 3), reading).await;
        let (writing, reading) = (call(&world.store, number), world.store.audit_exports());
        let (written, read) = tokio::join!(writing, reading);
        written.unwrap();
        read.unwrap();
    }
    let rows = rows(&world.database).await;
    assert!(rows.into_iter().eq((0..400).map(|number| (number, 1))), "all are committed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_beginning_that_is_cancelled_leaves_nothing_behind_on_postgres() {
    a_beginning_that_is_cancelled_leaves_nothing_behind(Backend::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_beginning_that_is_cancelled_leaves_nothing_behind_on_mariadb() {
    a_beginning_that_is_cancelled_leaves_nothing_behind(Backend::MariaDb).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_connections_cost_no_call_on_postgres() {
    lost_connections_cost_no_call(Backend::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_connections_cost_no_call_on_mariadb() {
    lost_connections_cost_no_call(Backend::MariaDb).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_was_away_goes_on() {
    a_database_that_was_away_goes_on(Backend::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mariadb_that_was_away_goes_on() {
    a_database_that_was_away_goes_on(Backend::MariaDb).await;
}
