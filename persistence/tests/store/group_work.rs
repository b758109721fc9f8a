//! Changes of agents that are made in groups: each with the claim of its call and its audit row, all of it or, of a change
//! that is refused, the claim alone; and none takes another with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use domain::TerminalSessionToken;
use domain::actions::{AcknowledgeSegment, ReadAgentConfiguration, SealRecording};
use domain::agent::Agent;
use domain::audit::AuditEvent;
use domain::recording_life::{Recording, RecordingState};
use persistence::{
    Heard, LinkNoted, NonceClaim, OfAgent, Once, RecordingSealedAndDelivered, Store, StoreError,
};
use sea_orm::{ConnectionTrait, TransactionTrait};
use tokio::task::{JoinSet, LocalSet};

use crate::contention::{BETWEEN_LOOKS, waiting};
use crate::group_commit::{
    assert_whole, claim, commits_work_again, fail_commits, hold, refuse_rows, release,
};
use test_facts::{Backend, World, account, as_agent, at, event, on_both, sealed, segment, until_async};

on_both!(
    a_change_that_is_refused_uses_up_its_call_and_takes_no_other_with_it,
    a_row_that_the_database_refuses_takes_no_other_change_with_it,
    a_group_of_changes_that_fails_leaves_nothing,
    of_a_call_that_comes_twice_at_once_one_makes_the_change,
    replicas_that_interleave_make_each_change_once,
    two_changes_of_one_recording_in_a_group_follow_each_other,
    an_agent_is_noted_as_heard_with_its_change,
    a_recording_is_sealed_and_delivered_in_one_change,
    a_change_whose_caller_gave_up_is_made_all_the_same,
    changes_without_number_leave_room_for_calls_without_changes,
);

/// So many recordings, each of its own agent.
async fn recordings(world: &World, number: usize) -> Vec<(Agent, Recording)> {
    let mut recordings = Vec::new();
    for number in 0..number {
        let agent = world.enrol(&account(), &format!("web{number}")).await;
        let recording = world.open(&agent, 10, 7).await;
        recordings.push((agent, recording));
    }
    recordings
}

/// One call: its number, by whom, about which recording, and which segment.
#[derive(Clone)]
struct Call {
    number: usize,
    agent: Agent,
    token: TerminalSessionToken,
    segment: u32,
}

impl Call {
    fn of(number: usize, (agent, recording): &(Agent, Recording), segment: u32) -> Self {
        Self { number, agent: agent.clone(), token: recording.token.clone(), segment }
    }

    async fn make(self, store: Store) -> Result<Once<()>, StoreError> {
        self.make_claiming(store, claim(self.number)).await
    }

    async fn make_claiming(&self, store: Store, claim: NonceClaim) -> Result<Once<()>, StoreError> {
        let of_agent = OfAgent { claim: Some(claim), heard: None };
        let change = segment(&self.token, self.segment, at(20));
        store
            .apply_once(&as_agent::<AcknowledgeSegment>(&self.agent), of_agent, change, vec![self.row()])
            .await
    }

    fn row(&self) -> AuditEvent {
        AuditEvent { request_id: self.number.to_string(), ..event(&account(), "AcknowledgeSegment") }
    }
}

/// Makes these calls at once, and says what became of each.
async fn at_once(calls: Vec<(Store, Call)>) -> Vec<(usize, Result<Once<()>, StoreError>)> {
    // One thread has them all wait before any of them learns something.
    let (threads, mut told) = (LocalSet::new(), JoinSet::new());
    for (store, call) in calls {
        told.spawn_local_on(async move { (call.number, call.make(store).await) }, &threads);
    }
    let mut told = threads.run_until(told.join_all()).await;
    told.sort_by_key(|(number, _)| *number);
    told
}

async fn rows(world: &World) -> i64 {
    world.count("audit_events", "action = 'AcknowledgeSegment'").await
}

async fn segments(world: &World) -> i64 {
    world.count("recording_segments", "1 = 1").await
}

async fn nonces(world: &World) -> i64 {
    world.count("nonces", "1 = 1").await
}

