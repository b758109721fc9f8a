//! A caller who calls too often is told so, and when to call again, before the call costs anything. Refusals to
//! unknown callers are counted, as one event for each source and minute (DECISIONS A1).

use std::num::NonZeroU32;

use api::{RateLimit, ThrottleLimits, TrustedProxies};
use domain::audit::{AuditDecision, AuditEvent};
use serde_json::json;
use test_facts::until;

use crate::http::{Reply, Request, exchange};
use crate::service::{ACCOUNT, Service};
use crate::signing::{Call, Key};

const ALL: &str = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
const GET: (&str, &[(&str, &str)]) = ("GetInstanceRecordConfig", &[("InstanceId", "i-one")]);

fn limit(per_second: u32, burst: u32) -> Option<RateLimit> {
    NonZeroU32::new(per_second)
        .zip(NonZeroU32::new(burst))
        .map(|(per_second, burst)| RateLimit { per_second, burst })
}

fn limited(throttle: ThrottleLimits) -> Service {
    Service::adjusted(move |settings| {
        settings.throttle = throttle;
        settings.trusted_proxies = TrustedProxies::parse("127.0.0.1").unwrap();
    })
}

fn assert_throttled(reply: &Reply, code: &str, millis: &str, seconds: &str) {
    assert_eq!(reply.refusal(), (429, code.to_owned()), "{reply:?}");
    assert_eq!(reply.header("x-acs-retry-after"), Some(millis), "{reply:?}");
    assert_eq!(reply.header("retry-after"), Some(seconds), "{reply:?}");
    assert_eq!(reply.json()["Retryable"], true, "{reply:?}");
}

/// The counts and the source that the event states.
fn told(event: &AuditEvent) -> (&str, &str, String) {
    let source = event.source_address.map(|address| address.to_string()).unwrap_or_default();
    (&event.result, &event.how, source)
}

/// Sends it from this address through the trusted proxy; the test acts as the proxy.
fn from(address: &str, request: Request) -> Request {
    request.header("x-forwarded-for", address)
}

#[test]
fn only_a_principal_that_calls_too_often_is_throttled_and_told_when_to_call_again() {
    let mut service = limited(ThrottleLimits { principal: limit(2, 3), ..ThrottleLimits::default() });
    let (busy, calm) = (service.user("busy", &[ALL]), service.user("calm", &[ALL]));
    for _ in 0..3 {
        let reply = service.call_as(&busy, GET.0, GET.1);
        reply.done();
        // To the vendor's SDKs, any reply with this header is a throttled one.
        assert_eq!(reply.header("x-acs-retry-after"), None);
    }
    assert_throttled(&service.call_as(&busy, GET.0, GET.1), "Throttling.User", "500", "1");
    let xml = service.call_as(&busy, GET.0, &[("InstanceId", "i-one"), ("Format", "XML")]);
    assert_eq!((xml.status, xml.header("x-acs-retry-after")), (429, Some("500")), "{xml:?}");
    assert!(xml.text.contains("<Code>Throttling.User</Code>"), "{xml:?}");
    service.call_as(&calm, GET.0, GET.1).done();
    service.call(GET.0, GET.1).done();
    // The caller's address makes no difference.
    let elsewhere = Call::new(GET.0, GET.1, service.now()).signed_v3(&busy, service.address);
    assert_throttled(&from("198.51.100.1", elsewhere).send(service.address), "Throttling.User", "500", "1");

    service.pass_millis(499);
    assert_throttled(&service.call_as(&busy, GET.0, GET.1), "Throttling.User", "1", "1");
    service.pass_millis(1);
    service.call_as(&busy, GET.0, GET.1).done();
    assert_throttled(&service.call_as(&busy, GET.0, GET.1), "Throttling.User", "500", "1");

    // Five refusals make one row, and not before their minute has passed.
    let rows = |service: &Service| -> Vec<AuditEvent> {
        service.audit(1_000).into_iter().filter(|row| row.result == "Throttling.User").collect()
    };
    assert_eq!(rows(&service), []);
    service.stop();
    service.join();
    let row = rows(&service).pop().unwrap();
    assert_eq!(told(&row), ("Throttling.User", "5 refused: Throttling.User 5", "127.0.0.1".to_owned()));
    assert_eq!(row.principal, format!("acs:ram::{ACCOUNT}:user/busy"));
    assert_eq!((rows(&service).len(), row.decision), (1, AuditDecision::NotAsked));
    assert_eq!(service.audit_of_nobody(), []);
}

