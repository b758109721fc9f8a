//! Without a terminal, or with a terminal on only some of the three descriptors: every byte passes unchanged, and the
//! command cannot notice the recorder.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use recording::{ExitStatus, RecordingEnd, TerminalEvent, TerminalEventKind};
use rustix::fs::{OFlags, fcntl_getfl};

use crate::bench::{AGENT, Instance, eventually, text};
use crate::control_plane::Recording;
use crate::person::Person;

/// Bytes that a terminal would change: control characters, line ends, and lines longer than a terminal accepts.
fn difficult_bytes() -> Vec<u8> {
    let mut bytes = b"a\nb\r\nc\x04d\x03e\x1af\x11\x13g\xff\xfeh\x00\x1c\x7f\x15\x17\x16\n".to_vec();
    bytes.extend([[b'x'; 5000].as_slice(), b"\n"].concat());
    let mut state = 1_u64;
    while bytes.len() < 300_000 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_be_bytes());
    }
    bytes
}

/// Waits until the only recording is sealed.
fn the_recording(instance: &Instance) -> Recording {
    let token = eventually("a recording is opened", || {
        instance.control_plane.state().recordings.keys().next().cloned()
    });
    instance.control_plane.sealed(&token)
}

fn record(instance: &Instance, command: &[&str]) -> Command {
    let mut whole = instance.command(&["record", "--quiet", "--"]);
    whole.args(command);
    whole
}

/// The command line of `record` for a shell.
fn words(instance: &Instance) -> String {
    format!("'{AGENT}' --state-dir '{}' record --quiet --", instance.state_dir().display())
}

fn fed(mut command: Command, input: &[u8]) -> Output {
    let mut process =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = process.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input));
        process.wait_with_output().unwrap()
    })
}

/// The bytes of an event for a standard error that is not a terminal.
fn error_output(event: &TerminalEvent) -> Option<&[u8]> {
    match &event.kind {
        TerminalEventKind::ErrorOutput(bytes) => Some(bytes),
        _ => None,
    }
}

#[test]
fn bytes_pass_as_they_are_in_both_directions() {
    let instance = Instance::without_notice();
    let bytes = difficult_bytes();
    let output = fed(record(&instance, &["sh", "-c", "cat; exit 9"]), &bytes);
    assert_eq!(output.status.code(), Some(9));
    assert!(output.stdout == bytes, "{} bytes came back, not {}", output.stdout.len(), bytes.len());
    assert_eq!(text(&output.stderr), "");
    let recording = the_recording(&instance);
    assert!(recording.output() == bytes);
    assert_eq!(recording.end(), RecordingEnd::Exited(ExitStatus::Code(9)));
}

#[test]
fn standard_input_is_not_recorded() {
    let instance = Instance::without_notice();
    let output = fed(record(&instance, &["sh", "-c", "wc -c"]), b"a secret");
    assert_eq!(text(&output.stdout).trim(), "8");
    assert_eq!(the_recording(&instance).output(), output.stdout);
}

#[test]
fn standard_error_stays_apart_and_is_marked() {
    let instance = Instance::without_notice();
    let output = fed(record(&instance, &["sh", "-c", "echo out; echo err >&2; printf '\\377' >&2"]), b"");
    assert_eq!(output.stdout, b"out\n");
    assert_eq!(output.stderr, b"err\n\xff");
    let recording = the_recording(&instance);
    let events = recording.events();
    let errors: Vec<u8> = events.iter().filter_map(error_output).flatten().copied().collect();
    assert_eq!(errors, b"err\n\xff");
    assert!(events.iter().any(|event| event.kind == TerminalEventKind::Output(b"out\n".to_vec())));
}

#[test]
fn both_outputs_in_one_pipe_or_file_keep_their_order() {
    let instance = Instance::without_notice();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("both");
    let prints = "for i in $(seq 500); do echo $i; echo $i >&2; done";
    let expected: String = (1..=500).map(|number| format!("{number}\n{number}\n")).collect();
    for target in ["| cat".to_owned(), format!("> '{0}'; cat '{0}'", file.display())] {
        let redirected = target.replacen("| cat", "2>&1 | cat", 1).replacen("';", "' 2>&1;", 1);
        let script = format!("{} sh -c '{prints}' {redirected}", words(&instance));
        let output = Command::new("sh").args(["-c", &script]).stdin(Stdio::null()).output().unwrap();
        assert!(text(&output.stdout) == expected, "{script}: {}", text(&output.stdout));
        let recording = the_recording(&instance);
        assert!(text(&recording.output()) == expected);
        assert!(recording.events().iter().all(|event| error_output(event).is_none()));
    }
}

