//! Any signal that would end the recorder ends the session in order: the terminal is restored, the recording
//! finished.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use agent_protocol::processes::ProcessFacts;
use recording::{ExitStatus, RecordingEnd, TerminalEvent, TerminalEventKind, TerminalSessionToken};
use rustix::process::{Pid, Signal};
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use crate::bench::{AGENT, Instance, eventually, text, token_in};

/// All signals that end a process by default, except those of its own faults; by number, because many have no name in
/// Rust.
fn ending_signals() -> impl Iterator<Item = i32> {
    // KILL, STOP, ILL, FPE, SEGV, BUS; PIPE, which a write reports; CHLD, CONT, TSTP, TTIN, TTOU, URG, WINCH do not
    // end a process.
    let others = [9, 19, 4, 8, 11, 7, 13, 17, 18, 20, 21, 22, 23, 28];
    // The C library reserves 32 and 33.
    (1..=31).filter(move |signal| !others.contains(signal)).chain(34..=64)
}

fn kill(signal: i32, process: &str) {
    assert!(Command::new("kill").args([&format!("-{signal}"), process]).status().unwrap().success());
}

#[test]
fn every_signal_that_would_end_the_recorder_ends_the_session_in_order() {
    let instance = Instance::running();
    for signal in ending_signals() {
        // A shell that ignores the signals that an interactive shell can ignore.
        let mut person = instance.person(&["sh", "-c", "echo up; exec sleep 1000"]);
        let before = person.modes_before();
        person.sees("up");
        let token = person.token();
        eventually("the terminal is raw", || (person.settings().local_modes != before).then_some(()));
        kill(signal, &person.pid().as_raw_pid().to_string());
        let status = person.ends();
        assert_eq!(status.signal(), None, "{signal} ended the recorder");
        assert_eq!(person.settings().local_modes, before, "{signal} leaves the terminal raw");
        let RecordingEnd::Exited(end) = instance.control_plane.sealed(&token).end() else {
            panic!("{signal} leaves the recording interrupted")
        };
        assert!(matches!(end, ExitStatus::Signal(_)), "{signal}: {end:?}");
        assert_eq!(status.code(), Some(end.shell_code().into()), "{signal}");
    }
}

/// Runs a command on a terminal until it prints that it is up, and then closes the terminal's other end, as when a
/// window is closed: the kernel itself informs the recorder.
fn hung_up(instance: &Instance, script: &str) -> (Child, TerminalSessionToken) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let terminal = rustix::pty::openpt(flags).unwrap();
    rustix::pty::grantpt(&terminal).unwrap();
    rustix::pty::unlockpt(&terminal).unwrap();
    let size = Winsize { ws_col: 100, ws_row: 30, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&terminal, size).unwrap();
    let end = || Stdio::from(rustix::pty::ioctl_tiocgptpeer(&terminal, flags).unwrap());
    let recorder = instance.command(&["record", "--", "sh", "-c", script]);
    let process = Command::new(AGENT)
        .args(["pty-child", "--"])
        .arg(recorder.get_program())
        .args(recorder.get_args())
        .stdin(end())
        .stdout(end())
        .stderr(end())
        .spawn()
        .unwrap();
    let mut terminal = File::from(terminal);
    let (mut shown, mut piece) = (Vec::new(), [0; 4096]);
    while !text(&shown).contains("it is up") {
        let read = terminal.read(&mut piece).unwrap();
        assert!(read > 0, "{}", text(&shown));
        shown.extend_from_slice(&piece[..read]);
    }
    (process, token_in(&text(&shown)).unwrap())
}

#[test]
fn a_window_that_is_closed_ends_the_session_in_order() {
    let instance = Instance::running();
    for script in ["echo it is up; exec sleep 1000", "while :; do echo it is up; done"] {
        let (mut process, token) = hung_up(&instance, script);
        eventually("the session ends", || process.try_wait().unwrap());
        let recording = instance.control_plane.sealed(&token);
        assert_eq!(recording.end(), RecordingEnd::Exited(ExitStatus::Signal(1)), "{script}");
    }
}

#[test]
fn a_command_that_continues_without_a_terminal_is_recorded_to_its_end() {
    let instance = Instance::running();
    let folder = tempfile::tempdir().unwrap();
    let go_on = folder.path().join("go-on");
    let script = format!(
        "trap '' HUP; echo it is up; while [ ! -e '{}' ]; do sleep 0.05; done; echo afterwards; exit 3",
        go_on.display()
    );
    let (mut process, token) = hung_up(&instance, &script);
    std::fs::write(&go_on, "").unwrap();
    eventually("the session ends", || process.try_wait().unwrap());
    let recording = instance.control_plane.sealed(&token);
    assert_eq!(recording.end(), RecordingEnd::Exited(ExitStatus::Code(3)));
    assert!(text(&recording.output()).contains("afterwards"));
    let resized = |event: TerminalEvent| matches!(event.kind, TerminalEventKind::Resize(_));
    assert!(!recording.events().into_iter().any(resized), "a terminal that is gone has no other size");
}

