//! Deciding allocates nothing, whatever the outcome and whatever the pattern.
#![allow(unsafe_code, reason = "counting allocations takes an allocator, which is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use policies::{Context, DocumentKind, Layers, Outcome, PolicyDocument, PolicySet, Request, evaluate};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes unchanged to the system's allocator; the counter neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn set(text: &str, kind: DocumentKind) -> PolicySet {
    let document = PolicyDocument::parse(text.as_bytes(), kind).expect("a valid document");
    PolicySet::new(vec![(Arc::from("policy"), Arc::new(document))])
}

#[test]
fn deciding_allocates_nothing() {
    let identity = r#"{"Version": "1", "Statement": [
        {"Effect": "Allow", "Action": "ecs-workbench:*", "Resource": "*", "Condition": {
            "IpAddress": {"acs:SourceIp": ["10.0.0.0/8", "2001:db8::/32"]},
            "DateLessThan": {"acs:CurrentTime": "2030-01-01T00:00:00+08:00"},
            "NumericLessThan": {"ecs-workbench:Minutes": "30.5"},
            "StringNotLike": {"acs:PrincipalARN": "*?a long piece, for the automaton?*"},
            "StringEqualsIgnoreCase": {"acs:ResourceTag/team": "DEV"},
            "StringLike": {"acs:UserAgent": "*Chrome/1??.*"},
            "StringNotEquals": {"acs:AccessId": "LTAIexample"},
            "Bool": {"acs:MFAPresent": "true"}}},
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*", "Condition": {}},
        {"Effect": "Deny", "Action": "*:Delete*", "NotResource": "acs:ecs-workbench:*:*:*spare?this*one*"},
        {"Effect": "Deny", "Action": "ecs-workbench:Set*", "Resource": "*",
         "Condition": {"NumericGreaterThan": {"ecs-workbench:Broken": "1"}}}]}"#;
    let everything = r#"{"Version": "1", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#;
    let trust = r#"{"Version": "1", "Statement": {"Effect": "Allow", "Action": "*",
        "Principal": {"RAM": "acs:ram::1234567890123456:root"}}}"#;
    let layers = Layers {
        owner: false,
        control: vec![set(everything, DocumentKind::Control)],
        session: Some(set(everything, DocumentKind::Session)),
        identity: set(identity, DocumentKind::Identity),
        trust: Some(set(trust, DocumentKind::Trust)),
    };
    let mut context = Context::new();
    for (key, value) in [
        ("acs:SourceIp", "10.1.2.3"),
        ("acs:CurrentTime", "2026-11-20T12:00:00Z"),
        ("ecs-workbench:Minutes", "9"),
        ("ecs-workbench:Broken", "not a number"),
        ("acs:PrincipalARN", "acs:ram::1234567890123456:user/alice"),
        ("acs:ResourceTag/team", "dev"),
        ("acs:UserAgent", "Mozilla/5.0 (X11; Linux x86_64) Chrome/130.0 Safari/537.36"),
        ("acs:AccessId", "LTAI0123456789"),
        ("acs:MFAPresent", "True"),
    ] {
        context.insert(key, value);
    }
    for (action, expected) in [
        ("ecs-workbench:ViewInstanceRecords", Outcome::Allow),
        ("ecs-workbench:DeleteEverything", Outcome::ExplicitDeny),
        ("ecs-workbench:SetInstanceRecordConfig", Outcome::ExplicitDeny),
        ("ram:GetUser", Outcome::ImplicitDeny),
    ] {
        let request = Request {
            principal: "acs:ram::1234567890123456:user/alice",
            action,
            resource: "acs:ecs-workbench:cn-hangzhou:1234567890123456:workbench/i-bp1a",
            context: &context,
        };
        let before = ALLOCATIONS.with(Cell::get);
        let decision = evaluate(&layers, &request);
        let after = ALLOCATIONS.with(Cell::get);
        assert_eq!(decision.outcome(), expected, "{action}: {decision:?}");
        assert_eq!(after - before, 0, "{action}");
    }
}
