//! A `hansard serve` in a folder of its own.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
pub(crate) use test_facts::until;

/// The program, without the environment of the test itself.
pub(crate) fn hansard(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hansard"));
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("HANSARD_") || name_text.starts_with("ALIBABA_CLOUD_") {
            command.env_remove(&name);
        }
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Standard error as text.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) struct Server {
    pub(crate) folder: TempDir,
    pub(crate) address: SocketAddr,
    process: Option<Child>,
}

impl Server {
    /// Starts a server and waits until it answers.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut server = Self { folder, address, process: None };
        server.resume(arguments);
        server
    }

    /// Starts it again on the same data.
    pub(crate) fn resume(&mut self, arguments: &[&str]) {
        let listen = self.address.to_string();
        let out = File::create(self.folder.path().join("stdout")).unwrap();
        let log = File::options().create(true).append(true).open(self.folder.path().join("stderr")).unwrap();
        let mut command = hansard(&["serve", "--listen", &listen, "--data-dir"]);
        // No balancer follows it.
        command.env("HANSARD_SHUTDOWN_DELAY", "0");
        command.arg(self.data()).args(arguments).stdout(out).stderr(log);
        self.process = Some(command.spawn().unwrap());
        until("the server answers", || {
            let ended = self.process.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "the server ended:\n{}", self.log());
            self.get("/healthz").filter(|reply| reply.starts_with("HTTP/1.1 200"))
        });
    }

    /// Starts another server on the same data, which must end by itself.
    pub(crate) fn refuses_to_start(&self, arguments: &[&str]) -> Output {
        let mut command = hansard(&["serve", "--listen", "127.0.0.1:0", "--data-dir"]);
        command.arg(self.data()).args(arguments).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let give_up = Instant::now() + Duration::from_secs(30);
        while process.try_wait().unwrap().is_none() {
            if Instant::now() > give_up {
                process.kill().unwrap();
                panic!("it serves: {}", stderr(&process.wait_with_output().unwrap()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        process.wait_with_output().unwrap()
    }

    /// Asks it to stop and returns how it ended.
    pub(crate) fn stop(&mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        self.ended()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.process.as_ref().unwrap()), signal).unwrap();
    }

    /// How it ended, if it has.
    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        let status = self.process.as_mut().unwrap().try_wait().unwrap()?;
        self.process = None;
        Some(status)
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        until("the server stops", || self.has_ended())
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// What it printed on standard output.
    pub(crate) fn printed(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("stdout")).unwrap()
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("stderr")).unwrap()
    }

    /// The raw reply to a GET; `None` if nothing listens.
    pub(crate) fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).ok()?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).ok()?;
        Some(reply)
    }

    /// The generated root key: account, id, secret.
    pub(crate) fn root(&self) -> (String, String, String) {
        let text = std::fs::read_to_string(self.data().join("root-access-key.toml")).unwrap();
        let member = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} = \""))).unwrap();
            line.strip_suffix('"').unwrap().to_owned()
        };
        (member("account-id"), member("access-key-id"), member("access-key-secret"))
    }

    /// Runs a client command as the root.
    pub(crate) fn as_root(&self, arguments: &[&str]) -> Output {
        let (_, id, secret) = self.root();
        self.as_key(&id, &secret, arguments)
    }

    /// Runs a client command with an access key.
    pub(crate) fn as_key(&self, id: &str, secret: &str, arguments: &[&str]) -> Output {
        hansard(arguments)
            .env("HANSARD_ENDPOINT", format!("http://{}", self.address))
            .env("ALIBABA_CLOUD_ACCESS_KEY_ID", id)
            .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", secret)
            .output()
            .unwrap()
    }

    /// Runs `admin ... --output json`, expects success.
    pub(crate) fn admin(&self, arguments: &[&str]) -> Value {
        let output = self.try_admin(arguments);
        assert!(output.status.success(), "admin {arguments:?}: {}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Runs `admin ... --output json`.
    pub(crate) fn try_admin(&self, arguments: &[&str]) -> Output {
        let mut command = hansard(&["admin"]);
        command.args(arguments).args(["--output", "json", "--data-dir"]).arg(self.data());
        command.output().unwrap()
    }

    /// A file in the test's folder.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // The process may have ended by itself.
            let _ = kill_process(Pid::from_child(&process), Signal::TERM);
            let _ = process.wait();
        }
        if std::thread::panicking() {
            eprintln!("the server's log:\n{}", self.log());
        }
    }
}

/// The mode of a file.
pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}
