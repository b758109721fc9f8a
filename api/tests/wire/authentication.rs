//! Authentication: the vendor's own requests, replays, the time window, and the order of the checks (DECISIONS G1).

use serde_json::Value;

use crate::http::{Reply, Request};
use crate::service::Service;
use crate::signing::{Call, Key};

const QUARTER_OF_AN_HOUR: i64 = 15 * 60 * 1_000;

fn get(service: &Service) -> Call {
    Call::new("GetInstanceRecordConfig", &[("InstanceId", "i-one")], service.now())
}

fn v3(service: &Service, call: &Call) -> Reply {
    call.signed_v3(&service.root, service.address).send(service.address)
}

fn v1(service: &Service, call: &Call) -> Reply {
    call.signed_v1(&service.root).send(service.address)
}

#[test]
fn both_signatures_by_get_and_post_and_in_chunks_are_done() {
    let service = Service::start();
    v3(&service, &get(&service)).done();
    v3(&service, &get(&service).by_get()).done();
    v1(&service, &get(&service)).done();
    v1(&service, &get(&service).by_get()).done();
    let mut chunked = get(&service).signed_v3(&service.root, service.address);
    chunked.chunked = true;
    chunked.send(service.address).done();
    // If a name is in both places, the value in the body counts.
    let both = get(&service).query("InstanceId", "not an instance");
    v3(&service, &both).done();
    let both = get(&service).query("InstanceId", "not an instance");
    v1(&service, &both).done();
}

#[test]
fn the_vendors_own_requests_get_in_and_its_unsigned_ones_do_not() {
    let service = Service::start();
    let document: Value = serde_json::from_str(include_str!("../vectors/signature_vectors.json")).unwrap();
    let (mut in_, mut out) = (0, 0);
    for vector in document["vectors"].as_array().unwrap() {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let sent = &vector["request"];
        let query = text(&sent["query"]);
        let target = if query.is_empty() { "/".to_owned() } else { format!("/?{query}") };
        let mut request = Request::new(&text(&sent["method"]), &target);
        request.body = text(&sent["body"]).into_bytes();
        for header in sent["headers"].as_array().unwrap() {
            let (name, value) = (text(&header[0]), text(&header[1]));
            if ["connection", "content-length", "transfer-encoding", "expect"]
                .contains(&name.to_lowercase().as_str())
            {
                continue;
            }
            request = request.header(&name, &value);
        }
        let reply = request.send(service.address);
        let name = &vector["name"];
        if vector["expected_signature"].is_null() {
            assert_eq!(reply.refusal(), (400, "IncompleteSignature".to_owned()), "{name}");
            out += 1;
        } else if !vector["security_token"].is_null() {
            assert_eq!(
                reply.refusal(),
                (400, "InvalidSecurityToken.MismatchWithAccessKey".to_owned()),
                "{name}"
            );
            in_ += 1;
        } else {
            // What they request is often invalid here, but they were authenticated.
            let code = if reply.status == 200 { "OK".to_owned() } else { reply.code() };
            let heard =
                ["OK", "InvalidInstanceId", "InvalidAction.NotFound", "InvalidTerminalSessionToken.NotFound"];
            let heard =
                heard.contains(&code.as_str()) || code.starts_with("Missing") || code.starts_with("Invalid");
            assert!(
                heard
                    && !code.contains("Signature")
                    && !code.contains("TimeStamp")
                    && !code.contains("AccessKey"),
                "{name}: {code}"
            );
            in_ += 1;
        }
    }
    assert_eq!((in_, out), (42, 3));
}

#[test]
fn a_nonce_is_valid_once_even_across_two_servers() {
    let service = Service::start();
    let other = service.beside();
    let call = get(&service);
    let request = call.signed_v3(&service.root, service.address);
    request.send(service.address).done();
    assert_eq!(request.send(service.address).refusal(), (400, "SignatureNonceUsed".to_owned()));
    // The same bytes sent to the other server, which accepts the same Host.
    assert_eq!(request.send(other.address).refusal(), (400, "SignatureNonceUsed".to_owned()));
    let v1 = call.signed_v1(&service.root);
    assert_eq!(v1.send(other.address).refusal(), (400, "SignatureNonceUsed".to_owned()));
    let v1 = get(&service).signed_v1(&service.root);
    v1.send(other.address).done();
    assert_eq!(v1.send(service.address).refusal(), (400, "SignatureNonceUsed".to_owned()));
}

