//! What a configuration says about sessions: whom it records, what people are told, and what becomes of a session whose
//! recording cannot be kept.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Output, Stdio};

use agent_protocol::configuration::FailurePolicy;
use recording::{ExitStatus, RecordingEnd, ShortfallKind};

use crate::bench::{Instance, LAST_LINE, Program, eventually, text, token_in, without_root};
use crate::control_plane::State;
use crate::person::Person;

/// More than any disk has free.
const NEVER_FREE: [&str; 2] = ["--minimum-free-bytes", "9000000000000000000"];

fn record(instance: &Instance, arguments: &[&str]) -> Output {
    let arguments = [&["record"], arguments].concat();
    instance.command(&arguments).stdin(Stdio::null()).output().unwrap()
}

fn records(instance: &Instance, principals: &[&str]) {
    let principals = principals.iter().map(|pattern| (*pattern).to_owned()).collect();
    instance.configured(|state| state.recorded_principals = Some(principals));
}

/// The name of this process's user.
fn user_name() -> String {
    let output = std::process::Command::new("id").arg("-un").output().unwrap();
    text(&output.stdout).trim().to_owned()
}

#[test]
fn only_the_people_of_the_configuration_are_recorded_and_the_others_are_told() {
    let instance = Instance::running();
    let user = user_name();
    for others in [&["user:nobody-is-called-so"][..], &["role:*", "group:no-such-group-*"]] {
        records(&instance, others);
        let output = record(&instance, &["--quiet", "--", "echo", "ran"]);
        assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("ran\n", Some(0)));
        let told = text(&output.stderr);
        let expected = format!("hansard-agent: not recorded: {user} (uid ");
        assert!(told.starts_with(&expected) && told.contains("none of the RecordedPrincipals"), "{told}");
    }
    assert!(instance.spooled().is_empty());
    for theirs in [
        &["user:nobody-is-called-so", &format!("user:{user}")][..],
        &[&format!("user:{}*", &user[..1])],
        &["group:*"],
        &["kind-of-a-later-version:x"],
    ] {
        records(&instance, theirs);
        let (_, token) = instance.record(&["true"]);
        instance.control_plane.sealed(&token);
    }
}

#[test]
fn whoever_has_no_name_here_is_recorded() {
    const STRANGER: u32 = 54_999;
    if !rustix::process::geteuid().is_root() {
        return without_root("only root can become somebody else");
    }
    let instance = Instance::running();
    std::fs::set_permissions(instance.state_dir().parent().unwrap(), Permissions::from_mode(0o711)).unwrap();
    records(&instance, &["user:ana"]);
    let program = Program::for_everybody();
    let of_stranger = |user_id| {
        let mut command = program.run_by(user_id);
        command.arg("--state-dir").arg(instance.state_dir()).args(["record", "--", "true"]).output().unwrap()
    };
    let token = token_in(&text(&of_stranger(STRANGER).stderr)).expect("a directory service may call it ana");
    instance.control_plane.sealed(&token);
    let nobody =
        token_in(&text(&of_stranger(65_534).stderr)).expect("it may be anybody of another namespace");
    instance.control_plane.sealed(&nobody);
    let known = of_stranger(1);
    assert!(text(&known.stderr).contains("not recorded: daemon (uid 1)"), "{}", text(&known.stderr));
}

#[test]
fn the_notice_stands_on_the_terminal_before_the_first_prompt_whatever_is_silenced() {
    let instance = Instance::running();
    let at_terminal = |instance: &Instance| {
        let arguments = ["record", "--quiet", "--", "bash", "--norc", "--noprofile"];
        let mut person = Person::at_terminal(&instance.command(&arguments));
        person.sees("ready> ");
        person.types("exit\r");
        person.ends_with(0);
        person.screen()
    };
    let own = at_terminal(&instance);
    let token = token_in(&own).unwrap();
    assert!(own.starts_with(&format!("hansard-agent: recording this session as {token}\r\n")), "{own:?}");
    assert!(!own.contains(LAST_LINE), "--quiet silences the last line: {own:?}");

    instance.configured(|state| state.notice_text = Some("Wir zeichnen auf – we record".to_owned()));
    let theirs = at_terminal(&instance);
    assert!(theirs.starts_with("Wir zeichnen auf – we record\r\n"), "{theirs:?}");
    assert!(!theirs.contains("hansard-agent"), "{theirs:?}");

    // What a terminal would obey is shown, whatever control plane sent it.
    instance.configured(|state| state.notice_text = Some("a\u{1b}[2Jb".to_owned()));
    let escaped = at_terminal(&instance);
    assert!(escaped.starts_with("a\\u{1b}[2Jb\r\n"), "{escaped:?}");

    instance.configured(|state| state.notice_text = Some(String::new()));
    let silent = at_terminal(&instance);
    assert!(!silent.contains("hansard-agent") && !silent.contains("record"), "{silent:?}");
}

