//! A call that is decided while it holds the revisions is given up when it takes too long, and done once whatever happens.

use std::time::Duration;

use persistence::{Settled, Store, StoreError};

use test_facts::{World, account, as_operator, event, instance, on_both, until_async};

on_both!(
    what_a_call_does_in_time_is_waited_for_and_not_done_again,
    a_call_that_does_nothing_in_time_is_given_up_and_holds_nothing,
    a_row_whose_caller_hangs_up_is_written_all_the_same,
    a_call_whose_turn_does_not_come_is_told_so,
);

async fn tag(store: &Store, value: &str) -> Result<(), StoreError> {
    let (operator, audit) = (as_operator(&account()), event(&account(), "Tag"));
    let tags = vec![("env".parse().unwrap(), value.parse().unwrap())];
    store.tag_instance(&operator, &instance("web1"), Vec::new(), tags, audit).await.map(drop)
}

/// The limit is over at once: what the call has begun by then is all that it does in time.
async fn what_a_call_does_in_time_is_waited_for_and_not_done_again(world: World) {
    let decided = world.store.deciding();
    decided.find_access_key(&"root-key".parse().unwrap()).await.unwrap().unwrap();
    let under = decided.under();
    let rows = world.count("audit_events", "1 = 1").await;
    let made = world.store.holding(&under, Duration::ZERO, async |own| tag(own, "one").await).await;
    assert!(matches!(made, Ok(Ok(()))), "{made:?}");
    assert_eq!(world.count("audit_events", "1 = 1").await, rows + 1);
    // And so it is with a row.
    let decided = world.store.deciding();
    decided.still_holds(&account()).await.unwrap();
    decided.find_access_key(&"root-key".parse().unwrap()).await.unwrap().unwrap();
    let under = decided.under();
    let settle = async |own: &Store| own.settle(None, event(&account(), "Look"), under.clone()).await;
    let settled = world.store.holding(&under, Duration::ZERO, settle).await;
    assert!(matches!(settled, Ok(Ok(Settled::Committed))), "{settled:?}");
    assert_eq!(world.count("audit_events", "1 = 1").await, rows + 2);
}

async fn a_call_that_does_nothing_in_time_is_given_up_and_holds_nothing(world: World) {
    let decided = world.store.deciding();
    decided.find_access_key(&"root-key".parse().unwrap()).await.unwrap().unwrap();
    let slow = async |own: &Store| {
        std::future::pending::<()>().await;
        tag(own, "one").await
    };
    let given_up = world.store.holding(&decided.under(), Duration::ZERO, slow).await;
    assert!(matches!(given_up, Err(StoreError::Outdated)), "{given_up:?}");
    assert_eq!(world.count("instance_tags", "1 = 1").await, 0);
    tag(&world.store, "two").await.unwrap();
    assert_eq!(world.count("instance_tags", "1 = 1").await, 1);
}

async fn a_row_whose_caller_hangs_up_is_written_all_the_same(world: World) {
    let decided = world.store.deciding();
    decided.find_access_key(&"root-key".parse().unwrap()).await.unwrap().unwrap();
    let under = decided.under();
    let rows = world.count("audit_events", "1 = 1").await;
    let hangs_up = async |own: &Store| {
        let settling = own.settle(None, event(&account(), "Look"), under.clone());
        tokio::time::timeout(Duration::ZERO, settling).await.is_err()
    };
    assert!(world.store.holding(&under, Duration::from_secs(10), hangs_up).await.unwrap());
    until_async("the row is written", async || {
        (world.count("audit_events", "1 = 1").await == rows + 1).then_some(())
    })
    .await;
    world.store.record_audit(event(&account(), "Look")).await.unwrap();
    crate::audit::assert_chains_are_whole(&world).await;
}

/// As when many calls can only be decided one by one: each hears of it before its caller gives up.
async fn a_call_whose_turn_does_not_come_is_told_so(world: World) {
    let decided = world.store.deciding();
    decided.find_access_key(&"root-key".parse().unwrap()).await.unwrap().unwrap();
    let under = decided.under();
    let (told, tell) = (tokio::sync::Notify::new(), tokio::sync::Notify::new());
    let first = world.store.holding(&under, Duration::from_secs(60), async |_: &Store| {
        tell.notify_one();
        told.notified().await;
    });
    let second = async {
        tell.notified().await;
        let refused = world.store.holding(&under, Duration::ZERO, async |_: &Store| ()).await;
        told.notify_one();
        refused
    };
    let (first, second) = tokio::join!(first, second);
    assert!(first.is_ok(), "{first:?}");
    assert!(matches!(second, Err(StoreError::WriterBehind { .. })), "{second:?}");
}
