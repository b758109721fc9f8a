//! Recorded sessions: what is recorded is what is shown, byte for byte, and the command cannot tell the difference.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use recording::{ExitStatus, RecordingEnd, TerminalEventKind, TerminalSize};
use rustix::process::Signal;
use rustix::termios::LocalModes;

use crate::bench::{Instance, LAST_LINE, Program, eventually, text, token_in, without_root};

#[test]
fn a_shell_is_recorded_as_the_person_saw_it() {
    let instance = Instance::running();
    let mut person = instance.person(&["bash", "--norc", "--noprofile"]);
    let before = person.settings().local_modes;
    person.sees("ready> ");
    let token = person.token();
    assert!(!person.settings().local_modes.contains(LocalModes::ECHO), "the outer terminal is raw meanwhile");
    person.types("echo one-$((1+1))-three; tty; stty size\r");
    person.sees("one-2-three");
    person.sees("24 80");
    person.types("echo \"<$HANSARD_TERMINAL_SESSION_TOKEN>\"\r");
    person.sees(&format!("<{token}>"));
    // Ctrl-C ends the sleep, not the session. The command prints that it has begun, because a shell that has not
    // started it yet would handle the key itself.
    person.types("sh -c 'echo begun-$((1+1)); exec sleep 1000'\r");
    person.sees("begun-2\r\n");
    person.types("\u{3}");
    person.types("echo still-$((3+4))-here\r");
    person.sees("still-7-here");
    person.types("exit 42\r");
    person.ends_with(42);
    assert_eq!(person.settings().local_modes, before);

    let recording = instance.control_plane.sealed(&token);
    assert_eq!(recording.end(), RecordingEnd::Exited(ExitStatus::Code(42)));
    let shown = person.screen();
    let (_, after_notice) = shown.split_once(token.as_str()).unwrap();
    let last_line = format!("{LAST_LINE}{token}\r\n");
    let of_the_command = after_notice.strip_suffix(&last_line).expect("the last line says how to play it");
    assert_eq!(text(&recording.output()), of_the_command.trim_start_matches("\r\n"));
    let start = recording.start();
    assert_eq!(start.command.unwrap(), ["bash", "--norc", "--noprofile"]);
    assert_eq!(start.terminal, Some(TerminalSize { columns: 80, rows: 24 }));
    assert!(start.claimed_user.unwrap().contains("uid "));
    instance.spool_is_empty();
}

#[test]
fn a_new_size_reaches_command_and_recording() {
    let instance = Instance::running();
    let mut person = instance.person(&["bash", "--norc", "--noprofile"]);
    person.sees("ready> ");
    person.resizes(123, 45);
    person.types("until [ \"$(stty size)\" = '45 123' ]; do :; done; echo size-$((1+1))-new\r");
    person.sees("size-2-new");
    person.types("exit\r");
    person.ends_with(0);
    let recording = instance.control_plane.sealed(&person.token());
    let resize = TerminalEventKind::Resize(TerminalSize { columns: 123, rows: 45 });
    assert!(recording.events().iter().any(|event| event.kind == resize));
}

#[test]
fn exit_codes_and_signals_pass() {
    let instance = Instance::running();
    for (script, code, end) in [
        ("exit 0", 0, ExitStatus::Code(0)),
        ("exit 255", 255, ExitStatus::Code(255)),
        ("kill -TERM $$", 128 + 15, ExitStatus::Signal(15)),
        ("kill -KILL $$", 128 + 9, ExitStatus::Signal(9)),
    ] {
        let (output, token) = instance.record(&["sh", "-c", script]);
        assert_eq!(output.status.code(), Some(code), "{script}");
        assert_eq!(instance.control_plane.sealed(&token).end(), RecordingEnd::Exited(end), "{script}");
    }
}

#[test]
fn a_command_that_cannot_run_says_so_as_shells_do() {
    let instance = Instance::running();
    let (output, token) = instance.record(&["/no/such/command"]);
    assert_eq!(output.status.code(), Some(127));
    let said = text(&output.stderr);
    let (_, reason) = said.split_once(token.as_str()).unwrap();
    let reason =
        reason.strip_suffix(&format!("{LAST_LINE}{token}\n")).expect("the last line says how to play it");
    assert!(reason.contains("/no/such/command"), "{reason}");
    assert_eq!(text(&instance.control_plane.sealed(&token).output()), reason.trim_start_matches('\n'));
    let (output, _) = instance.record(&["/etc/passwd"]);
    assert_eq!(output.status.code(), Some(126));
}

