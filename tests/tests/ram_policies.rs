//! Policies, their versions and attachments, with the vendor's unmodified Python SDK; and their effect from the very
//! next call on, on every replica.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use whole_system::{Client, Deployment, DeploymentOptions, IdentitySdk, postgresql};

fn document(effect: &str, action: &str) -> String {
    json!({"Version": "1", "Statement": [{"Effect": effect, "Action": action, "Resource": "*"}]}).to_string()
}

fn refused(status: u64, code: &str) -> (u64, String) {
    (status, code.to_owned())
}

/// A user whose only permission is to read its own policy, which no other user has.
fn bare_user(deployment: &Deployment, name: &str) -> Client {
    deployment
        .user(name, &json!([{"Effect": "Allow", "Action": "ecs-workbench:ListAgents", "Resource": "*"}]))
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|item| item["PolicyName"].as_str().unwrap()).collect()
}

#[test]
fn policies_are_made_shown_listed_and_deleted() {
    let deployment = Deployment::start();
    let mut root = IdentitySdk::of(&deployment.root);
    let text = document("Allow", "ram:ListPolicies");
    let made = root.ok(
        "CreatePolicy",
        &json!({"PolicyName": "lists", "PolicyDocument": text, "Description": "may list"}),
    );
    let policy = &made["Policy"];
    assert_eq!(
        (&policy["PolicyType"], &policy["DefaultVersion"], &policy["Description"]),
        (&json!("Custom"), &json!("v1"), &json!("may list")),
        "{made}"
    );
    let asked = json!({"PolicyName": "lists", "PolicyType": "Custom"});
    let shown = root.ok("GetPolicy", &asked);
    assert_eq!(shown["Policy"]["AttachmentCount"], 0, "{shown}");
    assert_eq!(shown["Policy"]["CreateDate"], policy["CreateDate"]);
    assert_eq!(shown["DefaultPolicyVersion"]["PolicyDocument"], text.as_str(), "{shown}");
    assert_eq!(shown["DefaultPolicyVersion"]["IsDefaultVersion"], true);
    assert_eq!(shown["DefaultPolicyVersion"]["VersionId"], "v1");
    let system = root.ok("GetPolicy", &json!({"PolicyName": "AdministratorAccess", "PolicyType": "System"}));
    assert_eq!(system["Policy"]["PolicyType"], "System", "{system}");
    assert!(system["DefaultPolicyVersion"]["PolicyDocument"].as_str().unwrap().contains("Allow"));

    root.ok("CreatePolicy", &json!({"PolicyName": "another", "PolicyDocument": text}));
    let custom = root.ok("ListPolicies", &json!({"PolicyType": "Custom"}));
    assert_eq!(names(&custom["Policies"]["Policy"]), ["another", "lists"], "{custom}");
    assert_eq!(custom["IsTruncated"], false);
    let whole = root.ok("ListPolicies", &json!({"MaxItems": 1000}));
    let whole = names(&whole["Policies"]["Policy"]).into_iter().map(str::to_owned).collect::<Vec<_>>();
    assert!(whole.ends_with(&["another".to_owned(), "lists".to_owned()]), "{whole:?}");
    assert!(whole.contains(&"AliyunECSWorkbenchFullAccess".to_owned()));
    let (mut paged, mut asked_for) = (Vec::new(), json!({"MaxItems": 3}));
    loop {
        let page = root.ok("ListPolicies", &asked_for);
        paged.extend(names(&page["Policies"]["Policy"]).into_iter().map(str::to_owned));
        if page["IsTruncated"] == false {
            assert!(page.get("Marker").is_none_or(Value::is_null), "{page}");
            break;
        }
        asked_for["Marker"] = page["Marker"].clone();
    }
    assert_eq!(paged, whole);

    for (action, parameters, expected) in [
        (
            "CreatePolicy",
            json!({"PolicyName": "lists", "PolicyDocument": text}),
            refused(409, "EntityAlreadyExists.Policy"),
        ),
        (
            "CreatePolicy",
            json!({"PolicyName": "under_score", "PolicyDocument": text}),
            refused(400, "InvalidParameter.PolicyName.InvalidChars"),
        ),
        (
            "CreatePolicy",
            json!({"PolicyName": "long", "PolicyDocument": text, "Description": "x".repeat(1025)}),
            refused(400, "InvalidParameter.Description.Length"),
        ),
        (
            "CreatePolicy",
            json!({"PolicyName": "long", "PolicyDocument": text.clone() + &" ".repeat(6145 - text.len())}),
            refused(400, "InvalidParameter.PolicyDocument.Length"),
        ),
        ("CreatePolicy", json!({"PolicyName": "empty"}), refused(400, "MissingPolicyDocument")),
        (
            "GetPolicy",
            json!({"PolicyName": "lists", "PolicyType": "System"}),
            refused(404, "EntityNotExist.Policy"),
        ),
        (
            "GetPolicy",
            json!({"PolicyName": "lists", "PolicyType": "custom"}),
            refused(400, "InvalidParameter.PolicyType"),
        ),
        (
            "CreatePolicy",
            json!({"PolicyName": "tagged", "PolicyDocument": text, "Tag": [{"Key": "acs:a", "Value": "b"}]}),
            refused(400, "InvalidParameter.Tag"),
        ),
        ("ListPolicies", json!({"Tag": [{"Key": ""}]}), refused(400, "InvalidParameter.Tag")),
        (
            "CreatePolicy",
            json!({"PolicyName": "AdministratorAccess", "PolicyDocument": text}),
            refused(409, "EntityAlreadyExists.Policy"),
        ),
        ("ListPolicies", json!({"Marker": "nonsense"}), refused(400, "InvalidParameter.Marker")),
        ("ListPolicies", json!({"MaxItems": 1001}), refused(400, "InvalidParameter.MaxItems")),
        ("DeletePolicy", json!({"PolicyName": "AdministratorAccess"}), refused(404, "EntityNotExist.Policy")),
    ] {
        assert_eq!(root.refusal(action, &parameters), expected, "{action} {parameters}");
    }
    let longest = text.clone() + &" ".repeat(6144 - text.len());
    root.ok("CreatePolicy", &json!({"PolicyName": "longest", "PolicyDocument": longest}));

    // A fault in a document is reported with its place.
    let wrong = "{\"Version\": \"1\",\n  \"Statement\": [{\"Effect\": \"allow\", \"Action\": \"*\", \"Resource\": \"*\"}]}";
    let outcome = root.call("CreatePolicy", &json!({"PolicyName": "wrong", "PolicyDocument": wrong}));
    assert_eq!(outcome["error"]["code"], "MalformedPolicyDocument", "{outcome}");
    let message = outcome["error"]["message"].as_str().unwrap();
    assert!(message.contains("line 2, column 28"), "{message}");

    for name in ["another", "lists", "longest"] {
        root.ok("DeletePolicy", &json!({"PolicyName": name}));
    }
    assert_eq!(root.refusal("GetPolicy", &asked), refused(404, "EntityNotExist.Policy"));
    let none = root.ok("ListPolicies", &json!({"PolicyType": "Custom"}));
    assert_eq!(none["Policies"]["Policy"], json!([]), "{none}");
}

