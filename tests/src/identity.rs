//! The vendor's unmodified Python SDKs of RAM and STS, called through `tests/sdk/ram.py`.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde_json::{Value, json};

use crate::{Client, python, tests_folder};

/// A process that calls RAM and STS on behalf of one client. It lives until it is dropped.
#[derive(Debug)]
pub struct IdentitySdk {
    process: Child,
    asked: Option<ChildStdin>,
    answered: BufReader<ChildStdout>,
}

impl IdentitySdk {
    /// Starts the SDKs with these credentials.
    #[must_use]
    pub fn of(client: &Client) -> Self {
        let mut process = python()
            .arg(tests_folder().join("sdk/ram.py"))
            .envs(client.environment())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the SDKs' interpreter starts");
        let asked = process.stdin.take();
        let answered = BufReader::new(process.stdout.take().expect("it is piped"));
        Self { process, asked, answered }
    }

    /// Calls an action of RAM or STS. Returns the outcome as `ram.py` prints it: `reply` or `error`.
    pub fn call(&mut self, action: &str, parameters: &Value) -> Value {
        let line = json!({ "action": action, "parameters": parameters }).to_string();
        let asked = self.asked.as_mut().expect("it is open until dropped");
        writeln!(asked, "{line}").expect("the SDKs' program listens");
        let mut answer = String::new();
        self.answered.read_line(&mut answer).expect("the SDKs' program answers");
        serde_json::from_str(&answer)
            .unwrap_or_else(|error| panic!("{action} {parameters} got no JSON ({error}): {answer:?}"))
    }

    /// Calls an action that succeeds. Returns its reply.
    #[track_caller]
    pub fn ok(&mut self, action: &str, parameters: &Value) -> Value {
        let outcome = self.call(action, parameters);
        let reply = &outcome["reply"];
        assert!(reply["RequestId"].is_string(), "{action} {parameters}: {outcome}");
        reply.clone()
    }

    /// Calls an action that is refused. Returns the HTTP status and the code.
    #[track_caller]
    pub fn refusal(&mut self, action: &str, parameters: &Value) -> (u64, String) {
        let outcome = self.call(action, parameters);
        let error = &outcome["error"];
        let (Some(status), Some(code)) = (error["status"].as_u64(), error["code"].as_str()) else {
            panic!("{action} {parameters} was not refused: {outcome}");
        };
        (status, code.to_owned())
    }
}

impl Drop for IdentitySdk {
    fn drop(&mut self) {
        // The process ends when its input ends.
        self.asked = None;
        let _ = self.process.wait();
    }
}
