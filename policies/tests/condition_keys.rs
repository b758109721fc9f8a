//! Condition keys that no action of a statement sets: what the linter says of them, and that it is what is decided.

use std::sync::Arc;

use policies::Lint::{ConditionKeyNeverSet, EmptyCondition, UnknownConditionKey};
use policies::{
    Context, DocumentKind, Layers, Outcome, PolicyDocument, PolicySet, Presence, Request, Rule, Severity,
    ValueType, Vocabulary, check, evaluate, keys,
};

fn vocabulary() -> Vocabulary {
    let instance = "acs:ecs-workbench:*:*:workbench/*";
    [
        ("ecs-workbench:SetInstanceRecordConfig", &[instance][..]),
        ("ecs-workbench:GetInstanceRecordConfig", &[instance]),
        ("ecs-workbench:ViewInstanceRecords", &[instance]),
        ("ecs-workbench:ListAgents", &["*"]),
    ]
    .into_iter()
    .try_fold(Vocabulary::new(), |vocabulary, (name, forms)| vocabulary.with_action(name, forms))
    .expect("resource patterns")
    .with_key(keys::RESOURCE_TAG, ValueType::Text, Presence::Sometimes)
    .set_by([
        "ecs-workbench:ViewInstanceRecords",
        "ecs-workbench:SetInstanceRecordConfig",
        "ecs-workbench:GetInstanceRecordConfig",
    ])
    .with_key(keys::SOURCE_VPC, ValueType::Text, Presence::Sometimes)
    .set_by([])
    .with_key(keys::ACCESS_ID, ValueType::Text, Presence::Sometimes)
    .set_by(["ecs-workbench:ListAgents"])
    .with_key("x:minutes", ValueType::Number, Presence::Sometimes)
    .set_by([])
    .with_key("x:flag", ValueType::Boolean, Presence::Sometimes)
    .set_by([])
    .with_key("x:at", ValueType::Instant, Presence::Sometimes)
    .set_by([])
    .with_key("x:from", ValueType::Address, Presence::Sometimes)
    .set_by([])
}

/// Every operator, in an Allow and in a Deny: whatever it compares, the answer stands before anybody asks.
#[test]
fn a_key_that_no_action_of_the_statement_sets_is_a_security_finding_under_every_operator() {
    let all = [
        ("StringEquals", keys::SOURCE_VPC, "x"),
        ("StringNotEquals", keys::SOURCE_VPC, "x"),
        ("StringEqualsIgnoreCase", keys::SOURCE_VPC, "x"),
        ("StringNotEqualsIgnoreCase", keys::SOURCE_VPC, "x"),
        ("StringLike", keys::SOURCE_VPC, "x"),
        ("StringNotLike", keys::SOURCE_VPC, "x"),
        ("NumericEquals", "x:minutes", "1"),
        ("NumericNotEquals", "x:minutes", "1"),
        ("NumericLessThan", "x:minutes", "1"),
        ("NumericLessThanEquals", "x:minutes", "1"),
        ("NumericGreaterThan", "x:minutes", "1"),
        ("NumericGreaterThanEquals", "x:minutes", "1"),
        ("DateEquals", "x:at", "2026-01-01T00:00:00Z"),
        ("DateNotEquals", "x:at", "2026-01-01T00:00:00Z"),
        ("DateLessThan", "x:at", "2026-01-01T00:00:00Z"),
        ("DateLessThanEquals", "x:at", "2026-01-01T00:00:00Z"),
        ("DateGreaterThan", "x:at", "2026-01-01T00:00:00Z"),
        ("DateGreaterThanEquals", "x:at", "2026-01-01T00:00:00Z"),
        ("Bool", "x:flag", "true"),
        ("IpAddress", "x:from", "10.0.0.0/8"),
        ("NotIpAddress", "x:from", "10.0.0.0/8"),
    ];
    for (operator, key, value) in all {
        for (effect, so) in [
            ("Deny", ["denies nothing", "stops what it seems to leave out"]),
            ("Allow", ["allows nothing", "permits what it seems to leave out"]),
        ] {
            let text = format!(
                r#"{{"Version": "1", "Statement": [{{"Effect": "{effect}", "Action": "ecs-workbench:View*", "Resource": "*",
                   "Condition": {{"{operator}": {{"{key}": "{value}"}}}}}}]}}"#
            );
            let found = check(text.as_bytes(), DocumentKind::Identity, &vocabulary());
            let [finding] = &*found else { panic!("{text}\n{found:#?}") };
            assert_eq!(
                (finding.rule, finding.severity),
                (Rule::Lint(ConditionKeyNeverSet), Severity::SecurityWarning)
            );
            assert_eq!(finding.pointer, format!("/Statement/0/Condition/{operator}/{key}"));
            let so = so[usize::from(operator.contains("Not"))];
            assert!(finding.message.contains(key) && finding.message.ends_with(so), "{finding}");
            assert!(finding.mend.contains("no action sets this key"), "{finding}");
            // What is said is what is decided.
            let document = PolicyDocument::parse(text.as_bytes(), DocumentKind::Identity).expect("valid");
            let identity = PolicySet::new(vec![(Arc::from("p"), Arc::new(document))]);
            let layers = Layers { identity, ..Layers::default() };
            let request = Request {
                principal: "acs:ram::1234567890123456:user/ana",
                action: "ecs-workbench:ViewInstanceRecords",
                resource: "*",
                context: &Context::new(),
            };
            let expected = match (effect, operator.contains("Not")) {
                (_, false) => Outcome::ImplicitDeny,
                ("Deny", true) => Outcome::ExplicitDeny,
                (_, true) => Outcome::Allow,
            };
            assert_eq!(evaluate(&layers, &request).outcome(), expected, "{text}");
        }
    }
}

