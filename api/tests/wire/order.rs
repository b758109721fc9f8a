//! The order of errors (DECISIONS G1): first those of the parameters' form, then those of what the call is about,
//! then the denial, and finally, only for callers with permission, those of the meaning of the other parameters.

use domain::actions::{CATALOGUE, Door};

use crate::http::Reply;
use crate::service::Service;
use crate::signing::{Call, Key};

type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str);

/// Errors in what the call is about, or in what determines the decision: every caller gets them.
const BEFORE_POLICY: &[Case] = &[
    ("SetInstanceRecordConfig", &[("Enabled", "true"), ("InstanceId", "nodash")], "InvalidInstanceId"),
    ("GetInstanceRecordConfig", &[("InstanceId", "nodash")], "InvalidInstanceId"),
    ("ListInstanceRecords", &[("InstanceId", "nodash")], "InvalidInstanceId"),
    (
        "ViewInstanceRecords",
        &[("InstanceId", "nodash"), ("TerminalSessionToken", "none")],
        "InvalidInstanceId",
    ),
    ("CreateAgentJoinToken", &[("InstanceId", "no instance")], "InvalidInstanceId"),
    ("DeleteAgent", &[("InstanceId", "*"), ("AgentId", "none")], "InvalidInstanceId"),
    ("ListAuditEvents", &[("InstanceId", "nodash"), ("Decision", "maybe")], "InvalidInstanceId"),
    ("VerifyAgentRecordings", &[("InstanceId", "nodash"), ("AgentId", "none")], "InvalidInstanceId"),
    ("SimulatePolicy", &[("Actions", "none"), ("StoredPrincipal", "ana")], "InvalidStoredPrincipal"),
    ("CreateUser", &[("UserName", "a b")], "InvalidParameter.UserName.InvalidChars"),
    (
        "UpdateUser",
        &[("UserName", "ana"), ("NewUserName", "a b")],
        "InvalidParameter.NewUserName.InvalidChars",
    ),
    (
        "UpdateGroup",
        &[("GroupName", "a b"), ("NewGroupName", "a b")],
        "InvalidParameter.GroupName.InvalidChars",
    ),
    (
        "AddUserToGroup",
        &[("UserName", "ana"), ("GroupName", "a b")],
        "InvalidParameter.GroupName.InvalidChars",
    ),
    (
        "UpdateAccessKey",
        &[("UserName", "a b"), ("UserAccessKeyId", "?"), ("Status", "?")],
        "InvalidParameter.UserName.InvalidChars",
    ),
    (
        "CreateRole",
        &[("RoleName", "a b"), ("AssumeRolePolicyDocument", "{}"), ("Tag", "[1]")],
        "InvalidParameter.Tag",
    ),
    (
        "CreateRole",
        &[("RoleName", "a b"), ("AssumeRolePolicyDocument", "{}"), ("AllowConsoleLogin", "true")],
        "InvalidParameter.AllowConsoleLogin",
    ),
    (
        "CreatePolicy",
        &[("PolicyName", "a b"), ("PolicyDocument", "{}")],
        "InvalidParameter.PolicyName.InvalidChars",
    ),
    ("ListPolicies", &[("Tag", "[1]"), ("PolicyType", "None")], "InvalidParameter.Tag"),
    (
        "TagResources",
        &[("ResourceType", "user"), ("ResourceNames", "[]"), ("Tag", "[]")],
        "InvalidParameter.ResourceType",
    ),
    (
        "UntagResources",
        &[("ResourceType", "role"), ("ResourceNames", "[\"a b\"]"), ("TagKeys", "[]")],
        "InvalidParameter.ResourceNames.InvalidChars",
    ),
    (
        "ListTagResources",
        &[("ResourceType", "policy"), ("ResourceNames", "[\"p\",\"p\"]")],
        "InvalidParameter.ResourceNames",
    ),
    (
        "AttachPolicyToUser",
        &[("UserName", "a b"), ("PolicyType", "None"), ("PolicyName", "p")],
        "InvalidParameter.UserName.InvalidChars",
    ),
    (
        "DetachPolicyFromGroup",
        &[("GroupName", "g"), ("PolicyType", "None"), ("PolicyName", "p"), ("ResourceGroupId", "rg")],
        "InvalidParameter.PolicyType",
    ),
    (
        "AttachPolicyToRole",
        &[("RoleName", "r"), ("PolicyType", "Custom"), ("PolicyName", "p"), ("ResourceGroupId", "rg")],
        "InvalidParameter.ResourceGroupId",
    ),
    ("ListPoliciesForRole", &[("RoleName", "a b")], "InvalidParameter.RoleName.InvalidChars"),
    (
        "GetPolicyVersion",
        &[("PolicyType", "None"), ("PolicyName", "p"), ("VersionId", "1")],
        "InvalidParameter.PolicyType",
    ),
    ("AssumeRole", &[("RoleArn", "reader"), ("RoleSessionName", "a b")], "InvalidParameter.RoleArn"),
    ("AssumeRole", &[("RoleArn", READER), ("RoleSessionName", "a b")], "InvalidParameter.RoleSessionName"),
    (
        "AssumeRole",
        &[("RoleArn", READER), ("RoleSessionName", "ana"), ("Policy", "{}"), ("ExternalId", " ")],
        "InvalidParameter.PolicyGrammar",
    ),
    (
        "AssumeRole",
        &[("RoleArn", READER), ("RoleSessionName", "ana"), ("SourceIdentity", " ")],
        "InvalidParameter.SourceIdentity",
    ),
];

