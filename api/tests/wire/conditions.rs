//! Conditions on what a call is about: tags of instances, and owner, age and kind of recordings.

use domain::TerminalSessionToken;
use domain::audit::AuditDecision;
use domain::condition_keys::SessionOwner;
use serde_json::{Value, json};

use crate::http::Reply;
use crate::service::{ACCOUNT, Service};
use crate::signing::{Call, Key};

const OWN_SESSIONS: &str = include_str!("../../../policies/system/HansardOwnSessionsAccess.json");
const DAY_MILLIS: i64 = 86_400_000;

fn policy(statements: &[Value]) -> String {
    json!({ "Version": "1", "Statement": statements }).to_string()
}

fn everything() -> Value {
    json!({ "Effect": "Allow", "Action": "ecs-workbench:*", "Resource": "*" })
}

fn on(effect: &str, instance: &str) -> Value {
    let resource = format!("acs:ecs-workbench:*:{ACCOUNT}:workbench/{instance}");
    json!({ "Effect": effect, "Action": "ecs-workbench:*", "Resource": resource })
}

fn conditional(effect: &str, operator: &str, key: &str, value: &str) -> Value {
    let key = format!("ecs-workbench:{key}");
    json!({ "Effect": effect, "Action": "ecs-workbench:*", "Resource": "*", "Condition": { operator: { key: value } } })
}

fn owner_of(service: &Service, key: &Key) -> Option<SessionOwner> {
    let id = key.id.parse().unwrap();
    let found = service.wait(service.store.find_access_key(&id)).unwrap().unwrap();
    SessionOwner::of(&found.principal)
}

fn view(service: &Service, key: &Key, instance: &str, token: &str) -> Reply {
    let parameters = [("InstanceId", instance), ("TerminalSessionToken", token)];
    service.call_as(key, "ViewInstanceRecords", &parameters)
}

/// The tokens that a list shows, with its total count.
fn listed(reply: &Reply) -> (Vec<String>, i64) {
    let root = reply.done()["Root"].clone();
    let items = root["RecordList"].as_array().unwrap().iter();
    let tokens = items.map(|item| item["TerminalSessionToken"].as_str().unwrap().to_owned()).collect();
    (tokens, root["TotalCount"].as_i64().unwrap())
}

fn of<'a>(tokens: impl IntoIterator<Item = &'a TerminalSessionToken>) -> (Vec<String>, i64) {
    let tokens: Vec<_> = tokens.into_iter().map(ToString::to_string).collect();
    let total = i64::try_from(tokens.len()).unwrap();
    (tokens, total)
}

/// A refusal without what differs from call to call: the RequestId, and the bytes of the sealed message, but with
/// their number.
fn told(reply: &Reply) -> (u16, Value) {
    let mut body = reply.json();
    body.as_object_mut().unwrap().remove("RequestId");
    if let Some(sealed) = body["AccessDeniedDetail"].get_mut("EncodedDiagnosticMessage") {
        *sealed = sealed.as_str().unwrap().len().into();
    }
    (reply.status, body)
}

