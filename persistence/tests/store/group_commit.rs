//! Nonces and audit rows that are committed in groups: one use of each nonce, no row without it, and a chain that stays
//! whole whatever becomes of a group.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use domain::audit::AuditEvent;
use persistence::{AuditVerdict, HeldAgainst, NonceClaim, Store, StoreError};
use sea_orm::{ConnectionTrait, DatabaseConnection};
use tokio::task::JoinSet;

use test_facts::{Backend, World, account, at, event, on_both, until_async};

on_both!(
    a_nonce_that_is_used_at_once_on_two_replicas_makes_one_row,
    a_row_that_the_database_refuses_takes_no_other_with_it,
    a_group_that_fails_is_told_and_leaves_no_hole,
    a_writer_that_stands_still_refuses_and_loses_nothing,
    a_row_that_nobody_waits_for_waits_for_the_writer,
    a_later_call_of_the_group_lets_no_nonce_lapse,
    a_claim_whose_caller_gave_up_is_left_out,
);

pub(crate) fn claim(number: usize) -> NonceClaim {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&number.to_be_bytes());
    NonceClaim { hash, expires_at: at(1_000), now: at(0) }
}

pub(crate) fn row(request_id: impl ToString) -> AuditEvent {
    AuditEvent { request_id: request_id.to_string(), ..event(&account(), "ListAgents") }
}

/// Calls at once, each with its number, and what each was told.
async fn at_once(
    numbers: impl IntoIterator<Item = usize>,
    call: impl AsyncFn(usize) -> Result<bool, StoreError> + Clone + 'static,
) -> Vec<(usize, Result<bool, StoreError>)> {
    // One thread has them all wait before any of them learns something.
    let calls = tokio::task::LocalSet::new();
    let mut told = JoinSet::new();
    for number in numbers {
        let call = call.clone();
        told.spawn_local_on(async move { (number, call(number).await) }, &calls);
    }
    calls.run_until(told.join_all()).await
}

/// Uses each of these numbers once, in a call whose row has the number.
async fn use_once(store: &Store, numbers: std::ops::Range<usize>) -> Vec<(usize, Result<bool, StoreError>)> {
    let store = store.clone();
    at_once(numbers, async move |number| store.record_audit_once(claim(number), row(number)).await).await
}

pub(crate) async fn assert_whole(world: &World) {
    let found = world.store.verify_audit(HeldAgainst::default()).await.unwrap();
    assert!(matches!(found.verdict(), AuditVerdict::Whole | AuditVerdict::Unanchored), "{found:?}");
    assert_eq!(found.findings, []);
}

async fn a_nonce_that_is_used_at_once_on_two_replicas_makes_one_row(world: World) {
    const NONCES: usize = 100;
    let stores = [world.store.clone(), world.replica().await];
    let told = at_once(0..8 * NONCES, async move |number| {
        stores[number % 2].record_audit_once(claim(number / 8), row(number)).await
    })
    .await;
    let mut used: Vec<usize> =
        told.into_iter().filter_map(|(number, fresh)| fresh.unwrap().then_some(number)).collect();
    used.sort_unstable();
    let nonces: Vec<usize> = used.iter().map(|number| number / 8).collect();
    assert_eq!(nonces, (0..NONCES).collect::<Vec<_>>());
    let rows = "SELECT request_id FROM audit_events WHERE action = 'ListAgents'";
    let rows = world.database.rows(rows).await;
    let mut rows: Vec<usize> =
        rows.iter().map(|row| row.try_get::<String>("", "request_id").unwrap().parse().unwrap()).collect();
    rows.sort_unstable();
    assert_eq!(rows, used, "the row is that of the call which had the nonce");
    assert_whole(&world).await;
}

async fn a_row_that_the_database_refuses_takes_no_other_with_it(world: World) {
    refuse_rows(&world, "NEW.request_id = '7'", "23514").await;
    let told = use_once(&world.store, 0..40).await;
    for (number, fresh) in told {
        match fresh {
            Ok(true) => assert_ne!(number, 7),
            Err(StoreError::Unavailable { .. }) => assert_eq!(number, 7),
            other => panic!("{number}: {other:?}"),
        }
    }
    assert_eq!(world.count("audit_events", "1 = 1").await, 39);
    assert_eq!(world.count("nonces", "1 = 1").await, 39, "what has no row has used no nonce");
    assert_whole(&world).await;
}

