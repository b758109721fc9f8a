//! Explanations and simulations: they agree with the decision, and name what failed.

use std::sync::Arc;

use policies::{
    Context, DocumentKind, KeyResult, Layer, LayerAnswer, Layers, MAX_SIMULATED_REQUESTS, NamedContext,
    Outcome, PolicyDocument, PolicySet, Questions, Request, evaluate, explain, simulate,
};
use proptest::prelude::*;
use serde_json::json;

const ALICE: &str = "acs:ram::1234567890123456:user/alice";
const INSTANCE: &str = "acs:ecs-workbench:cn-hangzhou:1234567890123456:workbench/i-1";
const VIEW: &str = "ecs-workbench:ViewInstanceRecords";

fn set(name: &str, statements: &str, kind: DocumentKind) -> PolicySet {
    let text = format!(r#"{{"Version": "1", "Statement": [{statements}]}}"#);
    let document =
        PolicyDocument::parse(text.as_bytes(), kind).unwrap_or_else(|error| panic!("{error}\n{text}"));
    PolicySet::new(vec![(Arc::from(name), Arc::new(document))])
}

fn identity(statements: &str) -> Layers {
    Layers { identity: set("own", statements, DocumentKind::Identity), ..Layers::default() }
}

fn request(context: &Context) -> Request<'_> {
    Request { principal: ALICE, action: VIEW, resource: INSTANCE, context }
}

#[test]
fn a_denial_names_the_nearest_statements_and_what_failed_in_each() {
    let layers = identity(
        r#"{"Effect": "Allow", "Action": "ecs:*", "Resource": "acs:ecs:*:*:*"},
           {"Effect": "Allow", "Action": "ecs-workbench:View*", "Resource": "acs:ecs-workbench:*:*:workbench/i-2"},
           {"Effect": "Allow", "Action": "ecs-workbench:*", "Resource": "*", "Condition": {
               "IpAddress": {"acs:SourceIp": "10.0.0.0/8"}, "Bool": {"acs:MFAPresent": "true"}, "StringNotEquals": {"acs:SourceVpc": "vpc-1"}}}"#,
    );
    let mut context = Context::new();
    context.insert("acs:SourceIp", "192.0.2.7");
    let explanation = explain(&layers, &request(&context));
    assert_eq!(explanation.decision.outcome(), Outcome::ImplicitDeny);
    let [layer] = &*explanation.layers else { panic!("{explanation:#?}") };
    assert_eq!(
        (layer.layer, &layer.says, layer.decides),
        (Layer::Identity, &LayerAnswer::NothingAllows, true)
    );
    let order: Vec<usize> = layer.nearest.iter().map(|statement| statement.id.statement).collect();
    assert_eq!(order, [1, 2, 0]);
    let [second, third, _] = &*layer.nearest else { panic!("three") };
    assert!(second.action.fits && !second.resource.as_ref().expect("a resource").fits);
    let results: Vec<(&str, KeyResult)> =
        third.conditions.iter().map(|key| (&*key.key, key.result)).collect();
    assert_eq!(
        results,
        [
            ("acs:SourceIp", KeyResult::Unequal),
            ("acs:MFAPresent", KeyResult::Absent),
            ("acs:SourceVpc", KeyResult::Holds)
        ]
    );
    assert_eq!(explanation.absent_keys, ["acs:MFAPresent", "acs:SourceVpc"]);
    assert_eq!(
        explanation.to_string(),
        "ecs-workbench:ViewInstanceRecords for acs:ram::1234567890123456:user/alice on acs:ecs-workbench:cn-hangzhou:1234567890123456:workbench/i-1
ImplicitDeny: nothing allows it (AccountLevelIdentityBasedPolicy)

AccountLevelIdentityBasedPolicy: nothing allows it (decides)
  Allow own#1 does not fit
    Action fits: ecs-workbench:ViewInstanceRecords is covered by ecs-workbench:View*
    Resource fails: acs:ecs-workbench:cn-hangzhou:1234567890123456:workbench/i-1 is not covered by acs:ecs-workbench:*:*:workbench/i-2
  Allow own#2 does not fit
    Action fits: ecs-workbench:ViewInstanceRecords is covered by ecs-workbench:*
    Resource fits: acs:ecs-workbench:cn-hangzhou:1234567890123456:workbench/i-1 is covered by *
    Condition IpAddress fails: acs:SourceIp is 192.0.2.7, wanted is 10.0.0.0/8
    Condition Bool fails: the request does not carry acs:MFAPresent, wanted is true
    Condition StringNotEquals holds: the request does not carry acs:SourceVpc, so it is none of vpc-1
  Allow own#0 does not fit
    Action fails: ecs-workbench:ViewInstanceRecords is not covered by ecs:*
    Resource fails: acs:ecs-workbench:cn-hangzhou:1234567890123456:workbench/i-1 is not covered by acs:ecs:*:*:*

the request does not carry: acs:MFAPresent, acs:SourceVpc
"
    );
    let json = serde_json::to_value(&explanation).expect("serialisable");
    assert_eq!(json["decision"], json!({"Deny": {"NothingAllows": {"layer": "Identity"}}}));
    assert_eq!(json["layers"][0]["nearest"][1]["conditions"][0]["result"], "Unequal");
}

