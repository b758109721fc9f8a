//! What holds for every policy: nothing panics, a Deny wins, order and list form have no influence, and the
//! question behind `*` never overlooks a Deny.

use std::sync::Arc;

use policies::{
    Context, Decision, DocumentKind, Layers, Outcome, PolicyDocument, PolicySet, Request, ResourcePattern,
    could_deny, evaluate,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const KINDS: [DocumentKind; 4] =
    [DocumentKind::Identity, DocumentKind::Session, DocumentKind::Control, DocumentKind::Trust];
const PRINCIPAL: &str = "acs:ram::1234567890123456:user/alice";

fn layers(documents: &[Value]) -> Layers {
    let named = documents.iter().map(|document| {
        let text = document.to_string();
        let parsed = PolicyDocument::parse(text.as_bytes(), DocumentKind::Identity)
            .unwrap_or_else(|error| panic!("{error}\n{text}"));
        (Arc::from("policy"), Arc::new(parsed))
    });
    Layers { identity: PolicySet::new(named.collect()), ..Layers::default() }
}

fn document(statements: &[Value]) -> Value {
    json!({"Version": "1", "Statement": statements})
}

fn one_of(choices: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let one = prop::sample::select(choices);
    prop_oneof![
        one.clone().prop_map(Value::from),
        prop::collection::vec(one, 1..3).prop_map(|entries| json!(entries)),
    ]
}

const ACTIONS: &[&str] = &[
    "*",
    "*:List*",
    "ecs-workbench:*",
    "ECS-workbench:view*",
    "ecs-workbench:ListInstanceRecords",
    "ecs*:?etInstanceRecordConfig",
    "ecs:*",
    "ram:Get*",
];
const RESOURCES: &[&str] = &[
    "*",
    "acs:ecs-workbench:*:*:workbench/*",
    "acs:ecs-workbench:cn-hangzhou:1234567890123456:workbench/i-a*",
    "acs:ecs-workbench:cn-b*:*:workbench/i-b1",
    "acs:ecs-workbench:*:6543210987654321:*",
    "acs:ecs-workbench:*:*:workbench/?-a1",
    "acs:ram:*:*:*",
];
const ASKED_ACTIONS: &[&str] = &[
    "ecs-workbench:ListInstanceRecords",
    "ecs-workbench:ViewInstanceRecords",
    "ecs-workbench:SetInstanceRecordConfig",
    "ram:GetUser",
];
const INSTANCES: &[&str] = &[
    "acs:ecs-workbench:cn-hangzhou:1234567890123456:workbench/i-a1",
    "acs:ecs-workbench:cn-beijing:1234567890123456:workbench/i-b1",
    "acs:ecs-workbench:cn-beijing:1234567890123456:workbench/x",
];

fn condition() -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        4 => Just(None),
        1 => Just(Some(json!({"IpAddress": {"acs:SourceIp": "10.0.0.0/8"}}))),
        1 => Just(Some(json!({"NotIpAddress": {"acs:SourceIp": ["10.0.0.0/8", "192.0.2.0/24"]}}))),
        1 => Just(Some(json!({"Bool": {"acs:MFAPresent": "true"}}))),
        1 => Just(Some(json!({"StringEquals": {"acs:ResourceTag/team": "dev"}}))),
        1 => Just(Some(json!({"StringNotLike": {"ecs-workbench:SessionOwner": "al*"}}))),
        1 => Just(Some(json!({"NumericLessThan": {"ecs-workbench:Minutes": "30"}, "Bool": {"acs:MFAPresent": "false"}}))),
    ]
}

fn statement() -> impl Strategy<Value = Value> {
    let effect = prop::sample::select(&["Allow", "Allow", "Deny"][..]);
    let action = prop::sample::select(&["Action", "Action", "NotAction"][..]);
    let resource = prop::sample::select(&["Resource", "Resource", "NotResource"][..]);
    (effect, action, one_of(ACTIONS), resource, one_of(RESOURCES), condition()).prop_map(
        |(effect, action, actions, resource, resources, condition)| {
            let mut statement = json!({"Effect": effect, action: actions, resource: resources});
            if let Some(condition) = condition {
                statement["Condition"] = condition;
            }
            statement
        },
    )
}

fn statements() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec(statement(), 1..8)
}

fn context() -> impl Strategy<Value = Context> {
    let value = |choices: &'static [Option<&'static str>]| prop::sample::select(choices);
    (
        value(&[None, Some("10.1.2.3"), Some("203.0.113.9"), Some("not an address")]),
        value(&[None, Some("true"), Some("False"), Some("perhaps")]),
        value(&[None, Some("dev"), Some("ops")]),
        value(&[None, Some("29.5"), Some("30"), Some("many")]),
    )
        .prop_map(|(address, mfa, team, minutes)| {
            let mut context = Context::new();
            let keys = ["acs:SourceIp", "acs:MFAPresent", "acs:ResourceTag/team", "ecs-workbench:Minutes"];
            for (key, value) in keys.into_iter().zip([address, mfa, team, minutes]) {
                if let Some(value) = value {
                    context.insert(key, value);
                }
            }
            context
        })
}

fn ask(layers: &Layers, action: &str, resource: &str, context: &Context) -> Decision {
    evaluate(layers, &Request { principal: PRINCIPAL, action, resource, context })
}

