//! Tags of roles and policies, with the vendor's unmodified SDK of RAM.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use serde_json::{Value, json};
use whole_system::{Deployment, IdentitySdk};

fn document(action: &str) -> String {
    json!({"Version": "1", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]}).to_string()
}

fn refused(status: u64, code: &str) -> (u64, String) {
    (status, code.to_owned())
}

fn role(deployment: &Deployment, name: &str, tags: &Value) -> Value {
    let owner = format!("acs:ram::{}:root", deployment.account());
    let trust = json!({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"RAM": owner}});
    let trust = json!({"Version": "1", "Statement": [trust]}).to_string();
    json!({"RoleName": name, "AssumeRolePolicyDocument": trust, "Tag": tags})
}

#[test]
fn the_vendors_sdk_tags_roles_and_policies_and_finds_them_by_their_tags() {
    let deployment = Deployment::start();
    let mut root = IdentitySdk::of(&deployment.root);
    let team = |name: &str| json!([{"Key": "team", "Value": name}, {"Key": "kept"}]);
    for (name, of) in [("auditor", "a"), ("deploy", "b")] {
        root.ok("CreateRole", &role(&deployment, name, &team(of)));
        let policy =
            json!({"PolicyName": name, "PolicyDocument": document("ecs-workbench:Get*"), "Tag": team(of)});
        root.ok("CreatePolicy", &policy);
    }
    for (kind, listing, list, entry, names) in [
        ("role", "ListRoles", "Roles", "Role", "RoleName"),
        ("policy", "ListPolicies", "Policies", "Policy", "PolicyName"),
    ] {
        let found = root.ok(listing, &json!({"Tag": [{"Key": "team", "Value": "b"}]}));
        let found = found[list][entry].as_array().unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0][names], "deploy");
        let tags = json!([{"TagKey": "kept", "TagValue": ""}, {"TagKey": "team", "TagValue": "b"}]);
        assert_eq!(found[0]["Tags"]["Tag"], tags);

        let both = json!(["auditor", "deploy"]);
        let tagging = json!({
            "ResourceType": kind, "ResourceNames": both,
            "Tag": [{"Key": "env", "Value": "prod"}, {"Key": "team", "Value": "c"}],
        });
        root.ok("TagResources", &tagging);
        root.ok(
            "UntagResources",
            &json!({"ResourceType": kind, "ResourceNames": ["auditor"], "TagKeys": ["team", "none"]}),
        );
        let mut all = Vec::new();
        let mut asked = json!({"ResourceType": kind, "PageSize": 2});
        loop {
            let page = root.ok("ListTagResources", &asked);
            for tag in page["TagResources"].as_array().unwrap() {
                assert_eq!(tag["ResourceType"], kind);
                let text = |field: &str| tag[field].as_str().unwrap().to_owned();
                all.push(format!("{} {}={}", text("ResourceName"), text("TagKey"), text("TagValue")));
            }
            if page["NextToken"].is_null() {
                break;
            }
            asked["NextToken"] = page["NextToken"].clone();
        }
        let expected =
            ["auditor env=prod", "auditor kept=", "deploy env=prod", "deploy kept=", "deploy team=c"];
        assert_eq!(all, expected);
        let of_one = json!({"ResourceType": kind, "ResourceNames": ["auditor"], "Tag": [{"Key": "env"}]});
        assert_eq!(root.ok("ListTagResources", &of_one)["TagResources"].as_array().unwrap().len(), 2);
        root.ok("UntagResources", &json!({"ResourceType": kind, "ResourceNames": both, "All": true}));
        let none = root.ok("ListTagResources", &json!({"ResourceType": kind}));
        assert_eq!(none["TagResources"], json!([]));
    }
    for (action, parameters, refusal) in [
        (
            "TagResources",
            json!({"ResourceType": "user", "ResourceNames": ["ana"], "Tag": [{"Key": "a"}]}),
            refused(400, "InvalidParameter.ResourceType"),
        ),
        (
            "TagResources",
            json!({"ResourceType": "role", "ResourceNames": ["auditor", "nobody"], "Tag": [{"Key": "a"}]}),
            refused(404, "EntityNotExist.Role"),
        ),
        (
            "TagResources",
            json!({"ResourceType": "policy", "ResourceNames": ["AdministratorAccess"], "Tag": [{"Key": "a"}]}),
            refused(404, "EntityNotExist.Policy"),
        ),
        (
            "TagResources",
            json!({"ResourceType": "role", "ResourceNames": ["auditor"], "Tag": [{"Key": "a"}, {"Key": "a"}]}),
            refused(400, "InvalidParameter.Tag"),
        ),
        (
            "TagResources",
            json!({"ResourceType": "role", "ResourceNames": ["auditor"]}),
            refused(400, "MissingTag"),
        ),
        (
            "UntagResources",
            json!({"ResourceType": "role", "ResourceNames": ["auditor"], "All": true, "TagKeys": ["a"]}),
            refused(400, "InvalidParameter.All"),
        ),
    ] {
        assert_eq!(root.refusal(action, &parameters), refusal, "{action} {parameters}");
    }
    assert_eq!(root.ok("ListTagResources", &json!({"ResourceType": "role"}))["TagResources"], json!([]));
    let twenty: Vec<Value> = (0..20).map(|number| json!({"Key": format!("k{number}")})).collect();
    root.ok("TagResources", &json!({"ResourceType": "role", "ResourceNames": ["auditor"], "Tag": twenty}));
    let more = json!({"ResourceType": "role", "ResourceNames": ["auditor"], "Tag": [{"Key": "one-more"}]});
    assert_eq!(root.refusal("TagResources", &more), refused(409, "LimitExceeded.Tag"));
}

