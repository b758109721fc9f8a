//! Random and mutated requests, as HTTP and as raw bytes: the server answers each of them with an error of its own,
//! and none of them causes a fault in the server; afterwards it still serves and nothing has changed.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};

use crate::http::{Reply, Request, exchange};
use crate::service::Service;
use crate::signing::{Call, encode};

/// Each test runs for this long, or until it has run all its cases; `make test-deep` sets a time, which is then used
/// up completely.
#[allow(clippy::disallowed_methods, reason = "a test program's own switch, not a setting of the product")]
fn budget() -> (Duration, Option<u32>) {
    let seconds =
        std::env::var("HANSARD_TEST_FUZZ_SECONDS").ok().map(|text| text.parse().expect("whole seconds"));
    seconds.map_or((Duration::from_secs(8), None), |seconds| (Duration::from_secs(seconds), Some(u32::MAX)))
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

/// Runs cases until the budget is used up.
fn throw<S: Strategy>(strategy: &S, cases: u32, mut check: impl FnMut(S::Value)) {
    let (budget, deep) = budget();
    let deadline = Instant::now() + budget;
    let cases = deep.unwrap_or(cases);
    let mut runner = runner(cases);
    for _ in 0..cases {
        if Instant::now() > deadline {
            break;
        }
        check(strategy.new_tree(&mut runner).expect("a value").current());
    }
}

fn still_serves(service: &Service, before: &str) {
    assert_eq!(service.state(), before);
    service.call("GetInstanceRecordConfig", &[("InstanceId", "i-one")]).done();
}

/// Whatever was sent, it was refused or executed, in the form of the contract, and without a fault in the server.
fn check(reply: &Reply, what: &dyn std::fmt::Debug) {
    assert!(reply.status < 500, "{what:?}: {reply:?}");
    if reply.status >= 400
        && reply.header("content-type").is_some_and(|kind| kind.starts_with("application/json"))
    {
        reply.code();
    }
}

fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("SetInstanceRecordConfig".to_owned()),
        Just("GetInstanceRecordConfig".to_owned()),
        Just("ListInstanceRecords".to_owned()),
        Just("ViewInstanceRecords".to_owned()),
        Just("CreateAgentJoinToken".to_owned()),
        Just("ListAgents".to_owned()),
        Just("LoginInstance".to_owned()),
        Just("InstanceId".to_owned()),
        Just("TerminalSessionToken".to_owned()),
        Just("Enabled".to_owned()),
        Just("ExpirationDays".to_owned()),
        Just("PageNumber".to_owned()),
        Just("PageSize".to_owned()),
        Just("NextToken".to_owned()),
        Just("RecordStorageTarget".to_owned()),
        Just("TtlSeconds".to_owned()),
        Just("Format".to_owned()),
        Just("i-one".to_owned()),
        Just("*".to_owned()),
        Just("2147483647".to_owned()),
        Just("-9223372036854775808".to_owned()),
        Just("XML".to_owned()),
        "\\PC{0,40}",
        any::<String>(),
    ]
}

/// Actions that change something are requested too, but never with all the parameters that they need.
fn actions() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("GetInstanceRecordConfig".to_owned()),
        Just("ListInstanceRecords".to_owned()),
        Just("ViewInstanceRecords".to_owned()),
        Just("ListAgents".to_owned()),
        words(),
    ]
}

#[test]
fn signed_nonsense_is_answered() {
    let service = Service::start();
    let before = service.state();
    let parameters = prop::collection::btree_map(words(), words(), 0..8);
    throw(
        &(actions(), parameters, any::<bool>(), any::<bool>()),
        2_000,
        |(action, parameters, by_get, v1)| {
            if parameters.contains_key("Enabled") && action == "SetInstanceRecordConfig" {
                return;
            }
            let mut call = Call::new(&action, &[], service.now());
            call.form = parameters.into_iter().collect();
            if by_get {
                call = call.by_get();
            }
            // A header cannot contain every text that a parameter can.
            let v1 = v1 || !action.bytes().all(|byte| byte.is_ascii_graphic());
            let request = if v1 {
                call.signed_v1(&service.root)
            } else {
                call.signed_v3(&service.root, service.address)
            };
            let reply = request.send(service.address);
            check(&reply, &call);
            if reply.header("content-type") == Some("application/json;charset=utf-8") && reply.status >= 400 {
                assert!(
                    !["SignatureDoesNotMatch", "IncompleteSignature"].contains(&reply.code().as_str()),
                    "{call:?}"
                );
            }
        },
    );
    still_serves(&service, &before);
}

