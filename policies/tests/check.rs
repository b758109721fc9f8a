//! What the linter finds, where, how grave it is; and that it agrees with the reader about what is refused.

use std::sync::Arc;

use base64::Engine;
use policies::testing::run_cases;
use policies::{
    DocumentKind, Finding, Lint, PolicyDocument, PolicySet, Presence, Reason, Rule, Severity, ValueType,
    Verdict, Vocabulary, check, diff, format,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn vocabulary() -> Vocabulary {
    let instance = "acs:ecs-workbench:*:*:workbench/*";
    [
        ("ecs-workbench:SetInstanceRecordConfig", &[instance][..]),
        ("ecs-workbench:GetInstanceRecordConfig", &[instance]),
        ("ecs-workbench:ViewInstanceRecords", &[instance]),
        ("ecs-workbench:ListInstanceRecords", &["*", instance]),
        ("ecs-workbench:ListAgents", &["*"]),
    ]
    .into_iter()
    .try_fold(Vocabulary::new(), |vocabulary, (name, forms)| vocabulary.with_action(name, forms))
    .expect("resource patterns")
    .with_key_of_several("ecs-workbench:SessionOwner", ValueType::Text, Presence::Sometimes)
    .with_key("ecs-workbench:InstanceTag/", ValueType::Text, Presence::Sometimes)
    .with_key("ecs-workbench:RecordingAge", ValueType::Number, Presence::Always)
}

fn findings_of(text: &str, kind: DocumentKind) -> Vec<Finding> {
    check(text.as_bytes(), kind, &vocabulary())
}

/// Lint and pointer below the statement, for one statement of an identity policy.
#[track_caller]
fn finds(statement: &str, expected: &[(Lint, Severity, &str)]) {
    let text = format!(r#"{{"Version": "1", "Statement": [{statement}]}}"#);
    let found = findings_of(&text, DocumentKind::Identity);
    let short: Vec<(Rule, Severity, &str)> = found
        .iter()
        .map(|finding| {
            let pointer = finding.pointer.strip_prefix("/Statement/0").unwrap_or(&finding.pointer);
            (finding.rule, finding.severity, pointer)
        })
        .collect();
    let expected: Vec<_> =
        expected.iter().map(|(lint, severity, pointer)| (Rule::Lint(*lint), *severity, *pointer)).collect();
    assert_eq!(short, expected, "{text}\n{found:#?}");
    assert!(
        found.iter().all(|finding| !finding.message.is_empty() && !finding.mend.is_empty()),
        "{found:#?}"
    );
}

use Lint::*;
use Severity::{Error, GeneralWarning, SecurityWarning, Suggestion};

#[test]
fn a_plain_policy_has_no_findings() {
    finds(
        r#"{"Effect": "Allow", "Action": ["ecs-workbench:ListInstanceRecords", "ecs-workbench:Get*"], "Resource": "*",
            "Condition": {"IpAddress": {"acs:SourceIp": ["10.0.0.0/8", "2001:db8::/32"]}, "Bool": {"acs:MFAPresent": "true"}}}"#,
        &[],
    );
    finds(
        r#"{"Effect": "Deny", "NotAction": "ecs-workbench:*", "Resource": "*", "Condition": {"NotIpAddress": {"acs:SourceIp": "10.0.0.0/8"}}}"#,
        &[],
    );
    finds(
        r#"{"Effect": "Allow", "Action": "ecs-workbench:ViewInstanceRecords", "Resource": "acs:ecs-workbench:*:1234567890123456:workbench/i-1*",
            "Condition": {"StringEquals": {"ecs-workbench:InstanceTag/team": "dev"}, "NumericLessThan": {"ecs-workbench:RecordingAge": "30"}}}"#,
        &[],
    );
}

