//! Groups that PostgreSQL writes by one statement: what is written and what calls are told is the same as with several
//! statements, and what the one statement cannot do is done by those.

use std::time::Duration;

use domain::actions::CreateAgentJoinToken;
use domain::audit::{AuditDecision, AuditEvent};
use domain::decided_under::{DecidedUnder, Under};
use domain::gate::Resource;
use persistence::{JoinTokenIssued, NonceClaim, Settled, Store, StoreError};
use sea_orm::{ConnectionTrait, DbBackend, Statement};

use test_facts::{Backend, World, account, at, event, join_token, other_account, owner, until_async};

use crate::group_commit::{assert_whole, claim, hold, release, row};

/// What the trail says, and whether it was written by one statement.
const ROWS: &str = "SELECT request_id, ROW(sequence, at, account_id, principal, access_key_id, action, resource, decision, \
     decided_by, result, source_address, user_agent, recording, how, instance_id)::text AS row \
     FROM audit_events ORDER BY sequence";

/// How each row was written.
const WAYS: &str = "SELECT request_id, at_once FROM ways ORDER BY number";

/// A world with a chain, and a table that says how each row comes to it.
async fn world() -> World {
    let world = World::new(Backend::Postgres).await;
    world.store.record_audit(row("first")).await.unwrap();
    world
        .database
        .execute(
            "CREATE TABLE ways (number bigserial, request_id text, at_once boolean); \
             CREATE FUNCTION note_way() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 INSERT INTO ways (request_id, at_once) VALUES (NEW.request_id, current_query() LIKE 'WITH standing%'); \
                 RETURN NULL; END $$; \
             CREATE TRIGGER ways AFTER INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION note_way()",
        )
        .await;
    world
}

/// Has the database refuse the one statement, as it refuses a transaction in favour of another one.
async fn refuse_the_one_statement(world: &World) {
    world
        .database
        .execute(
            "CREATE FUNCTION refuse_one() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 IF current_query() LIKE 'WITH standing%' THEN \
                     RAISE EXCEPTION 'refused by the test' USING ERRCODE = '40001'; END IF; \
                 RETURN NEW; END $$; \
             CREATE TRIGGER refuses_one BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION refuse_one()",
        )
        .await;
}

async fn texts(world: &World, statement: &str, column: &str) -> Vec<String> {
    let rows = world.database.rows(statement).await;
    rows.iter().map(|row| row.try_get("", column).unwrap()).collect()
}

/// How the row of this call was written.
async fn at_once(world: &World, request_id: &str) -> Option<bool> {
    let rows = world.database.rows(WAYS).await;
    let found = rows.iter().find(|row| row.try_get::<String>("", "request_id").unwrap() == request_id);
    found.map(|row| row.try_get("", "at_once").unwrap())
}

/// The revisions as they are.
async fn now(world: &World) -> DecidedUnder {
    let mut under = DecidedUnder::default();
    for account in [account(), other_account()] {
        let question = format!("SELECT * FROM revisions WHERE account_id = '{}'", account.as_str());
        let found = world.database.rows(&question).await;
        let number = |name| found.first().map_or(0, |row| row.try_get("", name).unwrap());
        under.add(&account, Under { account: number("revision"), instances: Some(number("instances")) });
    }
    under
}

/// Events whose texts an array, or a driver, could take for something else.
fn odd_events() -> Vec<AuditEvent> {
    let texts = [
        "",
        "NULL",
        "null",
        "{}",
        "{a,b}",
        "a\"b\\c",
        "a\0b\0",
        "\u{FFFD}",
        "{\"",
        "',",
        "\\N",
        "(,)",
        "a\r\n\tb",
        "\u{1F980} \u{202E}",
        " ",
        "\u{7f}\u{1}",
    ];
    let mut events = Vec::new();
    for (number, text) in texts.into_iter().enumerate() {
        let text = text.to_owned();
        let full = AuditEvent {
            request_id: format!("{number} {text}"),
            at: at(i64::MAX / 4 - number as i64),
            principal: text.clone(),
            access_key_id: Some(text.clone()),
            action: text.clone(),
            resource: text.clone(),
            decision: AuditDecision::Denied { by: Some(text.clone()) },
            result: text.clone(),
            source_address: Some("2001:db8::1".parse().unwrap()),
            user_agent: text.repeat(300),
            recording: Some(text.clone()),
            how: text,
            ..event(&account(), "ListAgents")
        };
        let empty = AuditEvent {
            request_id: format!("{number} without"),
            access_key_id: None,
            decision: if number % 2 == 0 {
                AuditDecision::NotAsked
            } else {
                AuditDecision::Denied { by: None }
            },
            source_address: None,
            recording: None,
            ..full.clone()
        };
        events.extend([full, empty]);
    }
    events.push(AuditEvent {
        resource: format!("acs:ecs-workbench:cn-hangzhou:{}:workbench/i-1", account().as_str()),
        ..row("of an instance")
    });
    events
}

