//! The formatter: canonical, idempotent, and the meaning stays.

use std::sync::Arc;

use policies::{DocumentKind, PolicyDocument, PolicySet, Verdict, Vocabulary, diff, format};
use proptest::prelude::*;

#[test]
fn elements_come_in_their_order_and_short_lists_on_one_line() {
    let text = r#"{"Statement": {"Resource":["*"],"Condition":{"NotIpAddress":{"acs:SourceIp":["10.0.0.0/8","\u0031.1.1.1"]},
        "StringEquals":{"b:k":"x \"y\"\n","A:k":["\u00e9"]}},"NotAction":["a:b"],"Effect":"Deny"},"Version":"1"}"#;
    let expected = r#"{
  "Version": "1",
  "Statement": [
    {
      "Effect": "Deny",
      "NotAction": "a:b",
      "Resource": "*",
      "Condition": {
        "StringEquals": {
          "A:k": "é",
          "b:k": "x \"y\"\n"
        },
        "NotIpAddress": {
          "acs:SourceIp": ["10.0.0.0/8", "1.1.1.1"]
        }
      }
    }
  ]
}
"#;
    assert_eq!(format(text.as_bytes(), DocumentKind::Identity).expect("valid"), expected);
    let trust = r#"{"Version": "1", "Statement": [{"Action": "sts:AssumeRole", "Principal": {"Service": ["ecs.aliyuncs.com"], "RAM": "acs:ram::1:root"}, "Effect": "Allow"}]}"#;
    let formatted = format(trust.as_bytes(), DocumentKind::Trust).expect("valid");
    let place = |name: &str| formatted.find(name).unwrap_or_else(|| panic!("{name} in {formatted}"));
    assert!(
        place("Effect") < place("Principal")
            && place("RAM") < place("Service")
            && place("Service") < place("Action")
    );
}

#[test]
fn an_empty_condition_is_removed() {
    let with =
        r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"a:b","Resource":"*","Condition":{}}]}"#;
    let without = with.replace(r#","Condition":{}"#, "");
    let formatted = |text: &str| format(text.as_bytes(), DocumentKind::Identity).expect("valid");
    assert_eq!(formatted(with), formatted(&without));
}

#[test]
fn a_long_list_has_an_entry_on_each_line() {
    let actions: Vec<String> = (0..9).map(|n| format!("ecs-workbench:Action{n}")).collect();
    let text = format!(
        r#"{{"Version": "1", "Statement": [{{"Effect": "Allow", "Action": {actions:?}, "Resource": "*"}}]}}"#
    );
    let formatted = format(text.as_bytes(), DocumentKind::Identity).expect("valid");
    assert!(formatted.contains("      \"Action\": [\n        \"ecs-workbench:Action0\",\n"), "{formatted}");
    assert!(formatted.lines().all(|line| line.chars().count() <= 100));
}

#[test]
fn a_document_at_its_limit_stays_within_it() {
    let limit = DocumentKind::Session.max_characters();
    for (head, tail) in [
        (r#"{"Statement":[{"Effect":"Allow","Action":"a:"#, r#"","Resource":["*"]}],"Version":"1"}"#),
        (r#"{"Statement":{"Effect":"Allow","Action":"a:"#, r#"","Resource":"*"},"Version":"1"}"#),
    ] {
        let text = format!("{head}{}{tail}", "x".repeat(limit - head.len() - tail.len()));
        let formatted = format(text.as_bytes(), DocumentKind::Session).expect("valid");
        assert!(
            formatted.chars().count() <= limit && formatted.starts_with(r#"{"Version":"1","Statement":"#)
        );
        assert_eq!(format(formatted.as_bytes(), DocumentKind::Session).expect("valid"), formatted);
    }
}

#[test]
fn a_document_that_is_not_a_policy_is_refused() {
    for text in ["{}", "", "{\"Version\": \"1\", \"Statement\": []}", "[1,2"] {
        let refused = format(text.as_bytes(), DocumentKind::Identity).expect_err(text);
        let parsed = PolicyDocument::parse(text.as_bytes(), DocumentKind::Identity).expect_err(text);
        assert_eq!(refused, parsed);
    }
}

fn one_or_many(choices: &'static [&'static str]) -> impl Strategy<Value = String> {
    let one = prop::sample::select(choices);
    prop_oneof![
        one.clone().prop_map(|text| format!("{text:?}")),
        prop::collection::vec(one, 1..6).prop_map(|texts| format!("{texts:?}")),
    ]
}

fn statement() -> impl Strategy<Value = String> {
    let name = |names: &'static [&'static str]| prop::sample::select(names);
    let elements = (
        name(&["Allow", "Deny"]).prop_map(|effect| format!("\"Effect\": {effect:?}")),
        (name(&["Action", "NotAction"]), one_or_many(&["a:*", "*", "b:x?", "ecs-workbench:ListInstanceRecords"]))
            .prop_map(|(name, list)| format!("{name:?}: {list}")),
        (name(&["Resource", "NotResource"]), one_or_many(&["*", "acs:a:*:*:x/*", "acs:ecs-workbench:*:*:workbench/i-1"]))
            .prop_map(|(name, list)| format!("{name:?}: {list}")),
        prop::option::of((one_or_many(&["x", "y*", "\\\\"]), one_or_many(&["1", "-2.5"])).prop_map(|(texts, numbers)| {
            format!(r#""Condition": {{"NumericLessThan": {{"k:n": {numbers}}}, "StringLike": {{"k:u": "q", "K:t": {texts}}}}}"#)
        })),
    );
    elements
        .prop_map(|(effect, action, resource, condition)| {
            let mut all = vec![effect, action, resource];
            all.extend(condition);
            all
        })
        .prop_shuffle()
        .prop_map(|elements| format!("{{ {} }}", elements.join(" ,\n\t")))
}

proptest! {
    #[test]
    fn formatting_keeps_the_meaning_and_is_done_once(statements in prop::collection::vec(statement(), 1..4)) {
        let text = format!("{{\"Statement\":\n[{}], \"Version\": \"1\"}}", statements.join(","));
        let formatted = format(text.as_bytes(), DocumentKind::Identity).expect("valid");
        prop_assert_eq!(&format(formatted.as_bytes(), DocumentKind::Identity).expect("valid"), &formatted);
        let set = |text: &str| {
            let document = PolicyDocument::parse(text.as_bytes(), DocumentKind::Identity).expect("valid");
            PolicySet::new(vec![(Arc::from("p"), Arc::new(document))])
        };
        let difference = diff(&set(&text), &set(&formatted), &Vocabulary::new());
        prop_assert_eq!(&difference.only_a.verdict, &Verdict::Nothing, "{}\n{}\n{}", text, formatted, difference);
        prop_assert_eq!(&difference.only_b.verdict, &Verdict::Nothing, "{}\n{}\n{}", text, formatted, difference);
    }
}