#[test]
fn every_byte_is_kept_whatever_it_is() {
    let instance = Instance::running();
    // Random bytes, and characters that are split between reads.
    let script = "head -c 3000000 /dev/urandom; for i in $(seq 20000); do printf 'ä€𝄞'; done";
    let length = 3_000_000 + 20_000 * 9;
    let (output, token) = instance.record(&["sh", "-c", script]);
    assert_eq!(output.stdout.len(), length);
    let recording = instance.control_plane.sealed(&token);
    assert!(recording.output() == output.stdout, "the recording differs from what was passed on");
    assert!(recording.segments.len() >= 3, "{} segments", recording.segments.len());

    let mut person = instance.person(&["sh", "-c", &format!("stty raw; {script}")]);
    let token = person.token();
    person.ends_with(0);
    let recording = instance.control_plane.sealed(&token);
    let shown = eventually("all is shown", || person.screen_bytes_after(&format!("{token}\r\n"), length));
    assert!(recording.output() == shown, "the recording differs from what was shown");
}

#[test]
fn the_tail_of_bulk_output_is_not_lost() {
    let instance = Instance::running();
    for _ in 0..5 {
        let (output, token) = instance.record(&["sh", "-c", "seq 100000; printf the-very-end"]);
        assert!(output.stdout.ends_with(b"100000\nthe-very-end"));
        assert!(instance.control_plane.sealed(&token).output() == output.stdout);
        let mut person = instance.person(&["sh", "-c", "seq 100000; printf the-very-end"]);
        person.ends_with(0);
        person.sees("100000\r\nthe-very-end");
        let recording = instance.control_plane.sealed(&person.token());
        assert!(recording.output().ends_with(b"100000\r\nthe-very-end"));
    }
}

#[test]
fn a_background_process_that_holds_the_terminal_does_not_hold_the_session() {
    let instance = Instance::running();
    let mut person = instance.person(&["sh", "-c", "trap '' HUP; sleep 1000 & echo started; exit 3"]);
    person.ends_with(3);
    person.sees("started\r\n");
    let mut person = instance.person(&["sh", "-c", "trap '' HUP; yes & exit 4"]);
    person.ends_with(4);
}

