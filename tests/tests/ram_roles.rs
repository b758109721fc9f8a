//! Roles and their sessions, with the vendor's unmodified SDKs: those of RAM and STS create them, and those of
//! ecs-workbench make calls with them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use serde_json::{Value, json};
use whole_system::{Client, Deployment, IdentitySdk, Sdk};

fn document(effect: &str, action: &str) -> String {
    json!({"Version": "1", "Statement": [{"Effect": effect, "Action": action, "Resource": "*"}]}).to_string()
}

fn trust(principal: &str) -> String {
    let statement = json!({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"RAM": principal}});
    json!({"Version": "1", "Statement": [statement]}).to_string()
}

fn trusts_the_account(deployment: &Deployment) -> String {
    trust(&format!("acs:ram::{}:root", deployment.account()))
}

fn refused(status: u64, code: &str) -> (u64, String) {
    (status, code.to_owned())
}

/// A user who may assume every role.
fn assumer(deployment: &Deployment) -> Client {
    deployment.user("ana", &json!([{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}]))
}

/// A role that every principal of the account may assume, with one policy of the same name.
fn role(deployment: &Deployment, root: &mut IdentitySdk, name: &str, policy: &str) -> String {
    let trust = trusts_the_account(deployment);
    let made = root.ok("CreateRole", &json!({"RoleName": name, "AssumeRolePolicyDocument": trust}));
    root.ok("CreatePolicy", &json!({"PolicyName": name, "PolicyDocument": policy}));
    root.ok("AttachPolicyToRole", &json!({"PolicyName": name, "PolicyType": "Custom", "RoleName": name}));
    made["Role"]["Arn"].as_str().unwrap().to_owned()
}

fn session(client: &Client, started: &Value) -> Client {
    let text = |field: &str| started["Credentials"][field].as_str().unwrap().to_owned();
    Client {
        endpoint: client.endpoint.clone(),
        access_key_id: text("AccessKeyId"),
        access_key_secret: text("AccessKeySecret"),
        security_token: Some(text("SecurityToken")),
    }
}

fn code(outcome: &Value) -> &str {
    outcome["error"]["code"].as_str().unwrap_or_else(|| panic!("no error in {outcome}"))
}

#[test]
fn roles_are_made_shown_changed_listed_and_deleted() {
    let deployment = Deployment::start();
    let account = deployment.account();
    let mut root = IdentitySdk::of(&deployment.root);
    let document = trusts_the_account(&deployment);
    let made = root.ok(
        "CreateRole",
        &json!({
            "RoleName": "auditor", "AssumeRolePolicyDocument": document, "Description": "looks",
            "MaxSessionDuration": 7200,
        }),
    );
    let item = &made["Role"];
    assert_eq!(
        (&item["RoleName"], &item["Arn"], &item["MaxSessionDuration"], &item["Description"]),
        (
            &json!("auditor"),
            &json!(format!("acs:ram::{account}:role/auditor")),
            &json!(7_200),
            &json!("looks")
        ),
        "{made}"
    );
    assert_eq!(item["RoleId"].as_str().unwrap().len(), 18);
    let shown = root.ok("GetRole", &json!({"RoleName": "auditor"}));
    assert_eq!(shown["Role"]["AssumeRolePolicyDocument"], document.as_str());
    assert_eq!(
        (&shown["Role"]["RoleId"], &shown["Role"]["CreateDate"]),
        (&item["RoleId"], &item["CreateDate"])
    );
    assert!(shown["Role"]["UpdateDate"].is_string(), "{shown}");

    let narrower = trust(&format!("acs:ram::{account}:user/ana"));
    let changed = root.ok(
        "UpdateRole",
        &json!({
            "RoleName": "auditor", "NewAssumeRolePolicyDocument": narrower, "NewDescription": "looks closely",
            "NewMaxSessionDuration": 43_200,
        }),
    );
    assert_eq!(changed["Role"]["MaxSessionDuration"], 43_200, "{changed}");
    let shown = root.ok("GetRole", &json!({"RoleName": "auditor"}));
    assert_eq!(shown["Role"]["AssumeRolePolicyDocument"], narrower.as_str());
    assert_eq!(shown["Role"]["Description"], "looks closely");

    for name in ["c", "a.b", "B-1"] {
        root.ok("CreateRole", &json!({"RoleName": name, "AssumeRolePolicyDocument": document}));
    }
    let whole = root.ok("ListRoles", &json!({}));
    assert_eq!(whole["IsTruncated"], false);
    let (mut paged, mut asked) = (Vec::new(), json!({"MaxItems": 3}));
    loop {
        let page = root.ok("ListRoles", &asked);
        paged.extend(page["Roles"]["Role"].as_array().unwrap().clone());
        if page["IsTruncated"] == false {
            assert!(page.get("Marker").is_none_or(Value::is_null), "{page}");
            break;
        }
        asked["Marker"] = page["Marker"].clone();
    }
    assert_eq!(json!(paged), whole["Roles"]["Role"]);
    assert_eq!(paged.len(), 4);
    assert!(paged.iter().all(|role| role["AssumeRolePolicyDocument"].is_null()), "{paged:?}");

    root.ok("DeleteRole", &json!({"RoleName": "auditor"}));
    assert_eq!(root.refusal("GetRole", &json!({"RoleName": "auditor"})), refused(404, "EntityNotExist.Role"));
}