#[test]
fn whether_a_key_is_ever_set_depends_on_the_actions() {
    let never = |pairs: &str| {
        let text = format!(
            r#"{{"Version": "1", "Statement": [{{"Effect": "Deny", {pairs}, "Resource": "*",
               "Condition": {{"StringEquals": {{"ACS:resourcetag/env": "prod"}}}}}}]}}"#
        );
        let found = check(text.as_bytes(), DocumentKind::Identity, &vocabulary());
        let never = found.into_iter().filter(|finding| finding.rule == Rule::Lint(ConditionKeyNeverSet));
        never.map(|finding| finding.message).collect::<Vec<_>>()
    };
    for sets in [
        r#""Action": "*""#,
        r#""Action": "ecs-workbench:*""#,
        r#""Action": ["ECS-WORKBENCH:viewinstancerecords", "*:Set*"]"#,
        r#""NotAction": "ram:*""#,
    ] {
        assert_eq!(never(sets), [""; 0], "{sets}");
    }
    for sets_never in [
        r#""Action": "ecs-workbench:ListAgents""#,
        r#""Action": ["ecs-workbench:List*", "oss:*"]"#,
        r#""NotAction": ["ecs-workbench:View*", "ecs-workbench:?et*"]"#,
    ] {
        let said = never(sets_never);
        assert!(
            said.len() == 1 && said[0].starts_with("no action of this statement"),
            "{sets_never}: {said:?}"
        );
    }
    // A hole for some of them is a hole.
    let said = never(r#""Action": ["ecs-workbench:View*", "ecs-workbench:ListAgents", "oss:*"]"#);
    assert!(
        said.len() == 1 && said[0].contains("never set for ecs-workbench:ListAgents, oss:*;"),
        "{said:?}"
    );
}

/// Documents as the vendor publishes them, and as its editor writes them.
#[test]
fn what_the_vendor_publishes_is_accepted() {
    for (text, mut expected) in [
        (include_str!("vectors/published/resourcetag_deny.json"), vec![]),
        (include_str!("vectors/published/resourcetag_allow.json"), vec![]),
        (include_str!("vectors/published/empty_condition.json"), vec![EmptyCondition, EmptyCondition]),
        (include_str!("vectors/published/accessid.json"), vec![ConditionKeyNeverSet, ConditionKeyNeverSet]),
        (include_str!("vectors/published/useragent.json"), vec![UnknownConditionKey]),
    ] {
        PolicyDocument::parse(text.as_bytes(), DocumentKind::Identity)
            .unwrap_or_else(|error| panic!("{error}\n{text}"));
        let found = check(text.as_bytes(), DocumentKind::Identity, &vocabulary());
        for finding in &found {
            let Rule::Lint(lint) = finding.rule else { panic!("{finding}") };
            let at = expected.iter().position(|expected| *expected == lint);
            expected.remove(at.unwrap_or_else(|| panic!("{finding}\n{text}")));
        }
        assert_eq!(expected, [], "{text}\n{found:#?}");
    }
}
