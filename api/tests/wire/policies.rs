//! RAM users: what policies permit, what they refuse, and what a refused caller may learn (DECISIONS I4).

use domain::identity::{PolicyName, UserName};
use serde_json::{Value, json};

use crate::http::Reply;
use crate::service::{ACCOUNT, Service};

fn statement(effect: &str, action: &str, resource: &str) -> Value {
    json!({ "Effect": effect, "Action": action, "Resource": resource })
}

fn policy(statements: &[Value]) -> String {
    json!({ "Version": "1", "Statement": statements }).to_string()
}

fn arn(instance: &str) -> String {
    format!("acs:ecs-workbench:*:{ACCOUNT}:workbench/{instance}")
}

fn forbidden(reply: &Reply) -> Value {
    assert_eq!(reply.refusal(), (403, "Forbidden.RAM".to_owned()), "{reply:?}");
    reply.json()["AccessDeniedDetail"].clone()
}

const SET: &str = "SetInstanceRecordConfig";
const ON: (&str, &str) = ("Enabled", "true");

#[test]
fn a_user_may_do_what_an_allow_matches_and_nothing_else() {
    let service = Service::start();
    let user = service.user(
        "operator",
        &[&policy(&[statement("Allow", "ecs-workbench:*InstanceRecordConfig", &arn("i-one"))])],
    );
    service.call_as(&user, SET, &[("InstanceId", "i-one"), ON]).done();
    service.call_as(&user, "GetInstanceRecordConfig", &[("InstanceId", "i-one")]).done();
    let before = service.state();
    for (action, parameters) in [
        (SET, &[("InstanceId", "i-two"), ON][..]),
        (SET, &[("InstanceId", "*"), ON]),
        ("GetInstanceRecordConfig", &[("InstanceId", "i-two")]),
        ("GetInstanceRecordConfig", &[("InstanceId", "*")]),
        ("ListInstanceRecords", &[("InstanceId", "i-one")]),
        ("ListInstanceRecords", &[]),
        ("ListAgents", &[]),
        ("CreateAgentJoinToken", &[("InstanceId", "i-one")]),
    ] {
        let detail = forbidden(&service.call_as(&user, action, parameters));
        assert_eq!(detail["NoPermissionType"], "ImplicitDeny", "{action} {parameters:?}");
        assert_eq!(detail["AuthAction"], json!(format!("ecs-workbench:{action}")));
    }
    assert_eq!(service.state(), before);
}

#[test]
fn a_denial_tells_who_and_what_but_never_the_policy() {
    let service = Service::start();
    let allow = policy(&[statement("Allow", "*", "*")]);
    let deny = policy(&[statement("Deny", "ecs-workbench:View*", "*")]);
    let user = service.user("viewer", &[&allow, &deny]);
    let reply = service.call_as(
        &user,
        "ViewInstanceRecords",
        &[("InstanceId", "i-one"), ("TerminalSessionToken", "x")],
    );
    let detail = forbidden(&reply);
    let text = |field: &str| detail[field].as_str().unwrap().to_owned();
    assert_eq!(text("AuthAction"), "ecs-workbench:ViewInstanceRecords");
    assert_eq!(text("AuthPrincipalType"), "SubUser");
    assert_eq!(text("AuthPrincipalOwnerId"), ACCOUNT);
    assert_eq!(text("AuthPrincipalDisplayName").len(), 18);
    assert_eq!(text("PolicyType"), "AccountLevelIdentityBasedPolicy");
    assert_eq!(text("NoPermissionType"), "ExplicitDeny");
    assert!(detail.as_object().unwrap().values().all(Value::is_string));
    assert!(!reply.text.contains("viewer-1"), "{}", reply.text);
    assert_eq!(reply.header("x-acs-retry-after"), None);
}

#[test]
fn asking_for_all_does_not_get_around_a_deny_on_one() {
    let service = Service::start();
    let allow = policy(&[statement("Allow", "ecs-workbench:*", "*")]);
    let deny = policy(&[statement("Deny", "ecs-workbench:SetInstanceRecordConfig", &arn("i-secret"))]);
    let user = service.user("careful", &[&allow, &deny]);
    let before = service.state();
    let detail = forbidden(&service.call_as(&user, SET, &[("InstanceId", "*"), ("Enabled", "false")]));
    assert_eq!(detail["NoPermissionType"], "ExplicitDeny");
    forbidden(&service.call_as(&user, SET, &[("InstanceId", "i-secret"), ON]));
    assert_eq!(service.state(), before);
    service.call_as(&user, SET, &[("InstanceId", "i-one"), ON]).done();
    let free = service.user("free", &[&allow]);
    service.call_as(&free, SET, &[("InstanceId", "*"), ON]).done();
}

