//! Evidence that is forged by somebody who has access to the bucket, or only a text editor: `verify` reports what it
//! is.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};

use serde_json::Value;
use whole_system::{Client, Deployment, Instance, until};

struct Stage {
    deployment: Deployment,
    instance: Instance,
}

/// The result of `verify`, with its exit code.
fn verify(client: &Client, arguments: &[&str]) -> (i32, Value) {
    let mut all = vec!["recordings", "verify", "--output", "json"];
    all.extend(arguments);
    let output = client.run(&all);
    let said = String::from_utf8_lossy(&output.stderr);
    let told = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{arguments:?}: {said}"));
    (output.status.code().unwrap(), told)
}

impl Stage {
    fn new(id: &str) -> Self {
        let deployment = Deployment::start();
        deployment.record_everything();
        let instance = Instance::enrol(&deployment, id);
        instance.wait_until_recording_is(true);
        Self { deployment, instance }
    }

    /// Records a command that ends, and returns the token.
    fn recorded(&self, words: &str) -> String {
        let known = self.finished();
        let mut person = self.instance.record(&["sh", "-c", &format!("echo {words}")]);
        assert!(person.leaves().success());
        until("the recording is finished", || {
            self.finished().into_iter().find(|token| !known.contains(token))
        })
    }

    fn finished(&self) -> Vec<String> {
        let listed = self.deployment.root.call("ListInstanceRecords", &[]);
        let records = listed["Root"]["RecordList"].as_array().unwrap();
        let finished = records.iter().filter(|record| record["Status"] == "finished");
        finished.map(|record| record["TerminalSessionToken"].as_str().unwrap().to_owned()).collect()
    }

    /// The folder of a recording in the bucket.
    fn folder(&self, token: &str) -> PathBuf {
        fn find(folder: &Path, name: &str) -> Option<PathBuf> {
            std::fs::read_dir(folder)
                .ok()?
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| path.is_dir())
                .find_map(|path| if path.file_name()? == name { Some(path) } else { find(&path, name) })
        }
        find(&self.deployment.data_folder(), token).unwrap_or_else(|| panic!("no folder of {token}"))
    }
}

#[test]
fn the_control_plane_vouches_for_its_recording_and_not_for_another_in_its_place() {
    let stage = Stage::new("i-evidence1");
    let root = &stage.deployment.root;
    let (deed, harmless) = (stage.recorded("the deed"), stage.recorded("harmless"));
    let text = root.stdout(&["recordings", "verify", &deed]);
    assert!(text.contains("trusted: enrolled for i-evidence1 since 20"), "{text}");
    assert!(text.contains("according to this control plane"), "{text}");
    assert!(
        text.contains("same-user: recorded by a process of the recorded user or within their reach"),
        "{text}"
    );
    let (code, told) = verify(root, &[&deed]);
    assert_eq!(
        (code, &told["Verdict"], &told["Trust"]),
        (0, &"complete".into(), &"enrolled".into()),
        "{told}"
    );
    assert_eq!(
        (&told["Recording"], &told["Instance"]),
        (&deed.as_str().into(), &"i-evidence1".into()),
        "{told}"
    );
    assert_eq!(
        (&told["Account"], &told["Recorder"]),
        (&stage.deployment.account().into(), &"same-user".into())
    );
    assert_eq!(verify(root, &[&deed, "--account", "1999999999999999"]).0, 4);

    // The folder of the deed contains the harmless recording: complete, signed by the enrolled agent, but another
    // one.
    let (place, aside) = (stage.folder(&deed), stage.deployment.scratch().join("aside"));
    std::fs::rename(&place, &aside).unwrap();
    let copied = std::process::Command::new("cp").arg("-r").arg(stage.folder(&harmless)).arg(&place).status();
    assert!(copied.unwrap().success());
    let (code, told) = verify(root, &[&deed]);
    assert_eq!(
        (code, &told["Verdict"], &told["Object"]),
        (4, &"inconsistent".into(), &"start.json".into()),
        "{told}"
    );
    assert_eq!(verify(root, &[&harmless]).0, 0);
    for arguments in [
        &["recordings", "export", &deed, "--format", "txt"][..],
        &["recordings", "play", &deed, "--speed", "1000"],
    ] {
        let output = root.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains("InstanceRecord.EvidenceChanged"), "{said}");
        assert!(!String::from_utf8_lossy(&output.stdout).contains("harmless"));
    }
    // A check of a folder gives the same result once it is told which recording is expected.
    let place = place.to_str().unwrap();
    assert_eq!(verify(root, &[place, "--any-signer"]).0, 0);
    let (code, told) = verify(root, &[place, "--any-signer", "--token", &deed]);
    assert_eq!(code, 4, "{told}");
    let instance = format!("this is recording {harmless} of instance i-evidence1, account ");
    assert!(told["Why"].as_str().unwrap().contains(&instance), "{told}");
    assert_eq!(verify(root, &[place, "--any-signer", "--instance-id", "i-other"]).0, 4);
    assert_eq!(verify(root, &[place, "--any-signer", "--account", "1999999999999999"]).0, 4);
    let account = stage.deployment.account();
    let right = ["--token", &harmless, "--instance-id", "i-evidence1", "--account", account];
    assert_eq!(verify(root, &[&[place, "--any-signer"], &right[..]].concat()).0, 0);
}

