//! An agent that is enrolled in the place of another goes on with what that one left.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use agent_protocol::AgentErrorCode;
use agent_protocol::configuration::DeliveryMode;
use recording::{
    AgentId, ChainValue, ContentHash, ExitStatus, Leave, ObjectName, RecordingEnd, SealedBy,
    TerminalSessionToken, Verdict,
};
use rustix::process::{Signal, kill_process, test_kill_process};
use serde_json::Value;

use crate::bench::{Instance, eventually, text};
use crate::control_plane::{INSTANCE, JOIN_TOKEN, Recording};
use crate::person::Person;

/// Enrols another agent in the place of the one that was there, which does not run. Gives that one, and what was said.
fn succeed(instance: &Instance) -> (AgentId, String) {
    let earlier = instance.agent_id();
    let enrolled = instance.enrol_again(&[]);
    assert!(enrolled.status.success(), "{}", text(&enrolled.stderr));
    assert_ne!(instance.agent_id(), earlier);
    (earlier, text(&enrolled.stdout))
}

fn key_of(instance: &Instance, agent: &AgentId) -> PathBuf {
    instance.state_dir().join("predecessors").join(format!("{agent}.key"))
}

fn kept_leave(instance: &Instance, token: &TerminalSessionToken) -> Option<Leave> {
    let kept = std::fs::read(instance.session_folder(token).join("leave.json")).ok()?;
    let kept: SealedBy = serde_json::from_slice(&kept).unwrap();
    Some(kept.open().unwrap())
}

fn session(instance: &Instance, token: &TerminalSessionToken) -> Option<Value> {
    let status = instance.status();
    let sessions = status["Running"]["Sessions"].as_array()?.clone();
    sessions.into_iter().find(|session| session["TerminalSessionToken"] == token.as_str())
}

/// Waits until the status of a session says this.
fn says(instance: &Instance, token: &TerminalSessionToken, what: &str) -> Value {
    eventually(&format!("its status says {what:?}"), || {
        let session = session(instance, token)?;
        session["Reason"].as_str().is_some_and(|reason| reason.contains(what)).then_some(session)
    })
}

fn is_sealed_here(instance: &Instance, token: &TerminalSessionToken) {
    let manifest = instance.session_folder(token).join("manifest-0000.json");
    eventually("it is sealed here", || manifest.exists().then_some(()));
}

fn wait_for_a_segment(instance: &Instance, token: &TerminalSessionToken) -> usize {
    eventually("a segment has arrived", || {
        let state = instance.control_plane.state();
        let arrived = state.recordings.get(token)?.segments.len();
        (arrived > 0).then_some(arrived)
    })
}

/// A shell whose output of this text has arrived.
fn shell_that_shows(instance: &Instance, shown: &str) -> (Person, TerminalSessionToken) {
    let mut person = instance.person(&["bash", "--norc", "--noprofile"]);
    person.sees("ready> ");
    let token = person.token();
    shows(&mut person, shown);
    (person, token)
}

fn shows(person: &mut Person, text: &str) {
    // The typed line is echoed, and must not look like its output.
    let (first, rest) = text.split_at(1);
    person.types(&format!("echo {first}''{rest}\r"));
    person.sees(text);
}

/// A session that ended without its agent, which does not run any more. Only its beginning may have arrived.
fn ended_without_agent(instance: &mut Instance, arrives: bool) -> TerminalSessionToken {
    instance.control_plane.state().away = !arrives;
    let (mut person, token) = shell_that_shows(instance, "before");
    if arrives {
        wait_for_a_segment(instance, &token);
    }
    instance.kill_agent();
    shows(&mut person, "behind");
    person.types("exit 3\r");
    person.ends_with(3);
    instance.control_plane.state().away = false;
    token
}

/// The leave in the manifest of a recording that is complete.
fn leave_of(recording: &Recording) -> Leave {
    recording.verification();
    recording.manifest().sealed_by.unwrap().open_for(&recording.start(), &recording.start_document).unwrap()
}

fn has_nothing_left(instance: &Instance) {
    instance.spool_is_empty();
    let folder = instance.state_dir().join("predecessors");
    eventually("nothing of earlier agents is kept", || {
        (std::fs::read_dir(&folder).unwrap().count() == 0).then_some(())
    });
}

