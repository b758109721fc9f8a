//! FailurePolicy, DeliveryMode, RecordedPrincipals and the notice of a record configuration: how they are set, and which hold.

use serde_json::{Value, json};

use crate::service::Service;
use crate::signing::Call;

const SET: &str = "SetInstanceRecordConfig";

fn set(service: &Service, instance: &str, settings: &[(&str, &str)]) {
    let parameters = [&[("InstanceId", instance), ("Enabled", "true")], settings].concat();
    assert_eq!(service.call(SET, &parameters).done()["Root"], true);
}

fn get(service: &Service, instance: &str) -> Value {
    service.call("GetInstanceRecordConfig", &[("InstanceId", instance)]).done()
}

/// A setting in force, and what it was set for.
fn in_force(config: &Value, name: &str) -> (Value, String) {
    let source = config[format!("{name}Source")].as_str().unwrap_or_else(|| panic!("{config}"));
    (config[name].clone(), source.to_owned())
}

fn is(value: Value, source: &str) -> (Value, String) {
    (value, source.to_owned())
}

#[test]
fn what_was_never_set_is_the_default() {
    let service = Service::start();
    for _ in 0..2 {
        let config = get(&service, "i-one");
        assert_eq!(in_force(&config, "FailurePolicy"), is(json!("strict"), "default"));
        assert_eq!(in_force(&config, "DeliveryMode"), is(json!("async"), "default"));
        assert_eq!(in_force(&config, "RecordedPrincipals"), is(json!(["*"]), "default"));
        assert_eq!(in_force(&config, "Notice"), is(json!("default"), "default"));
        assert!(config.get("NoticeText").is_none(), "{config}");
        // The same with a configuration that says nothing about them.
        set(&service, "i-one", &[]);
    }
}

#[test]
fn what_is_set_is_read_back_and_stays_when_it_is_omitted() {
    let service = Service::start();
    let notice = "Sitzungen werden aufgezeichnet: <b>\"&'</b> 録画";
    set(
        &service,
        "i-one",
        &[
            ("FailurePolicy", "best_effort"),
            ("DeliveryMode", "sync"),
            ("RecordedPrincipals", "user:ana, group:ops-*,user:ana"),
            ("NoticeText", notice),
        ],
    );
    let expected = get(&service, "i-one");
    assert_eq!(in_force(&expected, "FailurePolicy"), is(json!("best_effort"), "i-one"));
    assert_eq!(in_force(&expected, "DeliveryMode"), is(json!("sync"), "i-one"));
    assert_eq!(in_force(&expected, "RecordedPrincipals"), is(json!(["user:ana", "group:ops-*"]), "i-one"));
    assert_eq!(in_force(&expected, "Notice"), is(json!("text"), "i-one"));
    assert_eq!(expected["NoticeText"], notice);

    // SDKs send an empty text for what their caller left undefined.
    let empty = ["FailurePolicy", "DeliveryMode", "RecordedPrincipals", "Notice", "NoticeText"]
        .map(|name| (name, ""));
    for omitted in [&[][..], &empty] {
        set(&service, "i-one", omitted);
        let kept = get(&service, "i-one");
        for name in ["FailurePolicy", "DeliveryMode", "RecordedPrincipals", "Notice"] {
            assert_eq!(in_force(&kept, name), in_force(&expected, name));
        }
        assert_eq!(kept["NoticeText"], notice);
    }
    // Each by itself.
    set(&service, "i-one", &[("Notice", "none")]);
    let silent = get(&service, "i-one");
    assert_eq!(in_force(&silent, "Notice"), is(json!("none"), "i-one"));
    assert!(silent.get("NoticeText").is_none(), "{silent}");
    assert_eq!(in_force(&silent, "FailurePolicy"), is(json!("best_effort"), "i-one"));
    assert_eq!(in_force(&silent, "DeliveryMode"), is(json!("sync"), "i-one"));
    set(
        &service,
        "i-one",
        &[
            ("Notice", "default"),
            ("RecordedPrincipals", "*"),
            ("FailurePolicy", "strict"),
            ("DeliveryMode", "async"),
        ],
    );
    let reset = get(&service, "i-one");
    assert_eq!(in_force(&reset, "Notice"), is(json!("default"), "i-one"));
    assert_eq!(in_force(&reset, "RecordedPrincipals"), is(json!(["*"]), "i-one"));
    assert_eq!(in_force(&reset, "FailurePolicy"), is(json!("strict"), "i-one"));
    assert_eq!(in_force(&reset, "DeliveryMode"), is(json!("async"), "i-one"));
    // Switching off keeps them.
    service
        .call(SET, &[("InstanceId", "i-one"), ("Enabled", "false"), ("FailurePolicy", "best_effort")])
        .done();
    let off = get(&service, "i-one");
    assert_eq!((&off["Enabled"], off.get("Root")), (&json!(false), None));
    assert_eq!(in_force(&off, "FailurePolicy"), is(json!("best_effort"), "i-one"));
}

#[test]
fn the_audit_trail_has_what_a_call_says_about_sessions() {
    let service = Service::start();
    set(
        &service,
        "i-one",
        &[
            ("FailurePolicy", "best_effort"),
            ("DeliveryMode", "sync"),
            ("RecordedPrincipals", "user:ana,role:?"),
            ("NoticeText", "x"),
        ],
    );
    service.pass_millis(1_000);
    set(&service, "i-one", &[("Notice", "none")]);
    service.pass_millis(1_000);
    set(&service, "i-one", &[]);
    let events = service.call("ListAuditEvents", &[("EventAction", SET)]).done();
    let events = events["Root"]["AuditEventList"].as_array().unwrap_or_else(|| panic!("{events}"));
    let said: Vec<_> = events.iter().map(|event| event["How"].as_str().unwrap()).collect();
    let first =
        "on, FailurePolicy best_effort, DeliveryMode sync, RecordedPrincipals user:ana,role:?, Notice text";
    assert_eq!(said, ["on", "on, Notice none", first]);
}