#[test]
fn without_a_terminal_too() {
    let instance = Instance::running();
    for signal in [1, 2, 10, 14, 15, 29, 40] {
        let mut process = instance
            .command(&["record", "--quiet", "--", "sh", "-c", "echo up; exec sleep 1000"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = process.stdout.take().unwrap();
        std::io::Read::read_exact(&mut stdout, &mut [0; 3]).unwrap();
        kill(signal, &process.id().to_string());
        let status = eventually("the session ends", || process.try_wait().unwrap());
        assert!(status.code().is_some_and(|code| code > 128), "{signal}: {status:?}");
        instance.spool_is_empty();
    }
    let recordings = std::mem::take(&mut instance.control_plane.state().recordings);
    assert!(recordings.values().all(|recording| matches!(recording.end(), RecordingEnd::Exited(_))));
}

#[test]
fn a_recorder_started_with_blocked_signals_still_handles_them() {
    let instance = Instance::running();
    let recorder = |script: &str| {
        let recorder = instance.command(&["record", "--quiet", "--", "sh", "-c", script]);
        let mut command = Command::new("env");
        command.args(["--block-signal=CHLD,TERM"]).arg(recorder.get_program()).args(recorder.get_args());
        command.env_remove("HANSARD_AGENT_STATE_DIR").stdin(Stdio::null()).stdout(Stdio::piped());
        command.spawn().unwrap()
    };
    let mut process = recorder("exit 3");
    assert_eq!(eventually("the session ends", || process.try_wait().unwrap()).code(), Some(3));
    let mut process = recorder("echo up; exec sleep 1000");
    std::io::Read::read_exact(process.stdout.as_mut().unwrap(), &mut [0; 3]).unwrap();
    kill(15, &process.id().to_string());
    assert_eq!(eventually("the session ends", || process.try_wait().unwrap()).code(), Some(128 + 15));
}

/// Each number of descriptors that could be too few is tried, since how many are open before differs from machine to
/// machine: with every one of them the command runs, or nothing does and the reason is told.
#[test]
fn a_command_that_cannot_be_started_leaves_the_reason() {
    let instance = Instance::running();
    let recorder = instance.command(&["record", "--", "echo", "ran"]);
    let mut not_started = 0;
    for descriptors in 6..24 {
        let script = format!("ulimit -n {descriptors}; exec \"$0\" \"$@\"");
        let mut limited = Command::new("sh");
        limited.args(["-c", &script]).arg(recorder.get_program()).args(recorder.get_args());
        let output = limited.stdin(Stdio::piped()).output().unwrap();
        let (shown, said) = (text(&output.stdout), text(&output.stderr));
        let Some(token) = token_in(&said) else {
            assert!(!output.status.success() && shown.is_empty(), "{descriptors}: {said}");
            continue;
        };
        match (instance.control_plane.sealed(&token).end(), output.status.code()) {
            (RecordingEnd::Exited(_), Some(0)) => assert_eq!(shown, "ran\n", "{descriptors}: {said}"),
            (RecordingEnd::Interrupted { reason }, Some(125)) => {
                assert!(!reason.is_empty() && shown.is_empty(), "{descriptors}: {reason}: {said}");
                not_started += usize::from(reason.contains("could not start the command"));
            }
            otherwise => panic!("{descriptors}: {otherwise:?}: {said}"),
        }
    }
    assert!(not_started > 0, "no number of descriptors was too few for the command alone");
}

#[test]
fn a_signal_that_was_ignored_stays_so() {
    let instance = Instance::running();
    let state = instance.state_dir();
    let script = format!(
        "trap '' HUP; exec '{}' --state-dir '{}' record --quiet -- sh -c 'echo up; read a; echo got $a; exit 4'",
        AGENT,
        state.display()
    );
    let mut process = Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = process.stdout.take().unwrap();
    std::io::Read::read_exact(&mut stdout, &mut [0; 3]).unwrap();
    kill(1, &process.id().to_string());
    std::io::Write::write_all(&mut process.stdin.take().unwrap(), b"it\n").unwrap();
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut stdout, &mut rest).unwrap();
    assert_eq!(text(&rest), "got it\n");
    assert_eq!(process.wait().unwrap().code(), Some(4));
}

/// The first child of a process, as soon as there is one.
fn first_child(process: Pid) -> i32 {
    let process = process.as_raw_pid();
    let children = format!("/proc/{process}/task/{process}/children");
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let found = std::fs::read_to_string(&children).unwrap_or_default();
        if let Some(child) = found.split_whitespace().next() {
            return child.parse().unwrap();
        }
        assert!(Instant::now() < deadline, "it starts no command");
    }
}

#[test]
fn a_window_that_is_closed_before_the_command_runs_ends_the_session() {
    let instance = Instance::running();
    for later in (0..10).map(|tenths| Duration::from_micros(tenths * 300)) {
        let mut person = instance.person(&["sh", "-c", "echo up; exec sleep 1000"]);
        // The launcher is there, and becomes the command only when the recorder has let it go.
        let launcher = first_child(person.pid());
        std::thread::sleep(later);
        person.signals(Signal::HUP);
        person.ends();
        eventually("the command has ended", || ProcessFacts::find(launcher).unwrap().is_none().then_some(()));
    }
    instance.spool_is_empty();
}