#[test]
fn what_an_earlier_agent_delivered_in_part_is_delivered_to_its_end_and_sealed_with_leave() {
    let mut instance = Instance::running();
    let (_, first) = instance.record(&["echo", "first"]);
    let first = instance.control_plane.sealed(&first);
    let first_manifest = ContentHash::of(&first.objects.objects[&name("manifest-0000.json")]);
    let token = ended_without_agent(&mut instance, true);
    let arrived = wait_for_a_segment(&instance, &token);
    let (earlier, said) = succeed(&instance);
    assert!(said.contains("1 sessions that were recorded before this are not delivered yet"), "{said}");
    assert!(said.contains(&format!("{earlier}: the new agent delivers them, with leave")), "{said}");
    let key = std::fs::metadata(key_of(&instance, &earlier)).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);

    instance.start_agent();
    let recording = instance.control_plane.sealed(&token);
    let output = text(&recording.output());
    assert!(output.contains("before") && output.contains("behind"), "{output}");
    let manifest = recording.manifest();
    assert_eq!((&manifest.agent, manifest.agent_recording_number), (&earlier, 2));
    assert_eq!(manifest.previous_manifest, Some(first_manifest));
    assert_eq!(manifest.end, RecordingEnd::Exited(ExitStatus::Code(3)));
    let leave = leave_of(&recording);
    assert_eq!((&leave.agent, &leave.successor), (&earlier, &instance.agent_id()));
    let arrived_before: usize = leave.arrived.iter().map(|before| before.segments as usize).sum();
    assert_eq!(arrived_before, arrived);
    assert!(recording.segments.len() > arrived);
    assert_eq!(recording.verification().verdict(), Verdict::Complete);
    has_nothing_left(&instance);

    // Its own recordings begin with the number 1, and stand on nothing.
    let (_, own) = instance.record(&["echo", "own"]);
    let own = instance.control_plane.sealed(&own);
    let (manifest, successor) = (own.manifest(), instance.agent_id());
    assert_eq!((&manifest.agent, manifest.agent_recording_number), (&successor, 1));
    assert_eq!((manifest.previous_manifest, manifest.sealed_by), (None, None));
    assert_eq!(instance.control_plane.state().successions, 1);
}

#[test]
fn what_was_never_opened_is_taken_over_whether_it_was_sealed_here_or_not() {
    let mut instance = Instance::running();
    instance.control_plane.state().away = true;
    let (_, sealed) = instance.record(&["echo", "sealed by its own agent"]);
    is_sealed_here(&instance, &sealed);
    let manifest = std::fs::read(instance.session_folder(&sealed).join("manifest-0000.json")).unwrap();
    let cut_off = ended_without_agent(&mut instance, false);
    let (earlier, said) = succeed(&instance);
    assert!(said.contains("2 sessions that were recorded before this"), "{said}");
    let waiting = text(&instance.command(&["status"]).output().unwrap().stdout);
    assert_eq!(
        waiting.matches(&format!("waiting for an agent, recorded by {earlier}")).count(),
        2,
        "{waiting}"
    );

    instance.start_agent();
    let sealed = instance.control_plane.sealed(&sealed);
    assert_eq!(sealed.objects.objects[&name("manifest-0000.json")], manifest, "as its agent made it");
    assert_eq!(text(&sealed.output()), "sealed by its own agent\n");
    assert_eq!(sealed.manifest().sealed_by, None);
    let cut_off = instance.control_plane.sealed(&cut_off);
    assert!(leave_of(&cut_off).arrived.iter().all(|before| before.segments == 0));
    assert_eq!(cut_off.manifest().previous_manifest, Some(ContentHash::of(&manifest)));
    assert_eq!(cut_off.manifest().agent_recording_number, 2);
    assert!(text(&cut_off.output()).contains("behind"));
    has_nothing_left(&instance);
}

