//! Limits for one agent: what it may leave in the deployment's store, how much of that is received at once, and which
//! times it may claim.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

use domain::clock::Clock as _;
use recording::{ContentHash, ExitStatus, Start, TerminalSessionToken, Timestamp};
use serde_json::json;

use crate::files::files;
use crate::recording_agent::{Session, TestAgent, claim, object_name, upload};
use test_server::Running;

fn names(running: &Running) -> Vec<String> {
    files(&running.objects_folder()).into_keys().collect()
}

#[tokio::test]
async fn an_agent_with_too_many_open_recordings_waits() {
    let running = Running::start().await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    running.record("i-web1", "7").await;
    let first = agent.session(&running, &[b"x"], Some(ExitStatus::Code(0)));
    agent.open(&running, &first).await.ok();
    // All but the last one are opened without the API, because this test is not about opening recordings.
    let row = running.store.find_agent(&agent.id).await.unwrap().unwrap();
    for _ in 2..domain::unclaimed::MOST_OPEN_RECORDINGS {
        let opened = test_facts::opened(test_facts::recording(&row, running.clock.now(), 7));
        test_facts::open(&running.store, &row, opened).await.unwrap();
    }
    let last = Start { recording: TerminalSessionToken::generate(), ..first.start.clone() };
    agent.open_with(&running, &last.recording, &last.to_document()).await.ok();
    let before = names(&running).len();
    let more = agent.session(&running, &[b"y"], Some(ExitStatus::Code(0)));
    let refused = agent.open(&running, &more).await;
    assert_eq!(refused.refusal(), (429, "TooManyOpenRecordings"));
    assert_eq!((refused.header("retry-after"), &refused.body["Retryable"]), ("30", &json!(true)));
    assert_eq!(names(&running).len(), before, "nothing was written for it");
    // A recording that is open already is answered as before, and one that ends makes room.
    agent.open(&running, &first).await.ok();
    for number in 0..first.segments.len() {
        agent.deliver(&running, &first, number).await;
    }
    agent.seal(&running, &first).await.ok();
    agent.open(&running, &more).await.ok();
}

#[tokio::test]
async fn an_agent_with_too_many_unclaimed_bytes_waits() {
    let running = Running::start().await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    running.record("i-web1", "7").await;
    let session = agent.session(&running, &[b"x"], Some(ExitStatus::Code(0)));
    agent.open(&running, &session).await.ok();
    let most = agent_protocol::MAXIMUM_OBJECT_BYTES;
    let grant = async |number: u64, length: u64| {
        let name = format!("terminal/{number:06}.cast.zst");
        let body = json!({"ObjectName": name, "Length": length, "Sha256": ContentHash::of(b"")});
        agent.post(&running, &session.path("grants"), &body).await
    };
    let full = domain::unclaimed::MOST_UNCLAIMED_BYTES / most;
    for number in 1..=full {
        grant(number, most).await.ok();
    }
    let refused = grant(full + 1, 1).await;
    assert_eq!(refused.refusal(), (429, "TooManyUnclaimedBytes"));
    assert_eq!(refused.header("retry-after"), "30");
    // A grant that exists may be requested again, and a smaller one in its place makes room.
    grant(full, most).await.ok();
    grant(full, most / 2).await.ok();
    agent.deliver(&running, &session, 0).await;
    // Another agent of the deployment has a limit of its own.
    let other = TestAgent::enrol(&running, "i-web2").await;
    running.record("i-web2", "7").await;
    other.record(&running, &[b"z"], Some(ExitStatus::Code(0))).await;
}

#[tokio::test]
async fn unclaimed_objects_are_removed_after_a_day_and_uploaded_again() {
    let running = Running::start().await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    running.record("i-web1", "7").await;
    let session = agent.session(&running, &[b"one", b"two"], Some(ExitStatus::Code(0)));
    agent.open(&running, &session).await.ok();
    agent.deliver(&running, &session, 0).await;
    let second = &session.segments[1];
    let grant = agent.grant(&running, &session, &object_name(second), &second.bytes).await.ok();
    upload(&running, &grant["Grant"], &second.bytes).await.ok();
    let has_second =
        |running: &Running| names(running).iter().any(|name| name.ends_with(&object_name(second)));
    assert!(has_second(&running));
    running.advance_seconds(24 * 3_600 + 1);
    // The jobs of a new process run at once.
    let running = running.restart().await;
    while has_second(&running) {
        tokio::task::yield_now().await;
    }
    let refused = agent.acknowledge(&running, &session, &claim(second)).await;
    assert_eq!(refused.refusal(), (409, "ObjectNotFound"));
    for number in 1..session.segments.len() {
        agent.deliver(&running, &session, number).await;
    }
    agent.seal(&running, &session).await.ok();
    assert_eq!(running.newest_status("i-web1").await, "finished");
    let kept = names(&running);
    for object in ["start.json", "terminal/000000.cast.zst", "terminal/000001.cast.zst", "manifest-0000.json"]
    {
        assert!(kept.iter().any(|name| name.ends_with(object)), "{object} of {kept:?}");
    }
}