#[test]
fn without_a_terminal_the_notice_stands_on_standard_error_and_not_for_transfers() {
    let instance = Instance::running();
    instance.configured(|state| state.notice_text = Some("we record".to_owned()));
    let output = record(&instance, &["--quiet", "--", "sh", "-c", "echo out; echo err >&2"]);
    assert_eq!(text(&output.stdout), "out\n");
    assert_eq!(text(&output.stderr), "we record\nerr\n");
    if !rustix::process::geteuid().is_root() {
        return without_root("a shell accepts root's agent only");
    }
    // The notice does not depend on whether the program is there.
    std::fs::set_permissions(instance.state_dir().parent().unwrap(), Permissions::from_mode(0o711)).unwrap();
    for (command, told) in [
        ("echo scp -t", true),
        ("scp -t /no/such/folder/at/all", false),
        ("/usr/lib/openssh/sftp-server", false),
        ("rsync --server --no-such-option", false),
        ("git-upload-pack /no/such/folder", false),
    ] {
        let mut shell = instance.command(&["shell"]);
        let output = shell.env("SSH_ORIGINAL_COMMAND", command).stdin(Stdio::null()).output().unwrap();
        let said = text(&output.stderr);
        if said.contains("the agent may be the recorded person's own") {
            // Root is recorded by its own agent, which `shell` refuses: another user has to ask.
            let program = Program::for_everybody();
            let mut shell = program.run_by(65_534);
            shell.arg("--state-dir").arg(instance.state_dir()).arg("shell");
            let output = shell.env("SSH_ORIGINAL_COMMAND", command).output().unwrap();
            assert_eq!(text(&output.stderr).contains("we record\n"), told, "{}", text(&output.stderr));
        } else {
            assert_eq!(said.contains("we record\n"), told, "{command}: {said}");
        }
    }
}

/// An instance whose disk never has enough room.
fn full(change: impl FnOnce(&mut State)) -> Instance {
    let mut instance = Instance::new().with_run_arguments(&NEVER_FREE);
    change(&mut instance.control_plane.state());
    instance.enrol();
    instance.start_agent();
    instance
}

#[test]
fn under_best_effort_a_session_that_cannot_be_stored_goes_on_and_everybody_is_told() {
    let instance = full(|state| state.failure_policy = FailurePolicy::BestEffort);
    let output = record(&instance, &["--quiet", "--", "sh", "-c", "echo ran; exit 7"]);
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("ran\n", Some(7)));
    let told = text(&output.stderr);
    assert!(told.starts_with("hansard-agent: not recorded: only "), "{told}");
    assert!(told.contains("best_effort") && told.contains("the control plane is told"), "{told}");
    let report = eventually("the control plane is told", || {
        instance.control_plane.state().unrecorded.first().cloned()
    });
    assert_eq!((report.kind.as_str(), report.sessions, report.configuration_revision), ("terminal", 1, 1));
    assert!(report.claimed_user.starts_with(&format!("{} (uid ", user_name())), "{report:?}");
    assert!(report.reason.contains("bytes are free for the spool"), "{report:?}");
    assert_eq!(report.first_time, report.last_time);
    assert!(instance.spooled().is_empty());
    eventually("nothing is left to tell", || {
        (!instance.state_dir().join("unrecorded-sessions.json").exists()).then_some(())
    });
    assert_eq!(instance.control_plane.state().unrecorded.len(), 1);
}

#[test]
fn strict_is_the_default_and_a_change_back_is_obeyed() {
    let instance = full(|_| {});
    let refused = || {
        let output = record(&instance, &["--", "echo", "ran"]);
        assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("", Some(125)));
        assert!(text(&output.stderr).contains("refused: only"), "{}", text(&output.stderr));
    };
    refused();
    instance.configured(|state| state.failure_policy = FailurePolicy::BestEffort);
    assert_eq!(text(&record(&instance, &["--", "echo", "ran"]).stdout), "ran\n");
    instance.configured(|state| state.failure_policy = FailurePolicy::Strict);
    refused();
}

#[test]
fn an_outage_and_a_killed_agent_lose_no_report() {
    let mut instance = full(|state| state.failure_policy = FailurePolicy::BestEffort);
    instance.control_plane.state().away = true;
    for _ in 0..3 {
        assert_eq!(record(&instance, &["--", "true"]).status.code(), Some(0));
    }
    instance.kill_agent();
    // Under best_effort, too, nothing runs without an agent.
    let output = record(&instance, &["--", "echo", "ran"]);
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("", Some(125)));
    instance.start_agent();
    assert_eq!(record(&instance, &["--", "true"]).status.code(), Some(0));
    instance.control_plane.state().away = false;
    let ids = eventually("all four are reported", || {
        let state = instance.control_plane.state();
        let ids: std::collections::BTreeSet<_> =
            state.unrecorded.iter().map(|report| report.report_id.clone()).collect();
        (ids.len() == 4).then_some(ids)
    });
    assert!(ids.iter().all(|id| id.len() == 32), "{ids:?}");
}