#[test]
fn what_is_too_broad() {
    finds(
        r#"{"Effect": "Allow", "Action": "*", "Resource": "*"}"#,
        &[(AllowsEverything, SecurityWarning, "")],
    );
    finds(
        r#"{"Effect": "Allow", "Action": "*:*", "Resource": ["acs:*:*:*:*"]}"#,
        &[(AllowsEverything, SecurityWarning, "")],
    );
    finds(r#"{"Effect": "Deny", "Action": "*", "Resource": "*"}"#, &[(DeniesEverything, GeneralWarning, "")]);
    finds(
        r#"{"Effect": "Allow", "NotAction": "ram:*", "Resource": "*"}"#,
        &[(AllowNotAction, SecurityWarning, "/NotAction")],
    );
    finds(
        r#"{"Effect": "Allow", "Action": "ecs-workbench:View*", "NotResource": "acs:ecs-workbench:*:*:workbench/i-1"}"#,
        &[(AllowNotResource, SecurityWarning, "/NotResource")],
    );
    finds(
        r#"{"Effect": "Deny", "Action": "ecs-workbench:View*", "NotResource": "acs:ecs-workbench:*:*:workbench/i-1"}"#,
        &[(NotResourceUsed, Suggestion, "/NotResource")],
    );
    // An operation that is asked on * is still denied, or not denied.
    finds(
        r#"{"Effect": "Deny", "Action": "*", "NotResource": "acs:*:*:*:*"}"#,
        &[(NotResourceUsed, Suggestion, "/NotResource")],
    );
    finds(
        r#"{"Effect": "Deny", "Action": "*", "Resource": "acs:*:*:*:*"}"#,
        &[(DenyListOnArn, GeneralWarning, "/Action")],
    );
    // A control policy has to allow all that it does not take away.
    let text = r#"{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}"#;
    assert_eq!(findings_of(text, DocumentKind::Control), []);
}

#[test]
fn actions() {
    finds(
        r#"{"Effect": "Allow", "Action": ["ecs-workbench:ListInstanceRecord", "ECS-workbench:listAgents", "ecs-workbench:Veiw*", "other:Any"], "Resource": "*"}"#,
        &[
            (UnknownAction, GeneralWarning, "/Action/0"),
            (ActionCase, Suggestion, "/Action/1"),
            (UnknownAction, GeneralWarning, "/Action/2"),
        ],
    );
    let text = r#"{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "ecs-workbench:ListInstanceRecord", "Resource": "*"}]}"#;
    let found = findings_of(text, DocumentKind::Identity);
    assert_eq!(found[0].mend, "write ecs-workbench:ListInstanceRecords if that is meant");
    finds(
        r#"{"Effect": "Allow", "Action": ["ecs-workbench:Get*", "ecs-workbench:get*", "ecs-workbench:GetInstanceRecordConfig"], "Resource": "*"}"#,
        &[(DuplicateValue, Suggestion, "/Action/1"), (RedundantEntry, Suggestion, "/Action/2")],
    );
}

#[test]
fn resources() {
    finds(
        r#"{"Effect": "Allow", "Action": "ecs-workbench:View*", "Resource": ["acs:ecs-workbench:*:*:workbench/${acs:PrincipalARN}",
            "acs:ecs-workbench:*:me:workbench/i-2", "acs:ecs-workbench:*:*:workbench/i-1"]}"#,
        &[(PolicyVariable, GeneralWarning, "/Resource/0"), (AccountForm, GeneralWarning, "/Resource/1")],
    );
    finds(
        r#"{"Effect": "Allow", "Action": "ecs-workbench:View*", "Resource": ["acs:ECS-Workbench:*:*:workbench/*", "acs:ecs-workbench:*:*:workbench/i-1", "acs:ecs-workbench:*:*:workbench/*"]}"#,
        &[(ResourceCase, GeneralWarning, "/Resource/0"), (RedundantEntry, Suggestion, "/Resource/1")],
    );
}

