//! An agent is removed while it records: what its person, its log, its spool and an auditor see of that.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use serde_json::Value;
use whole_system::{Client, Deployment, Instance, until};

const INSTANCE: &str = "i-removed";

/// The agent's own status, as soon as it has this state of the link.
fn status_with_link(instance: &Instance, link: &str) -> Value {
    until(&format!("the agent's link is {link}"), || {
        let status = instance.agent(&["status", "--output", "json"]);
        let status: Value = serde_json::from_slice(&status.stdout).ok()?;
        (status["Running"]["Link"] == link).then_some(status)
    })
}

fn recording(root: &Client, token: &str) -> Value {
    let listed = root.call("ListInstanceRecords", &[]);
    let records = listed["Root"]["RecordList"].as_array().unwrap().clone();
    records.into_iter().find(|record| record["TerminalSessionToken"] == token).unwrap()
}

/// What has arrived of a recording, as text.
fn arrived(deployment: &Deployment, token: &str) -> String {
    let file = deployment.scratch().join("arrived.txt");
    let out = file.to_str().unwrap();
    let _ = deployment.root.run(&["recordings", "export", token, "--format", "txt", "--out", out]);
    let text = std::fs::read(&file).unwrap_or_default();
    let _ = std::fs::remove_file(&file);
    String::from_utf8_lossy(&text).into_owned()
}

/// A recording that is none of these, if there is one.
fn another(root: &Client, known: &[&str]) -> Option<String> {
    let listed = root.call("ListInstanceRecords", &[]);
    let tokens = listed["Root"]["RecordList"].as_array()?.iter();
    let mut tokens = tokens.filter_map(|record| Some(record["TerminalSessionToken"].as_str()?.to_owned()));
    tokens.find(|token| !known.contains(&token.as_str()))
}

#[test]
fn an_agent_that_is_removed_while_it_records_loses_nothing_and_says_so() {
    let deployment = Deployment::start();
    deployment.record_everything();
    let mut instance = Instance::enrol(&deployment, INSTANCE);
    instance.wait_until_recording_is(true);
    let root = &deployment.root;
    assert!(instance.record(&["echo", "sealed before"]).leaves().success());
    let sealed = root.one_recording("finished")["TerminalSessionToken"].as_str().unwrap().to_owned();

    let mut person = instance.record(&["bash", "--norc", "-i"]);
    person.sees("$ ");
    person.types("echo be''fore\r");
    person.sees("before\r\n");
    let open = until("the second recording is open", || another(root, &[&sealed]));
    until("its first segment has arrived", || arrived(&deployment, &open).contains("before").then_some(()));

    // Without a terminal nobody can be asked, and nothing is removed.
    let unasked = root.run(&["agents", "rm", INSTANCE]);
    assert!(!unasked.status.success() && String::from_utf8_lossy(&unasked.stderr).contains("add --yes"));
    assert_eq!(recording(root, &open)["Status"], "running");
    let removed = root.json(&["agents", "rm", "i-remo", "--yes"]);
    assert_eq!((&removed["InstanceId"], &removed["RecordingsEnded"]), (&INSTANCE.into(), &1.into()));
    let agent = removed["AgentId"].as_str().unwrap().to_owned();
    let ended = recording(root, &open);
    assert_eq!(ended["Status"], "interrupted");
    assert!(
        ended["StatusReason"].as_str().unwrap().contains("was removed while it was recording"),
        "{ended}"
    );
    let shown = root.stdout(&["recordings", "show", &open]);
    assert!(shown.contains("was removed while it was recording"), "{shown}");

    // The agent says what happened, once; the session is not disturbed, and stays in the spool.
    let status = status_with_link(&instance, "refused");
    let why = status["Running"]["LastError"].as_str().unwrap();
    assert!(why.contains("this agent was removed at"), "{why}");
    person.types("echo af''ter; exit\r");
    assert!(person.leaves().success());
    let session = instance.state_folder().join("spool").join(&open);
    let spool = std::fs::read(session.join("terminal.spool")).unwrap();
    assert!(String::from_utf8_lossy(&spool).contains("after"));
    let said = |log: &str| log.matches("the control plane has no such agent any more").count();
    assert_eq!(said(&instance.log()), 1, "{}", instance.log());
    assert!(instance.log().matches("the link is down").count() <= 1, "it does not dial on and on");
    assert_eq!(recording(root, &open)["Status"], "interrupted");
    assert!(!arrived(&deployment, &open).contains("after"), "nothing late was taken");

    // The next start says the same again, and keeps everything.
    assert_eq!(instance.stop(), Some(0));
    instance.resume();
    let status = status_with_link(&instance, "refused");
    assert_eq!(status["Identity"]["AgentId"], agent.as_str());
    assert_eq!(said(&instance.log()), 2, "{}", instance.log());
    assert!(session.join("terminal.spool").exists());
    assert_eq!(instance.stop(), Some(0));

    // It enrols again with a new token, and the new agent delivers the rest.
    let token = root.json(&["agents", "token", "create", "--instance-id", INSTANCE]);
    let token = token["Token"].as_str().unwrap();
    let enrol =
        ["enrol", "--server", &root.endpoint, "--token", token, "--instance-id", INSTANCE, "--replace"];
    let enrolled = instance.agent(&enrol);
    assert!(enrolled.status.success(), "{}", String::from_utf8_lossy(&enrolled.stderr));
    let message = String::from_utf8_lossy(&enrolled.stdout).into_owned();
    assert!(message.contains(&format!("{agent}: the new agent delivers them")), "{message}");
    instance.resume();
    instance.wait_until_recording_is(true);
    until("it is finished after all", || (recording(root, &open)["Status"] == "finished").then_some(()));
    assert!(arrived(&deployment, &open).contains("after"), "nothing is lost");
    assert!(instance.record(&["echo", "recorded again"]).leaves().success());
    let again = until("another recording is there", || another(root, &[&sealed, &open]));
    until("it is finished", || (recording(root, &again)["Status"] == "finished").then_some(()));

    // All of it is proven by the keys that are published, and no recording is missing.
    let keys = deployment.scratch().join("keys");
    let _ = root.stdout(&["agents", "keys", "--out", keys.to_str().unwrap()]);
    for token in [&sealed, &open, &again] {
        let verified = root.run(&["recordings", "verify", token, "--trust", keys.to_str().unwrap()]);
        assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stdout));
    }
    let all = root.run(&["recordings", "verify", "--agent", &agent]);
    assert_eq!(all.status.code(), Some(0), "{}", String::from_utf8_lossy(&all.stdout));
}