/// Has a group of calls come to the writer together, behind one that is taken alone; returns what each was told.
async fn in_one_group(
    world: &World,
    calls: Vec<(Option<NonceClaim>, AuditEvent, DecidedUnder)>,
) -> Vec<Settled> {
    let held = hold(world).await;
    let store = world.store.clone();
    let told = tokio::spawn(async move {
        let before = store.record_audit(row("before"));
        let calls = calls.into_iter().map(|(claim, event, under)| {
            let store = store.clone();
            // Each is at the writer after it was polled once, and that in this order.
            Box::pin(async move { store.settle(claim, event, under).await.unwrap() })
        });
        let mut told = calls.collect::<Vec<_>>();
        let told = async {
            let mut settled: Vec<Option<Settled>> = vec![None; told.len()];
            std::future::poll_fn(|context| {
                for (call, settled) in told.iter_mut().zip(&mut settled) {
                    if settled.is_none()
                        && let std::task::Poll::Ready(told) = call.as_mut().poll(context)
                    {
                        *settled = Some(told);
                    }
                }
                if settled.iter().all(Option::is_some) {
                    std::task::Poll::Ready(())
                } else {
                    std::task::Poll::Pending
                }
            })
            .await;
            settled.into_iter().map(Option::unwrap).collect::<Vec<_>>()
        };
        let (before, told) = tokio::join!(before, told);
        before.unwrap();
        told
    });
    until_a_lock_is_waited_for(world).await;
    release(world, &held).await;
    told.await.unwrap()
}

async fn until_a_lock_is_waited_for(world: &World) {
    let waiting = "SELECT COUNT(*) AS n FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until_async("somebody waits for a lock", async || {
        (world.database.rows(waiting).await[0].try_get::<i64>("", "n").unwrap() == 1).then_some(())
    })
    .await;
}

