//! Audit rows: committed, linked, and never changed.

use aws_lc_rs::digest::{Context, SHA256};
use domain::audit::{AuditDecision, DEPLOYMENT_ACCOUNT};
use persistence::StoreError;
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};

use test_facts::{Backend, World, account, as_operator, event, on_both, other_account};

on_both!(
    an_event_reads_back_as_it_was_written,
    what_a_database_cannot_keep_is_replaced,
    what_nobody_did_is_read_as_the_deployments_alone,
    rows_are_append_only,
    concurrent_writers_leave_no_hole_and_no_fork,
    a_refused_change_takes_no_number,
    lost_connections_leave_no_hole,
);

/// Computes every chain again from the rows, by the rule in `audit::chain`.
pub(crate) async fn assert_chains_are_whole(world: &World) {
    let raw = world.database.raw().await;
    let all = Statement::from_string(
        raw.get_database_backend(),
        "SELECT * FROM audit_events ORDER BY writer_id, sequence",
    );
    let mut last: Option<(String, i64, Vec<u8>)> = None;
    for row in raw.query_all_raw(all).await.unwrap() {
        let text = |column: &str| row.try_get::<Option<String>>("", column).unwrap();
        let writer = text("writer_id").unwrap();
        let sequence: i64 = row.try_get("", "sequence").unwrap();
        let (before, chain) = match last {
            Some((same, before, chain)) if same == writer => (before, chain),
            _ => {
                let mut first = Context::new(&SHA256);
                first.update(b"hansard-audit-v1");
                first.update(writer.as_bytes());
                (0, first.finish().as_ref().to_vec())
            }
        };
        assert_eq!(sequence, before + 1, "a hole before {writer} {sequence}");
        let mut link = Context::new(&SHA256);
        link.update(b"hansard-audit-v1");
        link.update(&chain);
        link.update(&u64::try_from(sequence).unwrap().to_be_bytes());
        let time: i64 = row.try_get("", "at").unwrap();
        for column in [
            "request_id",
            "at",
            "account_id",
            "principal",
            "access_key_id",
            "action",
            "resource",
            "decision",
            "decided_by",
            "result",
            "source_address",
            "user_agent",
            "recording",
            "how",
        ] {
            let field = if column == "at" { Some(time.to_string()) } else { text(column) };
            let length = field.as_ref().map_or(u32::MAX, |text| u32::try_from(text.len()).unwrap());
            link.update(&length.to_be_bytes());
            link.update(field.unwrap_or_default().as_bytes());
        }
        let chain = link.finish().as_ref().to_vec();
        assert_eq!(text("chain").unwrap(), hex::encode(&chain), "{writer} {sequence}");
        last = Some((writer, sequence, chain));
    }
}

async fn an_event_reads_back_as_it_was_written(world: World) {
    let mut denied = event(&account(), "ViewInstanceRecords");
    denied.decision = AuditDecision::Denied { by: Some("policy/statement".to_owned()) };
    denied.source_address = Some("2001:db8::1".parse().unwrap());
    denied.recording = Some("ab".repeat(16));
    let mut unasked = event(&account(), "Nonsense");
    unasked.decision = AuditDecision::NotAsked;
    unasked.access_key_id = None;
    unasked.source_address = None;
    for written in [&denied, &unasked, &event(&other_account(), "ListAgents")] {
        world.store.record_audit(written.clone()).await.unwrap();
    }
    let read = world.store.latest_audit_events(&as_operator(&account()), 2).await.unwrap();
    assert_eq!(read, [unasked, denied]);
    assert_chains_are_whole(&world).await;
}

async fn what_a_database_cannot_keep_is_replaced(world: World) {
    let mut odd = event(&account(), "A\0B");
    odd.user_agent = "'; DROP TABLE audit_events; --\u{202e}\u{1f600}".to_owned();
    world.store.record_audit(odd.clone()).await.unwrap();
    let read = world.store.latest_audit_events(&as_operator(&account()), 1).await.unwrap();
    assert_eq!((read[0].action.as_str(), &read[0].user_agent), ("A\u{fffd}B", &odd.user_agent));
    assert_chains_are_whole(&world).await;
}