#[test]
fn versions_are_made_listed_switched_rotated_and_deleted() {
    let deployment = Deployment::start();
    let mut root = IdentitySdk::of(&deployment.root);
    let (first, other) = (document("Allow", "ram:Get*"), document("Deny", "ram:Get*"));
    root.ok("CreatePolicy", &json!({"PolicyName": "p", "PolicyDocument": first}));
    let made = root.ok(
        "CreatePolicyVersion",
        &json!({"PolicyName": "p", "PolicyDocument": other, "SetAsDefault": true}),
    );
    assert_eq!(
        (&made["PolicyVersion"]["VersionId"], &made["PolicyVersion"]["IsDefaultVersion"]),
        (&json!("v2"), &json!(true)),
        "{made}"
    );
    let asked = json!({"PolicyName": "p", "PolicyType": "Custom"});
    assert_eq!(root.ok("GetPolicy", &asked)["DefaultPolicyVersion"]["PolicyDocument"], other.as_str());
    root.ok("SetDefaultPolicyVersion", &json!({"PolicyName": "p", "VersionId": "v1"}));
    assert_eq!(root.ok("GetPolicy", &asked)["Policy"]["DefaultVersion"], "v1");
    let one =
        root.ok("GetPolicyVersion", &json!({"PolicyName": "p", "PolicyType": "Custom", "VersionId": "v2"}));
    assert_eq!(one["PolicyVersion"]["PolicyDocument"], other.as_str(), "{one}");
    assert_eq!(one["PolicyVersion"]["IsDefaultVersion"], false);
    let of_system = json!({"PolicyName": "AdministratorAccess", "PolicyType": "System"});
    assert_eq!(
        root.ok("ListPolicyVersions", &of_system)["PolicyVersions"]["PolicyVersion"][0]["VersionId"],
        "v1"
    );

    let another = json!({"PolicyName": "p", "PolicyDocument": first});
    for _ in 3..=5 {
        let made = root.ok("CreatePolicyVersion", &another);
        assert_eq!(made["PolicyVersion"]["IsDefaultVersion"], false);
    }
    let limit = root.refusal("CreatePolicyVersion", &another);
    assert_eq!(limit, refused(409, "LimitExceeded.Policy.Version"));
    let mut rotating = another.clone();
    rotating["RotateStrategy"] = json!("DeleteOldestNonDefaultVersionWhenLimitExceeded");
    assert_eq!(root.ok("CreatePolicyVersion", &rotating)["PolicyVersion"]["VersionId"], "v6");
    let standing = |root: &mut IdentitySdk| {
        let listed = root.ok("ListPolicyVersions", &asked);
        let versions = listed["PolicyVersions"]["PolicyVersion"].as_array().unwrap().clone();
        versions.iter().map(|version| version["VersionId"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(standing(&mut root), ["v1", "v3", "v4", "v5", "v6"]);
    rotating["RotateStrategy"] = json!("DeleteNewest");
    assert_eq!(
        root.refusal("CreatePolicyVersion", &rotating),
        refused(400, "InvalidParameter.RotateStrategy")
    );

    for (action, version, expected) in [
        ("DeletePolicyVersion", "v1", refused(409, "DeleteConflict.Policy.Version.Default")),
        ("DeletePolicyVersion", "v2", refused(404, "EntityNotExist.Policy.Version")),
        ("SetDefaultPolicyVersion", "v2", refused(404, "EntityNotExist.Policy.Version")),
        ("SetDefaultPolicyVersion", "2", refused(400, "InvalidParameter.VersionId.Format")),
    ] {
        let parameters = json!({"PolicyName": "p", "VersionId": version});
        assert_eq!(root.refusal(action, &parameters), expected, "{action} {version}");
    }
    let unknown = json!({"PolicyName": "p", "PolicyType": "Custom", "VersionId": "v2"});
    assert_eq!(root.refusal("GetPolicyVersion", &unknown), refused(404, "EntityNotExist.Policy.Version"));
    let nowhere = json!({"PolicyName": "q", "PolicyType": "Custom"});
    assert_eq!(root.refusal("ListPolicyVersions", &nowhere), refused(404, "EntityNotExist.Policy"));
    let wrong = json!({"PolicyName": "p", "PolicyDocument": "{}"});
    assert_eq!(root.refusal("CreatePolicyVersion", &wrong), refused(400, "MalformedPolicyDocument"));

    root.ok("DeletePolicyVersion", &json!({"PolicyName": "p", "VersionId": "v6"}));
    assert_eq!(root.ok("CreatePolicyVersion", &another)["PolicyVersion"]["VersionId"], "v7");
    let conflict = root.refusal("DeletePolicy", &json!({"PolicyName": "p"}));
    assert_eq!(conflict, refused(409, "DeleteConflict.Policy.Version"));
    root.ok("DeletePolicy", &json!({"PolicyName": "p", "CascadingDelete": true}));
}

#[test]
fn policies_are_attached_to_and_detached_from_users_groups_and_roles() {
    let deployment = Deployment::start();
    let mut root = IdentitySdk::of(&deployment.root);
    let trust = json!({"Version": "1", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"RAM": format!("acs:ram::{}:root", deployment.account())}}]});
    root.ok("CreateUser", &json!({"UserName": "ana", "DisplayName": "Ana"}));
    root.ok("CreateGroup", &json!({"GroupName": "crew", "Comments": "all hands"}));
    root.ok("CreateRole", &json!({"RoleName": "deploy", "AssumeRolePolicyDocument": trust.to_string()}));
    root.ok("CreatePolicy", &json!({"PolicyName": "p", "PolicyDocument": document("Allow", "ram:Get*")}));
    for (kind, name) in [("User", "ana"), ("Group", "crew"), ("Role", "deploy")] {
        let attach = format!("AttachPolicyTo{kind}");
        let detach = format!("DetachPolicyFrom{kind}");
        let list = format!("ListPoliciesFor{kind}");
        let named = format!("{kind}Name");
        let custom = json!({"PolicyType": "Custom", "PolicyName": "p", &named: name});
        let system = json!({"PolicyType": "System", "PolicyName": "AliyunRAMReadOnlyAccess", &named: name});
        for parameters in [&custom, &system] {
            root.ok(&attach, parameters);
            let again = root.refusal(&attach, parameters);
            assert_eq!(again, refused(409, &format!("EntityAlreadyExists.{kind}.Policy")));
        }
        let listed = root.ok(&list, &json!({&named: name}));
        let policies = &listed["Policies"]["Policy"];
        assert_eq!(names(policies), ["p", "AliyunRAMReadOnlyAccess"], "{listed}");
        assert_eq!(
            (&policies[0]["PolicyType"], &policies[0]["DefaultVersion"]),
            (&json!("Custom"), &json!("v1"))
        );
        assert!(policies[0]["AttachDate"].as_str().unwrap().ends_with('Z'), "{listed}");

        let entities = root.ok("ListEntitiesForPolicy", &json!({"PolicyType": "Custom", "PolicyName": "p"}));
        let of_kind = |kind: &str| entities[format!("{kind}s")][kind].as_array().unwrap().clone();
        for other in ["User", "Group", "Role"] {
            assert_eq!(of_kind(other).len(), usize::from(other == kind), "{entities}");
        }
        let found = &of_kind(kind)[0];
        assert_eq!(found[&named], name, "{entities}");
        match kind {
            "User" => assert_eq!(found["DisplayName"], "Ana"),
            "Group" => assert_eq!(found["Comments"], "all hands"),
            _ => assert_eq!(found["Arn"], format!("acs:ram::{}:role/deploy", deployment.account())),
        }
        let count = root.ok("GetPolicy", &json!({"PolicyType": "Custom", "PolicyName": "p"}));
        assert_eq!(count["Policy"]["AttachmentCount"], 1, "{count}");
        let conflict = root.refusal("DeletePolicy", &json!({"PolicyName": "p", "CascadingDelete": true}));
        assert_eq!(conflict, refused(409, &format!("DeleteConflict.Policy.{kind}")));

        for parameters in [&custom, &system] {
            root.ok(&detach, parameters);
            let again = root.refusal(&detach, parameters);
            assert_eq!(again, refused(404, &format!("EntityNotExist.{kind}.Policy")));
        }
        assert_eq!(root.ok(&list, &json!({&named: name}))["Policies"]["Policy"], json!([]));
        let nobody = json!({"PolicyType": "Custom", "PolicyName": "p", &named: "nobody"});
        assert_eq!(root.refusal(&attach, &nobody), refused(404, &format!("EntityNotExist.{kind}")));
        assert_eq!(
            root.refusal(&list, &json!({&named: "nobody"})),
            refused(404, &format!("EntityNotExist.{kind}"))
        );
        let nothing = json!({"PolicyType": "System", "PolicyName": "p", &named: name});
        assert_eq!(root.refusal(&attach, &nothing), refused(404, "EntityNotExist.Policy"));
    }
    let nowhere = json!({"PolicyType": "Custom", "PolicyName": "q"});
    assert_eq!(root.refusal("ListEntitiesForPolicy", &nowhere), refused(404, "EntityNotExist.Policy"));
    root.ok("DeletePolicy", &json!({"PolicyName": "p"}));
}