#[test]
fn a_refused_role_says_what_is_wrong() {
    let deployment = Deployment::start();
    let mut root = IdentitySdk::of(&deployment.root);
    let document = trusts_the_account(&deployment);
    let new = |name: &str| json!({"RoleName": name, "AssumeRolePolicyDocument": document});
    root.ok("CreateRole", &new("auditor"));
    let with = |field: &str, value: Value| {
        let mut asked = new("other");
        asked[field] = value;
        asked
    };
    for (action, asked, expected) in [
        ("CreateRole", new("auditor"), refused(409, "EntityAlreadyExists.Role")),
        ("CreateRole", new("under_score"), refused(400, "InvalidParameter.RoleName.InvalidChars")),
        ("CreateRole", json!({"RoleName": "other"}), refused(400, "MissingAssumeRolePolicyDocument")),
        (
            "CreateRole",
            with("AssumeRolePolicyDocument", json!(self::document("Allow", "*"))),
            refused(400, "MalformedPolicyDocument"),
        ),
        (
            "CreateRole",
            with("MaxSessionDuration", json!(3_599)),
            refused(400, "InvalidParameter.MaxSessionDuration"),
        ),
        (
            "CreateRole",
            with("MaxSessionDuration", json!(43_201)),
            refused(400, "InvalidParameter.MaxSessionDuration"),
        ),
        (
            "CreateRole",
            with("Description", json!("x".repeat(1_025))),
            refused(400, "InvalidParameter.Description.Length"),
        ),
        (
            "CreateRole",
            with("Tag", json!([{"Key": "aliyun", "Value": "b"}])),
            refused(400, "InvalidParameter.Tag"),
        ),
        (
            "CreateRole",
            with("AllowConsoleLogin", json!(true)),
            refused(400, "InvalidParameter.AllowConsoleLogin"),
        ),
        (
            "UpdateRole",
            json!({"RoleName": "auditor", "NewAllowConsoleLogin": true}),
            refused(400, "InvalidParameter.NewAllowConsoleLogin"),
        ),
        ("ListRoles", json!({"Tag": [{"Key": ""}]}), refused(400, "InvalidParameter.Tag")),
        ("GetRole", json!({"RoleName": "nobody"}), refused(404, "EntityNotExist.Role")),
        ("UpdateRole", json!({"RoleName": "nobody"}), refused(404, "EntityNotExist.Role")),
        (
            "UpdateRole",
            json!({"RoleName": "auditor", "NewAssumeRolePolicyDocument": "{"}),
            refused(400, "MalformedPolicyDocument"),
        ),
        (
            "UpdateRole",
            json!({"RoleName": "auditor", "NewMaxSessionDuration": 1}),
            refused(400, "InvalidParameter.NewMaxSessionDuration"),
        ),
        ("DeleteRole", json!({"RoleName": "nobody"}), refused(404, "EntityNotExist.Role")),
        ("ListRoles", json!({"Marker": "nowhere"}), refused(400, "InvalidParameter.Marker")),
        ("ListRoles", json!({"MaxItems": 1_001}), refused(400, "InvalidParameter.MaxItems")),
    ] {
        assert_eq!(root.refusal(action, &asked), expected, "{action} {asked}");
    }
    root.ok("UpdateRole", &json!({"RoleName": "auditor", "NewAllowConsoleLogin": false}));
    let wildcard = root.call("CreateRole", &with("AssumeRolePolicyDocument", json!(trust("*"))));
    let message = wildcard["error"]["message"].as_str().unwrap();
    assert!(message.contains("line 1, column ") && message.contains("/Principal"), "{wildcard}");
    // A role that has a policy cannot be deleted until the policy is detached.
    let attached =
        json!({"PolicyName": "AdministratorAccess", "PolicyType": "System", "RoleName": "auditor"});
    root.ok("AttachPolicyToRole", &attached);
    assert_eq!(
        root.refusal("DeleteRole", &json!({"RoleName": "auditor"})),
        refused(409, "DeleteConflict.Role.Policy")
    );
    root.ok("DetachPolicyFromRole", &attached);
    root.ok("DeleteRole", &json!({"RoleName": "auditor"}));
    // A user without permission can neither see nor change a role.
    let mut nobody = IdentitySdk::of(
        &deployment.user("nobody", &json!([{"Effect": "Allow", "Action": "ecs:*", "Resource": "*"}])),
    );
    for (action, asked) in [
        ("CreateRole", new("other")),
        ("GetRole", json!({"RoleName": "auditor"})),
        ("UpdateRole", json!({"RoleName": "auditor"})),
        ("ListRoles", json!({})),
        ("DeleteRole", json!({"RoleName": "auditor"})),
        ("DecodeDiagnosticMessage", json!({"EncodedDiagnosticMessage": "x"})),
    ] {
        let outcome = nobody.call(action, &asked);
        assert_eq!(code(&outcome), "NoPermission", "{action} {outcome}");
        assert_eq!(outcome["error"]["detail"]["AuthAction"], format!("ram:{action}"), "{outcome}");
    }
}