#[test]
fn an_explicit_denial_names_its_statement_and_what_would_have_allowed() {
    let layers = identity(
        r#"{"Effect": "Allow", "Action": "ecs-workbench:*", "Resource": "*"},
           {"Effect": "Deny", "NotAction": "ecs-workbench:List*", "Resource": "*", "Condition": {"NotIpAddress": {"acs:SourceIp": "10.0.0.0/8"}}}"#,
    );
    let context = Context::new();
    let explanation = explain(&layers, &request(&context));
    let nearest = &explanation.layers[0].nearest;
    assert_eq!((nearest[0].effect, nearest[0].id.statement, nearest[0].fits), ("Deny", 1, true));
    assert_eq!((nearest[1].effect, nearest[1].id.statement, nearest[1].fits), ("Allow", 0, true));
    let text = explanation.to_string();
    assert!(text.contains("ExplicitDeny: denied by AccountLevelIdentityBasedPolicy own#1\n"), "{text}");
    assert!(
        text.contains(
            "    NotAction fits: ecs-workbench:ViewInstanceRecords is not one of ecs-workbench:List*\n"
        ),
        "{text}"
    );
}

#[test]
fn every_layer_says_its_own_and_the_one_that_ended_it_decides() {
    let all = r#"{"Effect": "Allow", "Action": "*", "Resource": "*"}"#;
    let none = r#"{"Effect": "Allow", "Action": "ecs:*", "Resource": "*"}"#;
    let deny = r#"{"Effect": "Deny", "Action": "*", "Resource": "*"}"#;
    let layers = Layers {
        owner: false,
        control: vec![set("top", all, DocumentKind::Control), set("folder", none, DocumentKind::Control)],
        session: Some(set("session", all, DocumentKind::Session)),
        identity: set("own", deny, DocumentKind::Identity),
        trust: None,
    };
    let context = Context::new();
    let explanation = explain(&layers, &request(&context));
    let short: Vec<_> = explanation
        .layers
        .iter()
        .map(|layer| (layer.layer, layer.level, layer.asked, layer.decides))
        .collect();
    assert_eq!(
        short,
        [
            (Layer::Control, Some(0), true, false),
            (Layer::Control, Some(1), true, true),
            (Layer::Session, None, false, false),
            (Layer::Identity, None, false, false),
        ]
    );
    assert!(matches!(explanation.layers[3].says, LayerAnswer::ExplicitDeny { .. }));
}

