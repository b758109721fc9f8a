//! A recorder that an interactive shell runs as a job: stopped, continued, in the background.

use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::LocalModes;

use crate::bench::{AGENT, Instance, eventually, without_root};
use crate::person::Person;

/// A person at an interactive shell with job control.
struct AtShell {
    instance: Instance,
    person: Person,
    /// How much had been shown when the last line was typed.
    typed_at: usize,
}

impl AtShell {
    fn new() -> Self {
        let instance = Instance::running();
        let person = Person::at_terminal(Command::new("bash").args(["--norc", "--noprofile"]));
        let at_shell = AtShell { instance, person, typed_at: 0 };
        at_shell.prompt();
        at_shell
    }

    /// Waits until the outer shell prompts for the next command.
    fn prompt(&self) {
        self.sees("ready> ");
    }

    /// Waits until this is shown after the last typed line.
    fn sees(&self, what: &str) {
        self.person.sees_after(self.typed_at, what);
    }

    fn types(&mut self, line: &str) {
        self.typed_at = self.person.shown_bytes();
        self.person.types(&format!("{line}\r"));
    }

    fn records(&mut self, command: &str) {
        let state = self.instance.state_dir();
        // The inner prompt must differ from the outer one.
        self.types(&format!(
            "PS1=in''ner:\\  '{AGENT}' --state-dir '{}' record --quiet -- {command}",
            state.display()
        ));
    }

    /// The recorder's process id.
    fn recorder(&self) -> Pid {
        let shell = self.person.pid().as_raw_pid();
        eventually("the recorder runs", || {
            let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).ok()?;
            Pid::from_raw(children.split_whitespace().next()?.parse().ok()?)
        })
    }

    fn is_stopped(&self, pid: Pid) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).unwrap();
        stat.rsplit_once(')').unwrap().1.trim_start().starts_with('T')
    }

    /// Whether the person's terminal passes every key through.
    fn is_raw(&self) -> bool {
        !self
            .person
            .settings()
            .local_modes
            .intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    fn becomes_raw(&self) {
        eventually("the terminal is raw", || self.is_raw().then_some(()));
    }

    /// Checks the modes that the outer shell gives to its commands, which are not those in which it reads lines
    /// itself.
    fn hands_out_a_plain_terminal(&mut self) {
        self.types("stty -a | tr ' ;' '\\n\\n' | grep -x -e '-\\?echo' -e '-\\?icanon' -e '-\\?isig' -e '-\\?opost' | tr '\\n' :");
        self.sees("isig:icanon:echo:");
        self.prompt();
    }

    fn resizes_and_sees_it_inside(&mut self, columns: u16) {
        self.types(&format!(
            "until [ \"$(stty size)\" = '30 {columns}' ]; do sleep 0.05; done; echo size-$((40+2))-{columns}"
        ));
        self.sees(&format!("size-42-{columns}"));
    }

    fn ends(mut self) {
        self.types("exit 9");
        self.prompt();
        self.types("echo code=$?");
        self.sees("code=9");
        self.prompt();
        self.hands_out_a_plain_terminal();
        self.types("exit 0");
        self.person.ends_with(0);
        self.instance.spool_is_empty();
        let recordings = std::mem::take(&mut self.instance.control_plane.state().recordings);
        for recording in recordings.values() {
            let end = recording::RecordingEnd::Exited(recording::ExitStatus::Code(9));
            assert_eq!(recording.end(), end);
        }
    }
}

#[test]
fn a_shell_that_suspends_itself_gives_the_terminal_back() {
    let mut at = AtShell::new();
    at.records("bash --norc --noprofile");
    at.sees("inner: ");
    at.becomes_raw();
    for columns in [100, 120] {
        at.types("suspend");
        at.prompt();
        at.hands_out_a_plain_terminal();
        // At this time the recorder is not told of it.
        at.person.resizes(columns, 30);
        at.types("fg");
        at.becomes_raw();
        at.sees("inner: ");
        at.resizes_and_sees_it_inside(columns);
    }
    at.ends();
}

