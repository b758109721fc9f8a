//! ListAuditEvents: every filter, by signed calls.

use std::time::Duration;

use domain::Timestamp;
use domain::actions::ListAuditEvents;
use domain::gate::{PrincipalPolicies, RequestFacts, Resource, authorize};
use domain::principal::Principal;
use serde_json::{Value, json};

use crate::service::{ACCOUNT, Service, account};
use crate::signing::Key;

fn list(service: &Service, parameters: &[(&str, &str)]) -> Vec<Value> {
    let body = service.call("ListAuditEvents", parameters).done();
    body["Root"]["AuditEventList"].as_array().unwrap().clone()
}

fn actions(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["Action"].as_str().unwrap()).collect()
}

fn arn(instance: &str) -> String {
    format!("acs:ecs-workbench:cn-hangzhou:{ACCOUNT}:workbench/{instance}")
}

fn user_arn(name: &str) -> String {
    format!("acs:ram::{ACCOUNT}:user/{name}")
}

/// Three calls at intervals of a minute: one allowed, one denied, one without a decision.
fn trail(service: &Service) -> (Key, [String; 3]) {
    let ana = service.user("ana", &[]);
    service.pass_millis(60_000);
    let call = |key: &Key, action: &str, parameters: &[(&str, &str)]| {
        let id = service.call_as(key, action, parameters).json()["RequestId"].as_str().unwrap().to_owned();
        service.pass_millis(60_000);
        id
    };
    let ids = [
        call(&service.root, "SetInstanceRecordConfig", &[("InstanceId", "i-one"), ("Enabled", "true")]),
        call(&ana, "GetInstanceRecordConfig", &[("InstanceId", "i-two")]),
        call(&ana, "GetInstanceRecordConfig", &[]),
    ];
    (ana, ids)
}

#[test]
fn an_event_says_who_did_what_to_what_and_how_it_ended() {
    let service = Service::start();
    let (ana, [set, denied, unasked]) = trail(&service);
    let events = list(&service, &[("PageSize", "3")]);
    assert_eq!(
        events[2],
        json!({
            "RequestId": set,
            "EventTime": "2026-01-02T03:05:05.000Z",
            "Principal": format!("acs:ram::{ACCOUNT}:root"),
            "AccessKeyId": service.root.id,
            "Action": "SetInstanceRecordConfig",
            "Resource": arn("i-one"),
            "InstanceId": "i-one",
            "Decision": "Allowed",
            "DecidedBy": events[2]["DecidedBy"],
            "Result": "OK",
            "SourceAddress": "127.0.0.1",
            "UserAgent": events[2]["UserAgent"],
            "How": "on",
        })
    );
    assert!(events[2]["DecidedBy"].as_str().is_some_and(|by| !by.is_empty()));
    assert_eq!(
        events[1],
        json!({
            "RequestId": denied,
            "EventTime": "2026-01-02T03:06:05.000Z",
            "Principal": user_arn("ana"),
            "AccessKeyId": ana.id,
            "Action": "GetInstanceRecordConfig",
            "Resource": arn("i-two"),
            "InstanceId": "i-two",
            "Decision": "Denied",
            "Result": "Forbidden.RAM",
            "SourceAddress": "127.0.0.1",
            "UserAgent": events[1]["UserAgent"],
        })
    );
    assert_eq!(
        (&events[0]["RequestId"], &events[0]["Decision"], &events[0]["Resource"], &events[0]["Result"]),
        (&json!(unasked), &json!("NotAsked"), &json!(""), &json!("MissingInstanceId"))
    );
    // Reading the trail is audited in the trail.
    assert_eq!(actions(&list(&service, &[("PageSize", "1")])), ["ListAuditEvents"]);
    // The row of a view of a recording names it.
    let agent = service.agent("i-one");
    let token = service.recording(&agent, 1_000);
    let view = [("InstanceId", "i-one"), ("TerminalSessionToken", token.as_str())];
    service.call("ViewInstanceRecords", &view).done();
    let views = list(&service, &[("EventAction", "ViewInstanceRecords")]);
    assert_eq!(views[0]["TerminalSessionToken"], json!(token.as_str()));
    assert_eq!(views[0]["How"], "ticket");
}