#[test]
fn a_session_calls_the_workbench_by_every_signature() {
    let deployment = Deployment::start();
    let mut root = IdentitySdk::of(&deployment.root);
    let arn = role(&deployment, &mut root, "operator", &document("Allow", "ecs-workbench:*"));
    let ana = assumer(&deployment);
    let mut sts = IdentitySdk::of(&ana);
    let started = sts.ok(
        "AssumeRole",
        &json!({"RoleArn": arn, "RoleSessionName": "ana@example", "DurationSeconds": 900, "SourceIdentity": "ana"}),
    );
    assert_eq!(started["AssumedRoleUser"]["Arn"], format!("{arn}/ana@example"), "{started}");
    assert_eq!(started["SourceIdentity"], "ana");
    assert!(started["Credentials"]["Expiration"].as_str().unwrap().ends_with('Z'), "{started}");
    let operator = session(&ana, &started);
    for (number, sdk) in Sdk::ALL.into_iter().enumerate() {
        let instance = format!("i-sts{number}");
        let set = json!({"Enabled": true, "InstanceId": instance, "ExpirationDays": 9});
        let outcome = sdk.call(&operator, "SetInstanceRecordConfig", &set);
        assert_eq!(outcome["reply"]["Root"], true, "{sdk:?} {outcome}");
        let outcome = sdk.call(&operator, "GetInstanceRecordConfig", &json!({"InstanceId": instance}));
        assert_eq!(outcome["reply"]["Root"]["ExpirationDays"], 9, "{sdk:?} {outcome}");
        let without = Client { security_token: None, ..operator.clone() };
        let outcome = sdk.call(&without, "SetInstanceRecordConfig", &set);
        assert_eq!(code(&outcome), "MissingSecurityToken", "{sdk:?} {outcome}");
        let wrong = Client { security_token: Some("CAISwrong".into()), ..operator.clone() };
        let outcome = sdk.call(&wrong, "SetInstanceRecordConfig", &set);
        assert_eq!(code(&outcome), "InvalidSecurityToken.MismatchWithAccessKey", "{sdk:?} {outcome}");
    }
    // The client of this deployment reads the token from the same place as the SDKs.
    let identity = operator.call("GetInstanceRecordConfig", &["InstanceId=i-sts0"]);
    assert_eq!(identity["Root"]["ExpirationDays"], 9, "{identity}");
    let identity = IdentitySdk::of(&operator).ok("GetCallerIdentity", &json!({}));
    assert_eq!(
        (&identity["IdentityType"], &identity["Arn"]),
        (
            &json!("AssumedRoleUser"),
            &json!(format!("{}/ana@example", arn.replace(":role/", ":assumed-role/")))
        ),
        "{identity}"
    );
    assert_eq!(identity["PrincipalId"], started["AssumedRoleUser"]["AssumedRoleId"]);
    let identity = sts.ok("GetCallerIdentity", &json!({}));
    assert_eq!(identity["IdentityType"], "RAMUser", "{identity}");
    assert_eq!(root.ok("GetCallerIdentity", &json!({}))["IdentityType"], "Account");
    assert!(!deployment.log().contains(operator.security_token.as_deref().unwrap()));
}

