//! A running control plane.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Sdk, append_only, program, until};

/// The account that every test deployment belongs to.
const ACCOUNT: &str = "1609982529000000";

/// A caller: an address and a key.
#[derive(Debug, Clone)]
pub struct Client {
    /// `http://127.0.0.1:<port>`.
    pub endpoint: String,
    /// The access key id.
    pub access_key_id: String,
    /// The access key secret.
    pub access_key_secret: String,
    /// The token of a temporary key.
    pub security_token: Option<String>,
}

impl Client {
    /// The environment from which the SDK scripts and `hansard` as a client read their settings.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut environment = vec![
            ("HANSARD_ENDPOINT", self.endpoint.clone()),
            ("ALIBABA_CLOUD_ACCESS_KEY_ID", self.access_key_id.clone()),
            ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", self.access_key_secret.clone()),
        ];
        let token = self.security_token.iter();
        environment.extend(token.map(|token| ("ALIBABA_CLOUD_SECURITY_TOKEN", token.clone())));
        environment
    }

    /// Runs `hansard` with these credentials.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(program("hansard"));
        command.args(arguments).envs(self.environment()).stdin(Stdio::null());
        command.output().expect("hansard starts")
    }

    /// Runs `hansard`, expects success, returns its standard output.
    #[must_use]
    pub fn stdout(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "hansard {arguments:?}: {stderr}");
        String::from_utf8(output.stdout).expect("UTF-8 output")
    }

    /// Runs `hansard ... --output json`, expects success.
    #[must_use]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let mut all = arguments.to_vec();
        all.extend(["--output", "json"]);
        serde_json::from_str(&self.stdout(&all)).expect("JSON output")
    }

    /// Calls an action with `hansard call`, expects success.
    #[must_use]
    pub fn call(&self, action: &str, parameters: &[&str]) -> Value {
        let mut all = vec!["call", action];
        all.extend(parameters);
        serde_json::from_str(&self.stdout(&all)).expect("JSON output")
    }

    /// The only recording of the account, as soon as it shows `status`.
    #[must_use]
    pub fn one_recording(&self, status: &str) -> Value {
        until(&format!("one recording with status {status}"), || {
            let listed = self.call("ListInstanceRecords", &["IncludeExpired=true"]);
            let records = listed["Root"]["RecordList"].as_array()?.clone();
            (records.len() == 1 && records[0]["Status"] == status).then(|| records[0].clone())
        })
    }
}

/// How a deployment is started.
#[derive(Debug, Clone, Default)]
pub struct DeploymentOptions {
    /// Arguments of `serve` besides the folder and the address.
    pub arguments: Vec<String>,
    /// Settings in the environment.
    pub environment: Vec<(String, String)>,
    /// The port to listen on; any free one if absent.
    pub port: Option<u16>,
    /// The folder of another replica's objects, which it shares; one of its own if absent.
    pub objects: Option<PathBuf>,
    /// The program of another version; this one if absent.
    pub program: Option<PathBuf>,
}

/// A `hansard serve` in a folder of its own. It is ended when dropped.
#[derive(Debug)]
pub struct Deployment {
    /// The account's owner.
    pub root: Client,
    folder: TempDir,
    options: DeploymentOptions,
    address: SocketAddr,
    process: Option<Child>,
}

