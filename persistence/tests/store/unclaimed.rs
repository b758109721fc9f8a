//! How many unclaimed objects an agent may leave, and when they are removed.

use std::sync::Arc;

use bytes::Bytes;
use domain::Timestamp;
use domain::actions::{AcknowledgeSegment, GrantUpload, OpenRecording};
use domain::agent::Agent;
use domain::gate::Granted;
use domain::recording_life::Recording;
use domain::unclaimed::{
    AgentLimitReached, COUNTED_AS_OPEN_FOR, MOST_OPEN_RECORDINGS, MOST_UNCLAIMED_BYTES, UnclaimedObject,
};
use persistence::objects::{FolderStores, ObjectStores};
use persistence::{OfAgent, Once, SegmentAcknowledgedAndNextPermitted, StoreError, UploadPermitted};
use recording::{EvidenceName, Stream};
use tempfile::TempDir;

use test_facts::{DAY, World, account, as_agent, as_system, at, event, on_both, recording};

on_both!(
    an_agent_has_so_many_open_recordings_and_no_more,
    recordings_of_which_nothing_is_heard_keep_no_others_from_beginning,
    an_agent_has_so_many_unclaimed_bytes_and_no_more,
    a_claim_and_the_next_permission_are_one_change,
    claims_with_permissions_and_permissions_do_not_wait_for_each_other,
    what_nobody_claims_goes_after_a_day_and_can_be_written_again,
    what_was_claimed_stays,
    what_is_about_to_be_claimed_stays,
    what_a_manifest_seals_stays,
    what_lies_beside_a_seal_that_does_not_list_it_goes,
    a_start_that_was_never_opened_goes_too,
);

fn object(recording: &Recording, evidence: EvidenceName, length: u64) -> UnclaimedObject {
    UnclaimedObject {
        location: recording.target.location().clone(),
        name: recording.folder.join(&evidence.to_object_name()).unwrap(),
        agent: recording.agent.clone(),
        recording: recording.token.clone(),
        evidence,
        length,
    }
}

fn segment(recording: &Recording, number: u32, length: u64) -> UnclaimedObject {
    object(recording, EvidenceName::Segment { stream: Stream::Terminal, number }, length)
}

struct Objects {
    _folder: TempDir,
    stores: Arc<dyn ObjectStores>,
}

impl Objects {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let stores = Arc::new(FolderStores::open(folder.path()).unwrap());
        Self { _folder: folder, stores }
    }

    async fn put(&self, object: &UnclaimedObject, bytes: &'static [u8]) {
        let objects = self.stores.at(&object.location);
        objects.put_once(&object.name, Bytes::from_static(bytes)).await.unwrap();
    }

    async fn has(&self, object: &UnclaimedObject) -> bool {
        self.stores.at(&object.location).head(&object.name).await.unwrap().is_some()
    }
}

async fn permit(world: &World, agent: &Agent, object: UnclaimedObject, now: i64) -> Result<(), StoreError> {
    let change = UploadPermitted { object, at: at(now) };
    world.store.apply(&as_agent::<GrantUpload>(agent), change, event(&account(), "GrantUpload")).await
}

async fn sweep(world: &World, objects: &Objects, now: i64) -> u64 {
    world.store.remove_unclaimed(&as_system(&account()), &objects.stores, at(now)).await.unwrap()
}

/// So many copies of a recording.
async fn copy(world: &World, first: &Recording, copies: u64) {
    let others: String =
        (1..=copies).map(|i| format!("{}('{i:032}')", if i > 1 { ", " } else { "" })).collect();
    let copies = format!(
        "INSERT INTO recordings (token, account_id, instance_id, agent_id, kind, target, folder, start_sha256, started_at, \
         opened_at, last_heard_at, expiration_days, state, ended_at, end_kind, end_reason, manifest_sha256, segments, \
         stored_bytes, last_at_micros, expires_at, counted, session_owner, session_owner_id, claimed_owner, listed_at) \
         SELECT v.t, account_id, instance_id, agent_id, kind, target, folder, start_sha256, started_at, \
         opened_at, last_heard_at, expiration_days, state, ended_at, end_kind, end_reason, manifest_sha256, segments, \
         stored_bytes, last_at_micros, expires_at, counted, session_owner, session_owner_id, claimed_owner, listed_at \
         FROM recordings, (WITH w(t) AS (VALUES {others}) SELECT t FROM w) AS v WHERE token = '{}'",
        first.token
    );
    world.database.execute(&copies).await;
}

