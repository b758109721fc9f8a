//! The evaluation order, over every combination of what the layers say.

use std::sync::Arc;

use policies::{
    AllowedBy, Context, Decision, DenyReason, DocumentKind, Layer, Layers, Outcome, PolicyDocument,
    PolicySet, PolicyType, Request, ResourcePattern, could_deny, evaluate,
};

const ALICE: &str = "acs:ram::1234567890123456:user/alice";
const ROOT: &str = "acs:ram::1234567890123456:root";
const INSTANCE: &str = "acs:ecs-workbench:cn-hangzhou:1234567890123456:workbench/i-bp1a";
const ACTION: &str = "ecs-workbench:ViewInstanceRecords";

/// What one layer can say on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Nothing,
    Allow,
    Deny,
    AllowAndDeny,
    UnreadableDeny,
    UnreadableAllow,
}

impl Says {
    const ALL: [Self; 6] = [
        Self::Nothing,
        Self::Allow,
        Self::Deny,
        Self::AllowAndDeny,
        Self::UnreadableDeny,
        Self::UnreadableAllow,
    ];

    fn outcome(self) -> Outcome {
        match self {
            Self::Nothing | Self::UnreadableAllow => Outcome::ImplicitDeny,
            Self::Allow => Outcome::Allow,
            Self::Deny | Self::AllowAndDeny | Self::UnreadableDeny => Outcome::ExplicitDeny,
        }
    }

