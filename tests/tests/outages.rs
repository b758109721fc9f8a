//! Whatever process dies or is unreachable: no byte that was shown is lost.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use whole_system::{Deployment, Instance, program};

fn stage(id: &str) -> (Deployment, Instance) {
    let deployment = Deployment::start();
    deployment.record_everything();
    let instance = Instance::enrol(&deployment, id);
    instance.wait_until_recording_is(true);
    (deployment, instance)
}

fn exact_bytes(deployment: &Deployment, status: &str) -> Vec<u8> {
    let record = deployment.root.one_recording(status);
    let token = record["TerminalSessionToken"].as_str().unwrap();
    let file = deployment.scratch().join("exact.txt");
    let out = file.to_str().unwrap();
    let _ = deployment.root.stdout(&["recordings", "export", token, "--format", "txt", "--out", out]);
    let verified = deployment.root.run(&["recordings", "verify", token]);
    let (code, verdict) = if status == "interrupted" { (7, "interrupted") } else { (0, "complete") };
    let said = String::from_utf8_lossy(&verified.stdout);
    assert_eq!(verified.status.code(), Some(code), "{said}");
    assert!(said.lines().next().unwrap().ends_with(verdict), "{said}");
    assert!(said.lines().any(|line| line.starts_with("Integrity") && line.ends_with("complete")), "{said}");
    std::fs::read(file).unwrap()
}

#[test]
fn an_unreachable_control_plane_costs_time_and_no_bytes() {
    let (mut deployment, instance) = stage("i-away");
    deployment.kill();
    let mut person = instance.record(&["bash", "--norc", "-i"]);
    person.sees("$ ");
    person.types("echo recorded while it was a''way; exit\r");
    assert!(person.leaves().success());
    assert!(String::from_utf8_lossy(&person.shown()).contains("was away"));
    deployment.resume();
    assert_eq!(exact_bytes(&deployment, "finished"), person.shown_of_the_program());
}

#[test]
fn an_agent_that_is_killed_leaves_a_spool_that_the_next_start_delivers() {
    let (deployment, mut instance) = stage("i-killed");
    let mut person = instance.record(&["bash", "--norc", "-i"]);
    person.sees("$ ");
    person.types("echo be''fore\r");
    person.sees("before\r\n");
    instance.kill();
    // The session continues without its agent.
    person.types("echo be''tween\r");
    person.sees("between\r\n");
    instance.resume();
    person.types("echo af''ter; exit\r");
    assert!(person.leaves().success());
    assert_eq!(exact_bytes(&deployment, "finished"), person.shown_of_the_program());
}

#[test]
fn a_recorder_that_is_killed_leaves_an_interrupted_recording_that_plays() {
    let (deployment, instance) = stage("i-cut");
    let mut person = instance.record(&["bash", "--norc", "-c", "echo shown before the cut; sleep 1000"]);
    person.sees("before the cut\r\n");
    let recorder = std::process::Command::new("pgrep")
        .args(["-P", &person.process_id().to_string(), "-f", "hansard-agent record"])
        .output()
        .unwrap();
    let recorder = String::from_utf8(recorder.stdout).unwrap();
    let recorder = recorder.split_whitespace().next().map_or(person.process_id().to_string(), str::to_owned);
    assert!(std::process::Command::new("kill").args(["-KILL", &recorder]).status().unwrap().success());
    assert!(!person.leaves().success());
    let recorded = exact_bytes(&deployment, "interrupted");
    assert!(String::from_utf8_lossy(&recorded).contains("shown before the cut"));
}

#[test]
fn delivery_survives_an_outage_and_a_restart_of_the_machine() {
    let (mut deployment, mut instance) = stage("i-both");
    deployment.kill();
    let mut person = instance.record(&["sh", "-c", "echo kept in the spool"]);
    assert!(person.leaves().success());
    instance.kill();
    deployment.resume();
    instance.resume();
    assert_eq!(exact_bytes(&deployment, "finished"), person.shown_of_the_program());
}

#[test]
fn an_agent_follows_a_control_plane_that_changes_its_keys() {
    let (mut deployment, instance) = stage("i-rotated");
    for (round, on) in [(1, false), (2, true)] {
        assert_eq!(deployment.stop(), Some(0));
        let keys = deployment.data_folder().join("server-keys.toml");
        let rotate = ["admin", "server-keys", "rotate", keys.to_str().unwrap()];
        let output = std::process::Command::new(program("hansard")).args(rotate).output().unwrap();
        assert!(output.status.success(), "round {round}: {}", String::from_utf8_lossy(&output.stderr));
        deployment.resume();
        let enabled = if on { "Enabled=true" } else { "Enabled=false" };
        let _ =
            deployment.root.call("SetInstanceRecordConfig", &[enabled, "InstanceId=*", "ExpirationDays=7"]);
        instance.wait_until_recording_is(on);
    }
}

#[test]
fn a_session_that_is_delivered_synchronously_waits_for_its_control_plane() {
    let mut deployment = Deployment::start();
    let set = ["call", "SetInstanceRecordConfig", "InstanceId=*", "Enabled=true", "DeliveryMode=sync"];
    let _ = deployment.root.stdout(&set);
    let instance = Instance::enrol(&deployment, "i-sync");
    instance.wait_until_recording_is(true);
    let mut person = instance.record(&["bash", "--norc", "-i"]);
    person.sees("$ ");
    deployment.kill();
    person.types("echo be''fore\r");
    person.sees("before\r\n");
    person.sees("output is held: the control plane has not stored what was shown more than 10s ago");
    person.types("echo mean''while\r");
    deployment.resume();
    person.sees("meanwhile\r\n");
    person.types("exit\r");
    assert!(person.leaves().success());
    let record = deployment.root.one_recording("finished");
    let token = record["TerminalSessionToken"].as_str().unwrap();
    let shown = deployment.root.stdout(&["recordings", "show", token]);
    assert!(shown.contains("Delivery   sync: "), "{shown}");
    let verified = deployment.root.run(&["recordings", "verify", token]);
    assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stdout));
    let text = deployment.root.stdout(&["recordings", "export", token, "--format", "txt"]);
    assert!(text.contains("before") && text.contains("meanwhile") && !text.contains("held"), "{text}");
}