#[test]
fn every_view_of_a_recording_says_who_recorded_it() {
    const SENTENCE: &str = "same-user: recorded by a process of the recorded user or within their reach, who could have ended, altered \
         or invented it";
    let stage = Stage::new("i-evidence3");
    let root = &stage.deployment.root;
    let token = stage.recorded("whatever");
    let start = std::fs::read_to_string(stage.folder(&token).join("start.json")).unwrap();
    assert!(start.contains("\"recorder\": \"same-user\""), "{start}");
    let file = stage.deployment.scratch().join("exported.cast");
    let file = file.to_str().unwrap();
    for arguments in [
        &["recordings", "ls"][..],
        &["recordings", "ls", "--output", "json"],
        &["recordings", "export", &token, "--format", "txt"],
        &["recordings", "export", &token, "--format", "cast", "--out", file],
        &["recordings", "play", &token, "--speed", "1000"],
    ] {
        let output = root.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        assert_eq!(said.matches(SENTENCE).count(), 1, "{arguments:?}: {said}");
    }
    let verified = root.stdout(&["recordings", "verify", &token]);
    assert!(verified.contains(SENTENCE), "{verified}");
}

#[test]
fn the_keys_of_agents_are_published_with_their_time_and_a_folder_needs_them() {
    let stage = Stage::new("i-evidence2");
    let root = &stage.deployment.root;
    let token = stage.recorded("by the first agent");
    let keys = stage.deployment.scratch().join("agents.keys");
    let keys = keys.to_str().unwrap();
    assert_eq!(root.stdout(&["agents", "keys", "--out", keys]), "");
    let folder = stage.folder(&token);
    let folder = folder.to_str().unwrap();
    let (code, told) = verify(root, &[folder]);
    assert_eq!((code, &told["Verdict"], &told["Trust"]), (5, &"untrusted".into(), &"none".into()), "{told}");
    assert_eq!(told["Integrity"], "complete", "whatever the code: {told}");
    let (code, told) = verify(root, &[folder, "--trust", keys]);
    assert_eq!((code, &told["Verdict"], &told["Trust"]), (0, &"complete".into(), &"given".into()), "{told}");

    // Another agent replaces the first one on the instance: what the first one sealed before remains trusted.
    let id = "i-evidence2";
    let joining = root.json(&["agents", "token", "create", "--instance-id", id, "--ttl", "5m", "--replace"]);
    let state = stage.deployment.scratch().join("second");
    let enrol = std::process::Command::new(whole_system::program("hansard-agent"))
        .args(["enrol", "--server", &root.endpoint, "--token", joining["Token"].as_str().unwrap()])
        .args(["--instance-id", id, "--replace"])
        .env("HANSARD_AGENT_STATE_DIR", &state)
        .output()
        .unwrap();
    assert!(enrol.status.success(), "{}", String::from_utf8_lossy(&enrol.stderr));
    let written = root.stdout(&["agents", "keys"]);
    let lines: Vec<&str> = written.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines.len(), 3, "{written}");
    assert_eq!(lines.iter().filter(|line| line.contains(" until=20")).count(), 1, "{written}");
    assert!(
        lines[2].ends_with("= control-plane"),
        "those that sign, then the one that gives leave: {written}"
    );
    let output = root.run(&["agents", "keys", "--out", keys]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("exists already"), "{output:?}");
    assert_eq!(root.stdout(&["agents", "keys", "--out", keys, "--force"]), "");
    assert_eq!(verify(root, &[folder, "--trust", keys]).0, 0);
    let text = root.stdout(&["recordings", "verify", &token]);
    assert!(
        text.contains("trusted: enrolled for i-evidence2 since 20") && text.contains(" until 20"),
        "{text}"
    );

    // The new agent's key alone, and a key that is bound to another instance, do not verify anything here.
    let other = stage.deployment.scratch().join("other.keys");
    let new = lines.iter().find(|line| !line.contains(" until=")).unwrap();
    let elsewhere = lines.iter().find(|line| line.contains(" until=")).unwrap().replace(id, "i-elsewhere");
    for line in [(*new).to_owned(), elsewhere] {
        std::fs::write(&other, format!("{line}\n")).unwrap();
        let (code, told) = verify(root, &[folder, "--trust", other.to_str().unwrap()]);
        assert_eq!((code, &told["Trust"]), (5, &"given".into()), "{line}: {told}");
    }
}

#[test]
fn wrong_usage_is_named() {
    let stage = Deployment::start();
    let token = "ab".repeat(16);
    let empty = stage.scratch().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let output = stage.root.run(&["recordings", "verify", empty.to_str().unwrap(), "--any-signer"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && stderr.contains("there is no recording in "), "{stderr}");
    for (arguments, said) in [
        (&["nothing-here"][..], "there is no folder of that name"),
        (&[token.as_str(), "--token", &token], "a token says so itself"),
        (&[".", "--any-signer", "--trust", "x"], "cannot be used with"),
        (&[".", "--trust", "/nonexistent"], "cannot be read"),
    ] {
        let mut all = vec!["recordings", "verify"];
        all.extend(arguments);
        let output = stage.root.run(&all);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    }
}
