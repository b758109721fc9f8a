//! The delivery mode `sync`: how late the control plane may be, and what becomes of a session when it is later.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agent_protocol::configuration::{DeliveryMode, FailurePolicy};
use agent_protocol::lines;
use agent_protocol::recorder::{ControlReply, ControlRequest};
use recording::{ExitStatus, RecordingEnd, ShortfallKind, TerminalSessionToken};

use crate::bench::{Instance, eventually, text};
use crate::control_plane::State;
use crate::person::Person;

/// Long enough that no test reaches it.
const NEVER: &str = "10m";
const SHELL: [&str; 3] = ["bash", "--norc", "--noprofile"];
const HELD: &str =
    "hansard-agent: output is held: the control plane has not stored what was shown more than 2s ago";

/// An instance whose sessions are delivered synchronously: they are held after two seconds, and end after so much more.
fn sync(end_after: &str, change: impl FnOnce(&mut State)) -> Instance {
    let limits = ["--sync-hold-after", "2s", "--sync-end-after", end_after];
    let mut instance = Instance::new().with_run_arguments(&limits);
    let mut state = instance.control_plane.state();
    state.delivery_mode = DeliveryMode::Sync;
    change(&mut state);
    drop(state);
    instance.enrol();
    instance.start_agent();
    instance
}

fn shell(instance: &Instance) -> (Person, TerminalSessionToken) {
    let person = instance.person(&SHELL);
    person.sees("ready> ");
    let token = person.token();
    (person, token)
}

fn ask(instance: &Instance, token: &TerminalSessionToken, request: &ControlRequest) -> ControlReply {
    let stream = UnixStream::connect(instance.session_folder(token).join("control.sock")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    lines::send(&stream, request, &[]).unwrap();
    lines::receive(&stream).unwrap().unwrap().0
}

fn is_held(instance: &Instance, token: &TerminalSessionToken) -> bool {
    held_at(instance, token).is_some()
}

/// How many bytes of output were recorded, if the rest is held.
fn held_at(instance: &Instance, token: &TerminalSessionToken) -> Option<u64> {
    match ask(instance, token, &ControlRequest::State) {
        ControlReply::State { is_held, recorded_bytes, .. } => is_held.then_some(recorded_bytes),
        other => panic!("{other:?}"),
    }
}

/// Cuts the control plane off, and waits until output is held for that.
fn is_held_without_control_plane(instance: &Instance, person: &mut Person) {
    instance.control_plane.state().away = true;
    person.types("echo shown-$((1+1))-last\r");
    person.sees("shown-2-last");
    person.sees(HELD);
}

/// Runs a command while output is held, and waits until it has run, which the person cannot see.
fn runs_unseen(instance: &Instance, person: &mut Person) {
    let ran = instance.state_dir().join("ran");
    person.types(&format!("touch {}; echo un-$((1+1))-seen\r", ran.display()));
    eventually("what was typed runs", || ran.exists().then_some(()));
    assert!(!person.screen().contains("un-2-seen"), "{}", person.screen());
}

#[test]
fn output_is_held_while_nothing_is_acknowledged_and_released_at_once() {
    let instance = sync(NEVER, |_| {});
    let (mut person, token) = shell(&instance);
    is_held_without_control_plane(&instance, &mut person);
    runs_unseen(&instance, &mut person);
    assert!(is_held(&instance, &token));
    instance.control_plane.state().away = false;
    person.sees("un-2-seen");
    person.sees("hansard-agent: the control plane has stored what was shown: output goes on");
    assert!(!is_held(&instance, &token));
    person.types("exit 3\r");
    person.ends_with(3);
    let recording = instance.control_plane.sealed(&token);
    assert_eq!(recording.end(), RecordingEnd::Exited(ExitStatus::Code(3)));
    assert_eq!(recording.start().delivery_mode, Some(DeliveryMode::Sync));
    assert_eq!(recording.manifest().delivery_mode, Some(DeliveryMode::Sync));
    assert_eq!(recording.ledger(), []);
    let output = text(&recording.output());
    assert!(output.contains("shown-2-last") && output.contains("un-2-seen"), "{output}");
    assert!(!output.contains("output is held"), "it is told, and not recorded: {output}");
}

#[test]
fn a_control_plane_that_acknowledges_in_time_is_not_noticed() {
    let instance = sync("0s", |_| {});
    let (mut person, token) = shell(&instance);
    // Longer than a session may wait, with something to acknowledge all the time.
    person.types("for i in 1 2 3 4 5; do echo tick-$i; sleep 1.1; done; exit 0\r");
    person.ends_with(0);
    let recording = instance.control_plane.sealed(&token);
    let segments = recording.manifest().streams[0].segments.len();
    assert!(segments >= 4, "{segments} segments in more than five seconds");
    assert!(!person.screen().contains("held"), "{}", person.screen());
}

#[test]
fn under_strict_a_session_that_is_held_for_too_long_ends_and_what_was_typed_meanwhile_is_recorded() {
    let instance = sync("4s", |_| {});
    let (mut person, token) = shell(&instance);
    let command = instance.command_of(&token);
    is_held_without_control_plane(&instance, &mut person);
    runs_unseen(&instance, &mut person);
    person.ends_with(125);
    person.sees(
        "the session was ended because its recording cannot be kept: the control plane did not acknowledge",
    );
    assert!(!person.screen().contains("un-2-seen"), "{}", person.screen());
    assert!(rustix::process::test_kill_process(command).is_err(), "the shell is ended");
    instance.control_plane.state().away = false;
    let recording = instance.control_plane.sealed(&token);
    let RecordingEnd::Interrupted { reason } = recording.end() else { panic!("it did not end") };
    assert!(reason.contains("within 6s (DeliveryMode sync)"), "{reason}");
    let output = text(&recording.output());
    assert!(output.contains("shown-2-last") && output.contains("un-2-seen"), "{output}");
}

#[test]
fn a_session_that_begins_without_a_control_plane_is_held_and_ends() {
    let mut instance = sync("1s", |_| {});
    instance.control_plane.state().away = true;
    let mut person = instance.person(&SHELL);
    let token = person.token();
    person.sees("ready> ");
    person.sees(HELD);
    person.ends_with(125);
    // A session without a terminal is held as well.
    let output = instance
        .record_with_input(&["sh", "-c", "echo first; sleep 2.5; echo second; sleep 60"], Stdio::null());
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("first\n", Some(125)));
    assert!(text(&output.stderr).contains(HELD), "{}", text(&output.stderr));
    let without_terminal = crate::bench::token_in(&text(&output.stderr)).unwrap();
    instance.control_plane.state().away = false;
    instance.control_plane.sealed(&token);
    let recording = instance.control_plane.sealed(&without_terminal);
    assert_eq!(text(&recording.output()), "first\nsecond\n");
    instance.stop_agent();
}