async fn what_nobody_did_is_read_as_the_deployments_alone(world: World) {
    let strangers = event(&DEPLOYMENT_ACCOUNT, "");
    world.store.record_audit(event(&account(), "ListAgents")).await.unwrap();
    world.store.record_audit(strangers.clone()).await.unwrap();
    for account in [account(), other_account()] {
        let read = world.store.latest_audit_events(&as_operator(&account), 10).await.unwrap();
        assert!(!read.contains(&strangers), "{read:?}");
    }
    let read = world.store.latest_audit_events(&as_operator(&DEPLOYMENT_ACCOUNT), 10).await.unwrap();
    assert_eq!(read, [strangers]);
    assert!(!world.store.all_accounts().await.unwrap().contains(&DEPLOYMENT_ACCOUNT));
    assert_chains_are_whole(&world).await;
}

async fn rows_are_append_only(world: World) {
    world.store.record_audit(event(&account(), "ListAgents")).await.unwrap();
    let raw = world.database.raw().await;
    for statement in ["UPDATE audit_events SET result = 'x'", "DELETE FROM audit_events"] {
        let refused = raw.execute_unprepared(statement).await.expect_err(statement).to_string();
        assert!(refused.contains("append-only"), "{refused}");
    }
}

async fn concurrent_writers_leave_no_hole_and_no_fork(world: World) {
    let replica = world.replica().await;
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..60 {
        let store = if number % 3 == 0 { replica.clone() } else { world.store.clone() };
        writers.spawn(async move { store.record_audit(event(&account(), "ListAgents")).await });
    }
    for written in writers.join_all().await {
        written.unwrap();
    }
    assert_eq!(world.count("audit_events", "action = 'ListAgents'").await, 60);
    assert_chains_are_whole(&world).await;
}

async fn a_refused_change_takes_no_number(world: World) {
    let agent = world.agent(&account(), "web1");
    let token = world.join_token(&account(), "i-web2", false).await;
    world.try_enrol(&agent, &token, false).await.expect_err("the token is for another instance");
    world.store.record_audit(event(&account(), "EnrolAgent")).await.unwrap();
    assert_eq!(world.count("audit_events", "action = 'EnrolAgent'").await, 1);
    assert_chains_are_whole(&world).await;
}

async fn end_other_connections(raw: &DatabaseConnection, backend: Backend) {
    match backend {
        Backend::Sqlite => unreachable!("a file has no connection to lose"),
        Backend::Postgres => {
            let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                          WHERE datname = current_database() AND pid <> pg_backend_pid()";
            raw.execute_unprepared(others).await.unwrap();
        }
        Backend::MariaDb => {
            let others = "SELECT CAST(id AS SIGNED) AS id FROM information_schema.processlist \
                          WHERE db = DATABASE() AND id <> CONNECTION_ID()";
            let others = Statement::from_string(raw.get_database_backend(), others);
            for other in raw.query_all_raw(others).await.unwrap() {
                let id: i64 = other.try_get("", "id").unwrap();
                // The connection may have ended by itself.
                let _ = raw.execute_unprepared(&format!("KILL CONNECTION {id}")).await;
            }
        }
    }
}

/// Only the database knows whether an interrupted commit took place; so it is asked.
async fn lost_connections_leave_no_hole(world: World) {
    if world.database.backend == Backend::Sqlite {
        // SQLite is a file and has no connection that could be lost.
        return;
    }
    let raw = world.database.raw().await;
    // Those whose connection was lost while they were being committed.
    let (mut written, mut lost) = (0, 0);
    for round in 0..20 {
        let mut writers = tokio::task::JoinSet::new();
        let finished = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
        for _ in 0..20 {
            let (store, finished) = (world.store.clone(), finished.clone());
            writers.spawn(async move {
                let written = store.record_audit(event(&account(), "ListAgents")).await;
                finished.add_permits(1);
                written
            });
        }
        // In each round this many writers have finished, and the others have not started or are still writing.
        drop(finished.acquire_many(round % 10 * 2).await.unwrap());
        end_other_connections(&raw, world.database.backend).await;
        for outcome in writers.join_all().await {
            match outcome {
                Ok(()) => written += 1,
                Err(StoreError::Unavailable { step: "commit", .. }) => lost += 1,
                Err(error) => panic!("what was not being committed is done on another connection: {error:?}"),
            }
        }
    }
    world.store.record_audit(event(&account(), "Last")).await.unwrap();
    let rows = world.count("audit_events", "action = 'ListAgents'").await;
    assert!((written..=written + lost).contains(&rows), "{rows} rows, {written} answered, {lost} in doubt");
    assert_chains_are_whole(&world).await;
}
