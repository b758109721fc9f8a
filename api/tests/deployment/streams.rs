//! A recording with more streams than a terminal: they are claimed, sealed, listed and verified independently.

use recording::events::{EventLine, totals_of};
use recording::{
    ChainValue, Compressor, EvidenceName, ExitStatus, Expected, Manifest, MemorySource, Micros, SealedBy,
    Segment, SegmentHeader, Stream, StreamEntry, StreamLedger, Totals, Trust, TrustedKey, Verdict, seal,
    verify,
};
use serde_json::{Value, json};

use crate::recording_agent::{Session, TestAgent, claim, object_name, upload};
use crate::viewer::Viewer;
use test_server::Running;

const EXITED: Option<ExitStatus> = Some(ExitStatus::Code(0));

/// A segment of a stream, with these bytes after its header.
fn segment(session: &Session, stream: Stream, content: &[u8], at: Micros, totals: Totals) -> Segment {
    let header = SegmentHeader {
        recording: session.start.recording.clone(),
        stream,
        number: 0,
        first_at: at,
        chain_before: ChainValue::first(&session.document, stream),
        prelude: Vec::new(),
    };
    Segment::new(header, content, at, totals).unwrap()
}

fn events(session: &Session) -> Segment {
    let members = json!({ "command": "ls" }).as_object().unwrap().clone();
    let line = EventLine { at: Micros::new(3), event: "shell_command".to_owned(), members };
    let content = Compressor::new().unwrap().compress(format!("{line}\n").as_bytes()).unwrap();
    segment(session, Stream::Events, &content, line.at, totals_of(&[line]))
}

fn entry(segment: &Segment) -> StreamEntry {
    StreamEntry {
        stream: segment.header.stream,
        segments: vec![segment.entry()],
        final_chain: segment.chain_after,
        totals: segment.totals.clone(),
        ledger: Some(StreamLedger::default()),
    }
}

async fn put(running: &Running, agent: &TestAgent, session: &Session, segment: &Segment) {
    let grant = agent.grant(running, session, &object_name(segment), &segment.bytes).await.ok();
    upload(running, &grant["Grant"], &segment.bytes).await.ok();
}

async fn started() -> (Running, TestAgent, Session) {
    let running = Running::start().await;
    running.record("*", "7").await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let session = agent.session(&running, &[b"hello\r\n"], EXITED);
    agent.open(&running, &session).await.ok();
    (running, agent, session)
}

#[tokio::test(flavor = "multi_thread")]
async fn events_stand_beside_the_terminal_to_the_end() {
    let (running, agent, mut session) = started().await;
    // Both begin with number 0, and neither waits for the other.
    let events = events(&session);
    put(&running, &agent, &session, &events).await;
    agent.acknowledge(&running, &session, &claim(&events)).await.ok();
    for number in 0..session.segments.len() {
        agent.deliver(&running, &session, number).await;
    }
    // The same claim again gets the same answer; a claim of other bytes does not.
    agent.acknowledge(&running, &session, &claim(&events)).await.ok();

    let without_events = seal(&session.manifest, &agent.sealing);
    let answer = agent.seal_with(&running, &session, &without_events).await;
    assert_eq!(answer.refusal().1, "InvalidManifest", "{answer:?}");
    assert!(
        answer.body["Message"].as_str().unwrap().contains("0 segments of the stream events, and 1"),
        "{answer:?}"
    );
    let refused = async |why: &str, change: &dyn Fn(&mut Manifest)| {
        let mut manifest = session.manifest.clone();
        manifest.streams.push(entry(&events));
        change(&mut manifest);
        let answer = agent.seal_with(&running, &session, &seal(&manifest, &agent.sealing)).await;
        assert_eq!(answer.refusal().1, "InvalidManifest", "{answer:?}");
        assert!(answer.body["Message"].as_str().unwrap().contains(why), "{why}: {answer:?}");
    };
    refused("lists events twice", &|it| it.streams.push(entry(&events))).await;
    refused("must have an entry for terminal", &|it| drop(it.streams.remove(0))).await;
    refused("segment 0 of events is not the one", &|it| it.streams[1].segments[0].length += 1).await;
    let no_leave = || SealedBy::new(b"{}".to_vec(), agent.sealing.public_key(), [0; 64]);
    refused("sealed_by", &|it| it.sealed_by = Some(no_leave())).await;
    session.manifest.streams.push(entry(&events));
    assert_eq!(agent.seal(&running, &session).await.ok()["Status"], "finished");

    let viewer = Viewer::open(&running, &running.root, &session).await;
    let facts = viewer.get(&running, "").await.ok();
    assert_eq!((&facts["Segments"], &facts["Kind"]), (&json!(3), &json!("terminal")));
    let listed = viewer.get(&running, "/objects").await.ok();
    let mut source = MemorySource::default();
    for object in listed["Objects"].as_array().unwrap() {
        let name = object["Name"].as_str().unwrap();
        let bytes = viewer.bytes(&running, &format!("/objects/{name}")).await;
        source.objects.insert(name.parse().unwrap(), bytes);
    }
    let trusted = TrustedKey { key: agent.sealing.public_key(), enrolment: None };
    let verification = verify(&source, &Expected::default(), Trust::Enrolled(&trusted.into())).unwrap();
    assert_eq!(verification.verdict(), Verdict::Complete, "{verification:?}");
    assert_eq!(verification.segments(), 3);
    // Each stream is given by itself.
    assert_eq!(viewer.bytes(&running, "/text").await, b"hello\r\n");
    let line = "{\"at\":3,\"command\":\"ls\",\"event\":\"shell_command\"}\n";
    assert_eq!(viewer.bytes(&running, "/events").await, line.as_bytes());
    let found = running.call("VerifyAgentRecordings", &[]).await.ok();
    let checked = &found["Root"]["AgentList"][0];
    assert_eq!((&checked["RecordingCount"], &checked["UncheckedCount"]), (&json!(1), &json!(0)), "{found}");
    assert_eq!(checked["MissingList"], json!([]), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_that_cannot_be_checked_are_not_claimed() {
    let (running, agent, session) = started().await;
    let audio = Stream::parse("audio").unwrap();
    let unknown = segment(&session, audio, b"anything", Micros::new(1), Totals::default());
    let answer = agent.grant(&running, &session, "audio/000000.segment", &unknown.bytes).await;
    assert_eq!(answer.refusal().1, "InvalidObjectName", "{answer:?}");
    for stream in ["audio", "desktop", "Terminal", "../x", ""] {
        let mut claim = claim(&unknown);
        claim["Stream"] = json!(stream);
        let answer = agent.acknowledge(&running, &session, &claim).await;
        assert_eq!(answer.refusal().1, "InvalidRequest", "{answer:?}");
    }
    // Data that are not events, and a segment of a terminal instead of events.
    let nonsense = segment(&session, Stream::Events, b"no zstd", Micros::new(1), Totals::default());
    put(&running, &agent, &session, &nonsense).await;
    let answer = agent.acknowledge(&running, &session, &claim(&nonsense)).await;
    assert_eq!(answer.refusal().1, "InvalidSegment", "{answer:?}");
    let name = EvidenceName::Segment { stream: Stream::Events, number: 1 }.to_string();
    let terminal = &session.segments[0];
    let grant = agent.grant(&running, &session, &name, &terminal.bytes).await.ok();
    upload(&running, &grant["Grant"], &terminal.bytes).await.ok();
    let stands: Value = agent.seal(&running, &session).await.body;
    assert_eq!(stands["Code"], "InvalidManifest", "nothing has arrived: {stands}");
}