#[test]
fn a_session_that_goes_on_across_the_enrolment_is_recorded_to_its_end() {
    for delivery_mode in [DeliveryMode::Async, DeliveryMode::Sync] {
        let mut instance = Instance::new();
        instance.control_plane.state().delivery_mode = delivery_mode;
        instance.enrol();
        instance.start_agent();
        let (mut person, token) = shell_that_shows(&instance, "before");
        wait_for_a_segment(&instance, &token);
        instance.stop_agent();
        let (earlier, _) = succeed(&instance);
        if delivery_mode == DeliveryMode::Async {
            shows(&mut person, "between");
        }
        instance.start_agent();
        eventually("leave is kept", || kept_leave(&instance, &token));
        let shown = session(&instance, &token).unwrap();
        assert_eq!((&shown["AgentId"], &shown["State"]), (&earlier.as_str().into(), &"recording".into()));
        let table = text(&instance.command(&["status"]).output().unwrap().stdout);
        assert!(table.contains(&format!("recording, recorded by {earlier}")), "{table}");
        // Others are recorded meanwhile, by the new agent.
        let (_, own) = instance.record(&["true"]);
        assert_eq!(instance.control_plane.sealed(&own).manifest().agent, instance.agent_id());
        assert!(key_of(&instance, &earlier).exists(), "it is needed still");
        shows(&mut person, "after");
        person.types("exit 0\r");
        person.ends_with(0);
        let recording = instance.control_plane.sealed(&token);
        let output = text(&recording.output());
        assert!(output.contains("before") && output.contains("after"), "{output}");
        assert_eq!(recording.end(), RecordingEnd::Exited(ExitStatus::Code(0)));
        assert_eq!(leave_of(&recording).successor, instance.agent_id());
        assert_eq!(recording.start().delivery_mode, Some(delivery_mode));
        has_nothing_left(&instance);
    }
}

#[test]
fn the_leave_that_was_kept_is_used_by_later_starts_and_nothing_is_delivered_before_it_is_kept() {
    let mut instance = Instance::running();
    let token = ended_without_agent(&mut instance, true);
    let arrived = wait_for_a_segment(&instance, &token);
    succeed(&instance);
    instance.control_plane.state().puts_off = Some(("/succession", AgentErrorCode::InternalError));
    instance.start_agent();
    says(&instance, &token, "taking the recording over");
    assert_eq!(kept_leave(&instance, &token), None);
    instance.control_plane.state().puts_off = Some(("/grants", AgentErrorCode::InternalError));
    instance.kill_agent();
    instance.start_agent();
    let kept = eventually("leave is kept", || kept_leave(&instance, &token));
    assert_eq!(wait_for_a_segment(&instance, &token), arrived, "nothing is delivered yet");
    instance.kill_agent();

    // Asked again, the control plane would say something else.
    instance.control_plane.state().twists_leave =
        |leave| leave.issued_at = recording::Timestamp::from_millis(leave.issued_at.as_millis() + 1_000);
    instance.start_agent();
    says(&instance, &token, "asking for a grant");
    assert_eq!(
        kept_leave(&instance, &token).as_ref(),
        Some(&kept),
        "what had arrived is known better by the first one"
    );
    instance.kill_agent();
    instance.control_plane.state().puts_off = None;
    instance.start_agent();
    assert_eq!(leave_of(&instance.control_plane.sealed(&token)), kept);
    has_nothing_left(&instance);
}

#[test]
fn a_session_is_sealed_only_when_there_is_leave_and_its_status_says_so() {
    let mut instance = Instance::running();
    let token = ended_without_agent(&mut instance, false);
    let (earlier, _) = succeed(&instance);
    instance.control_plane.state().away = true;
    instance.start_agent();
    let folder = instance.session_folder(&token);
    eventually("it has ended", || (session(&instance, &token)?["State"] == "delivering").then_some(()));
    eventually("it is cut", || folder.join("segments/000000.cast.zst").exists().then_some(()));
    assert!(!folder.join("manifest-0000.json").exists());
    assert!(!instance.agent_log().contains("the recording is sealed"), "{}", instance.agent_log());
    assert!(instance.agent_log().contains("waits for leave to seal it"), "{}", instance.agent_log());
    // Without a control plane nobody gives leave, and another start changes nothing of that.
    instance.kill_agent();
    instance.start_agent();
    eventually("it has ended", || (session(&instance, &token)?["State"] == "delivering").then_some(()));
    instance.control_plane.state().away = false;
    assert_eq!(leave_of(&instance.control_plane.sealed(&token)).agent, earlier);
    has_nothing_left(&instance);
}