#[test]
fn of_many_copies_sent_at_once_one_is_done() {
    let service = Service::start();
    let other = service.beside();
    let request = get(&service).signed_v3(&service.root, service.address);
    let done: usize = std::thread::scope(|scope| {
        let send = |number: usize| {
            let (request, address) =
                (&request, if number.is_multiple_of(2) { service.address } else { other.address });
            scope.spawn(move || usize::from(request.send(address).status == 200))
        };
        (0..12).map(send).collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(done, 1);
}

#[test]
fn only_an_authenticated_request_uses_up_a_nonce() {
    let service = Service::start();
    let request = get(&service).signed_v3(&service.root, service.address);
    let mut forged = request.clone();
    forged.header_mut("authorization").replace_range(.., "ACS3-HMAC-SHA256 Credential=testAccessKeyId0001");
    assert_eq!(forged.send(service.address).code(), "IncompleteSignature");
    let mut forged = request.clone();
    let authorization = forged.header_mut("authorization");
    let at = authorization.len() - 1;
    let other = if authorization.ends_with('0') { "1" } else { "0" };
    authorization.replace_range(at.., other);
    assert_eq!(forged.send(service.address).refusal(), (400, "SignatureDoesNotMatch".to_owned()));
    request.send(service.address).done();
}

#[test]
fn the_nonces_of_two_keys_are_independent() {
    let service = Service::start();
    let everything = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
    let user = service.user("reader", &[everything]);
    let call = get(&service);
    v3(&service, &call).done();
    call.signed_v3(&user, service.address).send(service.address).done();
}

#[test]
fn the_window_is_a_quarter_of_an_hour_either_way() {
    let service = Service::start();
    for (offset, inside) in [
        (-QUARTER_OF_AN_HOUR, true),
        (QUARTER_OF_AN_HOUR, true),
        (-QUARTER_OF_AN_HOUR - 1_000, false),
        (QUARTER_OF_AN_HOUR + 1_000, false),
    ] {
        let mut call = get(&service);
        call.at = domain::Timestamp::from_millis(service.now().as_millis() + offset);
        for reply in
            [v3(&service, &call), v1(&service, &Call { nonce: format!("{}-v1", call.nonce), ..call.clone() })]
        {
            if inside {
                reply.done();
            } else {
                assert_eq!(reply.refusal(), (400, "InvalidTimeStamp.Expired".to_owned()), "{offset}");
                let said = reply.json();
                let now = service.now().to_rfc3339_seconds();
                assert!(said["Message"].as_str().unwrap().contains(&now), "{said}");
                assert_eq!(said["Retryable"], true, "{said}");
            }
        }
    }
}

#[test]
fn a_clock_that_is_hours_off_is_to_be_set_and_not_to_be_tried_again() {
    let service = Service::start();
    for offset in [-4 * QUARTER_OF_AN_HOUR, 4 * QUARTER_OF_AN_HOUR] {
        let mut call = get(&service);
        call.at = domain::Timestamp::from_millis(service.now().as_millis() + offset);
        let reply = v3(&service, &call);
        assert_eq!(reply.refusal(), (400, "InvalidTimeStamp.Expired".to_owned()));
        assert_eq!(reply.json()["Retryable"], false, "{reply:?}");
    }
}

#[test]
fn a_time_may_have_a_fraction_of_a_second() {
    let service = Service::start();
    for fraction in [".036", ".0", ".123456"] {
        let mut call = get(&service);
        call.date = Some(call.at.to_rfc3339_seconds().replace('Z', &format!("{fraction}Z")));
        v3(&service, &call).done();
        v1(&service, &Call { nonce: format!("{}-v1", call.nonce), ..call.clone() }).done();
    }
    for other in ["2026-01-02T03:04:05.Z", "2026-01-02T03:04:05,1Z", "2026-01-02T03:04:05.1"] {
        let call = Call { date: Some(other.to_owned()), ..get(&service) };
        assert_eq!(v3(&service, &call).code(), "InvalidTimeStamp.Format", "{other}");
    }
}

#[test]
fn a_used_nonce_stays_used_for_as_long_as_its_time_is_accepted() {
    let service = Service::start();
    let mut call = get(&service);
    call.at = domain::Timestamp::from_millis(service.now().as_millis() + QUARTER_OF_AN_HOUR);
    let request = call.signed_v3(&service.root, service.address);
    request.send(service.address).done();
    service.pass_millis(2 * QUARTER_OF_AN_HOUR);
    assert_eq!(request.send(service.address).code(), "SignatureNonceUsed");
    service.pass_millis(1_000);
    assert_eq!(request.send(service.address).code(), "InvalidTimeStamp.Expired");
}

#[test]
fn what_was_used_before_is_refused_for_that_whatever_its_call_is_answered_and_leaves_no_row() {
    let service = Service::start();
    let denied = service.user("denied", &[]);
    let ram = |action: &str, parameters: &[(&str, &str)]| Call {
        version: "2015-05-01".to_owned(),
        ..Call::new(action, parameters, service.now())
    };
    let workbench = |action: &str, parameters: &[(&str, &str)]| Call::new(action, parameters, service.now());
    for (call, key, answered) in [
        (get(&service), &service.root, "OK"),
        (
            workbench("GetInstanceRecordConfig", &[("InstanceId", "nodash")]),
            &service.root,
            "InvalidInstanceId",
        ),
        (workbench("GetInstanceRecordConfig", &[]), &service.root, "MissingInstanceId"),
        (workbench("GetInstanceRecordConfig", &[("InstanceId", "i-one")]), &denied, "Forbidden.RAM"),
        (workbench("NoSuchAction", &[]), &service.root, "InvalidAction.NotFound"),
        (ram("ListUsers", &[]), &service.root, "OK"),
        (ram("CreateUser", &[("UserName", "bo")]), &service.root, "OK"),
        (ram("CreateUser", &[("UserName", "bo")]), &service.root, "EntityAlreadyExists.User"),
        (ram("DeleteUser", &[("UserName", "bo")]), &denied, "NoPermission"),
        (ram("DeleteUser", &[("UserName", "bo")]), &service.root, "OK"),
    ] {
        let request = call.signed_v3(key, service.address);
        let before = service.audit(1_000).len();
        let reply = request.send(service.address);
        let code = if reply.status == 200 { "OK".to_owned() } else { reply.code() };
        assert_eq!(code, answered, "{reply:?}");
        let (after, state) = (service.audit(1_000), service.state());
        assert_eq!((after.len(), after[0].result.as_str()), (before + 1, answered));
        for _ in 0..2 {
            assert_eq!(
                request.send(service.address).refusal(),
                (400, "SignatureNonceUsed".to_owned()),
                "{answered}"
            );
        }
        assert_eq!((service.audit(1_000).len(), service.state()), (before + 1, state), "{answered}");
    }
}

#[test]
fn the_checks_come_in_their_order() {
    let service = Service::start();
    let nobody = Key { id: "LTAInobody".to_owned(), secret: "x".to_owned() };
    let stranger = Key { secret: "wrong".to_owned(), ..service.root.clone() };
    let late = |call: Call| Call { at: domain::Timestamp::from_millis(0), ..call };
    let send = |request: Request| request.send(service.address).refusal();
    let expect = |status: u16, code: &str| (status, code.to_owned());

    // The key is checked before the date, the date before the signature, the signature before the body.
    let mut request = late(get(&service)).signed_v3(&nobody, service.address);
    request.body.push(b'x');
    assert_eq!(send(request), expect(404, "InvalidAccessKeyId.NotFound"));
    let mut request = late(get(&service)).signed_v3(&stranger, service.address);
    request.body.push(b'x');
    assert_eq!(send(request), expect(400, "InvalidTimeStamp.Expired"));
    let mut request = get(&service).signed_v3(&stranger, service.address);
    request.body.push(b'x');
    let reply = request.send(service.address);
    assert_eq!(reply.refusal(), expect(400, "SignatureDoesNotMatch"));
    assert!(reply.text.contains("server canonical request is"), "{reply:?}");
    // The body is checked before the token.
    let with_token = |call: Call| {
        call.header("x-acs-accesskey-id", &service.root.id).header("x-acs-security-token", "token")
    };
    let mut request = with_token(get(&service)).signed_v3(&service.root, service.address);
    request.body[0] ^= 1;
    let reply = request.send(service.address);
    assert_eq!(reply.refusal(), expect(400, "SignatureDoesNotMatch"));
    assert!(reply.json()["Message"].as_str().unwrap().contains("The body that arrived"), "{reply:?}");
    // The signature is checked before the token, the token before the nonce, the nonce before the version.
    let request = with_token(get(&service)).signed_v3(&stranger, service.address);
    assert_eq!(send(request), expect(400, "SignatureDoesNotMatch"));
    let used = get(&service);
    v3(&service, &used).done();
    let request = with_token(used.clone()).signed_v3(&service.root, service.address);
    assert_eq!(send(request), expect(400, "InvalidSecurityToken.MismatchWithAccessKey"));
    let unknown =
        |call: Call| Call { version: "1999-01-01".to_owned(), action: "Nothing".to_owned(), ..call };
    assert_eq!(
        send(unknown(used).signed_v3(&service.root, service.address)),
        expect(400, "SignatureNonceUsed")
    );
    // The version is checked before the action, the action before the parameters.
    assert_eq!(
        send(unknown(get(&service)).signed_v3(&service.root, service.address)),
        expect(400, "InvalidVersion")
    );
    let call = Call { action: "Nothing".to_owned(), ..Call::new("", &[], service.now()) };
    assert_eq!(send(call.signed_v3(&service.root, service.address)), expect(404, "InvalidAction.NotFound"));
    assert_eq!(service.call("SetInstanceRecordConfig", &[]).code(), "MissingEnabled");
    // The form of the parameters is checked before the policy, the policy before their meaning.
    let user = service.user("nobody", &[]);
    let bad = [("InstanceId", "i-one"), ("Enabled", "maybe")];
    assert_eq!(service.call_as(&user, "SetInstanceRecordConfig", &bad).code(), "InvalidEnabled");
    let bad = [("InstanceId", "i-one"), ("Enabled", "true"), ("RecordStorageTarget", "nonsense")];
    assert_eq!(service.call_as(&user, "SetInstanceRecordConfig", &bad).code(), "Forbidden.RAM");
    assert_eq!(service.call("SetInstanceRecordConfig", &bad).code(), "InvalidRecordStorageTarget.Format");
}

#[test]
fn an_inactive_or_deleted_key_is_refused_at_once() {
    let service = Service::start();
    let everything = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
    let user = service.user("leaver", &[everything]);
    let get = || service.call_as(&user, "GetInstanceRecordConfig", &[("InstanceId", "i-one")]);
    get().done();
    let id = user.id.parse().unwrap();
    let inactive = domain::access_key::AccessKeyStatus::Inactive;
    let granted = service.operator();
    service.wait(service.store.set_access_key_status(&granted, &id, inactive, service.event("Set"))).unwrap();
    assert_eq!(get().refusal(), (400, "InvalidAccessKeyId.Inactive".to_owned()));
    service.wait(service.store.delete_access_key(&granted, &id, service.event("Delete"))).unwrap();
    assert_eq!(get().refusal(), (404, "InvalidAccessKeyId.NotFound".to_owned()));
}

#[test]
fn a_v3_request_that_names_two_actions_is_refused() {
    let service = Service::start();
    let call = get(&service).query("Action", "SetInstanceRecordConfig");
    assert_eq!(v3(&service, &call).code(), "InvalidAction");
    let call = get(&service).query("Version", "1999-01-01");
    assert_eq!(v3(&service, &call).code(), "InvalidVersion");
    let call = get(&service).query("Action", "GetInstanceRecordConfig").query("Version", "2022-02-20");
    v3(&service, &call).done();
}

#[test]
fn a_header_does_not_change_what_a_v1_request_asks_for() {
    let service = Service::start();
    let call =
        get(&service).header("x-acs-action", "SetInstanceRecordConfig").header("x-acs-version", "1999-01-01");
    v1(&service, &call).done();
}

#[test]
fn the_string_to_sign_stands_behind_the_first_colon() {
    let service = Service::start();
    let wrong = Key { secret: "wrong".to_owned(), ..service.root.clone() };
    let reply = get(&service).signed_v1(&wrong).send(service.address);
    assert_eq!(reply.refusal(), (400, "SignatureDoesNotMatch".to_owned()));
    let message = reply.json()["Message"].as_str().unwrap().to_owned();
    assert!(message.starts_with(
        "Specified signature is not matched with our calculation. server string to sign is:POST&%2F&"
    ));
    assert_eq!(message.matches(':').count(), 1);
    let login = Call::new("LoginInstance", &[("InstanceLoginInfo.Password", "hunter2")], service.now());
    for reply in [
        login.signed_v1(&wrong).send(service.address),
        login.signed_v3(&wrong, service.address).send(service.address),
    ] {
        assert_eq!(reply.code(), "SignatureDoesNotMatch");
        assert!(reply.json()["Message"].as_str().unwrap().contains(':'));
        assert!(!reply.text.contains("hunter2") && !reply.text.contains("Password"), "{reply:?}");
    }
}

#[test]
fn a_content_md5_that_is_sent_must_be_that_of_the_body() {
    let service = Service::start();
    // The MD5 of "InstanceId=i-one", computed by another program.
    let right = get(&service).header("content-md5", "9S/4K/69tgTZFsxmcHOOYg==");
    v1(&service, &right).done();
    let right = Call { nonce: "another".to_owned(), ..right };
    v3(&service, &right).done();
    let refused = (400, "ContentMD5NotMatched".to_owned());
    for wrong in ["1B2M2Y8AsgTpgAmY7PhCfg==", "", "?"] {
        let wrong = get(&service).header("content-md5", wrong);
        assert_eq!(v1(&service, &wrong).refusal(), refused);
        assert_eq!(v3(&service, &wrong).refusal(), refused);
        // The nonce was not claimed: the request was damaged on its way, and the client sends it again unchanged.
        let sound = Call { headers: Vec::new(), ..wrong };
        v3(&service, &sound).done();
    }
}

#[test]
fn a_body_of_a_v3_request_has_a_content_type_that_is_signed() {
    let service = Service::start();
    let refused = (400, "IncompleteSignature".to_owned());
    let unsigned = || Call { signs_content_type: false, ..get(&service) };
    // A content type added on the way would turn a body into parameters, and one removed on the way would make
    // parameters vanish.
    for content_type in [Some("application/x-www-form-urlencoded"), Some("text/plain"), None] {
        for chunked in [false, true] {
            let mut request = unsigned().signed_v3(&service.root, service.address);
            request.chunked = chunked;
            if let Some(content_type) = content_type {
                request = request.header("content-type", content_type);
            }
            let reply = request.send(service.address);
            assert_eq!(reply.refusal(), refused, "{content_type:?} {chunked}");
            assert!(reply.json()["Message"].as_str().unwrap().contains("content-type"), "{reply:?}");
        }
    }
    let mut stripped = get(&service).signed_v3(&service.root, service.address);
    stripped.headers.retain(|(name, _)| name != "content-type");
    assert_eq!(stripped.send(service.address).refusal(), refused);
    // Any signed type is accepted, and without a body it does not matter.
    let other = Call { signs_content_type: false, ..get(&service) }.header("content-type", "text/plain");
    assert_eq!(v3(&service, &other).code(), "MissingInstanceId");
    let bodiless = get(&service).by_get().signed_v3(&service.root, service.address);
    bodiless.header("content-type", "application/octet-stream").send(service.address).done();
    let signed = get(&service).by_get().header("content-type", "application/x-www-form-urlencoded");
    v3(&service, &signed).done();
}
