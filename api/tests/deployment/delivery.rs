//! Opening, claiming and sealing: whatever does not fit is refused, and everything may be repeated.

use recording::{ExitStatus, Expected, SealingKey, TerminalSessionToken, Trust, TrustedKey, Verdict};
use serde_json::{Value, json};

use crate::files::files;
use crate::recording_agent::{Session, TestAgent, claim, object_name, upload};
use test_server::Running;

const EXITED: Option<ExitStatus> = Some(ExitStatus::Code(0));

async fn started(output: &[&[u8]], exit: Option<ExitStatus>) -> (Running, TestAgent, Session) {
    let running = Running::start().await;
    running.record("*", "7").await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let session = agent.session(&running, output, exit);
    agent.open(&running, &session).await.ok();
    (running, agent, session)
}

async fn put(running: &Running, agent: &TestAgent, session: &Session, number: usize) {
    let segment = &session.segments[number];
    let grant = agent.grant(running, session, &object_name(segment), &segment.bytes).await.ok();
    upload(running, &grant["Grant"], &segment.bytes).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivered_recording_is_complete_in_its_bucket() {
    let (running, agent, session) = started(&[b"hello\r\n", "w\u{f6}rld\r\n".as_bytes()], EXITED).await;
    for number in 0..session.segments.len() {
        agent.deliver(&running, &session, number).await;
    }
    assert_eq!(agent.seal(&running, &session).await.ok()["Status"], "finished");

    let bucket = running.objects_folder();
    let folder =
        format!("workbench-record-1000000000000001-default/record/2025/11/24/i-web1/{}", session.token());
    let found = files(&bucket);
    let folder = found
        .keys()
        .find_map(|name| name.find(&folder).map(|at| name[..at + folder.len()].to_owned()))
        .unwrap();
    let source = recording::FolderSource::new(bucket.join(folder));
    let trusted = TrustedKey { key: agent.sealing.public_key(), enrolment: None };
    let verification =
        recording::verify(&source, &Expected::default(), Trust::Enrolled(&trusted.into())).unwrap();
    assert_eq!(verification.verdict(), Verdict::Complete, "{verification:?}");
    assert_eq!(recording::to_text(&source).unwrap(), "hello\r\nw\u{f6}rld\r\n".as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_may_be_repeated_also_to_another_process() {
    let (running, agent, session) = started(&[b"a", b"b"], EXITED).await;
    let opened = agent.open(&running, &session).await.ok();
    agent.deliver(&running, &session, 0).await;
    agent.deliver(&running, &session, 0).await;
    let running = running.restart().await;
    assert_eq!(agent.open(&running, &session).await.ok()["ObjectPrefix"], opened["ObjectPrefix"]);
    agent.deliver(&running, &session, 0).await;
    agent.deliver(&running, &session, 1).await;
    agent.deliver(&running, &session, 2).await;
    let first = agent.seal(&running, &session).await.ok();
    let running = running.restart().await;
    let again = agent.seal(&running, &session).await.ok();
    assert_eq!((&first["Status"], &again["Status"]), (&json!("finished"), &json!("finished")));
    // Only what was already accepted may be sent again.
    agent.open(&running, &session).await.ok();
    let claimed = agent.acknowledge(&running, &session, &claim(&session.segments[1])).await.ok();
    assert_eq!(claimed["Acknowledged"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn opened_twice_at_once_it_is_one_recording() {
    let (running, agent, _) = started(&[], None).await;
    let session = agent.session(&running, &[b"a"], None);
    let (one, other) = tokio::join!(agent.open(&running, &session), agent.open(&running, &session));
    assert_eq!(one.ok()["ObjectPrefix"], other.ok()["ObjectPrefix"]);
    let listed = running.call("ListInstanceRecords", &[("InstanceId", "i-web1")]).await.ok();
    assert_eq!(listed["Root"]["TotalCount"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_object_store_only_delays_delivery() {
    let (running, agent, session) = started(&[b"a"], None).await;
    let grant = agent
        .grant(&running, &session, &object_name(&session.segments[0]), &session.segments[0].bytes)
        .await
        .ok();
    let there = running.objects_folder().join("workbench-record-1000000000000001-default");
    let away = there.with_extension("away");
    std::fs::rename(&there, &away).unwrap();
    std::fs::write(&there, b"a file in the bucket's place").unwrap();
    let unopened = agent.session(&running, &[], None);
    for answer in [
        upload(&running, &grant["Grant"], &session.segments[0].bytes).await,
        agent.acknowledge(&running, &session, &claim(&session.segments[0])).await,
        agent.open(&running, &unopened).await,
    ] {
        let (_, code) = answer.refusal();
        assert!(["StorageTargetUnusable", "ObjectNotFound"].contains(&code), "{answer:?}");
        assert_eq!(answer.body["Retryable"], true);
        let message = answer.body["Message"].as_str().unwrap();
        // The target was set by a user; the location of the folder and its contents are internal to the store.
        let folder = running.objects_folder().display().to_string();
        assert!(
            !message.contains(&folder) && !message.contains("/i-web1/"),
            "the store's own words: {message}"
        );
    }
    std::fs::remove_file(&there).unwrap();
    std::fs::rename(&away, &there).unwrap();
    upload(&running, &grant["Grant"], &session.segments[0].bytes).await.ok();
    agent.deliver(&running, &session, 0).await;
    agent.open(&running, &unopened).await.ok();
    assert_eq!(agent.seal(&running, &session).await.ok()["Status"], "interrupted");
}

/// A claim that also requests the grant of another segment.
fn claim_and_ask(segment: &recording::Segment, next: &recording::Segment) -> Value {
    let mut claim = claim(segment);
    claim["Next"] =
        json!({"ObjectName": object_name(next), "Length": next.bytes.len(), "Sha256": next.sha256});
    claim
}

#[tokio::test(flavor = "multi_thread")]
async fn the_grant_of_the_next_segment_comes_with_a_claim() {
    let (running, agent, session) = started(&[b"a", b"b", b"c"], EXITED).await;
    let (first, second, third) = (&session.segments[0], &session.segments[1], &session.segments[2]);
    put(&running, &agent, &session, 0).await;
    let claimed = agent.acknowledge(&running, &session, &claim_and_ask(first, second)).await.ok();
    assert_eq!(claimed["Acknowledged"], 0);
    // It is a grant like any other: for this object only.
    let wrong = upload(&running, &claimed["NextGrant"], &third.bytes).await;
    assert_eq!(wrong.refusal(), (400, "ObjectMismatch"));
    upload(&running, &claimed["NextGrant"], &second.bytes).await.ok();
    // A repeated claim, or a claim that requests anything but the next segment, gets no grant; it has to be requested
    // separately.
    let again = agent.acknowledge(&running, &session, &claim_and_ask(first, second)).await.ok();
    assert_eq!((&again["Acknowledged"], again.get("NextGrant")), (&json!(0), None));
    let claimed = agent.acknowledge(&running, &session, &claim_and_ask(second, first)).await.ok();
    assert_eq!((&claimed["Acknowledged"], claimed.get("NextGrant")), (&json!(1), None));
    let mut beyond = claim_and_ask(third, &session.segments[3]);
    beyond["Next"]["Length"] = json!(agent_protocol::MAXIMUM_OBJECT_BYTES + 1);
    put(&running, &agent, &session, 2).await;
    let claimed = agent.acknowledge(&running, &session, &beyond).await.ok();
    assert_eq!((&claimed["Acknowledged"], claimed.get("NextGrant")), (&json!(2), None));
    agent.deliver(&running, &session, 3).await;
    assert_eq!(agent.seal(&running, &session).await.ok()["Status"], "finished");
    let rows = running.call("ListAuditEvents", &[("InstanceId", "i-web1"), ("PageSize", "100")]).await.ok();
    let with_grant = |row: &&Value| row["How"] == "with the next grant";
    let rows = rows["Root"]["AuditEventList"].as_array().unwrap();
    assert_eq!(rows.iter().filter(with_grant).count(), 1, "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_is_claimed_even_without_room_for_the_next() {
    let (running, agent, session) = started(&[b"a", b"b"], EXITED).await;
    put(&running, &agent, &session, 0).await;
    let fill = async |number: u64, length: u64| {
        let name = format!("terminal/{number:06}.cast.zst");
        let body = json!({"ObjectName": name, "Length": length, "Sha256": recording::ContentHash::of(b"")});
        agent.post(&running, &session.path("grants"), &body).await.ok();
    };
    // Half of an agent's maximum is left for grants that are requested separately.
    let most = agent_protocol::MAXIMUM_OBJECT_BYTES;
    for number in 2..2 + domain::unclaimed::MOST_UNCLAIMED_BYTES / most / 2 {
        fill(number, most).await;
    }
    let claim = claim_and_ask(&session.segments[0], &session.segments[1]);
    let claimed = agent.acknowledge(&running, &session, &claim).await.ok();
    assert_eq!((&claimed["Acknowledged"], claimed.get("NextGrant")), (&json!(0), None));
    agent.deliver(&running, &session, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_at_once_a_claim_counts_once() {
    let (running, agent, session) = started(&[b"a"], None).await;
    put(&running, &agent, &session, 0).await;
    let claim = claim(&session.segments[0]);
    let (one, other) = tokio::join!(
        agent.acknowledge(&running, &session, &claim),
        agent.acknowledge(&running, &session, &claim)
    );
    assert_eq!((&one.ok()["Acknowledged"], &other.ok()["Acknowledged"]), (&json!(0), &json!(0)));
    assert_eq!(agent.seal(&running, &session).await.ok()["Status"], "interrupted");
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_at_once_a_seal_counts_once() {
    let (running, agent, session) = started(&[b"a"], EXITED).await;
    for number in 0..session.segments.len() {
        agent.deliver(&running, &session, number).await;
    }
    let (one, other) = tokio::join!(agent.seal(&running, &session), agent.seal(&running, &session));
    assert_eq!((&one.ok()["Status"], &other.ok()["Status"]), (&json!("finished"), &json!("finished")));
    assert_eq!(running.newest_status("i-web1").await, "finished");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_must_agree_with_the_agent() {
    let (running, agent, session) = started(&[], None).await;
    let stranger = TestAgent::enrol(&running, "i-web2").await;
    let fresh = || agent.session(&running, &[], None).start;
    let change = |what: fn(&mut recording::Start, &TestAgent)| {
        let mut start = fresh();
        what(&mut start, &stranger);
        start
    };
    for (start, word) in [
        (change(|start, _| start.account = "1000000000000002".parse().unwrap()), "account"),
        (change(|start, stranger| start.instance = stranger.instance.clone()), "instance"),
        (change(|start, stranger| start.agent = stranger.id.clone()), "agent"),
        (
            change(|start, stranger| start.agent_sealing_key = stranger.sealing.public_key()),
            "agent_sealing_key",
        ),
    ] {
        let answer = agent.open_with(&running, &start.recording, &start.to_document()).await;
        assert_eq!(answer.refusal(), (400, "InvalidStart"));
        let message = answer.body["Message"].as_str().unwrap();
        assert!(message.contains(&format!("start.json: {word} ")), "{message}");
    }
    let other_token = TerminalSessionToken::generate();
    let answer = agent.open_with(&running, &other_token, &fresh().to_document()).await;
    assert_eq!(answer.refusal(), (400, "InvalidStart"));
    let answer = agent.open_with(&running, &other_token, b"{\"format\":\"hansard-recording/2\"}").await;
    assert_eq!(answer.refusal(), (400, "InvalidStart"));

    // The token always identifies the first document.
    let mut other = session.start.clone();
    other.command = None;
    let answer = agent.open_with(&running, &other.recording, &other.to_document()).await;
    assert_eq!(answer.refusal(), (409, "RecordingConflict"));
    assert_eq!(answer.body["Retryable"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_taken_by_another_instance_is_refused() {
    let (running, _, session) = started(&[], None).await;
    let stranger = TestAgent::enrol(&running, "i-web2").await;
    let mut start = stranger.session(&running, &[], None).start;
    start.recording = session.start.recording.clone();
    let answer = stranger.open_with(&running, &start.recording, &start.to_document()).await;
    assert_eq!(answer.refusal(), (409, "RecordingConflict"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_is_claimed_in_order_and_only_when_it_is_there() {
    let (running, agent, session) = started(&[b"a", b"b"], None).await;
    let answer = agent.acknowledge(&running, &session, &claim(&session.segments[1])).await;
    assert_eq!(answer.refusal(), (409, "SegmentOutOfOrder"));
    assert_eq!((&answer.body["ExpectedNumber"], &answer.body["Retryable"]), (&json!(0), &json!(true)));
    let answer = agent.acknowledge(&running, &session, &claim(&session.segments[0])).await;
    assert_eq!(answer.refusal(), (409, "ObjectNotFound"));
    put(&running, &agent, &session, 0).await;
    agent.acknowledge(&running, &session, &claim(&session.segments[0])).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_must_say_what_the_stored_bytes_say() {
    let (running, agent, session) = started(&[b"a", b"b"], None).await;
    put(&running, &agent, &session, 0).await;
    let good = claim(&session.segments[0]);
    let zeros = "0".repeat(64);
    for (name, value) in [
        ("Length", json!(1)),
        ("Sha256", json!(zeros)),
        ("ChainBefore", json!(zeros)),
        ("ChainAfter", json!(zeros)),
        ("FirstAtMicros", json!(7)),
        ("LastAtMicros", json!(7)),
    ] {
        let mut wrong = good.clone();
        wrong[name] = value;
        assert_eq!(
            agent.acknowledge(&running, &session, &wrong).await.refusal(),
            (400, "InvalidSegment"),
            "{name}"
        );
    }
    agent.acknowledge(&running, &session, &good).await.ok();
    let mut other = good.clone();
    other["Sha256"] = zeros.into();
    assert_eq!(agent.acknowledge(&running, &session, &other).await.refusal(), (400, "InvalidSegment"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_not_a_segment_of_this_recording_are_never_claimed() {
    let (running, agent, session) = started(&[b"a", b"b"], None).await;
    // A segment of another recording, although valid in itself.
    let foreign = agent.session(&running, &[b"a"], None);
    let bytes = &foreign.segments[0].bytes;
    let grant = agent.grant(&running, &session, "terminal/000000.cast.zst", bytes).await.ok();
    upload(&running, &grant["Grant"], bytes).await.ok();
    let answer = agent.acknowledge(&running, &session, &claim(&foreign.segments[0])).await;
    assert_eq!(answer.refusal(), (400, "InvalidSegment"));

    // Not a segment at all, although hash and length are right.
    let second = agent.session(&running, &[b"a"], None);
    agent.open(&running, &second).await.ok();
    let grant = agent.grant(&running, &second, "terminal/000000.cast.zst", b"rubbish").await.ok();
    upload(&running, &grant["Grant"], b"rubbish").await.ok();
    let mut wrong: Value = claim(&second.segments[0]);
    wrong["Length"] = 7.into();
    wrong["Sha256"] = json!(recording::ContentHash::of(b"rubbish"));
    assert_eq!(agent.acknowledge(&running, &second, &wrong).await.refusal(), (400, "InvalidSegment"));
    assert_eq!(running.newest_status("i-web1").await, "running");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_in_the_bucket_before_the_claim_is_noticed() {
    let (running, agent, session) = started(&[b"a"], None).await;
    put(&running, &agent, &session, 0).await;
    let bucket = running.objects_folder();
    let name = files(&bucket).into_keys().find(|name| name.ends_with("000000.cast.zst")).unwrap();
    let mut bytes = session.segments[0].bytes.clone();
    *bytes.last_mut().unwrap() ^= 1;
    let path = bucket.join(name);
    let mut permissions = std::fs::metadata(&path).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o600);
    std::fs::set_permissions(&path, permissions).unwrap();
    std::fs::write(&path, bytes).unwrap();
    let answer = agent.acknowledge(&running, &session, &claim(&session.segments[0])).await;
    assert_eq!(answer.refusal(), (400, "InvalidSegment"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_must_be_signed_and_describe_what_arrived() {
    let (running, agent, session) = started(&[b"a", b"b"], EXITED).await;
    agent.deliver(&running, &session, 0).await;
    // Not all segments have arrived.
    assert_eq!(agent.seal(&running, &session).await.refusal(), (400, "InvalidManifest"));
    for number in 1..session.segments.len() {
        agent.deliver(&running, &session, number).await;
    }
    // Signed by another key.
    let forged = recording::seal(&session.manifest, &SealingKey::generate());
    assert_eq!(agent.seal_with(&running, &session, &forged).await.refusal(), (400, "InvalidManifest"));
    // Signed, but changed afterwards.
    let mut altered = recording::seal(&session.manifest, &agent.sealing);
    altered.bytes.push(b' ');
    assert_eq!(agent.seal_with(&running, &session, &altered).await.refusal(), (400, "InvalidManifest"));
    type Change = fn(&mut recording::Manifest);
    let changes: [(&str, Change); 9] = [
        ("number", |manifest| manifest.number = 1),
        ("recording", |manifest| manifest.recording = TerminalSessionToken::generate()),
        ("agent", |manifest| manifest.agent = recording::AgentId::generate()),
        ("agent_recording_number", |manifest| manifest.agent_recording_number += 1),
        ("start", |manifest| manifest.start.sha256 = recording::ContentHash::of(b"")),
        ("started_at", |manifest| manifest.started_at = recording::Timestamp::from_millis(0)),
        ("segment", |manifest| manifest.streams[0].segments[0].length += 1),
        ("chain", |manifest| manifest.streams[0].final_chain = recording::ChainValue::from_bytes([0; 32])),
        ("ended_at", |manifest| manifest.ended_at = recording::Timestamp::from_millis(0)),
    ];
    for (what, change) in changes {
        let mut manifest = session.manifest.clone();
        change(&mut manifest);
        let sealed = recording::seal(&manifest, &agent.sealing);
        assert_eq!(
            agent.seal_with(&running, &session, &sealed).await.refusal(),
            (400, "InvalidManifest"),
            "{what}"
        );
    }
    let mut missing = session.manifest.clone();
    missing.streams[0].segments.pop();
    let sealed = recording::seal(&missing, &agent.sealing);
    assert_eq!(agent.seal_with(&running, &session, &sealed).await.refusal(), (400, "InvalidManifest"));

    assert_eq!(running.newest_status("i-web1").await, "running");
    assert_eq!(agent.seal(&running, &session).await.ok()["Status"], "finished");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claimed_exit_needs_its_record() {
    let (running, agent, mut session) = started(&[b"a"], None).await;
    agent.deliver(&running, &session, 0).await;
    session.manifest.end = recording::RecordingEnd::Exited(ExitStatus::Code(0));
    assert_eq!(agent.seal(&running, &session).await.refusal(), (400, "InvalidManifest"));
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_bytes_in_the_place_of_evidence_are_reported_and_can_be_removed() {
    let (running, agent, session) = started(&[b"a"], EXITED).await;
    let folder = {
        let found = files(&running.objects_folder());
        let start = found.keys().find(|name| name.ends_with("start.json")).unwrap();
        running.objects_folder().join(start.strip_suffix("start.json").unwrap())
    };
    let laid = |name: &str| {
        let place = folder.join(name);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(&place, "laid").unwrap();
        place
    };
    let segment = laid("terminal/000000.cast.zst");
    let first = &session.segments[0];
    let grant = agent.grant(&running, &session, &object_name(first), &first.bytes).await.ok();
    let refused = upload(&running, &grant["Grant"], &first.bytes).await;
    assert_eq!(refused.refusal(), (409, "ObjectAlreadyExists"));
    assert_eq!(refused.body["Retryable"], true, "the agent keeps its bytes, and asks again");
    std::fs::remove_file(segment).unwrap();
    for number in 0..session.segments.len() {
        agent.deliver(&running, &session, number).await;
    }
    for name in ["manifest-0000.json", "manifest-0000.sig"] {
        let place = laid(name);
        let refused = agent.seal(&running, &session).await;
        assert_eq!(refused.refusal(), (409, "ObjectAlreadyExists"));
        assert!(refused.body["Message"].as_str().unwrap().contains(name), "{refused:?}");
        assert_eq!(refused.body["Retryable"], true);
        std::fs::remove_file(place).unwrap();
    }
    assert_eq!(agent.seal(&running, &session).await.ok()["Status"], "finished");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_added_to_a_sealed_recording() {
    let (running, agent, session) = started(&[b"a"], None).await;
    agent.deliver(&running, &session, 0).await;
    agent.seal(&running, &session).await.ok();
    let answer = agent.grant(&running, &session, "terminal/000001.cast.zst", b"more").await;
    assert_eq!(answer.refusal(), (409, "RecordingSealed"));
    let mut next = claim(&session.segments[0]);
    next["Number"] = 1.into();
    assert_eq!(agent.acknowledge(&running, &session, &next).await.refusal(), (409, "RecordingSealed"));
    let mut manifest = session.manifest.clone();
    manifest.end = recording::RecordingEnd::Interrupted { reason: "told otherwise".into() };
    let other = recording::seal(&manifest, &agent.sealing);
    assert_eq!(agent.seal_with(&running, &session, &other).await.refusal(), (409, "RecordingSealed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_agent_and_another_agent_cannot_touch_a_recording() {
    let (running, agent, session) = started(&[b"a"], None).await;
    put(&running, &agent, &session, 0).await;
    let stranger = TestAgent::enrol(&running, "i-web2").await;
    let answer = stranger.acknowledge(&running, &session, &claim(&session.segments[0])).await;
    assert_eq!(answer.refusal(), (404, "RecordingNotFound"));
    let newcomer = TestAgent::enrol_with(&running, "i-web1", true).await;
    let answer = newcomer.acknowledge(&running, &session, &claim(&session.segments[0])).await;
    assert_eq!(answer.refusal(), (404, "RecordingNotFound"));
    let answer = agent.acknowledge(&running, &session, &claim(&session.segments[0])).await;
    assert_eq!(answer.refusal(), (401, "AgentNotFound"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_is_not_sealed_before_its_manifest_is_in_the_bucket() {
    let running = Running::start().await;
    running.record("*", "7").await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let session = agent.session(&running, &[b"a"], None);
    agent.open(&running, &session).await.ok();
    agent.deliver(&running, &session, 0).await;
    // Something is in the way of the manifest.
    let stored = files(&running.objects_folder());
    let start = stored.keys().find(|name| name.ends_with("/start.json")).unwrap();
    for name in ["manifest-0000.json", "manifest-0000.sig"] {
        let in_the_way = running.objects_folder().join(start.replace("start.json", name));
        std::fs::create_dir(&in_the_way).unwrap();
        assert_eq!(agent.seal(&running, &session).await.refusal(), (503, "StorageTargetUnusable"));
        assert_eq!(running.newest_status("i-web1").await, "running", "{name}");
        std::fs::remove_dir(&in_the_way).unwrap();
    }
    assert_eq!(agent.seal(&running, &session).await.ok()["Status"], "interrupted");
    assert_eq!(agent.seal(&running, &session).await.ok()["Status"], "interrupted");
}
