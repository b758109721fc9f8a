//! The removal of an instance's agent: what it ends, and what stays.

use std::time::Duration;

use domain::AgentId;
use domain::actions::{DeleteAgent, GrantUpload, ListAgents, OpenRecording, ReadAgentConfiguration};
use domain::agent::{Agent, Retired};
use domain::agent_link::ReplicaId;
use domain::gate::Granted;
use domain::recording_filter::RecordingFilter;
use domain::recording_life::{Recording, RecordingState, SessionEnd, WireStatus};
use domain::unclaimed::UnclaimedObject;
use persistence::{
    LinkTaken, OfAgent, Once, PageRequest, RecordingQuery, RemovedAgent, StoreError, UploadPermitted,
};
use recording::{EvidenceName, Stream};

use test_facts::{
    DAY, World, account, as_agent, at, event, instance, list_of, on_both, opened, other_account, owner,
    recording, resource_of,
};

on_both!(
    an_agent_is_removed_once_and_its_key_stays,
    recordings_that_are_not_sealed_end_with_their_agent,
    nothing_is_written_for_a_removed_agent,
    a_removal_stays_inside_its_grant_and_means_the_named_agent,
    another_agent_joins_after_a_removal,
    a_segment_that_is_claimed_meanwhile_is_there_before_the_end_or_refused,
);

fn removing(name: &str) -> Granted<DeleteAgent> {
    owner(&account(), resource_of(Some(&instance(name))))
}

async fn remove(world: &World, named: Option<&AgentId>, now: i64) -> Result<RemovedAgent, StoreError> {
    let granted = removing("web1");
    world.store.remove_agent(&granted, named, at(now), event(&account(), "DeleteAgent")).await
}

async fn ever(world: &World) -> Vec<Agent> {
    let granted = owner::<ListAgents>(&account(), list_of(None));
    let page = PageRequest::Number { number: 1, size: 10 };
    world.store.list_agents_ever(&granted, page).await.unwrap().agents
}

async fn present(world: &World) -> Vec<Agent> {
    let granted = owner::<ListAgents>(&account(), list_of(None));
    let page = PageRequest::Number { number: 1, size: 10 };
    world.store.list_agents(&granted, page).await.unwrap().agents
}

async fn an_agent_is_removed_once_and_its_key_stays(world: World) {
    let agent = world.enrol(&account(), "web1").await;
    let removed = remove(&world, None, 50).await.unwrap();
    let expected = Agent { retired: Some(Retired::Removed { at: at(50) }), ..agent.clone() };
    assert_eq!((removed.agent, removed.recordings_ended, removed.link), (expected.clone(), 0, None));
    assert_eq!(world.store.find_agent(&agent.id).await.unwrap(), Some(expected.clone()));
    assert_eq!((present(&world).await, ever(&world).await), (vec![], vec![expected.clone()]));
    let key = expected.trusted_key().unwrap();
    assert_eq!(key.enrolment.unwrap().until, Some(at(50)));

    let events = world.count("audit_events", "action = 'DeleteAgent'").await;
    let again = remove(&world, None, 60).await;
    assert!(matches!(again, Err(StoreError::NoSuchAgent(_))), "{again:?}");
    assert_eq!(world.count("audit_events", "action = 'DeleteAgent'").await, events, "nothing was changed");
    assert_eq!(world.store.find_agent(&agent.id).await.unwrap(), Some(expected));
}

