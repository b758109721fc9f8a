//! simulate and explain: questions about documents.

use serde_json::json;

use super::{Folder, USER, allow, document, json_of, policy, stdout};
use crate::deployment::stderr;

#[test]
fn simulate_prints_the_matrix_of_drafts() {
    let folder = Folder::new();
    let instance = |id: &str| format!("acs:ecs-workbench:cn-hangzhou:1609982529000000:workbench/{id}");
    let view = json!({"Effect": "Allow", "Action": "ecs-workbench:ViewInstanceRecords",
        "Resource": "acs:ecs-workbench:*:*:workbench/i-1*", "Condition": {"IpAddress": {"acs:SourceIp": "10.0.0.0/8"}}});
    let file = folder.file("view.json", document(json!([view, allow("ecs-workbench:ListAgents", "*")])));
    let contexts = folder.file(
        "contexts.json",
        r#"{"office": {"acs:SourceIp": "10.1.2.3"}, "elsewhere": {"acs:SourceIp": "11.1.1.1"}}"#,
    );
    let output = policy(&[
        "simulate",
        "--policy",
        &file,
        "--principal",
        USER,
        "--action",
        "ecs-workbench:ViewInstanceRecords",
        "--action",
        "ecs-workbench:ListAgents",
        "--resource",
        &instance("i-1"),
        "--resource",
        &instance("i-2"),
        "--contexts",
        &contexts,
        "--output",
        "json",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let simulation = json_of(&output);
    assert_eq!(simulation["Principal"], USER);
    let decisions: Vec<(&str, &str)> = simulation["Answers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|answer| (answer["Context"].as_str().unwrap(), answer["Decision"].as_str().unwrap()))
        .collect();
    let (office, elsewhere) = ("office", "elsewhere");
    assert_eq!(
        decisions,
        [
            (office, "Allow"),
            (elsewhere, "ImplicitDeny"),
            (office, "ImplicitDeny"),
            (elsewhere, "ImplicitDeny"),
            (office, "Allow"),
            (elsewhere, "Allow"),
            (office, "Allow"),
            (elsewhere, "Allow"),
        ]
    );

    let table = stdout(&policy(&[
        "simulate",
        "--policy",
        &file,
        "--action",
        "ecs-workbench:*Agents",
        "--action",
        "ecs-workbench:ViewInstanceRecords",
        "--resource",
        &instance("i-1"),
    ]));
    let lines: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    assert_eq!(lines[0], ["ACTION", "RESOURCE", "DECISION", "REASON"]);
    assert_eq!(lines[1][..3], ["ecs-workbench:ListAgents", &*instance("i-1"), "Allow"]);
    assert!(lines[1][3].ends_with("view.json#1"), "{table}");
    assert_eq!(lines[2][2], "ImplicitDeny");
    assert!(lines[2][3].ends_with("; not in the context: acs:SourceIp"), "{table}");
}

#[test]
fn every_layer_can_be_a_draft() {
    let folder = Folder::new();
    let all = folder.file("all.json", document(json!([allow("*", "*")])));
    let deny = folder.file(
        "deny.json",
        document(
            json!([allow("*", "*"), {"Effect": "Deny", "Action": "ecs-workbench:Set*", "Resource": "*"}]),
        ),
    );
    let lists = folder.file("lists.json", document(json!([allow("ecs-workbench:List*", "*")])));
    let trust = json!({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"RAM": USER}});
    let trust = folder.file("trust.json", document(json!([trust])));
    let decide = |more: &[&str], action: &str| {
        let output =
            policy(&[&["simulate", "--policy", &all, "--action", action, "--output", "json"], more].concat());
        let answer = &json_of(&output)["Answers"][0];
        (
            answer["Decision"].as_str().unwrap().to_owned(),
            answer["Statement"]["PolicyType"].as_str().unwrap_or("").to_owned(),
        )
    };
    let set = "ecs-workbench:SetInstanceRecordConfig";
    assert_eq!(decide(&[], set), ("Allow".into(), "AccountLevelIdentityBasedPolicy".into()));
    assert_eq!(decide(&["--control-policy", &deny], set), ("ExplicitDeny".into(), "ControlPolicy".into()));
    assert_eq!(decide(&["--session-policy", &lists], set).0, "ImplicitDeny");
    assert_eq!(decide(&["--trust-policy", &trust, "--principal", USER], "sts:AssumeRole").0, "Allow");
    let other = "acs:ram::1609982529000000:user/ben";
    assert_eq!(decide(&["--trust-policy", &trust, "--principal", other], "sts:AssumeRole").0, "ImplicitDeny");
    let root = "acs:ram::1609982529000000:root";
    assert_eq!(decide(&["--session-policy", &lists, "--principal", root], set).0, "Allow");
}

#[test]
fn the_own_condition_keys_are_asked() {
    let folder = Folder::new();
    let own = json!({"Effect": "Allow", "Action": "ecs-workbench:ViewInstanceRecords", "Resource": "*", "Condition": {
        "StringEquals": {"ecs-workbench:SessionOwner": "self", "ecs-workbench:InstanceTag/env": ["dev", "test"]},
        "NumericLessThan": {"ecs-workbench:RecordingAge": "30"}}});
    let own = folder.file("own.json", document(json!([own])));
    assert_eq!(stderr(&policy(&["check", &own, "--fail-on", "suggestion"])), "1 file: nothing to mend\n");
    let decide = |age: &str| {
        let age = format!("ecs-workbench:RecordingAge={age}");
        let output = policy(&[
            "simulate",
            "--policy",
            &own,
            "--action",
            "ecs-workbench:ViewInstanceRecords",
            "--context",
            &format!("ecs-workbench:SessionOwner={USER}"),
            "--context",
            "ecs-workbench:SessionOwner=self",
            "--context",
            "ecs-workbench:InstanceTag/env=test",
            "--context",
            &age,
            "--output",
            "json",
        ]);
        json_of(&output)["Answers"][0]["Decision"].as_str().unwrap().to_owned()
    };
    assert_eq!((decide("29"), decide("30")), ("Allow".into(), "ImplicitDeny".into()));
}

#[test]
fn explain_says_what_failed_in_the_nearest_statement() {
    let folder = Folder::new();
    let view = json!({"Effect": "Allow", "Action": "ecs-workbench:View*", "Resource": "acs:ecs-workbench:*:*:workbench/i-1",
        "Condition": {"Bool": {"acs:MFAPresent": "true"}, "StringEquals": {"ecs-workbench:SessionOwner": "self"}}});
    let file = folder.file("view.json", document(json!([view])));
    let output = policy(&[
        "explain",
        "--policy",
        &file,
        "--action",
        "ecs-workbench:ViewInstanceRecords",
        "--principal",
        USER,
        "--resource",
        "acs:ecs-workbench:cn-hangzhou:1609982529000000:workbench/i-2",
        "--context",
        "acs:MFAPresent=false",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let said = stdout(&output);
    for expected in [
        &format!("ecs-workbench:ViewInstanceRecords for {USER} on ")[..],
        "ImplicitDeny: nothing allows it",
        "Action fits: ",
        "Resource fails: acs:ecs-workbench:cn-hangzhou:1609982529000000:workbench/i-2 is not covered by acs:ecs-workbench:*:*:workbench/i-1",
        "Condition Bool fails: acs:MFAPresent is false, wanted is true",
        "Condition StringEquals fails: the request does not carry ecs-workbench:SessionOwner, wanted is self",
    ] {
        assert!(said.contains(expected), "{expected:?} is not in:\n{said}");
    }
    let pattern = policy(&["explain", "--policy", &file, "--action", "ecs-workbench:*"]);
    assert_eq!(pattern.status.code(), Some(2));
    assert!(stderr(&pattern).contains("is a pattern; one request has one action"), "{}", stderr(&pattern));
}
