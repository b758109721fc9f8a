//! What a person sees who opens the server with a browser, and that programs see nothing of it.

use crate::http::{Reply, Request};
use crate::service::Service;
use crate::signing::Call;

/// What browsers send.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";

fn visit(method: &str, target: &str) -> Request {
    Request::new(method, target).header("accept", BROWSER)
}

/// A reply without what differs from call to call, the order of its headers among it.
fn lasting(reply: &Reply) -> (u16, Vec<(String, String)>, String) {
    let request_id = reply.header("x-acs-request-id").unwrap();
    let headers = reply.headers.iter().filter(|(name, _)| name != "date" && name != "x-acs-request-id");
    let mut headers: Vec<_> = headers.cloned().collect();
    headers.sort();
    (reply.status, headers, reply.text.replace(request_id, "<RequestId>"))
}

fn assert_is_page(reply: &Reply, status: u16, says: &str) {
    assert_eq!(reply.status, status, "{reply:?}");
    assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"), "{reply:?}");
    assert!(reply.text.contains(says), "{says}: {}", reply.text);
    let policy = reply.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("'unsafe-inline'"), "{policy}");
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(reply.header(name), Some(value), "{reply:?}");
    }
}

#[test]
fn a_browser_at_the_printed_address_sees_what_this_is() {
    let service = Service::start();
    for accept in [BROWSER, "TEXT/HTML ; Q=0.1", "application/json, text/html"] {
        let reply = Request::new("GET", "/").header("accept", accept).send(service.address);
        assert_is_page(&reply, 200, "hansard recordings ls");
        assert!(reply.text.contains("href=\"/docs/\""), "{}", reply.text);
    }
    let several = Request::new("GET", "/").header("accept", "application/json").header("accept", "text/html");
    assert_is_page(&several.send(service.address), 200, "hansard recordings ls");

    // It says nothing about this deployment, and all that it loads is there.
    let page = visit("GET", "/").send(service.address);
    for secret in [crate::service::ACCOUNT, env!("CARGO_PKG_VERSION"), &service.root.id] {
        assert!(!page.text.contains(secret), "{secret}");
    }
    let loaded: Vec<_> =
        page.text.split("=\"/assets/").skip(1).filter_map(|rest| rest.split_once('"')).collect();
    assert!(loaded.len() >= 2, "{}", page.text);
    for (name, _) in loaded {
        let asset = Request::new("GET", &format!("/assets/{name}")).send(service.address);
        assert_eq!(asset.status, 200, "{name}");
    }
}

#[test]
fn a_browser_at_an_unknown_address_sees_a_page_too() {
    let service = Service::start();
    let unknown =
        ["/nothing", "/nothing?here=1", "/docs/nothing", "/openapi/nothing", "/assets/nothing.css", "/view"];
    for target in unknown {
        assert_is_page(&visit("GET", target).send(service.address), 404, "There is nothing at this address");
        let program = Request::new("GET", target).header("accept", "*/*").send(service.address);
        assert_eq!(program.refusal(), (404, "InvalidAction.NotFound".to_owned()), "{target}");
        let posted = visit("POST", target).send(service.address);
        assert_ne!(posted.header("content-type"), Some("text/html; charset=utf-8"), "{target}");
    }
}

#[test]
fn head_gets_the_head_of_the_same_page() {
    let service = Service::start();
    let replay = "/view/instance/record/replay/00000000000000000000000000000000";
    for target in ["/", "/nothing", replay] {
        let (got, head) =
            (visit("GET", target).send(service.address), visit("HEAD", target).send(service.address));
        assert_eq!(lasting(&head).0, lasting(&got).0, "{target}");
        assert_eq!(lasting(&head).1, lasting(&got).1, "{target}");
        assert_eq!(head.text, "", "{target}");
    }
}

#[test]
fn programs_get_what_they_always_got() {
    let service = Service::start();
    let plain = Request::new("GET", "/").send(service.address);
    assert_eq!(plain.refusal(), (400, "IncompleteSignature".to_owned()));
    for accepts in [
        &["*/*"][..],
        &["application/json"],
        &["text/html;q=0"],
        &["text/html;q=0.0, */*"],
        &["text/*"],
        &["application/json", "text/html;q=none"],
        &[""],
    ] {
        let mut request = Request::new("GET", "/");
        for accept in accepts {
            request = request.header("accept", accept);
        }
        assert_eq!(lasting(&request.send(service.address)), lasting(&plain), "{accepts:?}");
    }

    // A query, a proof or a body makes it a call, whatever it accepts.
    let query = Request::new("GET", "/?Action=GetCallerIdentity");
    let with_html = query.clone().header("accept", BROWSER);
    assert_eq!(lasting(&with_html.send(service.address)), lasting(&query.send(service.address)));
    let proof = Request::new("GET", "/").header("authorization", "Bearer x");
    let with_html = proof.clone().header("accept", BROWSER);
    assert_eq!(lasting(&with_html.send(service.address)), lasting(&proof.send(service.address)));
    let mut body = Request::new("GET", "/").header("content-type", "application/x-www-form-urlencoded");
    body.body = b"Action=GetCallerIdentity".to_vec();
    let with_html = body.clone().header("accept", BROWSER);
    assert_eq!(lasting(&with_html.send(service.address)), lasting(&body.send(service.address)));
    let posted = visit("POST", "/").send(service.address);
    assert_eq!(lasting(&posted), lasting(&Request::new("POST", "/").send(service.address)));

    // A signed call is answered, as is one with its signature in the query.
    let call = || Call::new("ListAgents", &[], service.now()).by_get();
    let signed = call().signed_v3(&service.root, service.address).header("accept", BROWSER);
    assert_eq!(signed.send(service.address).status, 200);
    assert_eq!(call().signed_v1(&service.root).header("accept", BROWSER).send(service.address).status, 200);
    let head = Request::new("HEAD", "/").header("accept", "*/*").send(service.address);
    assert_eq!(head.status, 405);
}
