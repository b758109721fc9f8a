//! Enrolment: what a join token permits, and what an enrolled agent receives.

use agent_protocol::keys::ServerKey;
use agent_protocol::{PrivateKey, SignedConfiguration};
use recording::SealingKey;
use serde_json::{Value, json};

use crate::recording_agent::{TestAgent, enrolment, send_enrolment};
use test_server::Running;

fn keys() -> (PrivateKey, SealingKey) {
    (PrivateKey::generate().unwrap(), SealingKey::generate())
}

async fn refused(running: &Running, body: &Value) -> (u16, String) {
    let answer = send_enrolment(running, body).await;
    let (status, code) = answer.refusal();
    (status, code.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enrolled_agent_knows_who_it_is_and_what_to_record() {
    let running = Running::start().await;
    running.record("*", "30").await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    assert_eq!(agent.enrolled["AccountId"], "1000000000000001");
    assert_eq!(agent.enrolled["InstanceId"], "i-web1");
    assert_eq!(agent.enrolled["Region"], "cn-hangzhou");

    let pinned: Vec<ServerKey> = serde_json::from_value(agent.enrolled["ServerKeys"].clone()).unwrap();
    let signed: SignedConfiguration =
        serde_json::from_value(agent.enrolled["Configuration"].clone()).unwrap();
    let configuration = signed.verify(&pinned).unwrap();
    configuration.check_meant_for(&agent.id, &agent.instance).unwrap();
    let recording = configuration.recording.clone().unwrap();
    let default_target =
        "acs:oss:cn-hangzhou:1000000000000001:workbench-record-1000000000000001-default/record";
    assert_eq!(
        (recording.record_storage_target.as_str(), recording.expiration_days, recording.selector.as_str()),
        (default_target, 30, "*")
    );
    assert_eq!(configuration.default_record_storage_target, default_target);
    assert_eq!(configuration.default_expiration_days, 7);
    // Captures are delegated by capability: a kind that this control plane does not know is not requested.
    let kinds: Vec<_> = configuration.captures.iter().map(|capture| capture.kind.as_str()).collect();
    assert_eq!(kinds, ["terminal"]);

    let listed = running.call("ListAgents", &[]).await.ok();
    assert_eq!(listed["Root"]["AgentList"][0]["AgentId"], agent.id.as_str());
    assert_eq!(listed["Root"]["AgentList"][0]["Hostname"], "web1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_token_is_valid_for_one_agent_of_its_instances_until_it_expires() {
    let running = Running::start().await;
    let (key, sealing) = keys();
    let body = |token: &str, instance: &str| enrolment(token, instance, &key, &sealing, false);

    assert_eq!(
        refused(&running, &body("hjt-nobody-made-this", "i-web1")).await,
        (403, "InvalidJoinToken.NotFound".into())
    );
    let token = running.join_token("i-web*", false).await;
    assert_eq!(
        refused(&running, &body(&token, "i-db1")).await,
        (403, "InvalidJoinToken.InstanceMismatch".into())
    );
    send_enrolment(&running, &body(&token, "i-web1")).await.ok();
    assert_eq!(refused(&running, &body(&token, "i-web2")).await, (403, "InvalidJoinToken.Used".into()));

    let late = running.join_token("i-web3", false).await;
    running.advance_seconds(601);
    assert_eq!(refused(&running, &body(&late, "i-web3")).await, (403, "InvalidJoinToken.Expired".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enrolment_whose_reply_was_lost_is_answered_again() {
    let running = Running::start().await;
    let (key, sealing) = keys();
    let token = running.join_token("i-web*", false).await;
    let body = enrolment(&token, "i-web1", &key, &sealing, false);
    let first = send_enrolment(&running, &body).await.ok();
    running.advance_seconds(60);
    let again = send_enrolment(&running, &body).await.ok();
    assert_eq!((&first["AgentId"], &first["ServerKeys"]), (&again["AgentId"], &again["ServerKeys"]));
    let listed = running.call("ListAgents", &[]).await.ok();
    assert_eq!(listed["Root"]["AgentList"].as_array().unwrap().len(), 1);
    let row = running.audit_rows().await.into_iter().rfind(|row| row.action == "EnrolAgent").unwrap();
    assert_eq!((row.result.as_str(), row.how.as_str()), ("OK", "again"));
    assert!(row.principal.ends_with(first["AgentId"].as_str().unwrap()), "{}", row.principal);

    // With other keys, or for another instance, the token counts as used.
    let used = (403, "InvalidJoinToken.Used".to_owned());
    let (other_key, other_sealing) = keys();
    for body in [
        enrolment(&token, "i-web1", &other_key, &sealing, false),
        enrolment(&token, "i-web1", &key, &other_sealing, false),
        enrolment(&token, "i-web2", &key, &sealing, false),
    ] {
        assert_eq!(refused(&running, &body).await, used, "{body}");
    }
    // A replaced agent cannot come back either, nor can one with an expired token.
    TestAgent::enrol_with(&running, "i-web1", true).await;
    assert_eq!(refused(&running, &body).await, used);
    let late = running.join_token("i-web3", false).await;
    let body = enrolment(&late, "i-web3", &key, &sealing, false);
    send_enrolment(&running, &body).await.ok();
    running.advance_seconds(601);
    assert_eq!(refused(&running, &body).await, used);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_enrolments_with_one_token_at_once_make_one_agent() {
    let running = Running::start().await;
    let token = running.join_token("*", false).await;
    let enrol = async |instance: &str| {
        let (key, sealing) = keys();
        send_enrolment(&running, &enrolment(&token, instance, &key, &sealing, false)).await.status
    };
    let (one, other) = tokio::join!(enrol("i-one"), enrol("i-two"));
    let mut statuses = [one, other];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 403]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_administrator_can_let_an_agent_take_over_an_instance() {
    let running = Running::start().await;
    let first = TestAgent::enrol(&running, "i-web1").await;
    let (key, sealing) = keys();
    let plain = running.join_token("i-web1", false).await;
    for replace in [false, true] {
        let body = enrolment(&plain, "i-web1", &key, &sealing, replace);
        assert_eq!(refused(&running, &body).await, (409, "AgentAlreadyEnrolled".into()), "Replace={replace}");
    }
    let permitting = running.join_token("i-web1", true).await;
    let without_asking = enrolment(&permitting, "i-web1", &key, &sealing, false);
    assert_eq!(refused(&running, &without_asking).await, (409, "AgentAlreadyEnrolled".into()));
    send_enrolment(&running, &enrolment(&permitting, "i-web1", &key, &sealing, true)).await.ok();

    let answer = first.get(&running, "/agent/v1/configuration").await;
    assert_eq!(answer.refusal(), (401, "AgentNotFound"));
    assert_eq!(answer.body["Retryable"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_enrolment_says_what_is_wrong_and_costs_no_token() {
    let running = Running::start().await;
    let (key, sealing) = keys();
    let token = running.join_token("i-web1", false).await;
    let good = enrolment(&token, "i-web1", &key, &sealing, false);
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    let same_key = key.public_key().to_string();
    for (body, word) in [
        (with("InstanceId", json!("../etc")), "instance id"),
        (with("AuthenticationPublicKey", json!("AAAA")), "public key"),
        (with("SealingPublicKey", json!(same_key)), "different keys"),
        (with("Hostname", json!("web\u{1b}[2J")), "control characters"),
        (with("Capabilities", json!([{"Kind": "", "Version": "1"}])), "Capabilities"),
        (json!([]), "body"),
        (json!({"JoinToken": token}), "missing field"),
    ] {
        let answer = send_enrolment(&running, &body).await;
        assert_eq!(answer.refusal(), (400, "InvalidRequest"), "{body}");
        let message = answer.body["Message"].as_str().unwrap();
        assert!(message.contains(word), "{message}");
        assert!(!message.contains(&token), "a message repeats the token");
    }
    send_enrolment(&running, &good).await.ok();
}