/// The same calls in two worlds, in one of which the one statement is never done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_statement_and_several_write_the_same_and_tell_the_same() {
    let mut found = Vec::new();
    for several in [false, true] {
        let world = world().await;
        if several {
            refuse_the_one_statement(&world).await;
        }
        let under = now(&world).await;
        let mut told = Vec::new();
        // Alone, and all together.
        for (number, event) in odd_events().into_iter().enumerate() {
            let claim = (number % 3 > 0).then(|| claim(number));
            let under = if number % 2 == 0 { under.clone() } else { DecidedUnder::default() };
            told.push(world.store.settle(claim, event, under).await.unwrap());
        }
        let together = odd_events().into_iter().enumerate().map(|(number, event)| {
            let event = AuditEvent { request_id: format!("{} again", event.request_id), ..event };
            // Some were claimed above, some twice in this group.
            (Some(claim(number / 2 * 2 + 30)), event, under.clone())
        });
        told.extend(in_one_group(&world, together.collect()).await);
        assert_whole(&world).await;
        let mut ways = texts(&world, "SELECT DISTINCT at_once::text AS way FROM ways", "way").await;
        ways.sort();
        let nonces =
            texts(&world, "SELECT ROW(hash, expires_at)::text AS row FROM nonces ORDER BY 1", "row").await;
        found.push((told, texts(&world, ROWS, "row").await, nonces, ways));
    }
    let [(told, rows, nonces, ways), (told_by_several, rows_of_several, nonces_of_several, several)] =
        &found[..]
    else {
        panic!("two worlds")
    };
    assert_eq!(rows, rows_of_several);
    assert_eq!(nonces, nonces_of_several);
    assert_eq!(told, told_by_several);
    assert!(told.contains(&Settled::NonceUsed) && told.contains(&Settled::Committed));
    assert!(ways.contains(&"true".to_owned()), "{ways:?}");
    assert_eq!(several, &["false"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_is_one_transaction_of_one_statement() {
    let world = world().await;
    let under = now(&world).await;
    let calls = (1..200).map(|number| (Some(claim(number)), row(number), under.clone()));
    let told = in_one_group(&world, calls.collect()).await;
    assert!(told.iter().all(|settled| *settled == Settled::Committed));
    for number in [1, 100, 199] {
        assert_eq!(at_once(&world, &number.to_string()).await, Some(true));
    }
    let commits = "SELECT COUNT(DISTINCT xmin::text) AS n FROM audit_events WHERE request_id NOT IN ('first', 'before')";
    assert_eq!(world.database.rows(commits).await[0].try_get::<i64>("", "n").unwrap(), 1);
    assert_whole(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_decided_under_another_revision_is_not_written_and_takes_no_other_with_it() {
    let world = world().await;
    let before = now(&world).await;
    world.database.execute("UPDATE revisions SET instances = instances + 1").await;
    let stale = now(&world).await;
    assert_ne!(before, stale);
    assert_eq!(world.store.settle(None, row("before-"), before.clone()).await.unwrap(), Settled::Stale);
    let mut without_instances = DecidedUnder::default();
    for (account, under) in before.iter() {
        without_instances.add(account, Under { instances: None, ..under });
    }
    let told = world.store.settle(None, row("without instances"), without_instances.clone()).await.unwrap();
    assert_eq!(told, Settled::Committed);
    let calls = [&stale, &without_instances].map(|under| (None, row("both"), under.clone()));
    assert_eq!(in_one_group(&world, calls.to_vec()).await, [Settled::Committed; 2]);
    for request_id in ["without instances", "both"] {
        assert_eq!(at_once(&world, request_id).await, Some(true));
    }
    world.database.execute("UPDATE revisions SET revision = revision + 1").await;
    let under = now(&world).await;
    let alone = world.store.settle(Some(claim(1)), row("alone"), stale.clone()).await.unwrap();
    assert_eq!(alone, Settled::Stale);
    let unknown = {
        let mut under = DecidedUnder::default();
        under.add(&"1609982529000009".parse().unwrap(), Under { account: 0, instances: None });
        under
    };
    let calls = vec![
        (Some(claim(2)), row(2), under.clone()),
        (Some(claim(3)), row(3), stale.clone()),
        (None, row(4), DecidedUnder::default()),
        (Some(claim(5)), row(5), unknown),
    ];
    let told = in_one_group(&world, calls).await;
    assert_eq!(told, [Settled::Committed, Settled::Stale, Settled::Committed, Settled::Committed]);
    assert_eq!(world.count("audit_events", "request_id IN ('before-', 'alone', '3')").await, 0);
    // Nothing of it was claimed.
    for number in [1, 3] {
        let told = world.store.settle(Some(claim(number)), row("again"), under.clone()).await.unwrap();
        assert_eq!(told, Settled::Committed, "{number}");
    }
    assert_eq!(at_once(&world, "again").await, Some(true), "the chain goes on");
    assert_whole(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nonce_is_used_once_whoever_used_it() {
    let world = world().await;
    let other = world.replica().await;
    let used = async |store: &Store, number, request_id: &str| {
        !store.record_audit_once(claim(number), row(request_id)).await.unwrap()
    };
    assert!(!used(&world.store, 1, "fresh").await);
    assert!(used(&world.store, 1, "own").await);
    assert!(used(&other, 1, "another replica's").await);
    assert!(!used(&other, 2, "fresh there").await);
    // The database says so, to a group of which the others are written.
    let under = now(&world).await;
    let calls =
        [2, 3, 3, 4].map(|number| (Some(claim(number)), row(format!("{number} here")), under.clone()));
    let told = in_one_group(&world, calls.to_vec()).await;
    use Settled::{Committed, NonceUsed};
    assert_eq!(told, [NonceUsed, Committed, NonceUsed, Committed]);
    assert_eq!(at_once(&world, "fresh").await, Some(true));
    assert_eq!(at_once(&world, "4 here").await, Some(false));
    // A claim alone too.
    assert!(!other.claim_nonce(claim(4)).await.unwrap() && other.claim_nonce(claim(5)).await.unwrap());
    assert!(!world.store.claim_nonce(claim(5)).await.unwrap());
    // What has expired is as good as new.
    let later = NonceClaim { now: at(1_000), expires_at: at(2_000), ..claim(1) };
    assert!(world.store.record_audit_once(later.clone(), row("later")).await.unwrap());
    for store in [&world.store, &other] {
        assert!(!store.record_audit_once(later.clone(), row("later again")).await.unwrap());
    }
    assert_eq!(world.count("nonces", "1 = 1").await, 5);
    assert_whole(&world).await;
}

/// Who repeats requests must not have the writer work for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_this_replica_has_claimed_is_refused_without_the_writer() {
    for backend in [Backend::Postgres, Backend::MariaDb] {
        let world = World::new(backend).await;
        assert!(world.store.record_audit_once(claim(1), row(1)).await.unwrap());
        let other = world.replica().await;
        let held = world.database.raw().await;
        let (hold, release) = match backend {
            Backend::MariaDb => ("LOCK TABLES nonces WRITE", "UNLOCK TABLES"),
            Backend::Postgres | Backend::Sqlite => ("BEGIN; LOCK TABLE nonces IN EXCLUSIVE MODE", "COMMIT"),
        };
        held.execute_unprepared(hold).await.unwrap();
        assert!(!world.store.record_audit_once(claim(1), row("again")).await.unwrap());
        let told = other.record_audit_once(claim(1), row("again")).await;
        assert!(matches!(told, Err(StoreError::WriterBehind { .. })), "{backend:?}: {told:?}");
        held.execute_unprepared(release).await.unwrap();
    }
}

/// The others would wait for it, and a change too: it has the turn of the chain.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nonce_that_somebody_else_holds_holds_up_no_change() {
    let world = world().await;
    let held = world.database.raw().await;
    let hash = hex::encode(claim(1).hash);
    held.execute_unprepared(&format!("BEGIN; INSERT INTO nonces VALUES ('\\x{hash}', 1000)")).await.unwrap();
    let store = world.store.clone();
    let waits = tokio::spawn(async move { store.record_audit_once(claim(1), row(1)).await });
    until_a_lock_is_waited_for(&world).await;
    let granted = owner::<CreateAgentJoinToken>(&account(), Resource::Everything);
    let token = join_token(&account(), "*", false, at(0)).1;
    let change = world.store.apply(&granted, JoinTokenIssued { token }, row("change"));
    tokio::time::timeout(Duration::from_secs(5), change).await.expect("it waits for nobody").unwrap();
    assert!(!waits.is_finished());
    held.execute_unprepared("ROLLBACK").await.unwrap();
    assert!(waits.await.unwrap().unwrap());
    assert_eq!(at_once(&world, "1").await, Some(false));
    assert_whole(&world).await;
}

/// Has each commit of the one statement stand until the gate is opened.
pub(crate) async fn stand_at_the_commit(world: &World) {
    world
        .database
        .execute(
            "CREATE TABLE gate (closed boolean); INSERT INTO gate VALUES (true); \
             CREATE FUNCTION stand() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 IF NEW.request_id LIKE 'stands%' THEN \
                     WHILE EXISTS (SELECT FROM gate WHERE closed) LOOP PERFORM pg_sleep(0.01); END LOOP; END IF; \
                 RETURN NULL; END $$; \
             CREATE CONSTRAINT TRIGGER stands AFTER INSERT ON audit_events DEFERRABLE INITIALLY DEFERRED \
                 FOR EACH ROW EXECUTE FUNCTION stand()",
        )
        .await;
}

/// Does this while the commit stands, and then lets commits pass.
pub(crate) async fn open_the_gate_and(world: &World, first: &str) {
    world.database.execute(first).await;
    world.database.execute("UPDATE gate SET closed = false").await;
}

const STANDS: &str =
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";

pub(crate) async fn until_it_stands(world: &World) -> i32 {
    until_async("the commit stands", async || {
        let rows = world.database.rows(STANDS).await;
        rows.first().map(|row| row.try_get("", "pid").unwrap())
    })
    .await
}

/// What the database itself ends has not happened.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_the_database_ends_is_done_by_several() {
    let world = world().await;
    stand_at_the_commit(&world).await;
    let store = world.store.clone();
    let ended = tokio::spawn(async move { store.record_audit_once(claim(1), row("stands")).await });
    let pid = until_it_stands(&world).await;
    open_the_gate_and(&world, &format!("SELECT pg_terminate_backend({pid}, 10000)")).await;
    assert!(ended.await.unwrap().unwrap());
    assert_eq!(at_once(&world, "stands").await, Some(false), "the end of the chain is read");
    assert!(world.store.record_audit_once(claim(2), row(2)).await.unwrap());
    assert_eq!(at_once(&world, "2").await, Some(true));
    assert_whole(&world).await;
}

/// What is idle and lost costs nobody anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_lost_between_groups_is_made_anew() {
    let world = world().await;
    assert!(world.store.record_audit_once(claim(1), row(1)).await.unwrap());
    let raw = world.database.raw().await;
    let others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    // Only one that was idle for a moment is asked before it is used.
    let busy =
        format!("SELECT COUNT(*) AS n {others} AND state_change > clock_timestamp() - interval '60 ms'");
    until_async("all connections are idle", async || {
        let busy = Statement::from_string(DbBackend::Postgres, busy.as_str());
        let row = raw.query_one_raw(busy).await.unwrap().unwrap();
        (row.try_get::<i64>("", "n").unwrap() == 0).then_some(())
    })
    .await;
    raw.execute_unprepared(&format!("SELECT pg_terminate_backend(pid, 10000) {others}")).await.unwrap();
    assert!(world.store.record_audit_once(claim(2), row(2)).await.unwrap());
    assert!(world.store.record_audit_once(claim(3), row(3)).await.unwrap());
    assert_eq!(at_once(&world, "3").await, Some(true));
    assert_whole(&world).await;
}
