//! The form of replies in all cases: JSON and XML, on every path and method, at the limits.

use crate::http::{Reply, Request};
use crate::service::Service;
use crate::signing::{Call, Key};

#[test]
fn every_path_and_method_answers_in_the_contracts_shape() {
    let service = Service::start();
    for (method, target, status, code) in [
        ("GET", "/", 400, "IncompleteSignature"),
        ("POST", "/", 400, "IncompleteSignature"),
        ("GET", "/?", 400, "IncompleteSignature"),
        ("GET", "/?Format=json", 400, "IncompleteSignature"),
        ("PUT", "/", 405, "UnsupportedHTTPMethod"),
        ("DELETE", "/", 405, "UnsupportedHTTPMethod"),
        ("OPTIONS", "/", 405, "UnsupportedHTTPMethod"),
        ("PATCH", "/", 405, "UnsupportedHTTPMethod"),
        ("GET", "/nothing", 404, "InvalidAction.NotFound"),
        ("POST", "/nothing/at/all?x=1", 404, "InvalidAction.NotFound"),
        ("GET", "//", 404, "InvalidAction.NotFound"),
        ("GET", "/%2e%2e/etc/passwd", 404, "InvalidAction.NotFound"),
        ("POST", "/healthz", 405, "UnsupportedHTTPMethod"),
        ("POST", "/openapi.json", 405, "UnsupportedHTTPMethod"),
        ("GET", "/docs/nothing.js", 404, "InvalidAction.NotFound"),
    ] {
        let reply = Request::new(method, target).send(service.address);
        assert_eq!(reply.refusal(), (status, code.to_owned()), "{method} {target}");
        assert!(reply.header("location").is_none());
        assert!(reply.header("date").is_some(), "{reply:?}");
    }
    for bearer in [
        Request::new("POST", "/?SignatureType=BEARERTOKEN").header("x-acs-bearer-token", "secret-bearer"),
        Request::new("GET", "/?SignatureType=BEARERTOKEN&BearerToken=secret-bearer&Action=ListAgents"),
        Request::new("GET", "/").header("authorization", "Bearer secret-bearer"),
    ] {
        let reply = bearer.send(service.address);
        assert_eq!(reply.refusal(), (400, "IncompleteSignature".to_owned()));
        assert!(!reply.text.contains("secret-bearer"));
    }
}

