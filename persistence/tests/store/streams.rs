//! The streams of a recording, and databases from the time when a recording had only one.

use std::sync::Arc;

use domain::actions::AcknowledgeSegment;
use domain::gate::{Granted, PrincipalPolicies, authorize};
use domain::principal::Principal;
use domain::recording_life::{ArrivedStream, RecordingState, SegmentAcknowledged, WireStatus};
use domain::server_keys::ServerKeys;
use domain::unclaimed::UnclaimedObject;
use persistence::{Store, StoreError};
use recording::{EvidenceName, Micros, Stream};

use test_facts::{
    Backend, TestDatabase, World, account, arrived, as_agent, as_system, at, event, facts, on_both,
    resource_of, segment, view,
};

on_both!(
    each_stream_has_its_numbers_and_its_chain,
    a_stream_that_a_recording_does_not_have_takes_nothing,
    what_is_claimed_of_one_stream_is_not_claimed_of_another,
);

fn of(stream: Stream, claimed: SegmentAcknowledged) -> SegmentAcknowledged {
    let arrived = ArrivedStream { stream, ..claimed.arrived };
    SegmentAcknowledged { arrived, ..claimed }
}

async fn each_stream_has_its_numbers_and_its_chain(world: World) {
    let agent = world.enrol(&account(), "web1").await;
    let opened = world.open(&agent, 10, 7).await;
    let token = &opened.token;
    world.acknowledge(&agent, token, 0, 20).await.unwrap();
    world.acknowledge(&agent, token, 1, 21).await.unwrap();
    // Events arrived meanwhile, at a later time than the terminal.
    world.claim(&agent, of(Stream::Events, segment(token, 0, at(22)))).await.unwrap();
    let twice = world.claim(&agent, of(Stream::Events, segment(token, 0, at(23)))).await.unwrap_err();
    assert!(matches!(twice, StoreError::Conflict { what: "segment", .. }), "{twice:?}");

    let view = view(&opened);
    let streams = world.store.streams_of_recording(&view, token).await.unwrap();
    assert_eq!(streams, [arrived(Stream::Events, 1), arrived(Stream::Terminal, 2)]);
    let found = world.store.find_stream(&view, token, Stream::Terminal).await.unwrap();
    assert_eq!(found, Some(arrived(Stream::Terminal, 2)));
    let segments = world.store.segments_of_recording(&view, token).await.unwrap();
    let places: Vec<_> = segments.iter().map(|row| (row.stream, row.number)).collect();
    assert_eq!(places, [(Stream::Events, 0), (Stream::Terminal, 0), (Stream::Terminal, 1)]);
    let one = world.store.find_segment(&view, token, Stream::Events, 0).await.unwrap().unwrap();
    assert_eq!((one.stream, one.claimed_at), (Stream::Events, at(22)));
    assert_eq!(world.store.find_segment(&view, token, Stream::Events, 1).await.unwrap(), None);

    let together = world.find(&opened).await.unwrap().arrived;
    assert_eq!((together.segments, together.stored_bytes), (3, 300));
    assert_eq!(together.last_at, Micros::new(2_000_000), "that of the stream which is furthest");
    // A seal counts the segments of all streams.
    assert!(world.seal(&agent, token, 2, 5_000, 6_000).await.is_err());
    world.seal(&agent, token, 3, 5_000, 6_000).await.unwrap();
}

async fn a_stream_that_a_recording_does_not_have_takes_nothing(world: World) {
    let agent = world.enrol(&account(), "web1").await;
    let opened = world.open(&agent, 10, 7).await;
    let audio = Stream::parse("audio").unwrap();
    let refused = world.claim(&agent, of(audio, segment(&opened.token, 0, at(20)))).await.unwrap_err();
    assert!(matches!(refused, StoreError::NotFound { what: "stream" }), "{refused:?}");
    assert_eq!(world.count("recording_segments", "1 = 1").await, 0);
    assert_eq!(world.find(&opened).await.unwrap(), opened);
    assert_eq!(world.store.find_stream(&view(&opened), &opened.token, audio).await.unwrap(), None);
}

