//! casbin: each statement is a row, and a matcher expression is run on every row.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use casbin::function_map::OperatorFunction;
use casbin::prelude::*;
use casbin::rhai::{Dynamic, ImmutableString};

use crate::Engine;
use crate::workload::{self, ACTION};

/// The function for patterns that casbin brings, which compiles the pattern each time.
pub(crate) fn glob_match(statements: usize) -> Engine {
    Engine::new("casbin 2, its own globMatch", move |address| {
        let enforcer = enforcer(statements, "globMatch");
        move || decide(&enforcer, address)
    })
}

/// A function for patterns of our own, in Rust.
pub(crate) fn wildcards_in_rust(statements: usize) -> Engine {
    Engine::new("casbin 2, patterns by a function in Rust", move |address| {
        let enforcer = enforcer(statements, "wildcard");
        move || decide(&enforcer, address)
    })
}

fn decide(enforcer: &Enforcer, address: &str) -> bool {
    let instance = "acs:ecs-workbench:cn-hangzhou:1234567890123456:workbench/i-prod7";
    enforcer.enforce(("alice", ACTION, instance, address)).expect("a decision")
}

fn enforcer(statements: usize, function: &str) -> Enforcer {
    let mut model = DefaultModel::default();
    let matcher = format!(
        "r.sub == p.sub && ({function}(r.act, p.act) || {function}(r.act, p.other)) && {function}(r.obj, p.obj) \
         && (p.block == \"*\" || ipMatch(r.ip, p.block))"
    );
    for (key, value) in [
        ("r", "sub, act, obj, ip"),
        ("p", "sub, act, other, obj, block, eft"),
        ("e", "some(where (p.eft == allow)) && !some(where (p.eft == deny))"),
        ("m", &matcher),
    ] {
        assert!(model.add_def(key, key, value), "the model takes {key}");
    }
    let mut enforcer = at_once(Enforcer::new(model, MemoryAdapter::default())).expect("a valid model");
    enforcer.add_function("wildcard", OperatorFunction::Arg2(wildcard));
    let rows = workload::statements(statements).into_iter().map(|statement| {
        let other = statement.actions.get(1).cloned().unwrap_or_else(|| "none".to_owned());
        vec![
            "alice".to_owned(),
            statement.actions[0].clone(),
            other,
            statement.arn(),
            statement.block.unwrap_or("*").to_owned(),
            statement.effect.to_ascii_lowercase(),
        ]
    });
    assert!(at_once(enforcer.add_policies(rows.collect())).expect("valid rows"), "no row stands there twice");
    enforcer
}

/// Everything is in memory, so that no call waits for anything.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(made) => made,
        Poll::Pending => panic!("a call in memory has nothing to wait for"),
    }
}

fn wildcard(text: Dynamic, pattern: Dynamic) -> Dynamic {
    match (text.read_lock::<ImmutableString>(), pattern.read_lock::<ImmutableString>()) {
        (Some(text), Some(pattern)) => matches(text.as_bytes(), pattern.as_bytes()).into(),
        _ => false.into(),
    }
}

/// The usual two-pointer search: after a mismatch, the last star takes one byte more.
fn matches(text: &[u8], pattern: &[u8]) -> bool {
    let (mut at, mut wanted, mut retry) = (0, 0, None);
    while at < text.len() {
        match pattern.get(wanted) {
            Some(b'*') => {
                retry = Some((at, wanted + 1));
                wanted += 1;
            }
            Some(byte) if *byte == text[at] => (at, wanted) = (at + 1, wanted + 1),
            _ => match &mut retry {
                Some((from, after)) => {
                    *from += 1;
                    (at, wanted) = (*from, *after);
                }
                None => return false,
            },
        }
    }
    pattern[wanted..].iter().all(|byte| *byte == b'*')
}
