//! The vendor's published error codes of RAM, which Terraform providers, SDK users and scripts match on: a call
//! causes each of them, with its status, unless it belongs to a call that is not offered. `ram_codes.txt` lists them.

use std::collections::BTreeSet;

use domain::actions::{self, Product};
use serde_json::json;

use crate::service::Service;
use crate::signing::{Call, Key};

const PUBLISHED: &str = include_str!("ram_codes.txt");

/// Codes for devices that are not supported, with a call that could return each of them: none of these calls is
/// offered.
const OF_CALLS_THAT_ARE_NOT_OFFERED: &[(&str, &str)] = &[
    ("InvalidParameter.VirtualMFADeviceName.InvalidChars", "CreateVirtualMFADevice"),
    ("InvalidParameter.VirtualMFADeviceName.Length", "CreateVirtualMFADevice"),
    ("InvalidParameter.AuthenticationCode.Format", "BindMFADevice"),
    ("CheckAuthenticationCodeFail", "BindMFADevice"),
    ("Inactive", "CreateServiceLinkedRole"),
    ("EntityNotExist.VirtualMFADevice", "DeleteVirtualMFADevice"),
    ("EntityAlreadyExists.User.MFADevice", "BindMFADevice"),
    ("EntityAlreadyExists.VirtualMFADevice", "CreateVirtualMFADevice"),
    ("EntityAlreadyExists.VirtualMFADevice.User", "BindMFADevice"),
    ("DeleteConflict.User.MFADevice", "BindMFADevice"),
    ("DeleteConflict.VirtualMFADevice.User", "DeleteVirtualMFADevice"),
    ("LimitExceeded.VirtualMFADevice", "CreateVirtualMFADevice"),
];

/// Codes that need thousands of objects, or a second account. The tests of the store cause them on every database.
const OF_THE_STORE: &[&str] = &[
    "LimitExceeded.User",
    "LimitExceeded.Group",
    "LimitExceeded.Role",
    "LimitExceeded.Policy",
    "EntityAlreadyExists.AccountAlias",
];

/// A caller of RAM that remembers the codes of its replies.
struct Walk<'s> {
    service: &'s Service,
    answered: BTreeSet<(u16, String)>,
}

impl Walk<'_> {
    fn send(&self, key: &Key, action: &str, parameters: &[(&str, &str)]) -> (u16, String) {
        let version = Product::Ram.version().to_owned();
        let call = Call { version, ..Call::new(action, parameters, self.service.now()) };
        let reply = call.signed_v3(key, self.service.address).send(self.service.address);
        if reply.status == 200 { (200, reply.text) } else { reply.refusal() }
    }

    fn done(&self, action: &str, parameters: &[(&str, &str)]) -> String {
        let (status, text) = self.send(&self.service.root, action, parameters);
        assert_eq!(status, 200, "{action} {parameters:?}: {text}");
        text
    }

    fn refused(&mut self, code: &str, action: &str, parameters: &[(&str, &str)]) {
        let (status, answered) = self.send(&self.service.root, action, parameters);
        assert_eq!(answered, code, "{action} {parameters:?}");
        self.answered.insert((status, answered));
    }
}

fn document() -> String {
    let statement = json!({ "Effect": "Allow", "Action": "ram:*", "Resource": "*" });
    json!({ "Version": "1", "Statement": [statement] }).to_string()
}