fn xml(reply: &Reply) -> &str {
    assert_eq!(reply.header("content-type"), Some("text/xml;charset=utf-8"), "{reply:?}");
    reply.text.strip_prefix(r#"<?xml version="1.0" encoding="UTF-8"?>"#).unwrap()
}

#[test]
fn xml_is_written_where_it_is_asked_for() {
    let service = Service::start();
    let agent = service.agent("i-one");
    let tokens = [service.recording(&agent, 2_000), service.recording(&agent, 1_000)];
    for spelling in ["XML", "xml", "Xml"] {
        let call = Call::new("ListInstanceRecords", &[], service.now()).query("Format", spelling);
        let reply = call.signed_v1(&service.root).send(service.address);
        let text = xml(&reply);
        assert_eq!(reply.status, 200);
        assert!(
            text.starts_with("<ListInstanceRecordsResponse>")
                && text.ends_with("</ListInstanceRecordsResponse>"),
            "{text}"
        );
        assert!(text.contains("<Code>OK</Code>") && text.contains("<Success>true</Success>"), "{text}");
        assert!(text.contains("<TotalCount>2</TotalCount>"), "{text}");
        assert_eq!(text.matches("<RecordList>").count(), 2, "{text}");
        for token in &tokens {
            assert!(
                text.contains(&format!("<TerminalSessionToken>{token}</TerminalSessionToken>")),
                "{text}"
            );
        }
    }
    for (request, code, status) in [
        (Request::new("GET", "/?Format=xml"), "IncompleteSignature", 400),
        (Request::new("GET", "/?Format=XML&A=%ff"), "InvalidParameter", 400),
        (Request::new("PUT", "/?Format=XML"), "UnsupportedHTTPMethod", 405),
        (
            Call::new("Nothing", &[("Format", "xml")], service.now())
                .signed_v3(&service.root, service.address),
            "InvalidAction.NotFound",
            404,
        ),
    ] {
        let reply = request.send(service.address);
        if request.target.contains("%ff") {
            // If a query cannot be read, it cannot select the format of the reply.
            assert_eq!(reply.refusal(), (status, code.to_owned()));
            continue;
        }
        let text = xml(&reply);
        assert_eq!(reply.status, status, "{reply:?}");
        assert!(text.starts_with("<Error>") && text.ends_with("</Error>"), "{text}");
        assert!(
            text.contains(&format!("<Code>{code}</Code>")) && text.contains("<Success>false</Success>"),
            "{text}"
        );
        let id = reply.header("x-acs-request-id").unwrap();
        assert!(text.contains(&format!("<RequestId>{id}</RequestId>")), "{text}");
    }
}

#[test]
fn a_denial_in_xml_carries_its_detail() {
    let service = Service::start();
    let user = service.user("nobody", &[]);
    let call = Call::new("ListAgents", &[], service.now()).query("Format", "XML");
    let reply = call.signed_v3(&user, service.address).send(service.address);
    assert_eq!(reply.status, 403);
    let text = xml(&reply);
    assert!(text.contains("<AccessDeniedDetail><AuthAction>ecs-workbench:ListAgents</AuthAction>"), "{text}");
}

/// Every code that the RPC wire can return before an action runs is tested once, in both formats.
#[test]
fn refusals_of_the_gateway_look_alike_in_both_formats() {
    let service = Service::start();
    let root = service.root.clone();
    let user = service.user("nobody", &[]);
    let call = |action: &str, parameters: &[(&str, &str)]| Call::new(action, parameters, service.now());
    let get = || call("GetInstanceRecordConfig", &[("InstanceId", "i-one")]);
    let stranger = Key { id: "LTAInobody".to_owned(), secret: "x".to_owned() };
    let wrong = Key { secret: "wrong".to_owned(), ..root.clone() };
    let used = get();
    used.clone().signed_v1(&root).send(service.address).done();
    type Make<'a> = Box<dyn Fn(&'a str) -> Request + 'a>;
    let v1 = |call: Call, key: &Key, format: &str| call.query("Format", format).signed_v1(key);
    let (service_, user) = (&service, &user);
    let cases: Vec<(u16, &str, Make<'_>)> = vec![
        (404, "InvalidAccessKeyId.NotFound", Box::new(|format| v1(get(), &stranger, format))),
        (400, "SignatureDoesNotMatch", Box::new(|format| v1(get(), &wrong, format))),
        (400, "SignatureNonceUsed", Box::new(|format| v1(used.clone(), &root, format))),
        (
            400,
            "InvalidTimeStamp.Expired",
            Box::new(|format| v1(Call { at: domain::Timestamp::from_millis(0), ..get() }, &root, format)),
        ),
        (
            400,
            "InvalidSecurityToken.MismatchWithAccessKey",
            Box::new(|format| v1(get().query("SecurityToken", "t"), &root, format)),
        ),
        (
            400,
            "InvalidSecurityToken.Malformed",
            Box::new(|format| v1(get().query("SecurityToken", ""), &root, format)),
        ),
        (
            400,
            "InvalidVersion",
            Box::new(|format| v1(Call { version: "1".to_owned(), ..get() }, &root, format)),
        ),
        (404, "InvalidAction.NotFound", Box::new(|format| v1(call("Nothing", &[]), &root, format))),
        (
            400,
            "MissingInstanceId",
            Box::new(|format| v1(call("GetInstanceRecordConfig", &[]), &root, format)),
        ),
        (
            400,
            "InvalidInstanceId",
            Box::new(|format| v1(call("GetInstanceRecordConfig", &[("InstanceId", "x")]), &root, format)),
        ),
        (403, "Forbidden.RAM", Box::new(|format| v1(get(), user, format))),
        (
            413,
            "RequestEntityTooLarge",
            Box::new(|format| {
                let mut request = Request::new("POST", &format!("/?Format={format}"));
                request.body = vec![b'a'; 1024 * 1024 + 1];
                request.header("content-type", "application/x-www-form-urlencoded")
            }),
        ),
        (400, "IncompleteSignature", Box::new(|format| Request::new("GET", &format!("/?Format={format}")))),
        (
            400,
            "InvalidSignatureMethod",
            Box::new(|format| {
                Request::new("GET", &format!("/?Format={format}"))
                    .header("authorization", "ACS3-RSA-SHA256 Credential=x")
            }),
        ),
    ];
    for (status, code, make) in &cases {
        let reply = make("json").send(service_.address);
        assert_eq!(reply.refusal(), (*status, (*code).to_owned()));
        let json = reply.json();
        assert!(json["Recommend"].is_string() && json["Retryable"].is_boolean());
        let reply = make("XML").send(service_.address);
        let text = xml(&reply);
        assert_eq!(reply.status, *status, "{code}");
        assert!(text.contains(&format!("<Code>{code}</Code>")), "{text}");
        for field in json.as_object().unwrap().keys() {
            assert!(text.contains(&format!("<{field}>")), "{field}: {text}");
        }
    }
}