#[test]
fn nothing_is_attached_within_a_resource_group() {
    let deployment = Deployment::start();
    let _ = bare_user(&deployment, "ana");
    let mut root = IdentitySdk::of(&deployment.root);
    root.ok("CreateGroup", &json!({"GroupName": "crew"}));
    let trust = json!({"Version": "1", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"RAM": format!("acs:ram::{}:root", deployment.account())}}]});
    root.ok("CreateRole", &json!({"RoleName": "deploy", "AssumeRolePolicyDocument": trust.to_string()}));
    for (kind, name) in [("User", "ana"), ("Group", "crew"), ("Role", "deploy")] {
        let named = format!("{kind}Name");
        let mut asked = json!({"PolicyType": "System", "PolicyName": "AdministratorAccess", &named: name});
        let has = |root: &mut IdentitySdk| {
            let listed = root.ok(&format!("ListPoliciesFor{kind}"), &json!({&named: name}));
            names(&listed["Policies"]["Policy"]).contains(&"AdministratorAccess")
        };
        for (action, before) in [("AttachPolicyTo", false), ("DetachPolicyFrom", true)] {
            let action = format!("{action}{kind}");
            asked["ResourceGroupId"] = json!("rg-1");
            let outcome = root.call(&action, &asked);
            assert_eq!(outcome["error"]["code"], "InvalidParameter.ResourceGroupId", "{outcome}");
            let message = outcome["error"]["message"].as_str().unwrap();
            assert!(message.contains("there are no resource groups here; leave it out"), "{message}");
            assert_eq!(has(&mut root), before, "{action}");
            asked["ResourceGroupId"] = json!("");
            root.ok(&action, &asked);
            assert_eq!(has(&mut root), !before, "{action}");
        }
    }
}

