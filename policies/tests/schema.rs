//! The JSON Schema for editors: it takes what the reader takes, and refuses what a schema can refuse.

use std::sync::LazyLock;

use policies::{DocumentKind, PolicyDocument};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

static SCHEMA: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../schema/ram-policy.schema.json")).expect("JSON"));

/// Whether a value satisfies a schema: the keywords of JSON Schema that ours has, and a panic for any other.
fn satisfies(schema: &Value, value: &Value) -> bool {
    let keywords = schema.as_object().unwrap_or_else(|| panic!("a schema is an object: {schema}"));
    keywords.iter().all(|(keyword, wanted)| keyword_holds(keywords, keyword, wanted, value))
}

fn keyword_holds(schema: &Map<String, Value>, keyword: &str, wanted: &Value, value: &Value) -> bool {
    let list = || wanted.as_array().unwrap_or_else(|| panic!("{keyword} is a list"));
    let at_least =
        |found: Option<usize>| found.is_none_or(|found| found as u64 >= wanted.as_u64().expect("a number"));
    let object = value.as_object();
    match keyword {
        "$schema" | "$defs" | "title" | "description" => true,
        "$ref" => {
            let pointer = wanted.as_str().and_then(|at| at.strip_prefix('#')).expect("a local reference");
            satisfies(SCHEMA.pointer(pointer).unwrap_or_else(|| panic!("{pointer} exists")), value)
        }
        "type" => match wanted.as_str().expect("one type") {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            other => panic!("type {other}"),
        },
        "const" => value == wanted,
        "enum" => list().contains(value),
        "required" => object.is_none_or(|object| {
            list().iter().all(|name| object.contains_key(name.as_str().expect("a name")))
        }),
        "properties" => object.is_none_or(|object| {
            let known = wanted.as_object().expect("an object");
            object.iter().all(|(name, value)| known.get(name).is_none_or(|schema| satisfies(schema, value)))
        }),
        "additionalProperties" => object.is_none_or(|object| {
            let known = schema.get("properties").and_then(Value::as_object);
            let mut others =
                object.iter().filter(|(name, _)| !known.is_some_and(|known| known.contains_key(*name)));
            match wanted {
                Value::Bool(false) => others.next().is_none(),
                schema => others.all(|(_, value)| satisfies(schema, value)),
            }
        }),
        "propertyNames" => {
            object.is_none_or(|object| object.keys().all(|name| satisfies(wanted, &json!(name))))
        }
        "minProperties" => at_least(object.map(Map::len)),
        "items" => {
            value.as_array().is_none_or(|entries| entries.iter().all(|entry| satisfies(wanted, entry)))
        }
        "minItems" => at_least(value.as_array().map(Vec::len)),
        "maxItems" => {
            value.as_array().is_none_or(|entries| entries.len() as u64 <= wanted.as_u64().expect("a number"))
        }
        "pattern" => value.as_str().is_none_or(|text| {
            regex_lite::Regex::new(wanted.as_str().expect("a pattern")).expect("a pattern").is_match(text)
        }),
        "oneOf" => list().iter().filter(|schema| satisfies(schema, value)).count() == 1,
        "anyOf" => list().iter().any(|schema| satisfies(schema, value)),
        "allOf" => list().iter().all(|schema| satisfies(schema, value)),
        "not" => !satisfies(wanted, value),
        other => panic!("the schema has the keyword {other}, which this test does not know"),
    }
}

fn accepts(document: &Value) -> bool {
    satisfies(&SCHEMA, document)
}

fn cases(text: &str) -> Vec<Value> {
    serde_json::from_str(text).expect("a list of cases")
}

#[test]
fn every_published_policy_is_accepted() {
    for case in cases(include_str!("vectors/decision_vectors.json")) {
        let lists = ["policies", "control_policies"].into_iter().filter_map(|name| case.get(name));
        let documents = lists.flat_map(|list| list.as_array().expect("a list"));
        let single = ["session_policy", "trust_policy"].into_iter().filter_map(|name| case.get(name));
        for document in documents.chain(single) {
            assert!(accepts(document), "{}: {document}", case["id"]);
        }
    }
}

#[test]
fn what_is_published_as_invalid_is_refused_as_far_as_a_schema_can() {
    // Too long (two), and what is no JSON or has a name twice: not the business of a schema.
    const BEYOND: [&str; 7] = ["IS025", "IS026", "IS027", "IS028", "IS029", "IS030", "IS031"];
    for case in cases(include_str!("vectors/invalid_policies.json")) {
        let id = case["id"].as_str().expect("an id");
        match case.get("document") {
            Some(document) => assert_eq!(accepts(document), BEYOND.contains(&id), "{case}"),
            None => assert!(BEYOND.contains(&id), "{case}"),
        }
    }
}

