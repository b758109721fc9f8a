//! A machine with an agent.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use crate::deployment::signal;
use crate::{Deployment, Person, append_only, program, until};

/// An enrolled `hansard-agent` with a state folder of its own. It is ended when dropped.
#[derive(Debug)]
pub struct Instance {
    /// The instance's id.
    pub id: String,
    folder: TempDir,
    environment: Vec<(String, String)>,
    process: Option<Child>,
}

impl Instance {
    /// Enrols an agent for `id` with a token that the account's owner creates, and runs it.
    #[must_use]
    pub fn enrol(deployment: &Deployment, id: &str) -> Self {
        Self::enrol_through(deployment, &deployment.root.endpoint, id, &[])
    }

    /// The same, with an agent that reaches the control plane at this address, and has these variables.
    #[must_use]
    pub fn enrol_through(
        deployment: &Deployment,
        endpoint: &str,
        id: &str,
        environment: &[(String, String)],
    ) -> Self {
        let token = deployment.root.json(&["agents", "token", "create", "--instance-id", id, "--ttl", "5m"]);
        let token = token["Token"].as_str().expect("agents token create gives Token");
        let folder =
            tempfile::Builder::new().prefix("hansard-instance-").tempdir().expect("a temporary folder");
        let environment = environment.to_vec();
        let mut instance = Self { id: id.to_owned(), folder, environment, process: None };
        let enrol = ["enrol", "--server", endpoint, "--token", token, "--instance-id", id];
        let output = instance.agent(&enrol);
        assert!(output.status.success(), "enrol: {}", String::from_utf8_lossy(&output.stderr));
        instance.resume();
        instance
    }

    /// A copy of its state folder, as a cloned disk has one: the same agent with the same keys, which does not run yet, and
    /// will speak with this control plane.
    #[must_use]
    pub fn copied(&self, deployment: &Deployment) -> Self {
        let folder =
            tempfile::Builder::new().prefix("hansard-instance-").tempdir().expect("a temporary folder");
        let copied =
            Self { id: self.id.clone(), folder, environment: self.environment.clone(), process: None };
        let mut copy = Command::new("cp");
        copy.arg("-a").arg(self.state_folder()).arg(copied.state_folder());
        assert!(copy.status().expect("cp starts").success(), "the state folder is copied");
        let identity = copied.state_folder().join("agent.json");
        let text = std::fs::read_to_string(&identity).expect("the agent's identity");
        let mut identity_json: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        identity_json["ServerUrl"] = deployment.root.endpoint.clone().into();
        std::fs::write(&identity, identity_json.to_string()).expect("it can be written");
        let _ = std::fs::remove_file(copied.state_folder().join("agent.sock"));
        copied
    }

    /// Runs the agent (again) and waits until it accepts sessions.
    pub fn resume(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        let log =
            std::fs::File::options().create(true).append(true).open(self.log_path()).expect("a log file");
        let mut command = Command::new(program("hansard-agent"));
        command.arg("run").env("HANSARD_AGENT_STATE_DIR", self.state_folder()).stdin(Stdio::null());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        self.process =
            Some(command.stdout(log.try_clone().expect("the log")).stderr(log).spawn().expect("it starts"));
        let socket = self.state_folder().join("agent.sock");
        until("the agent listens", || {
            let ended = self.process.as_mut().expect("started above").try_wait().expect("a child of ours");
            assert!(ended.is_none(), "hansard-agent run ended at once:\n{}", self.log());
            std::os::unix::net::UnixStream::connect(&socket).ok()
        });
    }

    /// Waits until the agent's applied configuration says whether sessions are recorded.
    pub fn wait_until_recording_is(&self, on: bool) {
        until("the configuration reaches the agent", || {
            let status = self.agent(&["status", "--output", "json"]);
            let status: serde_json::Value = serde_json::from_slice(&status.stdout).ok()?;
            (status["Recording"] == on).then_some(())
        });
    }

    /// Sends the agent a signal.
    pub fn signals(&self, which: Signal) {
        signal(self.process.as_ref().expect("it runs"), which);
    }

    /// The recorder of a session that is in the spool.
    #[must_use]
    pub fn recorder(&self, token: &str) -> Option<Pid> {
        let note = std::fs::read(self.state_folder().join("spool").join(token).join("session.json")).ok()?;
        let note: serde_json::Value = serde_json::from_slice(&note).ok()?;
        Pid::from_raw(i32::try_from(note["Recorder"]["ProcessId"].as_i64()?).ok()?)
    }

    /// The recorders that the running agent has started, and that have not ended.
    #[must_use]
    pub fn recorders(&self) -> Vec<Pid> {
        let agent = self.process.as_ref().expect("it runs").id();
        let tasks = std::fs::read_dir(format!("/proc/{agent}/task")).into_iter().flatten().flatten();
        let children = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
        let children: Vec<String> = children.collect();
        let pids = children.iter().flat_map(|children| children.split_whitespace());
        // One that has ended may be there until it is waited for.
        let lives = |pid: &&str| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit(')')
                .next()
                .is_some_and(|rest| !rest.trim_start().starts_with('Z') && !rest.is_empty())
        };
        pids.filter(lives).filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
    }

    /// Kills the agent with SIGKILL.
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.kill().expect("it can be killed");
        process.wait().expect("a child of ours");
    }

    /// Stops the agent with SIGTERM and returns its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        let mut process = self.process.take().expect("it runs");
        signal(&process, Signal::TERM);
        until("the agent stops", || process.try_wait().expect("a child of ours")).code()
    }

    /// Runs `hansard-agent` with the state folder of this instance.
    #[must_use]
    pub fn agent(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(program("hansard-agent"));
        command.args(arguments).env("HANSARD_AGENT_STATE_DIR", self.state_folder()).stdin(Stdio::null());
        command.output().expect("hansard-agent starts")
    }

    /// A person at a terminal who runs `hansard-agent record -- command`.
    #[must_use]
    pub fn record(&self, command: &[&str]) -> Person {
        self.record_sized(command, 80, 24)
    }

    /// The same at a terminal of another size.
    #[must_use]
    pub fn record_sized(&self, command: &[&str], columns: u16, rows: u16) -> Person {
        let agent = program("hansard-agent");
        let mut line = vec![agent.to_str().expect("a UTF-8 path"), "record", "--"];
        line.extend(command);
        let state = self.state_folder();
        Person::run(
            &line,
            &[("HANSARD_AGENT_STATE_DIR", state.to_str().expect("a UTF-8 path"))],
            columns,
            rows,
        )
    }

    /// The folders of the sessions that are not delivered yet.
    #[must_use]
    pub fn spooled(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.state_folder().join("spool")).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
    }

    /// The agent's state folder.
    #[must_use]
    pub fn state_folder(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Everything that the agent printed.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("agent.log")
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            signal(&process, Signal::TERM);
            let _ = process.wait();
        }
        append_only::take_off_below(&self.state_folder());
        if std::thread::panicking() {
            eprintln!("the agent's log:\n{}", self.log());
        }
    }
}
