//! What a configuration says about sessions: how an agent is told, what it reports, and what lists show.

use agent_protocol::configuration::{DeliveryMode, FailurePolicy, RecordingConfiguration};
use agent_protocol::{EffectiveConfiguration, SignedConfiguration};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::audit::AuditDecision;
use serde_json::{Value, json};
use test_server::Running;

use crate::recording_agent::TestAgent;

/// What the agent is told now.
async fn told(running: &Running, agent: &TestAgent) -> (SignedConfiguration, RecordingConfiguration) {
    let reply = agent.get(running, "/agent/v1/configuration").await.ok();
    let signed: SignedConfiguration = serde_json::from_value(reply["Configuration"].clone()).unwrap();
    let configuration: EffectiveConfiguration = serde_json::from_slice(signed.payload.as_slice()).unwrap();
    let recording = configuration.recording.unwrap();
    (signed, recording)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_told_what_holds_for_its_instance() {
    let running = Running::start().await;
    running.record("*", "7").await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let (_, never_set) = told(&running, &agent).await;
    assert_eq!(never_set.failure_policy, FailurePolicy::Strict);
    assert_eq!(never_set.delivery_mode, DeliveryMode::Async);
    assert_eq!((never_set.recorded_principals, never_set.notice_text), (None, None));

    let of_all = [
        ("InstanceId", "*"),
        ("Enabled", "true"),
        ("FailurePolicy", "best_effort"),
        ("DeliveryMode", "sync"),
        ("RecordedPrincipals", "user:ana,group:ops-*"),
        ("NoticeText", "we record"),
    ];
    running.call("SetInstanceRecordConfig", &of_all).await.ok();
    let own = [("InstanceId", "i-web1"), ("Enabled", "true"), ("Notice", "none")];
    running.call("SetInstanceRecordConfig", &own).await.ok();
    let (signed, recording) = told(&running, &agent).await;
    assert_eq!(recording.selector, "i-web1");
    assert_eq!(recording.failure_policy, FailurePolicy::BestEffort);
    assert_eq!(recording.delivery_mode, DeliveryMode::Sync);
    assert_eq!(recording.recorded_principals.unwrap(), ["user:ana", "group:ops-*"]);
    assert_eq!(recording.notice_text.as_deref(), Some(""));
    // An earlier agent reads only this word here.
    let payload: Value = serde_json::from_slice(signed.payload.as_slice()).unwrap();
    assert_eq!(payload["Captures"][0]["FailurePolicy"], "strict");

    let everybody =
        [("InstanceId", "i-web1"), ("Enabled", "true"), ("RecordedPrincipals", "*"), ("Notice", "default")];
    running.call("SetInstanceRecordConfig", &everybody).await.ok();
    let (_, recording) = told(&running, &agent).await;
    assert_eq!((recording.recorded_principals, recording.notice_text), (None, None));
}

fn report() -> Value {
    json!({
        "ReportId": "0123456789abcdef0123456789abcdef", "Kind": "terminal", "ClaimedUser": "ana\u{1b}[2J (uid 1000)",
        "Sessions": 2, "FirstTime": "2025-11-24T16:00:00.000Z", "LastTime": "2025-11-24T16:00:01.000Z",
        "Reason": "the disk is full", "ConfigurationRevision": 3,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_went_on_unrecorded_are_a_row_of_the_audit_trail() {
    let running = Running::start().await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let path = "/agent/v1/unrecorded-sessions";
    agent.post(&running, path, &report()).await.ok();
    let mut bad = report();
    bad["Sessions"] = json!(0);
    assert_eq!(agent.post(&running, path, &bad).await.status, 400);

    let rows = running.audit_rows().await;
    let rows: Vec<_> = rows.iter().filter(|row| row.action == "ReportUnrecordedSessions").collect();
    let results: Vec<_> = rows.iter().map(|row| row.result.as_str()).collect();
    assert_eq!(results, ["OK", "InvalidRequest"]);
    assert_eq!(
        rows[0].how,
        "best_effort: 2 terminal sessions of ana\\u{1b}[2J (uid 1000) went on unrecorded from 2025-11-24T16:00:00.000Z to \
         2025-11-24T16:00:01.000Z, by configuration revision 3: the disk is full (report 0123456789abcdef0123456789abcdef)"
    );
    for row in rows {
        assert_eq!(row.principal, format!("acs:ecs-workbench::1000000000000001:agent/{}", agent.id));
        assert_eq!(row.resource, "acs:ecs-workbench:cn-hangzhou:1000000000000001:workbench/i-web1");
        assert_eq!(row.decision, AuditDecision::Allowed { by: "rule:agent-own-instance".into() });
    }
    // The owner of the account finds it by the instance.
    let asked = [("InstanceId", "i-web1"), ("EventAction", "ReportUnrecordedSessions")];
    let listed = running.call("ListAuditEvents", &asked).await.ok().to_string();
    assert!(listed.contains("the disk is full"), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_shows_what_becomes_of_a_recording_that_fails_and_how_it_is_delivered() {
    let running = Running::start().await;
    running.record("*", "7").await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    for (policy, shown, mode, shown_mode) in [
        (None, Value::Null, None, Value::Null),
        (Some(FailurePolicy::BestEffort), json!("best_effort"), Some(DeliveryMode::Sync), json!("sync")),
    ] {
        let mut start = agent.session(&running, &[b"a"], None).start;
        start.failure_policy = policy;
        start.delivery_mode = mode;
        let body = json!({
            "TerminalSessionToken": start.recording, "Kind": "terminal", "Start": STANDARD.encode(start.to_document()),
        });
        agent.post(&running, "/agent/v1/recordings", &body).await.ok();
        let prefix = [("TokenPrefix", start.recording.as_str())];
        let listed = running.call("ListInstanceRecords", &prefix).await.ok();
        assert_eq!(listed["Root"]["RecordList"][0]["FailurePolicy"], shown, "{listed}");
        assert_eq!(listed["Root"]["RecordList"][0]["DeliveryMode"], shown_mode, "{listed}");
    }
}
