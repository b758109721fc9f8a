//! An agent is enrolled in the place of another, and delivers what that one left: what an auditor sees of it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use whole_system::{Client, Deployment, DeploymentOptions, Instance, Person, until};

const INSTANCE: &str = "i-succeeded";

fn recordings(root: &Client) -> Vec<Value> {
    root.call("ListInstanceRecords", &[])["Root"]["RecordList"].as_array().unwrap().clone()
}

fn recording(root: &Client, token: &str) -> Value {
    recordings(root).into_iter().find(|record| record["TerminalSessionToken"] == token).unwrap()
}

/// The token of a recording that is none of these, as soon as there is one.
fn another(root: &Client, known: &[&str]) -> String {
    until("another recording is listed", || {
        let tokens = recordings(root).into_iter().map(|record| record["TerminalSessionToken"].clone());
        tokens
            .filter_map(|token| Some(token.as_str()?.to_owned()))
            .find(|token| !known.contains(&token.as_str()))
    })
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

/// The agent that is enrolled.
fn agent_of(state: &Path) -> String {
    let identity: Value = serde_json::from_slice(&std::fs::read(state.join("agent.json")).unwrap()).unwrap();
    identity["AgentId"].as_str().unwrap().to_owned()
}

/// Enrols the next agent in a state folder whose agent does not run. Gives the one before.
fn succeed(root: &Client, instance: &Instance) -> String {
    let before = agent_of(&instance.state_folder());
    let token = root.json(&["agents", "token", "create", "--instance-id", INSTANCE, "--replace"]);
    let token = token["Token"].as_str().unwrap();
    let enrol =
        ["enrol", "--server", &root.endpoint, "--token", token, "--instance-id", INSTANCE, "--replace"];
    let enrolled = instance.agent(&enrol);
    assert!(enrolled.status.success(), "{}", said(&enrolled));
    assert!(said(&enrolled).contains("the new agent delivers them"), "{}", said(&enrolled));
    before
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A shell that shows this, which has arrived.
fn shell(deployment: &Deployment, instance: &Instance, known: &[&str]) -> (Person, String) {
    let mut person = instance.record(&["bash", "--norc", "-i"]);
    person.sees("$ ");
    person.types("echo be''fore\r");
    person.sees("before\r\n");
    let token = another(&deployment.root, known);
    until("its first segment has arrived", || arrived(deployment, &token).contains("before").then_some(()));
    (person, token)
}

fn is_finished(root: &Client, token: &str) {
    until("it is finished", || (recording(root, token)["Status"] == "finished").then_some(()));
}

/// Verifies a recording with the keys that the control plane names, and gives what is said.
fn verified(root: &Client, token: &str) -> String {
    let verified = root.run(&["recordings", "verify", token]);
    assert_eq!(verified.status.code(), Some(0), "{}", said(&verified));
    said(&verified)
}

/// The folder of a recording's objects.
fn folder_of(objects: &Path, token: &str) -> PathBuf {
    let mut folders = vec![objects.to_owned()];
    while let Some(folder) = folders.pop() {
        if folder.file_name().is_some_and(|name| name == token) {
            return folder;
        }
        let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        folders.extend(entries.filter(|path| path.is_dir()));
    }
    panic!("there is no folder of {token} in {}", objects.display());
}

#[test]
fn what_a_replaced_agent_left_is_delivered_by_the_next_and_proven_to_be() {
    let mut deployment = Deployment::start();
    deployment.record_everything();
    let mut instance = Instance::enrol(&deployment, INSTANCE);
    instance.wait_until_recording_is(true);
    assert!(instance.record(&["echo", "sealed by itself"]).leaves().success());
    let own = another(&deployment.root, &[]);
    is_finished(&deployment.root, &own);
    let (mut person, live) = shell(&deployment, &instance, &[&own]);
    // The control plane hears nothing of one session, which its agent seals.
    assert_eq!(deployment.stop(), Some(0));
    assert!(instance.record(&["echo", "never opened"]).leaves().success());
    until("it is sealed", || {
        let sealed = |folder: &PathBuf| folder.join("manifest-0000.json").exists();
        instance.spooled().iter().any(sealed).then_some(())
    });
    assert_eq!(instance.stop(), Some(0));
    deployment.resume();
    let root = &deployment.root;

    let first = succeed(root, &instance);
    instance.resume();
    instance.wait_until_recording_is(true);
    let second = agent_of(&instance.state_folder());
    let unopened = another(root, &[&own, &live]);
    is_finished(root, &unopened);
    let leave = instance.state_folder().join("spool").join(&live).join("leave.json");
    until("the session that goes on is taken over", || leave.exists().then_some(()));
    assert_eq!(recording(root, &live)["Status"], "running");
    person.types("echo af''ter\r");
    person.sees("after\r\n");
    until("it arrives", || arrived(&deployment, &live).contains("after").then_some(()));
    person.types("exit\r");
    assert!(person.leaves().success());
    is_finished(root, &live);
    until("nothing is left in the spool", || instance.spooled().is_empty().then_some(()));

    for token in [&own, &unopened] {
        assert!(!verified(root, token).contains(&second), "its own agent sealed it");
    }
    let text = verified(root, &live);
    assert!(text.contains(&first) && text.contains(&second), "{text}");
    let text = root.stdout(&["recordings", "show", &live]);
    assert!(text.contains(&first) && text.contains(&second), "{text}");
    // None of the first agent's recordings is missing, and those of the second begin anew.
    assert!(instance.record(&["echo", "of the second"]).leaves().success());
    is_finished(root, &another(root, &[&own, &live, &unopened]));
    for agent in [&first, &second] {
        let all = root.run(&["recordings", "verify", "--agent", agent]);
        assert_eq!(all.status.code(), Some(0), "{}", said(&all));
    }

    // Whoever has the objects and the keys needs no control plane.
    let keys = deployment.scratch().join("keys");
    let _ = root.stdout(&["agents", "keys", "--out", keys.to_str().unwrap()]);
    let folder = folder_of(&deployment.objects_folder(), &live);
    let verify = ["recordings", "verify", folder.to_str().unwrap(), "--trust", keys.to_str().unwrap()];
    let trusted = root.run(&verify);
    assert_eq!(trusted.status.code(), Some(0), "{}", said(&trusted));
    assert!(said(&trusted).contains(&second), "{}", said(&trusted));
    // Without the control plane's keys the leave is nobody's.
    let of_agents = std::fs::read_to_string(&keys).unwrap();
    let of_agents: Vec<&str> = of_agents.lines().filter(|line| !line.contains("control-plane")).collect();
    std::fs::write(&keys, of_agents.join("\n")).unwrap();
    let untrusted = root.run(&verify);
    assert_eq!(untrusted.status.code(), Some(5), "{}", said(&untrusted));
}

#[test]
fn a_successor_that_was_replaced_before_it_had_delivered_is_succeeded() {
    let mut deployment = Deployment::start();
    deployment.record_everything();
    let mut instance = Instance::enrol(&deployment, INSTANCE);
    instance.wait_until_recording_is(true);
    let (mut person, live) = shell(&deployment, &instance, &[]);
    // Of this one, the second agent gets leave, and seals it; nobody has told the control plane so.
    let (mut other, sealed_by_second) = shell(&deployment, &instance, &[&live]);
    assert_eq!(instance.stop(), Some(0));
    let first = succeed(&deployment.root, &instance);
    instance.resume();
    let second = agent_of(&instance.state_folder());
    for token in [&live, &sealed_by_second] {
        let leave = instance.state_folder().join("spool").join(token).join("leave.json");
        until("leave is kept", || leave.exists().then_some(()));
    }
    assert_eq!(deployment.stop(), Some(0));
    other.types("exit\r");
    assert!(other.leaves().success());
    let manifest = instance.state_folder().join("spool").join(&sealed_by_second).join("manifest-0000.json");
    until("the second agent seals it", || manifest.exists().then_some(()));
    assert_eq!(instance.stop(), Some(0));
    deployment.resume();
    let root = &deployment.root;
    assert_eq!(succeed(root, &instance), second);
    instance.resume();
    let third = agent_of(&instance.state_folder());
    is_finished(root, &sealed_by_second);
    person.types("exit\r");
    assert!(person.leaves().success());
    is_finished(root, &live);
    let text = verified(root, &live);
    assert!(text.contains(&first) && text.contains(&third) && !text.contains(&second), "{text}");
    let text = verified(root, &sealed_by_second);
    assert!(text.contains(&first) && text.contains(&second) && !text.contains(&third), "{text}");
    let all = root.run(&["recordings", "verify", "--agent", &first]);
    assert_eq!(all.status.code(), Some(0), "{}", said(&all));
    until("nothing is left in the spool", || instance.spooled().is_empty().then_some(()));
    let kept = instance.state_folder().join("predecessors");
    until("no key of an earlier agent is left", || {
        std::fs::read_dir(&kept).unwrap().next().is_none().then_some(())
    });
}

#[test]
fn the_local_agent_that_was_removed_is_succeeded_at_the_next_start_of_the_server() {
    let arguments = vec!["--with-local-agent".to_owned()];
    let mut deployment = Deployment::start_with(DeploymentOptions { arguments, ..Default::default() });
    deployment.record_everything();
    let state = deployment.data_folder().join("agent");
    let agent = |arguments: &[&str]| {
        let mut command = Command::new(whole_system::program("hansard-agent"));
        command.args(arguments).env("HANSARD_AGENT_STATE_DIR", &state).output().unwrap()
    };
    let status = || serde_json::from_slice::<Value>(&agent(&["status", "--output", "json"]).stdout).ok();
    until("the configuration reaches the agent", || (status()?["Recording"] == true).then_some(()));
    let first = agent_of(&state);
    let instance = status().unwrap()["Identity"]["InstanceId"].as_str().unwrap().to_owned();
    let removed = deployment.root.json(&["agents", "rm", &instance, "--yes"]);
    assert_eq!(removed["AgentId"], first.as_str());
    until("the agent knows it", || (status()?["Running"]["Link"] == "refused").then_some(()));
    let output = agent(&["record", "--", "echo", "recorded by nobody who can deliver it"]);
    assert!(output.status.success(), "{}", said(&output));
    until("it is sealed", || {
        let spooled = std::fs::read_dir(state.join("spool")).unwrap().flatten();
        spooled.map(|entry| entry.path()).find(|folder| folder.join("manifest-0000.json").exists())
    });
    assert_eq!(deployment.stop(), Some(0));
    deployment.resume();
    let token = another(&deployment.root, &[]);
    is_finished(&deployment.root, &token);
    assert_ne!(agent_of(&state), first);
    assert!(verified(&deployment.root, &token).contains(&first));
}
