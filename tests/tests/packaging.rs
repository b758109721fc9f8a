//! The services of systemd, checked by systemd itself, with the programs that were just built.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::process::Command;

use whole_system::{Deployment, program, until};

const UNITS: [&str; 2] = ["hansard.service", "hansard-agent.service"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/systemd")
}

fn unit(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap()
}

/// The words of the line `NAME=...` of a unit.
fn words(unit: &str, name: &str) -> Vec<String> {
    let value = unit.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap();
    value.split_whitespace().map(str::to_owned).collect()
}

/// What systemd says about a unit whose program is the one that was built.
fn verified(name: &str, text: &str) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    let programs = program("hansard").parent().unwrap().to_owned();
    std::fs::write(&path, text.replace("/usr/local/bin", programs.to_str().unwrap())).unwrap();
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // What it says about other units of this machine is not about ours.
    let ours: Vec<_> = said.lines().filter(|line| line.contains(path.to_str().unwrap())).collect();
    (output.status.success(), ours.join("\n"))
}

#[test]
fn systemd_accepts_the_units() {
    for name in UNITS {
        assert_eq!(verified(name, &unit(name)), (true, String::new()), "{name}");
    }
    // The check finds something to say about a wrong one.
    let wrong = unit(UNITS[0]).replace("PrivateTmp=", "PrivatTmp=");
    assert!(verified("wrong.service", &wrong).1.contains("PrivatTmp"));
}

/// How exposed systemd finds the services, in tenths, and how exposed they may be at most.
#[test]
fn systemd_finds_the_units_little_exposed() {
    let exposed = |path: &Path, most: &str| {
        let output = Command::new("systemd-analyze")
            .args(["security", "--offline=yes", "--no-pager", &format!("--threshold={most}")])
            .arg(path)
            .output()
            .unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    // The agent needs the network, root's user, other users' processes, and to give terminals away.
    for (name, most) in [(UNITS[0], "30"), (UNITS[1], "31")] {
        let (fits, said) = exposed(&folder().join(name), most);
        assert!(fits, "{name} is more exposed than {most} tenths:\n{said}");
    }
    let scratch = tempfile::tempdir().unwrap();
    let open = scratch.path().join(UNITS[1]);
    std::fs::write(&open, unit(UNITS[1]).replace("SystemCallFilter=@system-service\n", "")).unwrap();
    assert!(!exposed(&open, "31").0, "the threshold is near what there is");
}

#[test]
fn recorders_outlive_the_agent_and_the_service_manager_is_told() {
    let agent = unit(UNITS[1]);
    for (name, value) in
        [("Type", "notify"), ("NotifyAccess", "main"), ("KillMode", "process"), ("NoNewPrivileges", "yes")]
    {
        assert_eq!(words(&agent, name), [value]);
    }
    assert!(!words(&agent, "WatchdogSec").is_empty());
    // Recorders open pseudo-terminals, and see the processes of others.
    for (name, wrong) in [
        ("PrivateDevices", "yes"),
        ("PrivateUsers", "yes"),
        ("ProtectProc", "invisible"),
        ("ProcSubset", "pid"),
    ] {
        assert!(!agent.contains(&format!("\n{name}={wrong}")), "{name}={wrong} would reach the recorders");
    }
}

#[test]
fn the_control_plane_starts_with_the_line_of_its_unit() {
    let unit = unit(UNITS[0]);
    let line = words(&unit, "ExecStart");
    assert_eq!(line[0], "/usr/local/bin/hansard");
    let state = format!("/var/lib/{}", words(&unit, "StateDirectory")[0]);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let arguments: Vec<_> = line[1..]
        .iter()
        .map(|word| if *word == state { data.to_str().unwrap().to_owned() } else { word.clone() })
        .collect();
    assert!(
        arguments.contains(&data.to_str().unwrap().to_owned()),
        "{arguments:?} names the state directory"
    );
    let log = folder.path().join("log");
    let mut server = Command::new(program("hansard"))
        .args(&arguments)
        .env("HANSARD_LISTEN", "127.0.0.1:0")
        .stdout(std::process::Stdio::null())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    until("it serves", || std::fs::read_to_string(&log).unwrap().contains("serving listen=").then_some(()));
    rustix::process::kill_process(rustix::process::Pid::from_child(&server), rustix::process::Signal::TERM)
        .unwrap();
    assert!(server.wait().unwrap().success());
    assert!(data.join("root-access-key.toml").exists());
}

#[test]
fn the_agent_starts_with_the_line_of_its_unit() {
    let unit = unit(UNITS[1]);
    let line = words(&unit, "ExecStart");
    assert_eq!(line[0], "/usr/local/bin/hansard-agent");
    let state = format!("/var/lib/{}", words(&unit, "StateDirectory")[0]);
    assert_eq!(words(&unit, "ConditionPathExists"), [format!("{state}/agent.json")]);
    assert_eq!(line[1..], ["run", "--state-dir", &state]);
    // Not enrolled: it says so, and has understood everything else.
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let output = Command::new(program("hansard-agent"))
        .args(["run", "--state-dir", state.to_str().unwrap()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("enrol"), "{said}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn the_agents_files_have_their_modes_whatever_the_mask_of_the_service() {
    use std::os::unix::fs::PermissionsExt as _;
    let deployment = Deployment::start();
    let created =
        deployment.root.json(&["agents", "token", "create", "--instance-id", "i-web1", "--ttl", "5m"]);
    let state = deployment.scratch().join("state");
    let mut enrol = Command::new("sh");
    enrol.args(["-c", "umask 077; exec \"$@\"", "sh"]).arg(program("hansard-agent"));
    enrol
        .args(["enrol", "--server", &deployment.root.endpoint, "--instance-id", "i-web1", "--state-dir"])
        .arg(&state);
    let output = enrol.env("HANSARD_AGENT_JOIN_TOKEN", created["Token"].as_str().unwrap()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let mode = |name: &str| std::fs::metadata(state.join(name)).unwrap().permissions().mode() & 0o7777;
    // What a person's `record` reads itself, and what nobody else may read.
    assert_eq!([mode("agent.json"), mode("configuration.json")], [0o644, 0o644]);
    assert_eq!([mode("authentication.key"), mode("sealing.key")], [0o600, 0o600]);
}
