//! Replay: a ticket is valid once, a session for one recording; policy and expiry are checked at every step.

use domain::access_key::AccessKeyStatus;
use domain::audit::{AuditDecision, AuditEvent};
use recording::ExitStatus;
use reqwest::header::{CONTENT_TYPE, COOKIE, ORIGIN};
use serde_json::json;

use crate::files::files;
use crate::recording_agent::{Session, TestAgent, object_name};
use crate::viewer::{Viewer, exchange, ticket, view};
use test_server::{Answer, Key, Running};

const MAY_VIEW: &str = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"ecs-workbench:ViewInstanceRecords","Resource":"*"}]}"#;
const MAY_VIEW_NO_TERMINAL: &str = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"ecs-workbench:ViewInstanceRecords","Resource":"*"},
    {"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringEquals":{"ecs-workbench:CaptureKind":"terminal"}}}]}"#;
const MAY_NOT: &str =
    r#"{"Version":"1","Statement":[{"Effect":"Deny","Action":"ecs-workbench:*","Resource":"*"}]}"#;

async fn recorded(exit: Option<ExitStatus>) -> (Running, TestAgent, Session) {
    let running = Running::start().await;
    running.record("*", "1").await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let session = agent.record(&running, &[b"hello\r\n", b"\x1b[1mbye\xff\r\n"], exit).await;
    (running, agent, session)
}

