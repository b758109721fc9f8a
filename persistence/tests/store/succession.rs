//! Recordings that an agent takes over from an earlier one of its instance: who holds them, and that nobody else changes them.

use std::time::Duration;

use domain::AgentId;
use domain::actions::{
    AcknowledgeSegment, DeleteAgent, GrantUpload, OpenRecording, SealRecording, TakeOverRecording,
    VerifyAgentRecordings,
};
use domain::agent::Agent;
use domain::audit::AuditEvent;
use domain::recording_life::{Recording, RecordingDelivered, RecordingState, WireStatus};
use domain::succession::{Succession, SuccessionRefused, TakeOver};
use domain::unclaimed::{AgentLimitReached, UnclaimedObject};
use persistence::{
    PageRequest, SegmentAcknowledgedAndNextPermitted, Store, StoreError, Taking, UploadPermitted,
};
use recording::{ContentHash, EvidenceName, Stream};

use test_facts::{
    DAY, World, account, as_agent, at, event, instance, on_both, opened, owner, recording, resource_of,
    segment,
};

on_both!(
    what_an_earlier_agent_has_left_is_held_by_its_successor,
    nothing_that_the_earlier_agent_still_sends_changes_what_was_taken_over,
    only_the_agent_of_the_instance_takes_over_and_only_the_same_recording,
    a_sealed_recording_is_delivered_and_keeps_its_holder,
    a_removal_ends_what_the_agent_holds_and_nothing_that_it_has_lost,
    silence_is_that_of_the_holder,
    open_recordings_are_counted_for_their_holder,
    a_claim_and_a_take_over_at_the_same_moment_do_not_mix,
    two_that_take_over_at_once_agree,
    the_trail_attributes_a_recording_to_the_agent_that_made_it,
);

/// The next agent of the instance, in the place of the present one.
async fn replace(world: &World, name: &str) -> Agent {
    let token = world.join_token(&account(), "*", true).await;
    let agent = world.agent(&account(), name);
    world.try_enrol(&agent, &token, true).await.unwrap();
    agent
}

async fn remove(world: &World, name: &str, now: i64) -> u64 {
    let granted = owner::<DeleteAgent>(&account(), resource_of(Some(&instance(name))));
    let removed = world.store.remove_agent(&granted, None, at(now), event(&account(), "DeleteAgent")).await;
    removed.unwrap().recordings_ended
}

async fn take(
    world: &World,
    successor: &Agent,
    recording: &Recording,
    now: i64,
) -> Result<TakeOver, StoreError> {
    take_at(&world.store, successor, recording, now).await
}

async fn take_at(
    store: &Store,
    successor: &Agent,
    recording: &Recording,
    now: i64,
) -> Result<TakeOver, StoreError> {
    let (token, start_sha256) = (recording.token.clone(), recording.start_sha256);
    let taking = Taking { token, start_sha256, successor: successor.id.clone(), at: at(now) };
    let audit = event(&account(), "TakeOverRecording");
    store.take_over(&as_agent::<TakeOverRecording>(successor), taking, audit).await
}

fn begun(taken: Result<TakeOver, StoreError>) -> Recording {
    match taken {
        Ok(TakeOver::Begins(recording)) => *recording,
        other => panic!("{other:?}"),
    }
}

fn object(recording: &Recording, agent: &Agent, number: u32) -> UnclaimedObject {
    let evidence = EvidenceName::Segment { stream: Stream::Terminal, number };
    UnclaimedObject {
        location: recording.target.location().clone(),
        name: recording.folder.join(&evidence.to_object_name()).unwrap(),
        agent: agent.id.clone(),
        recording: recording.token.clone(),
        evidence,
        length: 100,
    }
}

#[track_caller]
fn is_retired<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::AgentRetired)), "{result:?}");
}