#[test]
fn the_resource_of_lists_is_the_star() {
    let arn = r#""Resource": "acs:ecs-workbench:*:*:workbench/i-1"}"#;
    finds(
        &format!(r#"{{"Effect": "Deny", "Action": "ecs-workbench:ListInstanceRecords", {arn}"#),
        &[(DenyListOnArn, SecurityWarning, "/Action")],
    );
    finds(
        &format!(r#"{{"Effect": "Deny", "Action": ["ecs-workbench:*", "ecs:ListThings"], {arn}"#),
        &[(DenyListOnArn, GeneralWarning, "/Action/0"), (DenyListOnArn, SecurityWarning, "/Action/1")],
    );
    finds(&format!(r#"{{"Effect": "Deny", "Action": "ecs-workbench:View*", {arn}"#), &[]);
    // What NotAction does not leave out it takes in.
    finds(
        &format!(r#"{{"Effect": "Deny", "NotAction": "ecs-workbench:View*", {arn}"#),
        &[(DenyListOnArn, GeneralWarning, "/NotAction")],
    );
    for (left_out, resource) in [
        (r#"["ecs-workbench:View*", "ecs-workbench:List*"]"#, "acs:ecs-workbench:*:*:workbench/i-1"),
        (r#""ecs-workbench:View*""#, "acs:ecs:*:*:instance/*"),
        (r#""ecs-workbench:View*""#, "*"),
    ] {
        let statement = format!(r#"{{"Effect": "Deny", "NotAction": {left_out}, "Resource": "{resource}"}}"#);
        finds(&statement, &[]);
    }
    let list = format!(
        r#"{{"Version": "1", "Statement": [{{"Effect": "Deny", "Action": "ecs-workbench:ListInstanceRecords", {arn}]}}"#
    );
    let message = &findings_of(&list, DocumentKind::Identity)[0].message;
    assert!(message.ends_with("need not refuse as a whole"), "{message}");
    finds(
        &format!(r#"{{"Effect": "Allow", "Action": "ecs-workbench:ListAgents", {arn}"#),
        &[(NeverMatches, GeneralWarning, "")],
    );
    finds(
        r#"{"Effect": "Allow", "Action": "ecs-workbench:View*", "Resource": "acs:ecs:*:*:instance/*"}"#,
        &[(NeverMatches, GeneralWarning, "")],
    );
}

#[test]
fn conditions() {
    let with = |effect: &str, condition: &str| {
        format!(
            r#"{{"Effect": "{effect}", "Action": "ecs-workbench:View*", "Resource": "*", "Condition": {condition}}}"#
        )
    };
    for (effect, condition, expected) in [
        (
            "Allow",
            r#"{"StringNotEquals": {"acs:SourceVpc": "vpc-1"}}"#,
            &[(NegatedOperatorOnAllow, SecurityWarning, "/Condition/StringNotEquals/acs:SourceVpc")][..],
        ),
        ("Deny", r#"{"StringNotEquals": {"acs:SourceVpc": "vpc-1"}}"#, &[]),
        (
            "Allow",
            r#"{"NotIpAddress": {"acs:SourceIp": "10.0.0.1/8"}}"#,
            &[
                (NegatedOperatorOnAllow, SecurityWarning, "/Condition/NotIpAddress/acs:SourceIp"),
                (CidrHostBits, GeneralWarning, "/Condition/NotIpAddress/acs:SourceIp"),
            ],
        ),
        (
            "Deny",
            r#"{"IpAddress": {"acs:sourceip": ["192.0.2.7/32", "2001:db8::1/32", "192.0.2.7/32"]}}"#,
            &[
                (KeyCase, Suggestion, "/Condition/IpAddress/acs:sourceip"),
                (CidrHostBits, GeneralWarning, "/Condition/IpAddress/acs:sourceip/1"),
                (DuplicateValue, Suggestion, "/Condition/IpAddress/acs:sourceip/2"),
            ],
        ),
        (
            "Allow",
            r#"{"StringLike": {"acs:PrincipalARN": "acs:ram::*:user/${name}"}}"#,
            &[(PolicyVariable, GeneralWarning, "/Condition/StringLike/acs:PrincipalARN")],
        ),
        (
            "Allow",
            r#"{"StringEquals": {"acs:PrincipalARN": "acs:ram::*:user/al"}}"#,
            &[(WildcardInExactValue, GeneralWarning, "/Condition/StringEquals/acs:PrincipalARN")],
        ),
        (
            "Allow",
            r#"{"StringEqualsIgnoreCase": {"acs:SourceVpc": ["vpc", "\u00c9"]}}"#,
            &[(LettersNotFolded, GeneralWarning, "/Condition/StringEqualsIgnoreCase/acs:SourceVpc/1")],
        ),
        (
            "Allow",
            r#"{"StringEquals": {"ecs-workbench:SesionOwner": "al"}}"#,
            &[(UnknownConditionKey, GeneralWarning, "/Condition/StringEquals/ecs-workbench:SesionOwner")],
        ),
        (
            "Deny",
            r#"{"StringEquals": {"oss:Prefix": "al"}}"#,
            &[(UnknownConditionKey, SecurityWarning, "/Condition/StringEquals/oss:Prefix")],
        ),
        (
            "Deny",
            r#"{"StringEquals": {"acs:SourceIp": "10.0.0.1"}, "NumericLessThan": {"acs:CurrentTime": "3"}}"#,
            &[
                (KeyOfOtherType, GeneralWarning, "/Condition/StringEquals/acs:SourceIp"),
                (KeyOfOtherType, SecurityWarning, "/Condition/NumericLessThan/acs:CurrentTime"),
            ],
        ),
        ("Deny", r#"{"Bool": {"acs:MFAPresent": "false"}}"#, &[]),
        (
            "Allow",
            r#"{"StringEquals": {"acs:SourceVpc": ["a", "b"]}, "StringLike": {"acs:sourcevpc": "c*"}}"#,
            &[
                (NeverMatches, GeneralWarning, "/Condition/StringEquals/acs:SourceVpc"),
                (KeyCase, Suggestion, "/Condition/StringLike/acs:sourcevpc"),
            ],
        ),
        // A request may carry several owners of a session, and who knows how many values of a key that is not known.
        (
            "Allow",
            r#"{"StringEquals": {"ecs-workbench:SessionOwner": "self"}, "StringLike": {"ecs-workbench:SessionOwner": "acs:ram::*:user/dev-*"}}"#,
            &[],
        ),
        (
            "Deny",
            r#"{"StringEquals": {"oss:Prefix": "a"}, "StringLike": {"oss:Prefix": "b*"}}"#,
            &[
                (UnknownConditionKey, SecurityWarning, "/Condition/StringEquals/oss:Prefix"),
                (UnknownConditionKey, SecurityWarning, "/Condition/StringLike/oss:Prefix"),
            ],
        ),
        (
            "Allow",
            r#"{"StringEquals": {"ecs-workbench:InstanceTag/a": "x"}, "StringLike": {"ecs-workbench:InstanceTag/a": "y*"}}"#,
            &[(NeverMatches, GeneralWarning, "/Condition/StringEquals/ecs-workbench:InstanceTag~1a")],
        ),
        (
            "Allow",
            r#"{"StringEquals": {"acs:SourceVpc": ["a", "cb"]}, "StringLike": {"acs:SourceVpc": "c*"}}"#,
            &[],
        ),
        (
            "Allow",
            r#"{"DateGreaterThan": {"acs:CurrentTime": "2026-01-01T08:00:00+08:00"}, "DateLessThan": {"acs:CurrentTime": "2026-01-01T00:00:00Z"}}"#,
            &[(NeverMatches, GeneralWarning, "/Condition/DateGreaterThan/acs:CurrentTime")],
        ),
        (
            "Allow",
            r#"{"DateGreaterThanEquals": {"acs:CurrentTime": "2026-01-01T08:00:00+08:00"}, "DateLessThanEquals": {"acs:CurrentTime": "2026-01-01T00:00:00Z"}}"#,
            &[],
        ),
        (
            "Allow",
            r#"{"NumericGreaterThan": {"ecs-workbench:RecordingAge": ["10", "3"]}, "NumericLessThan": {"ecs-workbench:RecordingAge": "3.5"}}"#,
            &[],
        ),
    ] {
        finds(&with(effect, condition), expected);
    }
}

#[test]
fn statements_beside_each_other() {
    let text = r#"{"Version": "1", "Statement": [
        {"Effect": "Allow", "Action": "ecs-workbench:View*", "Resource": "acs:ecs-workbench:*:*:workbench/i-1"},
        {"Effect": "Allow", "Action": "ecs-workbench:*", "Resource": "*"},
        {"Effect": "Allow", "Action": "ecs-workbench:*", "Resource": "*"},
        {"Effect": "Deny", "Action": "ecs-workbench:Set*", "Resource": "*", "Condition": {"Bool": {"acs:MFAPresent": "false"}}},
        {"Effect": "Allow", "Action": "ram:Get*", "Resource": "*"},
        {"Effect": "Deny", "NotAction": "ecs-workbench:*", "Resource": "*"}
    ]}"#;
    let found: Vec<(Rule, String)> = findings_of(text, DocumentKind::Identity)
        .into_iter()
        .map(|finding| (finding.rule, finding.pointer))
        .collect();
    let expected = [
        (RedundantStatement, "/Statement/0"),
        (RedundantStatement, "/Statement/2"),
        (AlwaysDenied, "/Statement/4"),
    ];
    assert_eq!(found, expected.map(|(lint, pointer)| (Rule::Lint(lint), pointer.to_owned())));
}

#[test]
fn other_kinds_and_forms() {
    let bare = r#"{"Version": "1", "Statement": {"Effect": "Allow", "Action": "ecs-workbench:View*", "Resource": "*"}}"#;
    let found = findings_of(bare, DocumentKind::Identity);
    assert_eq!(found.iter().map(|f| f.rule).collect::<Vec<_>>(), [Rule::Lint(BareStatement)]);
    let trust = r#"{"Version": "1", "Statement": [{"Effect": "Allow", "Action": ["sts:AssumeRole", "ecs:Run*"],
        "Principal": {"RAM": "acs:ram::1234567890123456:root"}}]}"#;
    let found = findings_of(trust, DocumentKind::Trust);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!((found[0].rule, &*found[0].pointer), (Rule::Lint(NeverMatches), "/Statement/0/Action/1"));
    assert_eq!((found[0].line, found[0].column), (1, 81));
}

#[test]
fn all_errors_are_found_in_one_run_with_their_places() {
    let text = r#"{
  "Version": "2012-10-17",
  "Id": "x",
  "Statement": [
    {"Sid": "a", "Effect": "allow", "Action": ["List*", "ecs:*", "a:b:c"], "Resource": "arn:aws:s3:::x"},
    {"Effect": "Deny", "Effect": "Allow", "Action": "*", "Resource": "acs:oss:*",
     "Condition": {"Null": {"a:b": "true"}, "IpAddress": {"acs:SourceIp": ["10.0.0.0/33", "::1", "host"]}, "Bool": {"Plain": "maybe"}}},
    "x",
    {"Effect": "Allow", "Action": "*", "Resource": "*"}
  ]
}"#;
    let found = findings_of(text, DocumentKind::Identity);
    let short: Vec<(String, usize, usize)> =
        found.iter().map(|f| (f.rule.to_string(), f.line, f.column)).collect();
    let expected = [
        ("InvalidVersion", 2, 14),
        ("UnknownElement", 3, 3),
        ("UnknownElement", 5, 6),
        ("InvalidEffect", 5, 28),
        ("InvalidAction", 5, 48),
        ("InvalidAction", 5, 66),
        ("InvalidArnPrefix", 5, 88),
        ("DuplicateElement", 6, 24),
        ("InvalidArn", 6, 70),
        ("InvalidConditionOperator", 7, 20),
        ("InvalidConditionValue", 7, 76),
        ("InvalidConditionValue", 7, 98),
        ("InvalidConditionKey", 7, 117),
        ("DataTypeMismatch", 8, 5),
        // The statement without error is looked at all the same.
        ("AllowsEverything", 9, 5),
    ];
    assert_eq!(short, expected.map(|(rule, line, column)| (rule.to_owned(), line, column)), "{found:#?}");
    assert!(
        found[..14].iter().all(|finding| finding.severity == Error && !finding.mend.is_empty()),
        "{found:#?}"
    );
    let json = serde_json::to_value(&found[14]).expect("serialisable");
    assert_eq!(json["severity"], "Security Warning");
    assert_eq!(json["rule"], "AllowsEverything");
    assert!(
        found[0].to_string().starts_with("2:14: Error InvalidVersion: Version is \"2012-10-17\"; "),
        "{}",
        found[0]
    );
}

#[test]
fn an_empty_condition_counts_as_none() {
    let with = r#"{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {}}"#;
    finds(with, &[(AllowsEverything, SecurityWarning, ""), (EmptyCondition, Suggestion, "/Condition")]);
}

#[test]
fn the_published_documents_are_judged_as_the_reader_judges_them() {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("vectors/invalid_policies.json")).expect("a list of cases");
    for case in &cases {
        let kind = match case.get("kind").and_then(Value::as_str) {
            Some("session") => DocumentKind::Session,
            Some("trust") => DocumentKind::Trust,
            _ => DocumentKind::Identity,
        };
        let bytes = match (&case["document_b64"], &case["document_text"]) {
            (Value::String(encoded), _) => {
                base64::engine::general_purpose::STANDARD.decode(encoded).expect("base64")
            }
            (_, Value::String(text)) => text.as_bytes().to_vec(),
            _ => case["document"].to_string().into_bytes(),
        };
        let refused = PolicyDocument::parse(&bytes, kind).expect_err("refused");
        let found = check(&bytes, kind, &vocabulary());
        assert!(
            found.iter().any(|finding| finding.severity == Error
                && finding.rule == Rule::Refused(refused.reason)
                && finding.pointer == refused.pointer),
            "{case}: {found:#?}"
        );
    }
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("vectors/decision_vectors.json")).expect("a list of cases");
    for case in &cases {
        for document in case["policies"].as_array().expect("policies") {
            let found = check(document.to_string().as_bytes(), DocumentKind::Identity, &vocabulary());
            assert!(found.iter().all(|finding| finding.severity != Error), "{case}: {found:#?}");
        }
    }
}

fn statement() -> impl Strategy<Value = Value> {
    let some = |values: &[&str]| {
        let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        prop::collection::vec(prop::sample::select(values), 1..3)
    };
    (
        prop::sample::select(vec!["Allow", "Deny"]),
        prop::sample::select(vec!["Action", "Action", "NotAction"]),
        some(&["*", "a:*", "a:b*", "A:bc", "*:b?", "b:c"]),
        prop::sample::select(vec!["Resource", "Resource", "NotResource"]),
        some(&["*", "acs:*:*:*:*", "acs:a:*:*:x*", "acs:a:*:1:x?", "acs:a:b:1:xy"]),
        prop::sample::select(vec![
            json!(null),
            json!({"Bool": {"k:b": "true"}}),
            json!({"Bool": {"K:b": "true"}, "StringEquals": {"k:t": ["x", "y"]}}),
            json!({"StringLike": {"k:t": "z*"}, "StringEquals": {"k:t": ["x", "y"]}}),
            json!({"NumericGreaterThan": {"k:n": ["3", "1"]}, "NumericLessThanEquals": {"k:n": ["0", "1"]}}),
            json!({"NumericGreaterThanEquals": {"k:n": "-1"}, "NumericLessThanEquals": {"k:n": "-1.0"}}),
        ]),
    )
        .prop_map(|(effect, action, actions, resource, resources, condition)| {
            let mut statement = json!({"Effect": effect, action: actions, resource: resources});
            if !condition.is_null() {
                statement["Condition"] = condition;
            }
            statement
        })
}

/// Both say the same.
fn equal(left: &[Value], right: &[Value]) -> Result<(), String> {
    let set = |statements: &[Value]| {
        let text = json!({"Version": "1", "Statement": statements}).to_string();
        let document = PolicyDocument::parse(text.as_bytes(), DocumentKind::Identity).expect("valid");
        PolicySet::new(vec![(Arc::from("p"), Arc::new(document))])
    };
    let difference = diff(&set(left), &set(right), &Vocabulary::new());
    let same = difference.only_a.verdict == Verdict::Nothing && difference.only_b.verdict == Verdict::Nothing;
    if same { Ok(()) } else { Err(format!("{difference}{left:?}\n{right:?}")) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// What is called superfluous can be removed, and nothing changes.
    #[test]
    fn what_is_called_superfluous_is(statements in prop::collection::vec(statement(), 2..5)) {
        let text = json!({"Version": "1", "Statement": statements}).to_string();
        for finding in check(text.as_bytes(), DocumentKind::Identity, &Vocabulary::new()) {
            let Rule::Lint(lint) = finding.rule else { panic!("{finding}") };
            let mut steps = finding.pointer.split('/').skip(2);
            let place: usize = steps.next().and_then(|step| step.parse().ok()).expect("a statement");
            let mut without = statements.clone();
            match lint {
                RedundantStatement | AlwaysDenied | NeverMatches => drop(without.remove(place)),
                RedundantEntry | DuplicateValue => {
                    let (element, entry) = (steps.next().expect("an element"), steps.next().expect("an entry"));
                    let list = without[place][element].as_array_mut().expect("a list");
                    drop(list.remove(entry.parse().expect("a place")));
                }
                _ => continue,
            }
            if let Err(wrong) = equal(&statements, &without) {
                prop_assert!(false, "{finding}\n{wrong}");
            }
        }
    }

    /// Documents with some bytes replaced, removed or doubled: no tool panics.
    #[test]
    fn no_mutation_panics_a_tool(
        statements in prop::collection::vec(statement(), 1..4),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0u8..4, any::<u8>()), 1..5),
    ) {
        let mut text = json!([{"document": {"Version": "1", "Statement": statements}}]).to_string().into_bytes();
        for (place, change, byte) in changes {
            let at = place.index(text.len());
            match change {
                0 => text[at] = byte,
                1 if text.len() > 1 => drop(text.remove(at)),
                2 => text.insert(at, text[at]),
                _ => text.insert(at, b"{}[]\",:\\*?0"[usize::from(byte) % 11]),
            }
        }
        let document = text.get(13..text.len().saturating_sub(2)).unwrap_or_default();
        for kind in [DocumentKind::Identity, DocumentKind::Trust] {
            for finding in check(document, kind, &vocabulary()) {
                prop_assert!(finding.line >= 1 && finding.column >= 1 && !finding.message.is_empty());
            }
            if let Ok(formatted) = format(document, kind) {
                prop_assert!(PolicyDocument::parse(formatted.as_bytes(), kind).is_ok());
            }
        }
        if let Ok(report) = run_cases(&text) {
            prop_assert_eq!(report.results.len(), report.passed() + report.failed());
        }
    }
}

proptest! {
    /// Documents of nearly right pieces: an Error is found exactly if the reader refuses.
    #[test]
    fn errors_are_found_exactly_in_what_is_refused(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                r#""Effect": "Allow""#, r#""Effect": "Deny""#, r#""Effect": 1"#, r#""Action": "*""#, r#""Action": ["a:b", "a:*"]"#,
                r#""NotAction": "a"}"#, r#""Resource": "*""#, r#""Resource": ["acs:a:b:c:d", "acs:a"]"#, r#""NotResource": "acs:a:::d""#,
                r#""Condition": {}"#, r#""Condition": {"Bool": {"acs:MFAPresent": "true"}}"#,
                r#""Condition": {"Bool": {"acs:MFAPresent": ["true"], "acs:mfapresent": "x"}}"#, r#""Principal": {"RAM": "acs:ram::1:root"}"#,
            ]),
            0..6,
        ),
        kind in prop::sample::select(vec![DocumentKind::Identity, DocumentKind::Trust]),
    ) {
        let text = format!(r#"{{"Version": "1", "Statement": [{{{}}}]}}"#, pieces.join(", "));
        let found = check(text.as_bytes(), kind, &vocabulary());
        let errors: Vec<&Finding> = found.iter().filter(|finding| finding.severity == Error).collect();
        match PolicyDocument::parse(text.as_bytes(), kind) {
            Ok(_) => prop_assert!(errors.is_empty(), "{text}\n{errors:#?}"),
            Err(refused) => prop_assert!(
                errors.iter().any(|finding| finding.rule == Rule::Refused(refused.reason)
                    && (finding.line, finding.column) == (refused.line, refused.column)),
                "{text}\n{refused}\n{errors:#?}"
            ),
        }
    }

    #[test]
    fn no_bytes_panic_the_linter(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let found = check(&bytes, DocumentKind::Identity, &vocabulary());
        prop_assert_eq!(found[0].severity, Error);
        prop_assert!(matches!(found[0].rule, Rule::Refused(reason) if reason != Reason::MissingElement));
    }
}
