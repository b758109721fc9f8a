//! What each action does, and that a refusal changes nothing.

use domain::audit::AuditDecision;
use domain::recording_life::SessionEnd;
use serde_json::{Value, json};

use crate::service::{ACCOUNT, Service};
use crate::signing::Call;

const DAY: i64 = 86_400_000;

fn target(custom: &str) -> String {
    format!("acs:oss:cn-beijing:{ACCOUNT}:workbench-record-{ACCOUNT}-{custom}/record")
}

fn set(service: &Service, parameters: &[(&str, &str)]) -> Value {
    let body = service.call("SetInstanceRecordConfig", parameters).done();
    assert_eq!(body["Root"], true);
    body
}

fn get(service: &Service, instance: &str) -> Value {
    service.call("GetInstanceRecordConfig", &[("InstanceId", instance)]).done()
}

#[test]
fn a_configuration_is_set_and_read_back() {
    let service = Service::start();
    let never = get(&service, "i-one");
    for absent in ["Root", "Enabled", "Inherited"] {
        assert!(never.get(absent).is_none(), "{never}");
    }

    set(
        &service,
        &[
            ("InstanceId", "i-one"),
            ("Enabled", "True"),
            ("RecordStorageTarget", &target("demo")),
            ("ExpirationDays", "30"),
        ],
    );
    let own = get(&service, "i-one");
    let root = json!({ "ExpirationDays": 30, "InstanceId": "i-one", "ParentId": ACCOUNT, "RecordStorageTarget": target("demo") });
    assert_eq!(own["Root"], root);
    assert_eq!((&own["Enabled"], &own["Inherited"]), (&json!(true), &json!(false)));

    // If the target is omitted, it is kept; if the days are omitted, they are 7 again.
    set(&service, &[("InstanceId", "i-one"), ("Enabled", "true"), ("RegionId", "cn-shanghai")]);
    let kept = get(&service, "i-one");
    assert_eq!(kept["Root"]["RecordStorageTarget"], json!(target("demo")));
    assert_eq!(kept["Root"]["ExpirationDays"], 7);

    set(&service, &[("InstanceId", "i-one"), ("Enabled", "false")]);
    let off = get(&service, "i-one");
    assert!(off.get("Root").is_none());
    assert_eq!((&off["Enabled"], &off["Inherited"]), (&json!(false), &json!(false)));
}

#[test]
fn an_instances_own_configuration_wins_over_that_of_all() {
    let service = Service::start();
    set(&service, &[("InstanceId", "*"), ("Enabled", "true"), ("RecordStorageTarget", &target("all"))]);
    let inherited = get(&service, "i-later");
    assert_eq!(inherited["Root"]["InstanceId"], "*");
    assert_eq!((&inherited["Enabled"], &inherited["Inherited"]), (&json!(true), &json!(true)));
    assert_eq!(get(&service, "*")["Inherited"], false);

    set(&service, &[("InstanceId", "i-one"), ("Enabled", "false")]);
    assert!(get(&service, "i-one").get("Root").is_none());
    assert_eq!(get(&service, "i-later")["Root"]["InstanceId"], "*");
}

#[test]
fn the_target_falls_back_to_the_deployments_default_or_is_asked_for() {
    let service = Service::start();
    set(&service, &[("InstanceId", "i-one"), ("Enabled", "true")]);
    let default = format!("acs:oss:cn-hangzhou:{ACCOUNT}:workbench-record-{ACCOUNT}-default/record");
    assert_eq!(get(&service, "i-one")["Root"]["RecordStorageTarget"], json!(default));

    let service = Service::without_default_target();
    let before = service.state();
    let reply = service.call("SetInstanceRecordConfig", &[("InstanceId", "i-one"), ("Enabled", "true")]);
    assert_eq!(reply.refusal(), (400, "MissingRecordStorageTarget".to_owned()));
    assert_eq!(service.state(), before);
    // Switching off needs no target; if one is given, it is checked and kept.
    set(&service, &[("InstanceId", "i-one"), ("Enabled", "false"), ("RecordStorageTarget", &target("kept"))]);
    set(&service, &[("InstanceId", "i-one"), ("Enabled", "true")]);
    assert_eq!(get(&service, "i-one")["Root"]["RecordStorageTarget"], json!(target("kept")));
}