#[test]
fn a_user_has_at_most_ten_policies_of_the_account() {
    let deployment = Deployment::start();
    let _ = bare_user(&deployment, "ana");
    let mut root = IdentitySdk::of(&deployment.root);
    for number in 1..=10 {
        let name = format!("p{number}");
        root.ok(
            "CreatePolicy",
            &json!({"PolicyName": name, "PolicyDocument": document("Allow", "ram:Get*")}),
        );
        let attach = json!({"PolicyType": "Custom", "PolicyName": name, "UserName": "ana"});
        if number < 10 {
            root.ok("AttachPolicyToUser", &attach);
        } else {
            let full = root.refusal("AttachPolicyToUser", &attach);
            assert_eq!(full, refused(409, "LimitExceeded.User.Policy"), "her own and nine");
        }
    }
}

/// The outcome of a user's next call of ListPolicies: allowed, or the type of policy and the kind of denial.
fn may_list(user: &mut IdentitySdk) -> Result<(), (String, String)> {
    let outcome = user.call("ListPolicies", &json!({"MaxItems": 1}));
    if outcome["reply"]["RequestId"].is_string() {
        return Ok(());
    }
    assert_eq!(
        (&outcome["error"]["code"], &outcome["error"]["status"]),
        (&json!("NoPermission"), &json!(403)),
        "{outcome}"
    );
    let detail = |field: &str| outcome["error"]["detail"][field].as_str().unwrap().to_owned();
    assert_eq!(detail("AuthAction"), "ram:ListPolicies");
    Err((detail("PolicyType"), detail("NoPermissionType")))
}