/// Has the database refuse audit rows, with this SQLSTATE where it has such.
pub(crate) async fn refuse_rows(world: &World, which: &str, state: &str) {
    let (condition, refuse) = (format!("WHEN {which}"), "FOR EACH ROW");
    match world.database.backend {
        Backend::Sqlite => {
            let body = "BEGIN SELECT RAISE(ABORT, 'refused by the test'); END";
            let trigger = format!("CREATE TRIGGER refuses BEFORE INSERT ON audit_events {condition} {body}");
            world.database.execute(&trigger).await;
        }
        Backend::Postgres => {
            let function = format!(
                "CREATE FUNCTION refuses() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN RAISE EXCEPTION 'refused by the test' USING ERRCODE = '{state}'; END $$"
            );
            world.database.execute(&function).await;
            let condition = format!("WHEN ({which})");
            let trigger = format!(
                "CREATE TRIGGER refuses BEFORE INSERT ON audit_events {refuse} {condition} EXECUTE FUNCTION refuses()"
            );
            world.database.execute(&trigger).await;
        }
        Backend::MariaDb => {
            let trigger = format!(
                "CREATE TRIGGER refuses BEFORE INSERT ON audit_events {refuse} \
                 IF {which} THEN SIGNAL SQLSTATE '{state}' SET MESSAGE_TEXT = 'refused by the test'; END IF"
            );
            world.database.execute(&trigger).await;
        }
    }
}

/// Has every commit fail that has an audit row in it. MariaDB has nothing that fails at the commit: there every such
/// statement fails, with an error that is not about a row.
pub(crate) async fn fail_commits(world: &World) {
    match world.database.backend {
        Backend::Sqlite => {
            world.database.execute("CREATE TABLE one (id INTEGER PRIMARY KEY)").await;
            let many = "CREATE TABLE many (one INTEGER REFERENCES one (id) DEFERRABLE INITIALLY DEFERRED)";
            world.database.execute(many).await;
            let body = "BEGIN INSERT INTO many VALUES (1); END";
            world
                .database
                .execute(&format!("CREATE TRIGGER refuses AFTER INSERT ON audit_events {body}"))
                .await;
        }
        Backend::Postgres => {
            let function = "CREATE FUNCTION refuses() RETURNS trigger LANGUAGE plpgsql AS \
                            $$ BEGIN RAISE EXCEPTION 'no commit, says the test'; END $$";
            world.database.execute(function).await;
            let trigger = "CREATE CONSTRAINT TRIGGER refuses AFTER INSERT ON audit_events DEFERRABLE INITIALLY \
                           DEFERRED FOR EACH ROW EXECUTE FUNCTION refuses()";
            world.database.execute(trigger).await;
        }
        Backend::MariaDb => refuse_rows(world, "1 = 1", "45000").await,
    }
}

pub(crate) async fn commits_work_again(world: &World) {
    let table = match world.database.backend {
        Backend::Sqlite | Backend::MariaDb => "",
        Backend::Postgres => "ON audit_events",
    };
    world.database.execute(&format!("DROP TRIGGER refuses {table}")).await;
}

async fn a_group_that_fails_is_told_and_leaves_no_hole(world: World) {
    assert!(use_once(&world.store, 0..5).await.into_iter().all(|(_, fresh)| fresh.unwrap()));
    fail_commits(&world).await;
    for _ in 0..2 {
        for (number, told) in use_once(&world.store, 5..25).await {
            assert!(matches!(told, Err(StoreError::Unavailable { .. })), "{number}: {told:?}");
        }
    }
    commits_work_again(&world).await;
    assert_eq!(world.count("nonces", "1 = 1").await, 5, "nothing of it remains");
    // Nobody was answered, so that all of them may come again.
    assert!(use_once(&world.store, 5..25).await.into_iter().all(|(_, fresh)| fresh.unwrap()));
    assert!(use_once(&world.store, 0..25).await.into_iter().all(|(_, fresh)| !fresh.unwrap()));
    assert_eq!(world.count("audit_events", "1 = 1").await, 25);
    assert_eq!(world.count("audit_events", "sequence = 25").await, 1, "one chain, without a hole");
    assert_whole(&world).await;
}