#[test]
fn under_best_effort_too_many_sessions_of_a_user_are_not_recorded() {
    if !rustix::process::geteuid().is_root() {
        return without_root("root may have any number of sessions");
    }
    let mut instance = Instance::new().with_run_arguments(&["--most-sessions-of-a-user", "0"]);
    instance.control_plane.state().failure_policy = FailurePolicy::BestEffort;
    instance.enrol();
    instance.start_agent();
    std::fs::set_permissions(instance.state_dir().parent().unwrap(), Permissions::from_mode(0o711)).unwrap();
    let program = Program::for_everybody();
    let mut command = program.run_by(65_534);
    command.arg("--state-dir").arg(instance.state_dir()).args(["record", "--", "echo", "ran"]);
    let output = command.output().unwrap();
    assert_eq!(text(&output.stdout), "ran\n");
    assert!(
        text(&output.stderr).contains("not recorded: user 65534 has 0 sessions"),
        "{}",
        text(&output.stderr)
    );
    eventually("the control plane is told", || {
        instance.control_plane.state().unrecorded.first().map(|report| report.reason.clone())
    });
}

#[test]
fn a_recording_says_what_becomes_of_it_when_it_fails() {
    let instance = Instance::running();
    for policy in FailurePolicy::ALL {
        instance.configured(|state| state.failure_policy = policy);
        let (_, token) = instance.record(&["true"]);
        assert_eq!(instance.control_plane.sealed(&token).start().failure_policy, Some(policy));
    }
}

#[test]
fn under_best_effort_a_session_that_ends_while_its_disk_is_full_says_what_is_missing() {
    const MEBIBYTE: u64 = 1024 * 1024;
    let Some(instance) = Instance::new().on_small_disk(12 * MEBIBYTE) else {
        return without_root("a file system of a known size must be mounted");
    };
    let mut instance = instance.with_run_arguments(&["--minimum-free-bytes", "4000000"]);
    instance.control_plane.state().failure_policy = FailurePolicy::BestEffort;
    instance.enrol();
    instance.start_agent();
    let mut person = instance.person(&["bash", "--norc", "--noprofile"]);
    person.sees("ready> ");
    let token = person.token();
    let filler = instance.state_dir().join("filler");
    let mut writer = std::io::BufWriter::with_capacity(1, std::fs::File::create(&filler).unwrap());
    while std::io::Write::write_all(&mut writer, &[0; 4096]).is_ok() {}
    person.types("seq 30000; exit 3\r");
    person.ends_with(3);
    drop(writer);
    std::fs::remove_file(&filler).unwrap();
    let RecordingEnd::Interrupted { reason } = instance.control_plane.sealed(&token).end() else {
        panic!("its end is not recorded")
    };
    assert!(
        reason.contains("bytes are free") && reason.contains("bytes of output are not recorded"),
        "{reason}"
    );
}

#[test]
fn under_best_effort_a_session_whose_disk_is_full_goes_on_and_is_recorded_again_when_there_is_room() {
    const MEBIBYTE: u64 = 1024 * 1024;
    let Some(instance) = Instance::new().on_small_disk(12 * MEBIBYTE) else {
        return without_root("a file system of a known size must be mounted");
    };
    let mut instance = instance.with_run_arguments(&["--minimum-free-bytes", "4000000"]);
    instance.control_plane.state().failure_policy = FailurePolicy::BestEffort;
    instance.enrol();
    instance.start_agent();
    let mut person = instance.person(&["bash", "--norc", "--noprofile"]);
    person.sees("ready> ");
    let token = person.token();
    person.types("echo before-$((1+1))-that\r");
    person.sees("before-2-that");
    // Another process uses up all the remaining space.
    let filler = instance.state_dir().join("filler");
    let mut writer = std::io::BufWriter::with_capacity(1, std::fs::File::create(&filler).unwrap());
    while std::io::Write::write_all(&mut writer, &[0; 4096]).is_ok() {}
    person.types("echo mean-$((1+1))-while; seq 30000; echo all-$((1+1))-shown\r");
    person.sees("the recording has failed, and the session goes on without it (FailurePolicy best_effort)");
    person.sees("all-2-shown");
    drop(writer);
    std::fs::remove_file(&filler).unwrap();
    // It is tried again once a second, when there is something to record.
    eventually("it is recorded again", || {
        person.types("\r");
        person.screen().contains("the session is recorded again").then_some(())
    });
    person.types("echo after-$((1+1))-wards; exit 3\r");
    person.ends_with(3);
    let recording = instance.control_plane.sealed(&token);
    assert_eq!(recording.end(), RecordingEnd::Exited(ExitStatus::Code(3)));
    let output = text(&recording.output());
    assert!(output.contains("before-2-that") && output.contains("after-2-wards"), "{output}");
    assert!(!output.contains("all-2-shown"));
    let ledger = recording.ledger();
    let [entry] = &ledger[..] else { panic!("{ledger:?}") };
    assert_eq!((entry.kind, entry.cause.as_str()), (ShortfallKind::Gap, "spool_failed"));
    assert!(entry.lost_bytes > 30_000 && entry.reason.contains("bytes are free"), "{entry:?}");
    eventually("the control plane is told", || {
        let state = instance.control_plane.state();
        let report = state.unrecorded.iter().find(|report| report.reason.contains(token.as_str()))?;
        report.reason.contains("is not recorded").then_some(())
    });
}
