//! Storage targets where the store cannot keep recordings: Set refuses them, and a recording waits for a better one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::clock::Clock as _;
use recording::{ExitStatus, Start};
use serde_json::{Value, json};

use crate::files::files;
use crate::link::DialledLink;
use crate::recording_agent::{TestAgent, claim, object_name, upload};
use test_server::{Answer, Running};

const BUCKET: &str = "workbench-record-1000000000000001-demo";

fn target(below: &str) -> String {
    format!("acs:oss:cn-hangzhou:1000000000000001:{BUCKET}{below}")
}

async fn set(running: &Running, enabled: &str, target: &str) -> (u16, String, String) {
    let parameters = [("InstanceId", "i-web1"), ("Enabled", enabled), ("RecordStorageTarget", target)];
    let answer = running.call("SetInstanceRecordConfig", &parameters).await;
    let text = |field: &str| answer.body[field].as_str().unwrap_or_default().to_owned();
    (answer.status, text("Code"), text("Message"))
}

async fn target_in_force(running: &Running) -> Value {
    let reply = running.call("GetInstanceRecordConfig", &[("InstanceId", "i-web1")]).await.ok();
    reply["Root"]["RecordStorageTarget"].clone()
}

#[tokio::test]
async fn set_refuses_what_the_store_refuses_and_changes_nothing() {
    let running = Running::start().await;
    let bucket = running.objects_folder().join(BUCKET);
    std::fs::create_dir_all(&bucket).unwrap();
    std::fs::write(bucket.join("object"), b"x").unwrap();
    assert_eq!(set(&running, "true", &target("/record")).await.0, 200);
    for refused in ["/.hansard-unfinished", "/a/.hansard-unfinished/b", "/object", "/object/below"] {
        for enabled in ["true", "false"] {
            let (status, code, message) = set(&running, enabled, &target(refused)).await;
            assert_eq!(
                (status, code.as_str()),
                (400, "InvalidRecordStorageTarget.Format"),
                "{refused}: {message}"
            );
        }
        assert_eq!(target_in_force(&running).await, target("/record"));
    }
    let file = BUCKET.replace("demo", "file");
    std::fs::write(running.objects_folder().join(&file), b"in the way").unwrap();
    let (status, code, message) = set(&running, "true", &target("").replace(BUCKET, &file)).await;
    assert_eq!((status, code.as_str()), (400, "InvalidRecordStorageTarget.BucketName"), "{message}");
    let unfinished = running.objects_folder().join(".hansard-unfinished");
    let _ = std::fs::remove_dir_all(&unfinished);
    std::fs::write(&unfinished, b"in the way").unwrap();
    let (status, code, message) = set(&running, "true", &target("/record")).await;
    assert_eq!((status, code.as_str()), (400, "InvalidRecordStorageTarget.Unreachable"), "{message}");
    // A target that went bad must not prevent switching off, and must prevent switching on.
    let off = [("InstanceId", "i-web1"), ("Enabled", "false")];
    running.call("SetInstanceRecordConfig", &off).await.ok();
    let on = running.call("SetInstanceRecordConfig", &[("InstanceId", "i-web1"), ("Enabled", "true")]).await;
    assert_eq!(on.refusal(), (400, "InvalidRecordStorageTarget.Unreachable"));
}

/// The opening of a session that began under the configuration in force, and includes that configuration.
async fn begin(running: &Running, agent: &TestAgent) -> Value {
    let signed = agent.get(running, "/agent/v1/configuration").await.ok()["Configuration"].clone();
    let payload = STANDARD.decode(signed["Payload"].as_str().unwrap()).unwrap();
    let revision = serde_json::from_slice::<Value>(&payload).unwrap()["Revision"].as_u64().unwrap();
    let session = agent.session(running, &[b"kept"], Some(ExitStatus::Code(0)));
    let start = Start { configuration_revision: revision, ..session.start };
    json!({"TerminalSessionToken": start.recording, "Kind": "terminal", "Configuration": signed,
        "Start": STANDARD.encode(start.to_document())})
}

async fn open(running: &Running, agent: &TestAgent, opening: &Value) -> Answer {
    agent.post(running, "/agent/v1/recordings", opening).await
}

#[tokio::test]
async fn a_recording_waits_for_a_target_that_can_be_used() {
    let running = Running::start().await;
    let bucket = running.objects_folder().join(BUCKET);
    std::fs::create_dir_all(&bucket).unwrap();
    let agent = TestAgent::enrol(&running, "i-web1").await;
    assert_eq!(set(&running, "true", &target("/record")).await.0, 200);
    let opening = begin(&running, &agent).await;
    // An object now has the name of the prefix.
    std::fs::write(bucket.join("record"), b"in the way").unwrap();
    let before = files(&running.objects_folder());
    for _ in 0..2 {
        let refused = open(&running, &agent, &opening).await;
        assert_eq!(refused.refusal(), (503, "StorageTargetUnusable"));
        assert_eq!(refused.body["Retryable"], true);
        let message = refused.body["Message"].as_str().unwrap();
        assert!(message.contains(&target("/record")) && message.contains("is a file"), "{message}");
    }
    assert_eq!(files(&running.objects_folder()), before, "no other bucket will do");
    assert_eq!(running.newest_status("i-web1").await, "");
    // If another target is set, the waiting recording is opened there; its retention days remain those of the start.
    let days = [
        ("InstanceId", "i-web1"),
        ("Enabled", "true"),
        ("RecordStorageTarget", &target("/better")),
        ("ExpirationDays", "30"),
    ];
    running.call("SetInstanceRecordConfig", &days).await.ok();
    let opened = open(&running, &agent, &opening).await.ok();
    assert_eq!(opened["RecordStorageTarget"], target("/better"));
    assert!(bucket.join("better").is_dir());
    let listed = running.call("ListInstanceRecords", &[("InstanceId", "i-web1")]).await.ok();
    let expires = running.clock.now().as_millis() + 7 * 86_400_000;
    let expires = domain::Timestamp::from_millis(expires).to_rfc3339_seconds();
    assert_eq!(listed["Root"]["RecordList"][0]["ExpireTime"], expires);
    // If it is opened again, it stays where it is.
    assert_eq!(open(&running, &agent, &opening).await.ok()["RecordStorageTarget"], target("/better"));
}