#[test]
fn each_filter_selects() {
    let service = Service::start();
    let (_, [set, denied, unasked]) = trail(&service);
    let (root, ana) = (format!("acs:ram::{ACCOUNT}:root"), user_arn("ana"));
    let (one, two) = (arn("i-one"), arn("i-two"));
    // The times of the three calls.
    let (first, second, third) = ("2026-01-02T03:05:05Z", "2026-01-02T03:06:05Z", "2026-01-02T03:07:05Z");
    let all = [&unasked, &denied, &set];
    for (parameters, expected) in [
        (vec![("Principal", ana.as_str())], &all[..2]),
        (vec![("Principal", &root)], &all[2..]),
        (vec![("Principal", "ana")], &[]),
        (vec![("EventAction", "SetInstanceRecordConfig")], &all[2..]),
        (vec![("EventAction", "GetInstanceRecordConfig")], &all[..2]),
        (vec![("EventAction", "getinstancerecordconfig")], &[]),
        (vec![("Resource", &one)], &all[2..]),
        (vec![("Resource", &two)], &all[1..2]),
        (vec![("InstanceId", "i-one")], &all[2..]),
        (vec![("InstanceId", "i-two")], &all[1..2]),
        (vec![("InstanceId", "i-three")], &[]),
        (vec![("Decision", "Denied")], &all[1..2]),
        (vec![("Decision", "NotAsked")], &all[..1]),
        (vec![("StartTime", second)], &all[..2]),
        (vec![("EndTime", second), ("StartTime", first)], &all[2..]),
        (vec![("StartTime", second), ("EndTime", third)], &all[1..2]),
        (vec![("Decision", "Denied"), ("InstanceId", "i-two"), ("Principal", &ana)], &all[1..2]),
        (vec![("Decision", "Allowed"), ("InstanceId", "i-two"), ("Principal", &ana)], &[]),
    ] {
        let mut asked = parameters.clone();
        // The rows of the calls that made the users, and of the queries here, are ignored.
        asked.push(("PageSize", "100"));
        let found = list(&service, &asked);
        let found: Vec<_> = found
            .iter()
            .filter(|event| event["Action"] != "ListAuditEvents" && event["Principal"] != "test")
            .map(|event| event["RequestId"].as_str().unwrap())
            .collect();
        assert_eq!(found, expected, "{parameters:?}");
    }
    let allowed = list(&service, &[("Decision", "Allowed"), ("PageSize", "100")]);
    assert!(allowed.iter().all(|event| event["Decision"] == "Allowed"));
    assert!(allowed.iter().any(|event| event["RequestId"] == json!(set)));
}

#[test]
fn pages_continue_by_token() {
    let service = Service::start();
    for _ in 0..7 {
        service.call("ListAgents", &[]).done();
        service.pass_millis(1_000);
    }
    let (mut read, mut token) = (Vec::new(), None::<String>);
    loop {
        let mut asked = vec![("EventAction", "ListAgents"), ("PageSize", "3")];
        asked.extend(token.as_deref().map(|token| ("NextToken", token)));
        let body = service.call("ListAuditEvents", &asked).done();
        assert!(body["Root"].get("TotalCount").is_none());
        read.extend(body["Root"]["AuditEventList"].as_array().unwrap().clone());
        token = body.get("NextToken").map(|token| token.as_str().unwrap().to_owned());
        if token.is_none() {
            break;
        }
        // The token is not valid for another query.
        let other = [("EventAction", "ListAgent"), ("NextToken", token.as_deref().unwrap())];
        assert_eq!(service.call("ListAuditEvents", &other).refusal(), (400, "InvalidNextToken".to_owned()));
    }
    assert_eq!(read.len(), 7);
    assert!(read.is_sorted_by(|a, b| a["EventTime"].as_str() > b["EventTime"].as_str()));
    assert_eq!(list(&service, &[]).len(), 10, "the default page");
}