#[test]
fn a_leave_that_is_none_is_not_believed() {
    let mut instance = Instance::running();
    let token = ended_without_agent(&mut instance, true);
    succeed(&instance);
    type Twist = fn(&mut Leave);
    let twists: [(Twist, &str); 9] = [
        (|leave| leave.successor = AgentId::generate(), "not for this agent"),
        (
            |leave| leave.successor_sealing_key = recording::SealingKey::generate().public_key(),
            "with another key than this agent's",
        ),
        (|leave| leave.agent = AgentId::generate(), "for another recording, account, instance or agent"),
        (|leave| leave.recording = TerminalSessionToken::generate(), "for another recording"),
        (
            |leave| leave.instance = recording::InstanceId::parse("i-other").unwrap(),
            "for another recording, account, instance",
        ),
        (
            |leave| leave.start = recording::StartReference::of(b"another"),
            "for a recording with another start.json",
        ),
        (|leave| leave.arrived[0].segments += 1, "are not those that were cut here"),
        (
            |leave| {
                let events = leave.arrived.iter_mut().find(|before| before.segments == 0).unwrap();
                events.chain = ChainValue::first(b"another", events.stream);
            },
            "are not those that were cut here",
        ),
        (
            |leave| leave.arrived[0].chain = ChainValue::first(b"another", leave.arrived[0].stream),
            "are not those that were cut here",
        ),
    ];
    for (twist, why) in twists {
        instance.control_plane.state().twists_leave = twist;
        instance.start_agent();
        let session = says(&instance, &token, why);
        assert_eq!(session["State"], "refused", "{session}");
        assert_eq!(kept_leave(&instance, &token), None);
        instance.stop_agent();
    }
    instance.control_plane.state().twists_leave = |_| ();
    instance.control_plane.state().twists_succession = |reply| {
        let (document, key) = (b"{}".to_vec(), *reply.leave.as_ref().unwrap().control_plane_key());
        reply.leave = Some(SealedBy::new(document, key, [0; 64]));
    };
    instance.start_agent();
    says(&instance, &token, "not signed by the key of the control plane");
    instance.control_plane.state().twists_succession = |reply| reply.leave = None;
    let retry = |instance: &Instance| {
        assert!(instance.command(&["retry", token.as_str()]).output().unwrap().status.success());
    };
    retry(&instance);
    says(&instance, &token, "it gave no leave");
    assert_eq!(instance.control_plane.state().recordings[&token].segments.len(), 1, "nothing followed");
    instance.control_plane.state().twists_succession = |_| ();
    retry(&instance);
    leave_of(&instance.control_plane.sealed(&token));
    has_nothing_left(&instance);
}

#[test]
fn without_the_key_of_its_agent_a_session_is_kept_and_can_be_taken_out() {
    let mut instance = Instance::running();
    let token = ended_without_agent(&mut instance, true);
    let (earlier, _) = succeed(&instance);
    let key = key_of(&instance, &earlier);
    let aside = instance.state_dir().join("aside.key");
    std::fs::rename(&key, &aside).unwrap();
    instance.start_agent();
    says(&instance, &token, "the key of that agent is not in");
    let (_, own) = instance.record(&["true"]);
    instance.control_plane.sealed(&own);
    let to = instance.state_dir().with_file_name("exported");
    let exported =
        instance.command(&["export", token.as_str(), "--to", to.to_str().unwrap()]).output().unwrap();
    assert!(exported.status.success(), "{}", text(&exported.stderr));
    instance.stop_agent();

    // That of another agent is not taken for it, and one that cannot be read does not keep the agent from recording.
    std::fs::copy(instance.state_dir().join("sealing.key"), &key).unwrap();
    instance.start_agent();
    says(&instance, &token, "is not the one that its start.json names");
    instance.stop_agent();
    std::fs::write(&key, "no key").unwrap();
    instance.start_agent();
    says(&instance, &token, "is not a key");
    assert_eq!(instance.control_plane.state().successions, 0);
    instance.stop_agent();
    std::fs::rename(&aside, &key).unwrap();
    instance.start_agent();
    leave_of(&instance.control_plane.sealed(&token));
    has_nothing_left(&instance);
}

