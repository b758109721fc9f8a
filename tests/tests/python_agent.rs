//! Agents can be implemented outside this project: a small Python agent, written only from `openapi/agent-v1.json`,
//! enrols, records and seals a session that is listed, verified and replayed like any other.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::Write;
use std::process::{Command, Stdio};

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