#[test]
fn unsigned_nonsense_is_refused() {
    let service = Service::start();
    let before = service.state();
    let method = prop_oneof![Just("GET"), Just("POST"), Just("PUT"), Just("DELETE"), Just("FOO")];
    let target = prop_oneof![
        "[ -~]{0,60}".prop_map(|text| format!("/?{}", text.replace(' ', "+").replace('#', "%23"))),
        (words(), words()).prop_map(|(name, value)| format!("/?{}={}", encode(&name), encode(&value))),
        "[a-z0-9/.%_-]{0,40}".prop_map(|text| format!("/{text}")),
        Just("/agent/v1/enrol".to_owned()),
        Just("/replay/v1/recordings/x/exchange".to_owned()),
    ];
    let names = prop_oneof![
        Just("authorization"),
        Just("content-type"),
        Just("x-acs-action"),
        Just("x-acs-version"),
        Just("x-acs-date"),
        Just("x-acs-signature-nonce"),
        Just("x-acs-content-sha256"),
        Just("x-acs-bearer-token"),
        Just("accept"),
        Just("cookie"),
    ];
    let values = prop_oneof![
        "[ -~]{0,80}",
        Just("application/x-www-form-urlencoded".to_owned()),
        Just("application/json".to_owned()),
        Just("ACS3-HMAC-SHA256 Credential=testAccessKeyId0001,SignedHeaders=host,Signature=00".to_owned()),
        Just("2026-01-02T03:04:05Z".to_owned()),
    ];
    let headers = prop::collection::vec((names, values), 0..8);
    let body = prop::collection::vec(any::<u8>(), 0..300);
    throw(
        &(method, target, headers, body, any::<bool>()),
        2_000,
        |(method, target, headers, body, chunked)| {
            let mut request = Request::new(method, &target);
            for (name, value) in headers {
                request = request.header(name, value.trim());
            }
            (request.body, request.chunked) = (body, chunked);
            let reply = request.send(service.address);
            check(&reply, &request);
            assert!(reply.status >= 400 || !target.starts_with("/?"), "{request:?}: {reply:?}");
        },
    );
    still_serves(&service, &before);
}

#[test]
fn a_signed_request_with_some_bytes_changed_is_never_done_twice_over() {
    let service = Service::start();
    let before = service.state();
    let change = (any::<prop::sample::Index>(), any::<u8>());
    let changes = prop::collection::vec(change, 1..4);
    throw(&(changes, any::<bool>()), 2_000, |(changes, v1)| {
        let call = Call::new("SetInstanceRecordConfig", &[("InstanceId", "i-two")], service.now());
        let request =
            if v1 { call.signed_v1(&service.root) } else { call.signed_v3(&service.root, service.address) };
        let mut bytes = request.bytes(service.address);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        raw(&service, &bytes);
    });
    still_serves(&service, &before);
}

#[test]
fn garbage_instead_of_http_closes_the_connection() {
    let service = Service::start();
    let before = service.state();
    let garbage = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..2_000),
        "[ -~\r\n]{0,400}".prop_map(String::into_bytes),
        "(GET|POST) /[a-z?=&%]{0,30} HTTP/1.[0-9]\r\n([A-Za-z-]{1,20}: [ -~]{0,40}\r\n){0,6}\r\n.{0,50}"
            .prop_map(String::into_bytes),
        "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n[0-9a-fx]{0,20}\r\n.{0,20}"
            .prop_map(String::into_bytes),
        "POST / HTTP/1.1\r\ncontent-length: [0-9+-]{1,25}\r\n\r\n.{0,20}".prop_map(String::into_bytes),
    ];
    throw(&garbage, 1_000, |bytes| raw(&service, &bytes));
    for (bytes, status) in
        [("\0\0\0\r\n\r\n", 400), ("GET / HTTP/9.9\r\n\r\n", 400), ("GET / HTTP/1.1\r\na b: c\r\n\r\n", 400)]
    {
        let reply = Reply::parse(&exchange(service.address, bytes.as_bytes()).unwrap()).unwrap();
        assert_eq!(reply.refusal(), (status, "InvalidParameter".to_owned()), "{bytes:?}");
    }
    // A head larger than the maximum.
    let mut head = b"GET / HTTP/1.1\r\nhost: x\r\n".to_vec();
    for number in 0..20_000 {
        head.extend_from_slice(format!("x-header-{number}: value\r\n").as_bytes());
    }
    let long = format!("GET /?{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(300_000)).into_bytes();
    for bytes in [head, long] {
        let reply = Reply::parse(&exchange(service.address, &bytes).unwrap()).unwrap();
        assert_eq!(reply.refusal(), (413, "RequestEntityTooLarge".to_owned()));
    }
    still_serves(&service, &before);
}

/// Sends bytes and nothing more. Whatever the answer is, it is not a fault of the server, and it arrives or the
/// connection ends.
fn raw(service: &Service, bytes: &[u8]) {
    let mut stream = TcpStream::connect(service.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut reply = Vec::new();
    if let Err(error) = stream.read_to_end(&mut reply) {
        let hung = matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
        assert!(!hung, "the connection hung after {:?}", String::from_utf8_lossy(bytes));
    }
    if let Some(reply) = Reply::parse(&reply) {
        check(&reply, &String::from_utf8_lossy(bytes));
        // Bytes that never were HTTP are also refused in the form of the contract.
        assert!(
            reply.header("x-acs-request-id").is_some(),
            "{:?}: {reply:?}",
            String::from_utf8_lossy(bytes)
        );
    }
}

#[test]
fn a_body_that_never_comes_does_not_stop_others() {
    let service = Service::start();
    let mut slow: Vec<_> = (0..50)
        .map(|_| {
            let mut stream = TcpStream::connect(service.address).unwrap();
            stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nabc").unwrap();
            stream
        })
        .collect();
    service.call("GetInstanceRecordConfig", &[("InstanceId", "i-one")]).done();
    slow.clear();
    service.call("GetInstanceRecordConfig", &[("InstanceId", "i-one")]).done();
    // A sender that closes in the middle of its body does not make anything hang either.
    exchange(
        service.address,
        b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc",
    )
    .unwrap();
}
