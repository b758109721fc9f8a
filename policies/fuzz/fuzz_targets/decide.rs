//! Documents of every layer and a question, made of pieces that meet each other often. Deciding never panics, agrees
//! with its explanation, with the simulator and with the question about all instances, and a Deny of everything wins.

#![no_main]

use std::sync::Arc;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use policies::{
    Context, Decision, DocumentKind, LayerAnswer, Layers, NamedContext, Outcome, PolicyDocument, PolicySet,
    Questions, Request, ResourcePattern, could_deny, evaluate, explain, simulate,
};

#[derive(Debug, Arbitrary)]
struct Case {
    owner: bool,
    control: Vec<Document>,
    session: Option<Document>,
    identity: Vec<Document>,
    trust: Option<Document>,
    principal: u8,
    action: Text,
    resource: Text,
    context: Vec<(u8, Vec<Text>)>,
}

#[derive(Debug, Arbitrary)]
struct Document {
    statements: Vec<Statement>,
}

#[derive(Debug, Arbitrary)]
struct Statement {
    deny: bool,
    not_action: bool,
    actions: Vec<Text>,
    not_resource: bool,
    resources: Vec<Text>,
    principals: Vec<u8>,
    conditions: Vec<(u8, u8, Vec<Text>)>,
}

/// Places in [`PIECES`].
#[derive(Debug, Arbitrary)]
struct Text(Vec<u8>);

const PIECES: [&str; 32] = [
    "*", "?", "a", "b", "*:", "ecs-workbench:", "List", "InstanceRecords", "acs:", "acs:ecs-workbench:", ":",
    "cn-hangzhou", "1234567890123456", "workbench/", "i-a1", "/", "é", "10.0.0.0/8", "10.1.2.3", "::1", "0", "1",
    "-", ".5", "2026-11-20T12:00:00Z", "+08:00", "true", "false", "ECS-WORKBENCH:", "list*", "acs:*:*:*:", "",
];

const PRINCIPALS: [&str; 5] = [
    "acs:ram::1234567890123456:user/alice",
    "acs:ram::1234567890123456:root",
    "acs:ram::6543210987654321:root",
    "acs:ram::1234567890123456:assumed-role/reader/session",
    "odd",
];

const KEYS: [&str; 8] = [
    "acs:SourceIp",
    "acs:CurrentTime",
    "acs:SecureTransport",
    "acs:PrincipalARN",
    "acs:ResourceTag/team",
    "ecs-workbench:RecordingAge",
    "ECS-workbench:InstanceTag/a",
    "ecs-workbench:SessionOwner",
];

const OPERATORS: [&str; 14] = [
    "StringEquals",
    "StringNotEquals",
    "StringEqualsIgnoreCase",
    "StringLike",
    "StringNotLike",
    "NumericEquals",
    "NumericLessThan",
    "NumericNotEquals",
    "DateLessThan",
    "DateGreaterThanEquals",
    "Bool",
    "IpAddress",
    "NotIpAddress",
    "StringNotEqualsIgnoreCase",
];

fn of<'a>(table: &[&'a str], place: u8) -> &'a str {
    table[usize::from(place) % table.len()]
}

impl Text {
    fn spelled(&self) -> String {
        self.0.iter().take(12).map(|place| of(&PIECES, *place)).collect()
    }
}

fn list(texts: &[Text]) -> String {
    format!("{:?}", texts.iter().take(4).map(Text::spelled).collect::<Vec<_>>())
}

