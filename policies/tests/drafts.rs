//! Documents that are stored nowhere, as the layers of a principal.

use policies::{Context, Decision, Draft, Drafts, Outcome, Request, evaluate};

const USER: &str = "acs:ram::1234567890123456:user/al";
const ROOT: &str = "acs:ram::1234567890123456:root";

fn draft(name: &str, text: &str) -> Draft {
    Draft { name: name.to_owned(), text: text.as_bytes().to_vec() }
}

fn statement(effect: &str, action: &str) -> String {
    format!(r#"{{"Version":"1","Statement":[{{"Effect":"{effect}","Action":"{action}","Resource":"*"}}]}}"#)
}

fn decide(drafts: &Drafts, principal: &str, action: &str) -> Decision {
    let context = Context::new();
    let layers = drafts.layers(principal).expect("valid drafts");
    evaluate(&layers, &Request { principal, action, resource: "*", context: &context })
}

#[test]
fn each_document_is_in_its_layer() {
    let allow = Drafts { identity: vec![draft("a.json", &statement("Allow", "a:*"))], ..Drafts::default() };
    let decision = decide(&allow, USER, "a:b");
    assert!(
        matches!(&decision, Decision::Allow { by } if by.to_string().ends_with("a.json#0")),
        "{decision:?}"
    );
    let session = Drafts { session: Some(draft("s", &statement("Allow", "a:c"))), ..allow.clone() };
    assert_eq!(decide(&session, USER, "a:b").policy_type().expect("a type").as_str(), "SessionPolicy");
    assert!(decide(&session, USER, "a:c").is_allow());
    let control = Drafts { control: vec![draft("c", &statement("Deny", "a:b"))], ..allow.clone() };
    assert_eq!(decide(&control, USER, "a:b").outcome(), Outcome::ExplicitDeny);
    let trust = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"RAM":"acs:ram::1234567890123456:root"}}]}"#;
    let assume = Drafts {
        identity: vec![draft("i", &statement("Allow", "sts:*"))],
        trust: Some(draft("t", trust)),
        ..Drafts::default()
    };
    assert!(decide(&assume, USER, "sts:AssumeRole").is_allow());
    assert!(!decide(&assume, "acs:ram::9234567890123456:user/al", "sts:AssumeRole").is_allow());
}

#[test]
fn an_owner_needs_no_document() {
    assert!(Drafts::default().is_empty());
    assert!(decide(&Drafts::default(), ROOT, "a:b").is_allow());
    assert_eq!(decide(&Drafts::default(), USER, "a:b").outcome(), Outcome::ImplicitDeny);
}

#[test]
fn drafts_are_added_to_present_policies() {
    let present = Drafts {
        identity: vec![draft("old", &statement("Allow", "a:b"))],
        control: vec![draft("level", &statement("Allow", "a:*"))],
        session: Some(draft("old session", &statement("Allow", "a:*"))),
        ..Drafts::default()
    };
    let more = Drafts { identity: vec![draft("new", &statement("Allow", "*"))], ..Drafts::default() };
    let layers = more.beside(present.layers(USER).expect("valid")).expect("valid");
    let context = Context::new();
    let allowed =
        |action| evaluate(&layers, &Request { principal: USER, action, resource: "*", context: &context });
    assert!(allowed("a:b").is_allow());
    assert!(allowed("a:z").is_allow(), "the new one allows it");
    assert!(!allowed("b:z").is_allow(), "the session and the level that were there still bind");
}

#[test]
fn a_refused_draft_is_named() {
    let drafts = Drafts { identity: vec![draft("bad.json", "{\n}")], control: vec![], ..Drafts::default() };
    let refused = drafts.layers(USER).expect_err("refused").to_string();
    assert!(refused.starts_with("bad.json: line 1, column 1: "), "{refused}");
}
