//! The life of a recording, and who has access to it.

use std::time::Duration;

use domain::AccountId;
use domain::actions::{AcknowledgeSegment, OpenRecording, SealRecording, ViewInstanceRecords};
use domain::condition_keys::RecordingFacts;
use domain::gate::{InstanceFacts, Resource};
use domain::recording_life::{RecordingDelivered, RecordingState, SessionEnd};
use persistence::StoreError;

use test_facts::{
    DAY, World, account, as_agent, at, event, instance, on_both, other_account, owner, recording, region,
    resource_of, segment, view,
};

on_both!(
    a_recording_lives_from_open_to_delivered,
    a_segment_is_claimed_once_and_in_order,
    nothing_is_added_to_what_is_sealed,
    a_seal_that_missed_a_segment_is_decided_anew,
    an_abandoned_recording_goes_on,
    another_account_or_instance_finds_nothing,
    a_recording_is_opened_inside_the_grant_and_once,
);

const NEVER: Duration = Duration::from_secs(1_000_000);

async fn a_recording_lives_from_open_to_delivered(world: World) {
    let agent = world.enrol(&account(), "web1").await;
    let opened = world.open(&agent, 10, 7).await;
    assert_eq!(world.find(&opened).await.unwrap(), opened);
    for number in 0..3 {
        world.acknowledge(&agent, &opened.token, number, 20 + i64::from(number)).await.unwrap();
    }
    let found = world.find(&opened).await.unwrap();
    assert_eq!((found.arrived.segments, found.arrived.stored_bytes, found.last_heard_at), (3, 300, at(22)));
    let view = view(&opened);
    let segments = world.store.segments_of_recording(&view, &opened.token).await.unwrap();
    assert_eq!(segments.iter().map(|segment| segment.number).collect::<Vec<_>>(), [0, 1, 2]);
    let claimed = segment(&opened.token, 2, at(22));
    let last = segments.last().unwrap();
    assert_eq!((last.length, last.sha256, last.chain_after), (100, claimed.sha256, claimed.arrived.chain));
    assert_eq!(
        (last.first_at, last.last_at, last.claimed_at),
        (claimed.first_at, claimed.arrived.last_at, at(22))
    );
    assert_eq!(world.store.find_manifest_sha256(&view, &opened.token).await.unwrap(), None);
    world.seal(&agent, &opened.token, 3, 5_000, 6_000).await.unwrap();
    let found = world.find(&opened).await.unwrap();
    assert_eq!(found.state, RecordingState::Sealed { ended_at: at(5_000), end: SessionEnd::Exited });
    let sealed_by = world.store.find_manifest_sha256(&view, &opened.token).await.unwrap();
    assert_eq!(sealed_by, Some(recording::ContentHash::of(b"manifest")));
    let granted = as_agent::<SealRecording>(&agent);
    for _ in 0..2 {
        let delivered = RecordingDelivered { token: opened.token.clone(), at: at(7_000) };
        world.store.apply(&granted, delivered, event(&account(), "SealRecording")).await.unwrap();
    }
    let found = world.find(&opened).await.unwrap();
    assert_eq!(found.state, RecordingState::Delivered { ended_at: at(5_000), end: SessionEnd::Exited });
    assert_eq!(found.expires_at(at(0)), at(5_000 + 7 * DAY));
}

async fn a_segment_is_claimed_once_and_in_order(world: World) {
    let agent = world.enrol(&account(), "web1").await;
    let opened = world.open(&agent, 10, 7).await;
    let ahead = world.acknowledge(&agent, &opened.token, 1, 20).await;
    assert!(matches!(ahead, Err(StoreError::Conflict { what: "segment", .. })), "{ahead:?}");
    let mut claims = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let (store, granted) = (world.store.clone(), as_agent::<AcknowledgeSegment>(&agent));
        let change = segment(&opened.token, 0, at(20));
        claims.spawn(
            async move { store.apply(&granted, change, event(&account(), "AcknowledgeSegment")).await },
        );
    }
    let results = claims.join_all().await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    assert!(
        results.iter().all(|result| matches!(result, Ok(()) | Err(StoreError::Conflict { .. }))),
        "{results:?}"
    );
    assert_eq!(world.count("recording_segments", "1 = 1").await, 1);
    assert_eq!(world.count("audit_events", "action = 'AcknowledgeSegment'").await, 1);
}

async fn nothing_is_added_to_what_is_sealed(world: World) {
    let agent = world.enrol(&account(), "web1").await;
    let opened = world.open(&agent, 10, 7).await;
    let granted = as_agent::<SealRecording>(&agent);
    let early = RecordingDelivered { token: opened.token.clone(), at: at(7_000) };
    let early = world.store.apply(&granted, early, event(&account(), "SealRecording")).await;
    assert!(matches!(early, Err(StoreError::Conflict { .. })), "{early:?}");
    world.seal(&agent, &opened.token, 0, 5_000, 6_000).await.unwrap();
    let added = world.acknowledge(&agent, &opened.token, 0, 6_100).await;
    assert!(matches!(added, Err(StoreError::Conflict { .. })), "{added:?}");
    let again = world.seal(&agent, &opened.token, 0, 5_500, 6_200).await;
    assert!(matches!(again, Err(StoreError::Conflict { .. })), "{again:?}");
}

