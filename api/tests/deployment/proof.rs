//! Proofs of requests: each must have the right key, time, method, path and body, and is valid once (DECISIONS N2).

use agent_protocol::{AgentClaims, PrivateKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::AgentId;
use domain::clock::Clock as _;
use recording::ExitStatus;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::recording_agent::{TestAgent, claim, object_name, upload};
use test_server::{Answer, Running};

const PATH: &str = "/agent/v1/configuration";

async fn get_with(running: &Running, path: &str, token: &str) -> Answer {
    Answer::of(running.http.get(running.url(path)).bearer_auth(token).send().await.unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_valid_once() {
    let running = Running::start().await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let token = agent.token(&running, "GET", PATH, b"");
    get_with(&running, PATH, &token).await.ok();
    let answer = get_with(&running, PATH, &token).await;
    assert_eq!(answer.refusal(), (401, "InvalidAgentToken.Replayed"));
    // Signed again, the same call is answered.
    assert_eq!(answer.body["Retryable"], true);
    // Another process on the same database remembers it.
    let running = running.restart().await;
    assert_eq!(get_with(&running, PATH, &token).await.refusal(), (401, "InvalidAgentToken.Replayed"));
}

async fn post_with(running: &Running, path: &str, token: &str, body: &Value) -> Answer {
    let request = running.http.post(running.url(path)).bearer_auth(token).body(body.to_string());
    Answer::of(request.send().await.unwrap()).await
}

/// The token of a call that changes something is claimed with the change: of two uses at once one makes it.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_made_by_one_use_of_a_token() {
    let running = Running::start().await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let session = agent.session(&running, &[b"one", b"two"], Some(ExitStatus::Code(0)));
    let start = STANDARD.encode(&session.document);
    let open = json!({"TerminalSessionToken": session.token(), "Kind": "terminal", "Start": start});
    let segment = &session.segments[0];
    let (length, sha256) = (segment.bytes.len(), segment.sha256);
    let grant = json!({"ObjectName": object_name(segment), "Length": length, "Sha256": sha256});
    let sealed = recording::seal(&session.manifest, &agent.sealing);
    let seal =
        json!({"Manifest": STANDARD.encode(&sealed.bytes), "Signature": STANDARD.encode(sealed.signature)});
    let calls = [
        ("OpenRecording", "/agent/v1/recordings".to_owned(), open),
        ("GrantUpload", session.path("grants"), grant),
        ("AcknowledgeSegment", session.path("segments"), claim(segment)),
        ("SealRecording", session.path("seal"), seal),
    ];
    for (action, path, body) in calls {
        if action == "SealRecording" {
            for number in 1..session.segments.len() {
                agent.deliver(&running, &session, number).await;
            }
        }
        let before = running.audit_rows().await.len();
        let token = agent.token(&running, "POST", &path, body.to_string().as_bytes());
        let (one, other) = tokio::join!(
            post_with(&running, &path, &token, &body),
            post_with(&running, &path, &token, &body)
        );
        let (made, refused) = if one.status == 200 { (one, other) } else { (other, one) };
        let made = made.ok();
        assert_eq!(refused.refusal(), (401, "InvalidAgentToken.Replayed"), "{action}");
        let again = post_with(&running, &path, &token, &body).await;
        assert_eq!(again.refusal(), (401, "InvalidAgentToken.Replayed"), "{action}");
        let rows = running.audit_rows().await.split_off(before);
        let of =
            |result: &str| rows.iter().filter(|row| row.action == action && row.result == result).count();
        let changes = if action == "SealRecording" { 2 } else { 1 };
        assert_eq!((of("OK"), of("InvalidAgentToken.Replayed")), (changes, 2), "{rows:?}");
        assert_eq!(rows.len(), changes + 2, "{rows:?}");
        if action == "GrantUpload" {
            upload(&running, &made["Grant"], &segment.bytes).await.ok();
        }
    }
}

/// A call that was refused has used up its token, whether its change was asked for or not.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_call_uses_up_its_token() {
    let running = Running::start().await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let session = agent.session(&running, &[b"one", b"two"], Some(ExitStatus::Code(0)));
    agent.open(&running, &session).await.ok();
    agent.deliver(&running, &session, 0).await;
    let (ahead, again) = (claim(&session.segments[2]), claim(&session.segments[0]));
    let other = agent.session(&running, &[b"other"], None);
    let start = STANDARD.encode(&other.document);
    let conflict = json!({"TerminalSessionToken": session.token(), "Kind": "terminal", "Start": start});
    for (path, body, status) in [
        (session.path("segments"), ahead, 409),
        (session.path("segments"), again, 200),
        ("/agent/v1/recordings".to_owned(), conflict, 400),
        (session.path("grants"), json!({}), 400),
    ] {
        let token = agent.token(&running, "POST", &path, body.to_string().as_bytes());
        let first = post_with(&running, &path, &token, &body).await;
        assert_eq!(first.status, status, "{path} {}", first.body);
        let replayed = post_with(&running, &path, &token, &body).await;
        assert_eq!(replayed.refusal(), (401, "InvalidAgentToken.Replayed"), "{path}");
    }
}

/// Whoever begins to send a captured request while its token is valid may take minutes to finish it.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_remembered_as_long_as_a_body_that_came_with_it_may_take() {
    let running = Running::start().await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let (path, body) = ("/agent/v1/recordings", "{}");
    let token = agent.token(&running, "POST", path, body.as_bytes());
    let (host, length) = (running.address.trim_start_matches("http://"), body.len());
    let mut slow = TcpStream::connect(host).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\
         Expect: 100-continue\r\nConnection: close\r\n\r\n"
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    // The server asks for the body: its head has arrived.
    let mut asked = [0; 25];
    slow.read_exact(&mut asked).await.unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    let send = || running.http.post(running.url(path)).bearer_auth(&token).body(body);
    assert_eq!(Answer::of(send().send().await.unwrap()).await.refusal(), (400, "InvalidRequest"));

    running.advance_seconds(60 + 299);
    running.store.remove_lapsed(running.clock.now()).await.unwrap();
    slow.write_all(body.as_bytes()).await.unwrap();
    let mut reply = String::new();
    slow.read_to_string(&mut reply).await.unwrap();
    assert!(reply.contains("InvalidAgentToken.Replayed"), "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_valid_for_its_own_request_only() {
    let running = Running::start().await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let other_path = agent.token(&running, "GET", "/agent/v1/link", b"");
    assert_eq!(get_with(&running, PATH, &other_path).await.refusal(), (401, "InvalidAgentToken"));
    let with_query = agent.token(&running, "GET", PATH, b"");
    assert_eq!(
        get_with(&running, &format!("{PATH}?a=1"), &with_query).await.refusal(),
        (401, "InvalidAgentToken")
    );
    let signed_query = agent.token(&running, "GET", &format!("{PATH}?a=1"), b"");
    get_with(&running, &format!("{PATH}?a=1"), &signed_query).await.ok();
    let other_method = agent.token(&running, "POST", PATH, b"");
    assert_eq!(get_with(&running, PATH, &other_method).await.refusal(), (401, "InvalidAgentToken"));

    let body = json!({"TerminalSessionToken": "0".repeat(32), "Kind": "terminal", "Start": ""}).to_string();
    let token = agent.token(&running, "POST", "/agent/v1/recordings", body.as_bytes());
    let altered = body.replace("terminal", "Terminal");
    let request = running.http.post(running.url("/agent/v1/recordings")).bearer_auth(&token).body(altered);
    assert_eq!(Answer::of(request.send().await.unwrap()).await.refusal(), (401, "InvalidAgentToken"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_pinned_key_of_a_known_agent_authenticates() {
    let running = Running::start().await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let stranger = PrivateKey::generate().unwrap();
    let claims = || AgentClaims::new("GET", PATH, b"", running.clock.now().as_millis()).unwrap();
    let forged = claims().sign(&agent.id, &stranger).unwrap();
    assert_eq!(get_with(&running, PATH, &forged).await.refusal(), (401, "InvalidAgentToken"));
    let unknown = claims().sign(&AgentId::generate(), &agent.key).unwrap();
    assert_eq!(get_with(&running, PATH, &unknown).await.refusal(), (401, "AgentNotFound"));
    for nonsense in ["", "a.b.c", "Bearer", &"x".repeat(5_000)] {
        assert_eq!(
            get_with(&running, PATH, nonsense).await.refusal(),
            (401, "InvalidAgentToken"),
            "{nonsense:.20}"
        );
    }
    let without = Answer::of(running.http.get(running.url(PATH)).send().await.unwrap()).await;
    assert_eq!(without.refusal(), (401, "InvalidAgentToken"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_wrong_is_corrected_by_the_replys_date() {
    let running = Running::start().await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let late = running.clock.now().as_millis() - 3_600_000;
    let token = AgentClaims::new("GET", PATH, b"", late).unwrap().sign(&agent.id, &agent.key).unwrap();
    let answer = get_with(&running, PATH, &token).await;
    assert_eq!(answer.refusal(), (401, "InvalidAgentToken.Expired"));
    assert_eq!(answer.body["Retryable"], true);
    // 1764000000 is Mon, 24 Nov 2025 16:00:00 UTC: the time used to judge the token, not this machine's time.
    assert_eq!(answer.header("date"), "Mon, 24 Nov 2025 16:00:00 GMT");
    let corrected = agent.get(&running, PATH).await;
    let dates: Vec<_> = corrected.headers.get_all("date").iter().collect();
    assert_eq!(dates, ["Mon, 24 Nov 2025 16:00:00 GMT"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_call_is_answered_in_the_contracts_shape() {
    let running = Running::start().await;
    let send = async |method: Method, path: &str, body: Vec<u8>| {
        let request = running.http.request(method, running.url(path)).body(body);
        Answer::of(request.send().await.unwrap()).await
    };
    assert_eq!(send(Method::GET, "/agent/v1/nothing", vec![]).await.refusal(), (404, "NotFound"));
    assert_eq!(send(Method::GET, "/agent/v1/enrol", vec![]).await.refusal(), (405, "MethodNotAllowed"));
    let large = send(Method::POST, "/agent/v1/enrol", vec![b' '; 1024 * 1024 + 1]).await;
    assert_eq!(large.refusal(), (413, "RequestEntityTooLarge"));
    let document = send(Method::GET, "/agent/v1/openapi.json", vec![]).await.ok();
    assert_eq!(document["info"]["title"], "Hansard: agent API");
}
