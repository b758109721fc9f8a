//! What a recording lacks is kept with its row as its segments arrive, and of older rows as its manifest says it.

use domain::recording_life::{Recording, RecordingSealed, SegmentAcknowledged};
use recording::{Cause, LedgerSummary, Micros, Shortfall, ShortfallKind, StreamLedger};
use test_facts::{World, account, at, on_both, opened, recording, seal, sealed, segment};

on_both!(
    a_ledger_grows_with_the_segments_and_a_manifest_does_not_replace_it,
    of_an_older_recording_the_manifest_says_what_it_lacks,
);

fn one(kind: ShortfallKind) -> LedgerSummary {
    let mut ledger = StreamLedger::default();
    // No database takes a character of this kind as it is.
    let shortfall = Shortfall::new(kind, Cause::OTHER, "a \0 and an €").with_lost_bytes(u64::MAX);
    ledger.add(Micros::new(5), &shortfall);
    LedgerSummary::from(&ledger)
}

async fn a_ledger_grows_with_the_segments_and_a_manifest_does_not_replace_it(world: World) {
    let agent = world.enrol(&account(), "web1").await;
    let recording = world.open(&agent, 10, 7).await;
    let ledger = async || world.find(&recording).await.unwrap().ledger.unwrap();
    assert!(ledger().await.is_empty());
    let mut expected = LedgerSummary::default();
    for (number, kind) in [(0, ShortfallKind::StatedLimit), (1, ShortfallKind::Gap), (2, ShortfallKind::Gap)]
    {
        let claimed = segment(&recording.token, number, at(20));
        world.claim(&agent, SegmentAcknowledged { ledger: one(kind), ..claimed }).await.unwrap();
        expected = expected.plus(&one(kind));
        assert_eq!(ledger().await, expected);
    }
    let change = RecordingSealed {
        ledger: Some(LedgerSummary::default()),
        at: at(6_000),
        ..sealed(&recording.token, 3, at(5_000))
    };
    seal(&world.store, &agent, change).await.unwrap();
    assert_eq!(ledger().await, expected);
}

async fn of_an_older_recording_the_manifest_says_what_it_lacks(world: World) {
    let agent = world.enrol(&account(), "web1").await;
    let older = Recording { ledger: None, ..recording(&agent, at(10), 7) };
    test_facts::open(&world.store, &agent, opened(older.clone())).await.unwrap();
    let ledger = async || world.find(&older).await.unwrap().ledger;
    let claimed = segment(&older.token, 0, at(20));
    world.claim(&agent, SegmentAcknowledged { ledger: one(ShortfallKind::Drop), ..claimed }).await.unwrap();
    assert_eq!(ledger().await, None, "of the segments before it nothing is known");
    let whole = one(ShortfallKind::Drop).plus(&one(ShortfallKind::Gap));
    let change =
        RecordingSealed { ledger: Some(whole.clone()), at: at(6_000), ..sealed(&older.token, 1, at(5_000)) };
    seal(&world.store, &agent, change).await.unwrap();
    assert_eq!(ledger().await, Some(whole));
}