async fn deliver(world: &World, agent: &Agent, recording: &Recording, now: i64) -> Result<(), StoreError> {
    let delivered = RecordingDelivered { token: recording.token.clone(), at: at(now) };
    let granted = as_agent::<SealRecording>(agent);
    world.store.apply(&granted, delivered, event(&account(), "SealRecording")).await
}

async fn what_an_earlier_agent_has_left_is_held_by_its_successor(world: World) {
    let first = world.enrol(&account(), "web1").await;
    let silent = world.open(&first, 10, 3).await;
    world.acknowledge(&first, &silent.token, 0, 12).await.unwrap();
    assert_eq!(world.sweep(&account(), 100_000, Duration::from_secs(60)).await.abandoned, 1);
    // Long ago it became hidden, and is not counted any more.
    assert_eq!(world.sweep(&account(), 4 * DAY, Duration::from_secs(60)).await.expired, 1);
    let open = world.open(&first, 4 * DAY, 7).await;
    world.acknowledge(&first, &open.token, 0, 4 * DAY + 1).await.unwrap();
    let now = 4 * DAY + 50_000;
    assert_eq!(remove(&world, "web1", now).await, 2);
    let second = world.enrol(&account(), "web1").await;

    let page = || PageRequest::Number { number: 1, size: 10 };
    assert_eq!(world.list(&account(), None, now, false, page()).await.total_count, 1);
    for of in [&silent, &open] {
        let taken = begun(take(&world, &second, of, now + 1).await);
        assert_eq!(world.find(of).await.as_ref(), Some(&taken));
        assert_eq!((&taken.agent, taken.holder()), (&first.id, &second.id));
        assert_eq!((&taken.state, taken.status()), (&RecordingState::Open, WireStatus::Running));
        let Succession { successor, at: moment, arrived } = taken.succession.clone().unwrap();
        assert_eq!((successor, moment), (second.id.clone(), at(now + 1)));
        let arrived: Vec<_> = arrived.iter().map(|of| (of.stream, of.segments)).collect();
        assert_eq!(arrived, [(Stream::Events, 0), (Stream::Terminal, 1)]);
        let row = format!(
            "token = '{}' AND expires_at IS NULL AND ended_at IS NULL AND end_kind IS NULL AND end_reason IS NULL",
            of.token
        );
        assert_eq!(world.count("recordings", &row).await, 1, "it goes on as if it had not ended");
    }
    assert_eq!(world.list(&account(), None, now + 1, false, page()).await.total_count, 2);

    // The successor goes on where the earlier one stopped; asked again, it is told the same.
    world.acknowledge(&second, &open.token, 1, now + 2).await.unwrap();
    let again = take(&world, &second, &open, now + 3).await.unwrap();
    let TakeOver::Goes(again) = again else { panic!("{again:?}") };
    let before = again.succession.unwrap();
    assert_eq!((before.at, before.arrived[1].segments), (at(now + 1), 1));
    world.seal(&second, &open.token, 2, now + 4, now + 4).await.unwrap();
    deliver(&world, &second, &open, now + 5).await.unwrap();
    let sealed = world.find(&open).await.unwrap();
    assert!(matches!(sealed.state, RecordingState::Delivered { .. }), "{sealed:?}");
    assert_eq!((sealed.arrived.segments, sealed.holder()), (2, &second.id));
}