#[test]
fn each_descriptor_is_a_terminal_for_the_command_exactly_when_it_is_one_for_the_person() {
    let instance = Instance::without_notice();
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("seen");
    let looks =
        "s=; for fd in 0 1 2; do if [ -t $fd ]; then s=${s}t; else s=${s}n; fi; done; echo $s > \"$SEEN\"";
    for case in 0..8 {
        let redirections: String = [" < /dev/zero", " > /dev/null", " 2> /dev/null"]
            .into_iter()
            .enumerate()
            .filter(|(fd, _)| (case >> fd) & 1 == 1)
            .map(|(_, redirection)| redirection)
            .collect();
        let expected: String = (0..3).map(|fd| if (case >> fd) & 1 == 1 { 'n' } else { 't' }).collect();
        let script = format!("SEEN='{}' {} sh -c '{looks}'{redirections}", seen.display(), words(&instance));
        let mut person = Person::at_terminal(Command::new("sh").args(["-c", &script]));
        person.ends_with(0);
        assert_eq!(std::fs::read_to_string(&seen).unwrap().trim_end(), expected, "{redirections}");
    }
}

#[test]
fn without_any_terminal_there_is_none_to_open_either() {
    let instance = Instance::without_notice();
    let script = format!(
        "{} sh -c 'if true < /dev/tty; then echo opened; else echo none; fi' < /dev/null 2> /dev/null | cat",
        words(&instance)
    );
    let mut person = Person::at_terminal(Command::new("sh").args(["-c", &script]));
    person.sees("none");
    person.ends_with(0);
}

#[test]
fn a_program_between_pipes_still_asks_the_person() {
    let instance = Instance::without_notice();
    let asks = "cat; stty -echo < /dev/tty; printf password: > /dev/tty; read a < /dev/tty; stty echo < /dev/tty; echo \"<$a>\"";
    let script = format!("echo piped | {} sh -c '{asks}' | sed s/x/y/", words(&instance));
    let mut person = Person::at_terminal(Command::new("sh").args(["-c", &script]));
    person.sees("password:");
    // Without echo: the input must not be visible on the screen. Once the prompt is shown, the modes are set.
    let modes = || person.settings().local_modes;
    eventually("the person's terminal does not echo", || {
        (!modes().contains(rustix::termios::LocalModes::ECHO)).then_some(())
    });
    person.types("hidden\r");
    person.sees("<hidden>");
    person.ends_with(0);
    assert_eq!(person.screen().matches("hidden").count(), 1, "{}", person.screen());
    assert!(person.settings().local_modes.contains(rustix::termios::LocalModes::ECHO));
    let output = text(&the_recording(&instance).output());
    assert!(output.contains("password:") && output.contains("<hidden>"), "{output}");
}

#[test]
fn another_program_of_the_pipeline_keeps_the_keys_that_it_reads() {
    let instance = Instance::without_notice();
    let script = format!(
        "{} sh -c 'echo one; sleep 1000' | sh -c 'read x; echo \"first $x\"; read y < /dev/tty; echo \"other got $y\"; exit 3'; echo over",
        words(&instance)
    );
    let mut person = Person::at_terminal(Command::new("sh").args(["-c", &script]));
    person.sees("first one");
    person.types("keys\r");
    person.sees("other got keys");
    // The terminal is in the modes that the other programs have set, so the key reaches all of them.
    person.types("\u{3}");
    person.ends();
}

