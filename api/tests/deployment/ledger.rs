//! The loss ledger, from the segments of an agent to lists and replays.

use recording::{
    Cause, ExitStatus, LedgerEntry, Micros, Shortfall, ShortfallKind, StreamLedger, TerminalEvent,
};
use serde_json::{Value, json};

use crate::recording_agent::{Session, TestAgent};
use crate::viewer::Viewer;
use test_server::Running;

/// What a session lacks: two drops, and a limit.
fn pieces() -> Vec<Vec<TerminalEvent>> {
    let at = Micros::new;
    let drop = |lost| {
        Shortfall::new(ShortfallKind::Drop, Cause::new("queue_full"), "the \u{1b}[2Jqueue was full")
            .with_lost_bytes(lost)
    };
    let limit = Shortfall::new(ShortfallKind::StatedLimit, Cause::new("output_limit"), "more than 64 MiB");
    vec![
        vec![TerminalEvent::output(at(0), "one\r\n"), TerminalEvent::shortfall(at(500_000), drop(4))],
        vec![
            TerminalEvent::shortfall(at(1_000_000), limit),
            TerminalEvent::shortfall(at(1_500_000), drop(u64::MAX).counted(2, at(1_200_000))),
            TerminalEvent::output(at(1_600_000), "two\r\n"),
        ],
    ]
}

async fn opened() -> (Running, TestAgent, Session) {
    let running = Running::start().await;
    running.record("*", "3").await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let session = agent.session_of(&running, &pieces(), Some(ExitStatus::Code(0)), 1, None);
    agent.open(&running, &session).await.ok();
    (running, agent, session)
}

async fn ledger(running: &Running) -> Value {
    let listed = running.call("ListInstanceRecords", &[]).await.ok();
    listed["Root"]["RecordList"][0]["LedgerList"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_has_the_ledger_of_what_has_arrived() {
    let (running, agent, session) = opened().await;
    assert_eq!(ledger(&running).await, json!([]));
    agent.deliver(&running, &session, 0).await;
    let item = |kind: &str, count, first, last, reason| json!({"Kind": kind, "Count": count, "FirstAtMillis": first, "LastAtMillis": last, "Reason": reason});
    let reason = "the \u{1b}[2Jqueue was full";
    let mut one = item("drop", 1, 500, 500, reason);
    one["LostBytes"] = json!(4);
    assert_eq!(ledger(&running).await, json!([one]));
    agent.deliver(&running, &session, 1).await;
    agent.deliver(&running, &session, 2).await;
    let mut all = item("drop", 3, 500, 1_500, reason);
    // The largest number that every client reads exactly.
    all["LostBytes"] = json!(9_007_199_254_740_991_i64);
    let limit = item("stated_limit", 1, 1_000, 1_000, "more than 64 MiB");
    let expected = json!([all, limit]);
    assert_eq!(ledger(&running).await, expected);
    agent.seal(&running, &session).await.ok();
    assert_eq!(ledger(&running).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_hides_an_entry_hides_nothing_from_the_list() {
    let (running, agent, mut session) = opened().await;
    for number in 0..session.segments.len() {
        agent.deliver(&running, &session, number).await;
    }
    let before = ledger(&running).await;
    let first: Vec<LedgerEntry> =
        session.manifest.streams[0].ledger.as_ref().unwrap().entries()[..1].to_vec();
    session.manifest.streams[0].ledger = Some(StreamLedger::try_from(first).unwrap());
    agent.seal(&running, &session).await.ok();
    assert_eq!((ledger(&running).await, before.as_array().unwrap().len()), (before.clone(), 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_says_what_is_missing_where_it_is() {
    let (running, agent, session) = opened().await;
    for number in 0..session.segments.len() {
        agent.deliver(&running, &session, number).await;
    }
    agent.seal(&running, &session).await.ok();
    let viewer = Viewer::open(&running, &running.root, &session).await;
    let facts = viewer.get(&running, "").await.ok();
    assert_eq!(facts["Ledger"], ledger(&running).await);
    let text = String::from_utf8(viewer.bytes(&running, "/text").await).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(
        lines,
        [
            "one",
            "[hansard: drop (queue_full) at 0.500000 s: the \\u{1b}[2Jqueue was full (4 bytes lost)]",
            "[hansard: stated limit (output_limit) at 1.000000 s: more than 64 MiB]",
            "[hansard: drop (queue_full) 2 times from 1.200000 s to 1.500000 s: the \\u{1b}[2Jqueue was full (18446744073709551615 bytes lost)]",
            "two",
        ]
    );
    let cast = String::from_utf8(viewer.bytes(&running, "/cast").await).unwrap();
    assert!(cast.contains("[0.500000,\"g\",") && cast.contains("[1.000000,\"l\","), "{cast}");
    for below in ["/cast", "/text"] {
        let answer = viewer.get(&running, below).await;
        let header: Value = serde_json::from_str(answer.header("x-hansard-ledger")).unwrap();
        assert_eq!((&header[0]["kind"], &header[0]["count"]), (&json!("drop"), &json!(3)), "{below}");
        assert_eq!(header[0]["reason"], "", "nothing that a session wrote stands in a header");
    }
}