async fn nothing_that_the_earlier_agent_still_sends_changes_what_was_taken_over(world: World) {
    let first = world.enrol(&account(), "web1").await;
    let open = world.open(&first, 10, 7).await;
    world.acknowledge(&first, &open.token, 0, 11).await.unwrap();
    // From here on, each of its calls was authenticated before it was replaced.
    let second = replace(&world, "web1").await;
    let taken = begun(take(&world, &second, &open, 20).await);

    is_retired(world.acknowledge(&first, &open.token, 1, 21).await);
    is_retired(world.seal(&first, &open.token, 1, 21, 21).await);
    is_retired(deliver(&world, &first, &open, 21).await);
    let granted = as_agent::<GrantUpload>(&first);
    let audit = || event(&account(), "GrantUpload");
    let permitted = UploadPermitted { object: object(&open, &first, 1), at: at(21) };
    is_retired(world.store.apply(&granted, permitted, audit()).await);
    let granted = as_agent::<AcknowledgeSegment>(&first);
    let both = SegmentAcknowledgedAndNextPermitted {
        acknowledged: segment(&open.token, 1, at(21)),
        next: object(&open, &first, 2),
    };
    is_retired(world.store.apply(&granted, both, audit()).await);
    is_retired(world.store.expect_claim(&granted, object(&open, &first, 1), at(21)).await);
    is_retired(take(&world, &first, &open, 21).await);
    let granted = as_agent::<OpenRecording>(&first);
    is_retired(world.store.apply(&granted, opened(recording(&first, at(21), 7)), audit()).await);

    assert_eq!(world.find(&open).await, Some(taken), "nothing of that has changed anything");
    assert_eq!(world.count("recording_segments", "1 = 1").await, 1);
    assert_eq!(world.count("unclaimed_objects", "1 = 1").await, 0);

    // The same of a successor that has been succeeded itself.
    world.acknowledge(&second, &open.token, 1, 22).await.unwrap();
    let third = replace(&world, "web1").await;
    let taken = begun(take(&world, &third, &open, 23).await);
    assert_eq!((&taken.agent, taken.holder()), (&first.id, &third.id));
    assert_eq!(taken.succession.unwrap().arrived[1].segments, 2);
    is_retired(world.acknowledge(&second, &open.token, 2, 24).await);
    is_retired(world.seal(&second, &open.token, 2, 24, 24).await);
    world.seal(&third, &open.token, 2, 25, 25).await.unwrap();
    is_retired(deliver(&world, &second, &open, 26).await);
}

async fn only_the_agent_of_the_instance_takes_over_and_only_the_same_recording(world: World) {
    let first = world.enrol(&account(), "web1").await;
    let open = world.open(&first, 10, 7).await;
    let other = world.enrol(&account(), "web2").await;
    let second = replace(&world, "web1").await;
    let sideways = take(&world, &other, &open, 20).await;
    assert!(matches!(sideways, Err(StoreError::NotFound { .. })), "{sideways:?}");
    let another = Recording { start_sha256: ContentHash::of(b"another"), ..open.clone() };
    let refused = take(&world, &second, &another, 20).await;
    assert!(
        matches!(refused, Err(StoreError::SuccessionRefused(SuccessionRefused::OtherStart))),
        "{refused:?}"
    );
    let unknown = take(&world, &second, &recording(&first, at(20), 7), 20).await;
    assert!(matches!(unknown, Err(StoreError::NotFound { .. })), "{unknown:?}");
    assert_eq!(world.find(&open).await, Some(open));
    assert_eq!(world.count("audit_events", "action = 'TakeOverRecording'").await, 0);
}

async fn a_sealed_recording_is_delivered_and_keeps_its_holder(world: World) {
    let first = world.enrol(&account(), "web1").await;
    let sealed = world.open(&first, 10, 7).await;
    world.seal(&first, &sealed.token, 0, 20, 20).await.unwrap();
    let second = replace(&world, "web1").await;
    for _ in 0..2 {
        let taken = take(&world, &second, &sealed, 30).await.unwrap();
        let TakeOver::Sealed(taken) = taken else { panic!("{taken:?}") };
        assert!(matches!(taken.state, RecordingState::Delivered { .. }), "{taken:?}");
        assert_eq!(taken.holder(), &first.id);
        assert_eq!(world.find(&sealed).await, Some(*taken));
    }
    is_retired(world.seal(&second, &sealed.token, 0, 40, 40).await);
}

