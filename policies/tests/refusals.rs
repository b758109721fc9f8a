//! What is refused, why, where, and with which advice; and what looks odd but is accepted.

use policies::{DocumentKind, InvalidPolicy, PolicyDocument, Reason};

fn parse(text: &str, kind: DocumentKind) -> Result<PolicyDocument, InvalidPolicy> {
    PolicyDocument::parse(text.as_bytes(), kind)
}

/// An identity policy of one statement with this tail.
fn with(tail: &str) -> String {
    format!(r#"{{"Version": "1", "Statement": [{{"Effect": "Allow", {tail}}}]}}"#)
}

fn with_condition(condition: &str) -> String {
    with(&format!(r#""Action": "*", "Resource": "*", "Condition": {condition}"#))
}

fn with_principal(principal: &str) -> String {
    with(&format!(r#""Action": "sts:AssumeRole", "Principal": {principal}"#))
}

#[track_caller]
fn refused(text: &str, kind: DocumentKind, reason: Reason, pointer: &str, advice: &str) {
    let error = parse(text, kind).expect_err(text);
    assert_eq!((error.reason, &*error.pointer), (reason, pointer), "{error}\n{text}");
    assert!(error.message.contains(advice), "{advice:?} is not in: {error}");
}

#[test]
fn elements() {
    use Reason::*;
    for (text, reason, pointer, advice) in [
        ("[]", DataTypeMismatch, "", "an object"),
        ("\"x\"", DataTypeMismatch, "", "a policy is a string"),
        (r#"{"Version": "1", "Statement": "x"}"#, DataTypeMismatch, "/Statement", "a list of statements"),
        (
            r#"{"Version": "1", "Statement": ["x"]}"#,
            DataTypeMismatch,
            "/Statement/0",
            "a statement is a string",
        ),
        (r#"{"version": "1", "Statement": []}"#, UnknownElement, "/version", "write Version"),
        (r#"{"Version": "1", "Id": "x", "Statement": []}"#, UnknownElement, "/Id", "AWS"),
        (&with(r#""Sid": "x", "Action": "*", "Resource": "*""#), UnknownElement, "/Statement/0/Sid", "AWS"),
        (&with(r#""action": "*", "Resource": "*""#), UnknownElement, "/Statement/0/action", "write Action"),
        (
            &with(r#""Action": true, "Resource": "*""#),
            DataTypeMismatch,
            "/Statement/0/Action",
            "a string in quotes",
        ),
        (
            &with(r#""Action": ["*", 3], "Resource": "*""#),
            DataTypeMismatch,
            "/Statement/0/Action/1",
            "a string in quotes",
        ),
        (&with(r#""Action": [["*"]], "Resource": "*""#), DataTypeMismatch, "/Statement/0/Action/0", "a list"),
        (&with(r#""Action": "*", "Resource": []"#), EmptyList, "/Statement/0/Resource", "add an entry"),
        (
            &with(r#""Action": "*", "NotResource": "*", "Resource": "*""#),
            ConflictingElements,
            "/Statement/0/Resource",
            "keep one of them",
        ),
        (
            r#"{"Version": "1", "Statement": [{"Effect": null}]}"#,
            DataTypeMismatch,
            "/Statement/0/Effect",
            "is null",
        ),
    ] {
        refused(text, DocumentKind::Identity, reason, pointer, advice);
    }
}

#[test]
fn actions_and_resources() {
    for (action, advice) in [
        ("", "is not an action"),
        ("**", "* alone"),
        ("ecs", "<ram-code>:<action-name>"),
        ("ecs:", "lacks the part"),
        (":List", "lacks the part"),
        ("ecs:a:b", "more than one colon"),
        ("ecs:List Instances", "' '"),
        ("ecs:Get, ecs:List", "more than one colon"),
        ("ecs:Get,List", "','"),
        ("ecs:Ｌist", "'Ｌ'"),
    ] {
        for element in ["Action", "NotAction"] {
            let text = with(&format!(r#""{element}": ["*", "{action}"], "Resource": "*""#));
            let pointer = format!("/Statement/0/{element}/1");
            refused(&text, DocumentKind::Identity, Reason::InvalidAction, &pointer, advice);
        }
    }
    for (resource, reason, advice) in [
        ("", Reason::InvalidArnPrefix, "or * alone"),
        ("**", Reason::InvalidArnPrefix, "or * alone"),
        ("arn:acs:ecs:*:*:*", Reason::InvalidArnPrefix, "AWS"),
        ("*:ecs:*:*:*", Reason::InvalidArnPrefix, "acs:<ram-code>"),
        ("ACS:ecs:*:*:*", Reason::InvalidArnPrefix, "acs:<ram-code>"),
        ("acs:oss:*", Reason::InvalidArn, "lacks parts"),
        ("acs:oss:*:*", Reason::InvalidArn, "lacks parts"),
        ("acs:oss:*:*:", Reason::InvalidArn, "empty"),
        ("acs::*:*:x", Reason::InvalidArn, "empty"),
        ("acs:oss: *:*:x", Reason::InvalidArn, "blank"),
    ] {
        for element in ["Resource", "NotResource"] {
            let text = with(&format!(r#""Action": "*", "{element}": "{resource}""#));
            let pointer = format!("/Statement/0/{element}");
            refused(&text, DocumentKind::Identity, reason, &pointer, advice);
        }
    }
}

#[test]
fn operators_of_other_engines_are_named_with_what_to_write_instead() {
    for (operator, advice) in [
        ("stringEquals", "write StringEquals"),
        ("StringEqualsIfExists", "RAM has no IfExists; write StringEquals"),
        ("BoolIfExists", "write Bool "),
        ("ForAnyValue:StringLike", "RAM has no set operators; write StringLike"),
        ("ForAllValues:StringEquals", "write StringEquals"),
        ("Null", "RAM has no Null"),
        ("ArnLike", "write StringLike"),
        ("ArnNotEquals", "write StringNotLike"),
        ("BinaryEquals", "StringEquals"),
        ("NotBool", "use one of"),
    ] {
        let text = with_condition(&format!(r#"{{"{operator}": {{"acs:SourceVpc": "x"}}}}"#));
        let pointer = format!("/Statement/0/Condition/{operator}");
        refused(&text, DocumentKind::Identity, Reason::InvalidConditionOperator, &pointer, advice);
    }
}

#[test]
fn conditions() {
    use Reason::*;
    for (condition, reason, pointer, advice) in [
        ("[]", DataTypeMismatch, "", "an object"),
        (r#"{"Bool": {}}"#, EmptyCondition, "/Bool", "has no key"),
        (r#"{"Bool": "true"}"#, DataTypeMismatch, "/Bool", "{key: values}"),
        (r#"{"Bool": {"acs:MFAPresent": true}}"#, DataTypeMismatch, "/Bool/acs:MFAPresent", "in quotes"),
        (
            r#"{"Bool": {"acs:MFAPresent": "yes"}}"#,
            InvalidConditionValue,
            "/Bool/acs:MFAPresent",
            "true or false",
        ),
        (
            r#"{"StringEquals": {"acs:SourceVpc": []}}"#,
            EmptyList,
            "/StringEquals/acs:SourceVpc",
            "add an entry",
        ),
        (
            r#"{"NumericEquals": {"x:n": ["1", "1e3"]}}"#,
            InvalidConditionValue,
            "/NumericEquals/x:n/1",
            "decimal",
        ),
        (
            r#"{"DateLessThan": {"acs:CurrentTime": "2026-01-01"}}"#,
            InvalidConditionValue,
            "/DateLessThan/acs:CurrentTime",
            "with offset",
        ),
        (
            r#"{"StringEquals": {"acs:SourceIP/": "x"}}"#,
            UnknownConditionKey,
            "/StringEquals/acs:SourceIP~1",
            "acs:SourceIp",
        ),
        (
            r#"{"StringEquals": {"acs:PrincipalArnn": "x"}}"#,
            UnknownConditionKey,
            "/StringEquals/acs:PrincipalArnn",
            "silent hole",
        ),
        (
            r#"{"StringEquals": {"ACS:TagKeys": "x"}}"#,
            UnknownConditionKey,
            "/StringEquals/ACS:TagKeys",
            "acs:RequestTag/<key>",
        ),
        (
            r#"{"StringEquals": {"acs:ResourceTag/": "x"}}"#,
            UnknownConditionKey,
            "/StringEquals/acs:ResourceTag~1",
            "acs:ResourceTag/<key>",
        ),
        (
            r#"{"StringEquals": {"acs:": "x"}}"#,
            InvalidConditionKey,
            "/StringEquals/acs:",
            "<ram-code>:<name>",
        ),
        (
            r#"{"StringEquals": {"acs:Source Ip": "x"}}"#,
            InvalidConditionKey,
            "/StringEquals/acs:Source Ip",
            "<ram-code>:<name>",
        ),
        (
            r#"{"StringEquals": {"a cs:SourceIp": "x"}}"#,
            InvalidConditionKey,
            "/StringEquals/a cs:SourceIp",
            "<ram-code>:<name>",
        ),
        (
            r#"{"StringEquals": {"acs:SourceVpc": "x", "ACS:sourcevpc": "y"}}"#,
            DuplicateConditionKey,
            "/StringEquals/ACS:sourcevpc",
            "the same key",
        ),
    ] {
        let pointer = format!("/Statement/0/Condition{pointer}");
        refused(&with_condition(condition), DocumentKind::Identity, reason, &pointer, advice);
    }
}

#[test]
fn trust_policies() {
    use Reason::*;
    let statement =
        r#""Action": "sts:AssumeRole", "Principal": {"Service": "ecs.aliyuncs.com"}, "Resource": "*""#;
    refused(
        &with(statement),
        DocumentKind::Trust,
        ElementNotAllowedHere,
        "/Statement/0/Resource",
        "remove it",
    );
    for (principal, reason, pointer, advice) in [
        (r#""*""#, InvalidPrincipal, "", "must not trust everybody"),
        (r#"{}"#, InvalidPrincipal, "", "names nobody"),
        (r#"{"RAM": "*"}"#, InvalidPrincipal, "/RAM", "wildcard"),
        (
            r#"{"RAM": ["acs:ram::1234567890123456:root", "acs:ram::*:root"]}"#,
            InvalidPrincipal,
            "/RAM/1",
            "wildcard",
        ),
        (r#"{"RAM": "acs:ram::1234567890123456:user/"}"#, InvalidPrincipal, "/RAM", "not a RAM principal"),
        (r#"{"RAM": "acs:ram::alice:root"}"#, InvalidPrincipal, "/RAM", "not a RAM principal"),
        (r#"{"RAM": "alice"}"#, InvalidPrincipal, "/RAM", "not a RAM principal"),
        (r#"{"RAM": []}"#, EmptyList, "/RAM", "add an entry"),
        (r#"{"Service": "ecs"}"#, InvalidPrincipal, "/Service", "domain name"),
        (r#"{"Federated": "adfs"}"#, InvalidPrincipal, "/Federated", "saml-provider"),
        (r#"{"AWS": "123"}"#, UnknownElement, "/AWS", "write RAM"),
        (r#"{"ram": "x"}"#, UnknownElement, "/ram", "write RAM"),
    ] {
        let pointer = format!("/Statement/0/Principal{pointer}");
        refused(&with_principal(principal), DocumentKind::Trust, reason, &pointer, advice);
    }
}

#[test]
fn length_counts_unicode_characters_of_the_whole_text() {
    for (kind, limit) in [
        (DocumentKind::Identity, 6_144),
        (DocumentKind::Control, 6_144),
        (DocumentKind::Trust, 6_144),
        (DocumentKind::Session, 2_048),
    ] {
        let text = match kind {
            DocumentKind::Trust => with_principal(r#"{"Service": "ecs.aliyuncs.com"}"#),
            _ => with(r#""Action": "*", "Resource": ["*", "acs:oss:*:*:😀é"]"#),
        };
        let room = limit - text.chars().count();
        assert!(parse(&format!("{text}{}", " ".repeat(room)), kind).is_ok());
        let error = parse(&format!("{text}{}", " ".repeat(room + 1)), kind).expect_err("one too many");
        assert_eq!(error.reason, Reason::TooLong);
        assert!(error.message.contains(&format!("has {} characters; at most {limit}", limit + 1)), "{error}");
        // Far beyond, nobody looks whether it is UTF-8.
        let error = PolicyDocument::parse(&vec![0xff; limit * 4 + 1], kind).expect_err("far too long");
        assert_eq!(error.reason, Reason::TooLong);
    }
}

#[test]
fn positions_count_lines_and_characters() {
    let text = "{\n  \"Version\": \"1\",\n  \"Statement\": {\"Effect\": \"Allow\",\r\n\t\"Action\": [\"é😀:x\"], \"Resource\": \"*\"}\n}";
    let error = parse(text, DocumentKind::Identity).expect_err("an action with other letters");
    assert_eq!((error.line, error.column, &*error.pointer), (4, 13, "/Statement/Action/0"));
    let error =
        PolicyDocument::parse(b"{\n \"\xc3\xa9\xff\": 1}", DocumentKind::Identity).expect_err("not UTF-8");
    assert_eq!((error.reason, error.line, error.column), (Reason::NotUtf8, 2, 4));
    assert_eq!(
        error.to_string(),
        "line 2, column 4: the document is not UTF-8 from here on; save it as UTF-8"
    );
}

#[test]
fn odd_but_accepted() {
    for text in [
        // A bare statement, elements in another order, a single value everywhere.
        r#"{"Statement": {"Resource": "*", "Effect": "Deny", "Action": "*"}, "Version": "1"}"#.to_owned(),
        with(r#""NotAction": "*:Get*", "NotResource": ["acs:ram::1234567890123456:user/bob"]"#),
        with(r#""Action": "*:*", "Resource": "acs:oss:*:*:bucket/my file:with colons""#),
        with_condition(
            r#"{"IpAddress": {"acs:SourceIp": ["10.0.0.1/8", "192.0.2.7/32", "::1", "0.0.0.0/0"]}}"#,
        ),
        with_condition(
            r#"{"StringLike": {"acs:ResourceTag/cost center": "", "ecs:tag/x": "${acs:PrincipalARN}"}}"#,
        ),
        with_condition(
            r#"{"Bool": {"acs:MFAPresent": ["true"]}, "StringEquals": {"acs:MFAPresent": "false"}}"#,
        ),
        with_condition(r#"{"DateEquals": {"ACS:CURRENTTIME": "2019-08-12T17:00:00.25+08:00"}}"#),
        with_condition(r#"{"StringEquals": {"ecs-workbench:SessionOwner": "alice", "saml:recipient": "x"}}"#),
    ] {
        for kind in [DocumentKind::Identity, DocumentKind::Session, DocumentKind::Control] {
            let document = parse(&text, kind).unwrap_or_else(|error| panic!("{error}\n{text}"));
            assert_eq!((document.kind(), document.statement_count()), (kind, 1));
        }
    }
}