#[test]
fn a_command_that_nobody_reads_from_learns_it_as_without_a_recorder() {
    let instance = Instance::without_notice();
    let mut process = record(&instance, &["sh", "-c", "yes; exit 3"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = process.stdout.take().unwrap();
    let mut first = [0; 2];
    stdout.read_exact(&mut first).unwrap();
    drop(stdout);
    // SIGPIPE ended `yes`, and the shell continued.
    assert_eq!(ends(&mut process), Some(3));
    let recording = the_recording(&instance);
    assert_eq!(recording.end(), RecordingEnd::Exited(ExitStatus::Code(3)));
    assert!(recording.output().starts_with(b"y\ny\n"));

    let mut process =
        record(&instance, &["yes"]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    drop(process.stdout.take());
    assert_eq!(ends(&mut process), Some(128 + 13));
    assert_eq!(the_recording(&instance).end(), RecordingEnd::Exited(ExitStatus::Signal(13)));
}

fn ends(process: &mut Child) -> Option<i32> {
    eventually("the session ends", || process.try_wait().unwrap()).code()
}

#[test]
fn what_the_command_does_not_read_is_left_to_the_next() {
    let instance = Instance::without_notice();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lines");
    std::fs::write(&file, (1..=1000).map(|number| format!("{number}\n")).collect::<String>()).unwrap();
    let script =
        format!("{{ {} sh -c 'read a; echo got $a'; cat; }} < '{}'", words(&instance), file.display());
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let expected: String = (2..=1000).fold("got 1\n".to_owned(), |text, number| format!("{text}{number}\n"));
    assert!(text(&output.stdout) == expected, "{}", text(&output.stdout));
}

#[test]
fn a_command_that_does_not_read_is_not_waited_for() {
    let instance = Instance::without_notice();
    // A pipe whose writer stays open, one that is full, and a socket.
    let (read, write) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&write, true).unwrap();
    while (&write).write(&[0; 4096]).is_ok() {}
    let mut process = record(&instance, &["true"]).stdin(read).spawn().unwrap();
    assert_eq!(ends(&mut process), Some(0));
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    while (&ours).write(&[0; 4096]).is_ok() {}
    let mut process =
        record(&instance, &["sh", "-c", "exit 5"]).stdin(OwnedFd::from(theirs)).spawn().unwrap();
    assert_eq!(ends(&mut process), Some(5));
}

#[test]
fn sockets_pass_bytes_and_ends_in_both_directions() {
    let instance = Instance::without_notice();
    let bytes = difficult_bytes();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    // As super-servers and some sshd versions do it: one socket for all three.
    let stdio = || Stdio::from(OwnedFd::from(theirs.try_clone().unwrap()));
    let mut process = record(&instance, &["sh", "-c", "cat; exit 6"])
        .stdin(stdio())
        .stdout(stdio())
        .stderr(stdio())
        .spawn()
        .unwrap();
    drop(theirs);
    let (mut back, sent) = (Vec::new(), bytes.clone());
    let mut sender = ours.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        sender.write_all(&sent).unwrap();
        sender.shutdown(std::net::Shutdown::Write).unwrap();
    });
    ours.read_to_end(&mut back).unwrap();
    sending.join().unwrap();
    assert!(back == bytes);
    assert_eq!(ends(&mut process), Some(6));
    assert!(the_recording(&instance).output() == bytes);
}

#[test]
fn an_output_that_the_command_closes_ends_for_its_reader() {
    let instance = Instance::without_notice();
    let mut process = record(&instance, &["sh", "-c", "echo first; exec >&-; read a; echo $a >&2"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = String::new();
    process.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    assert_eq!(stdout, "first\n");
    process.stdin.take().unwrap().write_all(b"still here\n").unwrap();
    let output = process.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), "still here\n".to_owned()));
}

#[test]
fn closed_descriptors_are_like_the_null_device() {
    let instance = Instance::without_notice();
    let script = format!("{} sh -c 'cat; echo out; echo err >&2; exit 4' <&- >&- 2>&-", words(&instance));
    let status = Command::new("sh").args(["-c", &script]).status().unwrap();
    assert_eq!(status.code(), Some(4));
    let recording = the_recording(&instance);
    assert_eq!(text(&recording.output()), "out\nerr\n");
}

#[test]
fn output_that_cannot_be_written_is_reported_as_a_failure() {
    let instance = Instance::without_notice();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = record(&instance, &["echo", "lost"]).stdin(Stdio::null()).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    let said = text(&output.stderr);
    assert!(
        said.contains("standard output could not be written") && said.contains("No space left"),
        "{said}"
    );
    let recording = the_recording(&instance);
    assert_eq!(recording.output(), b"lost\n");
    assert_eq!(recording.end(), RecordingEnd::Exited(ExitStatus::Code(0)));
}

#[test]
fn nobody_elses_descriptor_becomes_non_blocking() {
    let instance = Instance::without_notice();
    let (input, feed) = std::io::pipe().unwrap();
    let (drain, output) = std::io::pipe().unwrap();
    let mut process = record(&instance, &["cat"])
        .stdin(input.try_clone().unwrap())
        .stdout(output.try_clone().unwrap())
        .spawn()
        .unwrap();
    (&feed).write_all(b"x").unwrap();
    (&drain).read_exact(&mut [0]).unwrap();
    let non_blocking = |fd: &OwnedFd| fcntl_getfl(fd).unwrap().contains(OFlags::NONBLOCK);
    let (input, output) = (OwnedFd::from(input), OwnedFd::from(output));
    assert!(!non_blocking(&input) && !non_blocking(&output), "while it runs");
    drop(feed);
    assert_eq!(ends(&mut process), Some(0));
    assert!(!non_blocking(&input) && !non_blocking(&output), "afterwards");
}