async fn a_removal_ends_what_the_agent_holds_and_nothing_that_it_has_lost(world: World) {
    let first = world.enrol(&account(), "web1").await;
    let lost = world.open(&first, 10, 7).await;
    let left = world.open(&first, 11, 7).await;
    let second = replace(&world, "web1").await;
    begun(take(&world, &second, &lost, 20).await);
    let own = world.open(&second, 21, 7).await;
    assert_eq!(remove(&world, "web1", 30).await, 2, "the one that it has taken over, and its own");
    let state = async |of: &Recording| world.find(of).await.unwrap().state;
    let reason = |state| match state {
        RecordingState::Closed { reason, .. } => reason,
        other => panic!("{other:?}"),
    };
    let told = reason(state(&lost).await);
    assert_eq!(
        told,
        format!(
            "the agent {} had taken the recording over, and was removed before it had delivered it",
            second.id
        )
    );
    let told = reason(state(&own).await);
    assert_eq!(told, format!("the agent {} was removed while it was recording", second.id));
    assert_eq!(state(&left).await, RecordingState::Open);
    // All three go on with the next one.
    let third = world.enrol(&account(), "web1").await;
    for of in [&lost, &own, &left] {
        assert_eq!(begun(take(&world, &third, of, 40).await).holder(), &third.id);
    }
}

async fn silence_is_that_of_the_holder(world: World) {
    let first = world.enrol(&account(), "web1").await;
    let open = world.open(&first, 10, 7).await;
    let second = replace(&world, "web1").await;
    begun(take(&world, &second, &open, 20).await);
    let sweep = async |now| world.sweep(&account(), now, Duration::from_secs(60)).await.abandoned;
    let seen = as_agent::<GrantUpload>(&second);
    world.store.mark_agent_seen(&seen, &second.id, at(100_000)).await.unwrap();
    assert_eq!(sweep(150_000).await, 0, "its holder was heard");
    assert_eq!(sweep(170_000).await, 1);
    // It returns when it is asked for again.
    let returned = begun(take(&world, &second, &open, 180_000).await);
    assert_eq!(returned.succession.unwrap().at, at(20));
}

async fn open_recordings_are_counted_for_their_holder(world: World) {
    let first = world.enrol(&account(), "web1").await;
    let one = world.open(&first, 10, 7).await;
    let another = world.open(&first, 11, 7).await;
    let second = replace(&world, "web1").await;
    begun(take(&world, &second, &one, 20).await);
    // The successor has as many as it may have, of its own.
    let own = world.open(&second, 21, 7).await;
    let columns = "account_id, instance_id, agent_id, kind, target, folder, start_sha256, started_at, listed_at, \
                   opened_at, last_heard_at, expiration_days, state, segments, stored_bytes, last_at_micros, counted";
    let raw = world.database.raw().await;
    for number in 0..1_022 {
        let copy = format!(
            "INSERT INTO recordings (token, {columns}) SELECT '{number:032}', {columns} FROM recordings WHERE token = '{}'",
            own.token
        );
        sea_orm::ConnectionTrait::execute_unprepared(&raw, &copy).await.unwrap();
    }
    let refused = take(&world, &second, &another, 30).await;
    assert!(matches!(refused, Err(StoreError::AgentLimit(AgentLimitReached::OpenRecordings))), "{refused:?}");
    assert_eq!(world.find(&another).await, Some(another.clone()), "nothing was changed");
    // One that it holds already counts once.
    assert!(matches!(take(&world, &second, &one, 31).await, Ok(TakeOver::Goes(_))));
    world.seal(&second, &one.token, 0, 32, 32).await.unwrap();
    begun(take(&world, &second, &another, 33).await);
}