#[test]
fn under_best_effort_it_goes_on_as_if_it_were_async_and_the_ledger_says_so() {
    let instance = sync("1s", |state| state.failure_policy = FailurePolicy::BestEffort);
    let (mut person, token) = shell(&instance);
    is_held_without_control_plane(&instance, &mut person);
    person.sees(
        "hansard-agent: output goes on, although the control plane has not stored what was shown within 3s",
    );
    person.types("sleep 3; echo after-$((1+1))-that\r");
    person.sees("after-2-that");
    assert_eq!(person.screen().matches("output is held").count(), 1, "{}", person.screen());
    instance.control_plane.state().away = false;
    person.types("exit 3\r");
    person.ends_with(3);
    let recording = instance.control_plane.sealed(&token);
    assert_eq!(recording.end(), RecordingEnd::Exited(ExitStatus::Code(3)));
    assert_eq!(recording.start().delivery_mode, Some(DeliveryMode::Sync));
    assert_eq!(recording.manifest().delivery_mode, Some(DeliveryMode::Async));
    let ledger = recording.ledger();
    let [entry] = ledger.as_slice() else { panic!("{ledger:?}") };
    assert_eq!((entry.kind, entry.count), (ShortfallKind::DegradedMode, 1));
    assert_eq!(entry.cause.as_str(), "delivery_not_acknowledged");
    assert!(entry.reason.contains("within 3s"), "{entry:?}");
    assert!(text(&recording.output()).contains("after-2-that"));
}