/// Every string that stands where a list may stand, as a list of one.
fn with_lists(value: &Value) -> Value {
    let Value::Object(members) = value else { return value.clone() };
    members
        .iter()
        .map(|(name, value)| {
            let value = match value {
                Value::String(_) if name != "Effect" => json!([value]),
                other => with_lists(other),
            };
            (name.clone(), value)
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(1_000), ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for kind in KINDS {
            let refused = PolicyDocument::parse(&bytes, kind).expect_err("random bytes are no policy");
            prop_assert!(refused.line >= 1 && refused.column >= 1 && !refused.message.is_empty());
        }
    }

    /// Valid documents with some bytes replaced, removed, doubled or cut off: read or refused, and what was read can
    /// be asked.
    #[test]
    fn no_mutation_panics(
        statements in statements(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0u8..5, any::<u8>()), 1..5),
        context in context(),
    ) {
        let mut text = document(&statements).to_string().into_bytes();
        for (place, change, byte) in changes {
            if text.is_empty() {
                break;
            }
            let at = place.index(text.len());
            match change {
                0 => text[at] = byte,
                1 => drop(text.remove(at)),
                2 => text.insert(at, text[at]),
                3 => text.insert(at, b"{}[]\",:\\*?0"[usize::from(byte) % 11]),
                _ => text.truncate(at),
            }
        }
        for kind in KINDS {
            if let Ok(parsed) = PolicyDocument::parse(&text, kind) {
                let identity = PolicySet::new(vec![(Arc::from("mutant"), Arc::new(parsed))]);
                let layers = Layers { identity, ..Layers::default() };
                let _ = ask(&layers, ASKED_ACTIONS[0], INSTANCES[0], &context);
            }
        }
    }

    #[test]
    fn a_deny_always_wins(statements in statements(), at in any::<prop::sample::Index>(), context in context()) {
        let mut with_deny = statements;
        let at = at.index(with_deny.len() + 1);
        with_deny.insert(at, json!({"Effect": "Deny", "Action": "ecs-workbench:*", "Resource": "*"}));
        let layers = layers(&[document(&with_deny)]);
        for resource in INSTANCES.iter().chain(&["*"]) {
            prop_assert_eq!(ask(&layers, ASKED_ACTIONS[1], resource, &context).outcome(), Outcome::ExplicitDeny);
        }
    }

    #[test]
    fn an_allow_never_overcomes_a_deny(statements in statements(), context in context()) {
        let mut with_allow = statements.clone();
        with_allow.insert(0, json!({"Effect": "Allow", "Action": "*", "Resource": "*"}));
        let (before, after) = (layers(&[document(&statements)]), layers(&[document(&with_allow)]));
        for action in ASKED_ACTIONS {
            for resource in INSTANCES {
                let before = ask(&before, action, resource, &context).outcome();
                let after = ask(&after, action, resource, &context).outcome();
                let expected = if before == Outcome::ExplicitDeny { Outcome::ExplicitDeny } else { Outcome::Allow };
                prop_assert_eq!(after, expected);
            }
        }
    }

    #[test]
    fn order_and_pooling_have_no_influence(
        statements in statements(),
        shuffled in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
        context in context(),
    ) {
        let mut other = statements.clone();
        other.rotate_left(shuffled.index(statements.len()));
        other.reverse();
        let (left, right) = other.split_at(cut.index(other.len()));
        let pooled: Vec<Value> = [left, right].iter().filter(|part| !part.is_empty()).map(|part| document(part)).collect();
        let (one, two) = (layers(&[document(&statements)]), layers(&pooled));
        for action in ASKED_ACTIONS {
            for resource in INSTANCES.iter().chain(&["*"]) {
                let outcome = ask(&one, action, resource, &context).outcome();
                prop_assert_eq!(outcome, ask(&two, action, resource, &context).outcome());
            }
        }
    }

    #[test]
    fn a_string_is_a_list_of_one(statements in statements(), context in context()) {
        let lists: Vec<Value> = statements.iter().map(with_lists).collect();
        let mut documents = vec![document(&statements), document(&lists)];
        if let [single] = &*statements {
            documents.push(json!({"Version": "1", "Statement": single}));
        }
        let all: Vec<Layers> = documents.iter().map(|document| layers(std::slice::from_ref(document))).collect();
        for action in ASKED_ACTIONS {
            for resource in INSTANCES.iter().chain(&["*"]) {
                let expected = ask(&all[0], action, resource, &context);
                for other in &all[1..] {
                    prop_assert_eq!(&expected, &ask(other, action, resource, &context));
                }
            }
        }
    }

    /// If an instance of the account is denied, whatever it is tagged with, the question about all of them said so.
    #[test]
    fn could_deny_never_overlooks_a_deny(
        statements in statements(),
        caller in context(),
        team in prop::sample::select(&[None, Some("dev"), Some("ops")][..]),
    ) {
        let layers = layers(&[document(&statements)]);
        let range = ResourcePattern::parse("acs:ecs-workbench:*:1234567890123456:workbench/*").expect("a pattern");
        let mut of_instance = caller.clone();
        of_instance.insert_all("acs:ResourceTag/team", team.map(Into::into));
        for action in ASKED_ACTIONS {
            let asked = Request { principal: PRINCIPAL, action, resource: "*", context: &caller };
            let found = could_deny(&layers, &asked, &range);
            for resource in INSTANCES {
                if ask(&layers, action, resource, &of_instance).outcome() == Outcome::ExplicitDeny {
                    prop_assert!(found.is_some(), "{} on {} is denied", action, resource);
                }
            }
        }
    }
}