#[test]
fn a_list_is_of_one_instance_or_of_those_that_policies_admit() {
    let service = Service::start();
    let agent = service.agent("i-one");
    service.recording(&agent, 1_000);
    let list = |key, parameters| service.call_as(key, "ListInstanceRecords", parameters);
    let one = service.user("one", &[&policy(&[statement("Allow", "ecs-workbench:List*", &arn("i-one"))])]);
    assert_eq!(list(&one, &[("InstanceId", "i-one")]).done()["Root"]["TotalCount"], 1);
    assert_eq!(list(&one, &[]).done()["Root"]["TotalCount"], 1);
    assert_eq!(list(&one, &[("InstanceId", "*")]).done()["Root"]["TotalCount"], 1);
    forbidden(&list(&one, &[("InstanceId", "i-two")]));
    let all = policy(&[statement("Allow", "ecs-workbench:List*", "*")]);
    let but = policy(&[statement("Deny", "ecs-workbench:List*", &arn("i-secret"))]);
    let most = service.user("most", &[&all, &but]);
    assert_eq!(list(&most, &[]).done()["Root"]["TotalCount"], 1);
    forbidden(&list(&most, &[("InstanceId", "i-secret")]));
    list(&most, &[("InstanceId", "i-one")]).done();
    let everyone = service.user("everyone", &[&all]);
    assert_eq!(list(&everyone, &[]).done()["Root"]["TotalCount"], 1);
}

#[test]
fn a_view_is_decided_before_the_token_is_looked_up() {
    let service = Service::start();
    let agent = service.agent("i-secret");
    let token = service.recording(&agent, 1_000);
    let user =
        service.user("viewer", &[&policy(&[statement("Allow", "ecs-workbench:View*", &arn("i-one"))])]);
    let view = |instance, token| {
        service.call_as(
            &user,
            "ViewInstanceRecords",
            &[("InstanceId", instance), ("TerminalSessionToken", token)],
        )
    };
    // Where the caller has no permission, a token that exists and one that does not get the same answer ...
    let mut answers = Vec::new();
    for token in [token.as_str(), "0123456789abcdef0123456789abcdef", "nonsense"] {
        let mut answer = forbidden(&view("i-secret", token));
        // The message is sealed anew each time; its length reveals nothing either.
        let sealed = &mut answer["EncodedDiagnosticMessage"];
        *sealed = sealed.as_str().unwrap().len().into();
        answers.push(answer);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
    // ... and through an instance where it has permission, a recording of another instance is not found.
    let reply = view("i-one", token.as_str());
    assert_eq!(reply.refusal(), (404, "InvalidTerminalSessionToken.NotFound".to_owned()));
}

#[test]
fn a_join_token_for_a_pattern_needs_permission_on_all() {
    let service = Service::start();
    let create = "ecs-workbench:CreateAgentJoinToken";
    let user = service.user("joiner", &[&policy(&[statement("Allow", create, &arn("i-web*"))])]);
    service.call_as(&user, "CreateAgentJoinToken", &[("InstanceId", "i-web1")]).done();
    forbidden(&service.call_as(&user, "CreateAgentJoinToken", &[("InstanceId", "i-db1")]));
    forbidden(&service.call_as(&user, "CreateAgentJoinToken", &[("InstanceId", "i-web*")]));
}

#[test]
fn the_region_and_the_address_that_a_condition_sees_are_the_servers_own() {
    let service = Service::start();
    let elsewhere = format!("acs:ecs-workbench:cn-shanghai:{ACCOUNT}:workbench/*");
    let user = service.user("shanghai", &[&policy(&[statement("Allow", "ecs-workbench:*", &elsewhere)])]);
    forbidden(&service.call_as(&user, SET, &[("InstanceId", "i-one"), ON, ("RegionId", "cn-shanghai")]));
    let near = json!({ "Effect": "Allow", "Action": "ecs-workbench:*", "Resource": "*",
        "Condition": { "IpAddress": { "acs:SourceIp": "127.0.0.0/8" }, "Bool": { "acs:SecureTransport": "false" } } });
    let far = json!({ "Effect": "Allow", "Action": "ecs-workbench:*", "Resource": "*",
        "Condition": { "IpAddress": { "acs:SourceIp": "203.0.113.0/24" } } });
    let near = service.user("near", &[&policy(&[near])]);
    let far = service.user("far", &[&policy(&[far])]);
    let get = [("InstanceId", "i-one")];
    service.call_as(&near, "GetInstanceRecordConfig", &get).done();
    forbidden(&service.call_as(&far, "GetInstanceRecordConfig", &get));
}

#[test]
fn a_permission_that_is_taken_away_is_gone_at_the_next_call() {
    let service = Service::start();
    let user = service.user("leaver", &[&policy(&[statement("Allow", "ecs-workbench:*", "*")])]);
    let get = || service.call_as(&user, "GetInstanceRecordConfig", &[("InstanceId", "i-one")]);
    get().done();
    let granted = service.operator();
    let (name, policy): (UserName, PolicyName) = ("leaver".parse().unwrap(), "leaver-0".parse().unwrap());
    service.wait(service.store.detach_policy(&granted, &name, &policy, service.event("Detach"))).unwrap();
    forbidden(&get());
}
