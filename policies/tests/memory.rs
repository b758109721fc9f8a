//! What a compiled document says of its memory is what it takes, for those who keep many within bounds.
#![allow(unsafe_code, reason = "counting allocations takes an allocator, which is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use policies::{DocumentKind, PolicyDocument, PolicySet};

struct Counting;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

// SAFETY: every call goes unchanged to the system's allocator; the counter neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.with(|live| live.set(live.get() + layout.size() as isize));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.with(|live| live.set(live.get() - layout.size() as isize));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// What `make` made, and the bytes of the heap that it keeps.
fn kept<T>(make: impl FnOnce() -> T) -> (T, usize) {
    let before = LIVE.with(Cell::get);
    let made = make();
    let kept = LIVE.with(Cell::get) - before;
    (made, usize::try_from(kept).expect("it keeps something"))
}

fn holds(said: usize, kept: usize, what: &str) {
    // Not less than what it takes, and not more than the allocator's share on top of it.
    assert!((kept..=kept * 2).contains(&said), "{said} said, {kept} kept: {what}");
}

#[test]
fn a_document_says_how_much_memory_it_takes() {
    let statement = |action: &str, resource: &str, condition: &str| {
        format!(
            r#"{{"Version": "1", "Statement": [{{"Effect": "Allow", "Action": {action}, "Resource": {resource}, "Condition": {condition}}}]}}"#
        )
    };
    let plain = r#"{"Bool": {"acs:MFAPresent": "true"}}"#;
    let many = |entry: &str| format!("[{}]", vec![format!("{entry:?}"); 100].join(","));
    let trust = r#"{"Version": "1", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"RAM": ["acs:ram::1:root", "acs:ram::1:user/alice", "acs:ram::1:role/reader"], "Service": "ecs.aliyuncs.com"}}}"#;
    for (text, kind) in [
        (statement(r#""*""#, r#""*""#, plain), DocumentKind::Identity),
        (statement(&many("ecs-workbench:List*"), &many("*"), plain), DocumentKind::Identity),
        (statement(&many("*"), &many("acs:a:*:?:x*y*z"), plain), DocumentKind::Identity),
        // Tables for the search dwarf the text.
        (statement(r#""*""#, &many("acs:a:*:*:*a piece that is long*"), plain), DocumentKind::Identity),
        (
            statement(
                r#""*""#,
                r#""*""#,
                &format!(
                    r#"{{"NumericEquals": {{"a:b": {}}}, "IpAddress": {{"acs:SourceIp": {}}}}}"#,
                    many("1.5"),
                    many("::1")
                ),
            ),
            DocumentKind::Identity,
        ),
        (
            statement(
                r#""*""#,
                r#""*""#,
                &format!(
                    r#"{{"StringLike": {{"a:b": {}}}, "DateEquals": {{"a:d": {}}}}}"#,
                    many("a?b"),
                    many("2026-11-20T12:00:00Z")
                ),
            ),
            DocumentKind::Identity,
        ),
        (trust.to_owned(), DocumentKind::Trust),
    ] {
        let (document, kept) = kept(|| Box::new(PolicyDocument::parse(text.as_bytes(), kind).expect(&text)));
        holds(document.memory(), kept, &text);
    }
}

#[test]
fn a_set_says_how_much_memory_it_takes_beside_its_documents() {
    let text = r#"{"Version": "1", "Statement": [
        {"Effect": "Allow", "Action": ["a:*", "b:x", "c:y"], "Resource": "*"},
        {"Effect": "Deny", "Action": ["b:x", "*"], "Resource": "*"},
        {"Effect": "Deny", "Action": "b:x", "Resource": "*"}]}"#;
    let document =
        Arc::new(PolicyDocument::parse(text.as_bytes(), DocumentKind::Identity).expect("a valid document"));
    let name: Arc<str> = Arc::from("policy");
    for count in [1, 10, 100] {
        let named = || vec![(Arc::clone(&name), Arc::clone(&document)); count];
        let (set, kept) = kept(|| PolicySet::new(named()));
        holds(set.memory(), kept, &format!("{count} policies"));
    }
}
