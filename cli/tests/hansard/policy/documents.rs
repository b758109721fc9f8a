//! check, fmt and diff: what they report about documents.

use std::path::Path;

use serde_json::json;

use super::{Folder, USER, allow, document, json_of, policy, stdout, with_input};
use crate::deployment::stderr;

#[test]
fn check_names_file_place_severity_and_correction() {
    let folder = Folder::new();
    let text = "{\"Version\": \"1\",\n \"Statement\": [{\"Effect\": \"Allow\", \"NotAction\": \"ram:*\", \"Resource\": \"*\"}]}\n";
    let odd = folder.file("odd.json", text);
    let output = policy(&["check", &odd]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let line = stdout(&output);
    let begins =
        format!("{odd}:2:36: Security Warning AllowNotAction: Allow with NotAction permits every other");
    assert!(line.starts_with(&begins), "{line}");
    assert!(line.contains("; name the actions that are meant in Action"), "{line}");
    assert!(line.ends_with(" (/Statement/0/NotAction)\n"), "{line}");
    assert_eq!(stderr(&output), "1 file: 1 Security Warning\n");
    assert_eq!(policy(&["check", &odd, "--fail-on", "security-warning"]).status.code(), Some(1));

    let typo = folder.file("typo.json", document(json!([allow("ecs-workbench:ListAgnets", "*")])));
    let output = policy(&["check", &typo, "--fail-on", "general-warning"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("General Warning UnknownAction"), "{}", stdout(&output));
    assert!(
        stdout(&output).contains("write ecs-workbench:ListAgents if that is meant"),
        "{}",
        stdout(&output)
    );

    let key = json!({"Effect": "Allow", "Action": "ecs-workbench:ViewInstanceRecords", "Resource": "*",
        "Condition": {"StringEquals": {"ecs-workbench:SesionOwner": "self"}}});
    let key = folder.file("key.json", document(json!([key])));
    let said = stdout(&policy(&["check", &key]));
    assert!(said.contains("write ecs-workbench:SessionOwner if that is meant"), "{said}");
}

#[test]
fn check_refuses_what_the_reader_refuses_and_continues_with_the_next_file() {
    let folder = Folder::new();
    let good = folder.file("good.json", document(json!([allow("ecs-workbench:ListAgents", "*")])));
    let bad = folder.file("bad.json", r#"{"Version": "2012-10-17", "Statement": []}"#);
    let output = policy(&["check", &bad, &good]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stdout(&output).lines().filter(|line| line.contains(": Error ")).count(), 2);
    assert_eq!(stderr(&output), "2 files: 2 Errors\n");
    let json = json_of(&policy(&["check", &bad, &good, "--output", "json"]));
    assert_eq!((&json[0]["Valid"], &json[1]["Valid"]), (&json!(false), &json!(true)), "{json}");
    assert_eq!(json[0]["Findings"][0]["Severity"], "Error");
    assert_eq!(json[0]["Findings"][0]["Pointer"], "/Version");

    let trust = json!({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"RAM": USER}});
    let trust = folder.file("trust.json", document(json!([trust])));
    assert_eq!(policy(&["check", &trust]).status.code(), Some(1));
    assert_eq!(policy(&["check", &trust, "--kind", "trust"]).status.code(), Some(0));

    let output = policy(&["check", &folder.path("gone.json"), &good]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).ends_with("1 file: nothing to mend; 1 file could not be read\n"),
        "{}",
        stderr(&output)
    );
    let output = with_input(&["check", "-"], b"{}");
    assert!(stdout(&output).starts_with("standard input:1:1: Error MissingElement"), "{}", stdout(&output));
}

#[test]
fn diff_shows_a_request_for_each_difference_and_ends_by_it() {
    let folder = Folder::new();
    let a = folder.file("a.json", document(json!([allow("ecs-workbench:List*", "*")])));
    let b = folder.file(
        "b.json",
        document(json!([
            allow("ecs-workbench:ListAgents", "*"),
            allow("ecs-workbench:GetInstanceRecordConfig", "acs:ecs-workbench:*:*:workbench/i-1")
        ])),
    );
    let output = policy(&["diff", &a, &b]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let said = stdout(&output);
    assert!(said.starts_with(&format!("A is {a}, B is {b}\nB allows what A does not:\n  ecs-workbench:GetInstanceRecordConfig on acs:ecs-workbench:")), "{said}");
    assert!(said.contains("\nA allows what B does not:\n  ecs-workbench:ListInstanceRecords on "), "{said}");
    let json = json_of(&policy(&["diff", &a, &b, "--output", "json"]));
    // The witness is a request that one side allows and the other does not.
    let request = &json["OnlyB"]["Gaps"][0]["Request"];
    let decide = |file: &str| {
        let text = |name: &str| request[name].as_str().unwrap().to_owned();
        let output = policy(&[
            "simulate",
            "--policy",
            file,
            "--principal",
            &text("Principal"),
            "--action",
            &text("Action"),
            "--resource",
            &text("Resource"),
            "--output",
            "json",
        ]);
        json_of(&output)["Answers"][0]["Decision"].as_str().unwrap().to_owned()
    };
    assert_eq!((decide(&a), decide(&b)), ("ImplicitDeny".into(), "Allow".into()));
    let same = policy(&["diff", &a, &a]);
    assert_eq!(same.status.code(), Some(0));
    assert!(stdout(&same).contains("A allows nothing that B does not"), "{}", stdout(&same));
}

#[test]
fn diff_says_unknown_instead_of_running_for_ever() {
    let folder = Folder::new();
    // Patterns that overlap in every way: the number of classes of texts exceeds any bound.
    let side = |letter: char| {
        let patterns: Vec<String> = (0..120)
            .map(|n| format!("acs:ecs-workbench:*:*:workbench/*{letter}{n}*?{}*", n * 7 % 120))
            .collect();
        document(json!([{"Effect": "Allow", "Action": "ecs-workbench:*", "Resource": patterns}]))
    };
    let (a, b) = (folder.file("a.json", side('a')), folder.file("b.json", side('b')));
    let output = policy(&["diff", &a, &b]);
    let said = stdout(&output);
    assert!(said.contains("unknown whether B allows what A does not: "), "{said} {}", stderr(&output));
    let found = said.contains(" on acs:ecs-workbench:");
    assert_eq!(output.status.code(), Some(if found { 1 } else { 3 }), "{said}");

    let help = stdout(&policy(&["diff", "--help"]));
    let words: Vec<&str> = help.split_whitespace().collect();
    assert!(words.join(" ").contains("3 unknown, since the comparison grew past 10,000,000 steps"), "{help}");
    assert_eq!(policies::MAX_DIFFERENCE_STEPS, 10_000_000);
}

#[test]
fn fmt_prints_checks_and_writes() {
    let folder = Folder::new();
    let text = r#"{"Statement":{"Resource":["*"],"Action":"a:b","Effect":"Allow"},"Version":"1"}"#;
    let file = folder.file("p.json", text);
    let printed = policy(&["fmt", &file]);
    assert_eq!(printed.status.code(), Some(0), "{}", stderr(&printed));
    assert!(stdout(&printed).starts_with("{\n") && stdout(&printed).ends_with("}\n"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text, "nothing is written unless told");

    let checked = policy(&["fmt", "--check", &file]);
    assert_eq!(checked.status.code(), Some(1));
    assert_eq!(stderr(&checked), format!("{file} is written otherwise\n"));
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let written = policy(&["fmt", "--write", &file]);
    assert_eq!(written.status.code(), Some(0), "{}", stderr(&written));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), stdout(&printed));
    assert_eq!(crate::deployment::mode(Path::new(&file)), 0o640, "the mode stays");
    assert_eq!(std::fs::read_dir(folder.0.path()).unwrap().count(), 1, "nothing is left beside it");
    let again = policy(&["fmt", "--check", &file]);
    assert_eq!((again.status.code(), stderr(&again)), (Some(0), String::new()));
    assert_eq!(stdout(&with_input(&["fmt", "-"], text.as_bytes())), stdout(&printed));

    let bad = folder.file("bad.json", "{");
    let refused = policy(&["fmt", "--write", &bad]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        stderr(&refused).starts_with(&format!("error: {bad}: line 1, column 2: ")),
        "{}",
        stderr(&refused)
    );
    assert_eq!(std::fs::read_to_string(&bad).unwrap(), "{");
}
