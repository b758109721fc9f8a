//! A storage target that goes bad: nothing is lost, nothing is stored elsewhere, and every reader of the status is
//! told.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use whole_system::{Deployment, Instance, until};

#[test]
fn a_recording_that_waits_for_a_storage_target_is_reported_everywhere() {
    let deployment = Deployment::start();
    let account = deployment.account();
    let bucket = format!("workbench-record-{account}-demo");
    let target =
        |prefix: &str| format!("RecordStorageTarget=acs:oss:cn-hangzhou:{account}:{bucket}/{prefix}");
    let set = |prefix: &str| {
        let parameters = ["Enabled=true", "InstanceId=*", "ExpirationDays=7", &target(prefix)];
        deployment.root.run(&[&["call", "SetInstanceRecordConfig"], &parameters[..]].concat())
    };
    let refused = set(".hansard-unfinished");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("InvalidRecordStorageTarget.Format"), "{said}");
    assert!(set("record").status.success());
    let instance = Instance::enrol(&deployment, "i-waits");
    instance.wait_until_recording_is(true);

    let objects = deployment.data_folder().join("objects");
    std::fs::create_dir_all(objects.join(&bucket)).unwrap();
    std::fs::write(objects.join(&bucket).join("record"), b"an object has the prefix's name").unwrap();
    let mut person = instance.record(&["sh", "-c", "echo kept in the spool"]);
    assert!(person.leaves().success());

    until("the lists tell that a recording waits", || {
        let agents = deployment.root.stdout(&["agents", "ls"]);
        let recordings = deployment.root.stdout(&["recordings", "ls"]);
        let told = agents.contains("1: ")
            && agents.contains("is a file")
            && recordings.contains("1 recording of i-waits waits in the spool of its agent since ")
            && recordings.contains("is a file");
        told.then_some(())
    });
    until("both logs tell it", || {
        let reason = |log: String| log.contains("is a file");
        (reason(instance.log()) && reason(deployment.log())).then_some(())
    });
    let buckets = std::fs::read_dir(&objects).unwrap().map(|entry| entry.unwrap().file_name());
    let others: Vec<_> = buckets.filter(|name| *name != *bucket && *name != ".hansard-unfinished").collect();
    assert!(others.is_empty(), "no other bucket is taken: {others:?}");

    assert!(set("better").status.success());
    let record = deployment.root.one_recording("finished");
    let token = record["TerminalSessionToken"].as_str().unwrap();
    let shown = deployment.root.stdout(&["recordings", "export", token, "--format", "txt"]);
    assert!(shown.contains("kept in the spool"), "{shown}");
    assert!(objects.join(&bucket).join("better").is_dir());
    until("nothing waits any more", || {
        (!deployment.root.stdout(&["recordings", "ls"]).contains("waits in the spool")).then_some(())
    });
}
