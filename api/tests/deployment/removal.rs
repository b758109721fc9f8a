//! DeleteAgent: the agent's keys are refused at once on every replica, its link is closed, its open recordings end, and
//! what it has recorded stays as it was.

use std::time::Duration;

use recording::ExitStatus;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::files::files;
use crate::link::DialledLink;
use crate::recording_agent::{Session, TestAgent, claim, enrolment, object_name, send_enrolment, upload};
use crate::viewer::Viewer;
use test_facts::postgres::{FAST, new_database};
use test_server::{Running, listen_for_replicas};

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(3_600);

const MAY_REMOVE: &str = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"ecs-workbench:DeleteAgent","Resource":"acs:ecs-workbench:*:*:workbench/i-web1"}]}"#;

const MAY_VIEW: &str = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"ecs-workbench:ViewInstanceRecords","Resource":"*"}]}"#;

/// An agent with a recording of which one segment of two has arrived.
async fn recording(running: &Running) -> (TestAgent, Session) {
    running.record("*", "7").await;
    let agent = TestAgent::enrol(running, "i-web1").await;
    let session = agent.session(running, &[b"hello\r\n", b"world\r\n"], None);
    agent.open(running, &session).await.ok();
    agent.deliver(running, &session, 0).await;
    (agent, session)
}

