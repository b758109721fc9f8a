//! The runner of cases: the published files, and everything that a case can be wrong about.

use policies::testing::{TestReport, run_cases};
use serde_json::{Value, json};

fn run(cases: &Value) -> TestReport {
    run_cases(cases.to_string().as_bytes()).expect("a list of cases")
}

fn case(statement: Value, expect: &str) -> Value {
    json!({
        "id": "C1", "note": "a case",
        "policies": [{"Version": "1", "Statement": [statement]}],
        "request": {"principal": "acs:ram::1234567890123456:user/al", "action": "a:b", "resource": "*", "context": {"a:k": ["x", "y"]}},
        "expect": expect,
    })
}

fn allow() -> Value {
    json!({"Effect": "Allow", "Action": "*", "Resource": "*"})
}

#[test]
fn the_published_files_pass_and_the_ambiguous_cases_are_shown() {
    let report = run_cases(include_bytes!("vectors/decision_vectors.json")).expect("a list of cases");
    assert_eq!((report.results.len(), report.passed(), report.failed()), (84, 84, 0), "{report}");
    let text = report.to_string();
    assert_eq!(text.lines().filter(|line| line.starts_with("ambiguous, as expected: ")).count(), 5, "{text}");
    assert!(text.ends_with("\n84 passed, 0 failed\n"), "{text}");

    let report = run_cases(include_bytes!("vectors/invalid_policies.json")).expect("a list of cases");
    assert_eq!(report.to_string(), "32 passed, 0 failed\n");
}

#[test]
fn a_changed_expectation_fails_with_its_reason_unless_it_is_ambiguous() {
    let mut cases: Vec<Value> =
        serde_json::from_str(include_str!("vectors/decision_vectors.json")).expect("a list of cases");
    for case in &mut cases {
        case["expect"] = json!(if case["expect"] == "Allow" { "ImplicitDeny" } else { "Allow" });
    }
    let report = run(&json!(cases));
    assert_eq!((report.passed(), report.failed()), (0, 79));
    for result in report.results.iter().filter(|result| result.failed()) {
        let explanation = result.explanation.as_ref().expect("an explanation");
        assert!(result.found.starts_with(explanation.decision.outcome().as_str()), "{result}");
    }
    let line = report.results[0].to_string();
    assert_eq!(
        line,
        "FAILED: S001 (line 1) no policies at all: expected Allow, found ImplicitDeny: nothing allows it (AccountLevelIdentityBasedPolicy)"
    );
}

#[test]
fn an_accepted_document_fails_the_case_that_wants_it_refused() {
    let document = json!({"Version": "1", "Statement": [allow()]});
    let report = run(&json!([
        {"id": 1, "reason": "r", "document": document},
        {"reason": "as text", "document_text": document.to_string()},
        {"document_b64": "e30=", "kind": "session"},
        {"document": document, "kind": "trust"},
    ]));
    assert_eq!(
        report.to_string(),
        "FAILED: 1 (line 1) r: expected a refusal, found that it is accepted
FAILED: #2 (line 1) as text: expected a refusal, found that it is accepted
2 passed, 2 failed
"
    );
}

#[test]
fn every_layer_is_asked() {
    let none = json!({"Version": "1", "Statement": [{"Effect": "Allow", "Action": "z:z", "Resource": "*"}]});
    let all = json!({"Version": "1", "Statement": [allow()]});
    let with = |name: &str, value: Value, expect: &str| {
        let mut case = case(allow(), expect);
        case[name] = value;
        case
    };
    let report = run(&json!([
        case(allow(), "Allow"),
        case(
            json!({"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"StringEquals": {"a:k": "y"}}}),
            "Allow"
        ),
        with("session_policy", none.clone(), "ImplicitDeny"),
        with("control_policies", json!([none, all]), "Allow"),
        with("control_policies", json!([[none], [all]]), "ImplicitDeny"),
        with(
            "trust_policy",
            json!({"Version": "1", "Statement": {"Effect": "Allow", "Action": "*", "Principal": {"RAM": "acs:ram::1:root"}}}),
            "ImplicitDeny"
        ),
    ]));
    assert_eq!(report.to_string(), "6 passed, 0 failed\n");
}

#[test]
fn a_malformed_case_fails_and_says_what_is_wrong() {
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut case = case(allow(), "Allow");
        change(&mut case);
        case
    };
    for (case, says) in [
        (
            case(json!({"Effect": "Allow"}), "Allow"),
            "policies[0] is refused: /Statement/0: Action is missing",
        ),
        (case(allow(), "Perhaps"), "expect is \"Perhaps\"; write Allow"),
        (changed(&|case| case["sesion_policy"] = json!({})), "the member \"sesion_policy\""),
        (
            changed(&|case| case["request"]["ressource"] = json!("*")),
            "the member \"ressource\" of the request",
        ),
        (changed(&|case| case["request"]["action"] = json!(3)), "no action in the request"),
        (changed(&|case| case["request"]["context"] = json!("x")), "context is a string"),
        (changed(&|case| case["request"]["context"]["a:k"] = json!({})), "a:k of the context is an object"),
        (changed(&|case| case["policies"] = json!({})), "policies is an object; write a list"),
        (json!({"id": "x"}), "neither expect nor a document"),
        (json!({"document_b64": "%"}), "document_b64 is not Base64"),
        (json!({"document": {}, "kind": "odd"}), "kind is \"odd\""),
        (json!("x"), "neither expect nor a document"),
    ] {
        let report = run(&json!([case]));
        assert_eq!(report.failed(), 1, "{report}");
        assert!(report.to_string().contains(says), "{says:?} is not in {report}");
    }
    for (text, place) in
        [("{}", (1, 1)), ("[\n {\"a\": 1, \"a\": 2}]", (2, 11)), ("[", (1, 2)), ("\u{feff}[]", (1, 1))]
    {
        let refused = run_cases(text.as_bytes()).expect_err(text);
        assert_eq!((refused.line, refused.column), place, "{refused}");
    }
}