impl Deployment {
    /// Starts a deployment with embedded defaults, without a local agent.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(DeploymentOptions::default())
    }

    /// Starts a deployment.
    #[must_use]
    pub fn start_with(options: DeploymentOptions) -> Self {
        let port = options.port.unwrap_or_else(free_port);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let root = Client {
            endpoint: format!("http://{address}"),
            access_key_id: "LTAIwholeSystemTestRoot".into(),
            access_key_secret: "whole-system-test-root-secret-0123456789".into(),
            security_token: None,
        };
        let folder = tempfile::Builder::new().prefix("hansard-test-").tempdir().expect("a temporary folder");
        let mut deployment = Self { root, folder, options, address, process: None };
        if let Some(objects) = &deployment.options.objects {
            std::fs::create_dir_all(deployment.data_folder()).expect("the data folder");
            symlink(objects, deployment.objects_folder()).expect("a link to the objects");
        }
        deployment.resume();
        deployment
    }

    /// Starts the server (again) on the same folder and address, and waits until it serves.
    pub fn resume(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        let log =
            std::fs::File::options().create(true).append(true).open(self.log_path()).expect("a log file");
        let mut command = match &self.options.program {
            // It may know none of the settings below.
            Some(program) => Command::new(program),
            None => {
                let mut command = Command::new(program("hansard"));
                command
                    // The databases of tests are fast, and their data may be lost.
                    .env("HANSARD_ACCEPT_COMMITS_THAT_CAN_BE_LOST", "true")
                    // Most tests have no balancer that would have to hear of an end.
                    .env("HANSARD_SHUTDOWN_DELAY", "0");
                command
            }
        };
        command
            .arg("serve")
            .arg("--data-dir")
            .arg(self.data_folder())
            .args(["--listen", &self.address.to_string()])
            .args(&self.options.arguments)
            .env("HANSARD_ROOT_ACCOUNT_ID", ACCOUNT)
            .env("HANSARD_ROOT_ACCESS_KEY_ID", &self.root.access_key_id)
            .env("HANSARD_ROOT_ACCESS_KEY_SECRET", &self.root.access_key_secret)
            .envs(self.options.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log file"))
            .stderr(log);
        self.process = Some(command.spawn().expect("hansard serve starts"));
        until("the control plane serves", || {
            let ended = self.process.as_mut().expect("started above").try_wait().expect("a child of ours");
            assert!(ended.is_none(), "hansard serve ended at once:\n{}", self.log());
            self.http_get("/healthz").filter(|reply| reply.starts_with("HTTP/1.1 200"))
        });
    }

    /// Asks the server to stop with SIGTERM and returns its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        self.signals(Signal::TERM);
        self.ended()
    }

    /// Waits for the server's end and returns its exit code.
    pub fn ended(&mut self) -> Option<i32> {
        let mut process = self.process.take().expect("it runs");
        until("the control plane stops", || process.try_wait().expect("a child of ours")).code()
    }

    /// Sends the server a signal.
    pub fn signals(&self, which: Signal) {
        signal(self.process.as_ref().expect("it runs"), which);
    }

    /// Kills the server.
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.kill().expect("it can be killed");
        process.wait().expect("a child of ours");
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The account's id.
    #[must_use]
    pub fn account(&self) -> &'static str {
        ACCOUNT
    }

    /// Its data folder.
    #[must_use]
    pub fn data_folder(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The folder of the buckets.
    #[must_use]
    pub fn objects_folder(&self) -> PathBuf {
        self.data_folder().join("objects")
    }

    /// A folder for the files of a test that exists as long as the deployment.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// Everything that the server printed.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("serve.log")
    }

    /// Runs `hansard admin` on its database and returns the JSON that it printed.
    #[must_use]
    pub fn admin(&self, arguments: &[&str]) -> Value {
        let mut command = Command::new(program("hansard"));
        command
            .arg("admin")
            .args(arguments)
            .arg("--data-dir")
            .arg(self.data_folder())
            .args(["--output", "json"]);
        for pair in self
            .options
            .arguments
            .chunks(2)
            .filter(|pair| pair[0] == "--database-url" || pair[0] == "--server-keys")
        {
            command.args(pair);
        }
        let output = command.output().expect("hansard starts");
        assert!(
            output.status.success(),
            "hansard admin {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    /// Creates a RAM user with one key and one policy.
    #[must_use]
    pub fn user(&self, name: &str, statements: &Value) -> Client {
        let policy = self.folder.path().join(format!("{name}.json"));
        let document = json!({"Version": "1", "Statement": statements});
        std::fs::write(&policy, document.to_string()).expect("the policy is written");
        let _ = self.admin(&["user", "create", name]);
        let _ = self.admin(&["policy", "put", name, &policy.to_string_lossy()]);
        let _ = self.admin(&["policy", "attach", name, "--user", name]);
        let key = self.admin(&["access-key", "create", "--user", name]);
        let text = |field: &str| key[field].as_str().unwrap_or_else(|| panic!("{field} in {key}")).to_owned();
        Client {
            endpoint: self.root.endpoint.clone(),
            access_key_id: text("AccessKeyId"),
            access_key_secret: text("AccessKeySecret"),
            security_token: None,
        }
    }

    /// Switches recording on for every instance, with the vendor's SDK.
    pub fn record_everything(&self) {
        let outcome = Sdk::Typed.call(
            &self.root,
            "SetInstanceRecordConfig",
            &json!({"Enabled": true, "InstanceId": "*", "ExpirationDays": 7}),
        );
        assert_eq!(outcome["reply"]["Root"], true, "{outcome}");
    }

    /// The raw reply to `GET path`; `None` if nothing listens.
    #[must_use]
    pub fn http_get(&self, path: &str) -> Option<String> {
        self.http(
            format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address).as_bytes(),
        )
    }

    /// The raw reply to raw bytes; `None` if nothing listens or nothing comes back within 20 seconds.
    #[must_use]
    pub fn http(&self, request: &[u8]) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
        stream.write_all(request).ok()?;
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).ok()?;
        Some(String::from_utf8_lossy(&reply).into_owned())
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            signal(&process, Signal::TERM);
            let _ = process.wait();
        }
        append_only::take_off_below(&self.data_folder());
        if std::thread::panicking() {
            let log = self.log();
            let tail = log.lines().rev().take(40).collect::<Vec<_>>();
            eprintln!(
                "the control plane's last lines:\n{}",
                tail.into_iter().rev().collect::<Vec<_>>().join("\n")
            );
        }
    }
}

pub(crate) fn signal(process: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(process.id()).expect("a process id")).expect("a process id");
    let _ = kill_process(pid, signal);
}

/// A port of this machine on which nothing listens.
#[must_use]
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address").port()
}