/// As a call that was claimed before.
async fn expect_start(
    world: &World,
    granted: &Granted<OpenRecording>,
    start: UnclaimedObject,
    now: Timestamp,
) -> Result<(), StoreError> {
    match world.store.expect_start(granted, OfAgent::default(), start, now).await? {
        Once::First(outcome) => outcome,
        Once::Used => panic!("nothing was to be claimed"),
    }
}

async fn an_agent_has_so_many_open_recordings_and_no_more(world: World) {
    let agent = world.enrol(&account(), "web1").await;
    let first = world.open(&agent, 10, 7).await;
    // As many as there may be.
    copy(&world, &first, MOST_OPEN_RECORDINGS - 1).await;
    let more = recording(&agent, at(20), 7);
    let granted = as_agent::<OpenRecording>(&agent);
    let expected = expect_start(&world, &granted, object(&more, EvidenceName::Start, 100), at(20)).await;
    assert!(
        matches!(expected, Err(StoreError::AgentLimit(AgentLimitReached::OpenRecordings))),
        "{expected:?}"
    );
    let opening = test_facts::opened(more);
    let open = || world.store.apply(&granted, opening.clone(), event(&account(), "OpenRecording"));
    let refused = open().await;
    assert!(matches!(refused, Err(StoreError::AgentLimit(AgentLimitReached::OpenRecordings))), "{refused:?}");
    // Another agent has its own limit, and a recording that has ended makes room.
    let other = world.enrol(&account(), "web2").await;
    world.open(&other, 20, 7).await;
    world.seal(&agent, &first.token, 0, 30, 30).await.unwrap();
    open().await.unwrap();
}

/// Such as those in an agent's quarantine, which the control plane or the store refuses for good.
async fn recordings_of_which_nothing_is_heard_keep_no_others_from_beginning(world: World) {
    let agent = world.enrol(&account(), "web1").await;
    let first = world.open(&agent, 10, 7).await;
    let heard = world.open(&agent, 10, 7).await;
    copy(&world, &first, MOST_OPEN_RECORDINGS - 2).await;
    let kept_for = i64::try_from(COUNTED_AS_OPEN_FOR.as_millis()).unwrap();
    world.acknowledge(&agent, &heard.token, 0, 11).await.unwrap();
    let granted = as_agent::<OpenRecording>(&agent);
    let opened_at = async |now| {
        let more = recording(&agent, at(now), 7);
        expect_start(&world, &granted, object(&more, EvidenceName::Start, 100), at(now)).await?;
        let opening = test_facts::opened(more);
        world.store.apply(&granted, opening, event(&account(), "OpenRecording")).await
    };
    let refused = opened_at(9 + kept_for).await;
    assert!(matches!(refused, Err(StoreError::AgentLimit(AgentLimitReached::OpenRecordings))), "{refused:?}");
    // The one that was heard later still counts, and so do the new ones.
    for _ in 1..MOST_OPEN_RECORDINGS {
        opened_at(10 + kept_for).await.unwrap();
    }
    let refused = opened_at(10 + kept_for).await;
    assert!(matches!(refused, Err(StoreError::AgentLimit(AgentLimitReached::OpenRecordings))), "{refused:?}");
    // What was silent goes on whenever it may, and counts again.
    world.acknowledge(&agent, &first.token, 0, 11 + kept_for).await.unwrap();
    opened_at(12 + kept_for).await.unwrap_err();
    assert_eq!(
        world.count("recordings", "state = 'open'").await,
        i64::try_from(2 * MOST_OPEN_RECORDINGS - 1).unwrap()
    );
}

async fn an_agent_has_so_many_unclaimed_bytes_and_no_more(world: World) {
    let agent = world.enrol(&account(), "web1").await;
    let opened = world.open(&agent, 10, 7).await;
    let eighth = MOST_UNCLAIMED_BYTES / 8;
    for number in 0..8 {
        permit(&world, &agent, segment(&opened, number, eighth), 20).await.unwrap();
    }
    let refused = permit(&world, &agent, segment(&opened, 8, 1), 20).await;
    assert!(matches!(refused, Err(StoreError::AgentLimit(AgentLimitReached::UnclaimedBytes))), "{refused:?}");
    // The same object again takes no more, and another agent has its own limit.
    permit(&world, &agent, segment(&opened, 7, eighth), 30).await.unwrap();
    let other = world.enrol(&account(), "web2").await;
    let others = world.open(&other, 10, 7).await;
    permit(&world, &other, segment(&others, 0, 1), 30).await.unwrap();
    // Claimed objects make room; small ones count as more bytes than they have.
    world.acknowledge(&agent, &opened.token, 0, 40).await.unwrap();
    let least = domain::unclaimed::COUNTED_AT_LEAST_BYTES;
    for number in 8..8 + u32::try_from(eighth / least).unwrap() {
        permit(&world, &agent, segment(&opened, number, 1), 40).await.unwrap();
    }
    let refused = permit(&world, &agent, segment(&opened, 1_000, 1), 40).await;
    assert!(matches!(refused, Err(StoreError::AgentLimit(AgentLimitReached::UnclaimedBytes))), "{refused:?}");
}