#[test]
fn own_sessions_only() {
    let service = Service::start();
    let agents = [service.agent("i-one"), service.agent("i-two")];
    let (ana, ben) = (service.user("ana", &[OWN_SESSIONS]), service.user("ben", &[OWN_SESSIONS]));
    let record = |at: usize, owner: Option<&Key>, ago_millis| {
        let owner = owner.and_then(|key| owner_of(&service, key));
        service.owned_recording(&agents[at], ago_millis, owner)
    };
    let mine = [record(0, Some(&ana), 1_000), record(1, Some(&ana), 2_000), record(0, Some(&ana), 3_000)];
    let (foreign, nobodys) = (record(0, Some(&ben), 1_500), record(0, None, 2_500));
    let list = |key: &Key, parameters: &[_]| service.call_as(key, "ListInstanceRecords", parameters);
    assert_eq!(listed(&list(&ana, &[])), of(&mine));
    assert_eq!(listed(&list(&ana, &[("InstanceId", "i-one")])), of([&mine[0], &mine[2]]));
    assert_eq!(listed(&list(&ben, &[])), of([&foreign]));
    assert_eq!(listed(&list(&ben, &[("InstanceId", "i-two")])), of([]));
    // On every page, the count includes only the user's own recordings.
    let first = list(&ana, &[("PageSize", "2")]).done();
    assert_eq!(first["Root"]["TotalCount"], 3);
    let token = first["NextToken"].as_str().unwrap();
    let second = list(&ana, &[("PageSize", "2"), ("NextToken", token)]);
    assert_eq!(listed(&second), (vec![mine[2].to_string()], 3));

    view(&service, &ana, "i-one", mine[0].as_str()).done();
    view(&service, &ana, "i-two", mine[1].as_str()).done();
    // A recording of another user, one of no user, one that does not exist, a text that is not a token, and one of
    // the user's own on another instance: all get the same answer.
    let unknown = "0123456789abcdef0123456789abcdef";
    let answers: Vec<_> = [foreign.as_str(), nobodys.as_str(), unknown, "nonsense", mine[1].as_str()]
        .into_iter()
        .map(|token| told(&view(&service, &ana, "i-one", token)))
        .collect();
    assert_eq!(answers[0].0, 403);
    assert_eq!(answers[0].1["Code"], "Forbidden.RAM");
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    assert_eq!(service.call_as(&ana, "ListAgents", &[]).status, 403);
}

#[test]
fn a_denied_recording_is_answered_like_an_unknown_one() {
    let service = Service::start();
    let agent = service.agent("i-one");
    let (fresh, old) =
        (service.recording(&agent, DAY_MILLIS * 2 - 1), service.recording(&agent, DAY_MILLIS * 2));
    let old_ones = conditional("Deny", "NumericGreaterThan", "RecordingAge", "1");
    let user = service.user("recent", &[&policy(&[everything(), old_ones])]);
    view(&service, &user, "i-one", fresh.as_str()).done();
    let unknown = told(&view(&service, &user, "i-one", "0123456789abcdef0123456789abcdef"));
    assert_eq!(unknown.1["Code"], "InvalidTerminalSessionToken.NotFound");
    assert_eq!(told(&view(&service, &user, "i-one", old.as_str())), unknown);
    // A reader of the audit trail sees which it was.
    let row = service.audit(1).remove(0);
    let AuditDecision::Denied { by: Some(by) } = row.decision else { panic!("{row:?}") };
    assert!(by.ends_with("recent-0#1"), "{by}");
    assert_eq!(
        (row.result.as_str(), row.recording),
        ("InvalidTerminalSessionToken.NotFound", Some(old.to_string()))
    );
    for parameters in [&[][..], &[("InstanceId", "i-one")]] {
        assert_eq!(listed(&service.call_as(&user, "ListInstanceRecords", parameters)), of([&fresh]));
    }
    // A millisecond later it is as old as the other one.
    service.pass_millis(1);
    assert_eq!(told(&view(&service, &user, "i-one", fresh.as_str())), unknown);
    assert_eq!(listed(&service.call_as(&user, "ListInstanceRecords", &[])), of([]));
    assert_eq!(listed(&service.call("ListInstanceRecords", &[])).1, 2);
}