fn is_made(outcome: &Result<Once<()>, StoreError>) -> bool {
    matches!(outcome, Ok(Once::First(Ok(()))))
}

fn is_conflict(outcome: &Result<Once<()>, StoreError>) -> bool {
    matches!(outcome, Ok(Once::First(Err(StoreError::Conflict { .. }))))
}

async fn a_change_that_is_refused_uses_up_its_call_and_takes_no_other_with_it(world: World) {
    let of = recordings(&world, 12).await;
    // Every fourth one is ahead of what has arrived.
    let ahead = |number: usize| number % 4 == 3;
    let call = |number: usize| Call::of(number, &of[number], if ahead(number) { 5 } else { 0 });
    let told = at_once((0..12).map(|number| (world.store.clone(), call(number))).collect()).await;
    for (number, outcome) in &told {
        let expected = if ahead(*number) { is_conflict(outcome) } else { is_made(outcome) };
        assert!(expected, "{number}: {outcome:?}");
    }
    assert_eq!((segments(&world).await, rows(&world).await, nonces(&world).await), (9, 9, 12));
    for (number, (_, recording)) in of.iter().enumerate() {
        let arrived = world.find(recording).await.unwrap().arrived.segments;
        assert_eq!(arrived, u32::from(!ahead(number)), "{number}");
    }
    // A call is good for one use, whatever became of it.
    let told = at_once((0..12).map(|number| (world.store.clone(), call(number))).collect()).await;
    assert!(told.iter().all(|(_, outcome)| matches!(outcome, Ok(Once::Used))), "{told:?}");
    assert_eq!((segments(&world).await, rows(&world).await), (9, 9));
    assert_whole(&world).await;
}

async fn a_row_that_the_database_refuses_takes_no_other_change_with_it(world: World) {
    let of = recordings(&world, 12).await;
    refuse_rows(&world, "NEW.request_id = '7'", "23514").await;
    let call = |number: usize| (world.store.clone(), Call::of(number, &of[number], 0));
    for (number, outcome) in at_once((0..12).map(call).collect()).await {
        match outcome {
            Err(StoreError::Unavailable { .. }) => assert_eq!(number, 7),
            made => assert!(is_made(&made) && number != 7, "{number}: {made:?}"),
        }
    }
    assert_eq!((segments(&world).await, rows(&world).await, nonces(&world).await), (11, 11, 11));
    commits_work_again(&world).await;
    let again = at_once(vec![call(7)]).await;
    assert!(is_made(&again[0].1), "nothing of it remained: {again:?}");
    assert_whole(&world).await;
}

async fn a_group_of_changes_that_fails_leaves_nothing(world: World) {
    let of = recordings(&world, 12).await;
    fail_commits(&world).await;
    let calls = || (0..12).map(|number| (world.store.clone(), Call::of(number, &of[number], 0))).collect();
    for (number, outcome) in at_once(calls()).await {
        assert!(matches!(outcome, Err(StoreError::Unavailable { .. })), "{number}: {outcome:?}");
    }
    assert_eq!((segments(&world).await, rows(&world).await, nonces(&world).await), (0, 0, 0));
    commits_work_again(&world).await;
    // Nobody was answered, so that all of them may come again.
    for (number, outcome) in at_once(calls()).await {
        assert!(is_made(&outcome), "{number}: {outcome:?}");
    }
    assert_eq!((segments(&world).await, rows(&world).await, nonces(&world).await), (12, 12, 12));
    assert_whole(&world).await;
}

async fn of_a_call_that_comes_twice_at_once_one_makes_the_change(world: World) {
    let of = recordings(&world, 10).await;
    let stores = [world.store.clone(), world.replica().await];
    let (threads, mut told) = (LocalSet::new(), JoinSet::new());
    for number in 0..80 {
        let (store, call) = (stores[number % 2].clone(), Call::of(number, &of[number / 8], 0));
        let once = async move { (number, call.make_claiming(store, claim(call.number / 8)).await) };
        told.spawn_local_on(once, &threads);
    }
    let told = threads.run_until(told.join_all()).await;
    let made: Vec<usize> = told.iter().filter(|(_, once)| is_made(once)).map(|(number, _)| *number).collect();
    assert!(told.iter().all(|(_, once)| is_made(once) || matches!(once, Ok(Once::Used))), "{told:?}");
    let mut of: Vec<usize> = made.iter().map(|number| number / 8).collect();
    of.sort_unstable();
    assert_eq!(of, (0..10).collect::<Vec<_>>());
    assert_eq!((segments(&world).await, rows(&world).await, nonces(&world).await), (10, 10, 10));
    assert_whole(&world).await;
}