/// The maximum length of the body of a seal.
const SEAL: usize = 12 * 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn the_amount_received_at_once_from_an_agent_is_bounded_and_delays_nobody_else() {
    let running = Running::start().await;
    running.record("*", "7").await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let session = agent.session(&running, &[b"x"], Some(ExitStatus::Code(0)));
    agent.open(&running, &session).await.ok();
    // One token is enough: it is not used up before the body has arrived.
    let path = session.path("seal");
    let token = agent.token(&running, "POST", &path, b"");
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: {SEAL}\r\n\r\n"
    );
    let address = running.address.strip_prefix("http://").unwrap().parse().unwrap();
    let (sent, mut received) = tokio::sync::mpsc::unbounded_channel();
    let mut sending = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (head, sent) = (head.clone(), sent.clone());
        sending.spawn(async move {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_send_buffer_size(16 * 1024).unwrap();
            let mut stream = socket.connect(address).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(&vec![b' '; SEAL - 1]).await.unwrap();
            sent.send(()).unwrap();
            // The last byte never arrives.
            let _ = stream.read_u8().await;
        });
    }
    for _ in 0..2 {
        received.recv().await.unwrap();
    }
    // Another agent, and calls of this agent without a body, continue. Calls with a body wait.
    let other = TestAgent::enrol(&running, "i-web2").await;
    other.record(&running, &[b"y"], Some(ExitStatus::Code(0))).await;
    agent.get(&running, "/agent/v1/configuration").await.ok();
    let delivered = agent.deliver_whole(&running, &session);
    tokio::pin!(delivered);
    let waits = tokio::time::timeout(Duration::from_millis(500), &mut delivered).await;
    assert!(waits.is_err(), "it does not wait");
    assert!(received.try_recv().is_err(), "more is received of the agent than its share");
    sending.shutdown().await;
    delivered.await;
    assert_eq!(running.newest_status("i-web1").await, "finished");
}

/// A session that claims to have begun at this moment.
fn claiming(agent: &TestAgent, running: &Running, started_at: &str) -> Session {
    let session = agent.session(running, &[b"x"], Some(ExitStatus::Code(0)));
    let started_at = Timestamp::parse_rfc3339_millis(started_at).unwrap();
    let start = Start { started_at, ..session.start.clone() };
    let document = start.to_document();
    Session { start, document, ..session }
}

#[tokio::test]
async fn the_earlier_of_the_claimed_start_and_the_arrival_is_shown() {
    let running = Running::start().await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    running.record("i-web1", "7").await;
    let future = claiming(&agent, &running, "9999-12-31T23:59:59.999Z");
    let past = claiming(&agent, &running, "0001-01-01T00:00:00.000Z");
    for session in [&future, &past] {
        agent.open(&running, session).await.ok();
    }
    running.advance_seconds(60);
    let honest = agent.session(&running, &[b"x"], Some(ExitStatus::Code(0)));
    agent.open(&running, &honest).await.ok();
    let listed = running.call("ListInstanceRecords", &[]).await.ok();
    let shown: Vec<_> = listed["Root"]["RecordList"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["TerminalSessionToken"].as_str().unwrap(), row["GmtCreate"].as_str().unwrap()))
        .collect();
    assert_eq!(
        shown,
        [
            (honest.token(), "2025-11-24T16:01:00Z"),
            (future.token(), "2025-11-24T16:00:00Z"),
            (past.token(), "0001-01-01T00:00:00Z"),
        ]
    );
    let kept = files(&running.objects_folder());
    for (session, day) in [(&future, "2025/11/24"), (&past, "0001/01/01"), (&honest, "2025/11/24")] {
        let name = format!("{day}/i-web1/{}/start.json", session.token());
        let stored = kept.iter().find(|(path, _)| path.ends_with(&name)).expect(&name);
        assert_eq!(stored.1, &session.document, "the claim itself is kept");
    }
}
