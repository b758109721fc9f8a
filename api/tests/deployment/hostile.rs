//! Bad input: whatever an agent sends, it gets a refusal in the form of the contract, and the recording is not
//! harmed.

use recording::ExitStatus;
use reqwest::Method;
use serde_json::{Value, json};

use crate::recording_agent::{TestAgent, claim, enrolment, send_enrolment};
use test_server::{Answer, Running};

/// Every way in which one field of a body can be wrong.
fn spoiled(body: &Value) -> Vec<Value> {
    let wrong = [
        Value::Null,
        json!(-1),
        json!(1.5),
        json!(u64::MAX),
        json!(""),
        json!("\u{0}\u{1b}[2J\u{202e}"),
        json!("x".repeat(100_000)),
        json!([]),
        json!({"a": [{}]}),
        json!(true),
    ];
    let mut bodies = vec![json!(null), json!([]), json!("text"), json!({})];
    for name in body.as_object().unwrap().keys() {
        let mut without = body.clone();
        without.as_object_mut().unwrap().remove(name);
        bodies.push(without);
        for value in &wrong {
            let mut changed = body.clone();
            changed[name] = value.clone();
            bodies.push(changed);
        }
    }
    bodies
}

fn check(answer: &Answer, what: &str) {
    assert!(answer.status < 500, "{what}: {answer:?}");
    if answer.status >= 400 {
        answer.refusal();
        assert!(answer.body["Retryable"].is_boolean(), "{what}: {answer:?}");
        let message = answer.body["Message"].as_str().unwrap();
        assert!(message.len() < 1_000, "{what}: {} bytes of message", message.len());
        assert!(!message.contains(['\u{0}', '\u{1b}', '\u{202e}']), "{what}: {message:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_body_breaks_a_call_or_a_recording() {
    let running = Running::start().await;
    running.record("*", "7").await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let session = agent.session(&running, &[b"a"], Some(ExitStatus::Code(0)));
    agent.open(&running, &session).await.ok();

    let open = json!({"TerminalSessionToken": session.token(), "Kind": "terminal", "Start": "AAAA"});
    let grant = json!({"ObjectName": "terminal/000000.cast.zst", "Length": 10, "Sha256": "0".repeat(64)});
    let seal = json!({"Manifest": "AAAA", "Signature": "AAAA"});
    for (path, body) in [
        ("/agent/v1/recordings".to_owned(), open),
        (session.path("grants"), grant),
        (session.path("segments"), claim(&session.segments[0])),
        (session.path("seal"), seal),
    ] {
        for body in spoiled(&body) {
            let answer = agent.post(&running, &path, &body).await;
            check(&answer, &format!("{path} {:.200}", body.to_string()));
        }
        for bytes in [&b""[..], b"\xff\xfe", b"{", b"[[[[[[[[[["] {
            let token = agent.token(&running, "POST", &path, bytes);
            let request = running.http.post(running.url(&path)).bearer_auth(token).body(bytes.to_vec());
            let answer = Answer::of(request.send().await.unwrap()).await;
            assert_eq!(answer.refusal(), (400, "InvalidRequest"), "{path}");
        }
    }
    for number in 0..session.segments.len() {
        agent.deliver(&running, &session, number).await;
    }
    assert_eq!(agent.seal(&running, &session).await.ok()["Status"], "finished");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_enrolment_breaks_the_call() {
    let running = Running::start().await;
    let (key, sealing) = (agent_protocol::PrivateKey::generate().unwrap(), recording::SealingKey::generate());
    let body = enrolment("hjt-unknown", "i-web1", &key, &sealing, false);
    for body in spoiled(&body) {
        check(&send_enrolment(&running, &body).await, &format!("{:.200}", body.to_string()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_or_method_breaks_the_server() {
    let running = Running::start().await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    for path in [
        "/agent/v1",
        "/agent/v1/",
        "/agent/v1/recordings/%00/seal",
        "/agent/v1/recordings/%ff/seal",
        "/agent/v1/recordings/../../seal",
        "/agent/v1/uploads/a/b/c/d",
        "/replay/v1/recordings/%2e%2e/cast",
        "/replay/v1/recordings//",
        "/replay/v1/recordings/0/objects/%2e%2e%2f",
        "/view/instance/record/replay/%3Cscript%3E",
    ] {
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::HEAD, Method::PATCH] {
            let token = agent.token(&running, method.as_str(), path, b"{}");
            let request =
                running.http.request(method.clone(), running.url(path)).bearer_auth(token).body("{}");
            let response = request.send().await.unwrap();
            assert!(response.status().as_u16() < 500, "{method} {path}: {response:?}");
            assert!(response.headers().contains_key("x-acs-request-id"), "{method} {path}: {response:?}");
            let text = response.text().await.unwrap();
            assert!(!text.contains("<script>"), "{method} {path}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_seal_may_be_large_and_only_an_agent_may_send_it() {
    let running = Running::start().await;
    running.record("*", "7").await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let session = agent.session(&running, &[b"a"], None);
    agent.open(&running, &session).await.ok();
    let large = |bytes: usize| json!({"Manifest": "A".repeat(bytes), "Signature": "AAAA"});
    let answer = agent.post(&running, &session.path("seal"), &large(8 * 1024 * 1024)).await;
    assert_eq!(answer.refusal(), (400, "InvalidManifest"));
    let answer = agent.post(&running, &session.path("grants"), &large(2 * 1024 * 1024)).await;
    assert_eq!(answer.refusal(), (413, "RequestEntityTooLarge"));
    // An unknown caller is refused before the body is read.
    let endless = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 65_536]));
    let request = running
        .http
        .post(running.url(&session.path("seal")))
        .bearer_auth("eyJ0eXAiOiJKV1QifQ.e30.AAAA")
        .body(reqwest::Body::wrap_stream(endless));
    match request.send().await {
        Ok(response) => assert_eq!(Answer::of(response).await.refusal(), (401, "InvalidAgentToken")),
        // The server closed the connection while the client was still writing.
        Err(error) => assert!(error.is_request() || error.is_body(), "{error:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_learns_the_time_even_from_a_refused_large_seal() {
    let running = Running::start().await;
    running.record("*", "7").await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let session = agent.session(&running, &[b"a"], None);
    agent.open(&running, &session).await.ok();
    let body = json!({"Manifest": "A".repeat(6 * 1024 * 1024), "Signature": "AAAA"}).to_string();
    for _ in 0..5 {
        let token = agent.token(&running, "POST", &session.path("seal"), body.as_bytes());
        running.advance_seconds(120);
        let request =
            running.http.post(running.url(&session.path("seal"))).bearer_auth(token).body(body.clone());
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert_eq!(answer.refusal(), (401, "InvalidAgentToken.Expired"));
        assert!(answer.headers.contains_key("date"));
    }
}
