//! A recording whose agent is silent: interrupted when the lease has lapsed, finished when the agent returns.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::{Duration, Instant};

use whole_system::{Deployment, DeploymentOptions, Instance};

/// Longer than the time between two heartbeats of a link, which is 15 s.
const LEASE_SECONDS: &str = "20";

fn wait_for(deployment: &Deployment, status: &str) -> serde_json::Value {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let listed = deployment.root.call("ListInstanceRecords", &["IncludeExpired=true"]);
        let record = listed["Root"]["RecordList"][0].clone();
        if record["Status"] == status {
            return record;
        }
        assert!(Instant::now() < deadline, "it never was {status}: {record}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn exported(deployment: &Deployment, token: &str) -> String {
    let folder = tempfile::tempdir_in(deployment.scratch()).unwrap();
    let out = folder.path().join("exported.txt");
    let _ = deployment.root.run(&[
        "recordings",
        "export",
        token,
        "--format",
        "txt",
        "--out",
        out.to_str().unwrap(),
    ]);
    std::fs::read_to_string(out).unwrap_or_default()
}

#[test]
fn a_silent_agent_s_recording_is_interrupted_plays_what_arrived_and_is_finished_when_it_returns() {
    let deployment = Deployment::start_with(DeploymentOptions {
        arguments: vec!["--recording-lease".into(), LEASE_SECONDS.into()],
        ..Default::default()
    });
    deployment.record_everything();
    let mut instance = Instance::enrol(&deployment, "i-lease");
    instance.wait_until_recording_is(true);
    let mut person = instance.record(&["sh", "-c", "echo it ar''rived; read line; echo it came la''ter"]);
    person.sees("it arrived\r\n");
    let record = wait_for(&deployment, "running");
    let token = record["TerminalSessionToken"].as_str().unwrap().to_owned();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !exported(&deployment, &token).contains("it arrived") {
        assert!(Instant::now() < deadline, "nothing arrived");
        std::thread::sleep(Duration::from_millis(100));
    }

    instance.kill();
    let killed = Instant::now();
    person.types("\r");
    assert!(person.leaves().success());
    let record = wait_for(&deployment, "interrupted");
    assert!(killed.elapsed() < Duration::from_secs(60), "{:?}", killed.elapsed());
    assert_eq!(record["TerminalSessionToken"], token.as_str());
    let shown = exported(&deployment, &token);
    assert!(shown.contains("it arrived") && !shown.contains("it came later"), "{shown}");

    // Its spool holds the exit record.
    instance.resume();
    let record = wait_for(&deployment, "finished");
    assert_eq!(record["TerminalSessionToken"], token.as_str());
    let verified = deployment.root.run(&["recordings", "verify", &token]);
    assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stdout));
    let out = deployment.scratch().join("whole.txt");
    let whole = ["recordings", "export", &token, "--format", "txt", "--out", out.to_str().unwrap()];
    let _ = deployment.root.stdout(&whole);
    assert_eq!(std::fs::read(out).unwrap(), person.shown_of_the_program());
}
