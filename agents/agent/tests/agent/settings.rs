//! The settings of an instance: flags are stronger than the environment, the environment than the file, the file than the
//! defaults.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use crate::bench::{AGENT, Instance, eventually, text};

const TOO_MUCH: &str = "9000000000000000000";
const LITTLE: &str = "1";

/// Whether an agent with these settings, from the strongest to the weakest, records; it refuses if too little is free.
fn records(flag: Option<&str>, variable: Option<&str>, in_file: Option<&str>) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("agent.toml");
    let line = in_file.map(|bytes| format!("minimum-free-bytes = {bytes}\n"));
    fs::write(&file, line.unwrap_or_default()).unwrap();
    let flags: Vec<&str> = flag.into_iter().flat_map(|bytes| ["--minimum-free-bytes", bytes]).collect();
    let arguments = [&["--config", file.to_str().unwrap()][..], &flags].concat();
    let mut instance = Instance::new().with_run_arguments(&arguments);
    if let Some(bytes) = variable {
        instance = instance.with_run_variable("HANSARD_AGENT_MINIMUM_FREE_BYTES", bytes);
    }
    instance.enrol();
    instance.start_agent();
    let output = instance.record_with_input(&["true"], Stdio::null());
    output.status.code() == Some(0)
}

#[test]
fn flags_are_stronger_than_variables_and_these_than_the_file() {
    assert!(records(None, None, None));
    assert!(!records(None, None, Some(TOO_MUCH)));
    assert!(records(None, Some(LITTLE), Some(TOO_MUCH)));
    assert!(!records(None, Some(TOO_MUCH), Some(LITTLE)));
    assert!(!records(Some(TOO_MUCH), Some(LITTLE), Some(LITTLE)));
}

#[test]
fn a_file_that_is_not_understood_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("agent.toml");
    let run = |text: &str, flag: bool| {
        fs::write(&file, text).unwrap();
        let mut command = Command::new(AGENT);
        command.arg("run").arg("--state-dir").arg(folder.path().join("state")).stdin(Stdio::null());
        command.env_remove("HANSARD_AGENT_CONFIG");
        if flag {
            command.arg("--config").arg(&file)
        } else {
            command.env("HANSARD_AGENT_CONFIG", &file)
        };
        command.output().unwrap()
    };
    for (wrong, why) in [
        ("log = 'verbose'", "verbose is no level"),
        ("minimum-free-byte = 1", "there is no setting minimum-free-byte"),
        ("minimum-free-bytes = -1", "invalid value '-1'"),
        ("log = ", "TOML"),
        ("state-dir = 'here'", "state-dir is here, and must be an absolute path"),
    ] {
        for flag in [true, false] {
            let output = run(wrong, flag);
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{wrong}: {said}");
            assert!(said.contains(why) && said.contains(file.to_str().unwrap()), "{wrong}: {said}");
        }
    }
    let right = run("log = 'warn'", true);
    assert!(text(&right.stderr).contains("enrol"), "it is read, and there is no agent: {right:?}");
    fs::set_permissions(&file, Permissions::from_mode(0o622)).unwrap();
    assert!(text(&run("log = 'warn'", true).stderr).contains("others may write"));
}

#[test]
fn record_waits_for_an_agent_that_is_starting() {
    let mut instance = Instance::new();
    instance.enrol();
    let mut record = instance.command(&["record", "--wait-for-agent", "60s", "--", "echo", "ran"]);
    let messages = instance.spool().with_file_name("messages");
    let file = fs::File::create(&messages).unwrap();
    let record = record.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file).spawn().unwrap();
    let told = "no agent answers yet; waiting up to 60s";
    eventually("the person is told", || fs::read_to_string(&messages).unwrap().contains(told).then_some(()));
    instance.start_agent();
    let output = record.wait_with_output().unwrap();
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("ran\n", Some(0)));
    let said = fs::read_to_string(&messages).unwrap();
    let token = crate::bench::token_in(&said).expect("it is recorded");
    assert_eq!(text(&instance.control_plane.sealed(&token).output()), "ran\n");
    assert_eq!(said.matches(told).count(), 1, "{said}");
}

#[test]
fn nobody_waits_for_an_agent_that_cannot_come() {
    // None is enrolled, and the default is long enough to be told.
    let instance = Instance::new();
    fs::create_dir(instance.state_dir()).unwrap();
    let output = instance.record_with_input(&["echo", "ran"], Stdio::null());
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("", Some(125)));
    assert!(!text(&output.stderr).contains("waiting"), "{}", text(&output.stderr));

    // Recording is known to be off.
    let instance = Instance::new();
    instance.control_plane.configure(|state| state.recording_on = false);
    instance.enrol();
    let output = instance.record_with_input(&["echo", "ran"], Stdio::null());
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("ran\n", Some(0)));
    assert!(!text(&output.stderr).contains("waiting"), "{}", text(&output.stderr));
}

#[test]
fn the_wait_ends() {
    let instance = Instance::new();
    instance.enrol();
    let mut record = instance.command(&["record", "--", "echo", "ran"]);
    record.env("HANSARD_AGENT_WAIT_FOR_AGENT", "1200ms");
    let output = record.stdin(Stdio::null()).output().unwrap();
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("", Some(125)));
    let said = text(&output.stderr);
    assert!(said.contains("waiting up to 1.2s") && said.contains("no agent is running"), "{said}");
}