#[test]
fn every_published_code_of_a_call_that_is_offered_is_answered() {
    let service = Service::start();
    let nobody = service.user("nobody", &[]);
    let mut walk = Walk { service: &service, answered: BTreeSet::new() };
    let denied = walk.send(&nobody, "ListUsers", &[]);
    walk.answered.insert(denied);
    parameters_are_named(&mut walk);
    users(&mut walk);
    groups(&mut walk);
    roles(&mut walk);
    policies(&mut walk);

    let published: BTreeSet<(u16, String)> = PUBLISHED
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(status, code)| (status.parse().unwrap(), code.to_owned()))
        .collect();
    for (code, call) in OF_CALLS_THAT_ARE_NOT_OFFERED {
        assert!(
            actions::find(Product::Ram.version(), call).is_none(),
            "{call} is offered: bring {code} about"
        );
    }
    let elsewhere: BTreeSet<_> = OF_CALLS_THAT_ARE_NOT_OFFERED
        .iter()
        .map(|(code, _)| *code)
        .chain(OF_THE_STORE.iter().copied())
        .collect();
    let lacking: Vec<_> = published
        .iter()
        .filter(|row| !walk.answered.contains(row) && !elsewhere.contains(row.1.as_str()))
        .collect();
    assert!(lacking.is_empty(), "never answered: {lacking:?}");
    let both: Vec<_> = walk.answered.iter().filter(|(_, code)| elsewhere.contains(code.as_str())).collect();
    assert!(both.is_empty(), "answered, though it is said to be brought about elsewhere: {both:?}");
}

fn parameters_are_named(walk: &mut Walk<'_>) {
    let (bad, long) = ("a b", "a".repeat(129));
    let (long, document, text) = (long.as_str(), document(), "x".repeat(1_025));
    let trust = json!({ "Version": "1", "Statement": [{ "Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": { "RAM": "acs:ram::1609982529000000:root" } }] })
    .to_string();
    for (what, value) in [("InvalidChars", bad), ("Length", long)] {
        let code = |parameter: &str| format!("InvalidParameter.{parameter}.{what}");
        walk.refused(&code("UserName"), "CreateUser", &[("UserName", value)]);
        walk.refused(&code("NewUserName"), "UpdateUser", &[("UserName", "a"), ("NewUserName", value)]);
        walk.refused(&code("GroupName"), "CreateGroup", &[("GroupName", value)]);
        walk.refused(&code("NewGroupName"), "UpdateGroup", &[("GroupName", "a"), ("NewGroupName", value)]);
        let role = [("RoleName", value), ("AssumeRolePolicyDocument", trust.as_str())];
        walk.refused(&code("RoleName"), "CreateRole", &role);
        let policy = [("PolicyName", value), ("PolicyDocument", document.as_str())];
        walk.refused(&code("PolicyName"), "CreatePolicy", &policy);
    }
    for (what, value) in [("InvalidChars", "a\tb"), ("Length", long)] {
        let code = |parameter: &str| format!("InvalidParameter.{parameter}.{what}");
        walk.refused(&code("DisplayName"), "CreateUser", &[("UserName", "a"), ("DisplayName", value)]);
        walk.refused(&code("NewDisplayName"), "UpdateUser", &[("UserName", "a"), ("NewDisplayName", value)]);
    }
    for (code, action, parameters) in [
        ("PolicyType", "GetPolicy", &[("PolicyType", "Mine"), ("PolicyName", "p")][..]),
        (
            "VersionId.Format",
            "GetPolicyVersion",
            &[("PolicyType", "Custom"), ("PolicyName", "p"), ("VersionId", "1")],
        ),
        (
            "Description.Length",
            "CreatePolicy",
            &[("PolicyName", "p"), ("PolicyDocument", &document), ("Description", &text)],
        ),
        ("Comments.Length", "CreateUser", &[("UserName", "a"), ("Comments", long)]),
        ("NewComments.Length", "UpdateUser", &[("UserName", "a"), ("NewComments", long)]),
        ("Email.Format", "CreateUser", &[("UserName", "a"), ("Email", "nowhere")]),
        ("NewEmail.Format", "UpdateUser", &[("UserName", "a"), ("NewEmail", "@b")]),
        ("MobilePhone.Format", "CreateUser", &[("UserName", "a"), ("MobilePhone", "none")]),
        ("NewMobilePhone.Format", "UpdateUser", &[("UserName", "a"), ("NewMobilePhone", "1 2")]),
        ("MinimumPasswordLength.Range", "SetPasswordPolicy", &[("MinimumPasswordLength", "7")]),
        ("AccountAlias.Format", "SetAccountAlias", &[("AccountAlias", "a--b")]),
        ("AccountAlias.Length", "SetAccountAlias", &[("AccountAlias", "ab")]),
    ] {
        walk.refused(&format!("InvalidParameter.{code}"), action, parameters);
    }
    let malformed = [("PolicyName", "p"), ("PolicyDocument", "{")];
    walk.refused("MalformedPolicyDocument", "CreatePolicy", &malformed);
    let large = format!("{document}{}", " ".repeat(6_145));
    let large = [("PolicyName", "p"), ("PolicyDocument", large.as_str())];
    walk.refused("InvalidParameter.PolicyDocument.Length", "CreatePolicy", &large);
}