#[test]
fn a_user_tags_only_what_every_name_of_the_call_permits() {
    let deployment = Deployment::start();
    let mut root = IdentitySdk::of(&deployment.root);
    for name in ["mine", "other"] {
        root.ok("CreateRole", &role(&deployment, name, &json!([])));
    }
    let mine = format!("acs:ram::{}:role/mine", deployment.account());
    let actions = ["ram:TagResources", "ram:UntagResources", "ram:ListTagResources"];
    let ana = deployment.user("ana", &json!([{"Effect": "Allow", "Action": actions, "Resource": mine}]));
    let mut ana = IdentitySdk::of(&ana);
    let names =
        |names: &[&str]| json!({"ResourceType": "role", "ResourceNames": names, "Tag": [{"Key": "a"}]});
    assert_eq!(ana.refusal("TagResources", &names(&["mine", "other"])), refused(403, "NoPermission"));
    assert_eq!(ana.refusal("TagResources", &names(&["other"])), refused(403, "NoPermission"));
    assert_eq!(root.ok("ListTagResources", &json!({"ResourceType": "role"}))["TagResources"], json!([]));
    ana.ok("TagResources", &names(&["mine"]));
    assert_eq!(
        ana.refusal("ListTagResources", &json!({"ResourceType": "role"})),
        refused(403, "NoPermission")
    );
    let listed = ana.ok("ListTagResources", &json!({"ResourceType": "role", "ResourceNames": ["mine"]}));
    assert_eq!(listed["TagResources"][0]["TagKey"], "a");
    // A condition about tags holds for nothing of RAM: an Allow with one permits nothing.
    let allow = json!([{"Effect": "Allow", "Action": "ram:GetRole", "Resource": "*",
        "Condition": {"StringEquals": {"acs:ResourceTag/a": [""]}}}]);
    let ben = deployment.user("ben", &allow);
    let refusal = IdentitySdk::of(&ben).refusal("GetRole", &json!({"RoleName": "mine"}));
    assert_eq!(refusal, refused(403, "NoPermission"));
}