#[test]
fn a_throttled_request_is_not_used_up() {
    let service = limited(ThrottleLimits { principal: limit(1, 1), ..ThrottleLimits::default() });
    let request = || Call::new(GET.0, GET.1, service.now()).signed_v3(&service.root, service.address);
    request().send(service.address).done();
    let throttled = request();
    assert_throttled(&throttled.send(service.address), "Throttling.User", "1000", "1");
    service.pass_millis(1_000);
    throttled.send(service.address).done();
    service.pass_millis(1_000);
    assert_eq!(throttled.send(service.address).refusal(), (400, "SignatureNonceUsed".to_owned()));
}

#[test]
fn a_repeated_request_uses_up_nothing_of_what_its_principal_may_call() {
    let service = limited(ThrottleLimits { principal: limit(1, 1), ..ThrottleLimits::default() });
    let signed = |call: Call| call.signed_v3(&service.root, service.address);
    let instance = [("InstanceId", "i-one"), ("Enabled", "false")];
    for call in [GET, ("SetInstanceRecordConfig", &instance[..])] {
        let request = signed(Call::new(call.0, call.1, service.now()));
        request.send(service.address).done();
        service.pass_millis(1_000);
        for _ in 0..3 {
            let repeated = from("198.51.100.1", request.clone()).send(service.address);
            assert_eq!(repeated.refusal(), (400, "SignatureNonceUsed".to_owned()), "{}", call.0);
        }
        service.call(GET.0, GET.1).done();
        assert_throttled(&service.call(GET.0, GET.1), "Throttling.User", "1000", "1");
        // What was found to be repeated is refused before anything else is asked.
        let repeated = from("198.51.100.1", request).send(service.address);
        assert_eq!(repeated.refusal(), (400, "SignatureNonceUsed".to_owned()), "{}", call.0);
        service.pass_millis(1_000);
    }
}

#[test]
fn a_completed_minute_is_written_while_the_server_runs() {
    let service = limited(ThrottleLimits { principal: limit(1, 1), ..ThrottleLimits::default() });
    let refused = |times| {
        service.call(GET.0, GET.1).done();
        for _ in 0..times {
            assert_eq!(service.call(GET.0, GET.1).refusal(), (429, "Throttling.User".to_owned()));
        }
    };
    let hows = || -> Vec<String> {
        let rows = service.audit(1_000).into_iter().filter(|row| row.result == "Throttling.User");
        rows.map(|row| row.how).collect()
    };
    refused(3);
    service.pass_millis(60_000);
    refused(2);
    let written = until("the first minute is written", || Some(hows()).filter(|hows| !hows.is_empty()));
    assert_eq!(written, ["3 refused: Throttling.User 3"]);
    // Nothing more is counted, so the timer has to find it.
    service.pass_millis(60_000);
    let written = until("the second minute is written", || Some(hows()).filter(|hows| hows.len() > 1));
    assert_eq!(written, ["2 refused: Throttling.User 2", "3 refused: Throttling.User 3"]);
}