fn users(walk: &mut Walk<'_>) {
    let ana = ("UserName", "ana");
    walk.refused("EntityNotExist.User", "GetUser", &[ana]);
    walk.done("CreateUser", &[ana]);
    walk.refused("EntityAlreadyExists.User", "CreateUser", &[ana]);
    walk.refused("EntityNotExist.User.MFADevice", "GetUserMFAInfo", &[ana]);
    walk.refused("EntityNotExist.User.AccessKey", "DeleteAccessKey", &[ana, ("UserAccessKeyId", "none")]);
    walk.done("CreateAccessKey", &[ana]);
    walk.refused("DeleteConflict.User.AccessKey", "DeleteUser", &[ana]);
    walk.done("CreateAccessKey", &[ana]);
    walk.refused("LimitExceeded.User.AccessKey", "CreateAccessKey", &[ana]);

    let bo = ("UserName", "bo");
    walk.done("CreateUser", &[bo]);
    walk.refused("EntityNotExist.User.LoginProfile", "GetLoginProfile", &[bo]);
    walk.refused("InvalidParameter.Password.TooWeak", "CreateLoginProfile", &[bo, ("Password", "short")]);
    walk.done("SetPasswordPolicy", &[("RequireNumbers", "true"), ("MinimumPasswordLength", "12")]);
    let weak = ("Password", "correct horse battery");
    walk.refused("InvalidParameter.Password.TooWeak", "CreateLoginProfile", &[bo, weak]);
    let strong = ("Password", "correct horse 8");
    walk.done("CreateLoginProfile", &[bo, strong]);
    walk.refused("InvalidParameter.Password.TooWeak", "UpdateLoginProfile", &[bo, weak]);
    walk.refused("EntityAlreadyExists.User.LoginProfile", "CreateLoginProfile", &[bo, strong]);
    walk.refused("DeleteConflict.User.LoginProfile", "DeleteUser", &[bo]);
}

fn groups(walk: &mut Walk<'_>) {
    let cy = ("UserName", "cy");
    walk.done("CreateUser", &[cy]);
    walk.refused("EntityNotExist.Group", "GetGroup", &[("GroupName", "g0")]);
    for number in 0..11 {
        walk.done("CreateGroup", &[("GroupName", &format!("g{number}"))]);
    }
    let first = ("GroupName", "g0");
    walk.refused("EntityAlreadyExists.Group", "CreateGroup", &[first]);
    walk.refused("EntityNotExist.User.Group", "RemoveUserFromGroup", &[cy, first]);
    for number in 0..10 {
        walk.done("AddUserToGroup", &[cy, ("GroupName", &format!("g{number}"))]);
    }
    walk.refused("EntityAlreadyExists.User.Group", "AddUserToGroup", &[cy, first]);
    walk.refused("LimitExceeded.User.Group", "AddUserToGroup", &[cy, ("GroupName", "g10")]);
    walk.refused("DeleteConflict.User.Group", "DeleteUser", &[cy]);
    walk.refused("DeleteConflict.Group.User", "DeleteGroup", &[first]);
}

