//! Pages of recordings.

use domain::actions::ListInstanceRecords;
use domain::recording_filter::RecordingFilter;
use domain::recording_life::{Recording, WireStatus};
use persistence::{PageRequest, RecordingQuery, StoreError};

use test_facts::{DAY, World, account, at, instance, list_of, on_both, other_account, owner};

on_both!(
    pages_by_number_and_by_token_are_the_same_list,
    what_has_expired_is_hidden_unless_asked_for,
    a_next_token_serves_its_own_list_only,
);

fn number(number: u32, size: u32) -> PageRequest {
    PageRequest::Number { number, size }
}

async fn pages_by_number_and_by_token_are_the_same_list(world: World) {
    let (web1, web2) = (world.enrol(&account(), "web1").await, world.enrol(&account(), "web2").await);
    let stranger = world.enrol(&other_account(), "web1").await;
    let mut expected: Vec<Recording> = Vec::new();
    for index in 0..23 {
        // Several begin at the same moment, so that the token decides their order.
        let agent = if index % 3 == 0 { &web2 } else { &web1 };
        expected.push(world.open(agent, 1_000 + (index / 4) * 10, 7).await);
        world.open(&stranger, 1_000 + index, 7).await;
    }
    expected.sort_by(|a, b| (b.started_at, b.token.as_str()).cmp(&(a.started_at, a.token.as_str())));
    for of in [None, Some(instance("web2"))] {
        let wanted: Vec<_> =
            expected.iter().filter(|r| of.as_ref().is_none_or(|only| r.instance == *only)).cloned().collect();
        let mut by_number = Vec::new();
        for page in 1.. {
            let read = world.list(&account(), of.as_ref(), 2_000, false, number(page, 5)).await;
            assert_eq!(read.total_count, wanted.len() as u64, "page {page}");
            if read.recordings.is_empty() {
                assert_eq!(read.next_token, None);
                break;
            }
            by_number.extend(read.recordings);
        }
        assert_eq!(by_number, wanted);
        let mut by_token = Vec::new();
        let mut token = None;
        loop {
            let page = PageRequest::After { token, size: 4 };
            let read = world.list(&account(), of.as_ref(), 2_000, false, page).await;
            assert_eq!(read.total_count, wanted.len() as u64);
            by_token.extend(read.recordings);
            token = read.next_token;
            if token.is_none() {
                break;
            }
        }
        assert_eq!(by_token, wanted);
    }
    let exact = world.list(&account(), None, 2_000, false, number(1, 23)).await;
    assert_eq!((exact.recordings.len(), exact.next_token), (23, None), "nothing follows the last");
}

async fn what_has_expired_is_hidden_unless_asked_for(world: World) {
    let agent = world.enrol(&account(), "web1").await;
    let short = world.open(&agent, 10, 1).await;
    let long = world.open(&agent, 20, 3).await;
    let running = world.open(&agent, 30, 1).await;
    for sealed in [&short, &long] {
        world.seal(&agent, &sealed.token, 0, 100, 100).await.unwrap();
    }
    let tokens = async |now: i64, all: bool| {
        let page = world.list(&account(), Some(&agent.instance), now, all, number(1, 10)).await;
        assert_eq!(page.total_count, page.recordings.len() as u64, "at {now}");
        page.recordings.into_iter().map(|recording| recording.token).collect::<Vec<_>>()
    };
    let (short, long, running) = (short.token, long.token, running.token);
    assert_eq!(tokens(100 + DAY - 1, false).await, [running.clone(), long.clone(), short.clone()]);
    assert_eq!(tokens(100 + DAY, false).await, [running.clone(), long.clone()]);
    assert_eq!(tokens(100 + DAY, true).await, [running.clone(), long.clone(), short.clone()]);
    assert_eq!(
        world.sweep(&account(), 100 + DAY, std::time::Duration::from_secs(1_000_000)).await.expired,
        1
    );
    assert_eq!(tokens(100 + DAY, false).await, [running.clone(), long.clone()]);
    assert_eq!(
        tokens(100 + 3 * DAY, false).await,
        std::slice::from_ref(&running),
        "one that runs never expires"
    );
    assert_eq!(tokens(100 + 3 * DAY, true).await, [running, long, short]);
}

async fn a_next_token_serves_its_own_list_only(world: World) {
    let agent = world.enrol(&account(), "web1").await;
    for started in 0..3 {
        world.open(&agent, started, 7).await;
    }
    let token =
        world.list(&account(), None, 10, false, number(1, 2)).await.next_token.expect("a third follows");
    let ask_with = async |of: Option<&str>, other: bool, include_expired: bool, token: &str, status| {
        let of = of.map(instance);
        let asker = if other { other_account() } else { account() };
        let granted = owner::<ListInstanceRecords>(&asker, list_of(of.as_ref()));
        let page = PageRequest::After { token: Some(token.to_owned()), size: 2 };
        let filter = RecordingFilter { status, ..RecordingFilter::default() };
        let query = RecordingQuery { include_expired, filter, page, now: at(10) };
        world.store.list_recordings(&granted, query).await
    };
    let ask = async |of: Option<&str>, other: bool, include_expired: bool, token: &str| {
        ask_with(of, other, include_expired, token, None).await
    };
    let running = Some(WireStatus::Running);
    let narrowed = ask_with(None, false, false, &token, running).await;
    assert!(matches!(narrowed, Err(StoreError::InvalidPageToken)), "{narrowed:?}");
    assert_eq!(ask(None, false, false, &token).await.unwrap().recordings.len(), 1);
    for refused in [
        ask(Some("web1"), false, false, &token).await,
        ask(None, true, false, &token).await,
        ask(None, false, true, &token).await,
        ask(None, false, false, "").await,
        ask(None, false, false, "nonsense").await,
        ask(None, false, false, &token[2..]).await,
    ] {
        assert!(matches!(refused, Err(StoreError::InvalidPageToken)), "{refused:?}");
    }
}