#[test]
fn an_address_that_calls_too_often_is_refused_at_every_open_door_before_anything_else() {
    let service = limited(ThrottleLimits { address: limit(1, 3), ..ThrottleLimits::default() });
    let address = service.address;
    let signed = || Call::new(GET.0, GET.1, service.now()).signed_v3(&service.root, address);
    let exchange = || {
        let mut request =
            Request::new("POST", "/replay/v1/recordings/00000000000000000000000000000000/exchange")
                .header("content-type", "application/json");
        request.body = br#"{"Ticket":"a.b.c"}"#.to_vec();
        request
    };
    let enrolment = || {
        let mut request = Request::new("POST", "/agent/v1/enrol").header("content-type", "application/json");
        request.body = b"{}".to_vec();
        request
    };
    // They have one allowance in common.
    from("198.51.100.1", signed()).send(address).done();
    assert_eq!(
        from("198.51.100.1", exchange()).send(address).refusal(),
        (401, "InvalidReplayTicket".to_owned())
    );
    assert_eq!(from("198.51.100.1", enrolment()).send(address).refusal(), (400, "InvalidRequest".to_owned()));
    let refuse = |from_there: &str| {
        for (request, code) in
            [(signed(), "Throttling.User"), (exchange(), "Throttling.User"), (enrolment(), "Throttling")]
        {
            assert_throttled(&from(from_there, request).send(address), code, "1000", "1");
        }
        // Whatever is requested, by whatever method, even if it does not exist.
        for (method, path, code) in [
            ("GET", "/agent/v1/configuration", "Throttling"),
            ("GET", "/agent/v1/link", "Throttling"),
            ("GET", "/agent/v1/nothing", "Throttling"),
            ("PUT", "/agent/v1/uploads/0/terminal/000000.cast.zst", "Throttling"),
            ("GET", "/replay/v1/recordings/00000000000000000000000000000000", "Throttling.User"),
            ("GET", "/view/instance/record/replay/00000000000000000000000000000000", "Throttling.User"),
            ("GET", "/openapi.json", "Throttling.User"),
            ("GET", "/docs/", "Throttling.User"),
            ("GET", "/assets/nothing.js", "Throttling.User"),
            ("DELETE", "/", "Throttling.User"),
            ("PATCH", "/nothing", "Throttling.User"),
            ("GET", "/healthz/", "Throttling.User"),
        ] {
            let reply = from(from_there, Request::new(method, path)).send(address);
            assert_throttled(&reply, code, "1000", "1");
        }
    };
    refuse("198.51.100.1");
    // In the requested format, whatever else is wrong, and whatever the body is.
    let mut large = Request::new("POST", "/?Format=XML&Action=Nonsense");
    large.body = vec![b'x'; 900_000];
    let reply = from("198.51.100.1", large).send(address);
    assert_eq!((reply.status, reply.header("retry-after")), (429, Some("1")), "{reply:?}");
    assert!(reply.text.contains("<Code>Throttling.User</Code>"), "{reply:?}");
    // An address of the same /64 is the same caller; another is not.
    for _ in 0..3 {
        from("2001:db8::1", signed()).send(address).done();
    }
    refuse("2001:db8::ffff");
    from("2001:db8:0:1::1", signed()).send(address).done();
    // This path is not limited, because nothing can be guessed there.
    assert_eq!(from("198.51.100.1", Request::new("GET", "/healthz")).send(address).status, 200);

    // The database is not queried; otherwise this would be 503.
    service.lose_database();
    refuse("198.51.100.1");
    service.pass_millis(1_000);
    assert_eq!(from("198.51.100.1", signed()).send(address).status, 503);
}

#[test]
fn malformed_requests_count_too() {
    let service = Service::adjusted(|settings| {
        settings.throttle = ThrottleLimits { address: limit(1, 3), ..ThrottleLimits::default() };
    });
    let malformed = || Reply::parse(&exchange(service.address, b"GET / HTTP/9.9\r\n\r\n").unwrap()).unwrap();
    for _ in 0..3 {
        assert_eq!(malformed().refusal(), (400, "InvalidParameter".to_owned()));
    }
    assert_throttled(&malformed(), "Throttling.User", "1000", "1");
    assert_throttled(&service.call(GET.0, GET.1), "Throttling.User", "1000", "1");
}

