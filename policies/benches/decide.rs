//! Time per decision: `cargo bench -p policies`.
//!
//! The question is the one that other engines were asked: one user with policies of five statements each. Half of
//! the statements name the same service with a verb pattern that fits but other instance prefixes, the other half
//! name other services; one in five is a Deny that does not fit; only the very last statement allows, under one
//! IpAddress condition.

use std::fmt::Write;
use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;

use divan::{AllocProfiler, Bencher};
use policies::{
    Context, DocumentKind, Layers, PolicyDocument, PolicySet, Request, ResourcePattern, could_deny, evaluate,
    keys,
};

/// Shows that deciding allocates nothing: divan prints no allocation lines for `decide`.
#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

const STATEMENTS: [usize; 2] = [50, 1_000];
const STATEMENTS_PER_POLICY: usize = 5;

fn statement(number: usize, last: usize) -> String {
    if number == last {
        return r#"{"Effect":"Allow","Action":"ecs-workbench:View*","Resource":"acs:ecs-workbench:*:1234567890123456:workbench/i-prod*","Condition":{"IpAddress":{"acs:SourceIp":"10.0.0.0/8"}}}"#
            .to_owned();
    }
    let effect = if number.is_multiple_of(5) { "Deny" } else { "Allow" };
    if number.is_multiple_of(2) {
        format!(
            r#"{{"Effect":"{effect}","Action":["ecs-workbench:List*","ecs-workbench:View*"],"Resource":"acs:ecs-workbench:*:1234567890123456:workbench/i-team{number}*"}}"#
        )
    } else {
        let service = ["ecs", "oss", "rds", "slb", "vpc", "ram", "kms", "log"][number / 2 % 8];
        format!(
            r#"{{"Effect":"{effect}","Action":"{service}:Describe*","Resource":"acs:{service}:*:1234567890123456:*"}}"#
        )
    }
}

fn documents(statements: usize) -> Vec<String> {
    let numbers: Vec<usize> = (0..statements).collect();
    let document = |numbers: &[usize]| {
        let mut text = String::from(r#"{"Version":"1","Statement":["#);
        for (index, number) in numbers.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(text, "{comma}{}", statement(*number, statements - 1)).expect("a String takes everything");
        }
        text + "]}"
    };
    numbers.chunks(STATEMENTS_PER_POLICY).map(document).collect()
}

fn layers(statements: usize) -> Layers {
    let named = documents(statements).into_iter().enumerate().map(|(index, text)| {
        let document =
            PolicyDocument::parse(text.as_bytes(), DocumentKind::Identity).expect("a valid document");
        (Arc::from(format!("policy-{index}")), Arc::new(document))
    });
    Layers { identity: PolicySet::new(named.collect()), ..Layers::default() }
}

fn context(address: &str) -> Context {
    let mut context = Context::new();
    context.insert(keys::SECURE_TRANSPORT, true);
    context.insert(keys::MFA_PRESENT, false);
    context.insert(keys::CURRENT_TIME, "2026-11-20T12:00:00Z");
    context.insert(keys::PRINCIPAL_ARN, "acs:ram::1234567890123456:user/alice");
    context.insert(keys::SOURCE_IP, address.parse::<IpAddr>().expect("an address"));
    context
}

fn request(context: &Context) -> Request<'_> {
    Request {
        principal: "acs:ram::1234567890123456:user/alice",
        action: "ecs-workbench:ViewInstanceRecords",
        resource: "acs:ecs-workbench:cn-hangzhou:1234567890123456:workbench/i-prod7",
        context,
    }
}

#[divan::bench(args = STATEMENTS)]
fn decide_allow(bencher: Bencher<'_, '_>, statements: usize) {
    let (layers, context) = (layers(statements), context("10.20.30.40"));
    assert!(evaluate(&layers, &request(&context)).is_allow());
    bencher.bench_local(|| evaluate(black_box(&layers), black_box(&request(&context))));
}

#[divan::bench(args = STATEMENTS)]
fn decide_deny(bencher: Bencher<'_, '_>, statements: usize) {
    let (layers, context) = (layers(statements), context("192.0.2.7"));
    assert!(!evaluate(&layers, &request(&context)).is_allow());
    bencher.bench_local(|| evaluate(black_box(&layers), black_box(&request(&context))));
}

/// The question behind `*`: could some Deny bite on an instance?
#[divan::bench(args = STATEMENTS)]
fn could_any_deny(bencher: Bencher<'_, '_>, statements: usize) {
    let (layers, context) = (layers(statements), context("10.20.30.40"));
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
    context(black_box("10.20.30.40"))
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