fn nothing_allows() -> Result<(), (String, String)> {
    Err(("AccountLevelIdentityBasedPolicy".to_owned(), "ImplicitDeny".to_owned()))
}

fn a_deny_says_no() -> Result<(), (String, String)> {
    Err(("AccountLevelIdentityBasedPolicy".to_owned(), "ExplicitDeny".to_owned()))
}

#[test]
fn attaching_detaching_and_switching_take_effect_with_the_next_call() {
    let deployment = Deployment::start();
    let mut root = IdentitySdk::of(&deployment.root);
    let mut ana = IdentitySdk::of(&bare_user(&deployment, "ana"));
    assert_eq!(may_list(&mut ana), nothing_allows());
    root.ok(
        "CreatePolicy",
        &json!({"PolicyName": "lists", "PolicyDocument": document("Allow", "ram:List*")}),
    );
    let attachment = json!({"PolicyType": "Custom", "PolicyName": "lists", "UserName": "ana"});
    for _ in 0..3 {
        root.ok("AttachPolicyToUser", &attachment);
        assert_eq!(may_list(&mut ana), Ok(()));
        root.ok("DetachPolicyFromUser", &attachment);
        assert_eq!(may_list(&mut ana), nothing_allows());
    }
    root.ok("AttachPolicyToUser", &attachment);
    let forbids = json!({"PolicyName": "lists", "PolicyDocument": document("Deny", "ram:List*")});
    root.ok("CreatePolicyVersion", &forbids);
    assert_eq!(may_list(&mut ana), Ok(()), "a version decides only as the default");
    for _ in 0..3 {
        root.ok("SetDefaultPolicyVersion", &json!({"PolicyName": "lists", "VersionId": "v2"}));
        assert_eq!(may_list(&mut ana), a_deny_says_no());
        root.ok("SetDefaultPolicyVersion", &json!({"PolicyName": "lists", "VersionId": "v1"}));
        assert_eq!(may_list(&mut ana), Ok(()));
    }
    let mut forbids = forbids;
    forbids["SetAsDefault"] = json!(true);
    root.ok("CreatePolicyVersion", &forbids);
    assert_eq!(may_list(&mut ana), a_deny_says_no());
}