async fn a_seal_that_missed_a_segment_is_decided_anew(world: World) {
    let agent = world.enrol(&account(), "web1").await;
    let opened = world.open(&agent, 10, 7).await;
    world.acknowledge(&agent, &opened.token, 0, 20).await.unwrap();
    let missed = world.seal(&agent, &opened.token, 0, 5_000, 6_000).await;
    assert!(matches!(missed, Err(StoreError::Conflict { .. })), "{missed:?}");
    assert_eq!(world.find(&opened).await.unwrap().state, RecordingState::Open);
}

async fn an_abandoned_recording_goes_on(world: World) {
    let agent = world.enrol(&account(), "web1").await;
    let opened = world.open(&agent, 10, 1).await;
    let silent = Duration::from_secs(60);
    assert_eq!(world.sweep(&account(), 30_000, silent).await.abandoned, 0);
    assert_eq!(world.sweep(&account(), 100_000, silent).await.abandoned, 1);
    let found = world.find(&opened).await.unwrap();
    assert_eq!(found.state, RecordingState::Abandoned { last_heard_at: at(10) });
    // The database's own arithmetic agrees with the domain's.
    let expires_at = found.expires_at(at(0)).as_millis();
    assert_eq!(world.count("recordings", &format!("expires_at = {expires_at}")).await, 1);
    // It expires, is removed from the counter, and is counted again after a late segment.
    assert_eq!(world.sweep(&account(), 10 + DAY, silent).await.expired, 1);
    world.acknowledge(&agent, &opened.token, 0, 2 * DAY).await.unwrap();
    let found = world.find(&opened).await.unwrap();
    assert_eq!((found.state, found.last_heard_at), (RecordingState::Open, at(2 * DAY)));
    let page = persistence::PageRequest::Number { number: 1, size: 10 };
    let listed = world.list(&account(), None, 2 * DAY, false, page).await;
    assert_eq!((listed.total_count, listed.recordings.len()), (1, 1));
    assert_eq!(world.sweep(&account(), 3 * DAY, NEVER).await.expired, 0);
}

async fn another_account_or_instance_finds_nothing(world: World) {
    let agent = world.enrol(&account(), "web1").await;
    let opened = world.open(&agent, 10, 7).await;
    world.acknowledge(&agent, &opened.token, 0, 20).await.unwrap();
    let neighbour = world.enrol(&account(), "web2").await;
    let stranger = world.enrol(&other_account(), "web1").await;
    let view_of = |account: &AccountId, name: &str, found: Option<RecordingFacts>| {
        let of = InstanceFacts::untagged(region(), instance(name));
        owner::<ViewInstanceRecords>(account, Resource::Recording { of, found })
    };
    let another = world.open(&agent, 10, 7).await;
    for granted in [
        view_of(&account(), "web2", Some(opened.facts())),
        view_of(&other_account(), "web1", Some(opened.facts())),
        // The gate has seen no recording, or another one.
        view_of(&account(), "web1", None),
        view_of(&account(), "web1", Some(another.facts())),
    ] {
        assert_eq!(world.store.find_recording(&granted, &opened.token).await.unwrap(), None);
        assert_eq!(world.store.segments_of_recording(&granted, &opened.token).await.unwrap(), []);
    }
    for outsider in [&neighbour, &stranger] {
        let added = world.acknowledge(outsider, &opened.token, 1, 30).await;
        assert!(matches!(added, Err(StoreError::NotFound { what: "recording" })), "{added:?}");
        let sealed = world.seal(outsider, &opened.token, 1, 40, 50).await;
        assert!(matches!(sealed, Err(StoreError::NotFound { what: "recording" })), "{sealed:?}");
    }
    for wide in [resource_of(None), resource_of(Some(&instance("web1")))] {
        let granted = owner::<ViewInstanceRecords>(&account(), wide);
        let found = world.store.find_recording(&granted, &opened.token).await;
        assert!(matches!(found, Err(StoreError::OutsideGrant { what: "recording" })), "{found:?}");
    }
    assert!(world.find(&opened).await.is_some());
}

async fn a_recording_is_opened_inside_the_grant_and_once(world: World) {
    let agent = world.enrol(&account(), "web1").await;
    let granted = as_agent::<OpenRecording>(&agent);
    let mut elsewhere = recording(&agent, at(10), 7);
    elsewhere.instance = instance("web2");
    let mut foreign = recording(&agent, at(10), 7);
    foreign.account = other_account();
    for recording in [elsewhere, foreign] {
        let refused =
            world.store.apply(&granted, test_facts::opened(recording), event(&account(), "Open")).await;
        assert!(matches!(refused, Err(StoreError::OutsideGrant { what: "recording" })), "{refused:?}");
    }
    let opened = world.open(&agent, 10, 7).await;
    let change = test_facts::opened(opened);
    let twice = world.store.apply(&granted, change, event(&account(), "Open")).await;
    assert!(matches!(twice, Err(StoreError::Conflict { what: "recording", .. })), "{twice:?}");
    assert_eq!(world.count("recordings", "1 = 1").await, 1);
    let page = persistence::PageRequest::Number { number: 1, size: 10 };
    assert_eq!(world.list(&account(), None, 20, false, page).await.total_count, 1);
}
