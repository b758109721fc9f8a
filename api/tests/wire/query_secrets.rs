//! The query belongs only to the caller and the action: it may contain a password. No line of any log, no audit row
//! and no refusal repeats it, whatever happens to the request.

use std::io::Write as _;
use std::num::NonZeroU32;

use api::{RateLimit, ThrottleLimits};

use crate::http::{Reply, Request, exchange};
use crate::log;
use crate::service::Service;
use crate::signing::{Call, Key};
use crate::unauthenticated::connect;

/// This text occurs nowhere else in this process.
const SECRET: &str = "Planted-7f3a-Secret";

/// A call as the legacy SDK sends LoginInstance, with a password in its query.
fn login(service: &Service, action: &str) -> Call {
    Call::new(action, &[("InstanceId", "i-one")], service.now()).by_get().query("Password", SECRET)
}

/// All possible outcomes of a request with a secret in its query: what is sent, and the status of its reply.
fn requests(service: &Service, nobody: &Key) -> Vec<(&'static str, Vec<u8>, u16)> {
    let stranger = Key { id: "testAccessKeyId9999".to_owned(), secret: "none".to_owned() };
    let wrong = Key { secret: "wrong".to_owned(), ..service.root.clone() };
    let v3 = |call: Call, key: &Key| call.signed_v3(key, service.address).bytes(service.address);
    let v1 = |call: Call, key: &Key| call.signed_v1(key).bytes(service.address);
    let plain = |method: &str, target: &str| Request::new(method, target).bytes(service.address);
    let of_ram = |action: &str| Call { version: "2015-05-01".to_owned(), ..login(service, action) };
    let long = |length: usize| login(service, "LoginInstance").query("Padding", &"a".repeat(length));
    let wide = Request::new("GET", &format!("/?Password={SECRET}")).header("x-a", &"a".repeat(140_000));
    vec![
        ("done", v3(login(service, "GetInstanceRecordConfig"), &service.root), 200),
        ("done, V1", v1(login(service, "GetInstanceRecordConfig"), &service.root), 200),
        ("not an action", v3(login(service, "LoginInstance"), &service.root), 404),
        ("not an action, V1", v1(login(service, "LoginInstance"), &service.root), 404),
        ("not an action, long", v3(long(100_000), &service.root), 404),
        ("denied", v3(login(service, "GetInstanceRecordConfig"), nobody), 403),
        ("denied, V1", v1(of_ram("CreateLoginProfile").query("UserName", "nobody"), nobody), 403),
        ("invalid", v1(of_ram("CreateLoginProfile").query("UserName", "??"), &service.root), 400),
        ("of nobody", v3(of_ram("UpdateLoginProfile").query("UserName", "who"), &service.root), 404),
        ("a wrong signature", v3(login(service, "LoginInstance"), &wrong), 400),
        ("a wrong signature, V1", v1(login(service, "LoginInstance"), &wrong), 400),
        ("a wrong signature, long", v3(long(100_000), &wrong), 400),
        ("an unknown key", v3(login(service, "GetInstanceRecordConfig"), &stranger), 404),
        ("unsigned", plain("GET", &format!("/?Password={SECRET}")), 400),
        ("another method", plain("PUT", &format!("/?Password={SECRET}")), 405),
        ("not there", plain("GET", &format!("/nothing?Password={SECRET}")), 404),
        ("an agent's", plain("POST", &format!("/agent/v1/enrol?Password={SECRET}")), 400),
        ("a viewer's", plain("GET", &format!("/replay/v1/recordings/x?Password={SECRET}")), 404),
        ("the documents", plain("GET", &format!("/openapi.json?Password={SECRET}")), 200),
        ("named twice", plain("GET", &format!("/?Password={SECRET}&Password={SECRET}")), 400),
        ("badly encoded", plain("GET", &format!("/?Password={SECRET}%zz")), 400),
        ("not UTF-8", plain("GET", &format!("/?Password={SECRET}%ff")), 400),
        ("of another host", plain("GET", &format!("http://x/?Password={SECRET}")), 400),
        ("behind a #", plain("GET", &format!("/#Password={SECRET}")), 400),
        ("no host", format!("GET /?Password={SECRET} HTTP/1.1\r\n\r\n").into_bytes(), 400),
        ("no version", format!("GET /?Password={SECRET}\r\n\r\n").into_bytes(), 400),
        ("another version", format!("GET /?Password={SECRET} HTTP/9.9\r\n\r\n").into_bytes(), 400),
        ("no method", format!(" /?Password={SECRET} HTTP/1.1\r\nhost: x\r\n\r\n").into_bytes(), 400),
        (
            "a control byte",
            format!("GET /?Password={SECRET}\x01 HTTP/1.1\r\nhost: x\r\n\r\n").into_bytes(),
            400,
        ),
        ("a byte that no query has", format!("GET /?Password={SECRET}é HTTP/1.1\r\n\r\n").into_bytes(), 400),
        ("malformed behind it", format!("GET /?Password={SECRET} HTTP/1.1\r\nx y\r\n\r\n").into_bytes(), 400),
        ("too long", plain("GET", &format!("/?Password={SECRET}&A={}", "a".repeat(120_000))), 413),
        ("far too long", plain("GET", &format!("/?Password={SECRET}&A={}", "a".repeat(900_000))), 413),
        ("headers too long", wide.bytes(service.address), 413),
    ]
}