#[test]
fn members_may_do_what_their_groups_policies_allow() {
    let deployment = Deployment::start();
    let mut root = IdentitySdk::of(&deployment.root);
    let mut ana = IdentitySdk::of(&bare_user(&deployment, "ana"));
    root.ok("CreateGroup", &json!({"GroupName": "crew"}));
    let read_only =
        json!({"PolicyType": "System", "PolicyName": "AliyunRAMReadOnlyAccess", "GroupName": "crew"});
    root.ok("AttachPolicyToGroup", &read_only);
    assert_eq!(may_list(&mut ana), nothing_allows());
    root.ok("AddUserToGroup", &json!({"UserName": "ana", "GroupName": "crew"}));
    assert_eq!(may_list(&mut ana), Ok(()));
    root.ok("DetachPolicyFromGroup", &read_only);
    assert_eq!(may_list(&mut ana), nothing_allows());
    root.ok("CreatePolicy", &json!({"PolicyName": "never", "PolicyDocument": document("Deny", "*")}));
    root.ok("AttachPolicyToGroup", &read_only);
    root.ok("AttachPolicyToUser", &json!({"PolicyType": "Custom", "PolicyName": "never", "UserName": "ana"}));
    assert_eq!(may_list(&mut ana), a_deny_says_no());
}