#[test]
fn an_unfiltered_list_leaves_out_what_is_denied() {
    let service = Service::start();
    let agents = ["i-one", "i-two", "i-secret"].map(|instance| service.agent(instance));
    let tokens: Vec<_> =
        (0..3).map(|at| service.recording(&agents[at], i64::try_from(at).unwrap() * 1_000)).collect();
    let list = |key: &Key| service.call_as(key, "ListInstanceRecords", &[]);
    let agents_of = |key: &Key| {
        let root = service.call_as(key, "ListAgents", &[]).done()["Root"].clone();
        let items = root["AgentList"].as_array().unwrap();
        assert_eq!(root["TotalCount"], items.len());
        let mut names: Vec<_> =
            items.iter().map(|item| item["InstanceId"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    let most = service.user("most", &[&policy(&[everything(), on("Deny", "i-secret")])]);
    assert_eq!(listed(&list(&most)), of(&tokens[..2]));
    assert_eq!(agents_of(&most), ["i-one", "i-two"]);
    let two = service.user("two", &[&policy(&[on("Allow", "i-t*")])]);
    assert_eq!(listed(&list(&two)), of(&tokens[1..2]));
    assert_eq!(agents_of(&two), ["i-two"]);
    let none = service.user("none", &[&policy(&[on("Allow", "i-none")])]);
    assert_eq!(list(&none).refusal(), (403, "Forbidden.RAM".to_owned()));
    assert_eq!(list(&none).json()["AccessDeniedDetail"]["NoPermissionType"], "ImplicitDeny");
    assert_eq!(service.call_as(&none, "ListAgents", &[]).status, 403);
    // Everything is allowed and all instances are denied: nothing is left, which is not a denial.
    let bare = service.user("bare", &[&policy(&[everything(), on("Deny", "*")])]);
    assert_eq!(listed(&list(&bare)), of([]));
    let denied = service.user(
        "denied",
        &[&policy(&[
            everything(),
            json!({
        "Effect": "Deny", "Action": "ecs-workbench:List*", "Resource": "*" }),
        ])],
    );
    assert_eq!(list(&denied).json()["AccessDeniedDetail"]["NoPermissionType"], "ExplicitDeny");
}

/// The published name of a tag, with the policies that the vendor publishes for it.
#[test]
fn a_deny_on_a_resource_tag_holds() {
    const DENY: &str = include_str!("../../../policies/tests/vectors/published/resourcetag_deny.json");
    const ALLOW: &str = include_str!("../../../policies/tests/vectors/published/resourcetag_allow.json");
    let service = Service::start();
    let agents = ["i-one", "i-two"].map(|instance| service.agent(instance));
    let tokens = agents.each_ref().map(|agent| service.recording(agent, 1_000));
    let tags = [("Env", "prod"), ("owner", "ana")]
        .map(|(key, value)| (key.parse().unwrap(), value.parse().unwrap()));
    let (granted, instance) = (service.operator(), "i-one".parse().unwrap());
    let tag =
        service.store.tag_instance(&granted, &instance, Vec::new(), tags.to_vec(), service.event("Tag"));
    service.wait(tag).unwrap();
    let (careful, only) = (service.user("careful", &[DENY]), service.user("only", &[ALLOW]));
    let get = |key: &Key, instance| {
        service.call_as(key, "GetInstanceRecordConfig", &[("InstanceId", instance)]).status
    };
    assert_eq!([get(&careful, "i-one"), get(&careful, "i-two"), get(&careful, "*")], [403, 200, 403]);
    assert_eq!([get(&only, "i-one"), get(&only, "i-two"), get(&only, "*")], [200, 403, 403]);
    for (key, viewed) in [(&careful, [403, 200]), (&only, [200, 403])] {
        let views = [("i-one", &tokens[0]), ("i-two", &tokens[1])]
            .map(|(instance, token)| view(&service, key, instance, token.as_str()).status);
        assert_eq!(views, viewed);
    }
    // The policy of the first user denies no list.
    assert_eq!(listed(&service.call_as(&careful, "ListInstanceRecords", &[])).1, 2);
    for parameters in [&[][..], &[("InstanceId", "i-one")]] {
        assert_eq!(listed(&service.call_as(&only, "ListInstanceRecords", parameters)), of([&tokens[0]]));
    }
}

#[test]
fn the_key_that_signs_and_the_program_that_calls_are_conditions() {
    let service = Service::start();
    let deny = |key: &str, value: &str| json!({ "Effect": "Deny", "Action": "*", "Resource": "*", "Condition": { "StringLike": { key: value } } });
    let user = service.user("user", &[&policy(&[everything()])]);
    let asks = |program: Option<&str>| {
        let mut call = Call::new("GetInstanceRecordConfig", &[("InstanceId", "i-one")], service.now());
        if let Some(program) = program {
            call = call.header("user-agent", program);
        }
        call.signed_v3(&user, service.address).send(service.address).status
    };
    let (granted, name) = (service.operator(), "user-0".parse().unwrap());
    let put = |statement: Value| {
        let document = policy(&[everything(), statement]);
        let event = service.event("PutPolicy");
        service.wait(service.store.put_policy(&granted, &name, &document, service.now(), event)).unwrap();
    };
    assert_eq!(asks(None), 200);
    put(deny("acs:AccessId", &user.id));
    assert_eq!(asks(None), 403);
    put(deny("acs:AccessId", "LTAIanother"));
    assert_eq!(asks(None), 200);
    put(deny("acs:UserAgent", "java-sdk*"));
    assert_eq!([asks(None), asks(Some("curl")), asks(Some("java-sdk/1"))], [200, 200, 403]);
}

#[test]
fn tags_decide_by_instance_and_a_star_does_not_get_around_them() {
    let service = Service::start();
    let agents = ["i-one", "i-two"].map(|instance| service.agent(instance));
    let tokens = agents.each_ref().map(|agent| service.recording(agent, 1_000));
    let tag = |instance: &str, value: &str| {
        let set = vec![("Env".parse().unwrap(), value.parse().unwrap())];
        let (granted, instance) = (service.operator(), instance.parse().unwrap());
        service
            .wait(service.store.tag_instance(&granted, &instance, Vec::new(), set, service.event("Tag")))
            .unwrap();
    };
    tag("i-one", "prod");
    tag("i-new", "prod");
    let careful = service.user(
        "careful",
        &[&policy(&[everything(), conditional("Deny", "StringEquals", "InstanceTag/env", "prod")])],
    );
    let set = |instance| {
        let parameters = [("InstanceId", instance), ("Enabled", "true")];
        service.call_as(&careful, "SetInstanceRecordConfig", &parameters).status
    };
    assert_eq!([set("i-one"), set("i-new"), set("i-two"), set("*")], [403, 403, 200, 403]);
    assert_eq!(listed(&service.call_as(&careful, "ListInstanceRecords", &[])), of([&tokens[1]]));
    assert_eq!(view(&service, &careful, "i-one", tokens[0].as_str()).status, 403);
    tag("i-two", "prod");
    assert_eq!(set("i-two"), 403);
    assert_eq!(listed(&service.call_as(&careful, "ListInstanceRecords", &[])), of([]));
    // Not allowed for all instances at once if the condition excludes some of them.
    let others = conditional("Allow", "StringNotEquals", "InstanceTag/env", "prod");
    let others = service.user("others", &[&policy(&[others])]);
    let all = [("InstanceId", "*"), ("Enabled", "true")];
    assert_eq!(service.call_as(&others, "SetInstanceRecordConfig", &all).status, 403);
    let three = [("InstanceId", "i-three"), ("Enabled", "true")];
    service.call_as(&others, "SetInstanceRecordConfig", &three).done();
}

#[test]
fn a_list_that_cannot_be_searched_is_refused_with_advice() {
    let service = Service::start();
    let odd = conditional("Allow", "StringLike", "RecordingAge", "1*");
    let user = service.user("odd", &[&policy(&[odd])]);
    let reply = service.call_as(&user, "ListInstanceRecords", &[]);
    assert_eq!(reply.refusal(), (403, "Forbidden.RAM".to_owned()));
    assert!(reply.text.contains("compare with Numeric operators"), "{reply:?}");
    let agent = service.agent("i-one");
    let token = service.recording(&agent, DAY_MILLIS * 11);
    view(&service, &user, "i-one", token.as_str()).done();
}