const READER: &str = "acs:ram::1609982529000000:role/reader";

/// Errors in everything else: only callers with permission get them.
const AFTER_POLICY: &[Case] = &[
    (
        "SetInstanceRecordConfig",
        &[("Enabled", "false"), ("InstanceId", "i-one"), ("ResourceRegionId", "?")],
        "InvalidResourceRegionId",
    ),
    (
        "SetInstanceRecordConfig",
        &[("Enabled", "false"), ("InstanceId", "i-one"), ("ExpirationDays", "0")],
        "InvalidExpirationDays",
    ),
    ("ListInstanceRecords", &[("PageNumber", "2"), ("NextToken", "token")], "InvalidNextToken"),
    (
        "ViewInstanceRecords",
        &[("InstanceId", "i-one"), ("TerminalSessionToken", "none")],
        "InvalidTerminalSessionToken.NotFound",
    ),
    ("CreateAgentJoinToken", &[("InstanceId", "i-one"), ("TtlSeconds", "1")], "InvalidTtlSeconds"),
    ("DeleteAgent", &[("InstanceId", "i-one"), ("AgentId", "none")], "InvalidAgentId"),
    ("DeleteAgent", &[("InstanceId", "i-one")], "InvalidAgentId.NotFound"),
    ("ListAuditEvents", &[("Decision", "maybe")], "InvalidDecision"),
    ("ListAuditEvents", &[("StartTime", "today")], "InvalidStartTime"),
    ("VerifyAgentRecordings", &[("AgentId", "none")], "InvalidAgentId"),
    ("ValidatePolicy", &[("PolicyDocument", "{}"), ("PolicyKind", "?")], "InvalidPolicyKind"),
    ("SimulatePolicy", &[("Actions", "none")], "InvalidActions"),
    (
        "CreateLoginProfile",
        &[("UserName", "ana"), ("Password", "short")],
        "InvalidParameter.Password.TooWeak",
    ),
    (
        "UpdateLoginProfile",
        &[("UserName", "ana"), ("Password", "short")],
        "InvalidParameter.Password.TooWeak",
    ),
    (
        "UpdateAccessKey",
        &[("UserName", "ana"), ("UserAccessKeyId", "?"), ("Status", "?")],
        "InvalidParameter.UserAccessKeyId.InvalidChars",
    ),
    (
        "UpdateAccessKey",
        &[("UserName", "ana"), ("UserAccessKeyId", "TMP.1"), ("Status", "?")],
        "InvalidParameter.Status",
    ),
    (
        "DeleteAccessKey",
        &[("UserName", "ana"), ("UserAccessKeyId", "?")],
        "InvalidParameter.UserAccessKeyId.InvalidChars",
    ),
    (
        "GetAccessKeyLastUsed",
        &[("UserName", "ana"), ("UserAccessKeyId", "?")],
        "InvalidParameter.UserAccessKeyId.InvalidChars",
    ),
    (
        "CreatePolicyVersion",
        &[("PolicyName", "p"), ("PolicyDocument", "{}"), ("RotateStrategy", "?")],
        "InvalidParameter.RotateStrategy",
    ),
    (
        "SetDefaultPolicyVersion",
        &[("PolicyName", "p"), ("VersionId", "1")],
        "InvalidParameter.VersionId.Format",
    ),
    (
        "DeletePolicyVersion",
        &[("PolicyName", "p"), ("VersionId", "v01")],
        "InvalidParameter.VersionId.Format",
    ),
    (
        "GetPolicyVersion",
        &[("PolicyType", "Custom"), ("PolicyName", "p"), ("VersionId", "1")],
        "InvalidParameter.VersionId.Format",
    ),
    ("ListPolicies", &[("PolicyType", "None")], "InvalidParameter.PolicyType"),
    ("ListRoles", &[("Tag", "[{\"Key\":\"acs:a\"}]")], "InvalidParameter.Tag"),
    (
        "TagResources",
        &[("ResourceType", "role"), ("ResourceNames", "[\"r\"]"), ("Tag.1.Key", "http://a")],
        "InvalidParameter.Tag",
    ),
    (
        "TagResources",
        &[("ResourceType", "role"), ("ResourceNames", "[\"r\"]"), ("Tag.1.Key", "a")],
        "EntityNotExist.Role",
    ),
    ("UntagResources", &[("ResourceType", "role"), ("ResourceNames", "[\"r\"]")], "MissingTagKeys"),
    ("ListTagResources", &[("ResourceType", "role"), ("NextToken", "x")], "InvalidParameter.NextToken"),
    (
        "DecodeDiagnosticMessage",
        &[("EncodedDiagnosticMessage", "none")],
        "InvalidParameter.EncodedDiagnosticMessage",
    ),
    (
        "AssumeRole",
        &[("RoleArn", READER), ("RoleSessionName", "ana"), ("DurationSeconds", "1")],
        "InvalidParameter.DurationSeconds",
    ),
];