/// An unclaimed object of one stream has the number of a segment that was claimed for the other stream.
async fn what_is_claimed_of_one_stream_is_not_claimed_of_another(world: World) {
    let folder = tempfile::tempdir().unwrap();
    let stores: Arc<dyn persistence::objects::ObjectStores> =
        Arc::new(persistence::objects::FolderStores::open(folder.path()).unwrap());
    let agent = world.enrol(&account(), "web1").await;
    let opened = world.open(&agent, 10, 7).await;
    world.acknowledge(&agent, &opened.token, 0, 20).await.unwrap();
    let evidence = EvidenceName::Segment { stream: Stream::Events, number: 0 };
    let left_over = UnclaimedObject {
        location: opened.target.location().clone(),
        name: opened.folder.join(&evidence.to_object_name()).unwrap(),
        agent: agent.id.clone(),
        recording: opened.token.clone(),
        evidence,
        length: 4,
    };
    let objects = stores.at(&left_over.location);
    objects.put_once(&left_over.name, "left".into()).await.unwrap();
    let permitted = persistence::UploadPermitted { object: left_over.clone(), at: at(20) };
    let granted = as_agent::<domain::actions::GrantUpload>(&agent);
    world.store.apply(&granted, permitted, event(&account(), "GrantUpload")).await.unwrap();
    let later = at(2 * 24 * 3_600 * 1_000);
    let removed = world.store.remove_unclaimed(&as_system(&account()), &stores, later).await.unwrap();
    assert_eq!(removed, 1);
    assert!(objects.head(&left_over.name).await.unwrap().is_none());
}

/// A database from before recordings had several streams: two recordings are delivered, one is open.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_the_version_before_goes_on() {
    let database = TestDatabase::new(Backend::Sqlite).await;
    let file = database.url.strip_prefix("sqlite:").unwrap();
    std::fs::write(file, "").unwrap();
    database.execute(include_str!("../fixtures/before-streams.sql")).await;
    let keys = Arc::new(ServerKeys::generate().unwrap());
    let store = Store::connect(database.parsed(), keys).await.unwrap();

    let instance: domain::InstanceId = "i-fixture".parse().unwrap();
    let resource = resource_of(Some(&instance));
    let principal = Principal::Agent {
        account: "1234567890123456".parse().unwrap(),
        agent: "agent-07367431fdf4b67dc601e746fb6e4e69".parse().unwrap(),
        instance,
    };
    let granted: Granted<AcknowledgeSegment> =
        authorize(&principal, resource, &PrincipalPolicies::none(), &facts()).unwrap();
    for (token, status, segments) in [
        ("b08883af9509a50a48176047b8a88ba1", WireStatus::Finished, 2),
        ("10a2ecfad863b2fa28b83695471eeef5", WireStatus::Finished, 1),
        ("786b97a3e71312ff2016e0c9bb91e481", WireStatus::Running, 1),
    ] {
        let token = token.parse().unwrap();
        let recording = store.find_recording(&granted, &token).await.unwrap().unwrap();
        assert_eq!((recording.status(), recording.arrived.segments), (status, segments));
        let rows = store.segments_of_recording(&granted, &token).await.unwrap();
        assert!(
            rows.iter().map(|row| (row.stream, row.number)).eq((0..segments).map(|n| (Stream::Terminal, n)))
        );
        let last = rows.last().unwrap();
        let terminal = ArrivedStream {
            stream: Stream::Terminal,
            segments,
            stored_bytes: recording.arrived.stored_bytes,
            chain: last.chain_after,
            last_at: last.last_at,
        };
        assert_eq!(
            store.streams_of_recording(&granted, &token).await.unwrap(),
            std::slice::from_ref(&terminal)
        );
        if recording.state != RecordingState::Open {
            continue;
        }
        let next = segment(&token, 1, at(5_000_000_000_000));
        let next = SegmentAcknowledged { arrived: ArrivedStream { segments: 2, ..terminal }, ..next };
        store.apply(&granted, next, event(&recording.account, "AcknowledgeSegment")).await.unwrap();
        let recording = store.find_recording(&granted, &token).await.unwrap().unwrap();
        assert_eq!(recording.arrived.segments, 2);
    }
}
