//! The order of lists: by the earlier of the claimed start and the arrival, whatever an agent claims.

use domain::Timestamp;
use domain::actions::OpenRecording;
use domain::recording_life::Recording;
use persistence::{PageRequest, Store};

use test_facts::{Backend, World, account, as_agent, at, event, on_both, recording};

on_both!(a_claim_of_the_far_future_stays_on_top_of_nothing, rows_of_an_earlier_version_get_their_place,);

const YEAR_0001: &str = "0001-01-01T00:00:00.000Z";
const YEAR_9999: &str = "9999-12-31T23:59:59.999Z";

async fn open(world: &World, claimed: Timestamp, arrived: i64) -> Recording {
    let agent = world.enrol(&account(), &format!("web{arrived}")).await;
    let recording = Recording { started_at: claimed, opened_at: at(arrived), ..recording(&agent, at(0), 7) };
    let change = test_facts::opened(recording.clone());
    let granted = as_agent::<OpenRecording>(&agent);
    world.store.apply(&granted, change, event(&account(), "OpenRecording")).await.unwrap();
    recording
}

fn claimed(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339_millis(text).unwrap()
}

async fn a_claim_of_the_far_future_stays_on_top_of_nothing(world: World) {
    let old = open(&world, claimed(YEAR_0001), 10).await;
    // More of them than one page reads.
    let earlier = open(&world, claimed(YEAR_9999), 15).await;
    let future = open(&world, claimed(YEAR_9999), 20).await;
    let later = open(&world, at(30), 30).await;
    let late = open(&world, at(5), 40).await;
    let expected = [&later, &future, &earlier, &late, &old].map(|recording| recording.token.clone());
    let owner = account();
    let page = |page| world.list(&owner, None, 50, false, page);
    let whole = page(PageRequest::Number { number: 1, size: 10 }).await.recordings;
    assert_eq!(whole.iter().map(|listed| listed.token.clone()).collect::<Vec<_>>(), expected);
    // The claim itself is kept.
    assert_eq!((whole[1].started_at, whole[1].listed_at()), (claimed(YEAR_9999), at(20)));
    assert_eq!((whole[4].started_at, whole[4].listed_at()), (claimed(YEAR_0001), claimed(YEAR_0001)));
    // Paging by token follows the same order and shows each recording once.
    let (mut paged, mut token) = (Vec::new(), None);
    loop {
        let read = page(PageRequest::After { token, size: 1 }).await;
        paged.extend(read.recordings.into_iter().map(|listed| listed.token));
        token = read.next_token;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(paged, expected);
}

async fn rows_of_an_earlier_version_get_their_place(world: World) {
    match world.database.backend {
        Backend::Sqlite | Backend::Postgres => {}
        // MariaDB's tables have had this column from the beginning.
        Backend::MariaDb => return,
    }
    let future = open(&world, claimed(YEAR_9999), 20).await;
    let late = open(&world, at(5), 40).await;
    // Restores the earlier schema.
    for statement in [
        "DROP INDEX recordings_newest",
        "DROP INDEX recordings_newest_of_instance",
        "DROP INDEX recordings_of_owner",
        "DROP INDEX recordings_of_agent",
        "DROP INDEX recordings_of_status",
        "DROP INDEX recordings_of_proven_user",
        "DROP INDEX recordings_of_claimed_user",
        "ALTER TABLE recordings DROP COLUMN listed_at",
        "CREATE INDEX recordings_newest ON recordings (account_id, started_at)",
        "CREATE INDEX recordings_newest_of_instance ON recordings (account_id, instance_id, started_at)",
        "CREATE INDEX recordings_of_owner ON recordings (account_id, session_owner_id, started_at)",
        "DELETE FROM seaql_migrations WHERE version = 'm20261129_123000_recordings_listed_at'",
    ] {
        world.database.execute(statement).await;
    }
    let store = Store::connect(world.database.parsed(), world.keys.clone()).await.unwrap();
    for recording in [future, late] {
        let listed_at = recording.listed_at().as_millis();
        let row = format!("token = '{}' AND listed_at = {listed_at}", recording.token);
        assert_eq!(world.count("recordings", &row).await, 1);
    }
    drop(store);
}