    fn set(self, kind: DocumentKind) -> PolicySet {
        let target = match kind {
            DocumentKind::Trust => r#""Principal": {"RAM": "acs:ram::1234567890123456:root"}"#,
            _ => r#""Resource": "*""#,
        };
        let plain = |effect: &str| format!(r#"{{"Effect": "{effect}", "Action": "*", {target}}}"#);
        let unreadable = |effect: &str| {
            format!(
                r#"{{"Effect": "{effect}", "Action": "*", {target}, "Condition": {{"NumericLessThan": {{"ecs-workbench:Broken": "1"}}}}}}"#
            )
        };
        let statements = match self {
            Self::Nothing => r#"{"Effect": "Allow", "Action": "ecs:*", TARGET}"#.replace("TARGET", target),
            Self::Allow => plain("Allow"),
            Self::Deny => plain("Deny"),
            Self::AllowAndDeny => format!("{}, {}", plain("Allow"), plain("Deny")),
            Self::UnreadableDeny => format!("{}, {}", plain("Allow"), unreadable("Deny")),
            Self::UnreadableAllow => unreadable("Allow"),
        };
        set(&format!(r#"{{"Version": "1", "Statement": [{statements}]}}"#), kind)
    }
}

fn set(text: &str, kind: DocumentKind) -> PolicySet {
    let document =
        PolicyDocument::parse(text.as_bytes(), kind).unwrap_or_else(|error| panic!("{error}\n{text}"));
    PolicySet::new(vec![(Arc::from(format!("{kind:?}")), Arc::new(document))])
}

fn identity(text: &str) -> Layers {
    Layers { identity: set(text, DocumentKind::Identity), ..Layers::default() }
}

fn ask(layers: &Layers, principal: &str, resource: &str) -> Decision {
    let mut context = Context::new();
    context.insert("ecs-workbench:Broken", "many");
    evaluate(layers, &Request { principal, action: ACTION, resource, context: &context })
}

#[test]
fn every_combination_of_layers_ends_where_the_order_says() {
    let absent_or_any = || std::iter::once(None).chain(Says::ALL.into_iter().map(Some));
    let mut combinations = 0;
    for upper in absent_or_any() {
        for lower in absent_or_any() {
            for session in absent_or_any() {
                for identity in Says::ALL {
                    for trust in absent_or_any() {
                        combinations += 1;
                        check(upper, lower, session, identity, trust);
                    }
                }
            }
        }
    }
    assert_eq!(combinations, 7 * 7 * 7 * 6 * 7);
}

fn check(
    upper: Option<Says>,
    lower: Option<Says>,
    session: Option<Says>,
    identity: Says,
    trust: Option<Says>,
) {
    let layers = Layers {
        owner: false,
        control: [upper, lower].into_iter().flatten().map(|says| says.set(DocumentKind::Control)).collect(),
        session: session.map(|says| says.set(DocumentKind::Session)),
        identity: identity.set(DocumentKind::Identity),
        trust: trust.map(|says| says.set(DocumentKind::Trust)),
    };
    // The published order, told once more in other words: gates one after the other, then two sides of which
    // either may deny and both must allow.
    let gates = [(upper, Layer::Control), (lower, Layer::Control), (session, Layer::Session)];
    let stopped =
        gates.into_iter().find(|(says, _)| says.is_some_and(|says| says.outcome() != Outcome::Allow));
    let (outcome, layer) = if let Some((Some(says), layer)) = stopped {
        (says.outcome(), layer)
    } else {
        let sides = [(Some(identity), Layer::Identity), (trust, Layer::Trust)];
        let first = |wanted: Outcome| {
            sides
                .iter()
                .find(|(says, _)| says.is_some_and(|says| says.outcome() == wanted))
                .map(|(_, layer)| *layer)
        };
        if let Some(layer) = first(Outcome::ExplicitDeny) {
            (Outcome::ExplicitDeny, layer)
        } else if let Some(layer) = first(Outcome::ImplicitDeny) {
            (Outcome::ImplicitDeny, layer)
        } else {
            (Outcome::Allow, Layer::Identity)
        }
    };
    let decision = ask(&layers, ALICE, INSTANCE);
    let situation = format!("{upper:?} {lower:?} {session:?} {identity:?} {trust:?}: {decision:?}");
    assert_eq!(decision.outcome(), outcome, "{situation}");
    assert_eq!(decision.policy_type(), Some(PolicyType::from(layer)), "{situation}");
}

#[test]
fn a_decision_names_its_statement() {
    let policy = |name: &str, text: &str| {
        let document = PolicyDocument::parse(text.as_bytes(), DocumentKind::Identity).expect("valid");
        (Arc::from(name), Arc::new(document))
    };
    let allow = policy(
        "viewers",
        r#"{"Version": "1", "Statement": [
            {"Effect": "Allow", "Action": "ecs:*", "Resource": "*"},
            {"Effect": "Allow", "Action": "ecs-workbench:View*", "Resource": "*"},
            {"Effect": "Allow", "Action": "*", "Resource": "*"}]}"#,
    );
    let deny = policy(
        "no-production",
        r#"{"Version": "1", "Statement": [
            {"Effect": "Deny", "Action": "*", "Resource": "acs:ecs-workbench:*:*:workbench/i-prod*"},
            {"Effect": "Deny", "NotAction": "ram:*", "Resource": "acs:ecs-workbench:*:*:workbench/i-bp*"}]}"#,
    );
    let layers = Layers { identity: PolicySet::new(vec![allow.clone()]), ..Layers::default() };
    let Decision::Allow { by: AllowedBy::Statement(by) } = ask(&layers, ALICE, INSTANCE) else {
        panic!("allowed")
    };
    assert_eq!((by.layer, &*by.policy, by.statement), (Layer::Identity, "viewers", 1));
    let layers = Layers { identity: PolicySet::new(vec![allow, deny]), ..Layers::default() };
    let Decision::Deny(reason) = ask(&layers, ALICE, INSTANCE) else { panic!("denied") };
    assert_eq!(reason.to_string(), "denied by AccountLevelIdentityBasedPolicy no-production#1");
    assert_eq!(reason.statement().map(|by| by.statement), Some(1));
}

#[test]
fn a_deny_that_cannot_be_read_denies_and_says_what_it_could_not_read() {
    let layers = identity(
        r#"{"Version": "1", "Statement": [
            {"Effect": "Allow", "Action": "*", "Resource": "*"},
            {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {
                "NumericGreaterThan": {"ecs-workbench:Broken": "5"}, "Bool": {"acs:MFAPresent": "false"}}}]}"#,
    );
    let mut context = Context::new();
    context.insert("ecs-workbench:broken", "many");
    context.insert("acs:MFAPresent", false);
    let request = Request { principal: ALICE, action: ACTION, resource: "*", context: &context };
    let Decision::Deny(reason @ DenyReason::CannotEvaluate { .. }) = evaluate(&layers, &request) else {
        panic!()
    };
    assert!(
        reason
            .to_string()
            .ends_with("may deny it: the request's value of ecs-workbench:Broken is not a decimal number")
    );
    // Another test of the block that fails settles it: then the Deny surely does not apply.
    context.insert("acs:MFAPresent", true);
    let request = Request { principal: ALICE, action: ACTION, resource: "*", context: &context };
    assert!(evaluate(&layers, &request).is_allow());
}