#[test]
fn a_session_keeps_the_mode_that_it_began_with() {
    let instance = sync("0s", |state| state.delivery_mode = DeliveryMode::Async);
    let (mut person, token) = shell(&instance);
    instance.configured(|state| state.delivery_mode = DeliveryMode::Sync);
    instance.control_plane.state().away = true;
    person.types("echo first; sleep 3; echo late-$((1+1))-shown\r");
    person.sees("late-2-shown");
    let refused = ask(&instance, &token, &ControlRequest::Acknowledged { spools: vec![] });
    assert!(matches!(refused, ControlReply::Refused { .. }), "{refused:?}");
    instance.control_plane.state().away = false;
    person.types("exit 0\r");
    person.ends_with(0);
    assert!(!person.screen().contains("held"), "{}", person.screen());
    let recording = instance.control_plane.sealed(&token);
    assert_eq!(recording.start().delivery_mode, Some(DeliveryMode::Async));
    assert_eq!(recording.manifest().delivery_mode, Some(DeliveryMode::Async));
    assert!(recording.manifest().streams[0].segments.len() <= 2);
    let (_, token) = instance.record(&["true"]);
    assert_eq!(instance.control_plane.sealed(&token).start().delivery_mode, Some(DeliveryMode::Sync));
}

#[test]
fn an_agent_that_is_killed_while_output_is_held_releases_it_when_it_is_back() {
    let mut instance = sync(NEVER, |_| {});
    let (mut person, token) = shell(&instance);
    is_held_without_control_plane(&instance, &mut person);
    instance.kill_agent();
    runs_unseen(&instance, &mut person);
    instance.control_plane.state().away = false;
    instance.start_agent();
    person.sees("un-2-seen");
    person.types("exit 0\r");
    person.ends_with(0);
    assert_eq!(instance.control_plane.sealed(&token).ledger(), []);
}

#[test]
fn a_session_whose_agent_never_comes_back_is_held_and_ends_by_itself() {
    let mut instance = sync("1s", |_| {});
    let (mut person, token) = shell(&instance);
    instance.kill_agent();
    person.types("echo shown-$((1+1))-last\r");
    person.sees("shown-2-last");
    person.sees(HELD);
    person.ends_with(125);
    instance.start_agent();
    let recording = instance.control_plane.sealed(&token);
    let RecordingEnd::Interrupted { reason } = recording.end() else { panic!("it did not end") };
    assert!(reason.contains("did not acknowledge"), "{reason}");
    assert!(text(&recording.output()).contains("shown-2-last"));
}

#[test]
fn the_beginning_of_a_character_waits_for_its_rest_and_holds_nothing() {
    let instance = sync("0s", |_| {});
    let (mut person, token) = shell(&instance);
    // Long enough after other output: it is alone in the spool, and no segment can be cut of it.
    person.types("sleep 1.5; printf '\\342'; sleep 4; printf '\\202\\254\\n'; echo whole-$((1+1))\r");
    person.sees("whole-2");
    person.types("exit 0\r");
    person.ends_with(0);
    assert!(!person.screen().contains("held"), "{}", person.screen());
    assert!(text(&instance.control_plane.sealed(&token).output()).contains('€'));
}

#[test]
fn only_what_was_written_can_be_acknowledged() {
    let instance = sync(NEVER, |_| {});
    let (mut person, token) = shell(&instance);
    for (spool, bytes) in [("terminal", u64::MAX), ("desktop", 0)] {
        let spool = serde_json::from_value(spool.into()).unwrap();
        let spools = vec![agent_protocol::recorder::AcknowledgedSpool { spool, bytes }];
        let refused = ask(&instance, &token, &ControlRequest::Acknowledged { spools });
        assert!(matches!(refused, ControlReply::Refused { .. }), "{refused:?}");
    }
    is_held_without_control_plane(&instance, &mut person);
    instance.control_plane.state().away = false;
    person.types("exit 0\r");
    person.ends_with(0);
    instance.control_plane.sealed(&token);
}