async fn recordings_that_are_not_sealed_end_with_their_agent(world: World) {
    let agent = world.enrol(&account(), "web1").await;
    let other = world.enrol(&account(), "web2").await;
    let sealed = world.open(&agent, 10, 7).await;
    world.seal(&agent, &sealed.token, 0, 20, 30).await.unwrap();
    let silent = world.open(&agent, 11, 3).await;
    world.acknowledge(&agent, &silent.token, 0, 12).await.unwrap();
    assert_eq!(world.sweep(&account(), 100_000, Duration::from_secs(60)).await.abandoned, 1);
    let open = world.open(&agent, 90_000, 5).await;
    world.acknowledge(&agent, &open.token, 0, 90_001).await.unwrap();
    let empty = world.open(&agent, 90_002, 5).await;
    let others = world.open(&other, 90_003, 5).await;
    let abandoned = world.find(&silent).await.unwrap().expires_at(at(0));

    let removed = remove(&world, None, 200_000).await.unwrap();
    assert_eq!(removed.recordings_ended, 3);
    let state_of = async |recording: &Recording| world.find(recording).await.unwrap();
    let reason = |state| match state {
        RecordingState::Closed { reason, ended_at } => (reason, ended_at),
        other => panic!("not closed: {other:?}"),
    };
    let said = format!("the agent {} was removed while it was recording", agent.id);
    let of = state_of(&open).await;
    assert_eq!((of.status(), of.expires_at(at(0))), (WireStatus::Interrupted, at(200_000 + 5 * DAY)));
    assert_eq!(reason(of.state), (said.clone(), at(200_000)));
    let of = state_of(&empty).await;
    assert_eq!(of.status(), WireStatus::Failed);
    assert_eq!(reason(of.state), (said.clone(), at(200_000)));
    // What was silent long before does not become visible for longer.
    let of = state_of(&silent).await;
    assert_eq!((of.status(), of.expires_at(at(0))), (WireStatus::Interrupted, abandoned));
    assert_eq!(reason(of.state), (said, at(12)));
    let of = state_of(&sealed).await;
    assert_eq!(of.state, RecordingState::Sealed { ended_at: at(20), end: SessionEnd::Exited });
    assert_eq!(state_of(&others).await.state, RecordingState::Open);
    // The database's own arithmetic agrees with the domain's.
    for recording in [&open, &empty, &silent] {
        let expires_at = state_of(recording).await.expires_at(at(0)).as_millis();
        let row = format!("token = '{}' AND expires_at = {expires_at}", recording.token);
        assert_eq!(world.count("recordings", &row).await, 1);
    }
    // Lists find them by their status, and expire them in time.
    let granted = owner::<domain::actions::ListInstanceRecords>(&account(), list_of(None));
    let interrupted = RecordingQuery {
        include_expired: false,
        filter: RecordingFilter { status: Some(WireStatus::Interrupted), ..RecordingFilter::default() },
        page: PageRequest::Number { number: 1, size: 10 },
        now: at(200_001),
    };
    assert_eq!(world.store.list_recordings(&granted, interrupted).await.unwrap().total_count, 2);
    let swept = world.sweep(&account(), 200_000 + 6 * DAY, Duration::from_secs(86_400 * 30)).await;
    assert_eq!((swept.abandoned, swept.expired), (0, 3));
}

/// An object that the agent asks to upload.
fn segment_of(recording: &Recording) -> UnclaimedObject {
    let evidence = EvidenceName::Segment { stream: Stream::Terminal, number: 0 };
    UnclaimedObject {
        location: recording.target.location().clone(),
        name: recording.folder.join(&evidence.to_object_name()).unwrap(),
        agent: recording.agent.clone(),
        recording: recording.token.clone(),
        evidence,
        length: 100,
    }
}

