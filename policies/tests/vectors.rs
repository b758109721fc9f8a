//! The published cases: what is decided, and what is refused for which reason.

use std::sync::Arc;

use base64::Engine;
use policies::{
    Context, ContextValue, Decision, DocumentKind, Layers, PolicyDocument, PolicySet, Reason, Request,
    evaluate,
};
use serde_json::Value;

fn cases(text: &str) -> Vec<Value> {
    serde_json::from_str(text).expect("a list of cases")
}

fn set(documents: &[Value], kind: DocumentKind) -> PolicySet {
    let named = documents.iter().enumerate().map(|(index, document)| {
        let text = document.to_string();
        let parsed =
            PolicyDocument::parse(text.as_bytes(), kind).unwrap_or_else(|error| panic!("{error}\n{text}"));
        (Arc::from(format!("policy-{index}")), Arc::new(parsed))
    });
    PolicySet::new(named.collect())
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} of {value}"))
}

fn decide(case: &Value) -> Decision {
    let request = &case["request"];
    let mut context = Context::new();
    for (key, value) in request["context"].as_object().expect("a context") {
        context.insert(key, ContextValue::from(value.as_str().expect("a string")));
    }
    let principal = text(request, "principal");
    let single = |name: &str, kind| case.get(name).map(|document| set(std::slice::from_ref(document), kind));
    let layers = Layers {
        owner: principal.ends_with(":root"),
        control: case
            .get("control_policies")
            .map(|documents| vec![set(documents.as_array().expect("a list"), DocumentKind::Control)])
            .unwrap_or_default(),
        session: single("session_policy", DocumentKind::Session),
        identity: set(case["policies"].as_array().expect("a list"), DocumentKind::Identity),
        trust: single("trust_policy", DocumentKind::Trust),
    };
    let (action, resource) = (text(request, "action"), text(request, "resource"));
    evaluate(&layers, &Request { principal, action, resource, context: &context })
}

#[test]
fn every_published_decision_comes_out_as_expected() {
    let (mut certain, mut ambiguous) = (0, 0);
    for case in cases(include_str!("vectors/decision_vectors.json")) {
        let decision = decide(&case);
        let (id, note, expected) = (text(&case, "id"), text(&case, "note"), text(&case, "expect"));
        // The ambiguous ones are the vendor's silence; our choice is the expectation written in the file.
        if case["ambiguous"] == Value::Bool(true) {
            ambiguous += 1;
            println!("{id} (ambiguous) {note}: {decision:?}");
        } else {
            certain += 1;
        }
        assert_eq!(decision.outcome().as_str(), expected, "{id} {note}: {decision:?}");
    }
    assert_eq!((certain, ambiguous), (79, 5));
}

#[test]
fn every_published_invalid_document_is_refused_for_its_reason_and_at_its_place() {
    use Reason::*;
    let expected = [
        ("IS001", MissingElement, ""),
        ("IS002", InvalidVersion, "/Version"),
        ("IS003", DataTypeMismatch, "/Version"),
        ("IS004", MissingElement, ""),
        ("IS005", EmptyList, "/Statement"),
        ("IS006", MissingElement, "/Statement/0"),
        ("IS007", UnknownElement, "/Comment"),
        ("IS008", UnknownElement, "/Statement/0/Resources"),
        ("IS009", MissingElement, "/Statement/0"),
        ("IS010", InvalidEffect, "/Statement/0/Effect"),
        ("IS011", MissingElement, "/Statement/0"),
        ("IS012", ConflictingElements, "/Statement/0/NotAction"),
        ("IS013", MissingElement, "/Statement/0"),
        ("IS014", EmptyList, "/Statement/0/Action"),
        ("IS015", InvalidAction, "/Statement/0/Action"),
        ("IS016", InvalidArnPrefix, "/Statement/0/Resource"),
        ("IS017", ElementNotAllowedHere, "/Statement/0/Principal"),
        ("IS018", InvalidConditionOperator, "/Statement/0/Condition/StringMatches"),
        ("IS019", InvalidConditionOperator, "/Statement/0/Condition/StringEqualsIfExists"),
        ("IS020", InvalidConditionOperator, "/Statement/0/Condition/ForAnyValue:StringEquals"),
        ("IS021", InvalidConditionValue, "/Statement/0/Condition/IpAddress/acs:SourceIp"),
        ("IS022", InvalidConditionValue, "/Statement/0/Condition/IpAddress/acs:SourceIp"),
        ("IS023", MultipleBooleanValues, "/Statement/0/Condition/Bool/acs:MFAPresent"),
        ("IS024", InvalidConditionKey, "/Statement/0/Condition/StringEquals/SourceVpc"),
        ("IS025", TrailingText, ""),
        ("IS026", DuplicateElement, "/Statement/0/Effect"),
        ("IS027", TooLong, ""),
        ("IS028", NotUtf8, ""),
        ("IS029", NotJson, ""),
        ("IS030", EmptyText, ""),
        ("IS031", TooLong, ""),
        ("IS032", MissingElement, "/Statement/0"),
    ];
    let cases = cases(include_str!("vectors/invalid_policies.json"));
    assert_eq!(cases.len(), expected.len());
    for (case, (id, reason, pointer)) in cases.iter().zip(expected) {
        assert_eq!(text(case, "id"), id);
        let kind = match case.get("kind").and_then(Value::as_str) {
            None => DocumentKind::Identity,
            Some("session") => DocumentKind::Session,
            Some("trust") => DocumentKind::Trust,
            Some(other) => panic!("unknown kind {other}"),
        };
        let bytes = if let Some(encoded) = case.get("document_b64").and_then(Value::as_str) {
            base64::engine::general_purpose::STANDARD.decode(encoded).expect("base64")
        } else if let Some(text) = case.get("document_text").and_then(Value::as_str) {
            text.as_bytes().to_vec()
        } else {
            case["document"].to_string().into_bytes()
        };
        let refused = PolicyDocument::parse(&bytes, kind).expect_err(id);
        assert_eq!((refused.reason, &*refused.pointer), (reason, pointer), "{id}: {refused}");
    }
}