#[test]
fn refusals_of_unauthenticated_callers_are_one_event_for_each_source_and_named_account() {
    let mut service = limited(ThrottleLimits::default());
    let address = service.address;
    let before = service.audit(1_000).len();
    let call = || Call::new(GET.0, GET.1, service.now());
    let nobody = Key { id: "LTAInobody-planted".to_owned(), secret: "planted-secret".to_owned() };
    for _ in 0..3 {
        let reply = from("198.51.100.1", call().signed_v3(&nobody, address)).send(address);
        assert_eq!(reply.refusal(), (404, "InvalidAccessKeyId.NotFound".to_owned()));
    }
    let unsigned = from("198.51.100.1", Request::new("GET", "/?Action=planted-action")).send(address);
    assert_eq!(unsigned.refusal(), (400, "IncompleteSignature".to_owned()));
    let mut exchange =
        Request::new("POST", "/replay/v1/recordings/00000000000000000000000000000000/exchange")
            .header("content-type", "application/json");
    exchange.body = br#"{"Ticket":"planted-ticket"}"#.to_vec();
    assert_eq!(from("198.51.100.1", exchange).send(address).refusal().1, "InvalidReplayTicket");
    let facts = Request::new("GET", "/replay/v1/recordings/00000000000000000000000000000000");
    assert_eq!(from("198.51.100.1", facts).send(address).refusal().1, "ReplaySessionRequired");
    let configuration =
        Request::new("GET", "/agent/v1/configuration").header("authorization", "Bearer planted-token");
    assert_eq!(from("198.51.100.2", configuration).send(address).refusal().0, 401);

    // A known key identifies its account: a wrong secret, and a request that was sent before.
    let forged = Key { secret: "planted-wrong".to_owned(), ..service.root.clone() };
    for _ in 0..2 {
        let reply = from("198.51.100.1", call().signed_v3(&forged, address)).send(address);
        assert_eq!(reply.refusal().1, "SignatureDoesNotMatch");
    }
    let good = call().signed_v3(&service.root, address);
    good.send(address).done();
    assert_eq!(from("198.51.100.1", good).send(address).refusal().1, "SignatureNonceUsed");

    assert_eq!((service.audit_of_nobody().len(), service.audit(1_000).len()), (0, before + 1));
    service.stop();
    service.join();
    let mut unauthenticated = service.audit_of_nobody();
    unauthenticated.sort_by_key(|event| event.source_address);
    let told_of: Vec<_> = unauthenticated.iter().map(told).collect();
    let how = "6 refused: InvalidAccessKeyId.NotFound 3, IncompleteSignature 1, InvalidReplayTicket 1, \
               ReplaySessionRequired 1";
    assert_eq!(
        told_of,
        [
            ("InvalidAccessKeyId.NotFound", how, "198.51.100.1".to_owned()),
            ("InvalidAgentToken", "1 refused: InvalidAgentToken 1", "198.51.100.2".to_owned()),
        ]
    );
    let rows = service.audit(1_000);
    let named: Vec<_> =
        rows.iter().filter(|row| row.access_key_id.is_some() && row.action.is_empty()).collect();
    assert_eq!(named.len(), 1, "{rows:?}");
    assert_eq!(
        told(named[0]),
        (
            "SignatureDoesNotMatch",
            "3 refused: SignatureDoesNotMatch 2, SignatureNonceUsed 1",
            "198.51.100.1".to_owned()
        )
    );
    assert_eq!(named[0].access_key_id.as_deref(), Some(service.root.id.as_str()));
    assert_eq!((named[0].principal.as_str(), rows.len()), ("", before + 2));
    // No text that unauthenticated callers sent is stored.
    for event in unauthenticated.iter().chain(&rows) {
        assert!(!json!(format!("{event:?}")).to_string().contains("planted"), "{event:?}");
    }
}