async fn finished() -> (Running, TestAgent, Session) {
    recorded(Some(ExitStatus::Code(0))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_reads_what_was_recorded() {
    let (running, _, session) = finished().await;
    let viewer = Viewer::open(&running, &running.root, &session).await;
    for below in ["", "/"] {
        let facts = viewer.get(&running, below).await.ok();
        assert_eq!(facts["InstanceId"], "i-web1");
        assert_eq!(facts["Status"], "finished");
        assert_eq!(facts["StartTime"], "2025-11-24T16:00:00Z");
        assert_eq!(facts["RecordDurationMillis"], 2_000);
        // It was sealed at once, so no later end counts.
        assert_eq!(facts["ExpireTime"], "2025-11-25T16:00:00Z");
        assert_eq!(facts["ClaimedUser"], "ana");
        assert_eq!(facts["Recorder"], "same-user");
        // As the agent reported it; the page escapes it.
        assert_eq!(facts["Command"], json!(["bash", "-c", "echo \u{1b}[31m<b>"]));
    }
    let cast = String::from_utf8(viewer.bytes(&running, "/cast").await).unwrap();
    let lines: Vec<_> = cast.lines().collect();
    assert!(lines[0].starts_with(r#"{"version":2,"width":80,"height":24"#), "{}", lines[0]);
    assert_eq!(lines[1], r#"[0.000000,"o","hello\r\n"]"#);
    assert_eq!(lines.last().unwrap(), &r#"[2.000000,"x","0"]"#);
    assert_eq!(viewer.bytes(&running, "/text").await, b"hello\r\n\x1b[1mbye\xff\r\n");
    for below in ["/cast", "/text"] {
        let answer = viewer.get(&running, below).await;
        assert_eq!(answer.header("x-hansard-recorder"), "same-user", "{below}");
    }

    let listed = viewer.get(&running, "/objects").await.ok();
    let names: Vec<_> =
        listed["Objects"].as_array().unwrap().iter().map(|object| object["Name"].as_str().unwrap()).collect();
    let segments: Vec<_> = session.segments.iter().map(object_name).collect();
    let mut expected: Vec<&str> = vec!["start.json"];
    expected.extend(segments.iter().map(String::as_str));
    expected.extend(["manifest-0000.json", "manifest-0000.sig"]);
    assert_eq!(names, expected);
    assert_eq!(viewer.bytes(&running, "/objects/start.json").await, session.document);
    for segment in &session.segments {
        assert_eq!(
            viewer.bytes(&running, &format!("/objects/{}", object_name(segment))).await,
            segment.bytes
        );
    }
    for name in ["start.jso", "terminal/000099.cast.zst", "../start.json", "%2e%2e/x", "manifest-0001.json"] {
        let answer = viewer.get(&running, &format!("/objects/{name}")).await;
        assert_eq!(answer.status, 404, "{name}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_arrives_later_is_read_by_itself() {
    let running = Running::start().await;
    running.record("*", "1").await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let session = agent.session(&running, &[b"hello\r\n", b"bye\r\n"], Some(ExitStatus::Code(0)));
    agent.open(&running, &session).await.ok();
    let viewer = Viewer::open(&running, &running.root, &session).await;
    let read = async |below: &str| {
        let answer = viewer.get(&running, below).await;
        let said = ["x-hansard-status", "x-hansard-next-segment"].map(|name| answer.header(name).to_owned());
        let text = String::from_utf8(viewer.bytes(&running, below).await).unwrap();
        (said, text)
    };
    let said = |status: &str, next: &str| [status.to_owned(), next.to_owned()];
    assert_eq!(read("/cast").await, (said("running", "0"), String::new()));
    agent.deliver(&running, &session, 0).await;
    let (first, text) = read("/cast").await;
    assert_eq!(first, said("running", "1"));
    assert!(text.contains("hello") && !text.contains("bye"), "{text}");
    assert_eq!(read("/cast/1").await, (said("running", "1"), String::new()));
    agent.deliver(&running, &session, 1).await;
    agent.deliver(&running, &session, 2).await;
    agent.seal(&running, &session).await.ok();
    let (last, text) = read("/cast/1").await;
    assert_eq!(last, said("finished", "3"));
    assert!(text.contains("bye") && !text.contains("hello") && text.ends_with("\"x\",\"0\"]\n"), "{text}");
    for nothing in ["/cast/-1", "/cast/x", "/cast/4294967296"] {
        assert_eq!(viewer.get(&running, nothing).await.status, 404, "{nothing}");
    }
    let other = agent.record(&running, &[b"x"], None).await;
    let url = running.url(&format!("/replay/v1/recordings/{}/cast/0", other.token()));
    let foreign = running.http.get(url).header(COOKIE, &viewer.cookie).send().await.unwrap();
    assert_eq!(foreign.status(), 401);
}

/// Puts the objects of another recording in the place of this recording's objects.
fn lay_in_place_of(running: &Running, other: &Session, session: &Session, below: &str) {
    let folder = running.objects_folder();
    for (name, bytes) in files(&folder) {
        if name.contains(other.token()) && name.ends_with(below) {
            let place = folder.join(name.replace(other.token(), session.token()));
            assert!(place.exists(), "{}", place.display());
            std::fs::write(place, bytes).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_bytes_in_the_bucket_are_never_returned() {
    let (running, agent, session) = finished().await;
    let other = agent.record(&running, &[b"forged\r\n", b"bye\r\n"], Some(ExitStatus::Code(0))).await;
    let viewer = Viewer::open(&running, &running.root, &session).await;
    let changed = (409, "InstanceRecord.EvidenceChanged");
    for (laid, closed) in [
        ("manifest-0000.sig", &["/objects/manifest-0000.sig"][..]),
        ("manifest-0000.json", &["/objects/manifest-0000.json", "/objects/manifest-0000.sig"]),
        ("start.json", &["", "/objects/start.json"]),
        ("terminal/000000.cast.zst", &["/cast", "/text", "/objects/terminal/000000.cast.zst"]),
    ] {
        lay_in_place_of(&running, &other, &session, laid);
        for below in closed {
            assert_eq!(viewer.get(&running, below).await.refusal(), changed, "{laid}: {below}");
        }
        let row = running.audit_rows().await.pop().unwrap();
        assert_eq!(row.result, changed.1, "the trail knows");
    }
    // Objects that were not changed are read as before.
    viewer.bytes(&running, "/objects/terminal/000001.cast.zst").await;
    // A changed object later in the reply breaks the reply off.
    let (running, agent, session) = finished().await;
    let other = agent.record(&running, &[b"forged\r\n", b"bye\r\n"], Some(ExitStatus::Code(0))).await;
    let viewer = Viewer::open(&running, &running.root, &session).await;
    lay_in_place_of(&running, &other, &session, "terminal/000001.cast.zst");
    let url = running.url(&format!("/replay/v1/recordings/{}/text", session.token()));
    let asked = running.http.get(url).header(COOKIE, &viewer.cookie).send();
    // How much of the reply had been sent determines where it breaks off: before its head or in its body.
    let whole = async { asked.await?.bytes().await }.await;
    let broken = whole.expect_err("it is not played to the end as if it were whole");
    assert!(!broken.is_connect() && !broken.is_timeout(), "{broken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_objects_names_the_signer_even_after_the_agent_was_replaced() {
    let (running, agent, session) = finished().await;
    let ana = running.user("ana", MAY_VIEW).await;
    let listed = Viewer::open(&running, &ana, &session).await.get(&running, "/objects").await.ok();
    assert_eq!(listed["TerminalSessionToken"], session.token());
    assert_eq!(listed["InstanceId"], "i-web1");
    assert_eq!(listed["AccountId"], running.account.as_str());
    let expected = json!({
        "AgentId": agent.id, "AccountId": running.account, "InstanceId": "i-web1",
        "SealingPublicKey": agent.sealing.public_key(), "EnrolledAt": "2025-11-24T16:00:00Z",
    });
    assert_eq!(listed["Signer"], expected);
    running.advance_seconds(60);
    let next = TestAgent::enrol_with(&running, "i-web1", true).await;
    let listed = Viewer::open(&running, &ana, &session).await.get(&running, "/objects").await.ok();
    assert_eq!(listed["Signer"]["SealingPublicKey"], expected["SealingPublicKey"]);
    assert_eq!(listed["Signer"]["ReplacedAt"], "2025-11-24T16:01:00Z");

    // The keys of both agents are published, each with its time; the list of agents contains only present ones.
    let agents = running.call("ListAgents", &[]).await.ok();
    assert_eq!(agents["Root"]["TotalCount"], 1);
    assert_eq!(agents["Root"]["AgentList"][0]["ReplacedAt"], json!(null));
    let agents = running.call("ListAgents", &[("IncludeReplaced", "true")]).await.ok();
    assert_eq!(agents["Root"]["TotalCount"], 2);
    let item = |agent: &TestAgent| {
        let list = agents["Root"]["AgentList"].as_array().unwrap();
        list.iter().find(|item| item["AgentId"] == agent.id.as_str()).unwrap().clone()
    };
    let (old, new) = (item(&agent), item(&next));
    assert_eq!(old["SealingPublicKey"], agent.sealing.public_key().to_string());
    assert_eq!(
        (&old["EnrolledAt"], &old["ReplacedAt"]),
        (&json!("2025-11-24T16:00:00Z"), &json!("2025-11-24T16:01:00Z"))
    );
    assert_eq!(old["Status"], "offline");
    assert_eq!(new["SealingPublicKey"], next.sealing.public_key().to_string());
    assert_eq!((&new["EnrolledAt"], &new["ReplacedAt"]), (&json!("2025-11-24T16:01:00Z"), &json!(null)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_recording_plays_what_has_arrived() {
    let running = Running::start().await;
    running.record("*", "1").await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let session = agent.session(&running, &[b"one", b"two"], None);
    agent.open(&running, &session).await.ok();
    let viewer = Viewer::open(&running, &running.root, &session).await;
    assert_eq!(viewer.bytes(&running, "/cast").await, b"");
    agent.deliver(&running, &session, 0).await;
    assert_eq!(viewer.bytes(&running, "/text").await, b"one");
    // Uploaded, but not claimed, so not part of the recording.
    let grant =
        agent.grant(&running, &session, "terminal/000001.cast.zst", &session.segments[1].bytes).await.ok();
    crate::recording_agent::upload(&running, &grant["Grant"], &session.segments[1].bytes).await.ok();
    assert_eq!(viewer.bytes(&running, "/text").await, b"one");
    assert_eq!(viewer.get(&running, "/objects/terminal/000001.cast.zst").await.status, 404);
    // A running recording never expires; the viewer's session does.
    running.advance_seconds(3_599);
    assert_eq!(viewer.get(&running, "").await.ok()["Status"], "running");
    running.advance_seconds(1);
    assert_eq!(viewer.get(&running, "").await.refusal(), (401, "ReplaySessionRequired"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_valid_once_for_its_recording_until_it_expires() {
    let (running, agent, session) = finished().await;
    let good = ticket(&running, &running.root, &session).await;
    assert_eq!(exchange(&running, &session, &good).await.status, 200);
    assert_eq!(exchange(&running, &session, &good).await.refusal(), (401, "InvalidReplayTicket.Used"));
    let running = running.restart().await;
    assert_eq!(exchange(&running, &session, &good).await.refusal(), (401, "InvalidReplayTicket.Used"));

    let other = agent.record(&running, &[b"other"], None).await;
    let foreign = ticket(&running, &running.root, &other).await;
    assert_eq!(exchange(&running, &session, &foreign).await.refusal(), (401, "InvalidReplayTicket"));
    // The ticket was refused for the wrong recording and is not used up.
    assert_eq!(exchange(&running, &other, &foreign).await.status, 200);
    for nonsense in ["", "a.b.c", &format!("{good}x")] {
        assert_eq!(exchange(&running, &session, nonsense).await.refusal(), (401, "InvalidReplayTicket"));
    }
    let late = ticket(&running, &running.root, &session).await;
    running.advance_seconds(300);
    assert_eq!(exchange(&running, &session, &late).await.refusal(), (401, "InvalidReplayTicket.Expired"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cookie_is_out_of_reach_and_for_one_recording() {
    let (running, agent, session) = finished().await;
    let viewer = Viewer::open(&running, &running.root, &session).await;
    let attributes: Vec<_> = viewer.set_cookie.split("; ").skip(1).collect();
    let path = format!("Path=/replay/v1/recordings/{}", session.token());
    for attribute in ["HttpOnly", "SameSite=Strict", &path, "Max-Age=3600"] {
        assert!(attributes.contains(&attribute), "{attribute}: {attributes:?}");
    }
    // If a browser sent it elsewhere nevertheless, it would open nothing.
    let other = agent.record(&running, &[b"other"], None).await;
    let request = running.http.get(running.url(&format!("/replay/v1/recordings/{}", other.token())));
    let answer = Answer::of(request.header(COOKIE, &viewer.cookie).send().await.unwrap()).await;
    assert_eq!(answer.refusal(), (401, "ReplaySessionRequired"));
    // A ticket is not valid as a session, nor a session as a ticket.
    let fresh = ticket(&running, &running.root, &session).await;
    let url = running.url(&format!("/replay/v1/recordings/{}", session.token()));
    let request = running.http.get(&url).header(COOKIE, format!("hansard_replay={fresh}"));
    assert_eq!(Answer::of(request.send().await.unwrap()).await.refusal(), (401, "ReplaySessionRequired"));
    let cookie = viewer.cookie.split_once('=').unwrap().1;
    assert_eq!(exchange(&running, &session, cookie).await.refusal(), (401, "InvalidReplayTicket"));
    let without = Answer::of(running.http.get(&url).send().await.unwrap()).await;
    assert_eq!(without.refusal(), (401, "ReplaySessionRequired"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_recording_is_closed_on_every_path_and_keeps_its_objects() {
    let (running, _, session) = finished().await;
    // It expires a day after it began, because it was sealed at once.
    running.advance_seconds(86_400 - 100);
    let viewer = Viewer::open(&running, &running.root, &session).await;
    let unused = ticket(&running, &running.root, &session).await;
    running.advance_seconds(99);
    viewer.get(&running, "").await.ok();
    running.advance_seconds(1);
    for below in ["", "/", "/cast", "/text", "/objects", "/objects/start.json"] {
        assert_eq!(viewer.get(&running, below).await.refusal(), (403, "InstanceRecord.Expired"), "{below}");
    }
    assert_eq!(exchange(&running, &session, &unused).await.refusal(), (403, "InstanceRecord.Expired"));
    assert_eq!(view(&running, &running.root, &session).await.refusal(), (403, "InstanceRecord.Expired"));
    let stored = files(&running.objects_folder());
    for name in ["start.json", "terminal/000000.cast.zst", "manifest-0000.json", "manifest-0000.sig"] {
        assert!(stored.keys().any(|stored| stored.ends_with(name)), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_sealed_long_after_its_end_expires_by_its_end() {
    let running = Running::start().await;
    running.record("*", "1").await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let session = agent.session(&running, &[b"one"], None);
    agent.open(&running, &session).await.ok();
    agent.deliver(&running, &session, 0).await;
    // The control plane was away: the end is delivered almost a day late.
    running.advance_seconds(86_400 - 1_000);
    let viewer = Viewer::open(&running, &running.root, &session).await;
    agent.seal(&running, &session).await.ok();
    assert_eq!(viewer.get(&running, "").await.ok()["Status"], "interrupted");
    running.advance_seconds(1_002);
    assert_eq!(viewer.get(&running, "").await.refusal(), (403, "InstanceRecord.Expired"));
}

#[tokio::test(flavor = "multi_thread")]
async fn policy_is_asked_at_the_exchange_and_at_every_read() {
    let (running, _, session) = finished().await;
    let ana = running.user("ana", MAY_VIEW).await;
    let before = ticket(&running, &ana, &session).await;
    let viewer = Viewer::open(&running, &ana, &session).await;
    viewer.get(&running, "").await.ok();
    running.policy("ana", MAY_NOT).await;
    let answer = exchange(&running, &session, &before).await;
    assert_eq!(answer.refusal(), (403, "Forbidden.RAM"));
    assert_eq!(answer.body["AccessDeniedDetail"]["NoPermissionType"], "ExplicitDeny");
    assert_eq!(answer.header("set-cookie"), "");
    for below in ["", "/cast", "/text", "/objects", "/objects/start.json"] {
        assert_eq!(viewer.get(&running, below).await.refusal(), (403, "Forbidden.RAM"), "{below}");
    }
    running.policy("ana", MAY_VIEW).await;
    viewer.get(&running, "").await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_policy_takes_away_is_closed_to_its_viewer() {
    let (running, _, session) = finished().await;
    let ana = running.user("ana", MAY_VIEW).await;
    let before = ticket(&running, &ana, &session).await;
    let viewer = Viewer::open(&running, &ana, &session).await;
    viewer.get(&running, "").await.ok();
    // The instance is still allowed, but not what was recorded on it.
    running.policy("ana", MAY_VIEW_NO_TERMINAL).await;
    for below in ["", "/cast", "/objects/start.json"] {
        assert_eq!(viewer.get(&running, below).await.refusal(), (403, "Forbidden.RAM"), "{below}");
    }
    let denied = |row: AuditEvent| matches!(row.decision, AuditDecision::Denied { by: Some(_) });
    assert!(denied(running.audit_rows().await.pop().unwrap()));
    assert_eq!(exchange(&running, &session, &before).await.refusal(), (403, "Forbidden.RAM"));
    // Without a ticket that knows it, the answer is as if there were no such recording.
    let view = view(&running, &ana, &session).await;
    assert_eq!(view.refusal(), (404, "InvalidTerminalSessionToken.NotFound"));
    assert!(denied(running.audit_rows().await.pop().unwrap()));
    running.policy("ana", MAY_VIEW).await;
    viewer.get(&running, "").await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewers_reads_have_the_key_that_opened_the_recording() {
    let (running, _, session) = finished().await;
    let ana = running.user("ana", MAY_VIEW).await;
    let viewer = Viewer::open(&running, &ana, &session).await;
    let only = |id: &str| {
        MAY_VIEW.replace(
            r#""Resource":"*""#,
            &format!(r#""Resource":"*","Condition":{{"StringEquals":{{"acs:AccessId":"{id}"}}}}"#),
        )
    };
    running.policy("ana", &only(&ana.id)).await;
    viewer.get(&running, "").await.ok();
    running.policy("ana", &only("LTAIanother")).await;
    assert_eq!(viewer.get(&running, "").await.refusal(), (403, "Forbidden.RAM"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_user_sees_nothing_any_more() {
    let (running, _, session) = finished().await;
    let ana = running.user("ana", MAY_VIEW).await;
    let unused = ticket(&running, &ana, &session).await;
    let viewer = Viewer::open(&running, &ana, &session).await;
    running.delete_user("ana").await;
    assert_eq!(viewer.get(&running, "/cast").await.refusal(), (403, "Forbidden.RAM"));
    assert_eq!(exchange(&running, &session, &unused).await.refusal(), (403, "Forbidden.RAM"));
    // Another user of the same name is a different user.
    running.user("ana", MAY_VIEW).await;
    assert_eq!(viewer.get(&running, "/cast").await.refusal(), (403, "Forbidden.RAM"));
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_a_key_ends_the_replays_that_it_opened() {
    let (running, _, session) = finished().await;
    let ana = running.user("ana", MAY_VIEW).await;
    let unused = ticket(&running, &ana, &session).await;
    let viewer = Viewer::open(&running, &ana, &session).await;
    let row = running.audit_rows().await.pop().unwrap();
    assert_eq!(row.access_key_id.as_deref(), Some(ana.id.as_str()), "the row says which key opened it");

    running.switch_key(&ana, AccessKeyStatus::Inactive).await;
    for below in ["", "/cast", "/objects/start.json"] {
        assert_eq!(viewer.get(&running, below).await.refusal(), (403, "Forbidden.RAM"), "{below}");
    }
    assert_eq!(exchange(&running, &session, &unused).await.refusal(), (403, "Forbidden.RAM"));
    let row = running.audit_rows().await.pop().unwrap();
    assert_eq!((row.decision, row.how.as_str()), (AuditDecision::NotAsked, "exchange"));
    running.switch_key(&ana, AccessKeyStatus::Active).await;
    viewer.get(&running, "").await.ok();
    running.delete_key(&ana).await;
    assert_eq!(viewer.get(&running, "").await.refusal(), (403, "Forbidden.RAM"));
}

/// A session of a role that may view, started by a user who may do nothing else.
async fn role_session(running: &Running) -> Key {
    const RAM: &str = "2015-05-01";
    let account = &running.account;
    let trust = format!(
        r#"{{"Version":"1","Statement":[{{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{{"RAM":"acs:ram::{account}:root"}}}}]}}"#
    );
    let may_assume =
        r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}]}"#;
    let (root, ana) = (&running.root, running.user("ana", may_assume).await);
    let role = [("RoleName", "viewer"), ("AssumeRolePolicyDocument", trust.as_str())];
    let policy = [("PolicyName", "viewer"), ("PolicyDocument", MAY_VIEW)];
    let attached = [("PolicyName", "viewer"), ("PolicyType", "Custom"), ("RoleName", "viewer")];
    running.call_version(root, RAM, "CreateRole", &role).await.ok();
    running.call_version(root, RAM, "CreatePolicy", &policy).await.ok();
    running.call_version(root, RAM, "AttachPolicyToRole", &attached).await.ok();
    let arn = format!("acs:ram::{account}:role/viewer");
    let asked = [("RoleArn", arn.as_str()), ("RoleSessionName", "ana"), ("DurationSeconds", "900")];
    let started = running.call_version(&ana, "2015-04-01", "AssumeRole", &asked).await.ok();
    let text = |field: &str| started["Credentials"][field].as_str().unwrap().to_owned();
    Key { id: text("AccessKeyId"), secret: text("AccessKeySecret"), token: Some(text("SecurityToken")) }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_roles_session_ends_the_replays_that_it_opened() {
    let (running, _, session) = finished().await;
    let key = role_session(&running).await;
    let unused = ticket(&running, &key, &session).await;
    let viewer = Viewer::open(&running, &key, &session).await;
    viewer.get(&running, "/cast").await;
    let row = running.audit_rows().await.pop().unwrap();
    assert_eq!(row.access_key_id.as_deref(), Some(key.id.as_str()), "the row says which key opened it");
    assert!(row.principal.ends_with(":role/viewer/ana"), "{}", row.principal);

    running.policy("viewer", MAY_NOT).await;
    let answer = viewer.get(&running, "").await;
    assert_eq!(answer.refusal(), (403, "Forbidden.RAM"));
    let detail = &answer.body["AccessDeniedDetail"];
    assert_eq!(detail["AuthPrincipalDisplayName"], "viewer:ana");
    assert!(detail["EncodedDiagnosticMessage"].is_string(), "{detail}");
    running.policy("viewer", MAY_VIEW).await;
    // The ticket expires before the session does, so this session is opened now.
    assert_eq!(exchange(&running, &session, &unused).await.status, 200);
    running.advance_seconds(899);
    viewer.get(&running, "").await.ok();
    running.advance_seconds(1);
    for below in ["", "/cast", "/objects/start.json"] {
        assert_eq!(viewer.get(&running, below).await.refusal(), (403, "Forbidden.RAM"), "{below}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_role_ends_the_replays_that_its_sessions_opened() {
    let (running, _, session) = finished().await;
    let key = role_session(&running).await;
    let unused = ticket(&running, &key, &session).await;
    let viewer = Viewer::open(&running, &key, &session).await;
    let (root, ram) = (&running.root, "2015-05-01");
    let detached = [("PolicyName", "viewer"), ("PolicyType", "Custom"), ("RoleName", "viewer")];
    running.call_version(root, ram, "DetachPolicyFromRole", &detached).await.ok();
    running.call_version(root, ram, "DeleteRole", &[("RoleName", "viewer")]).await.ok();
    assert_eq!(viewer.get(&running, "/cast").await.refusal(), (403, "Forbidden.RAM"));
    assert_eq!(exchange(&running, &session, &unused).await.refusal(), (403, "Forbidden.RAM"));
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_are_not_cached_or_sniffed_and_no_other_site_can_exchange() {
    let (running, _, session) = finished().await;
    let viewer = Viewer::open(&running, &running.root, &session).await;
    let private = |answer: &Answer| {
        assert_eq!(answer.header("cache-control"), "no-store", "{answer:?}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert!(answer.header("content-security-policy").contains("sandbox"));
    };
    for below in ["", "/cast", "/text", "/objects", "/objects/start.json", "/objects/none"] {
        private(&viewer.get(&running, below).await);
    }
    let fresh = ticket(&running, &running.root, &session).await;
    let url = running.url(&format!("/replay/v1/recordings/{}/exchange", session.token()));
    let body = json!({"Ticket": fresh}).to_string();
    let plain = running.http.post(&url).header(CONTENT_TYPE, "text/plain").body(body.clone());
    assert_eq!(Answer::of(plain.send().await.unwrap()).await.status, 400);
    let json = || running.http.post(&url).header(CONTENT_TYPE, "application/json").body(body.clone());
    let foreign = json().header(ORIGIN, "https://evil.example");
    assert_eq!(Answer::of(foreign.send().await.unwrap()).await.status, 400);
    let cross = json().header("sec-fetch-site", "cross-site");
    assert_eq!(Answer::of(cross.send().await.unwrap()).await.status, 400);
    let ours = Answer::of(json().header(ORIGIN, &running.address).send().await.unwrap()).await;
    private(&ours);
    assert_eq!(ours.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_the_same_for_everybody_and_loads_only_from_here() {
    let running = Running::start().await;
    let get = async |path: &str| running.http.get(running.url(path)).send().await.unwrap();
    let page = get(&format!("/view/instance/record/replay/{}", "0".repeat(32))).await;
    assert_eq!(page.status(), 200);
    let header = |name: &str| page.headers()[name].to_str().unwrap().to_owned();
    let policy = header("content-security-policy");
    for directive in [
        "default-src 'none'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "frame-ancestors 'none'",
        "connect-src 'self'",
    ] {
        assert!(policy.contains(directive), "{policy}");
    }
    assert!(!policy.contains("unsafe-inline"));
    assert_eq!(header("referrer-policy"), "no-referrer");
    assert_eq!(header("cache-control"), "no-store");
    let text = page.text().await.unwrap();
    let assets: Vec<_> = text.split('"').filter(|part| part.starts_with("/assets/")).collect();
    assert!(assets.len() >= 3, "{assets:?}");
    for asset in assets {
        let first = get(asset).await;
        assert_eq!(first.status(), 200, "{asset}");
        assert!(first.headers()["cache-control"].to_str().unwrap().contains("immutable"));
        let tag = first.headers()["etag"].clone();
        let again = running.http.get(running.url(asset)).header("if-none-match", tag).send().await.unwrap();
        assert_eq!(again.status(), 304, "{asset}");
    }
    for path in ["/assets/none.js", "/assets/..%2freplay.html", "/assets/"] {
        assert_eq!(get(path).await.status(), 404, "{path}");
    }
}
