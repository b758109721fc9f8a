//! What people see with a real browser: the first page, an unknown address, the API's documents, and the replay page
//! for recordings and problems of many kinds.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use whole_system::{Deployment, Instance, in_browser, program, tests_folder, until};

/// What Swagger UI shows of every operation of the product with this name.
fn operations(deployment: &Deployment, product: &str) -> Value {
    let address = format!("{}/docs/?urls.primaryName={product}", deployment.root.endpoint);
    in_browser("visit.mjs", &[&address, ".opblock-body code", ".opblock-summary-control"])
}

#[test]
fn a_browser_finds_the_first_page_and_the_documents_with_a_command_for_each_call() {
    let deployment = Deployment::start();
    let first = in_browser("visit.mjs", &[&deployment.root.endpoint]);
    assert_eq!((&first["status"], &first["problems"]), (&json!(200), &json!([])), "{first}");
    assert!(first["text"].as_str().unwrap().contains("hansard recordings open latest"), "{first}");
    let unknown = in_browser("visit.mjs", &[&format!("{}/nothing", deployment.root.endpoint)]);
    assert_eq!(unknown["status"], 404, "{unknown}");
    assert!(unknown["text"].as_str().unwrap().contains("There is nothing at this address"), "{unknown}");

    let shown = operations(&deployment, "STS%202015-04-01");
    assert_eq!(shown["problems"], json!([]), "{shown}");
    let text = shown["text"].as_str().unwrap();
    assert!(!text.contains("Try it out") && !text.contains("Execute"), "{text}");
    let commands = shown["contents"].as_array().unwrap();
    for expected in ["hansard call GetCallerIdentity", "hansard call AssumeRole RoleArn="] {
        assert!(
            commands.iter().any(|line| line.as_str().unwrap().starts_with(expected)),
            "{expected}: {shown}"
        );
    }
}

/// The command of each operation of a document.
fn command_lines(document: &str) -> Vec<(String, String)> {
    let file = tests_folder().parent().unwrap().join("openapi").join(document);
    let document: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let operations = document["paths"].as_object().unwrap().values().map(|item| &item["post"]);
    let line = |operation: &Value| {
        let (_, line) = operation["description"].as_str().unwrap().split_once("```sh\n").unwrap();
        let name = operation["operationId"].as_str().unwrap().to_owned();
        (name, line.strip_suffix("\n```").unwrap().to_owned())
    };
    operations.map(line).collect()
}

#[test]
fn the_commands_of_the_documents_run_as_they_stand() {
    let deployment = Deployment::start();
    let hansard = program("hansard");
    let paths = [hansard.parent().unwrap(), Path::new("/usr/bin"), Path::new("/bin")];
    let path = std::env::join_paths(paths).unwrap();
    let run = |line: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", line]).env("PATH", &path).envs(deployment.root.environment());
        let output = shell.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!stderr.contains("warning: "), "{line}: {stderr}");
        (output.status.code(), stderr)
    };
    // In an order in which each finds what it needs.
    let order = [
        "CreateUser",
        "GetUser",
        "UpdateUser",
        "ListUsers",
        "CreateLoginProfile",
        "GetLoginProfile",
        "CreateAccessKey",
        "ListAccessKeys",
        "CreateGroup",
        "UpdateGroup",
        "AddUserToGroup",
        "ListUsersForGroup",
        "CreateRole",
        "GetRole",
        "CreatePolicy",
        "GetPolicy",
        "CreatePolicyVersion",
        "SetDefaultPolicyVersion",
        "AttachPolicyToUser",
        "AttachPolicyToGroup",
        "AttachPolicyToRole",
        "ListPoliciesForUser",
        "ListEntitiesForPolicy",
        "DetachPolicyFromUser",
        "RemoveUserFromGroup",
        "SetAccountAlias",
        "SetPasswordPolicy",
        "GetPasswordPolicy",
        "GetCallerIdentity",
        "AssumeRole",
        "SetInstanceRecordConfig",
        "GetInstanceRecordConfig",
        "ListInstanceRecords",
        "CreateAgentJoinToken",
        "ListAgents",
        "ListAuditEvents",
        "ValidatePolicy",
        "SimulatePolicy",
        "VerifyAgentRecordings",
    ];
    let documents = ["ecs-workbench-2022-02-20.json", "ram-2015-05-01.json", "sts-2015-04-01.json"];
    let lines: Vec<_> = documents.iter().flat_map(|document| command_lines(document)).collect();
    let mut refused = Vec::new();
    for action in order {
        let (_, line) = lines.iter().find(|(name, _)| name == action).unwrap_or_else(|| panic!("{action}"));
        let (code, stderr) = run(line);
        if code != Some(0) {
            refused.push(format!("{line}: {code:?} {stderr}"));
        }
    }
    // The root of the account may not assume roles.
    let [assume_role] = &refused[..] else { panic!("{refused:#?}") };
    assert!(assume_role.starts_with("hansard call AssumeRole "), "{assume_role}");
}