#[test]
fn the_account_owner_rules_the_own_account_and_no_other() {
    let deny_all = r#"{"Version": "1", "Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}}"#;
    let layers = Layers {
        owner: true,
        control: vec![set(deny_all, DocumentKind::Control)],
        identity: set(deny_all, DocumentKind::Identity),
        ..Layers::default()
    };
    for own in [INSTANCE, "*", "acs:oss:*:*:bucket", "acs:ecs-workbench:cn-hangzhou::workbench/i-1"] {
        assert_eq!(ask(&layers, ROOT, own), Decision::Allow { by: AllowedBy::AccountOwner }, "{own}");
    }
    let range =
        ResourcePattern::parse("acs:ecs-workbench:*:1234567890123456:workbench/*").expect("a pattern");
    let context = Context::new();
    let request = Request { principal: ROOT, action: ACTION, resource: "*", context: &context };
    assert_eq!(could_deny(&layers, &request, &range), None);
    for foreign in ["acs:ecs-workbench:cn-hangzhou:6543210987654321:workbench/i-1", "not a resource"] {
        assert!(!ask(&layers, ROOT, foreign).is_allow(), "{foreign}");
    }
    // The flag without the principal, or the principal without the flag, makes no owner.
    assert!(!ask(&layers, ALICE, INSTANCE).is_allow());
    let unproven = Layers { owner: false, ..Layers::default() };
    assert!(!ask(&unproven, ROOT, INSTANCE).is_allow());
    // An owner assumes no role.
    let trust = r#"{"Version": "1", "Statement": {"Effect": "Allow", "Action": "*", "Principal": {"RAM": "acs:ram::1234567890123456:root"}}}"#;
    let assuming = Layers { owner: true, trust: Some(set(trust, DocumentKind::Trust)), ..Layers::default() };
    assert_eq!(ask(&assuming, ROOT, INSTANCE).policy_type(), Some(PolicyType::AssumeRolePolicy));
}