fn roles(walk: &mut Walk<'_>) {
    let trust = json!({ "Version": "1", "Statement": [{ "Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": { "RAM": "acs:ram::1609982529000000:root" } }] })
    .to_string();
    let role = ("RoleName", "reader");
    walk.refused("EntityNotExist.Role", "GetRole", &[role]);
    walk.done("CreateRole", &[role, ("AssumeRolePolicyDocument", &trust)]);
    walk.refused("EntityAlreadyExists.Role", "CreateRole", &[role, ("AssumeRolePolicyDocument", &trust)]);
}

fn policies(walk: &mut Walk<'_>) {
    let document = document();
    let custom = ("PolicyType", "Custom");
    walk.refused("EntityNotExist.Policy", "GetPolicy", &[custom, ("PolicyName", "p0")]);
    let names: Vec<String> = (0..11).map(|number| format!("p{number}")).collect();
    for name in &names {
        walk.done("CreatePolicy", &[("PolicyName", name), ("PolicyDocument", &document)]);
    }
    let first = ("PolicyName", "p0");
    walk.refused("EntityAlreadyExists.Policy", "CreatePolicy", &[first, ("PolicyDocument", &document)]);
    let absent = [custom, first, ("VersionId", "v9")];
    walk.refused("EntityNotExist.Policy.Version", "GetPolicyVersion", &absent);
    walk.refused(
        "DeleteConflict.Policy.Version.Default",
        "DeletePolicyVersion",
        &[first, ("VersionId", "v1")],
    );
    walk.done("CreatePolicyVersion", &[first, ("PolicyDocument", &document)]);
    walk.refused("DeleteConflict.Policy.Version", "DeletePolicy", &[first]);
    for _ in 0..3 {
        walk.done("CreatePolicyVersion", &[first, ("PolicyDocument", &document)]);
    }
    walk.refused(
        "LimitExceeded.Policy.Version",
        "CreatePolicyVersion",
        &[first, ("PolicyDocument", &document)],
    );

    walk.done("CreateUser", &[("UserName", "dora")]);
    walk.done("CreateGroup", &[("GroupName", "readers")]);
    for (kind, bearer) in [
        ("User", ("UserName", "dora")),
        ("Group", ("GroupName", "readers")),
        ("Role", ("RoleName", "reader")),
    ] {
        let (attach, detach) = (format!("AttachPolicyTo{kind}"), format!("DetachPolicyFrom{kind}"));
        walk.refused(&format!("EntityNotExist.{kind}.Policy"), &detach, &[custom, first, bearer]);
        for name in &names[..10] {
            walk.done(&attach, &[custom, ("PolicyName", name), bearer]);
        }
        walk.refused(&format!("EntityAlreadyExists.{kind}.Policy"), &attach, &[custom, first, bearer]);
        let last = ("PolicyName", "p10");
        walk.refused(&format!("LimitExceeded.{kind}.Policy"), &attach, &[custom, last, bearer]);
        walk.refused(&format!("DeleteConflict.{kind}.Policy"), &format!("Delete{kind}"), &[bearer]);
        walk.refused(&format!("DeleteConflict.Policy.{kind}"), "DeletePolicy", &[first]);
        for name in &names[..10] {
            walk.done(&detach, &[custom, ("PolicyName", name), bearer]);
        }
    }
}

