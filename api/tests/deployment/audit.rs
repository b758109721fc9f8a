//! What is audited: one final row for every call of an agent, and for every view of a recording (DECISIONS A1, P2).

use domain::audit::{AuditDecision, AuditEvent};

use crate::recording_agent::{TestAgent, claim};
use crate::viewer::{Viewer, exchange, ticket};
use test_server::Running;

const MAY_VIEW: &str = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"ecs-workbench:ViewInstanceRecords","Resource":"*"}]}"#;
const MAY_NOT: &str =
    r#"{"Version":"1","Statement":[{"Effect":"Deny","Action":"ecs-workbench:*","Resource":"*"}]}"#;

/// The rows of these actions in their order, as action, result and `how`.
async fn rows(running: &Running, actions: &[&str]) -> Vec<(String, String, String)> {
    let found = running.audit_rows().await.into_iter().filter(|row| actions.contains(&row.action.as_str()));
    found.map(|row| (row.action, row.result, row.how)).collect()
}

fn row(action: &str, result: &str, how: &str) -> (String, String, String) {
    (action.into(), result.into(), how.into())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_an_agent_is_one_row_and_no_row_holds_a_credential() {
    let running = Running::start().await;
    running.record("*", "7").await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    agent.get(&running, "/agent/v1/configuration").await.ok();
    let session = agent.record(&running, &[b"a"], None).await;
    agent.open(&running, &session).await.ok();
    assert_eq!(agent.grant(&running, &session, "start.json", b"x").await.status, 400);
    let mut next = claim(&session.segments[0]);
    next["Number"] = 1.into();
    assert_eq!(agent.acknowledge(&running, &session, &next).await.status, 409);

    let actions = [
        "EnrolAgent",
        "ReadAgentConfiguration",
        "OpenRecording",
        "GrantUpload",
        "AcknowledgeSegment",
        "SealRecording",
    ];
    let sealed_by = format!("seal, manifest {}", recording::seal(&session.manifest, &agent.sealing).sha256());
    let expected = [
        row("EnrolAgent", "OK", ""),
        row("ReadAgentConfiguration", "OK", ""),
        row("OpenRecording", "OK", "number 1"),
        row("GrantUpload", "OK", ""),
        row("GrantUpload", "OK", "upload"),
        row("AcknowledgeSegment", "OK", ""),
        // Two changes: sealed, then confirmed as complete in the bucket.
        row("SealRecording", "OK", &sealed_by),
        row("SealRecording", "OK", "deliver"),
        row("OpenRecording", "OK", ""),
        row("GrantUpload", "InvalidObjectName", ""),
        row("AcknowledgeSegment", "RecordingSealed", ""),
    ];
    assert_eq!(rows(&running, &actions).await, expected);
    for row in running.audit_rows().await {
        let text = format!("{row:?}");
        assert!(!text.contains("hjt-") && !text.contains("eyJ"), "{text}");
        if actions.contains(&row.action.as_str()) {
            assert_eq!(row.principal, format!("acs:ecs-workbench::1000000000000001:agent/{}", agent.id));
            assert_eq!(row.resource, "acs:ecs-workbench:cn-hangzhou:1000000000000001:workbench/i-web1");
            assert_eq!(row.decision, AuditDecision::Allowed { by: "rule:agent-own-instance".into() });
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_enrolment_is_an_event_of_the_tokens_account() {
    let running = Running::start().await;
    TestAgent::enrol(&running, "i-web1").await;
    let token = running.join_token("i-web1", false).await;
    let (key, sealing) = (agent_protocol::PrivateKey::generate().unwrap(), recording::SealingKey::generate());
    let body = crate::recording_agent::enrolment(&token, "i-web1", &key, &sealing, true);
    assert_eq!(crate::recording_agent::send_enrolment(&running, &body).await.status, 409);
    let rows = rows(&running.restart().await, &["EnrolAgent"]).await;
    let refused = row("EnrolAgent", "AgentAlreadyEnrolled", "1 refused: AgentAlreadyEnrolled 1");
    assert_eq!(rows, [row("EnrolAgent", "OK", ""), refused]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_token_cannot_fill_the_audit() {
    let running = Running::start().await;
    TestAgent::enrol(&running, "i-web1").await;
    let token = running.join_token("i-web1", false).await;
    let (key, sealing) = (agent_protocol::PrivateKey::generate().unwrap(), recording::SealingKey::generate());
    let body = crate::recording_agent::enrolment(&token, "i-web1", &key, &sealing, false);
    let refused = async |times, status| {
        for _ in 0..times {
            assert_eq!(crate::recording_agent::send_enrolment(&running, &body).await.status, status);
        }
    };
    refused(5, 409).await;
    running.advance_seconds(60);
    refused(4, 409).await;
    running.advance_seconds(600);
    refused(3, 403).await;
    let rows = rows(&running.restart().await, &["EnrolAgent"]).await;
    let taken = |how| row("EnrolAgent", "AgentAlreadyEnrolled", how);
    let expected = [
        row("EnrolAgent", "OK", ""),
        taken("5 refused: AgentAlreadyEnrolled 5"),
        taken("4 refused: AgentAlreadyEnrolled 4"),
        row("EnrolAgent", "InvalidJoinToken.Expired", "3 refused: InvalidJoinToken.Expired 3"),
    ];
    assert_eq!(rows, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_read_of_a_recording_is_audited_in_full() {
    let running = Running::start().await;
    running.record("*", "7").await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let session = agent.record(&running, &[b"a"], None).await;
    let ana = running.user("ana", MAY_VIEW).await;
    let viewer = Viewer::open(&running, &ana, &session).await;
    viewer.get(&running, "").await.ok();
    viewer.bytes(&running, "/cast").await;
    viewer.bytes(&running, "/objects/start.json").await;
    assert_eq!(viewer.get(&running, "/objects/none").await.status, 404);
    let unused = ticket(&running, &ana, &session).await;
    running.policy("ana", MAY_NOT).await;
    assert_eq!(viewer.get(&running, "/cast").await.status, 403);
    assert_eq!(exchange(&running, &session, &unused).await.status, 403);

    let rows: Vec<AuditEvent> = running
        .audit_rows()
        .await
        .into_iter()
        .filter(|row| row.principal == "acs:ram::1000000000000001:user/ana" && row.recording.is_some())
        .collect();
    let seen: Vec<_> =
        rows.iter().map(|row| (row.action.as_str(), row.result.as_str(), row.how.as_str())).collect();
    assert_eq!(
        seen,
        [
            ("ViewInstanceRecords", "OK", "ticket"),
            ("ReplayRecording", "OK", "exchange"),
            ("ReplayRecording", "OK", "facts"),
            ("ReplayRecording", "OK", "replay"),
            ("ReplayRecording", "OK", "download"),
            ("ReplayRecording", "ObjectNotFound", "download"),
            ("ViewInstanceRecords", "OK", "ticket"),
            ("ReplayRecording", "Forbidden.RAM", "replay"),
            ("ReplayRecording", "Forbidden.RAM", "exchange"),
        ]
    );
    for row in rows {
        assert_eq!(row.recording.as_deref(), Some(session.token()));
        assert_eq!(row.source_address, Some("127.0.0.1".parse().unwrap()));
        assert_eq!(row.resource, "acs:ecs-workbench:cn-hangzhou:1000000000000001:workbench/i-web1");
    }
}
