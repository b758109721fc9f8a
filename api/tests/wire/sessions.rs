//! Sessions of roles: who may start one, what its key and token permit, and when it ends.

use serde_json::{Value, json};

use crate::http::Reply;
use crate::service::{ACCOUNT, Service};
use crate::signing::{Call, Key};

const GET: &str = "GetInstanceRecordConfig";
const ONE: (&str, &str) = ("InstanceId", "i-one");
const HOUR: i64 = 3_600_000;

fn policy(effect: &str, action: &str, resource: &str) -> String {
    let statement = json!({ "Effect": effect, "Action": action, "Resource": resource });
    json!({ "Version": "1", "Statement": [statement] }).to_string()
}

fn trust(principal: &str) -> String {
    let statement =
        json!({ "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "RAM": principal } });
    json!({ "Version": "1", "Statement": [statement] }).to_string()
}

fn role_arn(role: &str) -> String {
    format!("acs:ram::{ACCOUNT}:role/{role}")
}

/// Calls RAM or STS with `key`.
fn identity(service: &Service, key: &Key, action: &str, parameters: &[(&str, &str)]) -> Reply {
    let sts = matches!(action, "AssumeRole" | "GetCallerIdentity");
    let version = if sts { "2015-04-01" } else { "2015-05-01" }.to_owned();
    let call = Call { version, ..Call::new(action, parameters, service.now()) };
    call.signed_v3(key, service.address).send(service.address)
}

/// The body of a successful call of RAM or STS.
fn done(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{reply:?}");
    let body = reply.json();
    assert!(body["RequestId"].is_string() && body.get("Code").is_none(), "{body}");
    body
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

/// A role that every principal of the account may assume if its own policies allow it, with one policy of its own.
fn role(service: &Service, name: &str, document: &str) {
    let root =
        |action, parameters: &[(&str, &str)]| done(&identity(service, &service.root, action, parameters));
    let trust = trust(&format!("acs:ram::{ACCOUNT}:root"));
    root("CreateRole", &[("RoleName", name), ("AssumeRolePolicyDocument", &trust)]);
    root("CreatePolicy", &[("PolicyName", name), ("PolicyDocument", document)]);
    root("AttachPolicyToRole", &[("PolicyName", name), ("PolicyType", "Custom"), ("RoleName", name)]);
}

/// A user who may assume every role of the account.
fn assumer(service: &Service) -> Key {
    service.user("ana", &[&policy("Allow", "sts:AssumeRole", "acs:ram::*:role/*")])
}

fn assume(service: &Service, key: &Key, name: &str, more: &[(&str, &str)]) -> Reply {
    let arn = role_arn(name);
    let mut parameters = vec![("RoleArn", arn.as_str()), ("RoleSessionName", "ana")];
    parameters.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
    parameters.extend_from_slice(more);
    identity(service, key, "AssumeRole", &parameters)
}

/// The credentials of a session.
struct Session {
    key: Key,
    token: String,
}

impl Session {
    fn of(reply: &Reply) -> Self {
        let body = done(reply);
        let text = |field: &str| body["Credentials"][field].as_str().unwrap().to_owned();
        Self {
            key: Key { id: text("AccessKeyId"), secret: text("AccessKeySecret") },
            token: text("SecurityToken"),
        }
    }

    fn start(service: &Service, key: &Key, role: &str) -> Self {
        Self::of(&assume(service, key, role, &[]))
    }

    fn call(&self, service: &Service, action: &str, parameters: &[(&str, &str)]) -> Reply {
        self.signed(service, Call::new(action, parameters, service.now()))
    }

    fn sts(&self, service: &Service, action: &str, parameters: &[(&str, &str)]) -> Reply {
        let version = "2015-04-01".to_owned();
        self.signed(service, Call { version, ..Call::new(action, parameters, service.now()) })
    }

    fn signed(&self, service: &Service, call: Call) -> Reply {
        let call =
            call.header("x-acs-accesskey-id", &self.key.id).header("x-acs-security-token", &self.token);
        call.signed_v3(&self.key, service.address).send(service.address)
    }
}

#[test]
fn a_session_calls_with_its_token_by_both_signatures() {
    let service = Service::start();
    role(&service, "reader", &policy("Allow", "ecs-workbench:Get*", "*"));
    let reply = assume(&service, &assumer(&service), "reader", &[]);
    let body = done(&reply);
    assert_eq!(body["AssumedRoleUser"]["Arn"], format!("{}/ana", role_arn("reader")));
    let id = body["AssumedRoleUser"]["AssumedRoleId"].as_str().unwrap();
    assert!(id.ends_with(":ana") && id.len() == 22, "{id}");
    assert_eq!(body["Credentials"]["Expiration"], "2026-01-02T04:04:05Z");
    let session = Session::of(&reply);
    assert!(session.key.id.starts_with("STS."));
    session.call(&service, GET, &[ONE]).done();
    let v1 = || Call::new(GET, &[ONE], service.now()).query("SecurityToken", &session.token);
    v1().signed_v1(&session.key).send(service.address).done();
    v1().by_get().signed_v1(&session.key).send(service.address).done();
    let row = service.audit(1).remove(0);
    assert_eq!(row.principal, format!("{}/ana", role_arn("reader")));
    assert_eq!(row.access_key_id.as_deref(), Some(session.key.id.as_str()));
    // The audit row of the start names who started the session, and which role.
    let row = service.audit(9).into_iter().find(|row| row.action == "AssumeRole").unwrap();
    assert_eq!(row.principal, format!("acs:ram::{ACCOUNT}:user/ana"));
    assert_eq!(row.resource, role_arn("reader"));
    for row in service.audit(100) {
        let row = format!("{row:?}");
        assert!(!row.contains(&session.token) && !row.contains(&session.key.secret), "{row}");
    }
}

#[test]
fn a_key_and_its_token_belong_together() {
    let service = Service::start();
    role(&service, "reader", &policy("Allow", "ecs-workbench:Get*", "*"));
    let ana = assumer(&service);
    let (session, other) =
        (Session::start(&service, &ana, "reader"), Session::start(&service, &ana, "reader"));
    let mismatch = refused(400, "InvalidSecurityToken.MismatchWithAccessKey");
    let malformed = refused(400, "InvalidSecurityToken.Malformed");
    let missing = refused(400, "MissingSecurityToken");
    assert_eq!(service.call_as(&session.key, GET, &[ONE]).refusal(), missing);
    let v1 = Call::new(GET, &[ONE], service.now()).signed_v1(&session.key);
    assert_eq!(v1.send(service.address).refusal(), missing);
    for (token, code) in [
        (other.token.as_str(), &mismatch),
        ("CAISnobody", &mismatch),
        ("", &malformed),
        ("two words", &malformed),
    ] {
        let wrong = Session { key: session.key.clone(), token: token.to_owned() };
        assert_eq!(&wrong.call(&service, GET, &[ONE]).refusal(), code, "{token:?}");
        let v1 = Call::new(GET, &[ONE], service.now()).query("SecurityToken", token);
        assert_eq!(&v1.signed_v1(&session.key).send(service.address).refusal(), code, "{token:?}");
    }
    let long_term = Session { key: service.root.clone(), token: session.token.clone() };
    assert_eq!(long_term.call(&service, GET, &[ONE]).refusal(), mismatch);
    // The signature is checked before the token, and the token before the nonce.
    let forged =
        Session { key: Key { secret: "wrong".to_owned(), ..session.key.clone() }, token: other.token };
    assert_eq!(forged.call(&service, GET, &[ONE]).refusal(), refused(400, "SignatureDoesNotMatch"));
    let call = Call::new(GET, &[ONE], service.now());
    let without = call.signed_v3(&session.key, service.address);
    assert_eq!(without.send(service.address).refusal(), missing);
    session.signed(&service, call.clone()).done();
    assert_eq!(without.send(service.address).refusal(), missing);
    assert_eq!(session.signed(&service, call).refusal(), refused(400, "SignatureNonceUsed"));
}

#[test]
fn an_ended_session_gets_its_own_error() {
    let service = Service::start();
    role(&service, "reader", &policy("Allow", "ecs-workbench:Get*", "*"));
    let ana = assumer(&service);
    let short = Session::of(&assume(&service, &ana, "reader", &[("DurationSeconds", "900")]));
    let long = Session::start(&service, &ana, "reader");
    service.pass_millis(HOUR / 4 - 1);
    short.call(&service, GET, &[ONE]).done();
    service.pass_millis(1);
    let expired = refused(400, "InvalidSecurityToken.Expired");
    assert_eq!(short.call(&service, GET, &[ONE]).refusal(), expired);
    assert_eq!(short.sts(&service, "GetCallerIdentity", &[]).refusal(), expired);
    long.call(&service, GET, &[ONE]).done();
    service.pass_millis(HOUR - HOUR / 4);
    assert_eq!(long.call(&service, GET, &[ONE]).refusal(), expired);
}

#[test]
fn a_session_may_do_what_its_role_may_do_at_this_moment() {
    let service = Service::start();
    role(&service, "reader", &policy("Allow", "ecs-workbench:*", "*"));
    let ana = assumer(&service);
    let session = Session::start(&service, &ana, "reader");
    let only_get = policy("Allow", "ecs-workbench:Get*", "*");
    let narrowed = Session::of(&assume(&service, &ana, "reader", &[("Policy", &only_get)]));
    session.call(&service, "ListAgents", &[]).done();
    narrowed.call(&service, GET, &[ONE]).done();
    let denied = narrowed.call(&service, "ListAgents", &[]);
    assert_eq!(denied.refusal(), refused(403, "Forbidden.RAM"));
    let detail = denied.json()["AccessDeniedDetail"].clone();
    assert_eq!(detail["PolicyType"], "SessionPolicy");
    assert_eq!(detail["AuthPrincipalType"], "AssumedRoleUser");
    assert_eq!(detail["AuthPrincipalDisplayName"], "reader:ana");
    // A session's policy adds nothing to what its role may.
    let more = Session::of(&assume(&service, &ana, "reader", &[("Policy", &policy("Allow", "*", "*"))]));
    assert_eq!(
        more.sts(&service, "AssumeRole", &[("RoleArn", &role_arn("reader")), ("RoleSessionName", "xx")])
            .refusal(),
        refused(403, "NoPermission")
    );
    // If the role loses a permission, its sessions lose it too.
    let detach = [("PolicyName", "reader"), ("PolicyType", "Custom"), ("RoleName", "reader")];
    done(&identity(&service, &service.root, "DetachPolicyFromRole", &detach));
    for (session, action) in [(&session, "ListAgents"), (&narrowed, GET)] {
        let denied = session.call(&service, action, &[ONE]);
        assert_eq!(denied.refusal(), refused(403, "Forbidden.RAM"));
        assert_eq!(denied.json()["AccessDeniedDetail"]["PolicyType"], "AccountLevelIdentityBasedPolicy");
    }
    // If the role is deleted, they end.
    done(&identity(&service, &service.root, "DeleteRole", &[("RoleName", "reader")]));
    assert_eq!(session.call(&service, GET, &[ONE]).refusal(), refused(404, "InvalidAccessKeyId.NotFound"));
}

#[test]
fn a_caller_who_may_not_assume_a_role_learns_nothing_about_it() {
    let service = Service::start();
    let everything = policy("Allow", "*", "*");
    role(&service, "reader", &everything);
    let no_permission = refused(403, "NoPermission");
    let (ana, stranger) =
        (assumer(&service), service.user("bo", &[&policy("Allow", "ecs-workbench:*", "*")]));
    let by_owner = assume(&service, &service.root, "reader", &[]);
    assert_eq!(by_owner.refusal(), no_permission);
    let said = by_owner.json()["Message"].as_str().unwrap().to_owned();
    assert!(said.starts_with("Roles may not be assumed by root accounts."), "{said}");
    let asked = format!("Resource: {} Action: sts:AssumeRole", role_arn("reader"));
    assert!(said.ends_with(&asked), "{said}");
    assert_eq!(assume(&service, &stranger, "reader", &[]).refusal(), no_permission);
    assert_eq!(assume(&service, &stranger, "nobody", &[]).refusal(), no_permission);
    assert_eq!(assume(&service, &ana, "nobody", &[]).refusal(), refused(404, "EntityNotExist.Role"));
    // For another account, the answer does not reveal whether there is such a role.
    let foreign = [("RoleArn", "acs:ram::1000000000000001:role/nobody")];
    let denied = assume(&service, &ana, "nobody", &foreign);
    assert_eq!(denied.refusal(), no_permission);
    assert_eq!(denied.json()["AccessDeniedDetail"]["PolicyType"], "AssumeRolePolicy");
    // The trust policy names another principal.
    let other = trust(&format!("acs:ram::{ACCOUNT}:user/bo"));
    let change = [("RoleName", "reader"), ("NewAssumeRolePolicyDocument", other.as_str())];
    done(&identity(&service, &service.root, "UpdateRole", &change));
    let denied = assume(&service, &ana, "reader", &[]);
    assert_eq!(denied.refusal(), no_permission);
    let detail = denied.json()["AccessDeniedDetail"].clone();
    assert_eq!(
        (&detail["PolicyType"], &detail["NoPermissionType"], &detail["AuthAction"]),
        (&json!("AssumeRolePolicy"), &json!("ImplicitDeny"), &json!("sts:AssumeRole"))
    );
}

#[test]
fn a_refused_start_says_what_is_wrong() {
    let service = Service::start();
    role(&service, "reader", &policy("Allow", "*", "*"));
    let ana = assumer(&service);
    let long = format!(r#"{{"Version":"1","Statement":[{}]}}"#, " ".repeat(2_048));
    for (name, value, code) in [
        ("RoleArn", "reader", "InvalidParameter.RoleArn"),
        ("RoleArn", "acs:ram::1609982529000000:user/ana", "InvalidParameter.RoleArn"),
        ("RoleSessionName", "a", "InvalidParameter.RoleSessionName"),
        ("RoleSessionName", "two words", "InvalidParameter.RoleSessionName"),
        ("DurationSeconds", "899", "InvalidParameter.DurationSeconds"),
        ("DurationSeconds", "3601", "InvalidParameter.DurationSeconds"),
        ("DurationSeconds", "-1", "InvalidParameter.DurationSeconds"),
        ("DurationSeconds", "long", "InvalidParameter.DurationSeconds"),
        ("Policy", "{", "InvalidParameter.PolicyGrammar"),
        ("Policy", &trust("acs:ram::1609982529000000:root"), "InvalidParameter.PolicyGrammar"),
        ("Policy", &long, "InvalidParameter.PolicySize"),
        ("ExternalId", "x", "InvalidParameter.ExternalId"),
        ("SourceIdentity", "a b", "InvalidParameter.SourceIdentity"),
    ] {
        let reply = assume(&service, &ana, "reader", &[(name, value)]);
        assert_eq!(reply.refusal(), refused(400, code), "{name}={value}");
    }
    // Errors in the request itself are reported whether the caller has permission or not; errors that depend on the
    // role, only to callers with permission.
    let nobody = service.user("nobody", &[]);
    for (name, value, expected) in [
        ("RoleSessionName", "a", refused(400, "InvalidParameter.RoleSessionName")),
        ("Policy", "{", refused(400, "InvalidParameter.PolicyGrammar")),
        ("SourceIdentity", "a b", refused(400, "InvalidParameter.SourceIdentity")),
        ("DurationSeconds", "3601", refused(403, "NoPermission")),
    ] {
        let reply = assume(&service, &nobody, "reader", &[(name, value)]);
        assert_eq!(reply.refusal(), expected, "{name}={value}");
    }
    let grammar = assume(&service, &ana, "reader", &[("Policy", "{\n  \"Version\": 1 }")]);
    let message = grammar.json()["Message"].as_str().unwrap().to_owned();
    assert!(message.contains("line 2, column 14"), "{message}");
    let missing = identity(&service, &ana, "AssumeRole", &[("RoleSessionName", "ana")]);
    assert_eq!(missing.refusal(), refused(400, "MissingRoleArn"));
    // None of these calls started a session.
    assert!(service.audit(100).iter().all(|row| row.action != "AssumeRole" || row.result != "OK"));
}

#[test]
fn a_trust_policy_can_require_an_external_id_and_a_source_identity() {
    let service = Service::start();
    role(&service, "reader", &policy("Allow", "*", "*"));
    let condition =
        json!({"StringEquals": {"sts:ExternalId": "ticket-7"}, "StringLike": {"sts:SourceIdentity": "a*"}});
    let mut document: Value = serde_json::from_str(&trust(&format!("acs:ram::{ACCOUNT}:root"))).unwrap();
    document["Statement"][0]["Condition"] = condition;
    let document = document.to_string();
    let change = [("RoleName", "reader"), ("NewAssumeRolePolicyDocument", document.as_str())];
    done(&identity(&service, &service.root, "UpdateRole", &change));
    let ana = assumer(&service);
    let both = [("ExternalId", "ticket-7"), ("SourceIdentity", "ana")];
    let reply = assume(&service, &ana, "reader", &both);
    assert_eq!(done(&reply)["SourceIdentity"], "ana");
    let row = service.audit(1).remove(0);
    let key = Session::of(&reply).key.id;
    assert_eq!(row.action, "AssumeRole");
    assert!(row.how.contains(&format!("key {key}, source identity ana")), "{}", row.how);
    for less in
        [&both[..1], &both[1..], &[("ExternalId", "ticket-8"), both[1]], &[both[0], ("SourceIdentity", "bo")]]
    {
        assert_eq!(
            assume(&service, &ana, "reader", less).refusal(),
            refused(403, "NoPermission"),
            "{less:?}"
        );
    }
}

#[test]
fn a_chain_of_sessions_stays_short_and_keeps_its_source() {
    let service = Service::start();
    let may_assume = policy("Allow", "sts:AssumeRole", "*");
    role(&service, "first", &may_assume);
    role(&service, "second", &policy("Allow", "ecs-workbench:*", "*"));
    let longer = [("RoleName", "second"), ("NewMaxSessionDuration", "43200")];
    done(&identity(&service, &service.root, "UpdateRole", &longer));
    let ana = assumer(&service);
    let twelve_hours = assume(&service, &ana, "second", &[("DurationSeconds", "43200")]);
    assert_eq!(done(&twelve_hours)["Credentials"]["Expiration"], "2026-01-02T15:04:05Z");
    let first = Session::of(&assume(&service, &ana, "first", &[("SourceIdentity", "ana")]));
    let arn = role_arn("second");
    let chain = |more: &[(&str, &str)]| {
        let mut parameters = vec![("RoleArn", arn.as_str()), ("RoleSessionName", "chained")];
        parameters.extend_from_slice(more);
        first.sts(&service, "AssumeRole", &parameters)
    };
    let second = chain(&[]);
    assert_eq!(done(&second)["SourceIdentity"], "ana");
    Session::of(&second).call(&service, "ListAgents", &[]).done();
    assert_eq!(
        chain(&[("DurationSeconds", "3601")]).refusal(),
        refused(400, "InvalidParameter.DurationSeconds")
    );
    assert_eq!(chain(&[("SourceIdentity", "bo")]).refusal(), refused(400, "InvalidParameter.SourceIdentity"));
    done(&chain(&[("SourceIdentity", "ana")]));
}

#[test]
fn every_caller_may_ask_who_it_is() {
    let service = Service::start();
    role(&service, "reader", &policy("Deny", "*", "*"));
    let who = |key| done(&identity(&service, key, "GetCallerIdentity", &[]));
    let root = who(&service.root);
    assert_eq!(
        (&root["IdentityType"], &root["Arn"]),
        (&json!("Account"), &json!(format!("acs:ram::{ACCOUNT}:root")))
    );
    assert_eq!(
        (&root["AccountId"], &root["UserId"], &root["PrincipalId"]),
        (&json!(ACCOUNT), &json!(ACCOUNT), &json!(ACCOUNT))
    );
    let nobody = service.user("nobody", &[&policy("Deny", "*", "*")]);
    let user = who(&nobody);
    assert_eq!((&user["IdentityType"], &user["PrincipalId"]), (&json!("RAMUser"), &user["UserId"]));
    assert!(user.get("RoleId").is_none(), "{user}");
    let session = Session::start(&service, &assumer(&service), "reader");
    let session = done(&session.sts(&service, "GetCallerIdentity", &[]));
    assert_eq!(session["IdentityType"], "AssumedRoleUser");
    assert_eq!(session["Arn"], format!("acs:ram::{ACCOUNT}:assumed-role/reader/ana"));
    assert_eq!(session["PrincipalId"], format!("{}:ana", session["RoleId"].as_str().unwrap()));
    assert!(session.get("UserId").is_none(), "{session}");
    let row = service.audit(1).remove(0);
    assert_eq!((row.action.as_str(), row.result.as_str()), ("GetCallerIdentity", "OK"));
}

#[test]
fn callers_with_the_permission_can_decode_why_something_was_denied() {
    let service = Service::start();
    let allow = policy("Allow", "*", "*");
    let deny =
        policy("Deny", "ecs-workbench:Get*", &format!("acs:ecs-workbench:*:{ACCOUNT}:workbench/i-one"));
    let ana = service.user("ana", &[&allow, &deny]);
    let nobody = service.user("nobody", &[]);
    let message_of = |key, action| {
        let reply = service.call_as(key, action, &[ONE]);
        assert_eq!(reply.refusal(), refused(403, "Forbidden.RAM"));
        reply.json()["AccessDeniedDetail"]["EncodedDiagnosticMessage"].as_str().unwrap().to_owned()
    };
    let decode = |key, message: &str| {
        identity(&service, key, "DecodeDiagnosticMessage", &[("EncodedDiagnosticMessage", message)])
    };
    let message = message_of(&ana, GET);
    assert!(message.len() < 1_500, "{}", message.len());
    let decoded = done(&decode(&service.root, &message))["DecodedDiagnosticMessage"].clone();
    assert_eq!(decoded["ExplicitDeny"], true, "{decoded}");
    assert_eq!(decoded["NoPermissionPolicyType"], "AccountLevelIdentityBasedPolicy");
    assert_eq!(decoded["AuthAction"], "ecs-workbench:GetInstanceRecordConfig");
    assert_eq!(decoded["AuthResource"], format!("acs:ecs-workbench:cn-hangzhou:{ACCOUNT}:workbench/i-one"));
    assert_eq!(decoded["AuthPrincipal"]["AuthPrincipalType"], "SubUser");
    assert_eq!(decoded["AuthPrincipal"]["AuthPrincipalOwnerId"], ACCOUNT);
    assert_eq!(decoded["MatchedPolicies"][0]["PolicyIdentifier"], "ana-1");
    assert_eq!(decoded["MatchedPolicies"][0]["PolicyType"], "Custom");
    assert_eq!(decoded["MatchedPolicies"][0]["Statement"], 0);
    let conditions = decoded["AuthConditions"].as_array().unwrap();
    let value = |key: &str| {
        conditions
            .iter()
            .find(|condition| condition["ConditionKey"] == key)
            .map(|c| c["ConditionValues"].clone())
    };
    assert_eq!(value("acs:SourceIp"), Some(json!(["127.0.0.1"])), "{decoded}");
    assert_eq!(value("acs:PrincipalARN"), Some(json!([format!("acs:ram::{ACCOUNT}:user/ana")])));
    // Nothing allowed it, so there is no policy to name.
    let silent = message_of(&nobody, GET);
    let decoded = done(&decode(&ana, &silent))["DecodedDiagnosticMessage"].clone();
    assert_eq!((&decoded["ExplicitDeny"], &decoded["MatchedPolicies"]), (&json!(false), &json!([])));
    assert_eq!(decoded["UnmetConditions"], json!([]));
    // For a caller who may decode the message, a statement that fits except for its condition is named with the
    // values it wanted.
    let elsewhere = json!({"Version": "1", "Statement": [{
        "Effect": "Allow", "Action": "ecs-workbench:Get*", "Resource": "*",
        "Condition": {"IpAddress": {"acs:SourceIp": ["10.0.0.0/8"]}, "Bool": {"acs:SecureTransport": "false"}},
    }]});
    let eva = service.user("eva", &[&elsewhere.to_string()]);
    let decoded = done(&decode(&service.root, &message_of(&eva, GET)))["DecodedDiagnosticMessage"].clone();
    let unmet = json!([{
        "PolicyIdentifier": "eva-0", "Statement": 0, "Operator": "IpAddress", "ConditionKey": "acs:SourceIp",
        "WantedValues": ["10.0.0.0/8"],
    }]);
    assert_eq!(decoded["UnmetConditions"], unmet, "{decoded}");
    // A caller who may not decode it gets another such message.
    let denied = decode(&nobody, &silent);
    assert_eq!(denied.refusal(), refused(403, "NoPermission"));
    assert!(denied.json()["AccessDeniedDetail"]["EncodedDiagnosticMessage"].is_string());
    let changed = format!("{}AAAA", &message[..message.len() - 4]);
    for bad in ["x", "AQ==", changed.as_str(), &message[4..]] {
        let invalid = refused(400, "InvalidParameter.EncodedDiagnosticMessage");
        assert_eq!(decode(&service.root, bad).refusal(), invalid, "{bad}");
    }
    assert_eq!(
        identity(&service, &service.root, "DecodeDiagnosticMessage", &[]).refusal(),
        refused(400, "MissingEncodedDiagnosticMessage")
    );
}

/// A caller who writes a policy is told what the policy does not do, and it is stored all the same.
#[test]
fn actions_that_write_a_policy_return_the_findings_about_it() {
    let service = Service::start();
    let root =
        |action, parameters: &[(&str, &str)]| done(&identity(&service, &service.root, action, parameters));
    let rules = |reply: &Value| -> Vec<(String, String)> {
        let findings = reply["Findings"].as_array().unwrap_or_else(|| panic!("{reply}"));
        let text = |finding: &Value, field: &str| finding[field].as_str().unwrap().to_owned();
        findings.iter().map(|finding| (text(finding, "Severity"), text(finding, "Rule"))).collect()
    };
    let never = [("Security Warning".to_owned(), "ConditionKeyNeverSet".to_owned())];
    let deny = json!({"Version": "1", "Statement": [{"Effect": "Deny", "Action": "ram:*", "Resource": "*",
        "Condition": {"StringEquals": {"acs:ResourceTag/env": "prod"}}}]})
    .to_string();
    let plain = policy("Allow", "ram:GetUser", "*");
    let (named, document) = (("PolicyName", "careful"), ("PolicyDocument", deny.as_str()));

    let made = root("CreatePolicy", &[named, document]);
    assert_eq!((rules(&made), &made["Policy"]["DefaultVersion"]), (never.to_vec(), &json!("v1")));
    assert_eq!(made["Findings"][0]["Pointer"], "/Statement/0/Condition/StringEquals/acs:ResourceTag~1env");
    let second = root("CreatePolicyVersion", &[named, ("PolicyDocument", &plain), ("SetAsDefault", "true")]);
    assert_eq!((rules(&second), &second["PolicyVersion"]["VersionId"]), (vec![], &json!("v2")));
    assert_eq!(rules(&root("CreatePolicyVersion", &[named, document])), never);
    assert_eq!(rules(&root("SetDefaultPolicyVersion", &[named, ("VersionId", "v1")])), never);
    assert_eq!(rules(&root("SetDefaultPolicyVersion", &[named, ("VersionId", "v2")])), []);
    // A caller who may not read the version is not told its findings; for a version that does not exist, there are
    // none.
    let blind = service.user("blind", &[&policy("Allow", "ram:SetDefaultPolicyVersion", "*")]);
    let set = done(&identity(&service, &blind, "SetDefaultPolicyVersion", &[named, ("VersionId", "v1")]));
    assert!(set.get("Findings").is_none(), "{set}");
    let missing = identity(&service, &service.root, "SetDefaultPolicyVersion", &[named, ("VersionId", "v9")]);
    assert_eq!(missing.status, 404);
    let unread =
        identity(&service, &service.root, "CreatePolicy", &[("PolicyName", "odd"), ("PolicyDocument", "{}")]);
    assert_eq!(unread.status, 400);

    // Trust policies and session policies are policies.
    let owner = format!("acs:ram::{ACCOUNT}:root");
    let careless = json!({"Version": "1", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"RAM": owner}, "Condition": {"StringNotEquals": {"acs:SourceVpc": "vpc-1"}}}]})
    .to_string();
    let name = ("RoleName", "auditor");
    assert_eq!(rules(&root("CreateRole", &[name, ("AssumeRolePolicyDocument", &careless)])), never);
    assert_eq!(rules(&root("UpdateRole", &[name, ("NewAssumeRolePolicyDocument", &careless)])), never);
    let described = root("UpdateRole", &[name, ("NewDescription", "reads")]);
    assert!(described.get("Findings").is_none(), "{described}");
    assert!(root("GetRole", &[name]).get("Findings").is_none());
    let ana = assumer(&service);
    let with = done(&assume(&service, &ana, "auditor", &[("Policy", &deny)]));
    assert_eq!(rules(&with), never);
    assert!(done(&assume(&service, &ana, "auditor", &[])).get("Findings").is_none());
}
