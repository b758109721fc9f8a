//! The agent as instances get it: one program that needs nothing of the machine that it runs on. `make agent-static` builds it,
//! and `make test-deep` runs this.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it measured")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use whole_system::{Deployment, Person, program, until, without_root};

/// A name that only the file of hosts of the test has.
const NAME: &str = "control-plane.example";
/// An idle agent has no more resident than this.
const MOST_RESIDENT_KIB: u64 = 10 * 1024;

/// What `make agent-static` has built.
fn static_agent() -> PathBuf {
    let target = program("hansard").parent().and_then(Path::parent).unwrap().to_owned();
    let built = target.join("x86_64-unknown-linux-gnu/agent/hansard-agent");
    assert!(built.exists(), "{} is not built; run `make agent-static` first", built.display());
    built
}

/// A machine whose file of hosts has one name more, and whose programs have an agent.
struct Machine {
    folder: tempfile::TempDir,
    agent: PathBuf,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
        std::fs::write(folder.path().join("hosts"), format!("{hosts}\n127.0.0.1 {NAME}\n")).unwrap();
        Machine { folder, agent: static_agent() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The agent with these words, where that name is known.
    fn agent(&self, words: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c"]);
        command.arg("mount --bind \"$0\" /etc/hosts && exec \"$@\"").arg(self.file("hosts")).arg(&self.agent);
        command.arg("--state-dir").arg(self.file("state")).args(words);
        command.env_remove("HANSARD_AGENT_STATE_DIR").stdin(Stdio::null());
        command
    }
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn succeeds(mut command: Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn resident_kib(process_id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process_id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
#[ignore = "needs `make agent-static`"]
fn the_static_agent_runs_where_there_is_nothing_else() {
    if without_root("only root can change the root folder") {
        return;
    }
    let empty = tempfile::tempdir().unwrap();
    std::fs::copy(static_agent(), empty.path().join("hansard-agent")).unwrap();
    std::fs::set_permissions(empty.path().join("hansard-agent"), std::fs::Permissions::from_mode(0o711))
        .unwrap();
    let mut command = Command::new("chroot");
    command.arg(empty.path()).args(["/hansard-agent", "--version"]);
    assert!(String::from_utf8_lossy(&succeeds(command).stdout).starts_with("hansard-agent "));
}

#[test]
#[ignore = "needs `make agent-static`"]
fn the_static_agent_finds_hosts_by_name_enrols_records_and_stays_small() {
    if without_root("only root can give a machine another file of hosts") {
        return;
    }
    let deployment = Deployment::start();
    deployment.record_everything();
    let port = deployment.root.endpoint.rsplit(':').next().unwrap().trim_end_matches('/').to_owned();
    for (host, id) in [("localhost", "i-static1"), (NAME, "i-static2")] {
        let machine = Machine::new();
        let token = deployment.root.json(&["agents", "token", "create", "--instance-id", id, "--ttl", "5m"]);
        let server = format!("http://{host}:{port}");
        let mut enrol = machine.agent(&["enrol", "--server", &server, "--instance-id", id]);
        enrol.env("HANSARD_AGENT_JOIN_TOKEN", token["Token"].as_str().unwrap());
        succeeds(enrol);
        let agent = Running(machine.agent(&["run"]).stderr(Stdio::null()).spawn().unwrap());
        until("the configuration has arrived over the link", || {
            let status = machine.agent(&["status", "--output", "json"]).output().unwrap();
            let status: serde_json::Value = serde_json::from_slice(&status.stdout).ok()?;
            (status["Recording"] == true && status["Running"]["Link"] == "connected").then_some(())
        });
        let resident = resident_kib(agent.0.id());
        eprintln!("resident of the idle agent: {resident} KiB");
        assert!(resident < MOST_RESIDENT_KIB, "{resident} KiB");

        let state = machine.file("state");
        let line = [
            machine.agent.to_str().unwrap(),
            "--state-dir",
            state.to_str().unwrap(),
            "record",
            "--",
            "echo",
            host,
        ];
        let mut person = Person::run(&line, &[], 80, 24);
        person.sees(host);
        assert!(person.leaves().success());
        let verified = until("the recording has arrived", || {
            let listed = deployment.root.call("ListInstanceRecords", &[&format!("InstanceId={id}")]);
            let record = listed["Root"]["RecordList"].as_array()?.first()?.clone();
            let recording = record["TerminalSessionToken"].as_str()?.to_owned();
            (record["Status"] == "finished").then_some(recording)
        });
        let output = deployment.root.run(&["recordings", "verify", &verified]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