#[test]
fn a_session_is_narrowed_at_its_start_and_by_what_its_role_loses() {
    let deployment = Deployment::start();
    let mut root = IdentitySdk::of(&deployment.root);
    let arn = role(&deployment, &mut root, "operator", &document("Allow", "ecs-workbench:*"));
    let ana = assumer(&deployment);
    let mut sts = IdentitySdk::of(&ana);
    let asked = json!({
        "RoleArn": arn, "RoleSessionName": "narrow", "Policy": document("Allow", "ecs-workbench:Get*"),
    });
    let narrow = session(&ana, &sts.ok("AssumeRole", &asked));
    let wide = session(&ana, &sts.ok("AssumeRole", &json!({"RoleArn": arn, "RoleSessionName": "wide"})));
    let set = json!({"Enabled": true, "InstanceId": "i-1"});
    let get = json!({"InstanceId": "i-1"});
    let outcome = Sdk::Typed.call(&narrow, "SetInstanceRecordConfig", &set);
    assert_eq!(code(&outcome), "Forbidden.RAM", "{outcome}");
    let detail = &outcome["error"]["detail"];
    assert_eq!(
        (&detail["PolicyType"], &detail["NoPermissionType"]),
        (&json!("SessionPolicy"), &json!("ImplicitDeny"))
    );
    assert_eq!(detail["AuthPrincipalType"], "AssumedRoleUser");
    assert_eq!(detail["AuthPrincipalDisplayName"], "operator:narrow");
    // A caller with permission can decode the reason.
    let message = json!({"EncodedDiagnosticMessage": detail["EncodedDiagnosticMessage"]});
    let decoded = root.ok("DecodeDiagnosticMessage", &message)["DecodedDiagnosticMessage"].clone();
    assert_eq!(decoded["AuthAction"], "ecs-workbench:SetInstanceRecordConfig", "{decoded}");
    assert_eq!(decoded["NoPermissionPolicyType"], "SessionPolicy");
    assert_eq!(decoded["AuthPrincipal"]["AuthPrincipalDisplayName"], "operator:narrow");
    assert_eq!(sts.refusal("DecodeDiagnosticMessage", &message), refused(403, "NoPermission"));
    let torn = json!({"EncodedDiagnosticMessage": "AQEAAAAA"});
    assert_eq!(
        root.refusal("DecodeDiagnosticMessage", &torn),
        refused(400, "InvalidParameter.EncodedDiagnosticMessage")
    );

    assert_eq!(Sdk::TypedV1.call(&wide, "SetInstanceRecordConfig", &set)["reply"]["Root"], true);
    assert!(Sdk::Typed.call(&narrow, "GetInstanceRecordConfig", &get)["reply"]["Root"].is_object());
    let attached = json!({"PolicyName": "operator", "PolicyType": "Custom", "RoleName": "operator"});
    root.ok("DetachPolicyFromRole", &attached);
    for client in [&narrow, &wide] {
        let outcome = Sdk::Typed.call(client, "GetInstanceRecordConfig", &get);
        assert_eq!(code(&outcome), "Forbidden.RAM", "{outcome}");
    }
    root.ok("AttachPolicyToRole", &attached);
    assert!(Sdk::Typed.call(&wide, "GetInstanceRecordConfig", &get)["reply"]["Root"].is_object());
    root.ok("DetachPolicyFromRole", &attached);
    root.ok("DeleteRole", &json!({"RoleName": "operator"}));
    for sdk in [Sdk::Typed, Sdk::TypedAsync, Sdk::TypedV1] {
        let outcome = sdk.call(&wide, "GetInstanceRecordConfig", &get);
        assert_eq!(code(&outcome), "InvalidAccessKeyId.NotFound", "{sdk:?} {outcome}");
    }
}