#[test]
fn the_lists_of_names_are_those_of_the_reader() {
    let operators = SCHEMA.pointer("/$defs/statement/properties/Condition/properties").expect("operators");
    let operators = operators.as_object().expect("an object");
    assert_eq!(operators.len(), 21);
    for operator in operators.keys() {
        let value = match operator.as_str() {
            name if name.starts_with("Numeric") => "1",
            name if name.starts_with("Date") => "2026-01-01T00:00:00Z",
            "Bool" => "true",
            name if name.ends_with("IpAddress") => "10.0.0.0/8",
            _ => "x",
        };
        let document = |value: &str| {
            json!({"Version": "1", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*",
            "Condition": {operator: {"a:b": [value]}}}]})
        };
        for (value, valid) in [(value, true), ("10.0.0.0/99", operator.starts_with("String"))] {
            let document = document(value);
            let read = PolicyDocument::parse(document.to_string().as_bytes(), DocumentKind::Identity);
            assert_eq!((accepts(&document), read.is_ok()), (valid, valid), "{document}");
        }
    }
    let keys = SCHEMA.pointer("/$defs/conditionKey/anyOf/0/enum").expect("keys").as_array().expect("a list");
    for (key, valid) in keys.iter().map(|key| (key.as_str().expect("a name"), true)).chain([
        ("acs:requesttag/a b", true),
        ("ACS:sourceIP", true),
        ("acs:useragent", true),
        ("acs:AccessID", true),
        ("acs:AccessIds", false),
        ("acs:UserAgent/x", false),
        ("acs:SourceIP6", false),
        ("acs:ResourceTag/", false),
        ("other:any/x", true),
        ("plain", false),
        (":x", false),
        ("a:b c", false),
    ]) {
        let document = json!({"Version": "1", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*",
            "Condition": {"StringEquals": {key: "x"}}}]});
        let read = PolicyDocument::parse(document.to_string().as_bytes(), DocumentKind::Identity);
        assert_eq!((accepts(&document), read.is_ok()), (valid, valid), "{document}");
    }
}

fn one_of(values: Vec<Value>) -> impl Strategy<Value = Value> {
    prop::sample::select(values)
}

proptest! {
    /// What the reader takes the schema takes; an editor must never mark a good policy.
    #[test]
    fn the_schema_accepts_all_that_the_reader_accepts(
        kind in prop::sample::select(vec![DocumentKind::Identity, DocumentKind::Session, DocumentKind::Control, DocumentKind::Trust]),
        effect in one_of(vec![json!("Allow"), json!("Deny")]),
        (action, actions) in (
            prop::sample::select(vec!["Action", "NotAction"]),
            one_of(vec![json!("*"), json!("a:b"), json!(["a:*", "*:?"]), json!(["ecs-workbench:List*"]), json!("a b:c"), json!([])]),
        ),
        (resource, resources) in (
            prop::sample::select(vec!["Resource", "NotResource"]),
            one_of(vec![json!("*"), json!("acs:a:::b c:d"), json!(["acs:a:b:c:d", "acs:*:?*::é\n"]), json!("acs:a:b:c"), json!("acs:a b:::x")]),
        ),
        principal in one_of(vec![
            json!({"RAM": "acs:ram::1:root"}), json!({"RAM": ["acs:sts::1:user/é", "acs:ram::2:role/x.y@z"]}), json!({"RAM": "acs:ram::x:root"}),
            json!({"Federated": ["acs:ram::1:saml-provider/x/y:z"], "Service": "x.y"}), json!({}),
        ]),
        condition in prop::option::of(one_of(vec![
            json!({"Bool": {"a:b": "True"}}), json!({"Bool": {"a:b": ["true"]}}), json!({"Bool": {"a:b": ["true", "false"]}}),
            json!({"StringLike": {"acs:SourceVpc": ["x", ""]}}), json!({"StringLike": {"acs:SourceVpc": []}}), json!({"Null": {"a:b": "true"}}),
            json!({"IpAddress": {"acs:SourceIp": ["::ffff:10.0.0.0/104", "1.2.3.4/32", "::", "2001:db8::/0"]}, "NumericEquals": {"k:k": ["-0.5", "007"]}}),
            json!({"DateLessThan": {"acs:CurrentTime": "2026-02-01T00:00:00.5+08:00"}, "DateEquals": {"ACS:currenttime": "0000-12-31T23:59:59Z"}}),
            json!({}), json!({"Bool": {}}), json!({"StringNotEquals": {"acs:AccessId": "x"}}),
            json!({"StringEquals": {"acs:ResourceTag/any / name": "x", "ecs_x:tag/a b": "y", "a:b:c": "z"}}),
        ])),
        bare in any::<bool>(),
    ) {
        let mut statement = json!({"Effect": effect, action: actions});
        if kind == DocumentKind::Trust {
            statement["Principal"] = principal;
        } else {
            statement[resource] = resources;
        }
        if let Some(condition) = condition {
            statement["Condition"] = condition;
        }
        let statement = if bare { statement } else { json!([statement]) };
        let document = json!({"Version": "1", "Statement": statement});
        let read = PolicyDocument::parse(document.to_string().as_bytes(), kind);
        // Here the schema can tell just as much as the reader.
        prop_assert_eq!(accepts(&document), read.is_ok(), "{} {:?}", document, read.err());
    }
}