fn call(service: &Service, key: &Key, action: &str, parameters: &[(&str, &str)]) -> Reply {
    let entry = CATALOGUE.iter().find(|entry| entry.door == Door::Wire && entry.name == action).unwrap();
    let version = entry.product.version().to_owned();
    let call = Call { version, ..Call::new(action, parameters, service.now()) };
    call.signed_v3(key, service.address).send(service.address)
}

#[test]
fn only_permitted_callers_learn_errors_of_parameters_that_do_not_identify_the_resource() {
    let service = Service::start();
    let everything = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
    let (permitted, denied) = (service.user("permitted", &[everything]), service.user("denied", &[]));
    let trust = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"RAM":"acs:ram::1609982529000000:root"}}]}"#;
    let role = [("RoleName", "reader"), ("AssumeRolePolicyDocument", trust)];
    assert_eq!(call(&service, &permitted, "CreateRole", &role).status, 200);
    let before = service.state();
    for (action, parameters, code) in BEFORE_POLICY {
        for key in [&permitted, &denied] {
            assert_eq!(call(&service, key, action, parameters).code(), *code, "{action} {parameters:?}");
        }
    }
    for (action, parameters, code) in AFTER_POLICY {
        assert_eq!(call(&service, &permitted, action, parameters).code(), *code, "{action} {parameters:?}");
        let refused = call(&service, &denied, action, parameters).code();
        assert!(["Forbidden.RAM", "NoPermission"].contains(&refused.as_str()), "{action}: {refused}");
    }
    assert_eq!(service.state(), before);
}

#[test]
fn the_row_of_a_refused_view_names_the_recording_whatever_refused_it() {
    let service = Service::start();
    let denied = service.user("denied", &[]);
    let token = "0123456789abcdef0123456789abcdef";
    for (key, instance, code) in [
        (&service.root, "nodash", "InvalidInstanceId"),
        (&service.root, "i-one", "InvalidTerminalSessionToken.NotFound"),
        (&denied, "i-one", "Forbidden.RAM"),
    ] {
        let parameters = [("InstanceId", instance), ("TerminalSessionToken", token)];
        assert_eq!(service.call_as(key, "ViewInstanceRecords", &parameters).code(), code);
        assert_eq!(service.audit(1)[0].recording.as_deref(), Some(token), "{instance}");
    }
}
