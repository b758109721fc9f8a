//! An agent takes over what an earlier agent of its instance has left behind: what it is permitted, and what nobody else is any
//! more.

use agent_protocol::AgentErrorCode;
use domain::server_keys::{Purpose, ServerKeys};
use recording::{
    ChainValue, ExitStatus, Expected, Leave, Manifest, MemorySource, SealedBy, SealingKey, SealingPublicKey,
    Standing, Trust, TrustedKeys, Verdict, Verification, verify,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::claims::Reads;
use crate::files::files;
use crate::recording_agent::{Session, TestAgent, claim, object_name, upload};
use crate::viewer::Viewer;
use test_facts::postgres::{FAST, new_database};
use test_server::{Answer, Running};

const EXITED: Option<ExitStatus> = Some(ExitStatus::Code(0));

/// An agent with a recording of which one segment of three has arrived.
async fn recording(running: &Running) -> (TestAgent, Session) {
    running.record("*", "7").await;
    let agent = TestAgent::enrol(running, "i-web1").await;
    let session = agent.session(running, &[b"hello\r\n", b"world\r\n"], EXITED);
    agent.open(running, &session).await.ok();
    agent.deliver(running, &session, 0).await;
    (agent, session)
}

async fn replace(running: &Running) -> TestAgent {
    TestAgent::enrol_with(running, "i-web1", true).await
}

fn leave_of(reply: &Value) -> SealedBy {
    serde_json::from_value(reply["Leave"].clone()).unwrap()
}

#[track_caller]
fn is_refused(answer: &Answer, why: &str) {
    assert_eq!(answer.refusal(), (403, AgentErrorCode::SuccessionRefused.code()), "{answer:?}");
    let message = answer.body["Message"].as_str().unwrap();
    assert!(message.contains(why), "{why}: {message}");
}

async fn item(running: &Running, session: &Session) -> Value {
    let list = running.call("ListInstanceRecords", &[]).await.ok();
    let list = list["Root"]["RecordList"].as_array().unwrap();
    list.iter().find(|item| item["TerminalSessionToken"] == session.token()).unwrap().clone()
}

/// The recording as a viewer gets it, verified with what the control plane says of its keys.
async fn verified(running: &Running, session: &Session) -> Verification {
    let (verification, keys) = verified_with_keys(running, session).await;
    // They are those that every holder of the list of agents has.
    let agents = running.call("ListAgents", &[]).await.ok();
    assert_eq!(agents["Root"]["LeaveKeys"], json!(keys));
    verification
}

/// The same, with the keys of which it is said that they give leave.
async fn verified_with_keys(running: &Running, session: &Session) -> (Verification, Vec<SealingPublicKey>) {
    let viewer = Viewer::open(running, &running.root, session).await;
    let listed = viewer.get(running, "/objects").await.ok();
    let mut source = MemorySource::default();
    for object in listed["Objects"].as_array().unwrap() {
        let name = object["Name"].as_str().unwrap();
        let bytes = viewer.bytes(running, &format!("/objects/{name}")).await;
        source.objects.insert(name.parse().unwrap(), bytes);
    }
    let keys: Vec<SealingPublicKey> = serde_json::from_value(listed["LeaveKeys"].clone()).unwrap();
    let signer = SealingPublicKey::parse(listed["Signer"]["SealingPublicKey"].as_str().unwrap()).unwrap();
    let agent = recording::TrustedKey { key: signer, enrolment: None };
    let trusted = TrustedKeys::new(vec![agent], keys.clone());
    (verify(&source, &Expected::default(), Trust::Enrolled(&trusted)).unwrap(), keys)
}

async fn nothing_is_missing(running: &Running) {
    let checked = running.call("VerifyAgentRecordings", &[]).await.ok();
    for agent in checked["Root"]["AgentList"].as_array().unwrap() {
        assert_eq!((&agent["GoneCount"], &agent["NotArrivedCount"]), (&json!(0), &json!(0)), "{agent}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_delivers_the_rest_and_seals_with_leave() {
    let running = Running::start().await;
    let (first, session) = recording(&running).await;
    running.advance_seconds(60);
    let second = replace(&running).await;
    assert_eq!(item(&running, &session).await["SuccessorAgentId"], Value::Null);
    let reply = second.take_over(&running, &session, &first).await.ok();
    assert_eq!(
        (&reply["TerminalSessionToken"], &reply["SealedWith"]),
        (&json!(session.token()), &Value::Null)
    );
    assert!(reply["ObjectPrefix"].as_str().unwrap().ends_with(&format!("{}/", session.token())));
    let leave = leave_of(&reply);
    let stated = leave.open_for(&session.start, &session.document).unwrap();
    assert_eq!((&stated.agent, &stated.successor), (&first.id, &second.id));
    assert_eq!(stated.successor_sealing_key, second.sealing.public_key());
    assert_eq!(stated.issued_at.to_rfc3339_seconds(), "2025-11-24T16:01:00Z");
    let arrived: Vec<_> =
        stated.arrived.iter().map(|of| (of.stream.to_string(), of.segments, of.chain)).collect();
    let nothing = ChainValue::first(&session.document, recording::Stream::Events);
    assert_eq!(
        arrived,
        [("events".to_owned(), 0, nothing), ("terminal".to_owned(), 1, session.segments[0].chain_after)]
    );

    second.deliver(&running, &session, 1).await;
    // Asked again, the same leave is given: it says nothing of what the successor has delivered itself.
    running.advance_seconds(60);
    let again = second.take_over(&running, &session, &first).await.ok();
    assert_eq!(leave_of(&again), leave);
    for number in 2..session.segments.len() {
        second.deliver(&running, &session, number).await;
    }
    assert_eq!(second.seal_in_place(&running, &session, &leave).await.ok()["Status"], "finished");
    // The same call again, after a lost reply.
    assert_eq!(second.seal_in_place(&running, &session, &leave).await.ok()["Status"], "finished");
    let after = second.take_over(&running, &session, &first).await.ok();
    let manifest = Manifest { sealed_by: Some(leave.clone()), ..session.manifest.clone() };
    let sealed = recording::seal(&manifest, &second.sealing).sha256();
    assert_eq!((&after["SealedWith"], &after["Leave"]), (&json!(sealed), &Value::Null));

    let found = verified(&running, &session).await;
    assert_eq!(found.verdict(), Verdict::Complete, "{found:?}");
    let signer = found.signer.as_ref().unwrap();
    assert_eq!((&signer.agent, &signer.key), (&first.id, &first.sealing.public_key()));
    assert_eq!(signer.standing, Standing::TrustedByLeave(*leave.control_plane_key()));
    assert_eq!(signer.in_place.as_ref().unwrap().leave, stated);
    let shown = item(&running, &session).await;
    assert_eq!(
        (&shown["AgentId"], &shown["SuccessorAgentId"], &shown["Status"]),
        (&json!(first.id), &json!(second.id), &json!("finished"))
    );
    nothing_is_missing(&running).await;

    let rows = running.audit_rows().await;
    let of_second = format!("acs:ecs-workbench::1000000000000001:agent/{}", second.id);
    let rows: Vec<_> = rows.iter().filter(|row| row.principal == of_second).collect();
    let how = |action: &str| -> Vec<&str> {
        rows.iter().filter(|row| row.action == action).map(|row| row.how.as_str()).collect()
    };
    let made_by = format!("made by {}", first.id);
    let taken = |how: &str| format!("number 1, {made_by}, {how}");
    assert_eq!(how("TakeOverRecording"), [taken("taken over"), taken("again"), taken("sealed before")]);
    assert_eq!(
        how("SealRecording"),
        [
            format!("seal, manifest {sealed}, {made_by}, sealed in its place"),
            format!("deliver, {made_by}"),
            String::new()
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_with_the_removal_of_its_agent_goes_on() {
    let running = Running::start().await;
    let (first, session) = recording(&running).await;
    running.call("DeleteAgent", &[("InstanceId", "i-web1")]).await.ok();
    assert_eq!(item(&running, &session).await["Status"], "interrupted");
    let second = TestAgent::enrol(&running, "i-web1").await;
    // Its own calls do not reach it without leave.
    let refused = second.acknowledge(&running, &session, &claim(&session.segments[1])).await;
    assert_eq!(refused.refusal(), (404, "RecordingNotFound"));
    let reply = second.take_over(&running, &session, &first).await.ok();
    let shown = item(&running, &session).await;
    assert_eq!((&shown["Status"], &shown["StatusReason"]), (&json!("running"), &Value::Null));
    for number in 1..session.segments.len() {
        second.deliver(&running, &session, number).await;
    }
    second.seal_in_place(&running, &session, &leave_of(&reply)).await.ok();
    assert_eq!(verified(&running, &session).await.verdict(), Verdict::Complete);
    nothing_is_missing(&running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_was_never_opened_is_opened_by_the_successor() {
    let running = Running::start().await;
    running.record("*", "7").await;
    let first = TestAgent::enrol(&running, "i-web1").await;
    let session = first.session(&running, &[b"hello\r\n"], EXITED);
    running.advance_seconds(60);
    let second = replace(&running).await;
    // Of two that ask at once, one opens it.
    let (one, other) = tokio::join!(
        second.take_over(&running, &session, &first),
        second.take_over(&running, &session, &first)
    );
    let (one, other) = (leave_of(&one.ok()), leave_of(&other.ok()));
    assert_eq!(one, other);
    let shown = item(&running, &session).await;
    assert_eq!((&shown["AgentId"], &shown["SuccessorAgentId"]), (&json!(first.id), &json!(second.id)));
    for number in 0..session.segments.len() {
        second.deliver(&running, &session, number).await;
    }
    second.seal_in_place(&running, &session, &one).await.ok();
    assert_eq!(verified(&running, &session).await.verdict(), Verdict::Complete);
    // The numbers of the two agents stay apart.
    second.record(&running, &[b"own\r\n"], EXITED).await;
    nothing_is_missing(&running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_the_earlier_agent_had_signed_is_taken_as_it_is() {
    let running = Running::start().await;
    let (first, session) = recording(&running).await;
    let sealed = first.record(&running, &[b"whole\r\n"], EXITED).await;
    let second = replace(&running).await;

    let reply = second.take_over(&running, &sealed, &first).await.ok();
    let manifest = recording::seal(&sealed.manifest, &first.sealing);
    assert_eq!((&reply["SealedWith"], &reply["Leave"]), (&json!(manifest.sha256()), &Value::Null));
    assert_eq!(item(&running, &sealed).await["SuccessorAgentId"], Value::Null);

    let leave = leave_of(&second.take_over(&running, &session, &first).await.ok());
    for number in 1..session.segments.len() {
        second.deliver(&running, &session, number).await;
    }
    let manifest = recording::seal(&session.manifest, &first.sealing);
    // Its own key is good for a manifest with leave alone.
    let own = recording::seal(&session.manifest, &second.sealing);
    let refused = second.seal_with(&running, &session, &own).await;
    assert_eq!(refused.refusal().1, "InvalidManifest");
    assert!(refused.body["Message"].as_str().unwrap().contains("has sealed_by"), "{refused:?}");
    second.seal_with(&running, &session, &manifest).await.ok();
    let found = verified(&running, &session).await;
    assert_eq!((found.verdict(), found.signer.unwrap().in_place), (Verdict::Complete, None));
    // It is sealed once, and no other manifest replaces this one.
    let late = second.seal_in_place(&running, &session, &leave).await;
    assert_eq!(late.refusal(), (409, "RecordingSealed"));
    let rows = running.audit_rows().await;
    let how = format!("seal, manifest {}, made by {}, sealed by that agent", manifest.sha256(), first.id);
    assert_eq!(rows.iter().filter(|row| row.how == how).count(), 1, "{rows:?}");
    nothing_is_missing(&running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_an_earlier_successor_had_signed_is_taken_as_it_is() {
    let running = Running::start().await;
    let (first, session) = recording(&running).await;
    let second = replace(&running).await;
    let leave = leave_of(&second.take_over(&running, &session, &first).await.ok());
    let manifest = Manifest { sealed_by: Some(leave), ..session.manifest.clone() };
    let sealed = recording::seal(&manifest, &second.sealing);
    let third = replace(&running).await;
    let early = third.seal_with(&running, &session, &sealed).await;
    assert_eq!(early.refusal(), (404, "RecordingNotFound"), "it has not taken the recording over");
    third.take_over(&running, &session, &first).await.ok();
    for number in 1..session.segments.len() {
        third.deliver(&running, &session, number).await;
    }
    // The second one's leave lets nobody else seal.
    let own = recording::seal(&manifest, &third.sealing);
    assert_eq!(third.seal_with(&running, &session, &own).await.refusal().1, "InvalidManifest");
    assert_eq!(second.seal_with(&running, &session, &sealed).await.refusal(), (401, "AgentNotFound"));
    third.seal_with(&running, &session, &sealed).await.ok();
    let found = verified(&running, &session).await;
    assert_eq!(found.verdict(), Verdict::Complete, "{found:?}");
    assert_eq!(found.signer.unwrap().in_place.unwrap().leave.successor, second.id);
    let rows = running.audit_rows().await;
    let how = format!(
        "seal, manifest {}, made by {}, sealed in its place by {}",
        sealed.sha256(),
        first.id,
        second.id
    );
    assert_eq!(rows.iter().filter(|row| row.how == how).count(), 1, "{rows:?}");
    nothing_is_missing(&running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_says_what_is_in_the_way_and_changes_nothing() {
    let running = Running::start().await;
    let (first, session) = recording(&running).await;
    let neighbour = TestAgent::enrol(&running, "i-web2").await;
    let foreign = neighbour.session(&running, &[b"x"], EXITED);
    neighbour.open(&running, &foreign).await.ok();

    // While the agent is enrolled, nobody takes over from it, not even itself.
    is_refused(&first.take_over(&running, &session, &first).await, "names the agent that calls");
    is_refused(&neighbour.take_over(&running, &session, &first).await, "instance is not the instance");
    let second = replace(&running).await;
    is_refused(&second.take_over(&running, &foreign, &neighbour).await, "instance is not the instance");
    is_refused(&neighbour.take_over(&running, &session, &first).await, "instance is not the instance");

    let before = (item(&running, &session).await, files(&running.objects_folder()));
    let changed = |change: &dyn Fn(&mut recording::Start)| {
        let mut start = session.start.clone();
        change(&mut start);
        Session {
            document: start.to_document(),
            start,
            segments: Vec::new(),
            manifest: session.manifest.clone(),
        }
    };
    let take_over = async |session: &Session| second.take_over(&running, session, &first).await;
    let other_account = changed(&|start| start.account = "1000000000000009".parse().unwrap());
    is_refused(&take_over(&other_account).await, "account is not the account");
    let unknown = changed(&|start| start.agent = recording::AgentId::generate());
    is_refused(&take_over(&unknown).await, "was never enrolled for this instance");
    let of_neighbour = changed(&|start| start.agent = neighbour.id.clone());
    is_refused(&take_over(&of_neighbour).await, "was never enrolled for this instance");
    let own_key = changed(&|start| start.agent_sealing_key = second.sealing.public_key());
    is_refused(
        &second.take_over(&running, &own_key, &second).await,
        "is not the key that its agent had enrolled",
    );
    // Whoever has seen start.json alone has no proof, and a proof is for one successor.
    is_refused(&second.take_over(&running, &session, &second).await, "Proof is not the signature");
    let mut stolen = second.succession(&session, &first);
    stolen["Proof"] = neighbour.succession(&session, &first)["Proof"].clone();
    is_refused(
        &second.post(&running, &session.path("succession"), &stolen).await,
        "Proof is not the signature",
    );
    let another = changed(&|start| start.claimed_user = Some("eve".to_owned()));
    is_refused(&take_over(&another).await, "stands for a recording with another start.json");

    let elsewhere =
        second.post(&running, &foreign.path("succession"), &second.succession(&session, &first)).await;
    assert_eq!(elsewhere.refusal(), (400, "InvalidStart"));
    let mut kind = second.succession(&session, &first);
    kind["Open"]["Kind"] = json!("desktop");
    let kind = second.post(&running, &session.path("succession"), &kind).await;
    assert_eq!(kind.refusal(), (400, "InvalidStart"));
    let nameless = second
        .post(&running, "/agent/v1/recordings/x/succession", &second.succession(&session, &first))
        .await;
    assert_eq!(nameless.refusal(), (404, "RecordingNotFound"));
    // The earlier agent is refused as whatever it asks for.
    let late = first.take_over(&running, &session, &first).await;
    assert_eq!(late.refusal(), (401, "AgentNotFound"));
    assert_eq!((item(&running, &session).await, files(&running.objects_folder())), before);

    // A present agent of the instance that is not the one that made it.
    second.take_over(&running, &session, &first).await.ok();
    let own = second.session(&running, &[b"x"], EXITED);
    second.open(&running, &own).await.ok();
    let third = replace(&running).await;
    let at_once = changed(&|start| {
        start.agent = third.id.clone();
        start.agent_sealing_key = third.sealing.public_key();
    });
    is_refused(&third.take_over(&running, &at_once, &third).await, "names the agent that calls");
    let rows = running.audit_rows().await;
    let refusals =
        rows.iter().filter(|row| row.action == "TakeOverRecording" && row.result == "SuccessionRefused");
    assert_eq!(refusals.count(), 12, "each is in the trail");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_needs_this_control_planes_leave_for_this_recording_and_this_agent() {
    let running = Running::start().await;
    let (first, session) = recording(&running).await;
    let other = first.session(&running, &[b"other\r\n"], EXITED);
    first.open(&running, &other).await.ok();
    let second = replace(&running).await;
    let early = leave_of(&second.take_over(&running, &session, &first).await.ok());
    let third = replace(&running).await;
    let leave = leave_of(&third.take_over(&running, &session, &first).await.ok());
    let of_other = leave_of(&third.take_over(&running, &other, &first).await.ok());
    for number in 1..session.segments.len() {
        third.deliver(&running, &session, number).await;
    }
    let stated = leave.open().unwrap();
    let signed_by = |leave: &Leave, key: &SealingKey| {
        let document = leave.to_document();
        let signature = key.sign(&Leave::to_be_signed(&document));
        SealedBy::new(document, key.public_key(), signature)
    };
    let forger = SealingKey::generate();
    let altered = SealedBy::new(
        Leave { arrived: Vec::new(), ..stated.clone() }.to_document(),
        *leave.control_plane_key(),
        [0; 64],
    );
    let before = files(&running.objects_folder());
    for (leave, why) in [
        (signed_by(&stated, &forger), "was not given by this control plane"),
        (signed_by(&stated, &third.sealing), "was not given by this control plane"),
        (altered, "not signed by the key of the control plane"),
        (of_other, "is for another recording"),
        (early, "not that of the sealing key that the leave in sealed_by names"),
    ] {
        let refused = third.seal_in_place(&running, &session, &leave).await;
        assert_eq!(refused.refusal().1, "InvalidManifest", "{why}: {refused:?}");
        assert!(refused.body["Message"].as_str().unwrap().contains(why), "{why}: {refused:?}");
    }
    // The manifest is the earlier agent's, signed by the one that has leave.
    let manifest = Manifest { sealed_by: Some(leave.clone()), ..session.manifest.clone() };
    let own = Manifest { agent: third.id.clone(), ..manifest.clone() };
    for (sealed, why) in [
        (recording::seal(&manifest, &first.sealing), "Signature is not that of the agent's sealing key"),
        (recording::seal(&own, &third.sealing), "agent is not the agent that start.json names"),
    ] {
        let refused = third.seal_with(&running, &session, &sealed).await;
        assert_eq!(refused.refusal().1, "InvalidManifest", "{refused:?}");
        assert!(refused.body["Message"].as_str().unwrap().contains(why), "{why}: {refused:?}");
    }
    assert_eq!(files(&running.objects_folder()), before, "nothing was written");
    third.seal_in_place(&running, &session, &leave).await.ok();
    let found = verified(&running, &session).await;
    assert_eq!(found.verdict(), Verdict::Complete, "{found:?}");
    // A reader who trusts another control plane does not trust this one's word.
    let elsewhere = TrustedKeys::new(vec![], vec![forger.public_key()]);
    assert!(!elsewhere.has_control_plane(leave.control_plane_key()));
    nothing_is_missing(&running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sealed_with_leave_is_trusted_after_the_key_of_the_leave_was_taken_out() {
    let running = Running::start().await;
    let (first, session) = recording(&running).await;
    let other = first.session(&running, &[b"other\r\n"], EXITED);
    first.open(&running, &other).await.ok();
    let second = replace(&running).await;
    let leave = leave_of(&second.take_over(&running, &session, &first).await.ok());
    let of_other = leave_of(&second.take_over(&running, &other, &first).await.ok());
    for number in 1..session.segments.len() {
        second.deliver(&running, &session, number).await;
    }
    second.seal_in_place(&running, &session, &leave).await.ok();

    let old = running.keys.key_ids(Purpose::Configuration)[0].to_owned();
    let rotated = running.keys.rotated(Purpose::Configuration).unwrap().to_file_text();
    let without: String =
        rotated.lines().filter(|line| !line.contains(&old)).map(|line| format!("{line}\n")).collect();
    let keys = ServerKeys::parse(&without).unwrap();
    assert!(!keys.leave_keys().contains(leave.control_plane_key()));
    let later = running.another_with_keys(keys).await;
    let (found, keys) = verified_with_keys(&later, &session).await;
    assert_eq!(found.verdict(), Verdict::Complete, "{found:?}");
    assert_eq!(keys, [later.keys.leave_signer().public_key(), *leave.control_plane_key()]);
    // It vouches for what was accepted while it counted, and for nothing else.
    for number in 0..other.segments.len() {
        second.deliver(&later, &other, number).await;
    }
    let refused = second.seal_in_place(&later, &other, &of_other).await;
    assert_eq!(refused.refusal().1, "InvalidManifest", "{refused:?}");
    let anew = leave_of(&second.take_over(&later, &other, &first).await.ok());
    second.seal_in_place(&later, &other, &anew).await.ok();
    let (found, keys) = verified_with_keys(&later, &other).await;
    assert_eq!((found.verdict(), keys), (Verdict::Complete, later.keys.leave_keys()), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_under_way_when_its_agent_was_succeeded_changes_nothing() {
    let (running, reads) = Reads::start().await;
    let (first, session) = recording(&running).await;
    let segment = &session.segments[1];
    let grant = first.grant(&running, &session, &object_name(segment), &segment.bytes).await.ok();
    upload(&running, &grant["Grant"], &segment.bytes).await.ok();
    let whole = first.session(&running, &[b"whole\r\n"], EXITED);
    first.open(&running, &whole).await.ok();
    for number in 0..whole.segments.len() {
        first.deliver(&running, &whole, number).await;
    }
    // Both calls of the earlier agent are authenticated and permitted, and read a segment before they write.
    reads.hold_back(true);
    let claiming = claim(segment);
    let (claimed, sealed, successor) =
        tokio::join!(first.acknowledge(&running, &session, &claiming), first.seal(&running, &whole), async {
            reads.until_waiting(2).await;
            let second = replace(&running).await;
            let leaves = [
                leave_of(&second.take_over(&running, &session, &first).await.ok()),
                leave_of(&second.take_over(&running, &whole, &first).await.ok()),
            ];
            reads.hold_back(false);
            (second, leaves)
        });
    assert_eq!(claimed.refusal(), (401, "AgentNotFound"));
    assert_eq!(sealed.refusal(), (401, "AgentNotFound"));
    let (second, [leave, of_whole]) = successor;
    let of_terminal = |leave: &SealedBy| leave.open().unwrap().arrived[1].segments;
    assert_eq!(of_terminal(&leave), 1, "what was under way had not arrived");
    assert_eq!(item(&running, &whole).await["Status"], "running");

    // What the earlier agent had uploaded stays as it is: the same bytes are welcome, and others are not.
    let again = second.grant(&running, &session, &object_name(segment), &segment.bytes).await.ok();
    upload(&running, &again["Grant"], &segment.bytes).await.ok();
    let other = second.grant(&running, &session, &object_name(segment), b"other").await.ok();
    let refused = upload(&running, &other["Grant"], b"other").await;
    assert_eq!(refused.refusal(), (409, "ObjectAlreadyExists"));
    let late = upload(&running, &grant["Grant"], &segment.bytes).await;
    assert_eq!(late.refusal(), (401, "AgentNotFound"));
    for number in 1..session.segments.len() {
        second.deliver(&running, &session, number).await;
    }
    second.seal_in_place(&running, &session, &leave).await.ok();
    assert_eq!(verified(&running, &session).await.verdict(), Verdict::Complete);
    // The earlier call has left no manifest that would stand in the way.
    second.seal_in_place(&running, &whole, &of_whole).await.ok();
    assert_eq!(verified(&running, &whole).await.verdict(), Verdict::Complete);
    nothing_is_missing(&running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_bytes_come_after_its_agent_was_succeeded_writes_nothing() {
    let running = Running::start().await;
    let (first, session) = recording(&running).await;
    let segment = &session.segments[1];
    let grant =
        first.grant(&running, &session, &object_name(segment), &segment.bytes).await.ok()["Grant"].clone();
    let before = files(&running.objects_folder());

    let (begun, rest) = segment.bytes.split_at(segment.bytes.len() / 2);
    let mut head = format!("PUT {} HTTP/1.1\r\nHost: h\r\n", grant["Url"].as_str().unwrap());
    for (name, value) in grant["Headers"].as_object().unwrap() {
        head.push_str(&format!("{name}: {}\r\n", value.as_str().unwrap()));
    }
    head.push_str(&format!("Content-Length: {}\r\nConnection: close\r\n\r\n", segment.bytes.len()));
    let mut stream = TcpStream::connect(running.address.strip_prefix("http://").unwrap()).await.unwrap();
    stream.write_all(&[head.as_bytes(), begun].concat()).await.unwrap();
    let second = replace(&running).await;
    let leave = leave_of(&second.take_over(&running, &session, &first).await.ok());
    stream.write_all(rest).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("AgentNotFound"), "{answer}");
    assert_eq!(files(&running.objects_folder()), before);

    for number in 1..session.segments.len() {
        second.deliver(&running, &session, number).await;
    }
    second.seal_in_place(&running, &session, &leave).await.ok();
    assert_eq!(verified(&running, &session).await.verdict(), Verdict::Complete);
}

async fn two_replicas_and_three_agents_make_one_recording(database: Option<String>) {
    let one = Running::start_with(database).await;
    let other = one.another().await;
    let (first, session) = recording(&one).await;
    let second = replace(&one).await;
    let (here, there) =
        tokio::join!(second.take_over(&one, &session, &first), second.take_over(&other, &session, &first));
    let leave = leave_of(&here.ok());
    assert_eq!(leave, leave_of(&there.ok()));
    // The first one is a zombie, and goes on at whichever replica.
    for running in [&one, &other] {
        let late = first.acknowledge(running, &session, &claim(&session.segments[1])).await;
        assert_eq!(late.refusal(), (401, "AgentNotFound"));
    }
    second.deliver(&other, &session, 1).await;
    // The second one is replaced in its turn; the third has its word of the first one's recording.
    let third = replace(&other).await;
    let zombie = second.acknowledge(&one, &session, &claim(&session.segments[2])).await;
    assert_eq!(zombie.refusal(), (401, "AgentNotFound"));
    let leave = leave_of(&third.take_over(&one, &session, &first).await.ok());
    assert_eq!(leave.open().unwrap().arrived[1].segments, 2);
    for number in 2..session.segments.len() {
        third.deliver(&one, &session, number).await;
    }
    third.seal_in_place(&other, &session, &leave).await.ok();
    assert_eq!(verified(&one, &session).await.verdict(), Verdict::Complete);
    nothing_is_missing(&one).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_and_three_agents_make_one_recording_on_sqlite() {
    two_replicas_and_three_agents_make_one_recording(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_and_three_agents_make_one_recording_on_postgres() {
    two_replicas_and_three_agents_make_one_recording(Some(new_database(FAST).await)).await;
}