#[test]
fn only_a_new_agent_of_the_same_instance_at_the_same_control_plane_takes_over() {
    let mut instance = Instance::running();
    let token = ended_without_agent(&mut instance, true);
    let before = std::fs::read(instance.state_dir().join("agent.json")).unwrap();
    let refused = |server: &str, instance_id: &str, why: &str| {
        let arguments = ["enrol", "--server", server, "--instance-id", instance_id, "--token", JOIN_TOKEN];
        let output = instance.command(&arguments).arg("--replace").output().unwrap();
        let said = text(&output.stderr);
        assert!(!output.status.success() && said.contains(why), "{said}");
        assert!(said.contains("--abandon-spool sets them aside"), "{said}");
        assert_eq!(std::fs::read(instance.state_dir().join("agent.json")).unwrap(), before);
        assert!(!instance.state_dir().join("predecessors").exists(), "nothing is changed");
    };
    let server = instance.control_plane.address().to_owned();
    refused(&server, "i-two", "they are of instance i-one");
    refused("http://127.0.0.1:1", INSTANCE, "they are for the control plane at");
    assert!(instance.spool().join(token.as_str()).exists());

    // Without an identity nobody knows what lies there.
    std::fs::remove_file(instance.state_dir().join("agent.json")).unwrap();
    let output = instance.enrol_again(&[]);
    assert!(text(&output.stderr).contains("nothing says of which instance"), "{}", text(&output.stderr));
    std::fs::write(instance.state_dir().join("agent.json"), &before).unwrap();

    // In which account the token enrols, the control plane says alone.
    let account = std::mem::replace(
        &mut instance.control_plane.state().account,
        recording::AccountId::parse("1000000000000002").unwrap(),
    );
    let output = instance.enrol_again(&[]);
    let said = text(&output.stderr);
    assert!(!output.status.success() && said.contains("is of account 1000000000000001"), "{said}");
    assert_eq!(std::fs::read(instance.state_dir().join("agent.json")).unwrap(), before);
    instance.control_plane.state().account = account;
    succeed(&instance);
    instance.start_agent();
    leave_of(&instance.control_plane.sealed(&token));
}

#[test]
fn a_successor_that_did_not_finish_is_succeeded_itself() {
    let mut instance = Instance::running();
    let (mut person, live) = shell_that_shows(&instance, "recorded by the first");
    let token = ended_without_agent(&mut instance, true);
    let (first, _) = succeed(&instance);
    let ledger = key_of(&instance, &first).with_extension("ledger.json");
    let ledger_before = std::fs::read(&ledger).unwrap();

    instance.control_plane.state().puts_off = Some(("/grants", AgentErrorCode::InternalError));
    instance.start_agent();
    let leave = eventually("leave is kept", || kept_leave(&instance, &token));
    is_sealed_here(&instance, &token);
    let manifest = std::fs::read(instance.session_folder(&token).join("manifest-0000.json")).unwrap();
    eventually("leave is kept", || kept_leave(&instance, &live));
    let (_, own) = instance.record(&["echo", "recorded by the second"]);
    is_sealed_here(&instance, &own);
    instance.kill_agent();
    // As if it had been killed when the manifest was there, and the ledger of the first agent was not written yet.
    assert_ne!(std::fs::read(&ledger).unwrap(), ledger_before);
    std::fs::write(&ledger, ledger_before).unwrap();
    let (second, _) = succeed(&instance);
    assert_eq!(leave.successor, second);
    assert!(key_of(&instance, &first).exists() && key_of(&instance, &second).exists());

    instance.control_plane.state().puts_off = None;
    instance.start_agent();
    // What the second had sealed in the place of the first stays as it is: the next one stands on it.
    let sealed = instance.control_plane.sealed(&token);
    assert_eq!(sealed.objects.objects[&name("manifest-0000.json")], manifest);
    assert_eq!(leave_of(&sealed), leave);
    assert_eq!(instance.control_plane.sealed(&own).manifest().agent, second);
    eventually("the key of the second is erased", || (!key_of(&instance, &second).exists()).then_some(()));
    assert!(key_of(&instance, &first).exists());
    person.types("exit 0\r");
    person.ends_with(0);
    let live = instance.control_plane.sealed(&live);
    let leave = leave_of(&live);
    assert_eq!((&leave.agent, &leave.successor), (&first, &instance.agent_id()));
    assert_eq!(live.manifest().previous_manifest, Some(ContentHash::of(&manifest)));
    has_nothing_left(&instance);
}