#[test]
fn what_a_command_printed_that_ended_while_output_was_held_is_shown_when_it_is_released() {
    let instance = sync(NEVER, |_| {});
    let (mut person, token) = shell(&instance);
    let command = instance.command_of(&token);
    is_held_without_control_plane(&instance, &mut person);
    person.types("echo un-$((1+1))-seen; exit 5\r");
    eventually("the command ends", || rustix::process::test_kill_process(command).is_err().then_some(()));
    assert!(is_held(&instance, &token));
    assert!(!person.screen().contains("un-2-seen"), "{}", person.screen());
    instance.control_plane.state().away = false;
    person.sees("un-2-seen");
    person.ends_with(5);
    let recording = instance.control_plane.sealed(&token);
    assert_eq!(recording.end(), RecordingEnd::Exited(ExitStatus::Code(5)));
    assert!(text(&recording.output()).contains("un-2-seen"));
}

#[test]
fn a_command_that_prints_much_is_slowed_down_before_it_is_late() {
    const MEBIBYTE: u64 = 1024 * 1024;
    let instance = sync(NEVER, |_| {}).with_run_arguments(&["--sync-hold-after", NEVER]);
    let mut instance = instance;
    instance.stop_agent();
    instance.start_agent();
    let (mut person, token) = shell(&instance);
    instance.control_plane.state().away = true;
    person.types("seq 1 2000000; echo all-$((1+1))-shown; exit 0\r");
    let recorded = eventually("output is held", || held_at(&instance, &token));
    assert!((7 * MEBIBYTE..9 * MEBIBYTE).contains(&recorded), "{recorded}");
    assert!(!person.screen().contains("held"), "nobody is late");
    instance.control_plane.state().away = false;
    person.sees("all-2-shown");
    person.ends_with(0);
    assert!(instance.control_plane.sealed(&token).output().len() > 14_000_000);
}

#[test]
fn an_upload_waits_while_output_is_held() {
    const UPLOADED: usize = 1024 * 1024;
    let instance = sync(NEVER, |_| {});
    let file = instance.state_dir().join("uploaded");
    instance.control_plane.state().away = true;
    let script = format!("echo shown; exec cat > {}", file.display());
    let mut upload = instance.command(&["record", "--", "sh", "-c", &script]);
    // A socket, as of an SSH server: what can only be read from is the command's own.
    let (mut input, theirs) = UnixStream::pair().unwrap();
    let theirs = Stdio::from(std::os::fd::OwnedFd::from(theirs));
    let mut upload = upload.stdin(theirs).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(upload.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(told.any(|line| line.contains(HELD)));
    let sent = Arc::new(AtomicUsize::new(0));
    let so_far = Arc::clone(&sent);
    let sending = std::thread::spawn(move || {
        for _ in 0..UPLOADED / 4096 {
            input.write_all(&[b'x'; 4096]).unwrap();
            so_far.fetch_add(4096, Ordering::Relaxed);
        }
        drop(input);
    });
    // What the socket and the window take.
    eventually("the upload begins", || (sent.load(Ordering::Relaxed) >= 100_000).then_some(()));
    assert_eq!(std::fs::metadata(&file).unwrap().len(), 0);
    assert!(sent.load(Ordering::Relaxed) < UPLOADED / 2);
    instance.control_plane.state().away = false;
    sending.join().unwrap();
    assert!(upload.wait().unwrap().success());
    assert_eq!(std::fs::metadata(&file).unwrap().len(), UPLOADED as u64);
}

/// What ran while output was held is in the recording, however the session ends then.
#[test]
fn what_ran_while_output_was_held_is_recorded_when_the_session_ends() {
    type End = fn(&Instance, &Person, &TerminalSessionToken);
    let killed: End = |_, person, _| {
        rustix::process::kill_process(person.pid(), rustix::process::Signal::KILL).unwrap();
    };
    let told: End = |instance, _, token| {
        let request = ControlRequest::End { reason: "the disk is full".to_owned() };
        assert_eq!(ask(instance, token, &request), ControlReply::Done);
    };
    for end in [killed, told] {
        let instance = sync(NEVER, |_| {});
        let (mut person, token) = shell(&instance);
        is_held_without_control_plane(&instance, &mut person);
        runs_unseen(&instance, &mut person);
        end(&instance, &person, &token);
        instance.control_plane.state().away = false;
        let recording = instance.control_plane.sealed(&token);
        let output = text(&recording.output());
        assert!(output.contains("touch") && output.contains("un-2-seen"), "{output}");
    }
}