async fn claim_and_permit(
    world: &World,
    agent: &Agent,
    opened: &Recording,
    number: u32,
    length: u64,
    now: i64,
) -> Result<(), StoreError> {
    let change = SegmentAcknowledgedAndNextPermitted {
        acknowledged: test_facts::segment(&opened.token, number, at(now)),
        next: segment(opened, number + 1, length),
    };
    let granted = as_agent::<AcknowledgeSegment>(agent);
    world.store.apply(&granted, change, event(&account(), "AcknowledgeSegment")).await
}

async fn a_claim_and_the_next_permission_are_one_change(world: World) {
    let agent = world.enrol(&account(), "web1").await;
    let opened = world.open(&agent, 10, 7).await;
    permit(&world, &agent, segment(&opened, 0, 1), 20).await.unwrap();
    claim_and_permit(&world, &agent, &opened, 0, 1, 30).await.unwrap();
    assert_eq!(world.find(&opened).await.unwrap().arrived.segments, 1);
    // Exactly half is left for objects that are requested separately: of those permitted ahead, segment 1 counts.
    let least = domain::unclaimed::COUNTED_AT_LEAST_BYTES;
    permit(&world, &agent, segment(&opened, 9, MOST_UNCLAIMED_BYTES / 2 - least), 40).await.unwrap();
    permit(&world, &agent, segment(&opened, 10, 1), 40).await.unwrap();
    // Where the next object has no room, nothing is claimed either; and nothing is permitted with a claim that is
    // refused.
    let more = 1;
    let refused = claim_and_permit(&world, &agent, &opened, 1, more, 50).await;
    assert!(matches!(refused, Err(StoreError::AgentLimit(_))), "{refused:?}");
    assert_eq!(world.find(&opened).await.unwrap().arrived.segments, 1);
    let refused = claim_and_permit(&world, &agent, &opened, 7, 1, 50).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    world.acknowledge(&agent, &opened.token, 1, 60).await.unwrap();
    permit(&world, &agent, segment(&opened, 2, 1), 60).await.unwrap();
}

/// Both lock the agent and the recording: in the same order, or one of them would be aborted as a deadlock.
async fn claims_with_permissions_and_permissions_do_not_wait_for_each_other(world: World) {
    let agent = world.enrol(&account(), "web1").await;
    let (one, other) = (world.open(&agent, 10, 7).await, world.open(&agent, 11, 7).await);
    let claims = async |opened: &Recording| {
        for number in 0..20 {
            claim_and_permit(&world, &agent, opened, number, 1, 30 + i64::from(number)).await.unwrap();
        }
    };
    let permissions = async {
        for number in 100..120 {
            permit(&world, &agent, segment(&one, number, 1), 30).await.unwrap();
        }
    };
    tokio::join!(claims(&one), claims(&other), permissions);
    assert_eq!(world.find(&one).await.unwrap().arrived.segments, 20);
}

async fn what_nobody_claims_goes_after_a_day_and_can_be_written_again(world: World) {
    let objects = Objects::new();
    let agent = world.enrol(&account(), "web1").await;
    let opened = world.open(&agent, 10, 7).await;
    let (first, second) = (segment(&opened, 0, 5), segment(&opened, 1, 5));
    for object in [&first, &second] {
        permit(&world, &agent, object.clone(), 20).await.unwrap();
    }
    objects.put(&first, b"first").await;
    assert_eq!(sweep(&world, &objects, 20 + DAY).await, 0);
    assert!(objects.has(&first).await);
    // One of them is requested again, and its waiting time starts over.
    permit(&world, &agent, second.clone(), 30).await.unwrap();
    assert_eq!(sweep(&world, &objects, 21 + DAY).await, 1);
    assert!(!objects.has(&first).await);
    assert_eq!(world.count("unclaimed_objects", "1 = 1").await, 1);
    // The name is free: other bytes can be stored under it, and be claimed.
    permit(&world, &agent, first.clone(), 30 + DAY).await.unwrap();
    objects.put(&first, b"again").await;
    world.acknowledge(&agent, &opened.token, 0, 40 + DAY).await.unwrap();
    assert_eq!(sweep(&world, &objects, 3 * DAY).await, 1, "the second was never uploaded, and is forgotten");
    assert!(objects.has(&first).await);
    assert_eq!(world.count("unclaimed_objects", "1 = 1").await, 0);
}