#[test]
fn every_refused_set_names_what_is_wrong_and_changes_nothing() {
    let service = Service::start();
    set(&service, &[("InstanceId", "i-one"), ("Enabled", "true"), ("RecordStorageTarget", &target("demo"))]);
    let before = service.state();
    let other = ACCOUNT.replace('6', "7");
    let long = format!("{}/{}", target("a"), "x".repeat(255));
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("InstanceId", "i-one")], "MissingEnabled"),
        (&[("Enabled", "true")], "MissingInstanceId"),
        (&[("InstanceId", "i-one"), ("Enabled", "yes")], "InvalidEnabled"),
        (&[("InstanceId", "one"), ("Enabled", "true")], "InvalidInstanceId"),
        (&[("InstanceId", ""), ("Enabled", "true")], "MissingInstanceId"),
        (&[("InstanceId", "i-one*"), ("Enabled", "true")], "InvalidInstanceId"),
        (&[("InstanceId", "i-one"), ("Enabled", "true"), ("ExpirationDays", "0")], "InvalidExpirationDays"),
        (
            &[("InstanceId", "i-one"), ("Enabled", "true"), ("ExpirationDays", "3651")],
            "InvalidExpirationDays",
        ),
        (&[("InstanceId", "i-one"), ("Enabled", "true"), ("ExpirationDays", "-7")], "InvalidExpirationDays"),
        (&[("InstanceId", "i-one"), ("Enabled", "true"), ("ExpirationDays", "7.5")], "InvalidExpirationDays"),
        (
            &[("InstanceId", "i-one"), ("Enabled", "true"), ("RecordStorageTarget", &long)],
            "InvalidRecordStorageTarget.Format",
        ),
        (
            &[("InstanceId", "i-one"), ("Enabled", "false"), ("RecordStorageTarget", "acs:oss:nowhere")],
            "InvalidRecordStorageTarget.Format",
        ),
        (
            &[
                ("InstanceId", "i-one"),
                ("Enabled", "true"),
                ("RecordStorageTarget", &target("demo").replace("beijing", "Beijing")),
            ],
            "InvalidRecordStorageTarget.Region",
        ),
        (
            &[
                ("InstanceId", "i-one"),
                ("Enabled", "true"),
                ("RecordStorageTarget", &target("demo").replace("workbench", "my")),
            ],
            "InvalidRecordStorageTarget.BucketName",
        ),
        (
            &[
                ("InstanceId", "i-one"),
                ("Enabled", "true"),
                ("RecordStorageTarget", &target("demo").replace(ACCOUNT, &other)),
            ],
            "InvalidRecordStorageTarget.AccountMismatch",
        ),
        (
            &[
                ("InstanceId", "i-one"),
                ("Enabled", "true"),
                ("RecordStorageTarget", &target("demo")),
                ("ResourceRegionId", "cn-shanghai"),
            ],
            "InvalidRecordStorageTarget.Region",
        ),
        (
            &[("InstanceId", "i-one"), ("Enabled", "true"), ("ResourceRegionId", "evil.example")],
            "InvalidResourceRegionId",
        ),
    ];
    for (parameters, code) in cases {
        let reply = service.call("SetInstanceRecordConfig", parameters);
        assert_eq!(reply.refusal(), (400, (*code).to_owned()), "{parameters:?}");
        assert_eq!(service.state(), before, "{parameters:?}");
    }
    set(
        &service,
        &[
            ("InstanceId", "i-one"),
            ("Enabled", "true"),
            ("RecordStorageTarget", &target("demo")),
            ("ResourceRegionId", "cn-beijing"),
        ],
    );
}