#[tokio::test]
async fn a_repaired_target_is_used_again() {
    let running = Running::start().await;
    let bucket = running.objects_folder().join(BUCKET);
    std::fs::create_dir_all(&bucket).unwrap();
    let agent = TestAgent::enrol(&running, "i-web1").await;
    assert_eq!(set(&running, "true", &target("/record")).await.0, 200);
    let opening = begin(&running, &agent).await;
    std::fs::write(bucket.join("record"), b"in the way").unwrap();
    assert_eq!(open(&running, &agent, &opening).await.refusal(), (503, "StorageTargetUnusable"));
    std::fs::remove_file(bucket.join("record")).unwrap();
    assert_eq!(open(&running, &agent, &opening).await.ok()["RecordStorageTarget"], target("/record"));
}

/// A recording cannot move once it is open: in each of its steps, it waits until its own target is fixed.
#[tokio::test]
async fn an_open_recording_waits_for_its_own_target() {
    let running = Running::start().await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    running.record("i-web1", "7").await;
    let session = agent.session(&running, &[b"kept"], Some(ExitStatus::Code(0)));
    agent.open(&running, &session).await.ok();
    let segment = &session.segments[0];
    let grant = agent.grant(&running, &session, &object_name(segment), &segment.bytes).await.ok();
    let bucket = std::fs::read_dir(running.objects_folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.ends_with("workbench-record-1000000000000001-default"))
        .unwrap();
    let aside = bucket.with_extension("aside");
    let break_it = || {
        std::fs::rename(&bucket, &aside).unwrap();
        std::fs::write(&bucket, b"in the way").unwrap();
    };
    let mend_it = || {
        std::fs::remove_file(&bucket).unwrap();
        std::fs::rename(&aside, &bucket).unwrap();
    };
    break_it();
    let refused = upload(&running, &grant["Grant"], &segment.bytes).await;
    assert_eq!(refused.refusal(), (503, "StorageTargetUnusable"));
    assert!(refused.body["Message"].as_str().unwrap().contains("is a file"), "{refused:?}");
    mend_it();
    upload(&running, &grant["Grant"], &segment.bytes).await.ok();
    agent.acknowledge(&running, &session, &claim(segment)).await.ok();
    for number in 1..session.segments.len() {
        agent.deliver(&running, &session, number).await;
    }
    break_it();
    assert_eq!(agent.seal(&running, &session).await.refusal(), (503, "StorageTargetUnusable"));
    mend_it();
    agent.seal(&running, &session).await.ok();
    assert_eq!(running.newest_status("i-web1").await, "finished");
}

#[tokio::test]
async fn waiting_recordings_are_listed_with_their_reason() {
    let running = Running::start().await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let agents = async || running.call("ListAgents", &[]).await.ok()["Root"]["AgentList"][0].clone();
    assert_eq!(agents().await["WaitingRecordings"], 0);
    let mut link = DialledLink::dial(&running, &agent).await;
    link.hello(&["terminal"]).await;
    link.say(json!({"Type": "waiting", "Recordings": 2, "Reason": "no \u{1b}[31mroom"})).await;
    let shown = loop {
        let shown = agents().await;
        if shown["WaitingRecordings"] != 0 {
            break shown;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(shown["WaitingRecordings"], 2);
    assert_eq!(shown["WaitingReason"], "no \\u{1b}[31mroom");
    let listed = running.call("ListInstanceRecords", &[("InstanceId", "i-web1")]).await.ok();
    let since = running.clock.now().to_rfc3339_seconds();
    assert_eq!(
        listed["Root"]["WaitingList"],
        json!([{"InstanceId": "i-web1", "AgentId": agent.id, "Recordings": 2, "Reason": "no \\u{1b}[31mroom", "Since": since}])
    );
    let other = running.call("ListInstanceRecords", &[("InstanceId", "i-web2")]).await.ok();
    assert!(other["Root"].get("WaitingList").is_none(), "{other}");
    // The room on the spool's disk is shown beside it.
    assert!(agents().await.get("SpoolDiskState").is_none());
    for (state, bytes) in [("low", 5), ("critical", 3), ("available", u64::MAX)] {
        link.say(json!({"Type": "spool-disk", "State": state, "FreeBytes": bytes})).await;
    }
    let shown = loop {
        let shown = agents().await;
        if shown["SpoolDiskState"] == "available" {
            break shown;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((&shown["SpoolDiskFreeBytes"], &shown["SpoolDiskToldAt"]), (&i64::MAX.into(), &since.into()));
    // A user who may see only some recordings of an instance does not learn how many wait there.
    let own = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"ecs-workbench:ListInstanceRecords","Resource":"*",
        "Condition":{"NumericLessThan":{"ecs-workbench:RecordingAge":"3"}}}]}"#;
    let viewer = running.user("viewer", own).await;
    let listed = running.call_as(&viewer, "ListInstanceRecords", &[("InstanceId", "i-web1")]).await;
    assert!(listed.body["Root"].get("WaitingList").is_none(), "{listed:?}");
}
