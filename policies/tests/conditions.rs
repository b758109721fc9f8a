//! What each operator accepts, with absent, odd and several values.

use std::sync::Arc;

use policies::{
    Context, ContextValue, Decision, DenyReason, DocumentKind, Layers, PolicyDocument, PolicySet, Request,
    evaluate, keys,
};
use time::macros::datetime;

/// Whether a Deny with this condition applies; None if it cannot be evaluated.
fn holds(condition: &str, context: &Context) -> Option<bool> {
    let text = format!(
        r#"{{"Version": "1", "Statement": [{{"Effect": "Allow", "Action": "*", "Resource": "*"}},
            {{"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {condition}}}]}}"#
    );
    let document = PolicyDocument::parse(text.as_bytes(), DocumentKind::Identity)
        .unwrap_or_else(|error| panic!("{error}\n{text}"));
    let identity = PolicySet::new(vec![(Arc::from("policy"), Arc::new(document))]);
    let layers = Layers { identity, ..Layers::default() };
    let principal = "acs:ram::1234567890123456:user/alice";
    match evaluate(&layers, &Request { principal, action: "x:Y", resource: "*", context }) {
        Decision::Allow { .. } => Some(false),
        Decision::Deny(DenyReason::ExplicitDeny { .. }) => Some(true),
        Decision::Deny(DenyReason::CannotEvaluate { .. }) => None,
        Decision::Deny(DenyReason::NothingAllows { .. }) => unreachable!("the first statement allows"),
    }
}

#[track_caller]
fn check(operator: &str, wanted: &[&str], found: &str, expected: Option<bool>) {
    let mut context = Context::new();
    context.insert("x:key", found);
    let condition = format!(r#"{{"{operator}": {{"x:Key": {}}}}}"#, serde_json::json!(wanted));
    assert_eq!(holds(&condition, &context), expected, "{operator} {wanted:?} of {found:?}");
}

#[test]
fn each_operator_and_its_negation() {
    for (operator, negation, wanted, fits, does_not) in [
        ("StringEquals", "StringNotEquals", &["a*", "b"][..], "a*", "ab"),
        ("StringEquals", "StringNotEquals", &["a", "b"], "b", "B"),
        ("StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", &["Ab*"], "aB*", "abc"),
        ("StringLike", "StringNotLike", &["a*z", "?"], "a/z", "aZ"),
        ("NumericEquals", "NumericNotEquals", &["1.50", "7"], "01.5", "1.51"),
        (
            "DateEquals",
            "DateNotEquals",
            &["2026-03-01T00:30:00+08:00"],
            "2026-02-28T16:30:00.000Z",
            "2026-03-01T00:30:00Z",
        ),
        ("IpAddress", "NotIpAddress", &["10.0.0.0/8", "2001:db8::/32"], "10.9.9.9", "11.0.0.1"),
        ("IpAddress", "NotIpAddress", &["10.0.0.0/8"], "::ffff:10.1.1.1", "::ffff:11.1.1.1"),
        ("IpAddress", "NotIpAddress", &["0.0.0.0/0"], "203.0.113.1", "2001:db8::1"),
    ] {
        check(operator, wanted, fits, Some(true));
        check(operator, wanted, does_not, Some(false));
        check(negation, wanted, fits, Some(false));
        check(negation, wanted, does_not, Some(true));
    }
}

#[test]
fn bounds() {
    for (kind, low, middle, high) in [
        ("Numeric", "-1", "9.5", "30"),
        ("Date", "2025-12-31T23:59:59Z", "2026-01-01T08:00:00+08:00", "2026-01-01T00:00:00.1Z"),
    ] {
        for (operator, below, equal, above) in [
            ("LessThan", true, false, false),
            ("LessThanEquals", true, true, false),
            ("GreaterThan", false, false, true),
            ("GreaterThanEquals", false, true, true),
        ] {
            let operator = format!("{kind}{operator}");
            check(&operator, &[middle], low, Some(below));
            check(&operator, &[middle], middle, Some(equal));
            check(&operator, &[middle], high, Some(above));
        }
        // Any of several values may fit.
        check(&format!("{kind}LessThan"), &[low, high], middle, Some(true));
    }
}

#[test]
fn bool_has_no_third_answer() {
    check("Bool", &["true"], "True", Some(true));
    check("Bool", &["TRUE"], "true", Some(true));
    check("Bool", &["false"], "true", Some(false));
    check("Bool", &["false"], "FALSE", Some(true));
}

#[test]
fn an_absent_key_fails_a_positive_operator_and_satisfies_a_negated_one() {
    for (operator, value, expected) in [
        ("StringEquals", "", false),
        ("StringLike", "*", false),
        ("NumericLessThan", "1", false),
        ("DateNotEquals", "2026-01-01T00:00:00Z", true),
        ("Bool", "false", false),
        ("IpAddress", "0.0.0.0/0", false),
        ("NotIpAddress", "0.0.0.0/0", true),
        ("StringNotLike", "*", true),
        ("NumericNotEquals", "1", true),
    ] {
        let condition = format!(r#"{{"{operator}": {{"x:key": "{value}"}}}}"#);
        assert_eq!(holds(&condition, &Context::new()), Some(expected), "{operator}");
    }
}

#[test]
fn a_value_that_cannot_be_read_is_neither() {
    for (operator, value) in [
        ("NumericEquals", "1"),
        ("NumericNotEquals", "1"),
        ("DateLessThan", "2026-01-01T00:00:00Z"),
        ("DateNotEquals", "2026-01-01T00:00:00Z"),
        ("Bool", "true"),
        ("IpAddress", "0.0.0.0/0"),
        ("NotIpAddress", "0.0.0.0/0"),
    ] {
        check(operator, &[value], "gibberish", None);
    }
}

#[test]
fn one_of_several_values_may_match_and_none_for_a_negated_operator() {
    let mut context = Context::new();
    context.insert_all("x:teams", ["dev", "ops"].map(ContextValue::from));
    for (condition, expected) in [
        (r#"{"StringEquals": {"x:teams": "ops"}}"#, true),
        (r#"{"StringEquals": {"x:teams": ["qa", "sales"]}}"#, false),
        (r#"{"StringNotEquals": {"x:teams": "ops"}}"#, false),
        (r#"{"StringNotEquals": {"x:teams": ["qa", "sales"]}}"#, true),
    ] {
        assert_eq!(holds(condition, &context), Some(expected), "{condition}");
    }
    context.insert_all("x:teams", []);
    assert!(context.values("x:teams").is_empty());
}

#[test]
fn typed_values_read_like_their_texts() {
    let mut context = Context::new();
    context.insert(keys::CURRENT_TIME, datetime!(2026-11-20 12:00:00.5 +8));
    context.insert(keys::SECURE_TRANSPORT, true);
    context.insert(keys::SOURCE_IP, "::ffff:192.0.2.7".parse::<std::net::IpAddr>().expect("an address"));
    context.insert("x:minutes", 90_i64);
    context.insert("x:bytes", u64::MAX);
    for condition in [
        r#"{"DateEquals": {"acs:CurrentTime": "2026-11-20T04:00:00.500Z"}}"#,
        r#"{"StringLike": {"acs:CurrentTime": "2026-11-20T12:00:00.5+08:00"}}"#,
        r#"{"Bool": {"acs:SecureTransport": "true"}}"#,
        r#"{"IpAddress": {"acs:SourceIp": "192.0.2.0/24"}}"#,
        r#"{"StringEquals": {"ACS:SOURCEIP": "192.0.2.7"}}"#,
        r#"{"NumericGreaterThan": {"x:minutes": "89.999"}}"#,
        r#"{"NumericEquals": {"x:bytes": "18446744073709551615"}}"#,
    ] {
        assert_eq!(holds(condition, &context), Some(true), "{condition}");
    }
    // The last value set counts, in whatever case the key is written.
    context.insert("X:Minutes", 10_i64);
    assert_eq!(holds(r#"{"NumericEquals": {"x:minutes": "10"}}"#, &context), Some(true));
    assert_eq!(context.iter().count(), 5);
}