impl Statement {
    fn spelled(&self, kind: DocumentKind) -> String {
        let effect = if self.deny { "Deny" } else { "Allow" };
        let action = if self.not_action { "NotAction" } else { "Action" };
        let mut text = format!("{{\"Effect\": \"{effect}\", \"{action}\": {}", list(&self.actions));
        if kind == DocumentKind::Trust {
            let names: Vec<_> = self.principals.iter().take(3).map(|place| of(&PRINCIPALS, *place)).collect();
            text += &format!(", \"Principal\": {{\"RAM\": {names:?}}}");
        } else {
            let resource = if self.not_resource { "NotResource" } else { "Resource" };
            text += &format!(", \"{resource}\": {}", list(&self.resources));
        }
        let mut operators: Vec<(&str, Vec<String>)> = Vec::new();
        for (operator, key, values) in self.conditions.iter().take(6) {
            let operator = of(&OPERATORS, *operator);
            let test = format!("{:?}: {}", of(&KEYS, *key), list(values));
            match operators.iter_mut().find(|(name, _)| *name == operator) {
                Some((_, tests)) => tests.push(test),
                None => operators.push((operator, vec![test])),
            }
        }
        if !operators.is_empty() {
            let spelled: Vec<String> =
                operators.iter().map(|(name, tests)| format!("{name:?}: {{{}}}", tests.join(", "))).collect();
            text += &format!(", \"Condition\": {{{}}}", spelled.join(", "));
        }
        text + "}"
    }
}

impl Document {
    /// The statements that are read; each is tried alone, so that one that is refused does not spoil the others.
    fn set(&self, kind: DocumentKind) -> PolicySet {
        let parse = |statement: &Statement| {
            let text = format!("{{\"Version\": \"1\", \"Statement\": {}}}", statement.spelled(kind));
            let document = PolicyDocument::parse(text.as_bytes(), kind).ok()?;
            Some((Arc::from("fuzzed"), Arc::new(document)))
        };
        PolicySet::new(self.statements.iter().take(6).filter_map(parse).collect())
    }
}

fuzz_target!(|case: Case| {
    let principal = of(&PRINCIPALS, case.principal);
    let identity = Document { statements: case.identity.into_iter().flat_map(|document| document.statements).collect() };
    let mut layers = Layers {
        owner: case.owner,
        control: case.control.iter().take(3).map(|document| document.set(DocumentKind::Control)).collect(),
        session: case.session.as_ref().map(|document| document.set(DocumentKind::Session)),
        identity: identity.set(DocumentKind::Identity),
        trust: case.trust.as_ref().map(|document| document.set(DocumentKind::Trust)),
    };
    let mut context = Context::new();
    for (key, values) in case.context.iter().take(6) {
        let values = values.iter().take(3).map(|value| value.spelled().into());
        context.insert_all(of(&KEYS, *key), values);
    }
    let (action, resource) = (case.action.spelled(), case.resource.spelled());
    let request = Request { principal, action: &action, resource: &resource, context: &context };

    let decision = evaluate(&layers, &request);
    let explanation = explain(&layers, &request);
    assert_eq!(explanation.decision, decision);
    assert!(!explanation.to_string().is_empty());
    if let Some(deciding) = explanation.layers.iter().find(|layer| layer.decides) {
        let same = match (&decision, &deciding.says) {
            (Decision::Allow { .. }, says) => matches!(says, LayerAnswer::Allow { .. }),
            (Decision::Deny(_), says) => !matches!(says, LayerAnswer::Allow { .. }),
        };
        assert!(same, "{explanation}");
    }
    let contexts = [NamedContext { name: "fuzzed".to_owned(), context: context.clone() }];
    let questions =
        Questions { principal, actions: &[&action], resources: &[&resource], contexts: &contexts };
    let simulated = simulate(&layers, &questions).expect("one question is not too many");
    assert_eq!(simulated.answers[0].decision, decision);

    // What is denied on an instance was found by the question about all of them. Trust policies are not asked there.
    if let Ok(range) = ResourcePattern::parse("acs:ecs-workbench:*:1234567890123456:workbench/*")
        && layers.trust.is_none()
        && resource.strip_prefix("acs:ecs-workbench:cn-hangzhou:1234567890123456:workbench/").is_some()
        && decision.outcome() == Outcome::ExplicitDeny
    {
        assert!(could_deny(&layers, &request, &range).is_some(), "{decision:?}");
    }

    if !layers.owner {
        let text = br#"{"Version": "1", "Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}}"#;
        let denies = PolicyDocument::parse(text, DocumentKind::Identity).expect("a valid document");
        layers.identity = PolicySet::new(vec![(Arc::from("denies"), Arc::new(denies))]);
        assert!(!evaluate(&layers, &request).is_allow());
    }
});