#[test]
fn the_owner_and_a_request_about_everything() {
    let layers = Layers { owner: true, ..identity(r#"{"Effect": "Deny", "Action": "*", "Resource": "*"}"#) };
    let context = Context::new();
    let owner = Request { principal: "acs:ram::1234567890123456:root", ..request(&context) };
    let explanation = explain(&layers, &owner);
    assert!(explanation.decision.is_allow() && explanation.layers.is_empty());
    assert!(explanation.to_string().contains("Allow: the account owner is bound by no policy"));

    let layers = identity(r#"{"Effect": "Allow", "Action": "*", "Resource": "acs:ecs-workbench:*:*:*"}"#);
    let all = Request { resource: "*", ..request(&context) };
    let text = explain(&layers, &all).to_string();
    assert!(text.contains("the request is about *, which only Resource * covers"), "{text}");
}

#[test]
fn a_simulation_answers_the_whole_matrix_and_names_absent_keys() {
    let layers = identity(
        r#"{"Effect": "Allow", "Action": "ecs-workbench:View*", "Resource": "*", "Condition": {"Bool": {"acs:MFAPresent": "true"}}},
           {"Effect": "Deny", "Action": "*", "Resource": "acs:*:*:*:workbench/i-2"}"#,
    );
    let mut with_mfa = Context::new();
    with_mfa.insert("acs:MFAPresent", true);
    let contexts = [
        NamedContext { name: "plain".to_owned(), context: Context::new() },
        NamedContext { name: "mfa".to_owned(), context: with_mfa },
    ];
    let questions = Questions {
        principal: ALICE,
        actions: &[VIEW, "ecs-workbench:ListInstanceRecords"],
        resources: &[INSTANCE, "acs:ecs-workbench:cn-a:1:workbench/i-2"],
        contexts: &contexts,
    };
    let simulation = simulate(&layers, &questions).expect("small");
    let outcomes: Vec<Outcome> = simulation.answers.iter().map(|answer| answer.decision.outcome()).collect();
    use Outcome::*;
    assert_eq!(
        outcomes,
        [
            ImplicitDeny,
            Allow,
            ExplicitDeny,
            ExplicitDeny,
            ImplicitDeny,
            ImplicitDeny,
            ExplicitDeny,
            ExplicitDeny
        ]
    );
    assert_eq!(simulation.answers[0].absent_keys, ["acs:MFAPresent"]);
    assert!(simulation.answers[1].absent_keys.is_empty() && simulation.answers[4].absent_keys.is_empty());
    let table = simulation.to_string();
    assert_eq!(table.lines().count(), 9);
    assert!(table.lines().nth(1).expect("a row").ends_with("absent: acs:MFAPresent"), "{table}");
    assert_eq!(serde_json::to_value(&simulation).expect("serialisable")["answers"][1]["context"], "mfa");

    let many = vec![VIEW; MAX_SIMULATED_REQUESTS / 2 + 1];
    assert_eq!(
        simulate(&layers, &Questions { actions: &many, resources: &["*"], ..questions })
            .expect_err("too many")
            .asked,
        MAX_SIMULATED_REQUESTS + 2
    );
}

fn statement() -> impl Strategy<Value = String> {
    let one = |choices: &'static [&'static str]| prop::sample::select(choices);
    (
        one(&["Allow", "Deny"]),
        one(&[
            r#""Action": "*""#,
            r#""Action": "ecs-workbench:View*""#,
            r#""NotAction": "ecs-workbench:View*""#,
            r#""Action": "ecs:*""#,
        ]),
        one(&[
            r#""Resource": "*""#,
            r#""Resource": "acs:ecs-workbench:*:*:*""#,
            r#""NotResource": "acs:ecs-workbench:*:*:*""#,
        ]),
        one(&[
            "",
            r#", "Condition": {"NumericLessThan": {"a:b": "3"}}"#,
            r#", "Condition": {"StringNotEquals": {"a:b": "x"}}"#,
        ]),
    )
        .prop_map(|(effect, action, resource, condition)| {
            format!(r#"{{"Effect": "{effect}", {action}, {resource}{condition}}}"#)
        })
}

proptest! {
    /// The statement that decided is in the explanation and fits; no Allow that is shown beside "nothing allows" fits.
    #[test]
    fn explanations_agree_with_decisions(
        layer_statements in prop::collection::vec(prop::collection::vec(statement(), 1..5), 4),
        value in prop::sample::select(vec![None, Some("1"), Some("x"), Some("7")]),
        resource in prop::sample::select(vec![INSTANCE, "*"]),
    ) {
        let sets = |index: usize, kind| set("p", &layer_statements[index].join(","), kind);
        let layers = Layers {
            owner: false,
            control: vec![sets(0, DocumentKind::Control), sets(1, DocumentKind::Control)],
            session: Some(sets(2, DocumentKind::Session)),
            identity: sets(3, DocumentKind::Identity),
            trust: None,
        };
        let mut context = Context::new();
        if let Some(value) = value {
            context.insert("a:b", value);
        }
        let request = Request { resource, ..request(&context) };
        let explanation = explain(&layers, &request);
        prop_assert_eq!(&explanation.decision, &evaluate(&layers, &request));
        prop_assert_eq!(explanation.layers.iter().filter(|layer| layer.decides).count(), 1);
        for layer in &explanation.layers {
            match &layer.says {
                LayerAnswer::Allow { by } | LayerAnswer::ExplicitDeny { by } => {
                    prop_assert!(layer.nearest[0].fits && layer.nearest[0].id == *by);
                }
                LayerAnswer::NothingAllows => prop_assert!(layer.nearest.iter().all(|statement| !statement.fits)),
                LayerAnswer::CannotEvaluate { by, .. } => {
                    prop_assert!(layer.nearest[0].id == *by);
                    prop_assert!(layer.nearest[0].conditions.iter().any(|key| key.result == KeyResult::Unreadable));
                }
            }
        }
    }
}