/// As when agents' calls change between replicas: both lock the same agents and recordings, in groups.
async fn replicas_that_interleave_make_each_change_once(world: World) {
    const SEGMENTS: u32 = 6;
    let of = recordings(&world, 6).await;
    let stores = [world.store.clone(), world.replica().await];
    let mut number = 0;
    for segment in 0..SEGMENTS {
        let mut calls = Vec::new();
        for one in &of {
            for store in &stores {
                calls.push((store.clone(), Call::of(number, one, segment)));
                number += 1;
            }
        }
        let told = at_once(calls).await;
        for both in told.chunks(2) {
            let made = both.iter().filter(|(_, outcome)| is_made(outcome)).count();
            let late = both.iter().filter(|(_, outcome)| is_conflict(outcome)).count();
            assert_eq!((made, late), (1, 1), "{both:?}");
        }
    }
    for (_, recording) in &of {
        assert_eq!(world.find(recording).await.unwrap().arrived.segments, SEGMENTS);
    }
    assert_eq!((segments(&world).await, rows(&world).await, nonces(&world).await), (36, 36, 72));
    assert_whole(&world).await;
}

async fn two_changes_of_one_recording_in_a_group_follow_each_other(world: World) {
    let of = recordings(&world, 1).await;
    let calls = (0..8).map(|number| (world.store.clone(), Call::of(number, &of[0], 0))).collect();
    let told = at_once(calls).await;
    assert_eq!(told.iter().filter(|(_, outcome)| is_made(outcome)).count(), 1, "{told:?}");
    assert_eq!(told.iter().filter(|(_, outcome)| is_conflict(outcome)).count(), 7, "{told:?}");
    assert_eq!((segments(&world).await, rows(&world).await, nonces(&world).await), (1, 1, 8));
}

async fn an_agent_is_noted_as_heard_with_its_change(world: World) {
    let of = recordings(&world, 1).await;
    let (agent, recording) = &of[0];
    let heard = async |number: usize, segment_number: u32, before: i64, now: i64| {
        let heard = Some(Heard { at: at(now), before: at(before) });
        let of_agent = OfAgent { claim: Some(claim(number)), heard };
        let change = segment(&recording.token, segment_number, at(now));
        let audit = vec![event(&account(), "AcknowledgeSegment")];
        let granted = as_agent::<AcknowledgeSegment>(agent);
        let once = world.store.apply_once(&granted, of_agent, change, audit).await;
        let seen = format!("agent_id = '{}' AND last_seen_at = {}", agent.id, at(now).as_millis());
        (is_made(&once), world.count("agents", &seen).await == 1)
    };
    assert_eq!(heard(0, 0, 1, 90_000).await, (true, true));
    assert_eq!(heard(1, 1, 90_000, 91_000).await, (true, false), "it was noted a second ago");
    assert_eq!(heard(2, 7, 90_000, 190_000).await, (false, false), "nothing remains of what is refused");
    assert_eq!(heard(3, 2, 90_000, 200_000).await, (true, true));
}

