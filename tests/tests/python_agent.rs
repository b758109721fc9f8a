//! Agents can be implemented outside this project: a small Python agent, written only from `openapi/agent-v1.json`,
//! enrols, records and seals a session that is listed, verified and replayed like any other.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;
use whole_system::{Deployment, asciinema_cat, in_browser, python, tests_folder};

fn agent(deployment: &Deployment, arguments: &[&str]) -> Command {
    let mut command = python();
    command
        .arg(tests_folder().join("python_agent/agent.py"))
        .arg("--state")
        .arg(deployment.scratch().join("state"));
    command.args(arguments);
    command
}

fn enrolled(deployment: &Deployment, id: &str) {
    let token = deployment.root.json(&["agents", "token", "create", "--instance-id", id, "--ttl", "5m"]);
    let token = token["Token"].as_str().unwrap();
    let enrol = ["enrol", "--server", &deployment.root.endpoint, "--token", token, "--instance-id", id];
    let output = agent(deployment, &enrol).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_foreign_agent_records_like_our_own() {
    let deployment = Deployment::start();
    deployment.record_everything();
    enrolled(&deployment, "i-python1");
    let script = "printf 'from \\033[33mpython\\033[0m ✓\\n'; exit 3";
    let output =
        agent(&deployment, &["record", "--", "sh", "-c", script]).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    let last: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap_or_else(|_| panic!("{said}"));
    let token = last["TerminalSessionToken"].as_str().unwrap();
    assert_eq!(last["Status"], "finished");

    let record = deployment.root.one_recording("finished");
    assert_eq!(
        (&record["TerminalSessionToken"], &record["InstanceId"]),
        (&last["TerminalSessionToken"], &"i-python1".into())
    );
    let verified = deployment.root.stdout(&["recordings", "verify", token]);
    assert!(verified.contains("complete"), "{verified}");
    let cast = deployment.scratch().join("python.cast");
    let out = cast.to_str().unwrap();
    let _ = deployment.root.stdout(&["recordings", "export", token, "--format", "cast", "--out", out]);
    assert_eq!(asciinema_cat(&cast), output.stdout);
    let address = deployment.root.stdout(&["recordings", "open", token]);
    let page = in_browser("replay.mjs", &[address.trim()]);
    assert_eq!(page["state"], "ready", "{page}");
    assert_eq!(page["lines"][0], "from python ✓", "{page}");
}

#[test]
fn bytes_that_are_not_text_come_back_exactly() {
    let deployment = Deployment::start();
    deployment.record_everything();
    enrolled(&deployment, "i-python2");
    let bytes: Vec<u8> = (0..=255_u8).cycle().take(100_000).chain(*b"\xe2\x9c").collect();
    let mut child = agent(&deployment, &["record", "--stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn({
        let bytes = bytes.clone();
        move || stdin.write_all(&bytes).unwrap()
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // There is no exit record, so it counts as interrupted; what arrived is complete and can be played.
    let record = deployment.root.one_recording("interrupted");
    let token = record["TerminalSessionToken"].as_str().unwrap();
    let text = deployment.scratch().join("exact");
    let out = text.to_str().unwrap();
    let _ = deployment.root.stdout(&["recordings", "export", token, "--format", "txt", "--out", out]);
    assert!(std::fs::read(text).unwrap() == bytes, "the bytes differ");
}

const LINE: &[u8] = b"one more line\n";

/// A session of a foreign agent under DeliveryMode sync, whose output comes from here.
struct Session {
    agent: Child,
    lines: u32,
}

impl Session {
    fn begin(deployment: &Deployment, id: &str, policy: &str) -> Self {
        let policy = format!("FailurePolicy={policy}");
        let set = ["Enabled=true", "InstanceId=*", "DeliveryMode=sync", &policy];
        let _ = deployment.root.call("SetInstanceRecordConfig", &set);
        enrolled(deployment, id);
        let words = ["record", "--hold-after", "2", "--end-after", "2", "--stdin"];
        let mut agent = agent(deployment, &words);
        let agent = agent.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Session { agent: agent.spawn().unwrap(), lines: 0 }
    }

    /// Prints a line and waits until it is shown; false if it never is.
    fn shows_a_line(&mut self) -> bool {
        self.agent.stdin.as_mut().unwrap().write_all(LINE).unwrap();
        self.lines += 1;
        let mut shown = [0; LINE.len()];
        self.agent.stdout.as_mut().unwrap().read_exact(&mut shown).is_ok_and(|()| shown == LINE)
    }
}

/// The verdict on the only recording, and how many lines it has.
fn recorded(deployment: &Deployment) -> (String, u32) {
    let record = deployment.root.one_recording("interrupted");
    let token = record["TerminalSessionToken"].as_str().unwrap();
    let text = deployment.scratch().join("lines");
    let out = text.to_str().unwrap();
    let _ = deployment.root.stdout(&["recordings", "export", token, "--format", "txt", "--out", out]);
    let lines = std::fs::read_to_string(&text).unwrap().lines().count();
    // Its exit code is that of the verdict, which is not "complete".
    let verified = deployment.root.run(&["recordings", "verify", token]);
    (String::from_utf8(verified.stdout).unwrap(), u32::try_from(lines).unwrap())
}

#[test]
fn under_sync_a_foreign_agent_holds_what_is_not_acknowledged_and_ends_the_session() {
    let deployment = Deployment::start();
    let mut session = Session::begin(&deployment, "i-python3", "strict");
    assert!(session.shows_a_line());
    deployment.signals(Signal::STOP);
    // What was shown before is not acknowledged, so that one of these is never shown, and the session ends.
    while session.shows_a_line() {}
    deployment.signals(Signal::CONT);
    let output = session.agent.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("TerminalSessionToken"), "it is delivered: {said}");
    assert!(said.contains("the session was ended: the control plane did not acknowledge"), "{said}");
    let (verdict, lines) = recorded(&deployment);
    assert!(verdict.contains("did not acknowledge what was shown within 4 s"), "{verdict}");
    assert_eq!(lines, session.lines, "all is recorded, also the line that was not shown");
}

#[test]
fn under_sync_and_best_effort_a_foreign_agent_goes_on_and_its_ledger_says_so() {
    let deployment = Deployment::start();
    let mut session = Session::begin(&deployment, "i-python4", "best_effort");
    assert!(session.shows_a_line());
    deployment.signals(Signal::STOP);
    let stderr = session.agent.stderr.take().unwrap();
    let (told, goes_on) = std::sync::mpsc::channel();
    let listening = std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map(Result::unwrap) {
            if line.contains("output goes on") {
                told.send(()).unwrap();
            }
        }
    });
    while goes_on.try_recv().is_err() {
        assert!(session.shows_a_line(), "it is held, and goes on");
    }
    deployment.signals(Signal::CONT);
    drop(session.agent.stdin.take());
    assert!(session.agent.wait().unwrap().success());
    listening.join().unwrap();
    let (verdict, lines) = recorded(&deployment);
    assert!(verdict.contains("delivery_not_acknowledged"), "{verdict}");
    assert_eq!(lines, session.lines);
}
