//! An instance: a state directory, an agent that is started and killed, and people who record.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use recording::{AgentId, TerminalSessionToken};
use rustix::process::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::append_only::allow_changes_below;
use crate::control_plane::{ControlPlane, INSTANCE, JOIN_TOKEN};
use crate::person::Person;

pub(crate) const AGENT: &str = env!("CARGO_BIN_EXE_hansard-agent");
const PATIENCE: Duration = Duration::from_secs(30);

/// Calls `look` until it returns something. A test that waits too long fails and reports what it waited for.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) struct Instance {
    pub(crate) control_plane: ControlPlane,
    folder: TempDir,
    agent: Option<Agent>,
    run_arguments: Vec<String>,
    run_variables: Vec<(String, String)>,
    mounted: bool,
    /// What the agent finds in /etc/subuid.
    subordinate_ids: Option<PathBuf>,
    /// The owner, if it is another user than that of this process, and the copy of the program that the owner can
    /// run.
    owner: Option<(u32, Program)>,
}

struct Agent {
    process: Child,
    log: Arc<Mutex<String>>,
}

impl Instance {
    /// A control plane, and an instance that is not enrolled.
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        Instance {
            control_plane: ControlPlane::start(),
            folder,
            agent: None,
            run_arguments: Vec::new(),
            run_variables: Vec::new(),
            mounted: false,
            subordinate_ids: None,
            owner: None,
        }
    }

    /// An instance on which everything of the agent belongs to a user without privileges. Only root can create one.
    pub(crate) fn of_user(user_id: u32) -> Self {
        let mut instance = Instance::new();
        std::os::unix::fs::chown(instance.folder.path(), Some(user_id), Some(user_id)).unwrap();
        instance.owner = Some((user_id, Program::for_everybody()));
        instance
    }

    /// An enrolled instance whose agent runs.
    pub(crate) fn running() -> Self {
        let mut instance = Instance::new();
        instance.enrol();
        instance.start_agent();
        instance
    }

    /// The same, with a configuration that tells people nothing, for tests that compare all that is written.
    pub(crate) fn without_notice() -> Self {
        let mut instance = Instance::new();
        instance.control_plane.state().notice_text = Some(String::new());
        instance.enrol();
        instance.start_agent();
        instance
    }

    /// Changes the configuration, and waits until the agent obeys it.
    pub(crate) fn configured(&self, change: impl FnOnce(&mut crate::control_plane::State)) {
        let revision = self.control_plane.configure(change);
        eventually("the configuration is applied", || {
            self.control_plane.state().applied_revisions.contains(&revision).then_some(())
        });
    }

    /// Puts the state directory on a file system of this many bytes. Only root can do this; for other users the
    /// result is `None`.
    pub(crate) fn on_small_disk(mut self, bytes: u64) -> Option<Self> {
        let state = self.state_dir();
        std::fs::DirBuilder::new().mode(0o711).create(&state).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes},mode=711"), "hansard-test"])
            .arg(&state)
            .output()
            .is_ok_and(|output| output.status.success());
        self.mounted = mounted;
        mounted.then_some(self)
    }

    pub(crate) fn with_run_arguments(mut self, arguments: &[&str]) -> Self {
        self.run_arguments = arguments.iter().map(ToString::to_string).collect();
        self
    }

    /// The same, whose agent finds this text in /etc/subuid. Only root can do this.
    pub(crate) fn with_subordinate_ids(mut self, text: &str) -> Self {
        let file = self.folder.path().join("subuid");
        std::fs::write(&file, text).unwrap();
        self.subordinate_ids = Some(file);
        self
    }

    pub(crate) fn with_run_variable(mut self, name: &str, value: &str) -> Self {
        self.run_variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn spool(&self) -> PathBuf {
        self.state_dir().join("spool")
    }

    /// The program of this instance.
    pub(crate) fn program(&self) -> PathBuf {
        self.owner.as_ref().map_or_else(|| AGENT.into(), |(_, program)| program.path())
    }

    /// The agent program on this instance, without any other variables of this process that the program could read.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match &self.owner {
            None => Command::new(AGENT),
            Some((user_id, program)) => program.run_by(*user_id),
        };
        command
            .arg("--state-dir")
            .arg(self.state_dir())
            .args(arguments)
            .env_remove("HANSARD_AGENT_STATE_DIR")
            .env_remove("HANSARD_AGENT_CONFIG")
            .env_remove("HANSARD_AGENT_JOIN_TOKEN")
            .env_remove("HTTP_PROXY")
            .env_remove("http_proxy");
        command
    }

    pub(crate) fn enrol(&self) {
        let output = self
            .command(&["enrol", "--server", self.control_plane.address(), "--instance-id", INSTANCE])
            .env("HANSARD_AGENT_JOIN_TOKEN", JOIN_TOKEN)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    }

    /// Enrols it again, in the place of the agent that was enrolled; that must have been stopped.
    pub(crate) fn enrol_again(&self, more: &[&str]) -> Output {
        let server = self.control_plane.address();
        self.command(&["enrol", "--server", server, "--instance-id", INSTANCE, "--replace"])
            .args(more)
            .env("HANSARD_AGENT_JOIN_TOKEN", JOIN_TOKEN)
            .output()
            .unwrap()
    }

    /// The agent that is enrolled.
    pub(crate) fn agent_id(&self) -> AgentId {
        let identity = std::fs::read(self.state_dir().join("agent.json")).unwrap();
        let identity: Value = serde_json::from_slice(&identity).unwrap();
        AgentId::parse(identity["AgentId"].as_str().unwrap()).unwrap()
    }

    /// The agent's command with no more than the capabilities of its unit, if root runs it: what the agent does must be
    /// possible with them.
    fn as_service(&self, command: Command) -> Command {
        if self.owner.is_some() || !rustix::process::geteuid().is_root() {
            return command;
        }
        let mut restricted = Command::new("setpriv");
        let set = format!("--bounding-set=-all{}", service_capabilities());
        restricted.args([set.as_str(), "--inh-caps=-all", "--no-new-privs", "--"]);
        restricted.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => restricted.env(name, value),
                None => restricted.env_remove(name),
            };
        }
        restricted
    }

    /// The command with the files of the system that a test brings.
    fn with_own_files(&self, command: Command) -> Command {
        let Some(file) = &self.subordinate_ids else { return command };
        let mut apart = Command::new("unshare");
        apart.args(["--mount", "sh", "-ec", "mount --bind \"$0\" /etc/subuid; exec \"$@\""]).arg(file);
        apart.arg(command.get_program()).args(command.get_args());
        apart
    }

    /// Starts the agent and waits until it answers.
    pub(crate) fn start_agent(&mut self) {
        assert!(self.agent.is_none());
        let mut arguments = vec!["run".to_owned()];
        arguments.extend(self.run_arguments.iter().cloned());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let variables = self.run_variables.iter().map(|(name, value)| (name, value));
        let mut process = self
            .with_own_files(self.as_service(self.command(&arguments)))
            .envs(variables)
            .stderr(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let stderr = BufReader::new(process.stderr.take().unwrap());
        let lines = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let mut lines = lines.lock().unwrap();
                lines.push_str(&line);
                lines.push('\n');
            }
        });
        self.agent = Some(Agent { process, log });
        eventually("the agent answers", || self.status()["Running"].is_object().then_some(()));
    }

    /// kill -9.
    pub(crate) fn kill_agent(&mut self) {
        let mut agent = self.agent.take().unwrap();
        agent.process.kill().unwrap();
        agent.process.wait().unwrap();
    }

    /// SIGTERM, and the exit code.
    pub(crate) fn stop_agent(&mut self) -> Option<i32> {
        let mut agent = self.agent.take().unwrap();
        let pid = Pid::from_child(&agent.process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        eventually("the agent stops", || agent.process.try_wait().unwrap()).code()
    }

    pub(crate) fn agent_pid(&self) -> u32 {
        self.agent.as_ref().unwrap().process.id()
    }

    pub(crate) fn agent_log(&self) -> String {
        self.agent.as_ref().unwrap().log.lock().unwrap().clone()
    }

    pub(crate) fn status(&self) -> Value {
        let output = self.command(&["status", "--output", "json"]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Records a command without input. Returns its output and the session's token.
    pub(crate) fn record(&self, command: &[&str]) -> (Output, TerminalSessionToken) {
        let output = self.record_with_input(command, Stdio::null());
        let token = token_in(&text(&output.stderr)).unwrap_or_else(|| panic!("{}", text(&output.stderr)));
        (output, token)
    }

    pub(crate) fn record_with_input(&self, command: &[&str], input: Stdio) -> Output {
        self.command(&["record", "--"]).args(command).stdin(input).output().unwrap()
    }

    /// A person at a terminal who records a command.
    pub(crate) fn person(&self, command: &[&str]) -> Person {
        let mut arguments = vec!["record", "--"];
        arguments.extend(command);
        Person::at_terminal(&self.command(&arguments))
    }

    /// The contents of the spool.
    pub(crate) fn spooled(&self) -> Vec<PathBuf> {
        std::fs::read_dir(self.spool()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    pub(crate) fn session_folder(&self, token: &TerminalSessionToken) -> PathBuf {
        self.spool().join(token.as_str())
    }

    /// The process that records a session.
    pub(crate) fn recorder(&self, token: &TerminalSessionToken) -> Pid {
        let note = std::fs::read(self.session_folder(token).join("session.json")).unwrap();
        let note: Value = serde_json::from_slice(&note).unwrap();
        let process_id = note["Recorder"]["ProcessId"].as_i64().unwrap();
        Pid::from_raw(i32::try_from(process_id).unwrap()).unwrap()
    }

    /// The process of a session's command.
    pub(crate) fn command_of(&self, token: &TerminalSessionToken) -> Pid {
        eventually("the command is noted", || {
            let note = std::fs::read(self.session_folder(token).join("command.json")).ok()?;
            let note: Value = serde_json::from_slice(&note).ok()?;
            Pid::from_raw(i32::try_from(note["ProcessId"].as_i64()?).ok()?)
        })
    }

    /// Waits until everything was delivered, and nothing is left.
    pub(crate) fn spool_is_empty(&self) {
        eventually("the spool is empty", || self.spooled().is_empty().then_some(()));
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            let _ = agent.process.kill();
            let _ = agent.process.wait();
            if std::thread::panicking() {
                eprintln!("the agent's log:\n{}", agent.log.lock().unwrap());
            }
        }
        allow_changes_below(&self.state_dir());
        if self.mounted {
            let _ = Command::new("umount").arg("--lazy").arg(self.state_dir()).status();
        }
    }
}

/// A copy of the program that every user may run, on a path that every user may traverse.
pub(crate) struct Program {
    folder: TempDir,
}

impl Program {
    pub(crate) fn for_everybody() -> Self {
        let everybody = std::fs::Permissions::from_mode(0o755);
        let folder = tempfile::Builder::new().permissions(everybody).tempdir_in("/tmp").unwrap();
        let program = Program { folder };
        // Copied by another process: a file that this process had open for writing could not be executed as long as a
        // child of another test, between its fork and its exec, had it open too.
        assert!(Command::new("cp").arg(AGENT).arg(program.path()).status().unwrap().success());
        program
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("hansard-agent")
    }

    /// The program, run by a user without privileges.
    pub(crate) fn run_by(&self, user_id: u32) -> Command {
        let mut command = Command::new(self.path());
        command.current_dir("/").stdin(Stdio::null()).uid(user_id).gid(user_id);
        command
    }
}

/// The capabilities that the unit of systemd gives, as `setpriv` names them.
pub(crate) fn service_capabilities() -> String {
    let unit = include_str!("../../../../packaging/systemd/hansard-agent.service");
    let set = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).unwrap();
    set.split_whitespace()
        .map(|name| format!(",+{}", name.trim_start_matches("CAP_").to_lowercase()))
        .collect()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// How the last line of `record` begins; the token follows.
pub(crate) const LAST_LINE: &str = "hansard-agent: recorded; to play it: hansard recordings play ";

/// The token in the text that `record` shows to the person.
pub(crate) fn token_in(text: &str) -> Option<TerminalSessionToken> {
    let rest = text.split("recording this session as ").nth(1)?;
    TerminalSessionToken::parse(rest.get(..32)?).ok()
}

pub(crate) fn length_of(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}

/// Fails a test that only root can run, unless the settings say that such tests are to be skipped.
#[allow(clippy::disallowed_methods, reason = "a setting of the tests alone")]
pub(crate) fn without_root(why: &str) {
    let left_out = std::env::var_os("HANSARD_TEST_WITHOUT_ROOT").is_some();
    assert!(left_out, "{why}: run as root, or set HANSARD_TEST_WITHOUT_ROOT=1 to leave such tests out");
}