async fn a_recording_is_sealed_and_delivered_in_one_change(world: World) {
    let of = recordings(&world, 1).await;
    let (agent, recording) = &of[0];
    world.acknowledge(agent, &recording.token, 0, 20).await.unwrap();
    let seal = async |number: usize, segments: u32| {
        let of_agent = OfAgent { claim: Some(claim(number)), heard: None };
        let change = RecordingSealedAndDelivered { sealed: sealed(&recording.token, segments, at(5_000)) };
        let audit = ["seal", "deliver"].map(|how| AuditEvent {
            how: how.to_owned(),
            request_id: number.to_string(),
            ..event(&account(), "SealRecording")
        });
        world.store.apply_once(&as_agent::<SealRecording>(agent), of_agent, change, audit.to_vec()).await
    };
    let missed = seal(0, 0).await;
    assert!(is_conflict(&missed), "{missed:?}");
    assert_eq!(world.find(recording).await.unwrap().state, RecordingState::Open);
    assert!(is_made(&seal(1, 1).await));
    let found = world.find(recording).await.unwrap();
    assert!(matches!(found.state, RecordingState::Delivered { .. }), "{found:?}");
    assert_eq!(world.count("audit_events", "action = 'SealRecording' AND request_id = '1'").await, 2);
    assert_eq!(world.count("audit_events", "action = 'SealRecording'").await, 2);
}

/// It has a row, which is evidence of what was tried.
async fn a_change_whose_caller_gave_up_is_made_all_the_same(world: World) {
    let of = recordings(&world, 3).await;
    let held = hold(&world).await;
    let calls: Vec<_> = (0..3)
        .map(|number| tokio::spawn(Call::of(number, &of[number], 0).make(world.store.clone())))
        .collect();
    for call in calls {
        let told = call.await.unwrap();
        assert!(matches!(told, Err(StoreError::WriterBehind { .. })), "{told:?}");
    }
    release(&world, &held).await;
    until_async("they are made", async || (rows(&world).await == 3).then_some(())).await;
    assert_eq!((segments(&world).await, nonces(&world).await), (3, 3));
    assert_whole(&world).await;
}