#[test]
fn what_the_control_plane_has_sealed_already_is_erased_only_if_it_is_the_same() {
    let mut instance = Instance::running();
    instance.control_plane.state().puts_off = Some(("/seal", AgentErrorCode::InternalError));
    let (_, token) = instance.record(&["echo", "sealed"]);
    is_sealed_here(&instance, &token);
    eventually("only the seal is missing", || {
        (session(&instance, &token)?["Reason"].as_str()?.contains("sealing the recording")).then_some(())
    });
    let manifest = std::fs::read(instance.session_folder(&token).join("manifest-0000.json")).unwrap();
    instance.stop_agent();
    succeed(&instance);
    let seal_with = |instance: &Instance, manifest: &[u8]| {
        let mut state = instance.control_plane.state();
        let recording = state.recordings.get_mut(&token).unwrap();
        recording.objects.objects.insert(name("manifest-0000.json"), manifest.to_vec());
    };
    seal_with(&instance, b"another");
    instance.start_agent();
    let shown = says(&instance, &token, "it is sealed with another manifest");
    assert_eq!(shown["State"], "refused");
    assert!(instance.session_folder(&token).exists());
    seal_with(&instance, &manifest);
    assert!(instance.command(&["retry", token.as_str()]).output().unwrap().status.success());
    has_nothing_left(&instance);
    assert!(!instance.control_plane.state().recordings[&token].sealed, "it was not sealed again");
}

/// A copy of the earlier agent may have sealed less than what lies here.
#[test]
fn what_was_sealed_by_a_manifest_that_does_not_lie_here_is_kept() {
    let mut instance = Instance::running();
    let token = ended_without_agent(&mut instance, true);
    succeed(&instance);
    {
        let mut state = instance.control_plane.state();
        let recording = state.recordings.get_mut(&token).unwrap();
        recording.objects.objects.insert(name("manifest-0000.json"), b"of a copy".to_vec());
    }
    for _ in 0..2 {
        instance.start_agent();
        let shown = says(&instance, &token, "and none lies here");
        assert_eq!((&shown["State"], kept_leave(&instance, &token)), (&Value::from("refused"), None));
        instance.stop_agent();
    }
    let to = instance.state_dir().with_file_name("exported");
    let export = ["export", token.as_str(), "--to", to.to_str().unwrap()];
    let exported = instance.command(&export).output().unwrap();
    assert!(exported.status.success(), "{}", text(&exported.stderr));
}

#[test]
fn a_take_over_that_is_refused_for_long_is_in_quarantine_and_can_be_taken_out() {
    let mut instance = Instance::new().with_run_arguments(&["--quarantine-after", "0ms"]);
    instance.enrol();
    instance.start_agent();
    let token = ended_without_agent(&mut instance, false);
    succeed(&instance);
    instance.control_plane.state().puts_off = Some(("/succession", AgentErrorCode::SuccessionRefused));
    instance.start_agent();
    eventually("it is in quarantine", || {
        (session(&instance, &token)?["Delivery"] == "quarantined").then_some(())
    });
    eventually("its status says by what", || {
        let session = session(&instance, &token)?;
        let says_why = session["Reason"].as_str()?.contains("SuccessionRefused");
        (says_why && session["State"] == "refused").then_some(())
    });
    let to = instance.state_dir().with_file_name("exported");
    let export = ["export", token.as_str(), "--to", to.to_str().unwrap()];
    eventually("what was cut is taken out", || {
        let _ = std::fs::remove_dir_all(&to);
        let exported = instance.command(&export).output().unwrap();
        text(&exported.stdout).contains("1 segments of").then_some(())
    });
    let events = recording::decode_recording(&recording::FolderSource::new(&to)).unwrap().events;
    let shown: Vec<u8> = events.iter().filter_map(|event| event.kind.shown()).flatten().copied().collect();
    assert!(text(&shown).contains("behind"));
    // It rests, also after another start, until somebody asks.
    instance.control_plane.state().puts_off = None;
    instance.stop_agent();
    instance.start_agent();
    assert_eq!(session(&instance, &token).unwrap()["Delivery"], "quarantined");
    assert!(instance.command(&["retry", token.as_str()]).output().unwrap().status.success());
    leave_of(&instance.control_plane.sealed(&token));
    has_nothing_left(&instance);
}