/// The replay address of the only recording of an instance, once it has this status.
fn replay_address(deployment: &Deployment, instance: &str, status: &str) -> String {
    let token = until("the recording is listed", || {
        let wanted = [format!("InstanceId={instance}"), format!("Status={status}")];
        let list = deployment.root.call("ListInstanceRecords", &[&wanted[0], &wanted[1]]);
        list["Root"]["RecordList"][0]["TerminalSessionToken"].as_str().map(str::to_owned)
    });
    let view = deployment.root.json(&["recordings", "open", &token, "--print"]);
    view["ReplayUrl"].as_str().unwrap_or_else(|| panic!("{view}")).to_owned()
}

/// Records a command to its end and shows it in a window of this width.
fn recorded(deployment: &Deployment, id: &str, command: &[&str], size: (u16, u16), window: &str) -> Value {
    let instance = Instance::enrol(deployment, id);
    instance.wait_until_recording_is(true);
    let mut person = instance.record_sized(command, size.0, size.1);
    let _ = person.leaves();
    let page = in_browser("replay.mjs", &[&replay_address(deployment, id, "finished"), window]);
    assert_eq!((&page["state"], &page["problems"]), (&json!("ready"), &json!([])), "{page}");
    page
}

fn lines(page: &Value) -> Vec<&str> {
    page["lines"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect()
}

fn measured(page: &Value, what: &str) -> f64 {
    page["measured"][what].as_f64().unwrap_or_else(|| panic!("{what} in {page}"))
}

#[test]
fn the_frame_is_as_wide_as_the_terminal_and_the_end_is_in_sight() {
    let deployment = Deployment::start();
    deployment.record_everything();

    let page = recorded(&deployment, "i-page1", &["sh", "-c", "echo done; exit 3"], (100, 30), "1280");
    assert_eq!((&page["exit"], &page["size"]), (&json!("exit 3"), &json!("100 × 30")), "{page}");
    assert!((measured(&page, "frame") - measured(&page, "terminal")).abs() <= 1.0, "{page}");
    let clock = page["clock"].as_str().unwrap();
    let (now, total) = clock.split_once('/').unwrap();
    assert_eq!(now.trim(), total.trim(), "at its end");

    // A terminal too wide for the window is scrolled in its frame; the page itself is not.
    let page = recorded(&deployment, "i-page2", &["sh", "-c", "echo begun; kill -9 $$"], (132, 20), "390");
    assert_eq!(page["exit"], "ended by signal 9 (SIGKILL)", "{page}");
    assert!(measured(&page, "terminal") > measured(&page, "frame"), "{page}");
    assert!(measured(&page, "document") <= measured(&page, "window"), "{page}");
}

#[test]
fn characters_without_width_take_no_cell_on_the_page() {
    let deployment = Deployment::start();
    deployment.record_everything();
    let folder = deployment.scratch();
    let marks = "Re\u{301}sume\u{301}|\n1\u{fe0f}\u{20e3}|\n👨\u{200d}👧|\nsoft\u{ad}hyphen\u{202e}|\nxe\u{301}\u{302}|\n";
    std::fs::write(folder.join("marks.txt"), marks).unwrap();
    let file = folder.join("marks.txt");
    let page = recorded(&deployment, "i-page3", &["cat", file.to_str().unwrap()], (40, 12), "1280");
    let shown = ["Résumé|", "1\u{fe0f}\u{20e3}|", "👨\u{200d}👧|", "softhyphen|", "xe\u{301}\u{302}|"];
    assert_eq!(lines(&page)[..5], shown, "{page}");
    // The bar stands behind as many cells as the characters before it fill.
    assert_eq!(page["cells"].as_array().unwrap()[..5], [7, 2, 5, 11, 3].map(Value::from), "{page}");
}

#[test]
fn a_running_session_a_large_terminal_and_every_problem_say_what_they_are() {
    let deployment = Deployment::start();
    deployment.record_everything();
    let instance = Instance::enrol(&deployment, "i-page4");
    instance.wait_until_recording_is(true);
    let mut person = instance.record_sized(&["sh", "-c", "echo begun; read line"], 2400, 24);
    person.sees("begun");
    let page = until("what was printed has arrived", || {
        let page = in_browser("replay.mjs", &[&replay_address(&deployment, "i-page4", "running")]);
        page["clock"].is_string().then_some(page)
    });
    assert_eq!(page["exit"], "still running", "{page}");
    let notices = page["notices"].as_str().unwrap();
    for said in ["This session is still running", "The recorded terminal was 2400 × 24"] {
        assert!(notices.contains(said), "{said}: {notices}");
    }

    let shown = |fails: &Value| {
        let address = replay_address(&deployment, "i-page4", "running");
        in_browser("replay.mjs", &[&address, "1280", &fails.to_string()])
    };
    for (fails, state, says) in [
        (json!({"/cast": "abort"}), "error", "did not answer"),
        (json!({"/exchange": "abort"}), "error", "did not answer"),
        (
            json!({"/cast": {"status": 404, "body": "<h1>Not found</h1>"}}),
            "error",
            "may be older than this page",
        ),
        (json!({"/cast": {"status": 503, "body": ""}}), "error", "could not answer"),
        (json!({"/cast": {"status": 200, "body": "{\"version\":9}"}}), "error", "newer format"),
        (
            json!({"/cast": {"status": 403, "body": "{\"Code\":\"InstanceRecord.Expired\"}"}}),
            "expired",
            "that time is over",
        ),
    ] {
        let page = shown(&fails);
        assert_eq!(page["state"], state, "{page}");
        assert!(page["failure"].as_str().unwrap().contains(says), "{says}: {page}");
        assert!(!page["advice"].as_str().unwrap().is_empty(), "{page}");
    }
    let used = replay_address(&deployment, "i-page4", "running");
    let _ = in_browser("replay.mjs", &[&used]);
    let again = in_browser("replay.mjs", &[&used]);
    assert!(again["reason"].as_str().unwrap().contains("This link was used before"), "{again}");
    let wrong = format!("{}/view/instance/record/replay/0123", deployment.root.endpoint);
    let wrong = in_browser("replay.mjs", &[&wrong]);
    assert!(wrong["failure"].as_str().unwrap().contains("missing or incomplete"), "{wrong}");
    person.types("\r");
    let _ = person.leaves();
}

#[test]
fn the_replay_page_is_used_by_keyboard_alone() {
    let deployment = Deployment::start();
    deployment.record_everything();
    let instance = Instance::enrol(&deployment, "i-page5");
    instance.wait_until_recording_is(true);
    let _ = instance.record(&["echo", "short"]).leaves();
    let cast = [
        r#"{"version":2,"width":80,"height":24}"#,
        r#"[0.5,"o","one\r\n"]"#,
        r#"[30,"g",{"reason":"disk full"}]"#,
        r#"[90,"o","two\r\n"]"#,
        r#"[100,"x","0"]"#,
    ];
    let keys = [
        "End",
        "Home",
        "ArrowRight",
        "Shift+ArrowRight",
        "j",
        "l",
        "5",
        "[",
        "0",
        "]",
        ".",
        ",",
        "ArrowLeft",
    ];
    let expected = [100.0, 0.0, 5.0, 65.0, 55.0, 65.0, 50.0, 30.0, 0.0, 30.0, 90.0, 0.5, 0.0];
    let address = replay_address(&deployment, "i-page5", "finished");
    let page = in_browser("controls.mjs", &[&address, &cast.join("\n"), &json!(keys).to_string()]);
    assert_eq!(page["problems"], json!([]), "{page}");
    for ((key, moved), expected) in keys.iter().zip(page["moved"].as_array().unwrap()).zip(expected) {
        assert!((moved.as_f64().unwrap() - expected).abs() < 0.1, "{key}: {page}");
    }
    assert_eq!((&page["playing"], &page["paused"]), (&json!("Pause"), &json!("Play")), "{page}");
    assert_eq!(
        page["slider"],
        json!({"now": "0", "most": "100", "text": "0 seconds of 1 minute 40 seconds"}),
        "{page}"
    );
    // Keys that were typed are never recorded, so that nothing speaks of them.
    let help = page["help"].as_str().unwrap().to_lowercase();
    assert!(help.contains("play or pause") && !help.contains("keystroke"), "{help}");
    let focus = page["focus"].as_array().unwrap();
    for name in [
        "Skip to the recording",
        "Position in the recording",
        "Play",
        "Next mark",
        "Skip idle",
        "Speed",
        "Keys",
    ] {
        let reached = focus.iter().find(|reached| reached["name"].as_str().unwrap().starts_with(name));
        assert!(reached.is_some_and(|reached| reached["seen"] == true), "{name}: {page}");
    }
}
