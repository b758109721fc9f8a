//! What the fuzz targets share: the questions that a document is asked, and the actions that exist.

use std::net::IpAddr;
use std::sync::Arc;

use policies::{
    Context, Decision, DocumentKind, Layers, PolicyDocument, PolicySet, Presence, Request, ValueType,
    Vocabulary, evaluate, keys,
};

pub const KINDS: [DocumentKind; 4] =
    [DocumentKind::Identity, DocumentKind::Session, DocumentKind::Control, DocumentKind::Trust];

pub const PRINCIPALS: [&str; 4] = [
    "acs:ram::1234567890123456:user/alice",
    "acs:ram::1234567890123456:root",
    "acs:ram::1234567890123456:assumed-role/reader/session",
    "nobody",
];

pub const ACTIONS: [&str; 4] =
    ["ecs-workbench:ListInstanceRecords", "ecs-workbench:ViewInstanceRecords", "sts:AssumeRole", "odd"];

pub const RESOURCES: [&str; 4] = [
    "*",
    "acs:ecs-workbench:cn-hangzhou:1234567890123456:workbench/i-a1",
    "acs:ram::1234567890123456:role/reader",
    "odd",
];

/// An empty context, one as the server makes it, and one with values that no operator can read.
pub fn contexts() -> [Context; 3] {
    let mut usual = Context::new();
    usual.insert(keys::SECURE_TRANSPORT, true);
    usual.insert(keys::MFA_PRESENT, false);
    usual.insert(keys::CURRENT_TIME, "2026-11-20T12:00:00Z");
    usual.insert(keys::PRINCIPAL_ARN, PRINCIPALS[0]);
    usual.insert(keys::SOURCE_IP, IpAddr::from([10, 20, 30, 40]));
    usual.insert("ecs-workbench:InstanceTag/team", "dev");
    let mut odd = Context::new();
    for key in [keys::SECURE_TRANSPORT, keys::CURRENT_TIME, keys::SOURCE_IP, "ecs-workbench:RecordingAge"] {
        odd.insert(key, "odd");
    }
    [Context::new(), usual, odd]
}

/// A document alone in the layer that it is for; where another layer has to allow as well, it does.
pub fn alone(document: PolicyDocument) -> Layers {
    let kind = document.kind();
    let set = PolicySet::new(vec![(Arc::from("fuzzed"), Arc::new(document))]);
    match kind {
        DocumentKind::Identity => Layers { identity: set, ..Layers::default() },
        DocumentKind::Session => Layers { session: Some(set), identity: everything(), ..Layers::default() },
        DocumentKind::Control => Layers { control: vec![set], identity: everything(), ..Layers::default() },
        DocumentKind::Trust => Layers { trust: Some(set), identity: everything(), ..Layers::default() },
    }
}

fn everything() -> PolicySet {
    let text = br#"{"Version": "1", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#;
    let document = PolicyDocument::parse(text, DocumentKind::Identity).expect("a valid document");
    PolicySet::new(vec![(Arc::from("everything"), Arc::new(document))])
}

/// The decisions on all questions.
pub fn decisions(layers: &Layers) -> Vec<Decision> {
    let mut all = Vec::new();
    for context in &contexts() {
        for principal in PRINCIPALS {
            for action in ACTIONS {
                for resource in RESOURCES {
                    all.push(evaluate(layers, &Request { principal, action, resource, context }));
                }
            }
        }
    }
    all
}

/// Some of the actions and keys of the product.
pub fn vocabulary() -> Vocabulary {
    Vocabulary::new()
        .with_action(ACTIONS[0], &["*"])
        .and_then(|known| known.with_action(ACTIONS[1], &["acs:ecs-workbench:*:*:workbench/*"]))
        .expect("valid patterns")
        .with_key("ecs-workbench:InstanceTag/", ValueType::Text, Presence::Sometimes)
        .set_by([ACTIONS[1]])
        .with_key(keys::SOURCE_VPC, ValueType::Text, Presence::Sometimes)
        .set_by([])
        .with_key("ecs-workbench:RecordingAge", ValueType::Number, Presence::Sometimes)
}
