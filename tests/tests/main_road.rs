//! One complete run: switch recording on with the vendor's SDK, record a real bash, list the recording, open it,
//! replay it in a browser and in a terminal, export and verify it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::process::Command;

use serde_json::{Value, json};
use whole_system::{Deployment, Instance, Sdk, asciinema_cat, in_browser, until};

/// The exact bytes of a recording, from `hansard recordings export --format txt`.
fn exported(deployment: &Deployment, token: &str, format: &str) -> std::path::PathBuf {
    let file = deployment.scratch().join(format!("{token}.{format}"));
    let out = file.to_str().unwrap();
    let _ = deployment.root.stdout(&["recordings", "export", token, "--format", format, "--out", out]);
    file
}

fn list(deployment: &Deployment) -> Vec<Value> {
    let outcome = Sdk::Typed.call(&deployment.root, "ListInstanceRecords", &json!({}));
    outcome["reply"]["Root"]["RecordList"].as_array().unwrap_or_else(|| panic!("{outcome}")).clone()
}

#[test]
fn a_real_shell_is_recorded_listed_and_replayed() {
    let deployment = Deployment::start();
    let instance = Instance::enrol(&deployment, "i-road1");

    // Until recording is switched on, `record` says so and runs the command.
    instance.wait_until_recording_is(false);
    let mut person = instance.record(&["bash", "--norc", "-c", "echo unrecorded $((6*7))"]);
    assert!(person.leaves().success());
    let shown = String::from_utf8(person.shown()).unwrap();
    assert!(shown.contains("unrecorded 42") && shown.contains("not recorded"), "{shown}");
    assert_eq!(list(&deployment), [] as [Value; 0]);

    deployment.record_everything();
    instance.wait_until_recording_is(true);
    let mut person = instance.record_sized(&["bash", "--norc", "-i"], 100, 30);
    person.sees("$ ");
    person.types("printf '\\033[1;32mgrün ✓ \\033[0m%s\\n' $((40+2))\r");
    person.sees("42\r\n");
    let token = {
        // While it is running, it is listed as running, and the part that has arrived can be played.
        let running = deployment.root.one_recording("running");
        running["TerminalSessionToken"].as_str().unwrap().to_owned()
    };
    person.resizes(90, 28);
    person.types("tput cols; exit 7\r");
    assert_eq!(person.leaves().code(), Some(7), "the exit code passes");
    let shown = person.shown_of_the_program();
    assert!(String::from_utf8_lossy(&shown).contains("90\r\n"), "the size passes");

    let record = deployment.root.one_recording("finished");
    assert_eq!(record["TerminalSessionToken"], token.as_str());
    assert_eq!(record["InstanceId"], "i-road1");
    assert_eq!(record["AccountId"], deployment.account().parse::<u64>().unwrap());
    assert!(record["RecordDurationMillis"].as_i64().unwrap() > 0);
    assert_eq!(list(&deployment).len(), 1, "the vendor's SDK sees it too");

    // The page, opened without a ticket, explains how to get a replay address.
    let bare = in_browser("replay.mjs", &[record["InstanceRecordUrl"].as_str().unwrap()]);
    assert_eq!(bare["state"], "missing-session", "{bare}");
    assert!(bare["command"].as_str().unwrap().contains(&token), "{bare}");

    // The vendor's SDK can open it, but its models drop the extra fields, so another SDK gets the replay address.
    let view = json!({"InstanceId": "i-road1", "TerminalSessionToken": token});
    let typed = Sdk::Typed.call(&deployment.root, "ViewInstanceRecords", &view);
    assert_eq!(typed["reply"]["Root"], true, "{typed}");
    let opened = Sdk::OpenapiClient.call(&deployment.root, "ViewInstanceRecords", &view);
    let address = opened["reply"]["ReplayUrl"].as_str().unwrap_or_else(|| panic!("{opened}"));
    let page = in_browser("replay.mjs", &[address]);
    assert_eq!(page["state"], "ready", "{page}");
    assert_eq!(page["problems"], json!([]), "the browser complains of nothing");
    assert!(!page["address"].as_str().unwrap().contains('#'), "the secret leaves the address bar");
    assert_eq!((&page["status"], &page["exit"]), (&json!("Finished"), &json!("exit 7")), "{page}");
    assert!(
        page["facts"]
            .as_str()
            .unwrap()
            .contains("A process of the recorded user or within their reach, who could have ended, altered or invented it"),
        "{page}"
    );
    let on_page: Vec<_> =
        page["lines"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    let on_screen = person.screen();
    assert!(on_screen.iter().any(|line| line.contains("grün ✓ 42")), "{on_screen:#?}");
    assert_eq!(on_page, on_screen, "the page shows what the person saw, in the size that the terminal had");

    // The address is valid only once.
    let again = in_browser("replay.mjs", &[address]);
    assert_eq!(again["state"], "missing-session", "{again}");

    // Shown in a terminal, as text and with asciinema, and verified.
    let shown_of_it = deployment.root.stdout(&["recordings", "show", "latest"]);
    for known in [token.as_str(), "bash --norc -i", "(claimed by the agent)", "not proven"] {
        assert!(shown_of_it.contains(known), "{known}: {shown_of_it}");
    }
    let played = deployment.root.stdout(&["recordings", "play", &token[..8], "--speed", "1000"]);
    assert!(played.contains("grün ✓"), "{played:?}");
    assert_eq!(std::fs::read(exported(&deployment, &token, "txt")).unwrap(), shown, "every byte, unchanged");
    assert_eq!(asciinema_cat(&exported(&deployment, &token, "cast")), shown);
    let verified = deployment.root.stdout(&["recordings", "verify", &token]);
    assert!(verified.contains("complete"), "{verified}");
    assert!(verified.contains("trusted: enrolled for i-road1 since "), "{verified}");

    // The evidence is in the folder, and ordinary tools can read the segments as an asciicast file.
    let bucket = format!("workbench-record-{}-default", deployment.account());
    let mut find = Command::new("find");
    find.arg(deployment.data_folder()).args(["-path", &format!("*{bucket}*"), "-type", "f"]);
    let found = find.output().unwrap();
    let files: Vec<_> = String::from_utf8(found.stdout).unwrap().lines().map(str::to_owned).collect();
    for name in ["start.json", "manifest-0000.json", "manifest-0000.sig", "terminal/000000.cast.zst"] {
        assert!(files.iter().any(|file| file.ends_with(&format!("{token}/{name}"))), "{name} in {files:#?}");
    }
    let mut segments: Vec<_> = files.iter().filter(|file| file.ends_with(".cast.zst")).collect();
    segments.sort();
    let joined = deployment.scratch().join("joined.cast.zst");
    std::fs::write(
        &joined,
        segments.iter().flat_map(|file| std::fs::read(file).unwrap()).collect::<Vec<_>>(),
    )
    .unwrap();
    let plain = Command::new("zstd").arg("-dc").arg(&joined).output().unwrap();
    let cast = deployment.scratch().join("joined.cast");
    std::fs::write(&cast, &plain.stdout).unwrap();
    assert_eq!(asciinema_cat(&cast), shown);

    // A change of one byte in the bucket is detected.
    let mut bytes = std::fs::read(segments[0]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(segments[0], bytes).unwrap();
    let verified = deployment.root.run(&["recordings", "verify", &token]);
    assert_eq!(verified.status.code(), Some(4), "{verified:?}");
    let said =
        String::from_utf8_lossy(&verified.stdout).into_owned() + &String::from_utf8_lossy(&verified.stderr);
    assert!(said.contains("000000"), "{said}");
}

#[test]
fn the_embedded_default_records_this_machine() {
    let arguments = vec!["--with-local-agent".to_owned()];
    let mut deployment =
        Deployment::start_with(whole_system::DeploymentOptions { arguments, ..Default::default() });
    let agents = until("the local agent joins", || {
        let agents = deployment.root.json(&["agents", "ls"]);
        let list = agents["Agents"].as_array().or_else(|| agents.as_array())?.clone();
        (list.len() == 1).then_some(list)
    });
    let id = agents[0]["InstanceId"].as_str().unwrap().to_owned();
    deployment.record_everything();
    let state = deployment.data_folder().join("agent");
    let agent = whole_system::program("hansard-agent");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&agent);
        command.args(arguments).env("HANSARD_AGENT_STATE_DIR", &state).output().unwrap()
    };
    until("the configuration reaches the agent", || {
        let status = run(&["status", "--output", "json"]);
        let status: Value = serde_json::from_slice(&status.stdout).ok()?;
        (status["Recording"] == true).then_some(())
    });
    // Without any terminal, as in a script.
    let output = run(&["record", "--", "sh", "-c", "echo from a script"]);
    assert!(
        output.status.success() && String::from_utf8_lossy(&output.stdout).contains("from a script"),
        "{output:?}"
    );
    let record = deployment.root.one_recording("finished");
    assert_eq!(record["InstanceId"], id.as_str());
    assert_eq!(deployment.stop(), Some(0), "SIGTERM drains and exits 0:\n{}", deployment.log());
    let secret = &deployment.root.access_key_secret;
    assert!(!deployment.log().contains(secret.as_str()), "the root secret is in no log");
}
