//! Refusals of known callers are audited too: what was asked, about which recording, and the code.

use domain::audit::AuditDecision;
use serde_json::json;

use crate::recording_agent::{TestAgent, object_name, upload};
use crate::viewer::{exchange, ticket, view};
use test_server::{Answer, Running};

const MAY_NOT: &str =
    r#"{"Version":"1","Statement":[{"Effect":"Deny","Action":"ecs-workbench:*","Resource":"*"}]}"#;

/// The last row: action, result, how and recording.
async fn last_row(running: &Running) -> (String, String, String, Option<String>) {
    let row = running.audit_rows().await.pop().unwrap();
    (row.action, row.result, row.how, row.recording)
}

fn row(
    action: &str,
    result: &str,
    how: &str,
    recording: Option<&str>,
) -> (String, String, String, Option<String>) {
    (action.into(), result.into(), how.into(), recording.map(str::to_owned))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_view_names_the_recording() {
    let running = Running::start().await;
    running.record("*", "1").await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let session = agent.record(&running, &[b"a"], None).await;
    let eve = running.user("eve", MAY_NOT).await;
    let token = Some(session.token());
    assert_eq!(view(&running, &eve, &session).await.refusal(), (403, "Forbidden.RAM"));
    assert_eq!(last_row(&running).await, row("ViewInstanceRecords", "Forbidden.RAM", "", token));

    running.advance_seconds(86_400 + 60);
    assert_eq!(view(&running, &running.root, &session).await.refusal(), (403, "InstanceRecord.Expired"));
    assert_eq!(last_row(&running).await, row("ViewInstanceRecords", "InstanceRecord.Expired", "", token));

    // A text that is not a token comes from a stranger and is not kept.
    let parameters = [("InstanceId", "i-web1"), ("TerminalSessionToken", "no token")];
    assert_eq!(running.call("ViewInstanceRecords", &parameters).await.status, 404);
    let expected = row("ViewInstanceRecords", "InvalidTerminalSessionToken.NotFound", "", None);
    assert_eq!(last_row(&running).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_genuine_ticket_that_is_refused_is_a_row() {
    let running = Running::start().await;
    running.record("*", "7").await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let session = agent.record(&running, &[b"a"], None).await;
    let other = agent.record(&running, &[b"b"], None).await;
    let token = Some(session.token());
    let held = ticket(&running, &running.root, &session).await;
    // A ticket of one recording that is used for another one: it remains unused.
    assert_eq!(exchange(&running, &other, &held).await.refusal(), (401, "InvalidReplayTicket"));
    assert_eq!(last_row(&running).await, row("ReplayRecording", "InvalidReplayTicket", "exchange", token));
    assert_eq!(exchange(&running, &session, &held).await.status, 200);
    assert_eq!(exchange(&running, &session, &held).await.refusal(), (401, "InvalidReplayTicket.Used"));
    let expected = row("ReplayRecording", "InvalidReplayTicket.Used", "exchange", token);
    assert_eq!(last_row(&running).await, expected);
    let last = running.audit_rows().await.pop().unwrap();
    assert_eq!(last.principal, "acs:ram::1000000000000001:root");
    assert_eq!(last.resource, "acs:ecs-workbench:cn-hangzhou:1000000000000001:workbench/i-web1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_call_that_an_agents_key_signed_is_a_row() {
    const CONFIGURATION: &str = "/agent/v1/configuration";
    let running = Running::start().await;
    running.record("*", "7").await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let proof = agent.token(&running, "GET", CONFIGURATION, b"");
    let replay = async || {
        let request = running.http.get(running.url(CONFIGURATION)).bearer_auth(&proof);
        Answer::of(request.send().await.unwrap()).await
    };
    replay().await.ok();
    assert_eq!(replay().await.refusal(), (401, "InvalidAgentToken.Replayed"));
    let expected = row("ReadAgentConfiguration", "InvalidAgentToken.Replayed", "", None);
    assert_eq!(last_row(&running).await, expected);
    let last = running.audit_rows().await.pop().unwrap();
    assert_eq!(last.principal, format!("acs:ecs-workbench::1000000000000001:agent/{}", agent.id));
    assert_eq!(last.decision, AuditDecision::NotAsked);

    let session = agent.session(&running, &[b"a"], None);
    agent.open(&running, &session).await.ok();
    let large = json!({"Padding": "x".repeat(2 * 1024 * 1024)});
    let answer = agent.post(&running, &session.path("segments"), &large).await;
    assert_eq!(answer.refusal(), (413, "RequestEntityTooLarge"));
    let expected = row("AcknowledgeSegment", "RequestEntityTooLarge", "", Some(session.token()));
    assert_eq!(last_row(&running).await, expected);

    TestAgent::enrol_with(&running, "i-web1", true).await;
    assert_eq!(agent.open(&running, &session).await.refusal(), (401, "AgentNotFound"));
    assert_eq!(last_row(&running).await, row("OpenRecording", "AgentNotFound", "", None));

    // A call that is not signed by any agent's key names nobody.
    let before = running.audit_rows().await.len();
    let request = running.http.get(running.url(CONFIGURATION)).bearer_auth("a.b.c");
    assert_eq!(Answer::of(request.send().await.unwrap()).await.status, 401);
    assert_eq!(running.audit_rows().await.len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_dials_the_link_with_an_agents_proof_is_a_row() {
    const LINK: &str = "/agent/v1/link";
    let running = Running::start().await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let proof = agent.token(&running, "GET", LINK, b"");
    let request =
        running.http.get(running.url(LINK)).bearer_auth(proof).header("origin", "https://elsewhere");
    assert_eq!(Answer::of(request.send().await.unwrap()).await.refusal(), (400, "InvalidRequest"));
    assert_eq!(last_row(&running).await, row("ReadAgentConfiguration", "InvalidRequest", "", None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_genuine_grant_that_is_refused_is_a_row() {
    let running = Running::start().await;
    running.record("*", "7").await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let session = agent.session(&running, &[b"a", b"b"], None);
    agent.open(&running, &session).await.ok();
    let segment = &session.segments[0];
    let grant = agent.grant(&running, &session, &object_name(segment), &segment.bytes).await.ok();
    let token = Some(session.token());

    let mut elsewhere = grant["Grant"].clone();
    elsewhere["Url"] = elsewhere["Url"].as_str().unwrap().replace("000000", "000001").into();
    assert_eq!(upload(&running, &elsewhere, &segment.bytes).await.refusal(), (403, "InvalidGrant"));
    assert_eq!(last_row(&running).await, row("GrantUpload", "InvalidGrant", "upload", token));

    TestAgent::enrol_with(&running, "i-web1", true).await;
    assert_eq!(upload(&running, &grant["Grant"], &segment.bytes).await.refusal(), (401, "AgentNotFound"));
    assert_eq!(last_row(&running).await, row("GrantUpload", "AgentNotFound", "upload", token));
}
