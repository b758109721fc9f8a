//! Differences: every witness is confirmed by the decision, and what brute force finds is found.

use std::sync::Arc;
use std::time::{Duration, Instant};

use policies::{
    Context, Decision, Difference, Direction, DocumentKind, Layers, PolicyDocument, PolicySet, Presence,
    Request, ValueType, Verdict, Vocabulary, diff, evaluate,
};
use proptest::prelude::*;

fn set(name: &str, statements: &str, kind: DocumentKind) -> PolicySet {
    let text = format!(r#"{{"Version": "1", "Statement": [{statements}]}}"#);
    let document =
        PolicyDocument::parse(text.as_bytes(), kind).unwrap_or_else(|error| panic!("{error}\n{text}"));
    PolicySet::new(vec![(Arc::from(name), Arc::new(document))])
}

fn identity(statements: &str) -> PolicySet {
    set("p", statements, DocumentKind::Identity)
}

fn layers(statements: &str) -> Layers {
    Layers { identity: identity(statements), ..Layers::default() }
}

fn compare(a: &str, b: &str) -> Difference {
    diff(&identity(a), &identity(b), &Vocabulary::new())
}

/// Every gap is real: the one side allows the witness, the other does not.
fn confirm(direction: &Direction, allowing: &Layers, refusing: &Layers) -> Result<(), String> {
    for gap in &direction.gaps {
        let context = gap.witness.context();
        let request = gap.witness.request(&context);
        let (yes, no) = (evaluate(allowing, &request), evaluate(refusing, &request));
        let by = matches!(&yes, Decision::Allow { by: policies::AllowedBy::Statement(by) } if *by == gap.allowed_by);
        if !by || no != Decision::Deny(gap.refused.clone()) {
            return Err(format!("{gap}: {yes:?}, {no:?}"));
        }
    }
    assert_eq!(direction.verdict == Verdict::Nothing, direction.gaps.is_empty(), "{direction:?}");
    Ok(())
}

#[test]
fn equal_sets_written_otherwise_do_not_differ() {
    for (a, b) in [
        (
            r#"{"Effect": "Allow", "Action": ["ecs-workbench:Get*", "ecs-workbench:List*"], "Resource": "*"}"#,
            r#"{"Effect": "Allow", "Action": "ECS-Workbench:list*", "Resource": "*"}, {"Effect": "Allow", "Action": "ecs-workbench:get*", "Resource": ["*", "acs:ecs:*:*:*"]}"#,
        ),
        (
            r#"{"Effect": "Allow", "Action": "a:?*", "Resource": "acs:x:*:*:*b"}"#,
            r#"{"Effect": "Allow", "Action": ["a:*"], "Resource": "acs:x:*:*:**b"}"#,
        ),
        (
            r#"{"Effect": "Deny", "NotAction": "a:*", "Resource": "*"}, {"Effect": "Allow", "Action": "*", "Resource": "*"}"#,
            r#"{"Effect": "Allow", "Action": "a:*", "Resource": "*"}"#,
        ),
        (
            r#"{"Effect": "Allow", "Action": "a:b", "Resource": "*", "Condition": {"NumericLessThan": {"k:n": ["3", "5"]}}}"#,
            r#"{"Effect": "Allow", "Action": "a:b", "Resource": "*", "Condition": {"NumericLessThan": {"K:n": "5.0"}}}"#,
        ),
        (
            r#"{"Effect": "Allow", "Action": "a:b", "Resource": "*", "Condition": {"IpAddress": {"acs:SourceIp": ["10.0.0.0/9", "10.128.0.0/9"]}}}"#,
            r#"{"Effect": "Allow", "Action": "a:b", "Resource": "*", "Condition": {"IpAddress": {"acs:SourceIp": "10.0.0.0/8"}}}"#,
        ),
    ] {
        let difference = compare(a, b);
        assert_eq!(difference.only_a.verdict, Verdict::Nothing, "{difference}");
        assert_eq!(difference.only_b.verdict, Verdict::Nothing, "{difference}");
    }
}

#[test]
fn a_difference_is_shown_by_one_request_that_reads_well() {
    let a = r#"{"Effect": "Allow", "Action": "ecs-workbench:*", "Resource": "acs:ecs-workbench:*:*:workbench/i-1"}"#;
    let b = r#"{"Effect": "Allow", "Action": "ecs-workbench:*", "Resource": "acs:ecs-workbench:*:*:workbench/i-1*"},
               {"Effect": "Deny", "Action": "ecs-workbench:Set*", "Resource": "*"}"#;
    let vocabulary =
        Vocabulary::new().with_action("ecs-workbench:SetInstanceRecordConfig", &["*"]).expect("a pattern");
    let difference = diff(&identity(a), &identity(b), &vocabulary);
    let text = difference.to_string();
    assert_eq!(difference.only_b.gaps.len(), 1, "{text}");
    assert_eq!(
        difference.only_b.gaps[0].witness.resource,
        "acs:ecs-workbench:cn-hangzhou:1234567890123456:workbench/i-1a"
    );
    assert_eq!(difference.only_a.gaps[0].witness.action, "ecs-workbench:SetInstanceRecordConfig");
    assert!(text.contains("A allows what B does not:\n  ecs-workbench:SetInstanceRecordConfig on acs:ecs-workbench:cn-hangzhou:1234567890123456:workbench/i-1\n    allowed by AccountLevelIdentityBasedPolicy p#0; denied by AccountLevelIdentityBasedPolicy p#1 on the other side\n"), "{text}");
    assert!(difference.only_a.bounds.is_empty() && difference.only_b.bounds.is_empty());
    confirm(&difference.only_b, &layers(b), &layers(a)).expect("confirmed");
    assert!(serde_json::to_value(&difference).expect("serialisable")["only_b"]["verdict"] == "Something");
}

#[test]
fn conditions_make_it_a_bound_and_the_witness_carries_the_keys() {
    let a = r#"{"Effect": "Allow", "Action": "a:b", "Resource": "*", "Condition": {"IpAddress": {"acs:SourceIp": "10.0.0.0/8"}, "Bool": {"acs:MFAPresent": "true"}}}"#;
    let b = r#"{"Effect": "Allow", "Action": "a:b", "Resource": "*", "Condition": {"IpAddress": {"acs:SourceIp": "10.0.0.0/7"}, "Bool": {"acs:MFAPresent": "true"}}}"#;
    let difference = compare(a, b);
    assert_eq!(difference.only_a.verdict, Verdict::Nothing);
    let gap = &difference.only_b.gaps[0];
    let keys: Vec<(&str, &str)> =
        gap.witness.condition_keys.iter().map(|(key, value)| (&**key, &**value)).collect();
    assert!(keys.contains(&("acs:MFAPresent", "true")), "{keys:?}");
    assert!(keys.iter().any(|(key, value)| *key == "acs:SourceIp" && value.starts_with("11.")), "{keys:?}");
    assert_eq!(gap.depends_on, ["acs:MFAPresent", "acs:SourceIp"]);
    assert!(
        difference.only_b.bounds[0].contains("acs:MFAPresent, acs:SourceIp are taken as free"),
        "{difference}"
    );
    confirm(&difference.only_b, &layers(b), &layers(a)).expect("confirmed");

    // A key that every request carries is never absent; the other one may be.
    let stricter = |key: &str| {
        let tail =
            format!(r#""Action": "a:b", "Resource": "*", "Condition": {{"Bool": {{"{key}": "false"}}}}}}"#);
        let plain = r#"{"Effect": "Allow", "Action": "a:b", "Resource": "*", "Condition": {"Bool": {"KEY": "true"}}}"#;
        let deny =
            format!(r#"{{"Effect": "Allow", "Action": "a:b", "Resource": "*"}}, {{"Effect": "Deny", {tail}"#);
        (plain.replace("KEY", key), deny)
    };
    let (allow, deny) = stricter("acs:MFAPresent");
    assert_eq!(compare(&allow, &deny).only_b.verdict, Verdict::Nothing);
    let (allow, deny) = stricter("k:flag");
    assert_eq!(compare(&allow, &deny).only_b.verdict, Verdict::Something);
    let vocabulary = Vocabulary::new().with_key("k:flag", ValueType::Boolean, Presence::Always);
    assert_eq!(diff(&identity(&allow), &identity(&deny), &vocabulary).only_b.verdict, Verdict::Nothing);

    // Compared as text and as a number at once, the values cannot all be tried.
    let mixed = r#"{"Effect": "Allow", "Action": "a:b", "Resource": "*", "Condition": {"NumericLessThan": {"k:n": "3"}, "StringLike": {"k:n": "1*"}}}"#;
    assert!(compare(mixed, mixed).only_b.bounds[0].starts_with("k:n is compared in several ways"));
}

/// `self` and the owner's ARN are two values of one request: A allows it, B never does.
#[test]
fn that_a_key_has_one_value_is_a_bound_where_it_matters_also_without_any_difference() {
    let allow = |condition: &str| {
        format!(r#"{{"Effect": "Allow", "Action": "a:b", "Resource": "*", "Condition": {{{condition}}}}}"#)
    };
    let a = allow(r#""StringEquals": {"KEY": "self"}, "StringLike": {"KEY": "acs:*"}"#);
    let b = allow(r#""StringEquals": {"KEY": "nobody"}, "StringLike": {"KEY": "acs:*"}"#);
    let (a, b) = (a.as_str(), b.as_str());
    let mut context = Context::new();
    context.insert_all("k:owner", ["self", "acs:ram::1:user/al"].map(Into::into));
    let request =
        Request { principal: "acs:ram::1:user/al", action: "a:b", resource: "*", context: &context };
    assert!(evaluate(&layers(&a.replace("KEY", "k:owner")), &request).is_allow());
    assert!(!evaluate(&layers(&b.replace("KEY", "k:owner")), &request).is_allow());

    let bounds = |key: &str, vocabulary: &Vocabulary| {
        let [a, b] = [a, b].map(|statements| identity(&statements.replace("KEY", key)));
        let difference = diff(&a, &b, vocabulary);
        assert_eq!(difference.only_a.verdict, Verdict::Nothing, "{difference}");
        assert_eq!(difference.only_a.bounds, difference.only_b.bounds);
        let text = difference.to_string();
        assert!(difference.only_a.bounds.iter().all(|bound| text.contains(bound)), "{text}");
        difference.only_a.bounds
    };
    let with = Vocabulary::new().with_key("k:one", ValueType::Text, Presence::Sometimes).with_key_of_several(
        "k:many",
        ValueType::Text,
        Presence::Sometimes,
    );
    let bound = |key: &str| format!("{key} is taken to have one value; a product may set several");
    assert_eq!(bounds("k:owner", &with), [bound("k:owner")], "nobody told of it");
    assert_eq!(bounds("k:many", &with), [bound("k:many")]);
    assert_eq!(bounds("k:one", &with), [""; 0]);
    assert_eq!(bounds("acs:PrincipalARN", &with), [""; 0]);

    // One test, in whatever statements it stands, sees no difference between one value and several.
    let one = allow(r#""StringLike": {"k:owner": ["a*", "b*"]}"#);
    assert!(compare(&one, &format!("{one}, {one}")).only_b.bounds.is_empty());
}

#[test]
fn unconditional_differences_beside_conditional_statements_depend_on_nothing() {
    let a =
        r#"{"Effect": "Allow", "Action": "a:b", "Resource": "*", "Condition": {"Bool": {"k:x": "true"}}}"#;
    let b = r#"{"Effect": "Allow", "Action": "a:*", "Resource": "*"},
               {"Effect": "Deny", "Action": "a:d", "Resource": "*", "Condition": {"Bool": {"k:y": "true"}}}"#;
    let difference = compare(a, b);
    assert_eq!(difference.only_b.gaps.len(), 1);
    assert!(difference.only_b.gaps[0].depends_on.is_empty());
    assert!(difference.only_b.bounds.is_empty());
}

#[test]
fn trust_policies_differ_by_their_principals() {
    let trust = |principal: &str| {
        set(
            "t",
            &format!(r#"{{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {principal}}}"#),
            DocumentKind::Trust,
        )
    };
    let wide = trust(r#"{"RAM": "acs:ram::1234567890123456:root"}"#);
    let narrow =
        trust(r#"{"RAM": ["acs:ram::1234567890123456:user/al", "acs:ram::1234567890123456:role/ops"]}"#);
    let difference = diff(&narrow, &wide, &Vocabulary::new());
    assert_eq!(difference.only_a.verdict, Verdict::Nothing);
    assert_eq!(difference.only_b.gaps.len(), 1, "{difference}");
    let other = trust(r#"{"Service": "ecs.aliyuncs.com"}"#);
    let difference = diff(&wide, &other, &Vocabulary::new());
    assert_eq!(difference.only_b.gaps[0].witness.principal, "ecs.aliyuncs.com");
    assert_eq!(difference.only_a.verdict, Verdict::Something);
}

#[test]
fn beyond_its_limit_the_answer_is_unknown_and_comes_soon() {
    let bomb =
        format!(r#"{{"Effect": "Allow", "Action": "a:b", "Resource": "acs:x:*:*:*a{}"}}"#, "?".repeat(60));
    let start = Instant::now();
    let difference = compare(&bomb, r#"{"Effect": "Allow", "Action": "a:*", "Resource": "*"}"#);
    assert!(
        matches!(&difference.only_b.verdict, Verdict::Unknown { why } if why.contains("compare smaller policies"))
    );
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

#[test]
fn policies_of_an_ordinary_size_are_compared_to_the_end() {
    let statements = |count: usize| -> String {
        let one = |n: usize| {
            let verb = ["View*", "Get*", "Set*", "List*", "*Record?"][n % 5];
            let condition = match n % 10 {
                3 => format!(r#", "Condition": {{"IpAddress": {{"acs:SourceIp": "10.{n}.0.0/16"}}}}"#),
                7 => format!(
                    r#", "Condition": {{"StringLike": {{"acs:PrincipalARN": "acs:ram::*:user/team-{n}-*"}}}}"#
                ),
                _ => String::new(),
            };
            let effect = if n % 11 == 5 { "Deny" } else { "Allow" };
            format!(
                r#"{{"Effect": "{effect}", "Action": ["ecs-workbench:{verb}", "ecs:Describe{n}*"], "Resource": "acs:ecs-workbench:cn-{}:*:workbench/i-bp{n}*"{condition}}}"#,
                ["hangzhou", "beijing", "*"][n % 3]
            )
        };
        (0..count).map(one).collect::<Vec<_>>().join(",")
    };
    // As one document each would be too long, they come as many.
    let set = |count: usize| {
        let documents = statements(count);
        let parts: Vec<&str> = documents.split(r#",{"Effect""#).collect();
        let named = parts.iter().enumerate().map(|(n, part)| {
            let statement = if n == 0 { (*part).to_owned() } else { format!(r#"{{"Effect"{part}"#) };
            let text = format!(r#"{{"Version": "1", "Statement": [{statement}]}}"#);
            (
                Arc::from("p"),
                Arc::new(PolicyDocument::parse(text.as_bytes(), DocumentKind::Identity).expect("valid")),
            )
        });
        PolicySet::new(named.collect())
    };
    let difference = diff(&set(79), &set(80), &Vocabulary::new());
    assert_eq!(difference.only_a.verdict, Verdict::Nothing, "{difference}");
    assert_eq!(difference.only_b.verdict, Verdict::Something);
}

fn pattern(part: &'static str, size: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(part.chars().collect::<Vec<_>>()), size)
        .prop_map(|characters| characters.into_iter().collect())
}

fn statement() -> impl Strategy<Value = String> {
    let one = |choices: &'static [&'static str]| prop::sample::select(choices);
    let action = prop_oneof![
        1 => Just("*".to_owned()),
        6 => (pattern("a*?", 1..2), pattern("ab*?", 1..4)).prop_map(|(service, name)| format!("{service}:{name}")),
    ];
    let resource = prop_oneof![
        1 => Just("*".to_owned()),
        6 => (pattern("x*", 1..2), pattern("xy*?", 1..4)).prop_map(|(account, name)| format!("acs:s:*:{account}:{name}")),
    ];
    (
        one(&["Allow", "Allow", "Deny"]),
        one(&["Action", "Action", "NotAction"]),
        prop::collection::vec(action, 1..3),
        one(&["Resource", "Resource", "NotResource"]),
        prop::collection::vec(resource, 1..3),
        one(&[
            "",
            "",
            "",
            r#", "Condition": {"Bool": {"k:b": "true"}}"#,
            r#", "Condition": {"StringLike": {"k:t": ["p*", "*q"]}}"#,
            r#", "Condition": {"StringNotEquals": {"k:t": ["pq", "r"]}}"#,
            r#", "Condition": {"NumericGreaterThanEquals": {"k:n": "-1"}, "NumericLessThan": {"k:n": "2"}}"#,
        ]),
    )
        .prop_map(|(effect, action, actions, resource, resources, condition)| {
            format!(
                r#"{{"Effect": "{effect}", "{action}": {actions:?}, "{resource}": {resources:?}{condition}}}"#
            )
        })
}

fn texts(alphabet: &str, longest: usize) -> Vec<String> {
    let mut texts = vec![String::new()];
    for at in 0.. {
        if texts[at].len() == longest {
            break;
        }
        for c in alphabet.chars() {
            texts.push(format!("{}{c}", texts[at]));
        }
    }
    texts.remove(0);
    texts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Exhaustive over small alphabets: whatever differs there is found, and whatever is found is real.
    #[test]
    fn brute_force_finds_no_more_and_every_witness_is_real(
        a in prop::collection::vec(statement(), 1..4),
        b in prop::collection::vec(statement(), 1..4),
    ) {
        let (a, b) = (a.join(","), b.join(","));
        let difference = compare(&a, &b);
        let (of_a, of_b) = (layers(&a), layers(&b));
        for (direction, allowing, refusing) in [(&difference.only_a, &of_a, &of_b), (&difference.only_b, &of_b, &of_a)] {
            if let Err(wrong) = confirm(direction, allowing, refusing) {
                prop_assert!(false, "{wrong}\nA: {a}\nB: {b}");
            }
            prop_assert!(!direction.bounds.iter().any(|bound| bound.contains("does not confirm")), "{:?}", direction.bounds);
        }
        let mut contexts = Vec::new();
        for flag in [None, Some("true"), Some("false")] {
            for text in [None, Some("pq"), Some("p"), Some("q"), Some("r")] {
                for number in [None, Some("-1"), Some("-1.5"), Some("2"), Some("0")] {
                    let mut context = Context::new();
                    for (key, value) in [("k:b", flag), ("k:t", text), ("k:n", number)] {
                        if let Some(value) = value {
                            context.insert(key, value);
                        }
                    }
                    contexts.push(context);
                }
            }
        }
        let mut resources: Vec<String> = texts("xyz", 3).into_iter().map(|name| format!("acs:s:r:x:{name}")).collect();
        resources.extend(["*", "acs:s:r:y:x", "acs:s:r::yx", "acs:t::x:xx"].map(str::to_owned));
        let (mut more_in_a, mut more_in_b) = (false, false);
        for service in ["a", "b"] {
            for name in texts("abc", 3) {
                let action = format!("{service}:{name}");
                for resource in &resources {
                    // The contexts are many; only where some statement has a condition do they matter.
                    let some = if a.contains("Condition") || b.contains("Condition") { contexts.len() } else { 1 };
                    let step = if name.len() + resource.len() > 13 { 7 } else { 1 };
                    for context in contexts[..some].iter().step_by(step) {
                        let request = Request { principal: "acs:ram::1:user/al", action: &action, resource, context };
                        let (in_a, in_b) = (evaluate(&of_a, &request).is_allow(), evaluate(&of_b, &request).is_allow());
                        more_in_a |= in_a && !in_b;
                        more_in_b |= in_b && !in_a;
                    }
                    if more_in_a && more_in_b {
                        break;
                    }
                }
            }
        }
        prop_assert!(!more_in_a || difference.only_a.verdict == Verdict::Something, "A: {a}\nB: {b}\n{difference}");
        prop_assert!(!more_in_b || difference.only_b.verdict == Verdict::Something, "A: {a}\nB: {b}\n{difference}");
    }
}
