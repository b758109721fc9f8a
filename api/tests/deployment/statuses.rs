//! The status of a recording, as ListInstanceRecords shows it (DECISIONS F9), and the transitions.

use agent_protocol::{EffectiveConfiguration, SignedConfiguration};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use recording::ExitStatus;
use serde_json::{Value, json};

use crate::recording_agent::TestAgent;
use test_facts::until_async;
use test_server::Running;

async fn started() -> (Running, TestAgent) {
    let running = Running::start().await;
    running.record("*", "3").await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    (running, agent)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_by_itself_goes_from_running_to_finished() {
    let (running, agent) = started().await;
    let session = agent.session(&running, &[b"a", b"b"], Some(ExitStatus::Code(3)));
    agent.open(&running, &session).await.ok();
    assert_eq!(running.newest_status("i-web1").await, "running");
    for number in 0..session.segments.len() {
        agent.deliver(&running, &session, number).await;
        assert_eq!(running.newest_status("i-web1").await, "running");
    }
    running.advance_seconds(2);
    assert_eq!(agent.seal(&running, &session).await.ok()["Status"], "finished");
    let listed = running.call("ListInstanceRecords", &[]).await.ok();
    let record = &listed["Root"]["RecordList"][0];
    assert_eq!(
        (record["Status"].as_str(), record["RecordDurationMillis"].as_i64()),
        (Some("finished"), Some(2_000))
    );
    assert_eq!(record["GmtCreate"], "2025-11-24T16:00:00Z");
    assert_eq!(record["ExpireTime"], "2025-11-27T16:00:02Z");
    // The agent's claim is shown as a claim; nothing proves who opened the session.
    assert_eq!(record["ClaimedUser"], "ana");
    assert_eq!(record["Command"], r"bash -c $'echo \x1b[31m<b>'");
    assert_eq!(record.get("SessionOwner"), None);
    assert_eq!(listed["Root"]["TotalCount"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_breaks_off_is_interrupted_and_an_empty_one_failed() {
    let (running, agent) = started().await;
    agent.record(&running, &[b"a"], None).await;
    assert_eq!(running.newest_status("i-web1").await, "interrupted");
    running.advance_seconds(1);
    let empty = agent.session(&running, &[], None);
    agent.open(&running, &empty).await.ok();
    assert_eq!(agent.seal(&running, &empty).await.ok()["Status"], "failed");
    assert_eq!(running.newest_status("i-web1").await, "failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fast_clock_on_the_instance_keeps_no_recording_for_ever() {
    let (running, agent) = started().await;
    let mut session = agent.session(&running, &[b"a"], None);
    session.manifest.ended_at = domain::Timestamp::parse_rfc3339_seconds("2055-11-24T16:00:00Z").unwrap();
    agent.open(&running, &session).await.ok();
    agent.deliver(&running, &session, 0).await;
    running.advance_seconds(5);
    agent.seal(&running, &session).await.ok();
    let listed = running.call("ListInstanceRecords", &[]).await.ok();
    let record = &listed["Root"]["RecordList"][0];
    assert_eq!(record["ExpireTime"], "2025-11-27T16:00:05Z");
    // The claimed duration is shown.
    assert_eq!(record["RecordDurationMillis"], 946_684_800_000_i64);
    running.advance_seconds(3 * 86_400);
    let listed = running.call("ListInstanceRecords", &[]).await.ok();
    assert_eq!(listed["Root"]["TotalCount"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_recording_is_interrupted_until_its_agent_returns() {
    let (running, agent) = started().await;
    let session = agent.session(&running, &[b"a", b"b"], Some(ExitStatus::Code(0)));
    agent.open(&running, &session).await.ok();
    agent.deliver(&running, &session, 0).await;
    running.advance_seconds(601);
    // The first sweep runs when the server starts.
    let running = running.restart().await;
    until_async("the sweep marks it", async || {
        (running.newest_status("i-web1").await == "interrupted").then_some(())
    })
    .await;
    agent.deliver(&running, &session, 1).await;
    agent.deliver(&running, &session, 2).await;
    assert_eq!(agent.seal(&running, &session).await.ok()["Status"], "finished");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_goes_where_the_configuration_says_and_keeps_its_days() {
    let (running, agent) = started().await;
    let target = "acs:oss:cn-beijing:1000000000000001:workbench-record-1000000000000001-own/audit/x";
    let parameters = [
        ("InstanceId", "i-web1"),
        ("Enabled", "true"),
        ("RecordStorageTarget", target),
        ("ExpirationDays", "5"),
    ];
    running.call("SetInstanceRecordConfig", &parameters).await.ok();
    let session = agent.session(&running, &[b"a"], None);
    let opened = agent.open(&running, &session).await.ok();
    assert_eq!(opened["RecordStorageTarget"], target);
    assert_eq!(opened["ObjectPrefix"], format!("audit/x/2025/11/24/i-web1/{}/", session.token()));

    // A later change affects only later recordings.
    let other = "acs:oss:cn-beijing:1000000000000001:workbench-record-1000000000000001-other";
    let parameters = [
        ("InstanceId", "i-web1"),
        ("Enabled", "true"),
        ("RecordStorageTarget", other),
        ("ExpirationDays", "9"),
    ];
    running.call("SetInstanceRecordConfig", &parameters).await.ok();
    assert_eq!(agent.open(&running, &session).await.ok()["RecordStorageTarget"], target);
    agent.deliver(&running, &session, 0).await;
    running.advance_seconds(1);
    agent.seal(&running, &session).await.ok();
    let listed = running.call("ListInstanceRecords", &[]).await.ok();
    assert_eq!(listed["Root"]["RecordList"][0]["ExpireTime"], "2025-11-29T16:00:01Z");

    // What counts is the configuration in force when the session began, however late it is opened, because the
    // control plane signed it.
    let signed = agent.get(&running, "/agent/v1/configuration").await.ok()["Configuration"].clone();
    let seen: EffectiveConfiguration = serde_json::from_value::<SignedConfiguration>(signed.clone())
        .map(|signed| serde_json::from_slice(signed.payload.as_slice()).unwrap())
        .unwrap();
    running
        .call(
            "SetInstanceRecordConfig",
            &[("InstanceId", "i-web1"), ("Enabled", "true"), ("RecordStorageTarget", target)],
        )
        .await
        .ok();
    let open = async |revision: u64, signed: &Value| {
        let mut start = agent.session(&running, &[b"c"], None).start;
        start.configuration_revision = revision;
        let body = json!({
            "TerminalSessionToken": start.recording, "Kind": "terminal", "Configuration": signed,
            "Start": STANDARD.encode(start.to_document()),
        });
        agent.post(&running, "/agent/v1/recordings", &body).await.ok()["RecordStorageTarget"].clone()
    };
    assert_eq!(open(seen.revision, &signed).await, other, "the target that was in force");
    assert_eq!(open(seen.revision + 1, &signed).await, target, "another revision than start.json names");
    let mut forged = signed.clone();
    forged["Signatures"][0]["Signature"] = STANDARD.encode([7; 64]).into();
    assert_eq!(open(seen.revision, &forged).await, target, "not signed by us");
    running
        .call(
            "SetInstanceRecordConfig",
            &[("InstanceId", "i-web1"), ("Enabled", "true"), ("RecordStorageTarget", other)],
        )
        .await
        .ok();

    // Recording was switched off while a session continued without the control plane: what was captured is accepted
    // all the same.
    running.call("SetInstanceRecordConfig", &[("InstanceId", "i-web1"), ("Enabled", "false")]).await.ok();
    let late = agent.session(&running, &[b"b"], None);
    assert_eq!(agent.open(&running, &late).await.ok()["RecordStorageTarget"], other);
    // Started before the agent had received any configuration.
    let mut early = agent.session(&running, &[], None).start;
    early.configuration_revision = 0;
    let opened = agent.open_with(&running, &early.recording, &early.to_document()).await.ok();
    let default_target =
        "acs:oss:cn-hangzhou:1000000000000001:workbench-record-1000000000000001-default/record";
    assert_eq!(opened["RecordStorageTarget"], default_target);
}