/// Keeps the writer from writing until the connection says otherwise.
pub(crate) async fn hold(world: &World) -> DatabaseConnection {
    let raw = world.database.raw().await;
    let hold: &[&str] = match world.database.backend {
        Backend::Sqlite => &["BEGIN IMMEDIATE"],
        Backend::Postgres => &["BEGIN", "LOCK TABLE audit_events IN EXCLUSIVE MODE"],
        Backend::MariaDb => &["LOCK TABLES audit_events WRITE"],
    };
    for statement in hold {
        raw.execute_unprepared(statement).await.unwrap();
    }
    raw
}

pub(crate) async fn release(world: &World, held: &DatabaseConnection) {
    let release = match world.database.backend {
        Backend::Sqlite | Backend::Postgres => "COMMIT",
        Backend::MariaDb => "UNLOCK TABLES",
    };
    held.execute_unprepared(release).await.unwrap();
}

/// Nobody waits for ever, and no more wait than there is room for. Those who gave up get their rows later, each one.
async fn a_writer_that_stands_still_refuses_and_loses_nothing(world: World) {
    const CALLS: usize = 9_500;
    let held = hold(&world).await;
    let (since, at_the_door) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let (store, refused) = (world.store.clone(), Arc::clone(&at_the_door));
    let told = at_once(0..CALLS, async move |number| {
        let told = store.record_audit_once(claim(number), row(number)).await;
        if matches!(&told, Err(StoreError::WriterBehind { why }) if why.contains("as many calls waiting")) {
            refused.fetch_add(1, Ordering::Relaxed);
        }
        told
    })
    .await;
    for (number, told) in told {
        assert!(matches!(told, Err(StoreError::WriterBehind { .. })), "{number}: {told:?}");
    }
    assert!(since.elapsed() >= Duration::from_secs(2), "they waited");
    assert!(world.store.writer_stands_still(), "it says so");
    let accepted = CALLS - at_the_door.load(Ordering::Relaxed);
    assert!((8_192..CALLS).contains(&accepted), "{accepted} of {CALLS} found room");
    release(&world, &held).await;
    until_async("what had found room is written", async || {
        (world.count("audit_events", "1 = 1").await == accepted as i64).then_some(())
    })
    .await;
    assert_eq!(world.count("nonces", "1 = 1").await, accepted as i64);
    until_async("it does not say so any more", async || (!world.store.writer_stands_still()).then_some(()))
        .await;
    assert!(world.store.record_audit_once(claim(CALLS), row(CALLS)).await.unwrap(), "it writes again");
    assert_whole(&world).await;
}

/// A call is judged by the time at which it came, whichever calls its group has.
async fn a_later_call_of_the_group_lets_no_nonce_lapse(world: World) {
    assert!(world.store.claim_nonce(claim(1)).await.unwrap());
    let held = hold(&world).await;
    let store = world.store.clone();
    // The writer waits with the first of these, so that the others come to it together.
    let told = tokio::spawn(async move {
        tokio::join!(
            store.record_audit(row("first")),
            store.record_audit_once(NonceClaim { now: at(999), ..claim(1) }, row("again")),
            store.record_audit_once(NonceClaim { now: at(1_000), ..claim(2) }, row("other")),
        )
    });
    release(&world, &held).await;
    let (first, again, other) = told.await.unwrap();
    first.unwrap();
    assert_eq!((again.unwrap(), other.unwrap()), (false, true));
    assert!(world.store.claim_nonce(NonceClaim { now: at(1_000), ..claim(1) }).await.unwrap());
}

/// What nobody waits for must not delay those who come after it, and its request may come again.
async fn a_claim_whose_caller_gave_up_is_left_out(world: World) {
    let held = hold(&world).await;
    let store = world.store.clone();
    // The writer takes this one alone, and waits with it.
    let first = tokio::spawn(async move { store.record_audit_once(claim(0), row(0)).await });
    until_async("the writer stands still", async || world.store.writer_stands_still().then_some(())).await;
    let store = world.store.clone();
    let mut told = at_once(1..50, async move |number| store.claim_nonce(claim(number)).await).await;
    told.push((0, first.await.unwrap()));
    for (number, told) in told {
        assert!(matches!(told, Err(StoreError::WriterBehind { .. })), "{number}: {told:?}");
    }
    release(&world, &held).await;
    until_async("the writer works again", async || world.store.record_audit(row("after")).await.ok()).await;
    assert_eq!(world.count("audit_events", "request_id = '0'").await, 1, "a row is written all the same");
    for number in 1..50 {
        assert!(world.store.claim_nonce(claim(number)).await.unwrap(), "{number}");
    }
    assert_whole(&world).await;
}