async fn remove(running: &Running) -> Value {
    running.call("DeleteAgent", &[("InstanceId", "i-web1")]).await.ok()["Root"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_agent_is_refused_whatever_it_asks_for() {
    let running = Running::start().await;
    let (agent, session) = recording(&running).await;
    let segment = &session.segments[1];
    let grant = agent.grant(&running, &session, &object_name(segment), &segment.bytes).await.ok();
    running.advance_seconds(60);
    let removed = remove(&running).await;
    assert_eq!(removed, json!({"AgentId": agent.id, "InstanceId": "i-web1", "RecordingsEnded": 1}));
    let before = files(&running.objects_folder());

    let another = agent.session(&running, &[b"later"], None);
    let late = upload(&running, &grant["Grant"], &segment.bytes).await;
    for refused in [
        agent.get(&running, "/agent/v1/configuration").await,
        agent.open(&running, &another).await,
        agent.grant(&running, &session, &object_name(segment), &segment.bytes).await,
        agent.acknowledge(&running, &session, &claim(segment)).await,
        agent.seal(&running, &session).await,
        late,
    ] {
        assert_eq!(refused.refusal(), (401, "AgentNotFound"));
        assert_eq!(refused.body["Retryable"], false);
        let message = refused.body["Message"].as_str().unwrap();
        assert!(message.contains("was removed at 2025-11-24T16:01:00Z"), "{message}");
    }
    assert_eq!(files(&running.objects_folder()), before, "nothing was added to the bucket");
    // Somebody without its key learns nothing of it.
    let stranger = TestAgent::enrol(&running, "i-web2").await;
    let forged = TestAgent { id: agent.id.clone(), ..stranger };
    let refused = forged.get(&running, "/agent/v1/configuration").await;
    assert_eq!(refused.refusal(), (401, "InvalidAgentToken"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_recorded_stays_and_says_why_it_ended() {
    let running = Running::start().await;
    let (agent, open) = recording(&running).await;
    let sealed = agent.record(&running, &[b"whole\r\n"], Some(ExitStatus::Code(0))).await;
    running.advance_seconds(60);
    assert_eq!(remove(&running).await["RecordingsEnded"], 1);

    let list = running.call("ListInstanceRecords", &[]).await.ok();
    let item = |session: &Session| {
        let list = list["Root"]["RecordList"].as_array().unwrap();
        list.iter().find(|item| item["TerminalSessionToken"] == session.token()).unwrap().clone()
    };
    assert_eq!(item(&sealed)["Status"], "finished");
    let ended = item(&open);
    assert_eq!(ended["Status"], "interrupted");
    let reason = ended["StatusReason"].as_str().unwrap();
    assert_eq!(reason, format!("the agent {} was removed while it was recording", agent.id));

    // Both are played, and each is trusted by the key that is still published.
    let ana = running.user("ana", MAY_VIEW).await;
    for session in [&sealed, &open] {
        let listed = Viewer::open(&running, &ana, session).await.get(&running, "/objects").await.ok();
        let signer = &listed["Signer"];
        assert_eq!(signer["SealingPublicKey"], agent.sealing.public_key().to_string());
        assert_eq!(signer["ReplacedAt"], "2025-11-24T16:01:00Z");
    }
    let agents = running.call("ListAgents", &[]).await.ok();
    assert_eq!(agents["Root"]["TotalCount"], 0);
    let agents = running.call("ListAgents", &[("IncludeReplaced", "true")]).await.ok();
    let listed = &agents["Root"]["AgentList"][0];
    assert_eq!((&listed["RemovedAt"], &listed["ReplacedAt"]), (&json!("2025-11-24T16:01:00Z"), &json!(null)));
    assert_eq!((&listed["Status"], &listed["AgentId"]), (&json!("offline"), &json!(agent.id)));
    // Nothing is missing: that recording has a row, and says that no manifest will come.
    let checked = running.call("VerifyAgentRecordings", &[("InstanceId", "i-web1")]).await.ok();
    let checked = &checked["Root"]["AgentList"][0];
    assert_eq!((&checked["RecordingCount"], &checked["GoneCount"]), (&json!(2), &json!(0)));
    assert_eq!(checked["NotArrivedCount"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_needs_permission_for_the_instance_and_is_in_the_trail() {
    let running = Running::start().await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let neighbour = TestAgent::enrol(&running, "i-web2").await;
    let ben = running.user("ben", MAY_REMOVE).await;
    let call = async |parameters: &[(&str, &str)]| running.call_as(&ben, "DeleteAgent", parameters).await;
    assert_eq!(call(&[("InstanceId", "i-web2")]).await.refusal(), (403, "Forbidden.RAM"));
    // Naming another instance's agent is no way round that, and tells nothing of it.
    let sideways = call(&[("InstanceId", "i-web1"), ("AgentId", neighbour.id.as_str())]).await;
    assert_eq!(sideways.refusal(), (404, "InvalidAgentId.NotFound"));
    call(&[("InstanceId", "i-web1"), ("AgentId", agent.id.as_str())]).await.ok();
    assert_eq!(call(&[("InstanceId", "i-web1")]).await.refusal(), (404, "InvalidAgentId.NotFound"));
    neighbour.get(&running, "/agent/v1/configuration").await.ok();

    let rows = running.audit_rows().await;
    let rows: Vec<_> = rows.iter().filter(|row| row.action == "DeleteAgent").collect();
    let told: Vec<_> = rows.iter().map(|row| (row.result.as_str(), row.how.clone())).collect();
    let removed = format!("{}, 0 recordings ended", agent.id);
    assert_eq!(
        told,
        [
            ("Forbidden.RAM", String::new()),
            ("InvalidAgentId.NotFound", String::new()),
            ("OK", removed),
            ("InvalidAgentId.NotFound", String::new()),
        ]
    );
    assert!(rows[2].principal.ends_with(":user/ben"), "{}", rows[2].principal);
    assert!(rows[2].resource.ends_with(":workbench/i-web1"), "{}", rows[2].resource);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_link_of_a_removed_agent_is_closed_before_the_reply() {
    let running = Running::adjusted(|settings| {
        settings.link_timing.ping_every = NEVER;
        settings.link_timing.silent_after = NEVER;
    })
    .await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let mut link = DialledLink::dial(&running, &agent).await;
    link.hello(&["terminal"]).await;
    link.configuration().await;
    // A link that has not said hello has no lease by which it could be found.
    let other = TestAgent::enrol(&running, "i-web2").await;
    let mut silent = DialledLink::dial(&running, &other).await;
    remove(&running).await;
    running.call("DeleteAgent", &[("InstanceId", "i-web2")]).await.ok();
    assert_eq!(link.close_code().await, Some(CloseCode::Policy));
    assert_eq!(silent.close_code().await, Some(CloseCode::Policy));
}

async fn an_agent_that_is_removed_at_one_replica_is_refused_at_the_other(database: Option<String>) {
    // Within the time of this test, the holder does not notice it by itself.
    let one = Running::reachable_with(database, |settings| {
        listen_for_replicas(settings);
        settings.link_timing.ping_every = NEVER;
        settings.link_timing.silent_after = NEVER;
    })
    .await;
    let other = one.another().await;
    let (agent, session) = recording(&one).await;
    let mut link = DialledLink::dial(&one, &agent).await;
    link.hello(&["terminal"]).await;
    link.configuration().await;
    remove(&other).await;
    // At once, and not only after a second.
    let refused = agent.acknowledge(&one, &session, &claim(&session.segments[1])).await;
    assert_eq!(refused.refusal(), (401, "AgentNotFound"));
    assert_eq!(link.close_code().await, Some(CloseCode::Policy));
    assert_eq!(one.newest_status("i-web1").await, "interrupted");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_removed_at_one_replica_is_refused_at_the_other_on_sqlite() {
    an_agent_that_is_removed_at_one_replica_is_refused_at_the_other(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_removed_at_one_replica_is_refused_at_the_other_on_postgres() {
    an_agent_that_is_removed_at_one_replica_is_refused_at_the_other(Some(new_database(FAST).await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_enrols_again_after_its_agent_was_removed() {
    let running = Running::start().await;
    let token = running.join_token("i-web1", false).await;
    let (first, _) = recording(&running).await;
    remove(&running).await;
    // The token that the removed agent had is not good for another enrolment, not even of the same keys.
    let again = enrolment(&token, "i-web1", &first.key, &first.sealing, false);
    let second = send_enrolment(&running, &again).await.ok();
    assert_ne!(second["AgentId"], first.id.as_str());
    remove(&running).await;
    assert_eq!(send_enrolment(&running, &again).await.refusal(), (403, "InvalidJoinToken.Used"));

    // Which of two recordings of one moment is the newer one is left to chance.
    running.advance_seconds(1);
    let third = TestAgent::enrol(&running, "i-web1").await;
    let session = third.session(&running, &[b"again\r\n"], None);
    third.open(&running, &session).await.ok();
    third.deliver(&running, &session, 0).await;
    assert_eq!(running.newest_status("i-web1").await, "running");
    assert_eq!(first.get(&running, "/agent/v1/configuration").await.refusal(), (401, "AgentNotFound"));
}