#[test]
fn a_caller_who_may_attach_some_policies_to_some_users_attaches_no_others() {
    let deployment = Deployment::start();
    let account = deployment.account();
    let mut root = IdentitySdk::of(&deployment.root);
    let _ = bare_user(&deployment, "ana");
    let _ = bare_user(&deployment, "boss");
    let text = document("Allow", "ram:List*");
    for name in ["team-read", "secret-write"] {
        root.ok("CreatePolicy", &json!({"PolicyName": name, "PolicyDocument": text}));
    }
    let delegate = deployment.user(
        "delegate",
        &json!([
            {"Effect": "Allow", "Action": "ram:AttachPolicyToUser", "Resource": [
                format!("acs:ram:*:{account}:user/ana"), format!("acs:ram:*:{account}:policy/team-*"),
                "acs:ram:*:system:policy/AliyunRAMReadOnlyAccess",
            ]},
            {"Effect": "Allow", "Action": ["ram:CreatePolicy", "ram:CreatePolicyVersion"],
                "Resource": format!("acs:ram:*:{account}:policy/team-*")},
        ]),
    );
    let mut delegate = IdentitySdk::of(&delegate);
    let attachment = |kind: &str, policy: &str, user: &str| json!({"PolicyType": kind, "PolicyName": policy, "UserName": user});
    delegate.ok("AttachPolicyToUser", &attachment("Custom", "team-read", "ana"));
    delegate.ok("AttachPolicyToUser", &attachment("System", "AliyunRAMReadOnlyAccess", "ana"));
    delegate.ok("CreatePolicy", &json!({"PolicyName": "team-new", "PolicyDocument": text}));
    for (action, parameters) in [
        ("AttachPolicyToUser", attachment("Custom", "secret-write", "ana")),
        ("AttachPolicyToUser", attachment("System", "AdministratorAccess", "ana")),
        ("AttachPolicyToUser", attachment("Custom", "team-read", "boss")),
        ("AttachPolicyToUser", attachment("Custom", "there-is-none", "ana")),
        ("DetachPolicyFromUser", attachment("Custom", "team-read", "ana")),
        ("CreatePolicy", json!({"PolicyName": "other", "PolicyDocument": text})),
        ("CreatePolicyVersion", json!({"PolicyName": "secret-write", "PolicyDocument": text})),
        ("SetDefaultPolicyVersion", json!({"PolicyName": "team-read", "VersionId": "v1"})),
        ("ListEntitiesForPolicy", json!({"PolicyType": "Custom", "PolicyName": "team-read"})),
    ] {
        assert_eq!(
            delegate.refusal(action, &parameters),
            refused(403, "NoPermission"),
            "{action} {parameters}"
        );
    }
}