#[test]
fn a_slow_reader_holds_the_command_and_fills_no_memory() {
    let instance = Instance::without_notice();
    let mut process = record(&instance, &["sh", "-c", "head -c 30000000 /dev/zero; echo written >&2"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = process.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 1000]).unwrap();
    // As long as nobody reads, the size of the spool does not grow: two pipes and one burst.
    let spooled = || {
        let mut folders = std::fs::read_dir(instance.spool()).unwrap().map(|entry| entry.unwrap().path());
        folders
            .find_map(|folder| std::fs::metadata(folder.join("terminal.spool")).ok())
            .map_or(0, |file| file.len())
    };
    let mut before = 0;
    let held = eventually("the recorder waits", || {
        let now = spooled();
        std::thread::sleep(std::time::Duration::from_millis(200));
        let stands = now > 0 && now == before;
        before = now;
        stands.then_some(now)
    });
    assert!(held < 1_000_000, "{held} bytes are spooled");
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let peak: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.trim().split(' ').next()?.parse().ok())
        .unwrap();
    assert!(peak < 40_000, "{peak} kB");
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).unwrap();
    assert_eq!(rest.len(), 30_000_000 - 1000);
    let output = process.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), "written\n".to_owned()));
}

#[test]
fn what_is_left_over_is_waited_for_as_its_reader_does() {
    let instance = Instance::without_notice();
    let script = "sh -c 'sleep 0.5; echo late' & echo started; exit 3";
    let output = fed(record(&instance, &["sh", "-c", script]), b"");
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(3), "started\nlate\n".to_owned()));
    assert_eq!(text(&the_recording(&instance).output()), "started\nlate\n");
    // A file has no reader, so the wait for it is short.
    let file = tempfile::tempfile().unwrap();
    let mut process = record(&instance, &["sh", "-c", "sleep 1000 & echo started; exit 3"])
        .stdin(Stdio::null())
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .spawn()
        .unwrap();
    assert_eq!(ends(&mut process), Some(3));
}

/// Imitates `ssh HOST COMMAND` with the recorder as the server's ForceCommand: the last argument is the command.
fn forced_command(instance: &Instance, folder: &Path) -> std::path::PathBuf {
    use std::os::unix::fs::OpenOptionsExt as _;
    let path = folder.join("forced-command");
    let script = format!("#!/bin/sh\nfor a; do :; done\nexec {} sh -c \"$a\"\n", words(instance));
    let mut file = File::options().write(true).create_new(true).mode(0o755).open(&path).unwrap();
    file.write_all(script.as_bytes()).unwrap();
    path
}

fn succeeds(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn files_are_copied_through_a_forced_command() {
    let instance = Instance::without_notice();
    let folder = tempfile::tempdir().unwrap();
    let ssh = forced_command(&instance, folder.path());
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("file"), difficult_bytes()).unwrap();
    std::fs::create_dir(path("there")).unwrap();
    let far = |name: &str| format!("x:{}", path(name).display());
    succeeds(Command::new("scp").arg("-O").arg("-S").arg(&ssh).arg(path("file")).arg(far("there/")));
    succeeds(Command::new("scp").arg("-O").arg("-S").arg(&ssh).arg(far("there/file")).arg(path("back")));
    assert!(std::fs::read(path("back")).unwrap() == difficult_bytes());
}

#[test]
fn a_repository_is_pushed_and_cloned_through_a_forced_command() {
    let instance = Instance::without_notice();
    let folder = tempfile::tempdir().unwrap();
    let ssh = forced_command(&instance, folder.path());
    let path = |name: &str| folder.path().join(name);
    let git = |folder: &str| {
        let mut command = Command::new("git");
        command.arg("-C").arg(path(folder)).env("GIT_SSH", &ssh).env("GIT_SSH_VARIANT", "simple");
        for role in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{role}_NAME"), "ana")
                .env(format!("GIT_{role}_EMAIL"), "ana@example.org");
        }
        command
    };
    for name in ["far", "near"] {
        std::fs::create_dir(path(name)).unwrap();
    }
    succeeds(git("far").args(["init", "--quiet", "--bare"]));
    succeeds(git("near").args(["init", "--quiet"]));
    std::fs::write(path("near").join("file"), difficult_bytes()).unwrap();
    succeeds(git("near").args(["add", "file"]));
    succeeds(git("near").args(["commit", "--quiet", "--message", "difficult bytes"]));
    let far = format!("x:{}", path("far").display());
    succeeds(git("near").args(["push", "--quiet", &far, "HEAD:refs/heads/main"]));
    succeeds(git(".").args(["clone", "--quiet", "--branch", "main", &far, "again"]));
    assert!(std::fs::read(path("again").join("file")).unwrap() == difficult_bytes());
}