#[test]
fn what_its_own_agent_was_refused_is_tried_at_once_by_the_next() {
    let mut instance = Instance::new().with_run_arguments(&["--quarantine-after", "0ms"]);
    instance.enrol();
    instance.start_agent();
    instance.control_plane.state().refuses_recordings = true;
    let (_, token) = instance.record(&["echo", "kept"]);
    eventually("it is in quarantine", || {
        (session(&instance, &token)?["Delivery"] == "quarantined").then_some(())
    });
    is_sealed_here(&instance, &token);
    instance.stop_agent();
    instance.control_plane.state().refuses_recordings = false;
    succeed(&instance);
    instance.start_agent();
    assert_eq!(text(&instance.control_plane.sealed(&token).output()), "kept\n");
    has_nothing_left(&instance);
}

#[test]
fn what_is_left_of_a_session_that_broke_off_is_ended_without_waiting_for_leave() {
    let mut instance = Instance::running();
    let command = "trap '' HUP TERM; echo up; while :; do sleep 1; done";
    let mut person = instance.person(&["sh", "-c", command]);
    person.sees("up");
    let token = person.token();
    let command = instance.command_of(&token);
    instance.stop_agent();
    kill_process(instance.recorder(&token), Signal::KILL).unwrap();
    person.ends();
    succeed(&instance);
    instance.control_plane.state().away = true;
    instance.start_agent();
    let gone = || test_kill_process(command).is_err().then_some(());
    eventually("the command is ended", gone);
    assert!(!instance.session_folder(&token).join("manifest-0000.json").exists());
    instance.control_plane.state().away = false;
    let recording = instance.control_plane.sealed(&token);
    assert!(matches!(recording.end(), RecordingEnd::Interrupted { .. }), "{:?}", recording.end());
    leave_of(&recording);
    has_nothing_left(&instance);
}

#[test]
fn the_key_of_an_earlier_agent_is_kept_as_long_as_something_here_may_be_of_it() {
    let mut instance = Instance::running();
    instance.control_plane.state().away = true;
    let (_, first) = instance.record(&["echo", "first"]);
    is_sealed_here(&instance, &first);
    let tokens = [first, ended_without_agent(&mut instance, false)];
    let (earlier, _) = succeed(&instance);
    let note = instance.session_folder(&tokens[0]).join("session.json");
    let noted = std::fs::read(&note).unwrap();
    std::fs::write(&note, "{").unwrap();
    let half_written = instance.state_dir().join("predecessors/.new-agent.key");
    std::fs::write(&half_written, "half of a key").unwrap();
    instance.start_agent();
    leave_of(&instance.control_plane.sealed(&tokens[1]));
    eventually("it is gone from the spool", || (!instance.session_folder(&tokens[1]).exists()).then_some(()));
    assert!(!half_written.exists());
    instance.stop_agent();
    instance.start_agent();
    assert!(key_of(&instance, &earlier).exists(), "whose the unreadable one is, nobody knows");
    instance.stop_agent();
    std::fs::write(&note, noted).unwrap();
    instance.start_agent();
    assert_eq!(text(&instance.control_plane.sealed(&tokens[0]).output()), "first\n");
    has_nothing_left(&instance);
}

/// Somebody who helps by hand moves a session's folder, and moves it back later.
#[test]
fn the_key_of_an_earlier_agent_is_kept_while_something_lies_in_the_spool_under_another_name() {
    let mut instance = Instance::running();
    let tokens = [ended_without_agent(&mut instance, false), {
        instance.start_agent();
        ended_without_agent(&mut instance, false)
    }];
    let (earlier, _) = succeed(&instance);
    let folder = instance.session_folder(&tokens[0]);
    let aside = folder.with_file_name(format!("{}.aside", tokens[0]));
    std::fs::rename(&folder, &aside).unwrap();
    instance.start_agent();
    leave_of(&instance.control_plane.sealed(&tokens[1]));
    eventually("it is gone from the spool", || (!instance.session_folder(&tokens[1]).exists()).then_some(()));
    instance.stop_agent();
    instance.start_agent();
    assert!(key_of(&instance, &earlier).exists(), "whose the folder is, nobody knows");
    instance.stop_agent();
    std::fs::rename(&aside, &folder).unwrap();
    instance.start_agent();
    instance.control_plane.sealed(&tokens[0]).verification();
    has_nothing_left(&instance);
}

fn name(text: &str) -> ObjectName {
    ObjectName::parse(text).unwrap()
}