#[test]
fn a_command_that_goes_on_finds_the_size_of_now() {
    const PROGRAM: &str = r#"exec("import os, signal\ndef width():\n os.kill(os.getpid(), signal.SIGSTOP)\n return os.get_terminal_size().columns\nprint([width() for _ in range(12)])\ninput()")"#;
    let columns: Vec<u16> = (100..112).collect();
    let mut at = AtShell::new();
    at.records(&format!("python3 -c '{PROGRAM}'"));
    for columns in &columns {
        // The prompt is drawn again for a new size, so it does not prove that the command is stopped.
        at.sees("Stopped");
        at.person.resizes(*columns, 30);
        at.types("fg");
    }
    // Some programs, such as Bash's line editor, set the size again that they read when they continue.
    at.sees(&format!("{columns:?}"));
    at.types("");
    at.prompt();
    at.types("exit 0");
    at.person.ends_with(0);
}

#[test]
fn a_stopped_recorder_continues() {
    let mut at = AtShell::new();
    at.records("bash --norc --noprofile");
    at.sees("inner: ");
    at.becomes_raw();
    let recorder = at.recorder();
    for (signal, columns) in [(Signal::TSTP, 100), (Signal::STOP, 120), (Signal::TSTP, 140)] {
        kill_process(recorder, signal).unwrap();
        at.prompt();
        assert!(at.is_stopped(recorder), "{signal:?}");
        at.hands_out_a_plain_terminal();
        at.person.resizes(columns, 30);
        at.types("bg");
        at.prompt();
        at.hands_out_a_plain_terminal();
        assert!(!at.is_stopped(recorder), "{signal:?}: in the background it runs");
        at.types("fg");
        at.becomes_raw();
        at.resizes_and_sees_it_inside(columns);
    }
    at.ends();
}

#[test]
fn a_recorder_started_in_the_background_runs_there_and_can_be_taken_to_the_foreground() {
    let mut at = AtShell::new();
    at.records("sh -c 'echo begun-$((1+1)); read line; echo got-$line; exit 9' &");
    at.sees("begun-2");
    at.prompt();
    let recorder = at.recorder();
    assert!(!at.is_stopped(recorder));
    at.hands_out_a_plain_terminal();
    at.types("fg");
    at.becomes_raw();
    at.types("a line");
    at.sees("got-a line");
    at.prompt();
    at.hands_out_a_plain_terminal();
    at.types("exit 0");
    at.person.ends_with(0);
}

#[test]
fn a_pipeline_is_stopped_as_a_whole() {
    let mut at = AtShell::new();
    at.records("sh -c 'echo up-$((1+1)) >&2; sleep 1000; exit 9' | cat");
    at.sees("up-2");
    // The terminal is as the shell left it, so the kernel handles Ctrl-Z.
    let recorder = at.recorder();
    at.person.types("\u{1a}");
    at.prompt();
    assert!(at.is_stopped(recorder));
    at.types("fg");
    eventually("it goes on", || (!at.is_stopped(recorder)).then_some(()));
    at.person.types("\u{3}");
    at.prompt();
    at.hands_out_a_plain_terminal();
    at.types("exit 0");
    at.person.ends_with(0);
}

#[test]
fn in_a_pid_namespace_whose_terminal_is_led_from_outside_a_shell_that_suspends_itself_goes_on() {
    if !rustix::process::geteuid().is_root() {
        without_root("only root can enter another PID namespace");
        return;
    }
    let instance = Instance::running();
    let recorder = instance.command(&["record", "--", "bash", "--norc", "--noprofile"]);
    let mut person = Person::at_terminal(
        Command::new("unshare")
            .args(["--pid", "--fork", "--mount-proc"])
            .arg(recorder.get_program())
            .args(recorder.get_args()),
    );
    person.sees("ready> ");
    person.types("suspend\r");
    person.types("echo still-$((40+2))\r");
    person.sees("still-42");
    person.types("exit 0\r");
    person.ends_with(0);
}

#[test]
fn where_no_shell_could_continue_it_a_shell_that_suspends_itself_goes_on() {
    let instance = Instance::running();
    let mut person = instance.person(&["bash", "--norc", "--noprofile"]);
    person.sees("ready> ");
    person.types("suspend\r");
    person.types("echo still-$((40+2))\r");
    person.sees("still-42");
    // Just as the kernel ignores Ctrl-Z in this case.
    person.signals(Signal::TSTP);
    person.types("echo here-$((40+2))\r");
    person.sees("here-42");
    person.types("exit 0\r");
    person.ends_with(0);
}