#[test]
fn sets_at_the_same_moment_are_all_done() {
    let service = Service::start();
    let other = service.beside();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (service, other) = (&service, &other);
            scope.spawn(move || {
                let days = (number + 1).to_string();
                let parameters =
                    [("InstanceId", "i-one"), ("Enabled", "true"), ("ExpirationDays", days.as_str())];
                let address = if number % 2 == 0 { service.address } else { other.address };
                let call = Call::new("SetInstanceRecordConfig", &parameters, service.now());
                let reply = call.signed_v3(&service.root, address).send(address);
                // Under heavy contention a caller may be told to try again; a change is never lost or half done.
                assert!(reply.status == 200 || reply.code() == "OperationConflict", "{reply:?}");
            });
        }
    });
    assert!((1..=8).contains(&get(&service, "i-one")["Root"]["ExpirationDays"].as_i64().unwrap()));
}

#[test]
fn recordings_are_listed_newest_first() {
    let service = Service::start();
    let (one, two) = (service.agent("i-one"), service.agent("i-two"));
    let running = service.recording(&one, 10_000);
    let finished = service.recording(&one, 60_000);
    service.segment(&one, &finished);
    service.seal(&one, &finished, 1, SessionEnd::Exited);
    let failed = service.recording(&two, 30_000);
    service.seal(&two, &failed, 0, SessionEnd::Interrupted { reason: "the agent died".to_owned() });

    let body = service.call("ListInstanceRecords", &[]).done();
    let list = body["Root"]["RecordList"].as_array().unwrap();
    let tokens: Vec<_> = list.iter().map(|item| item["TerminalSessionToken"].as_str().unwrap()).collect();
    assert_eq!(tokens, [running.as_str(), failed.as_str(), finished.as_str()]);
    assert_eq!(body["Root"]["TotalCount"], 3);
    let statuses: Vec<_> = list.iter().map(|item| item["Status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["running", "failed", "finished"]);
    assert_eq!(list[1]["StatusReason"], "the agent died");
    assert_eq!(list[0]["RecordDurationMillis"], 10_000, "so far");
    let item = &list[2];
    assert_eq!(item["AccountId"], json!(1_609_982_529_000_000_i64));
    assert_eq!(item["GmtCreate"], "2026-01-02T03:03:05Z");
    assert_eq!(item["ExpireTime"], "2026-01-09T03:04:05Z");
    assert_eq!(item["InstanceId"], "i-one");
    assert_eq!(item["RecordDurationMillis"], 60_000);
    let url = format!("http://{}/view/instance/record/replay/{finished}", service.address);
    assert_eq!(item["InstanceRecordUrl"], json!(url));

    let body =
        service.call("ListInstanceRecords", &[("InstanceId", "i-two"), ("RegionId", "cn-shanghai")]).done();
    assert_eq!(body["Root"]["TotalCount"], 1);
    assert_eq!(body["Root"]["RecordList"][0]["TerminalSessionToken"], json!(failed.as_str()));
    assert_eq!(service.call("ListInstanceRecords", &[("InstanceId", "*")]).done()["Root"]["TotalCount"], 3);
    let none = service.call("ListInstanceRecords", &[("InstanceId", "i-none")]).done();
    assert_eq!(none["Root"], json!({ "TotalCount": 0, "RecordList": [] }));
}

#[test]
fn lists_are_read_by_page_and_by_token() {
    let service = Service::start();
    let agent = service.agent("i-one");
    let mut expected: Vec<_> =
        (0..12).map(|number| service.recording(&agent, 1_000 * (number + 1)).to_string()).collect();
    let list = |parameters: &[(&str, &str)]| {
        let body = service.call("ListInstanceRecords", parameters).done();
        assert_eq!(body["Root"]["TotalCount"], 12);
        let items = body["Root"]["RecordList"].as_array().unwrap();
        let tokens: Vec<_> =
            items.iter().map(|item| item["TerminalSessionToken"].as_str().unwrap().to_owned()).collect();
        (tokens, body.get("NextToken").map(|token| token.as_str().unwrap().to_owned()))
    };
    assert_eq!(list(&[]).0, expected[..10]);
    assert_eq!(list(&[("PageNumber", "2"), ("PageSize", "5")]).0, expected[5..10]);
    assert_eq!(list(&[("PageNumber", "3"), ("PageSize", "5")]).0, expected[10..]);
    assert_eq!(list(&[("PageNumber", "99")]).0, [""; 0]);
    let (mut read, mut next) = list(&[("PageSize", "5")]);
    while let Some(token) = next {
        let (more, after) = list(&[("PageSize", "5"), ("NextToken", &token)]);
        read.extend(more);
        next = after;
    }
    assert_eq!(read, expected);
    expected.dedup();
    assert_eq!(expected.len(), 12);

    for (parameters, code) in [
        (&[("PageNumber", "0")][..], "InvalidPageNumber"),
        (&[("PageNumber", "-1")], "InvalidPageNumber"),
        (&[("PageNumber", "x")], "InvalidPageNumber"),
        (&[("PageSize", "0")], "InvalidPageSize"),
        (&[("PageSize", "101")], "InvalidPageSize"),
        (&[("NextToken", "nonsense")], "InvalidNextToken"),
        (&[("IncludeExpired", "perhaps")], "InvalidIncludeExpired"),
        (&[("InstanceId", "nodash")], "InvalidInstanceId"),
    ] {
        assert_eq!(
            service.call("ListInstanceRecords", parameters).refusal(),
            (400, code.to_owned()),
            "{parameters:?}"
        );
    }
    list(&[("PageNumber", "2147483647"), ("PageSize", "100")]);
}

#[test]
fn a_view_returns_a_replay_address() {
    let service = Service::start();
    let agent = service.agent("i-one");
    let token = service.recording(&agent, 1_000);
    let view = [("InstanceId", "i-one"), ("TerminalSessionToken", token.as_str())];
    let body = service.call("ViewInstanceRecords", &view).done();
    assert_eq!(body["Root"], true);
    let url = body["ReplayUrl"].as_str().unwrap();
    let page = format!("http://{}/view/instance/record/replay/{token}#", service.address);
    assert!(url.starts_with(&page) && url.len() > page.len() + 40, "{url}");
    let until =
        domain::Timestamp::parse_rfc3339_seconds(body["ReplayUrlExpireTime"].as_str().unwrap()).unwrap();
    assert!(until > service.now() && until.as_millis() <= service.now().as_millis() + 300_000);
    let again = service.call("ViewInstanceRecords", &view).done();
    assert_ne!(again["ReplayUrl"], body["ReplayUrl"]);
    let row = &service.audit(1)[0];
    assert_eq!((row.recording.as_deref(), row.how.as_str()), (Some(token.as_str()), "ticket"));
}

#[test]
fn unknown_and_foreign_tokens_get_the_same_answer() {
    let service = Service::start();
    let (one, two) = (service.agent("i-one"), service.agent("i-two"));
    let (_, elsewhere) = (service.recording(&one, 1_000), service.recording(&two, 1_000));
    let answer = |token: &str| {
        let reply =
            service.call("ViewInstanceRecords", &[("InstanceId", "i-one"), ("TerminalSessionToken", token)]);
        assert_eq!(reply.refusal(), (404, "InvalidTerminalSessionToken.NotFound".to_owned()), "{token}");
        let mut body = reply.json();
        body["RequestId"] = Value::Null;
        body
    };
    let unknown = answer("0123456789abcdef0123456789abcdef");
    for token in [elsewhere.as_str(), "nonsense", "0123456789ABCDEF0123456789ABCDEF", "../../etc/passwd"] {
        assert_eq!(answer(token), unknown);
    }
    for (parameters, code) in [
        (&[("InstanceId", "i-one")][..], "MissingTerminalSessionToken"),
        (&[("TerminalSessionToken", "x")], "MissingInstanceId"),
        (&[("InstanceId", "*"), ("TerminalSessionToken", "x")], "InvalidInstanceId"),
    ] {
        assert_eq!(service.call("ViewInstanceRecords", parameters).refusal(), (400, code.to_owned()));
    }
}

#[test]
fn an_expired_recording_is_hidden_and_refused() {
    let service = Service::start();
    let agent = service.agent("i-one");
    let ended = service.recording(&agent, 2_000);
    service.segment(&agent, &ended);
    service.seal(&agent, &ended, 1, SessionEnd::Exited);
    let view = |token: &str| {
        service.call("ViewInstanceRecords", &[("InstanceId", "i-one"), ("TerminalSessionToken", token)])
    };
    service.pass_millis(7 * DAY - 1_000);
    view(ended.as_str()).done();
    service.pass_millis(1_000);
    assert_eq!(view(ended.as_str()).refusal(), (403, "InstanceRecord.Expired".to_owned()));
    // An older one that is still running. Its agent is heard now, so whenever the sweep comes, it does not count as
    // abandoned.
    let running = service.recording(&agent, 8 * DAY);
    service.segment(&agent, &running);
    view(running.as_str()).done();
    let count =
        |parameters| service.call("ListInstanceRecords", parameters).done()["Root"]["TotalCount"].clone();
    assert_eq!(count(&[]), 1);
    assert_eq!(count(&[("IncludeExpired", "true")]), 2);
    let all = service.call("ListInstanceRecords", &[("IncludeExpired", "True")]).done();
    assert_eq!(all["Root"]["RecordList"].as_array().unwrap().len(), 2);
}

#[test]
fn a_join_token_is_made_and_an_agent_joins_by_it() {
    let service = Service::start();
    let body = service
        .call("CreateAgentJoinToken", &[("InstanceId", "i-new"), ("TtlSeconds", "300"), ("Replace", "True")])
        .done();
    let secret = body["Token"].as_str().unwrap();
    assert!(secret.starts_with("hjt-") && secret.len() == 44, "{secret}");
    assert_eq!(body["TokenExpireTime"], "2026-01-02T03:09:05Z");
    let presented = domain::agent::JoinTokenSecret::presented(secret);
    let stored = service.wait(service.store.find_join_token(&presented)).unwrap().unwrap();
    assert!(stored.permits_replace && stored.instances.as_str() == "i-new");
    assert_eq!(stored.created_by, format!("acs:ram::{ACCOUNT}:root"));
    let default = service.call("CreateAgentJoinToken", &[("InstanceId", "i-*")]).done();
    assert_eq!(default["TokenExpireTime"], "2026-01-02T03:14:05Z");
    for (parameters, code) in [
        (&[][..], "MissingInstanceId"),
        (&[("InstanceId", "no dash")], "InvalidInstanceId"),
        (&[("InstanceId", "i-new"), ("TtlSeconds", "59")], "InvalidTtlSeconds"),
        (&[("InstanceId", "i-new"), ("TtlSeconds", "604801")], "InvalidTtlSeconds"),
        (&[("InstanceId", "i-new"), ("TtlSeconds", "-1")], "InvalidTtlSeconds"),
        (&[("InstanceId", "i-new"), ("Replace", "2")], "InvalidReplace"),
    ] {
        assert_eq!(
            service.call("CreateAgentJoinToken", parameters).refusal(),
            (400, code.to_owned()),
            "{parameters:?}"
        );
    }
}

#[test]
fn agents_are_listed() {
    let service = Service::start();
    let none = service.call("ListAgents", &[]).done();
    let leave_keys = &none["Root"]["LeaveKeys"];
    assert_eq!(none["Root"], json!({ "TotalCount": 0, "AgentList": [], "LeaveKeys": leave_keys }));
    let [leave_key] = leave_keys.as_array().unwrap().as_slice() else { panic!("{leave_keys}") };
    assert!(recording::SealingPublicKey::parse(leave_key.as_str().unwrap()).is_ok(), "{leave_key}");
    let first = service.agent("i-one");
    service.pass_millis(120_000);
    let second = service.agent("i-two");
    let body = service.call("ListAgents", &[("PageSize", "1")]).done();
    assert_eq!(body["Root"]["TotalCount"], 2);
    let item = &body["Root"]["AgentList"][0];
    assert_eq!(item["AgentId"], json!(second.id.as_str()));
    assert_eq!(
        (&item["InstanceId"], &item["RegionId"], &item["Hostname"]),
        (&json!("i-two"), &json!("cn-hangzhou"), &json!("web-1"))
    );
    assert_eq!(item["Capabilities"], json!([{ "Kind": "terminal", "Version": "1" }]));
    assert_eq!((&item["Status"], &item["EnrolTime"]), (&json!("online"), &json!("2026-01-02T03:06:05Z")));
    let body = service.call("ListAgents", &[("PageSize", "1"), ("PageNumber", "2")]).done();
    assert_eq!(body["Root"]["AgentList"][0]["AgentId"], json!(first.id.as_str()));
    assert_eq!(body["Root"]["AgentList"][0]["Status"], "offline");
}

#[test]
fn every_authenticated_call_leaves_one_row() {
    let service = Service::start();
    let user = service.user("nobody", &[]);
    let before = service.audit(100).len();
    let call = |action: &str, parameters: &[(&str, &str)]| {
        service.call(action, parameters).json()["RequestId"].as_str().unwrap().to_owned()
    };
    let done = call("GetInstanceRecordConfig", &[("InstanceId", "i-one")]);
    let changed = call("SetInstanceRecordConfig", &[("InstanceId", "i-one"), ("Enabled", "true")]);
    let malformed = call("SetInstanceRecordConfig", &[("InstanceId", "i-one")]);
    let meaningless = call(
        "SetInstanceRecordConfig",
        &[("InstanceId", "i-one"), ("Enabled", "true"), ("ExpirationDays", "0")],
    );
    // A header could not contain such a name, but a parameter can.
    let unknown = Call::new("Do\u{7}Evil", &[], service.now()).signed_v1(&service.root).send(service.address);
    let unknown = unknown.json()["RequestId"].as_str().unwrap().to_owned();
    let denied = service.call_as(&user, "ListAgents", &[]).json()["RequestId"].as_str().unwrap().to_owned();
    // An unsigned call leaves no row.
    crate::http::Request::new("GET", "/?Action=ListAgents").send(service.address).code();

    let rows = service.audit(100);
    assert_eq!(rows.len(), before + 6);
    let row = |id: &str| {
        let mut found = rows.iter().filter(|row| row.request_id == id);
        let row = found.next().unwrap();
        assert!(found.next().is_none());
        row
    };
    let summary = |id: &str| (row(id).action.as_str(), row(id).result.as_str());
    assert_eq!(summary(&done), ("GetInstanceRecordConfig", "OK"));
    assert!(matches!(&row(&done).decision, AuditDecision::Allowed { by } if !by.is_empty()));
    assert_eq!(row(&done).resource, format!("acs:ecs-workbench:cn-hangzhou:{ACCOUNT}:workbench/i-one"));
    assert_eq!(row(&done).access_key_id.as_deref(), Some(service.root.id.as_str()));
    assert!(row(&done).source_address.is_some_and(|address| address.is_loopback()));
    assert_eq!(summary(&changed), ("SetInstanceRecordConfig", "OK"));
    assert_eq!(row(&changed).how, "on");
    assert_eq!(summary(&malformed), ("SetInstanceRecordConfig", "MissingEnabled"));
    assert_eq!(row(&malformed).decision, AuditDecision::NotAsked);
    assert_eq!(summary(&meaningless), ("SetInstanceRecordConfig", "InvalidExpirationDays"));
    assert!(matches!(row(&meaningless).decision, AuditDecision::Allowed { .. }));
    assert_eq!(summary(&unknown).1, "InvalidAction.NotFound");
    assert!(!row(&unknown).action.contains('\u{7}'));
    assert_eq!(summary(&denied), ("ListAgents", "Forbidden.RAM"));
    assert_eq!(row(&denied).decision, AuditDecision::Denied { by: None });
    assert_eq!(row(&denied).principal, format!("acs:ram::{ACCOUNT}:user/nobody"));
}