#[test]
fn a_pipe_that_ends_ends_every_reader() {
    let instance = Instance::running();
    let mut process = instance
        .command(&["record", "--quiet", "--", "sh", "-c", "cat; echo between; cat; echo done"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    process.stdin.take().unwrap().write_all(b"one\ntwo").unwrap();
    let output = process.wait_with_output().unwrap();
    assert_eq!(text(&output.stdout), "one\ntwobetween\ndone\n");
    assert!(output.status.success());
}

#[test]
fn full_screen_programs_work() {
    let instance = Instance::running();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("text");
    // Debian's small vim or the full one.
    let vim = ["vim.tiny", "vim"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok())
        .expect("these tests need vim (apt-get install vim-tiny)");
    let mut person = instance.person(&[vim, "-u", "NONE", "-i", "NONE", "-n", file.to_str().unwrap()]);
    person.sees("[New");
    person.types("ihello from vim\u{1b}:wq\r");
    person.ends_with(0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "hello from vim\n");

    let mut person = instance.person(&["less", file.to_str().unwrap()]);
    person.sees("hello from vim");
    person.types("q");
    person.ends_with(0);
    let recording = instance.control_plane.sealed(&person.token());
    assert!(text(&recording.output()).contains("hello from vim"));

    let mut person = instance.person(&["htop"]);
    person.sees("Load average");
    person.types("q");
    person.ends_with(0);
}

#[test]
fn a_closed_window_ends_the_session_and_its_recording_in_order() {
    let instance = Instance::running();
    let mut person = instance.person(&["bash", "--norc", "--noprofile", "-c", "echo up; exec sleep 1000"]);
    person.sees("up");
    person.signals(Signal::HUP);
    person.ends_with(128 + 1);
    let recording = instance.control_plane.sealed(&person.token());
    assert_eq!(recording.end(), RecordingEnd::Exited(ExitStatus::Signal(1)));

    let mut person = instance.person(&["sh", "-c", "trap '' HUP TERM; echo up; while :; do sleep 0.1; done"]);
    person.sees("up");
    person.signals(Signal::TERM);
    person.ends_with(128 + 9);
}

#[test]
fn recordings_are_numbered_and_name_the_one_before() {
    let mut instance = Instance::running();
    let first = instance.record(&["true"]).1;
    let first = instance.control_plane.sealed(&first);
    instance.spool_is_empty();
    instance.kill_agent();
    instance.start_agent();
    let second = instance.record(&["true"]).1;
    let second = instance.control_plane.sealed(&second);
    assert_eq!(first.start().agent_recording_number, 1);
    assert_eq!(first.manifest().previous_manifest, None);
    assert_eq!(second.start().agent_recording_number, 2);
    let manifest = recording::ObjectName::parse("manifest-0000.json").unwrap();
    let hash = recording::ContentHash::of(&first.objects.objects[&manifest]);
    assert_eq!(second.manifest().previous_manifest, Some(hash));
    assert_eq!(second.start().previous_manifest, Some(hash));
}

#[test]
fn many_sessions_at_once_are_all_delivered() {
    let instance = Instance::running();
    let tokens: Vec<_> = std::thread::scope(|scope| {
        let recorders: Vec<_> = (0..8)
            .map(|number| {
                let instance = &instance;
                scope.spawn(move || instance.record(&["sh", "-c", &format!("echo session {number}")]).1)
            })
            .collect();
        recorders.into_iter().map(|recorder| recorder.join().unwrap()).collect()
    });
    let mut numbers: Vec<_> = tokens
        .iter()
        .map(|token| instance.control_plane.sealed(token).start().agent_recording_number)
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=8).collect::<Vec<_>>());
    instance.spool_is_empty();
    eventually("no session is known", || {
        instance.status()["Running"]["Sessions"].as_array().unwrap().is_empty().then_some(())
    });
    let agent = instance.agent_pid();
    eventually("nothing of a recorder is left", || {
        let threads = std::fs::read_dir(format!("/proc/{agent}/task")).unwrap();
        let children = |thread: std::io::Result<std::fs::DirEntry>| {
            std::fs::read_to_string(thread.unwrap().path().join("children")).unwrap_or_default()
        };
        threads.map(children).all(|children| children.is_empty()).then_some(())
    });
}

#[test]
fn people_without_privileges_can_be_recorded_and_cannot_see_the_spool() {
    const NOBODY: u32 = 65534;
    if !rustix::process::geteuid().is_root() {
        return without_root("only root can become somebody else");
    }
    let instance = Instance::running();
    let program = Program::for_everybody();
    std::fs::set_permissions(instance.state_dir().parent().unwrap(), Permissions::from_mode(0o711)).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = program.run_by(NOBODY);
        command.arg("--state-dir").arg(instance.state_dir()).args(arguments).output().unwrap()
    };
    let output = run(&["record", "--", "id", "-u"]);
    assert_eq!(text(&output.stdout), "65534\n", "{}", text(&output.stderr));
    let token = token_in(&text(&output.stderr)).unwrap();
    let recording = instance.control_plane.sealed(&token);
    assert!(recording.start().claimed_user.unwrap().ends_with("(uid 65534)"));

    let spool = instance.spool();
    let output = run(&["record", "--quiet", "--", "ls", spool.to_str().unwrap()]);
    assert!(text(&output.stderr).contains("Permission denied"), "{}", text(&output.stderr));
    let status = run(&["status", "--output", "json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["Running"]["Sessions"], serde_json::json!([]));
}

#[test]
fn a_segment_at_hand_is_granted_with_the_acknowledgement_of_the_one_before() {
    for (gives, asked_for) in [(true, "the first"), (false, "each")] {
        let instance = Instance::running();
        instance.control_plane.state().gives_no_next_grants = !gives;
        instance.control_plane.state().away = true;
        let (output, token) = instance.record(&["sh", "-c", "head -c 3000000 /dev/urandom"]);
        // All of it is cut before any of it is delivered.
        let folder = instance.session_folder(&token);
        eventually("it is sealed", || folder.join("manifest-0000.json").exists().then_some(()));
        instance.control_plane.state().away = false;
        let recording = instance.control_plane.sealed(&token);
        assert!(recording.output() == output.stdout);
        let segments = recording.segments.len();
        assert!(segments >= 3, "{segments} segments");
        let expected = if gives { 1 } else { segments };
        assert_eq!(instance.control_plane.state().grants_asked, expected, "{asked_for} of {segments}");
    }
}