#[test]
fn malformed_parameters_are_named() {
    let service = Service::start();
    let long = "x".repeat(2_000);
    for (parameters, code) in [
        (&[("InstanceId", "nodash")][..], "InvalidInstanceId"),
        (&[("Principal", &long)], "InvalidPrincipal"),
        (&[("Resource", &long)], "InvalidResource"),
        (&[("Decision", "allowed")], "InvalidDecision"),
        (&[("StartTime", "2026-01-02")], "InvalidStartTime"),
        (&[("StartTime", "2026-01-02T03:04:05.Z")], "InvalidStartTime"),
        (&[("EndTime", "2026-02-30T00:00:00Z")], "InvalidEndTime"),
        (&[("StartTime", "2026-01-02T00:00:00Z"), ("EndTime", "2026-01-02T00:00:00Z")], "InvalidEndTime"),
        (&[("PageSize", "0")], "InvalidPageSize"),
        (&[("PageSize", "101")], "InvalidPageSize"),
        (&[("NextToken", "nonsense")], "InvalidNextToken"),
    ] {
        let reply = service.call("ListAuditEvents", parameters);
        assert_eq!(reply.refusal(), (400, code.to_owned()), "{parameters:?}");
    }
}

#[test]
fn policy_is_asked_about_the_instance_or_about_everything() {
    let service = Service::start();
    trail(&service);
    let may = |resource: &str| {
        format!(
            r#"{{"Version":"1","Statement":[{{"Effect":"Allow","Action":"ecs-workbench:ListAuditEvents","Resource":"{resource}"}}]}}"#
        )
    };
    let all = service.user("all", &[&may("*")]);
    let one = service.user("one", &[&may("acs:ecs-workbench:*:*:workbench/i-one")]);
    let none = service.user("none", &[]);
    let of_one = [("InstanceId", "i-one")];
    let refused = (403, "Forbidden.RAM".to_owned());
    service.call_as(&all, "ListAuditEvents", &[]).done();
    service.call_as(&all, "ListAuditEvents", &of_one).done();
    let shown = service.call_as(&one, "ListAuditEvents", &of_one).done();
    let shown = shown["Root"]["AuditEventList"].as_array().unwrap().clone();
    assert!(!shown.is_empty() && shown.iter().all(|event| event["InstanceId"] == "i-one"), "{shown:?}");
    for parameters in
        [&[][..], &[("InstanceId", "*")], &[("InstanceId", "i-two")], &[("Resource", &arn("i-one"))]]
    {
        assert_eq!(service.call_as(&one, "ListAuditEvents", parameters).refusal(), refused, "{parameters:?}");
    }
    assert_eq!(service.call_as(&none, "ListAuditEvents", &[]).refusal(), refused);
    // Only callers on the wire may list audit events; an operator is refused.
    let operator = Principal::Operator { account: account() };
    let facts = RequestFacts::at(service.now());
    authorize::<ListAuditEvents>(&operator, Resource::Everything, &PrincipalPolicies::none(), &facts)
        .unwrap_err();
}

/// The job removes what is old, and the list says that it did.
#[test]
fn a_list_says_what_is_no_longer_in_the_database() {
    let service = Service::adjusted(|settings| settings.audit_retention = Some(Duration::from_millis(2_400)));
    let folder = tempfile::tempdir().unwrap();
    service.wait(service.store.open_audit_log(&folder.path().join("audit"))).unwrap();
    let (_, [old, ..]) = trail(&service);
    let listed = || {
        let body = service.call("ListAuditEvents", &[("PageSize", "100")]).done();
        let events = body["Root"]["AuditEventList"].as_array().unwrap();
        let is_there = events.iter().any(|event| event["RequestId"] == old.as_str());
        (body["PrunedBefore"].as_str().map(str::to_owned), is_there)
    };
    service.pass_millis(60_000);
    service.wait(service.store.anchor_audit(service.now())).unwrap();
    service.call("ListAuditEvents", &[]).done();
    // It is said before the first row goes.
    let before = test_facts::until("old rows are removed", || {
        let (before, is_there) = listed();
        before.filter(|_| !is_there)
    });
    assert!(Timestamp::parse_rfc3339(&before).unwrap() <= service.now(), "{before}");
    let start = ("StartTime", service.now().to_rfc3339_millis());
    let body = service.call("ListAuditEvents", &[(start.0, start.1.as_str())]).done();
    assert_eq!(body["PrunedBefore"], Value::Null, "it asks for nothing so old");
}