#[test]
fn each_setting_is_the_instances_own_or_else_that_of_all() {
    let service = Service::start();
    set(
        &service,
        "*",
        &[("FailurePolicy", "best_effort"), ("DeliveryMode", "sync"), ("RecordedPrincipals", "role:?dmin")],
    );
    set(&service, "i-one", &[("FailurePolicy", "strict"), ("NoticeText", "Mind: recorded")]);
    let one = get(&service, "i-one");
    assert_eq!(in_force(&one, "FailurePolicy"), is(json!("strict"), "i-one"));
    assert_eq!(in_force(&one, "DeliveryMode"), is(json!("sync"), "*"));
    assert_eq!(in_force(&one, "RecordedPrincipals"), is(json!(["role:?dmin"]), "*"));
    assert_eq!(in_force(&one, "Notice"), is(json!("text"), "i-one"));
    for other in ["i-two", "*"] {
        let other = get(&service, other);
        assert_eq!(in_force(&other, "FailurePolicy"), is(json!("best_effort"), "*"));
        assert_eq!(in_force(&other, "Notice"), is(json!("default"), "default"));
    }
}

#[test]
fn principals_are_a_list_in_any_of_its_forms() {
    let service = Service::start();
    let expected = json!(["user:ana", "group:ops-*"]);
    for form in [
        &[("RecordedPrincipals", "user:ana,group:ops-*")][..],
        &[("RecordedPrincipals", r#"["user:ana", "group:ops-*"]"#)],
        &[("RecordedPrincipals.2", "group:ops-*"), ("RecordedPrincipals.1", "user:ana")],
    ] {
        set(&service, "i-one", &[("RecordedPrincipals", "*")]);
        set(&service, "i-one", form);
        assert_eq!(get(&service, "i-one")["RecordedPrincipals"], expected, "{form:?}");
    }
    let call =
        Call::new("GetInstanceRecordConfig", &[("InstanceId", "i-one"), ("Format", "XML")], service.now());
    let reply = call.signed_v3(&service.root, service.address).send(service.address);
    let xml = reply.text;
    let items = "<RecordedPrincipals>user:ana</RecordedPrincipals><RecordedPrincipals>group:ops-*</RecordedPrincipals>";
    assert!(xml.contains(items), "{xml}");
}

#[test]
fn a_setting_that_breaks_its_rule_is_refused_by_name_and_changes_nothing() {
    let service = Service::start();
    set(&service, "i-one", &[("RecordedPrincipals", "user:ana"), ("NoticeText", "recorded")]);
    let before = service.state();
    let many = vec!["user:a"; 101].join(",");
    let long_pattern = format!("user:{}", "a".repeat(129));
    let (longest, too_long) = ("x".repeat(500), "x".repeat(501));
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("FailurePolicy", "Strict")], "InvalidFailurePolicy"),
        (&[("FailurePolicy", "lenient")], "InvalidFailurePolicy"),
        (&[("DeliveryMode", "Sync")], "InvalidDeliveryMode"),
        (&[("DeliveryMode", "later")], "InvalidDeliveryMode"),
        (&[("RecordedPrincipals", "ana")], "InvalidRecordedPrincipals"),
        (&[("RecordedPrincipals", "user:ana,")], "InvalidRecordedPrincipals"),
        (&[("RecordedPrincipals", "user:")], "InvalidRecordedPrincipals"),
        (&[("RecordedPrincipals", "host:a")], "InvalidRecordedPrincipals"),
        (&[("RecordedPrincipals", "user:a\u{1b}[2J")], "InvalidRecordedPrincipals"),
        (&[("RecordedPrincipals", "[]")], "InvalidRecordedPrincipals"),
        (&[("RecordedPrincipals", "[\"user:a\", 1]")], "InvalidRecordedPrincipals"),
        (&[("RecordedPrincipals", "[\"user:a,user:b\"]")], "InvalidRecordedPrincipals"),
        (&[("RecordedPrincipals", &many)], "InvalidRecordedPrincipals"),
        (&[("RecordedPrincipals", &long_pattern)], "InvalidRecordedPrincipals"),
        (
            &[("RecordedPrincipals", "user:a"), ("RecordedPrincipals.1", "user:b")],
            "InvalidRecordedPrincipals",
        ),
        (&[("NoticeText", "a\nb")], "InvalidNoticeText"),
        (&[("NoticeText", "a\u{1b}]0;b\u{7}")], "InvalidNoticeText"),
        (&[("NoticeText", "a\u{202e}b")], "InvalidNoticeText"),
        (&[("NoticeText", "  ")], "InvalidNoticeText"),
        (&[("NoticeText", &too_long)], "InvalidNoticeText"),
        (&[("Notice", "text")], "InvalidNotice"),
        (&[("Notice", "none"), ("NoticeText", "recorded")], "InvalidNotice"),
    ];
    for (settings, code) in cases {
        let parameters = [&[("InstanceId", "i-one"), ("Enabled", "true")], *settings].concat();
        let reply = service.call(SET, &parameters);
        assert_eq!(reply.refusal(), (400, (*code).to_owned()), "{settings:?}");
        assert_eq!(service.state(), before, "{settings:?}");
    }
    set(&service, "i-one", &[("NoticeText", &longest)]);
    assert_eq!(get(&service, "i-one")["NoticeText"], json!(longest));
}