#[test]
fn a_role_is_assumed_only_if_both_sides_allow_it() {
    let deployment = Deployment::start();
    let mut root = IdentitySdk::of(&deployment.root);
    let arn = role(&deployment, &mut root, "operator", &document("Allow", "ecs-workbench:*"));
    let asked = json!({"RoleArn": arn, "RoleSessionName": "ana"});
    assert_eq!(root.refusal("AssumeRole", &asked), refused(403, "NoPermission"));
    let bo = deployment.user("bo", &json!([{"Effect": "Allow", "Action": "ram:*", "Resource": "*"}]));
    assert_eq!(IdentitySdk::of(&bo).refusal("AssumeRole", &asked), refused(403, "NoPermission"));
    let ana = assumer(&deployment);
    let mut sts = IdentitySdk::of(&ana);
    sts.ok("AssumeRole", &asked);
    let foreign = json!({"RoleArn": "acs:ram::1000000000000001:role/operator", "RoleSessionName": "ana"});
    assert_eq!(sts.refusal("AssumeRole", &foreign), refused(403, "NoPermission"));
    let absent = json!({"RoleArn": format!("{arn}x"), "RoleSessionName": "ana"});
    assert_eq!(sts.refusal("AssumeRole", &absent), refused(404, "EntityNotExist.Role"));
    let too_long = json!({"RoleArn": arn, "RoleSessionName": "ana", "DurationSeconds": 3_601});
    assert_eq!(sts.refusal("AssumeRole", &too_long), refused(400, "InvalidParameter.DurationSeconds"));
    let untrusted = trust(&format!("acs:ram::{}:user/bo", deployment.account()));
    root.ok("UpdateRole", &json!({"RoleName": "operator", "NewAssumeRolePolicyDocument": untrusted}));
    let outcome = sts.call("AssumeRole", &asked);
    assert_eq!(code(&outcome), "NoPermission", "{outcome}");
    assert_eq!(outcome["error"]["detail"]["PolicyType"], "AssumeRolePolicy", "{outcome}");
}