async fn what_was_claimed_stays(world: World) {
    let objects = Objects::new();
    let agent = world.enrol(&account(), "web1").await;
    let opened = world.open(&agent, 10, 7).await;
    let first = segment(&opened, 0, 5);
    permit(&world, &agent, first.clone(), 20).await.unwrap();
    objects.put(&first, b"first").await;
    world.acknowledge(&agent, &opened.token, 0, 30).await.unwrap();
    // A row that should no longer exist does no harm.
    permit(&world, &agent, first.clone(), 40).await.unwrap();
    assert_eq!(sweep(&world, &objects, 2 * DAY).await, 0);
    assert!(objects.has(&first).await);
    assert_eq!(world.count("unclaimed_objects", "1 = 1").await, 0);
}

async fn what_is_about_to_be_claimed_stays(world: World) {
    let objects = Objects::new();
    let agent = world.enrol(&account(), "web1").await;
    let opened = world.open(&agent, 10, 7).await;
    let first = segment(&opened, 0, 5);
    permit(&world, &agent, first.clone(), 20).await.unwrap();
    objects.put(&first, b"first").await;
    // The agent was away for more than a day; now it reports the segment, and a sweep runs in between.
    let granted = as_agent::<AcknowledgeSegment>(&agent);
    world.store.expect_claim(&granted, first.clone(), at(2 * DAY)).await.unwrap();
    assert_eq!(sweep(&world, &objects, 2 * DAY).await, 0);
    assert!(objects.has(&first).await);
    world.acknowledge(&agent, &opened.token, 0, 2 * DAY).await.unwrap();
    assert_eq!(world.count("unclaimed_objects", "1 = 1").await, 0);
}

/// The state after the database was restored from a backup: the claim is missing, and the agent has erased its bytes.
async fn what_a_manifest_seals_stays(world: World) {
    let objects = Objects::new();
    let agent = world.enrol(&account(), "web1").await;
    let opened = world.open(&agent, 10, 7).await;
    let first = segment(&opened, 0, 5);
    permit(&world, &agent, first.clone(), 20).await.unwrap();
    objects.put(&first, b"first").await;
    objects.put(&object(&opened, EvidenceName::Manifest(0), 2), b"{}").await;
    assert_eq!(sweep(&world, &objects, 2 * DAY).await, 0);
    assert!(objects.has(&first).await);
    assert_eq!(world.count("unclaimed_objects", "1 = 1").await, 0);
}

async fn what_lies_beside_a_seal_that_does_not_list_it_goes(world: World) {
    let objects = Objects::new();
    let agent = world.enrol(&account(), "web1").await;
    let opened = world.open(&agent, 10, 7).await;
    let beside = segment(&opened, 0, 6);
    permit(&world, &agent, beside.clone(), 20).await.unwrap();
    objects.put(&beside, b"beside").await;
    objects.put(&object(&opened, EvidenceName::Manifest(0), 2), b"{}").await;
    world.seal(&agent, &opened.token, 0, 30, 30).await.unwrap();
    assert_eq!(sweep(&world, &objects, 2 * DAY).await, 1);
    assert!(!objects.has(&beside).await);
    assert_eq!(world.count("unclaimed_objects", "1 = 1").await, 0);
}

async fn a_start_that_was_never_opened_goes_too(world: World) {
    let objects = Objects::new();
    let agent = world.enrol(&account(), "web1").await;
    let granted = as_agent::<OpenRecording>(&agent);
    let (never, opened) = (recording(&agent, at(10), 7), recording(&agent, at(10), 7));
    let of = |recording: &Recording| {
        let folder = format!("record/2023/11/14/{}", recording.token).parse().unwrap();
        object(&Recording { folder, ..recording.clone() }, EvidenceName::Start, 5)
    };
    let opened =
        Recording { folder: format!("record/2023/11/14/{}", opened.token).parse().unwrap(), ..opened };
    for start in [of(&never), of(&opened)] {
        expect_start(&world, &granted, start.clone(), at(10)).await.unwrap();
        objects.put(&start, b"start").await;
    }
    let change = test_facts::opened(opened.clone());
    world.store.apply(&granted, change, event(&account(), "OpenRecording")).await.unwrap();
    assert_eq!(world.count("unclaimed_objects", "1 = 1").await, 1);
    assert_eq!(sweep(&world, &objects, 2 * DAY).await, 1);
    assert!(objects.has(&of(&opened)).await && !objects.has(&of(&never)).await);
}