#[test]
fn a_body_may_have_one_mebibyte_and_no_more() {
    let service = Service::start();
    let most = 1024 * 1024;
    let padding = |length: usize| {
        let call =
            Call::new("GetInstanceRecordConfig", &[("InstanceId", "i-one"), ("Padding", "")], service.now());
        let empty = call.signed_v3(&service.root, service.address).body.len();
        let padding = "a".repeat(length - empty);
        Call::new("GetInstanceRecordConfig", &[("InstanceId", "i-one"), ("Padding", &padding)], service.now())
    };
    let fits = padding(most).signed_v3(&service.root, service.address);
    assert_eq!(fits.body.len(), most);
    fits.send(service.address).done();
    for chunked in [false, true] {
        let mut too_large = padding(most + 1).signed_v3(&service.root, service.address);
        too_large.chunked = chunked;
        let reply = too_large.send(service.address);
        assert_eq!(reply.refusal(), (413, "RequestEntityTooLarge".to_owned()));
        assert!(reply.text.contains("1048576"), "{reply:?}");
    }
    let mut huge = padding(5 * most).signed_v3(&service.root, service.address);
    assert_eq!(huge.send(service.address).refusal(), (413, "RequestEntityTooLarge".to_owned()));
    huge.chunked = true;
    assert_eq!(huge.send(service.address).refusal(), (413, "RequestEntityTooLarge".to_owned()));
}

#[test]
fn bodies_of_other_kinds_are_signed_and_otherwise_ignored() {
    let service = Service::start();
    let empty = || Call::new("ListInstanceRecords", &[], service.now());
    for content_type in [None, Some("application/x-www-form-urlencoded"), Some("application/octet-stream")] {
        let mut request = empty().signed_v3(&service.root, service.address);
        request.headers.extend(content_type.map(|kind| ("content-type".to_owned(), kind.to_owned())));
        request.send(service.address).done();
    }
    // A JSON body contains no parameters, in V1 as in V3; those of the query count.
    let mut request =
        Call::new("GetInstanceRecordConfig", &[("InstanceId", "i-one")], service.now()).by_get();
    request.method = "POST";
    let mut request =
        request.signed_v1(&service.root).header("content-type", "application/json; charset=utf-8");
    request.body = br#"{"InstanceId":"i-two"}"#.to_vec();
    request.send(service.address).done();
}

#[test]
fn duplicate_names_and_broken_encodings_are_refused() {
    let service = Service::start();
    let before = service.state();
    for (target, body, what) in [
        ("/?InstanceId=i-one&InstanceId=i-two", "", "names the parameter InstanceId more than once"),
        ("/?A=%zz", "", "hexadecimal"),
        ("/?A=%E4%BD", "", "not UTF-8"),
        ("/", "InstanceId=i-one&InstanceId=i-one", "names the parameter InstanceId more than once"),
        ("/", "A=%ff", "not UTF-8"),
    ] {
        let mut request =
            Request::new("POST", target).header("content-type", "application/x-www-form-urlencoded");
        request.body = body.as_bytes().to_vec();
        let reply = request.send(service.address);
        assert_eq!(reply.refusal(), (400, "InvalidParameter".to_owned()), "{target} {body}");
        assert!(reply.text.contains(what), "{reply:?}");
    }
    for header in ["x-acs-action", "x-acs-date", "x-acs-version", "authorization"] {
        let call = Call::new("ListAgents", &[], service.now()).signed_v3(&service.root, service.address);
        let reply = call.header(header, "again").send(service.address);
        assert_eq!(reply.status, 400, "{header}: {reply:?}");
        reply.code();
    }
    assert_eq!(service.state(), before);
}