#[test]
fn what_is_set_of_an_account_is_answered() {
    let service = Service::start();
    let walk = Walk { service: &service, answered: BTreeSet::new() };
    let body = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let ask = |action| body(&walk.done(action, &[]));
    assert_eq!(ask("GetAccountAlias")["AccountAlias"], "");
    walk.done("SetAccountAlias", &[("AccountAlias", "example-company")]);
    assert_eq!(ask("GetAccountAlias")["AccountAlias"], "example-company");
    walk.done("ClearAccountAlias", &[]);
    assert_eq!(ask("GetAccountAlias")["AccountAlias"], "");

    let in_force = ask("GetPasswordPolicy")["PasswordPolicy"].clone();
    assert_eq!((&in_force["MinimumPasswordLength"], &in_force["RequireNumbers"]), (&json!(8), &json!(false)));
    for (parameter, value) in [
        ("MaxPasswordAge", "90"),
        ("PasswordReusePrevention", "3"),
        ("MaxLoginAttemps", "5"),
        ("HardExpiry", "true"),
    ] {
        // A setting that nothing enforces must not be reported as in force.
        let (status, code) = walk.send(&service.root, "SetPasswordPolicy", &[(parameter, value)]);
        assert_eq!((status, code), (400, format!("InvalidParameter.{parameter}")));
    }
    assert_eq!(ask("GetPasswordPolicy")["PasswordPolicy"], in_force);
    let set = walk.done("SetPasswordPolicy", &[("MinimumPasswordLength", "14"), ("RequireSymbols", "True")]);
    let now = ask("GetPasswordPolicy")["PasswordPolicy"].clone();
    assert_eq!(body(&set)["PasswordPolicy"], now);
    assert_eq!((&now["MinimumPasswordLength"], &now["RequireSymbols"]), (&json!(14), &json!(true)));

    let preference = ask("GetSecurityPreference")["SecurityPreference"].clone();
    assert_eq!(preference["AccessKeyPreference"]["AllowUserToManageAccessKeys"], false, "{preference}");
    assert_eq!(preference["LoginProfilePreference"]["EnableSaveMFATicket"], false, "{preference}");
    assert_eq!(ask("ListVirtualMFADevices")["VirtualMFADevices"]["VirtualMFADevice"], json!([]));

    walk.done(
        "CreatePolicy",
        &[("PolicyName", "p"), ("PolicyDocument", &document()), ("Description", "one")],
    );
    let described = walk.done("UpdatePolicyDescription", &[("PolicyName", "p"), ("NewDescription", "two")]);
    assert_eq!(body(&described)["Policy"]["Description"], "two");
    let stored = walk.done("GetPolicy", &[("PolicyName", "p"), ("PolicyType", "Custom")]);
    assert_eq!(body(&stored)["Policy"]["Description"], "two");
}