#[test]
fn a_trust_policy_trusts_the_principals_that_it_names() {
    for (principal_element, principal, trusted) in [
        (r#"{"RAM": "acs:ram::1234567890123456:root"}"#, ALICE, true),
        (
            r#"{"RAM": "acs:ram::1234567890123456:root"}"#,
            "acs:ram::1234567890123456:role/auditor/session",
            true,
        ),
        (r#"{"RAM": "acs:ram::1234567890123456:root"}"#, "acs:ram::6543210987654321:user/alice", false),
        (r#"{"RAM": "acs:ram::1234567890123456:user/alice"}"#, ALICE, true),
        (r#"{"RAM": "acs:ram::1234567890123456:user/alic"}"#, ALICE, false),
        (r#"{"RAM": "acs:ram::1234567890123456:role/alice"}"#, ALICE, false),
        (
            r#"{"RAM": "acs:ram::1234567890123456:role/auditor"}"#,
            "acs:ram::1234567890123456:role/auditor/bob",
            true,
        ),
        (
            r#"{"RAM": "acs:ram::1234567890123456:role/auditor"}"#,
            "acs:ram::1234567890123456:assumed-role/auditor/bob",
            true,
        ),
        (
            r#"{"RAM": "acs:ram::1234567890123456:role/auditor"}"#,
            "acs:sts::1234567890123456:assumed-role/auditor/bob",
            true,
        ),
        (
            r#"{"RAM": "acs:ram::1234567890123456:role/auditor"}"#,
            "acs:ram::1234567890123456:role/auditor2/bob",
            false,
        ),
        (r#"{"Service": ["oss.aliyuncs.com", "ecs.aliyuncs.com"]}"#, "ecs.aliyuncs.com", true),
        (r#"{"Service": "ecs.aliyuncs.com"}"#, "oss.aliyuncs.com", false),
        (
            r#"{"Federated": "acs:ram::1234567890123456:saml-provider/adfs"}"#,
            "acs:ram::1234567890123456:saml-provider/adfs",
            true,
        ),
        (r#"{"Service": "ecs.aliyuncs.com", "RAM": "acs:ram::1234567890123456:user/alice"}"#, ALICE, true),
    ] {
        let text = format!(
            r#"{{"Version": "1", "Statement": {{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {principal_element}}}}}"#
        );
        let layers = Layers {
            identity: Says::Allow.set(DocumentKind::Identity),
            trust: Some(set(&text, DocumentKind::Trust)),
            ..Layers::default()
        };
        let context = Context::new();
        let request = Request {
            principal,
            action: "sts:AssumeRole",
            resource: "acs:ram::1234567890123456:role/x",
            context: &context,
        };
        assert_eq!(evaluate(&layers, &request).is_allow(), trusted, "{principal_element} and {principal}");
    }
}

#[test]
fn only_the_star_covers_the_star() {
    for (resource, effect, outcome) in [
        (r#""Resource": "acs:*:*:*:*""#, "Allow", Outcome::ImplicitDeny),
        (r#""NotResource": "acs:ecs-workbench:*:*:workbench/i-secret""#, "Allow", Outcome::ImplicitDeny),
        (r#""Resource": ["acs:ecs:*:*:*", "*"]"#, "Allow", Outcome::Allow),
        (r#""Resource": "acs:*:*:*:*""#, "Deny", Outcome::ImplicitDeny),
        (r#""NotResource": "acs:ecs-workbench:*:*:workbench/i-1""#, "Deny", Outcome::ExplicitDeny),
        (r#""Resource": "*""#, "Deny", Outcome::ExplicitDeny),
    ] {
        let layers = identity(&format!(
            r#"{{"Version": "1", "Statement": {{"Effect": "{effect}", "Action": "*", {resource}}}}}"#
        ));
        assert_eq!(ask(&layers, ALICE, "*").outcome(), outcome, "{effect} {resource}");
    }
}

#[test]
fn could_deny_sees_a_deny_on_any_instance_and_nothing_beyond() {
    const MINE: &str = "acs:ecs-workbench:*:1234567890123456:workbench/*";
    for (statement, found) in [
        (r#""Action": "*", "Resource": "acs:ecs-workbench:*:*:workbench/i-secret""#, true),
        (
            r#""Action": "ecs-workbench:View*", "Resource": "acs:ecs-workbench:cn-beijing:1234567890123456:*""#,
            true,
        ),
        (r#""Action": "*", "Resource": "*""#, true),
        (r#""Action": "*", "Resource": "acs:ecs-workbench:*:6543210987654321:workbench/i-secret""#, false),
        (r#""Action": "*", "Resource": "acs:ecs:*:*:instance/i-secret""#, false),
        (r#""Action": "*", "Resource": "acs:ecs-workbench:*:*:other/i-secret""#, false),
        (r#""Action": "ecs-workbench:Set*", "Resource": "*""#, false),
        (r#""NotAction": "ecs-workbench:Set*", "Resource": "*""#, true),
        (r#""NotAction": "ecs-workbench:View*", "Resource": "*""#, false),
        (r#""Action": "*", "NotResource": "acs:ecs-workbench:*:*:workbench/i-1""#, true),
        (r#""Action": "*", "NotResource": "acs:ecs-workbench:*:*:work*""#, false),
        (r#""Action": "*", "NotResource": ["acs:oss:*:*:*", "acs:*:*:1234567890123456:*"]"#, false),
        // The same for every instance, and not so: the caller is in the office, without MFA.
        (
            r#""Action": "*", "Resource": "*", "Condition": {"NotIpAddress": {"acs:SourceIp": "10.0.0.0/8"}}"#,
            false,
        ),
        (r#""Action": "*", "Resource": "*", "Condition": {"Bool": {"acs:MFAPresent": "false"}}"#, true),
        // May differ between instances.
        (
            r#""Action": "*", "Resource": "*", "Condition": {"StringEquals": {"acs:ResourceTag/env": "prod"}}"#,
            true,
        ),
        (
            r#""Action": "*", "Resource": "*", "Condition": {"StringNotEquals": {"ecs-workbench:SessionOwner": "a"}}"#,
            true,
        ),
        (
            r#""Action": "*", "Resource": "*", "Condition": {"StringEquals": {"acs:ResourceTag/env": "prod"}, "Bool": {"acs:MFAPresent": "true"}}"#,
            false,
        ),
    ] {
        let text = format!(r#"{{"Version": "1", "Statement": {{"Effect": "Deny", {statement}}}}}"#);
        let deny = || set(&text, DocumentKind::Control);
        let mut context = Context::new();
        context.insert("acs:SourceIp", "10.1.2.3");
        context.insert("acs:MFAPresent", false);
        let request = Request { principal: ALICE, action: ACTION, resource: "*", context: &context };
        let range = ResourcePattern::parse(MINE).expect("a pattern");
        for (layers, layer) in [
            (Layers { control: vec![PolicySet::default(), deny()], ..Layers::default() }, Layer::Control),
            (Layers { session: Some(deny()), ..Layers::default() }, Layer::Session),
            (Layers { identity: deny(), ..Layers::default() }, Layer::Identity),
        ] {
            let by = could_deny(&layers, &request, &range);
            assert_eq!(by.map(|by| by.layer), found.then_some(layer), "{statement}");
        }
    }
}