#[test]
fn a_secret_in_a_query_is_in_no_log_no_audit_row_and_no_refusal() {
    log::watch(SECRET);
    let mut service = Service::start();
    let nobody = service.user("nobody", &[]);
    let mut replies = Vec::new();
    for (what, bytes, status) in requests(&service, &nobody) {
        assert!(String::from_utf8_lossy(&bytes).contains(SECRET), "{what}");
        let reply = Reply::parse(&exchange(service.address, &bytes).unwrap()).unwrap();
        assert_eq!(reply.status, status, "{what}: {reply:?}");
        replies.push((what, reply));
    }
    // A request that breaks off, and one that waits when the server stops.
    for part in ["GET /?Password=", "GET / HTTP/1.1\r\nhost: x\r\n\r\nGET /?Password="] {
        connect(&service, "127.0.0.1").write_all(format!("{part}{SECRET}").as_bytes()).unwrap();
    }
    let rows = [service.audit(1_000), service.audit_of_nobody()].concat();
    assert!(rows.len() >= 8, "{rows:?}");
    // The store fails under a call.
    service.lose_database();
    let lost = login(&service, "GetInstanceRecordConfig").signed_v3(&service.root, service.address);
    let reply = lost.send(service.address);
    assert_eq!(reply.status, 503, "{reply:?}");
    replies.push(("a fault", reply));
    service.stop();
    service.join();

    let limited = Service::adjusted(|settings| {
        let (per_second, burst) = (NonZeroU32::MIN, NonZeroU32::MIN);
        let limit = Some(RateLimit { per_second, burst });
        settings.throttle = ThrottleLimits { address: limit, ..ThrottleLimits::default() };
    });
    let target = format!("?Password={SECRET}");
    for (path, what) in [("/", "throttled"), ("/", "throttled"), ("/agent/v1/enrol", "an agent, throttled")] {
        let reply = Request::new("POST", &format!("{path}{target}")).send(limited.address);
        replies.push((what, reply));
    }
    assert_eq!(replies[replies.len() - 2].1.status, 429);
    drop(limited);

    for (what, reply) in &replies {
        assert!(!format!("{reply:?}").contains(SECRET), "{what}: {reply:?}");
    }
    for row in &rows {
        assert!(!format!("{row:?}").contains(SECRET), "{row:?}");
    }
    assert!(log::looked_at() > 100, "{} lines were looked at", log::looked_at());
    assert_eq!(log::with(SECRET), [] as [String; 0]);
}

#[test]
fn the_search_finds_a_planted_secret() {
    const PLANTED: &str = "Planted-51c0-Word";
    log::watch(PLANTED);
    drop(tracing::trace_span!("a span", target = format!("/?Password={PLANTED}")));
    tracing::trace!("an event of /?Password={PLANTED}");
    assert_eq!(log::with(PLANTED).len(), 2);
}
