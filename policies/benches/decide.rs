//! Time per decision: `cargo bench -p policies`.
//!
//! The question is the one of `workload`, which other engines are asked in the bench `other_engines`.

mod workload;

use std::hint::black_box;
use std::sync::Arc;

use divan::{AllocProfiler, Bencher};
use policies::{
    Context, DocumentKind, Layers, PolicyDocument, PolicySet, Request, ResourcePattern, could_deny, evaluate,
};

use workload::ram::{context, documents, layers, request};
use workload::{ADDRESSES, STATEMENTS};

/// Shows that deciding allocates nothing: divan prints no allocation lines for `decide`.
#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

#[divan::bench(args = STATEMENTS)]
fn decide_allow(bencher: Bencher<'_, '_>, statements: usize) {
    let (layers, context) = (layers(statements), context(ADDRESSES[0]));
    assert!(evaluate(&layers, &request(&context)).is_allow());
    bencher.bench_local(|| evaluate(black_box(&layers), black_box(&request(&context))));
}

#[divan::bench(args = STATEMENTS)]
fn decide_deny(bencher: Bencher<'_, '_>, statements: usize) {
    let (layers, context) = (layers(statements), context(ADDRESSES[1]));
    assert!(!evaluate(&layers, &request(&context)).is_allow());
    bencher.bench_local(|| evaluate(black_box(&layers), black_box(&request(&context))));
}

/// The question behind `*`: could some Deny bite on an instance?
#[divan::bench(args = STATEMENTS)]
fn could_any_deny(bencher: Bencher<'_, '_>, statements: usize) {
    let (layers, context) = (layers(statements), context(ADDRESSES[0]));
    let range =
        ResourcePattern::parse("acs:ecs-workbench:*:1234567890123456:workbench/*").expect("a pattern");
    bencher.bench_local(|| could_deny(black_box(&layers), black_box(&request(&context)), &range));
}

/// Reading, compiling and indexing, once per change of a policy.
#[divan::bench(args = STATEMENTS)]
fn parse_and_index(bencher: Bencher<'_, '_>, statements: usize) {
    let documents = documents(statements);
    bencher.bench_local(|| {
        let parse = |text: &String| {
            let document =
                PolicyDocument::parse(text.as_bytes(), DocumentKind::Identity).expect("a valid document");
            (Arc::from("policy"), Arc::new(document))
        };
        PolicySet::new(documents.iter().map(parse).collect())
    });
}

/// The context that the server builds for each call.
#[divan::bench]
fn build_context() -> Context {
    context(black_box(ADDRESSES[0]))
}

/// A glob bomb as resource pattern against a resource made for it; time should grow linearly with the resource.
#[divan::bench(args = [1_000, 10_000])]
fn glob_bomb(bencher: Bencher<'_, '_>, characters: usize) {
    let pattern = format!("acs:oss:*:*:{}*{}x*b", "a*?a*".repeat(200), "a?".repeat(500));
    let text =
        format!(r#"{{"Version":"1","Statement":{{"Effect":"Allow","Action":"*","Resource":"{pattern}"}}}}"#);
    let document = PolicyDocument::parse(text.as_bytes(), DocumentKind::Identity).expect("a valid document");
    let identity = PolicySet::new(vec![(Arc::from("bomb"), Arc::new(document))]);
    let (layers, context) = (Layers { identity, ..Layers::default() }, Context::new());
    let resource = format!("acs:oss:::{}b", "a".repeat(characters));
    let request = Request { resource: &resource, ..request(&context) };
    bencher.bench_local(|| evaluate(black_box(&layers), black_box(&request)));
}