/// What would be written again if it seemed not to be written is in the trail once.
async fn a_row_that_nobody_waits_for_waits_for_the_writer(world: World) {
    let held = hold(&world).await;
    let store = world.store.clone();
    let unhurried = tokio::spawn(async move { store.record_audit_unhurried(row("unhurried")).await });
    let told = world.store.record_audit(row("hurried")).await;
    assert!(matches!(told, Err(StoreError::WriterBehind { .. })), "{told:?}");
    assert!(!unhurried.is_finished());
    release(&world, &held).await;
    unhurried.await.unwrap().unwrap();
    assert_eq!(world.count("audit_events", "request_id = 'unhurried'").await, 1);
    assert_whole(&world).await;
}

/// Makes so many calls wait for a writer that is held, and says what each was told once it is released.
async fn behind_a_held_writer(world: &World, calls: usize) -> Vec<Result<bool, StoreError>> {
    let held = hold(world).await;
    let store = world.store.clone();
    let calls = tokio::spawn(async move {
        let mut waiting = JoinSet::new();
        for number in 0..calls {
            let store = store.clone();
            waiting.spawn(async move { store.record_audit_once(claim(number), row(number)).await });
        }
        waiting.join_all().await
    });
    let waiting = "SELECT COUNT(*) AS n FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until_async("the writer waits", async || {
        (world.database.rows(waiting).await[0].try_get::<i64>("", "n").unwrap() == 1).then_some(())
    })
    .await;
    release(world, &held).await;
    calls.await.unwrap()
}

/// PostgreSQL says which transaction wrote a row.
async fn commits(world: &World) -> i64 {
    let commits = "SELECT COUNT(DISTINCT xmin::text) AS n FROM audit_events";
    world.database.rows(commits).await[0].try_get("", "n").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_at_once_share_commits() {
    let world = World::new(Backend::Postgres).await;
    assert!(behind_a_held_writer(&world, 500).await.into_iter().all(|fresh| fresh.unwrap()));
    let commits = commits(&world).await;
    assert!(commits < 100, "{commits} commits for 500 calls");
}

/// Whoever can make one such row must not make all others wait for a commit each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_share_commits_beside_a_row_that_the_database_refuses() {
    let world = World::new(Backend::Postgres).await;
    refuse_rows(&world, "NEW.request_id = '250'", "23514").await;
    let told = behind_a_held_writer(&world, 500).await;
    let refused = told.iter().filter(|told| matches!(told, Err(StoreError::Unavailable { .. }))).count();
    assert_eq!((refused, world.count("audit_events", "1 = 1").await), (1, 499), "{told:?}");
    let commits = commits(&world).await;
    assert!(commits < 100, "{commits} commits for 499 calls");
    assert_whole(&world).await;
}

/// SQLite undoes a whole transaction by itself when the disk is full or cannot be written. A driver that does not notice
/// takes the next transaction for a part of that one, which is then committed by nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_a_transaction_that_sqlite_undid_by_itself_is_committed() {
    let world = World::new(Backend::Sqlite).await;
    let raise = |condition: &str, how: &str| {
        let body = format!("BEGIN SELECT RAISE({how}, 'refused by the test'); END");
        let when = format!("NEW.request_id = '{condition}'");
        format!("CREATE TRIGGER {how}s BEFORE INSERT ON audit_events WHEN {when} {body}")
    };
    world.database.execute(&raise("1", "ROLLBACK")).await;
    world.database.execute(&raise("2", "ABORT")).await;
    for number in 0..8 {
        let told = world.store.record_audit_once(claim(number), row(number)).await;
        match number {
            1 | 2 => assert!(matches!(told, Err(StoreError::Unavailable { .. })), "{number}: {told:?}"),
            _ => assert!(told.unwrap(), "{number}"),
        }
        let written = format!("request_id = '{number}'");
        let expected = i64::from(!matches!(number, 1 | 2));
        // Another connection sees only what is committed.
        assert_eq!(world.count("audit_events", &written).await, expected, "{number}");
    }
    assert_eq!(world.count("nonces", "1 = 1").await, 6);
    assert_whole(&world).await;
}