#[test]
fn a_control_policy_bounds_everybody_but_the_owner() {
    let deployment = Deployment::start();
    let mut root = IdentitySdk::of(&deployment.root);
    let mut ana = IdentitySdk::of(&bare_user(&deployment, "ana"));
    let all = json!({"PolicyType": "System", "PolicyName": "AdministratorAccess", "UserName": "ana"});
    root.ok("AttachPolicyToUser", &all);
    assert_eq!(may_list(&mut ana), Ok(()));
    let file = |name: &str, text: String| {
        let path = deployment.scratch().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (deny, allow) =
        (file("deny.json", document("Deny", "ram:List*")), file("allow.json", document("Allow", "*")));
    let _ = deployment.admin(&["control-policy", "put", "no-lists", &deny]);
    let by_control = |kind: &str| Err(("ControlPolicy".to_owned(), kind.to_owned()));
    assert_eq!(may_list(&mut ana), by_control("ExplicitDeny"));
    assert_eq!(may_list(&mut root), Ok(()));
    let other = ana.call("GetPolicy", &json!({"PolicyType": "Custom", "PolicyName": "ana"}));
    assert_eq!(
        other["error"]["detail"]["PolicyType"], "ControlPolicy",
        "nothing on the level allows: {other}"
    );
    assert_eq!(other["error"]["detail"]["NoPermissionType"], "ImplicitDeny", "{other}");
    let _ = deployment.admin(&["control-policy", "put", "all", &allow]);
    assert_eq!(may_list(&mut ana), by_control("ExplicitDeny"));
    ana.ok("GetPolicy", &json!({"PolicyType": "Custom", "PolicyName": "ana"}));
    let _ = deployment.admin(&["control-policy", "delete", "no-lists"]);
    assert_eq!(may_list(&mut ana), Ok(()));
    let _ = deployment.admin(&[
        "control-policy",
        "put",
        "above",
        &file("get.json", document("Allow", "ram:Get*")),
        "--level",
        "2",
    ]);
    assert_eq!(may_list(&mut ana), by_control("ImplicitDeny"), "every level must allow");
    let _ = deployment.admin(&["control-policy", "put", "above", &allow]);
    assert_eq!(may_list(&mut ana), Ok(()), "it stays on its level");
    assert_eq!(deployment.admin(&["control-policy", "list"])[1]["Level"], 2);
}

#[test]
fn a_change_on_one_replica_holds_on_the_other_at_once() {
    let database = postgresql();
    let keys = tempfile::tempdir().unwrap();
    let keys = keys.path().join("keys.toml").to_str().unwrap().to_owned();
    // The keys of a deployment without PostgreSQL are generated; the replicas then share that file.
    drop(Deployment::start_with(DeploymentOptions {
        arguments: vec!["--server-keys".into(), keys.clone()],
        ..Default::default()
    }));
    let options = || DeploymentOptions {
        arguments: vec!["--database-url".into(), database.clone(), "--server-keys".into(), keys.clone()],
        ..Default::default()
    };
    let (one, other) = (Deployment::start_with(options()), Deployment::start_with(options()));
    let ana = bare_user(&one, "ana");
    let mut ana = IdentitySdk::of(&Client { endpoint: other.root.endpoint.clone(), ..ana });
    let mut root = IdentitySdk::of(&one.root);
    root.ok(
        "CreatePolicy",
        &json!({"PolicyName": "lists", "PolicyDocument": document("Allow", "ram:List*")}),
    );
    let attachment = json!({"PolicyType": "Custom", "PolicyName": "lists", "UserName": "ana"});
    assert_eq!(may_list(&mut ana), nothing_allows());
    // A change that permits more takes effect soon: within a second if the machine is not busy; no test is about that
    // time.
    root.ok("AttachPolicyToUser", &attachment);
    let replied = Instant::now();
    while may_list(&mut ana).is_err() {
        assert!(replied.elapsed() < Duration::from_secs(20), "an attached policy is not seen");
    }
    // A change that permits less takes effect before the reply.
    root.ok(
        "CreatePolicyVersion",
        &json!({"PolicyName": "lists", "PolicyDocument": document("Deny", "ram:List*"), "SetAsDefault": true}),
    );
    assert_eq!(may_list(&mut ana), a_deny_says_no());
    root.ok("SetDefaultPolicyVersion", &json!({"PolicyName": "lists", "VersionId": "v1"}));
    let replied = Instant::now();
    while may_list(&mut ana).is_err() {
        assert!(replied.elapsed() < Duration::from_secs(20), "the version that decides now is not seen");
    }
    root.ok("DetachPolicyFromUser", &attachment);
    assert_eq!(may_list(&mut ana), nothing_allows());
}

#[test]
fn of_many_that_change_one_policy_at_once_nobody_is_overwritten_unseen() {
    let deployment = Deployment::start();
    let mut root = IdentitySdk::of(&deployment.root);
    root.ok("CreatePolicy", &json!({"PolicyName": "p", "PolicyDocument": document("Allow", "ram:Get*")}));
    let writers = 4;
    let outcomes: Vec<Value> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..writers)
            .map(|number| {
                let mut sdk = IdentitySdk::of(&deployment.root);
                let text = document("Allow", &format!("ram:Get{number}*"));
                let rotate = "DeleteOldestNonDefaultVersionWhenLimitExceeded";
                let asked = json!({"PolicyName": "p", "PolicyDocument": text, "SetAsDefault": true, "RotateStrategy": rotate});
                scope.spawn(move || (0..5).map(|_| sdk.call("CreatePolicyVersion", &asked)).collect::<Vec<_>>())
            })
            .collect();
        running.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    let mut versions = Vec::new();
    for outcome in &outcomes {
        match outcome["reply"]["PolicyVersion"]["VersionId"].as_str() {
            Some(version) => versions.push(version[1..].parse::<u32>().unwrap()),
            None => assert_eq!(outcome["error"]["code"], "OperationConflict", "{outcome}"),
        }
    }
    // Each caller was told a different version, and the last of them decides.
    versions.sort_unstable();
    let expected: Vec<u32> = (2..).take(versions.len()).collect();
    assert_eq!(versions, expected);
    let shown = root.ok("GetPolicy", &json!({"PolicyName": "p", "PolicyType": "Custom"}));
    assert_eq!(shown["Policy"]["DefaultVersion"], format!("v{}", versions.last().unwrap()), "{shown}");
}
