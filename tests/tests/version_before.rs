//! The version before and this one on one PostgreSQL, as during a rolling upgrade: this one changes the tables, and the other
//! goes on with them. `make test-deep` builds that version and runs this.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may panic, and is told where the other program is"
)]

use std::path::PathBuf;

use serde_json::{Value, json};
use whole_system::{Client, Deployment, DeploymentOptions, Instance, Sdk, postgresql};

fn version_before() -> PathBuf {
    let program = std::env::var("HANSARD_TEST_VERSION_BEFORE");
    let program =
        PathBuf::from(program.expect("HANSARD_TEST_VERSION_BEFORE names the program of that version"));
    assert!(program.exists(), "{} is not built; run tests/version_before.sh", program.display());
    program
}

fn days(client: &Client) -> Value {
    let got = Sdk::Typed.call(client, "GetInstanceRecordConfig", &json!({"InstanceId": "*"}));
    got["reply"]["Root"]["ExpirationDays"].clone()
}

fn set_days(client: &Client, days: u32) {
    let set = json!({"InstanceId": "*", "Enabled": true, "ExpirationDays": days});
    let outcome = Sdk::Typed.call(client, "SetInstanceRecordConfig", &set);
    assert_eq!(outcome["reply"]["Root"], true, "{outcome}");
}

#[test]
#[ignore = "make test-deep builds the version before"]
fn the_version_before_goes_on_beside_this_one() {
    let keys = tempfile::tempdir().unwrap();
    let keys = keys.path().join("keys.toml").to_str().unwrap().to_owned();
    // The keys of a deployment with SQLite are generated; the replicas then share that file.
    drop(Deployment::start_with(DeploymentOptions {
        arguments: vec!["--server-keys".into(), keys.clone()],
        ..Default::default()
    }));
    let database = postgresql();
    let arguments: Vec<String> =
        ["--database-url", &database, "--server-keys", &keys].map(str::to_owned).into();
    let before = Deployment::start_with(DeploymentOptions {
        arguments: arguments.clone(),
        program: Some(version_before()),
        ..Default::default()
    });
    set_days(&before.root, 3);
    let user = before.root.call("CreateUser", &["UserName=ana"]);
    assert_eq!(user["User"]["UserName"], "ana", "{user}");

    let objects = Some(before.objects_folder());
    let now = Deployment::start_with(DeploymentOptions { arguments, objects, ..Default::default() });
    assert_eq!(days(&now.root), 3);
    // Both change, and both see what the other has changed.
    for round in 0..5 {
        set_days(&before.root, 10 + round);
        assert_eq!(days(&now.root), 10 + round);
        set_days(&now.root, 20 + round);
        assert_eq!(days(&before.root), 20 + round);
    }
    let listed = now.root.call("ListUsers", &[]);
    assert_eq!(listed["Users"]["User"][0]["UserName"], "ana", "{listed}");
    let user = now.root.call("CreateUser", &["UserName=ben"]);
    assert_eq!(user["User"]["UserName"], "ben", "{user}");
    let got = before.root.call("GetUser", &["UserName=ben"]);
    assert_eq!(got["User"]["UserName"], "ben", "{got}");

    // What an agent delivers to the one is shown by both.
    let instance = Instance::enrol(&now, "i-upgraded");
    instance.wait_until_recording_is(true);
    let mut person = instance.record(&["echo", "beside the version before"]);
    person.sees("beside the version before");
    assert!(person.leaves().success());
    let recording = now.root.one_recording("finished");
    let token = recording["TerminalSessionToken"].as_str().unwrap();
    let old = before.root.one_recording("finished");
    assert_eq!(old["TerminalSessionToken"], token, "{old}");
    let verified = before.root.run(&["recordings", "verify", token]);
    assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stdout));

    // The trail of both is one; the files of the other are in its own folder.
    let events = now.root.call("ListAuditEvents", &["PageSize=100"]);
    let actions = events["Root"]["AuditEventList"].as_array().unwrap();
    let sets = actions.iter().filter(|event| event["Action"] == "SetInstanceRecordConfig").count();
    assert_eq!(sets, 11, "{events}");
    for replica in [&before, &now] {
        let log = replica.log();
        assert!(!log.contains(" ERROR ") && !log.contains("panicked"), "{log}");
    }
}
