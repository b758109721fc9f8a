//! Grants and uploads: a grant is for one object with its length and bytes, and valid for ten minutes.

use serde_json::{Value, json};

use crate::files::files;
use crate::recording_agent::{Session, TestAgent, object_name, upload};
use test_server::{Answer, Running};

async fn opened(running: &Running) -> (TestAgent, Session) {
    running.record("*", "7").await;
    let agent = TestAgent::enrol(running, "i-web1").await;
    let session = agent.session(running, &[b"hello\r\n", b"world\r\n"], None);
    agent.open(running, &session).await.ok();
    (agent, session)
}

async fn granted(running: &Running, agent: &TestAgent, session: &Session, number: usize) -> Value {
    let segment = &session.segments[number];
    agent.grant(running, session, &object_name(segment), &segment.bytes).await.ok()["Grant"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_the_granted_bytes_are_accepted_once() {
    let running = Running::start().await;
    let (agent, session) = opened(&running).await;
    let bytes = &session.segments[0].bytes;
    let grant = granted(&running, &agent, &session, 0).await;
    assert_eq!(grant["ExpireTime"], "2025-11-24T16:10:00Z");

    let mut altered = bytes.clone();
    altered[40] ^= 1;
    for wrong in [&altered, &bytes[1..].to_vec(), &[bytes.as_slice(), b"x"].concat(), &vec![]] {
        assert_eq!(upload(&running, &grant, wrong).await.refusal(), (400, "ObjectMismatch"));
    }
    upload(&running, &grant, bytes).await.ok();
    upload(&running, &grant, bytes).await.ok();

    // The same name under another grant, for other bytes: what was written first remains.
    let other =
        agent.grant(&running, &session, &object_name(&session.segments[0]), b"other bytes").await.ok();
    assert_eq!(
        upload(&running, &other["Grant"], b"other bytes").await.refusal(),
        (409, "ObjectAlreadyExists")
    );
    let stored = files(&running.objects_folder());
    let name = stored.keys().find(|name| name.ends_with("terminal/000000.cast.zst")).unwrap();
    assert_eq!(stored[name], *bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_a_length_is_stopped_at_the_first_byte_too_many() {
    let running = Running::start().await;
    let (agent, session) = opened(&running).await;
    let grant = granted(&running, &agent, &session, 0).await;
    // Chunks without end: the server must answer before they end.
    let endless = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![0_u8; 65_536]));
    let mut request = running
        .http
        .put(running.url(grant["Url"].as_str().unwrap()))
        .body(reqwest::Body::wrap_stream(endless));
    for (name, value) in grant["Headers"].as_object().unwrap() {
        request = request.header(name, value.as_str().unwrap());
    }
    match request.send().await {
        Ok(response) => assert_eq!(Answer::of(response).await.refusal(), (400, "ObjectMismatch")),
        // The server closed the connection while the client was still writing; it accepted no more than it should.
        Err(error) => assert!(error.is_request() || error.is_body(), "{error:?}"),
    }
    upload(&running, &grant, &session.segments[0].bytes).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_ends_and_is_for_its_own_object() {
    let running = Running::start().await;
    let (agent, session) = opened(&running).await;
    let bytes = &session.segments[0].bytes;
    let grant = granted(&running, &agent, &session, 0).await;

    let mut elsewhere = grant.clone();
    elsewhere["Url"] = grant["Url"].as_str().unwrap().replace("000000", "000001").into();
    assert_eq!(upload(&running, &elsewhere, bytes).await.refusal(), (403, "InvalidGrant"));
    let mut without = grant.clone();
    without["Headers"] = json!({});
    assert_eq!(upload(&running, &without, bytes).await.refusal(), (403, "InvalidGrant"));
    let mut forged = grant.clone();
    for value in forged["Headers"].as_object_mut().unwrap().values_mut() {
        let text = value.as_str().unwrap();
        *value = format!("{}AAAA", &text[..text.len() - 4]).into();
    }
    assert_eq!(upload(&running, &forged, bytes).await.refusal(), (403, "InvalidGrant"));

    running.advance_seconds(600);
    let late = upload(&running, &grant, bytes).await;
    assert_eq!(late.refusal(), (403, "InvalidGrant"));
    assert_eq!(late.body["Retryable"], true);
    upload(&running, &granted(&running, &agent, &session, 0).await, bytes).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_segment_of_ones_own_open_recording_is_granted() {
    let running = Running::start().await;
    let (agent, session) = opened(&running).await;
    let long = format!("terminal/{:06}.cast.zst", 2_000);
    for name in [
        "start.json",
        "manifest-0000.json",
        "../x",
        "terminal/0.cast.zst",
        "derived/index",
        "",
        long.as_str(),
    ] {
        assert_eq!(
            agent.grant(&running, &session, name, b"x").await.refusal(),
            (400, "InvalidObjectName"),
            "{name}"
        );
    }
    for length in [0, 8 * 1024 * 1024 + 1] {
        let body =
            json!({"ObjectName": "terminal/000000.cast.zst", "Length": length, "Sha256": "0".repeat(64)});
        let answer = agent.post(&running, &session.path("grants"), &body).await;
        assert_eq!(answer.refusal(), (400, "InvalidObjectName"), "{length}");
    }
    let stranger = TestAgent::enrol(&running, "i-web2").await;
    let answer = stranger.grant(&running, &session, "terminal/000000.cast.zst", b"x").await;
    assert_eq!(answer.refusal(), (404, "RecordingNotFound"));
    let unknown = agent.session(&running, &[b"x"], None);
    let answer = agent.grant(&running, &unknown, "terminal/000000.cast.zst", b"x").await;
    assert_eq!(answer.refusal(), (404, "RecordingNotFound"));
    let answer = agent.post(&running, "/agent/v1/recordings/no-token/grants", &json!({})).await;
    assert_eq!(answer.refusal(), (400, "InvalidRequest"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_ends_when_its_agent_is_replaced() {
    let running = Running::start().await;
    let (agent, session) = opened(&running).await;
    let grant = granted(&running, &agent, &session, 0).await;
    TestAgent::enrol_with(&running, "i-web1", true).await;
    assert_eq!(upload(&running, &grant, &session.segments[0].bytes).await.refusal(), (401, "AgentNotFound"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_does_not_outlive_the_seal() {
    let running = Running::start().await;
    let (agent, session) = opened(&running).await;
    agent.deliver(&running, &session, 0).await;
    agent.deliver(&running, &session, 1).await;
    let late = agent.grant(&running, &session, "terminal/000002.cast.zst", b"late").await.ok();
    let sealed = agent.seal(&running, &session).await;
    assert_eq!(sealed.status, 200, "{sealed:?}");
    let before = files(&running.objects_folder());
    assert_eq!(upload(&running, &late["Grant"], b"late").await.refusal(), (409, "RecordingSealed"));
    assert_eq!(files(&running.objects_folder()), before);
}