#[test]
fn attachments_are_listed_as_they_are_selected() {
    let service = Service::start();
    let walk = Walk { service: &service, answered: BTreeSet::new() };
    let trust = json!({ "Version": "1", "Statement": [{ "Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": { "RAM": "acs:ram::1609982529000000:root" } }] })
    .to_string();
    let document = document();
    walk.done("CreateUser", &[("UserName", "ana")]);
    walk.done("CreateGroup", &[("GroupName", "ana")]);
    walk.done("CreateRole", &[("RoleName", "reader"), ("AssumeRolePolicyDocument", &trust)]);
    walk.done(
        "CreatePolicy",
        &[("PolicyName", "own"), ("PolicyDocument", &document), ("Description", "ours")],
    );
    let (own, system) = (["Custom", "own"], ["System", "AdministratorAccess"]);
    for (action, bearer, [kind, name]) in [
        ("AttachPolicyToUser", ("UserName", "ana"), own),
        ("AttachPolicyToUser", ("UserName", "ana"), system),
        ("AttachPolicyToGroup", ("GroupName", "ana"), own),
        ("AttachPolicyToRole", ("RoleName", "reader"), system),
    ] {
        walk.done(action, &[bearer, ("PolicyType", kind), ("PolicyName", name)]);
    }
    let list = |parameters: &[(&str, &str)]| {
        let body: serde_json::Value =
            serde_json::from_str(&walk.done("ListPolicyAttachments", parameters)).unwrap();
        let shown = body["PolicyAttachments"]["PolicyAttachment"].as_array().unwrap().iter();
        let text = |item: &serde_json::Value, field: &str| item[field].as_str().unwrap().to_owned();
        let shown: Vec<_> = shown
            .map(|item| {
                let who = format!("{}/{}", text(item, "PrincipalType"), text(item, "PrincipalName"));
                assert!(text(item, "AttachDate").ends_with('Z') && !text(item, "Description").is_empty());
                format!("{} {who}", text(item, "PolicyName"))
            })
            .collect();
        (shown, body["TotalCount"].as_i64().unwrap())
    };
    let (mut all, total) = list(&[]);
    all.sort();
    let expected = [
        "AdministratorAccess IMSUser/ana",
        "AdministratorAccess ServiceRole/reader",
        "own IMSGroup/ana",
        "own IMSUser/ana",
    ];
    assert_eq!((all.iter().map(String::as_str).collect::<Vec<_>>(), total), (expected.to_vec(), 4));
    for (parameters, count) in [
        (&[("PolicyType", "System")][..], 2),
        (&[("PolicyType", "Custom"), ("PolicyName", "own")], 2),
        (&[("PrincipalName", "ana")], 3),
        (&[("PrincipalName", "ana"), ("PrincipalType", "IMSGroup")], 1),
        (&[("PrincipalType", "ServiceRole"), ("PolicyName", "own")], 0),
    ] {
        let (shown, total) = list(parameters);
        assert_eq!((shown.len(), total), (count, i64::try_from(count).unwrap()), "{parameters:?}");
    }
    let mut paged = Vec::new();
    for page in ["1", "2", "3"] {
        let (shown, total) = list(&[("PageSize", "2"), ("PageNumber", page)]);
        assert_eq!(total, 4);
        paged.extend(shown);
    }
    paged.sort();
    assert_eq!(paged, all);
    let other = walk.send(&service.root, "ListPolicyAttachments", &[("PrincipalType", "User")]);
    assert_eq!(other, (400, "InvalidParameter.PrincipalType".to_owned()));
}

#[test]
fn a_system_policy_that_has_no_meaning_here_is_refused_with_the_reason() {
    let service = Service::start();
    let walk = Walk { service: &service, answered: BTreeSet::new() };
    walk.done("CreateUser", &[("UserName", "ana")]);
    let attach = [("UserName", "ana"), ("PolicyType", "System"), ("PolicyName", "AliyunLogFullAccess")];
    let version = Product::Ram.version().to_owned();
    let call = Call { version, ..Call::new("AttachPolicyToUser", &attach, service.now()) };
    let reply = call.signed_v3(&service.root, service.address).send(service.address);
    assert_eq!(reply.refusal(), (404, "EntityNotExist.Policy".to_owned()));
    let said = reply.json()["Message"].as_str().unwrap().to_owned();
    assert!(said.contains("there is no system policy AliyunLogFullAccess here"), "{said}");
}

#[test]
fn a_denial_says_what_to_grant_as_tools_read_it() {
    let service = Service::start();
    let nobody = service.user("nobody", &[]);
    let version = Product::Ram.version().to_owned();
    let call = Call { version, ..Call::new("GetUser", &[("UserName", "ana")], service.now()) };
    let denied = call.signed_v3(&nobody, service.address).send(service.address).json();
    assert_eq!(
        denied["Message"],
        "You are not authorized to do this action. Resource: acs:ram::1609982529000000:user/ana Action: ram:GetUser"
    );
    assert_eq!(denied["AccessDeniedDetail"]["AuthAction"], "ram:GetUser");
}

#[test]
fn what_is_unsigned_by_design_is_said_not_to_be_offered() {
    let service = Service::start();
    for action in ["AssumeRoleWithOIDC", "AssumeRoleWithSAML"] {
        let target = format!("/?Action={action}&Version=2015-04-01");
        let request = crate::http::Request::new("POST", &target).header("host", "localhost");
        let reply = request.send(service.address);
        assert_eq!(reply.refusal(), (404, "InvalidAction.NotFound".to_owned()));
        assert!(reply.json()["Message"].as_str().unwrap().contains("is not offered"), "{reply:?}");
    }
}