async fn a_claim_and_a_take_over_at_the_same_moment_do_not_mix(world: World) {
    for _ in 0..6 {
        let first = world.enrol(&account(), "web1").await;
        let open = world.open(&first, 10, 7).await;
        // It was authenticated, and is replaced and succeeded while it writes.
        let second = replace(&world, "web1").await;
        let (claimed, taken) =
            tokio::join!(world.acknowledge(&first, &open.token, 0, 20), take(&world, &second, &open, 20));
        let before = begun(taken).succession.unwrap().arrived[1].segments;
        let found = world.find(&open).await.unwrap();
        match claimed {
            Ok(()) => {
                assert_eq!((before, found.arrived.segments), (1, 1), "what had arrived is in the leave")
            }
            Err(StoreError::AgentRetired) => assert_eq!((before, found.arrived.segments), (0, 0)),
            Err(other) => panic!("{other:?}"),
        }
        assert_eq!((found.holder(), &found.state), (&second.id, &RecordingState::Open));
        remove(&world, "web1", 30).await;
    }
}

async fn two_that_take_over_at_once_agree(world: World) {
    let first = world.enrol(&account(), "web1").await;
    let open = world.open(&first, 10, 7).await;
    let second = replace(&world, "web1").await;
    let third = world.agent(&account(), "web1");
    let token = world.join_token(&account(), "*", true).await;
    // The second takes over, twice and through two replicas, while the third takes its place.
    let replica = world.replica().await;
    let (one, other, enrolled) = tokio::join!(
        take(&world, &second, &open, 20),
        take_at(&replica, &second, &open, 20),
        world.try_enrol(&third, &token, true),
    );
    enrolled.unwrap();
    for taken in [one, other] {
        match taken {
            Ok(TakeOver::Begins(of) | TakeOver::Goes(of)) => assert_eq!(of.holder(), &second.id),
            Err(StoreError::AgentRetired) => {}
            unexpected => panic!("{unexpected:?}"),
        }
    }
    assert_eq!(begun(take_at(&replica, &third, &open, 30).await).holder(), &third.id);
    is_retired(take(&world, &second, &open, 31).await);
    assert_eq!(world.find(&open).await.unwrap().holder(), &third.id);
}

async fn the_trail_attributes_a_recording_to_the_agent_that_made_it(world: World) {
    let first = world.enrol(&account(), "web1").await;
    let open = world.open(&first, 10, 7).await;
    let second = replace(&world, "web1").await;
    let said = |action: &str, how: &str| AuditEvent {
        principal: format!("acs:ecs-workbench::{}:agent/{}", account(), second.id),
        recording: Some(open.token.to_string()),
        how: how.to_owned(),
        ..event(&account(), action)
    };
    let made_by = |id: &AgentId| format!("made by {id}");
    let taking = Taking {
        token: open.token.clone(),
        start_sha256: open.start_sha256,
        successor: second.id.clone(),
        at: at(20),
    };
    let audit = said("TakeOverRecording", &format!("number 7, {}", made_by(&first.id)));
    world.store.take_over(&as_agent::<TakeOverRecording>(&second), taking, audit).await.unwrap();
    let manifest = ContentHash::of(b"manifest");
    let audit = said("SealRecording", &format!("seal, manifest {manifest}, {}", made_by(&first.id)));
    let sealed = test_facts::sealed(&open.token, 0, at(30));
    world.store.apply(&as_agent::<SealRecording>(&second), sealed, audit).await.unwrap();
    // A call that was repeated says nothing of the agent that made it.
    let repeated = UploadPermitted { object: object(&open, &second, 0), at: at(31) };
    let granted = as_agent::<GrantUpload>(&second);
    world.store.apply(&granted, repeated, said("SealRecording", "")).await.unwrap();

    let granted = owner::<VerifyAgentRecordings>(&account(), resource_of(None));
    let rows = world.store.continuity_rows(&granted).await.unwrap();
    assert!(rows.agents[&second.id].audited.is_empty(), "{:?}", rows.agents[&second.id]);
    let audited = &rows.agents[&first.id].audited;
    assert_eq!(audited.len(), 1, "{audited:?}");
    assert_eq!((audited[0].number, audited[0].sealed, audited[0].manifest), (Some(7), true, Some(manifest)));
    assert_eq!(rows.agents[&first.id].recordings.len(), 1);
}