async fn nothing_is_written_for_a_removed_agent(world: World) {
    let agent = world.enrol(&account(), "web1").await;
    let open = world.open(&agent, 10, 7).await;
    let replica = ReplicaId::generate();
    let taken = || LinkTaken { replica: replica.clone(), internal_address: None, expires_at: at(100_000) };
    let link = as_agent::<ReadAgentConfiguration>(&agent);
    world.store.take_agent_link(&link, &agent, taken()).await.unwrap();
    // A call that was permitted before the removal, and that writes only after it.
    let removed = remove(&world, None, 50).await.unwrap();
    assert_eq!(removed.link.map(|link| (link.replica, link.epoch)), Some((replica.clone(), 1)));
    let refused = |result: Result<(), StoreError>| {
        assert!(matches!(result, Err(StoreError::AgentRetired)), "{result:?}");
    };
    refused(world.acknowledge(&agent, &open.token, 0, 60).await);
    refused(world.seal(&agent, &open.token, 0, 60, 60).await);
    let another = recording(&agent, at(60), 7);
    let granted = as_agent::<OpenRecording>(&agent);
    let expected = world.store.expect_start(&granted, OfAgent::default(), segment_of(&another), at(60)).await;
    assert!(matches!(expected, Ok(Once::First(Err(StoreError::AgentRetired)))), "{expected:?}");
    let audit = event(&account(), "OpenRecording");
    refused(world.store.apply(&granted, opened(another.clone()), audit).await);
    let permitted = UploadPermitted { object: segment_of(&open), at: at(60) };
    let granted = as_agent::<GrantUpload>(&agent);
    refused(world.store.apply(&granted, permitted, event(&account(), "GrantUpload")).await);
    refused(world.store.take_agent_link(&link, &agent, taken()).await.map(drop));
    assert_eq!(world.find(&another).await, None);
    assert_eq!(world.count("recording_segments", "1 = 1").await, 0);
    let rows =
        world.count("audit_events", "action IN ('OpenRecording', 'GrantUpload', 'SealRecording')").await;
    assert_eq!(rows, 1, "only that of the first opening");
}

async fn a_removal_stays_inside_its_grant_and_means_the_named_agent(world: World) {
    let agent = world.enrol(&account(), "web1").await;
    let neighbour = world.enrol(&account(), "web2").await;
    world.enrol(&other_account(), "web1").await;
    for named in [&AgentId::generate(), &neighbour.id] {
        let refused = remove(&world, Some(named), 50).await;
        assert!(matches!(refused, Err(StoreError::NoSuchAgent(_))), "{refused:?}");
    }
    let everything = owner::<DeleteAgent>(&account(), resource_of(None));
    let refused = world.store.remove_agent(&everything, None, at(50), event(&account(), "DeleteAgent")).await;
    assert!(matches!(refused, Err(StoreError::OutsideGrant { .. })), "{refused:?}");
    // Its audit row must be the account's own.
    let foreign = event(&other_account(), "DeleteAgent");
    let refused = world.store.remove_agent(&removing("web1"), None, at(50), foreign).await;
    assert!(matches!(refused, Err(StoreError::OutsideGrant { .. })), "{refused:?}");
    assert_eq!(present(&world).await.len(), 2);
    remove(&world, Some(&agent.id), 50).await.unwrap();
    assert_eq!(present(&world).await, [neighbour]);
    assert_eq!(world.count("agents", "removed_at IS NOT NULL").await, 1);
}

async fn another_agent_joins_after_a_removal(world: World) {
    let first = world.enrol(&account(), "web1").await;
    remove(&world, None, 50).await.unwrap();
    // No permission to replace is needed, because nothing is replaced.
    let second = world.enrol(&account(), "web1").await;
    assert_eq!(present(&world).await, vec![second.clone()]);
    let late = remove(&world, Some(&first.id), 60).await;
    assert!(matches!(late, Err(StoreError::NoSuchAgent(_))), "{late:?}");
    world.open(&second, 70, 7).await;
    assert_eq!(remove(&world, Some(&second.id), 80).await.unwrap().recordings_ended, 1);
    assert_eq!(ever(&world).await.len(), 2);
}

async fn a_segment_that_is_claimed_meanwhile_is_there_before_the_end_or_refused(world: World) {
    for round in 0..4 {
        let agent = world.enrol(&account(), "web1").await;
        let open = world.open(&agent, 10, 7).await;
        let (claimed, removed) =
            tokio::join!(world.acknowledge(&agent, &open.token, 0, 20), remove(&world, None, 50 + round));
        assert_eq!(removed.unwrap().recordings_ended, 1);
        let found = world.find(&open).await.unwrap();
        assert!(matches!(found.state, RecordingState::Closed { .. }), "{found:?}");
        match claimed {
            Ok(()) => assert_eq!(found.arrived.segments, 1),
            Err(StoreError::AgentRetired) => assert_eq!(found.arrived.segments, 0),
            Err(other) => panic!("{other:?}"),
        }
    }
}
