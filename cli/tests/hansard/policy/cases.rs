//! test: cases from files.

use serde_json::json;

use super::{Folder, USER, allow, json_of, policy, stdout, vectors};
use crate::deployment::stderr;

#[test]
fn test_runs_several_files_and_closes_with_one_count() {
    let (decisions, invalid) = (vectors("decision_vectors.json"), vectors("invalid_policies.json"));
    let output = policy(&["test", decisions.to_str().unwrap(), invalid.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let said = stdout(&output);
    assert!(said.ends_with("\n116 passed, 0 failed\n"), "{said}");
    assert_eq!(said.lines().filter(|line| line.contains(": ambiguous, as expected: ")).count(), 5);
    assert_eq!(said.lines().count(), 6, "{said}");
    assert_eq!(stderr(&output), "");
}

#[test]
fn test_fails_by_one_line_for_each_failure_and_never_for_an_ambiguous_case() {
    let folder = Folder::new();
    let case = |id: &str, expect: &str, ambiguous: bool| {
        json!({"id": id, "note": "n", "policies": [{"Version": "1", "Statement": [allow("a:b", "*")]}],
            "request": {"principal": USER, "action": "a:c", "resource": "*"}, "expect": expect, "ambiguous": ambiguous})
    };
    let cases =
        json!([case("A", "Allow", false), case("B", "Allow", true), case("C", "ImplicitDeny", false)]);
    let file = folder.file("cases.json", cases.to_string());
    let accepted = folder.file(
        "accepted.json",
        json!([{"id": "D", "document": {"Version": "1", "Statement": [allow("*", "*")]}}]).to_string(),
    );
    let output = policy(&["test", &file, &accepted]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let said = stdout(&output);
    let lines: Vec<&str> = said.lines().collect();
    assert!(
        lines[0].starts_with(&format!("{file}: FAILED: A (line 1) n: expected Allow, found ImplicitDeny")),
        "{said}"
    );
    assert!(lines[1].contains(": ambiguous, otherwise than expected: B"), "{said}");
    assert!(lines[2].contains("FAILED: D"), "{said}");
    assert_eq!(lines[3..], ["1 passed, 2 failed"], "{said}");
    let json = json_of(&policy(&["test", &file, &accepted, "--output", "json"]));
    assert_eq!((&json["Passed"], &json["Failed"]), (&json!(1), &json!(2)));
    let nearest = &json["Files"][0]["Cases"][0]["Explanation"]["Layers"][0]["Nearest"][0];
    assert_eq!(nearest["Elements"][0]["Fits"], false, "{json}");

    let ambiguous = folder.file("ambiguous.json", json!([case("B", "Allow", true)]).to_string());
    let output = policy(&["test", &ambiguous]);
    assert_eq!((output.status.code(), stdout(&output).ends_with("\n0 passed, 0 failed\n")), (Some(0), true));

    // A file that is not a list of cases does not prevent the others from being run.
    let output = policy(&["test", &folder.path("gone.json"), &file]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stdout(&output).ends_with("\n1 passed, 1 failed\n"), "{}", stdout(&output));
}
