//! What a sweep does, and what it leaves alone.

use std::time::Duration;

use domain::actions::ReadAgentConfiguration;
use domain::recording_life::RecordingState;
use persistence::StoreError;

use test_facts::{Backend, DAY, World, account, as_agent, as_system, at, on_both, other_account};

on_both!(
    a_live_agent_keeps_its_recordings_open,
    only_the_accounts_own_recordings_are_swept,
    many_expired_recordings_take_several_transactions,
    lapsed_tokens_are_kept_for_a_week,
    an_unknown_account_is_said_to_be_unknown,
);

const SILENT: Duration = Duration::from_secs(60);

async fn a_live_agent_keeps_its_recordings_open(world: World) {
    let agent = world.enrol(&account(), "web1").await;
    let opened = world.open(&agent, 10, 7).await;
    let granted = as_agent::<ReadAgentConfiguration>(&agent);
    world.store.mark_agent_seen(&granted, &agent.id, at(90_000)).await.unwrap();
    assert_eq!(world.sweep(&account(), 100_000, SILENT).await.abandoned, 0, "an idle shell is no lost one");
    assert_eq!(world.find(&opened).await.unwrap().state, RecordingState::Open);
    // A later agent of the instance does not take over its recordings.
    let successor = world.agent(&account(), "web1");
    let token = world.join_token(&account(), "*", true).await;
    world.try_enrol(&successor, &token, true).await.unwrap();
    assert_eq!(world.sweep(&account(), 100_000, SILENT).await.abandoned, 1);
    assert_eq!(world.sweep(&account(), 100_000, SILENT).await.abandoned, 0, "once is enough");
}

async fn only_the_accounts_own_recordings_are_swept(world: World) {
    let own = world.enrol(&account(), "web1").await;
    let foreign = world.enrol(&other_account(), "web1").await;
    world.open(&own, 10, 1).await;
    let theirs = world.open(&foreign, 10, 1).await;
    let swept = world.sweep(&account(), 2 * DAY, SILENT).await;
    assert_eq!((swept.abandoned, swept.expired), (1, 1));
    assert_eq!(world.find(&theirs).await.unwrap().state, RecordingState::Open);
    assert_eq!(world.count("recordings", "counted").await, 1);
}

async fn many_expired_recordings_take_several_transactions(world: World) {
    let agent = world.enrol(&account(), "web1").await;
    let opened = world.open(&agent, 10, 1).await;
    world.seal(&agent, &opened.token, 0, 20, 20).await.unwrap();
    // 1,100 copies, and counters to match.
    let token = match world.database.backend {
        Backend::Sqlite => "substr('00000000000000000000000000000000' || i, -32)",
        Backend::Postgres => "lpad(i::text, 32, '0')",
        Backend::MariaDb => "lpad(i, 32, '0')",
    };
    let copies = format!(
        "INSERT INTO recordings (token, account_id, instance_id, agent_id, kind, target, folder, start_sha256, started_at, \
         opened_at, last_heard_at, expiration_days, state, ended_at, end_kind, end_reason, manifest_sha256, segments, \
         stored_bytes, last_at_micros, expires_at, counted, session_owner, session_owner_id, claimed_owner, \
         listed_at) \
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1100) \
         SELECT {token}, account_id, instance_id, \
         agent_id, kind, target, folder, start_sha256, started_at, opened_at, last_heard_at, expiration_days, state, \
         ended_at, end_kind, end_reason, manifest_sha256, segments, stored_bytes, last_at_micros, expires_at, \
         counted, session_owner, session_owner_id, claimed_owner, listed_at FROM recordings, n WHERE token = '{}'",
        opened.token
    );
    world.database.execute(&copies).await;
    world.database.execute("UPDATE recording_counters SET visible = 1101, total = 1101").await;
    let swept = world.sweep(&account(), 20 + DAY, SILENT).await;
    assert_eq!(swept.expired, 1_101);
    assert_eq!(world.count("recording_counters", "visible = 0 AND total = 1101").await, 2);
}

async fn lapsed_tokens_are_kept_for_a_week(world: World) {
    world.join_token(&account(), "*", false).await;
    world.store.remove_lapsed(at(7 * DAY)).await.unwrap();
    assert_eq!(world.count("join_tokens", "1 = 1").await, 1, "its bearer is told that it lapsed");
    assert_eq!(world.store.remove_lapsed(at(8 * DAY)).await.unwrap(), 1);
}

async fn an_unknown_account_is_said_to_be_unknown(world: World) {
    let nobody = "1000000000000000".parse().unwrap();
    let refused = world.store.sweep(&as_system(&nobody), at(0), SILENT).await;
    assert!(matches!(refused, Err(StoreError::NotFound { what: "account" })), "{refused:?}");
}