/// However many agents call at once, whoever only reads is answered.
async fn changes_without_number_leave_room_for_calls_without_changes(world: World) {
    const CHANGES: usize = 9_000;
    let of = recordings(&world, 1).await;
    let held = hold(&world).await;
    let at_the_door = Arc::new(AtomicUsize::new(0));
    let mut changes = JoinSet::new();
    for number in 0..CHANGES {
        let (call, store, refused) =
            (Call::of(number, &of[0], 0), world.store.clone(), Arc::clone(&at_the_door));
        changes.spawn(async move {
            let told = call.make(store).await;
            if matches!(&told, Err(StoreError::WriterBehind { why }) if why.contains("waiting")) {
                refused.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let reads = async {
        until_async("more have come than may wait", async || {
            (at_the_door.load(Ordering::Relaxed) > 0).then_some(())
        })
        .await;
        tokio::join!(world.store.record_audit(event(&account(), "ListAgents")), release(&world, &held)).0
    };
    let (read, _) = tokio::join!(reads, changes.join_all());
    assert!(read.is_ok(), "{read:?}");
}

/// A change holds a recording for long: what an agent adds to that recording waits for it, and nobody else does.
async fn a_recording_that_is_held_delays_no_other_call(backend: Backend) {
    let world = World::new(backend).await;
    let of = recordings(&world, 9).await;
    let raw = world.database.raw().await;
    let other = raw.begin().await.unwrap();
    let lock = format!("UPDATE recordings SET command = 'held' WHERE token = '{}'", of[0].1.token);
    other.execute_unprepared(&lock).await.unwrap();
    let waits = tokio::spawn(Call::of(0, &of[0], 0).make(world.store.clone()));
    // It waits in a transaction of its own, after its group.
    until_async("it waits for the other", async || {
        tokio::time::sleep(BETWEEN_LOOKS).await;
        let claimed = nonces(&world).await == 1;
        let n: i64 = world.database.rows(waiting(backend)).await[0].try_get("", "n").unwrap();
        (claimed && n == 1).then_some(())
    })
    .await;
    let others = (1..9).map(|number| (world.store.clone(), Call::of(number, &of[number], 0))).collect();
    let told = tokio::time::timeout(Duration::from_secs(2), at_once(others)).await;
    let audited = tokio::time::timeout(
        Duration::from_secs(2),
        world.store.record_audit_once(claim(100), event(&account(), "ListAgents")),
    )
    .await;
    let still_waits = !waits.is_finished();
    other.commit().await.unwrap();
    for (number, outcome) in told.expect("the others do not wait") {
        assert!(is_made(&outcome), "{number}: {outcome:?}");
    }
    assert!(audited.expect("calls without changes do not wait").unwrap() && still_waits);
    let made = waits.await.unwrap();
    assert!(is_made(&made), "{made:?}");
    assert_eq!((segments(&world).await, rows(&world).await, nonces(&world).await), (9, 9, 10));
    assert_whole(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_that_is_held_delays_no_other_call_on_postgres() {
    a_recording_that_is_held_delays_no_other_call(Backend::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_that_is_held_delays_no_other_call_on_mariadb() {
    a_recording_that_is_held_delays_no_other_call(Backend::MariaDb).await;
}

/// What links note is a change of a group too, and goes its own way when somebody holds one of their agents.
async fn an_agent_that_is_held_delays_the_notes_of_links_alone(backend: Backend) {
    let world = World::new(backend).await;
    let of = recordings(&world, 3).await;
    let raw = world.database.raw().await;
    let other = raw.begin().await.unwrap();
    let lock = format!("UPDATE agents SET hostname = 'held' WHERE agent_id = '{}'", of[0].0.id);
    other.execute_unprepared(&lock).await.unwrap();
    let (store, agents) = (world.store.clone(), [of[0].0.clone(), of[1].0.clone()]);
    let notes = tokio::spawn(async move {
        let note = async |agent: &Agent| {
            let granted = as_agent::<ReadAgentConfiguration>(agent);
            store.note_link(&granted, agent, at(90_000), None).await
        };
        tokio::join!(note(&agents[0]), note(&agents[1]))
    });
    until_async("they wait for the other", async || {
        tokio::time::sleep(BETWEEN_LOOKS).await;
        let n: i64 = world.database.rows(waiting(backend)).await[0].try_get("", "n").unwrap();
        (n == 1).then_some(())
    })
    .await;
    let acknowledged = at_once(vec![(world.store.clone(), Call::of(2, &of[2], 0))]);
    let acknowledged = tokio::time::timeout(Duration::from_secs(2), acknowledged).await;
    let still_wait = !notes.is_finished();
    other.commit().await.unwrap();
    assert!(is_made(&acknowledged.expect("nobody waits with them")[0].1) && still_wait);
    let (one, two) = notes.await.unwrap();
    assert_eq!((one.unwrap(), two.unwrap()), (LinkNoted::GoesOn, LinkNoted::GoesOn));
    let heard = format!("last_seen_at = {}", at(90_000).as_millis());
    assert_eq!(world.count("agents", &heard).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_is_held_delays_the_notes_of_links_alone_on_postgres() {
    an_agent_that_is_held_delays_the_notes_of_links_alone(Backend::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_is_held_delays_the_notes_of_links_alone_on_mariadb() {
    an_agent_that_is_held_delays_the_notes_of_links_alone(Backend::MariaDb).await;
}

/// PostgreSQL says which transaction wrote a row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_at_once_share_commits() {
    let world = World::new(Backend::Postgres).await;
    let of = recordings(&world, 64).await;
    let calls = (0..64).map(|number| (world.store.clone(), Call::of(number, &of[number], 0))).collect();
    for (number, outcome) in at_once(calls).await {
        assert!(is_made(&outcome), "{number}: {outcome:?}");
    }
    let commits =
        "SELECT COUNT(DISTINCT xmin::text) AS n FROM audit_events WHERE action = 'AcknowledgeSegment'";
    let commits: i64 = world.database.rows(commits).await[0].try_get("", "n").unwrap();
    assert!(commits <= 32, "{commits} commits for 64 changes");
    // A change is made after a savepoint, so that its rows have numbers of their own; the claims have that of the group.
    let groups: i64 = world.database.rows("SELECT COUNT(DISTINCT xmin::text) AS n FROM nonces").await[0]
        .try_get("", "n")
        .unwrap();
    assert_eq!(groups, commits, "each with the claims of its changes");
}
