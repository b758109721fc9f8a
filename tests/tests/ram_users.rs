//! RAM through the vendor's unmodified SDK: users, their passwords and access keys, and groups.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use serde_json::{Value, json};
use whole_system::{Client, Deployment, DeploymentOptions, IdentitySdk, until};

fn refused(status: u64, code: &str) -> (u64, String) {
    (status, code.to_owned())
}

/// One member of each item of a list.
fn members<'v>(list: &'v Value, member: &str) -> Vec<&'v str> {
    let items = list.as_array().unwrap_or_else(|| panic!("no list: {list}"));
    items.iter().map(|item| item[member].as_str().unwrap()).collect()
}

#[test]
fn users_are_made_changed_listed_and_deleted() {
    let deployment = Deployment::start();
    let mut root = IdentitySdk::of(&deployment.root);
    let asked = json!({
        "UserName": "ana", "DisplayName": "Ana Müller", "Email": "ana@example.com", "MobilePhone": "86-1",
        "Comments": "first",
    });
    let made = root.ok("CreateUser", &asked)["User"].clone();
    for (name, value) in asked.as_object().unwrap() {
        assert_eq!(made[name], *value, "{made}");
    }
    assert_eq!(made["UserId"].as_str().unwrap().len(), 18);
    assert!(made["CreateDate"].as_str().unwrap().ends_with('Z'));
    assert_eq!(
        root.refusal("CreateUser", &json!({"UserName": "ana"})),
        refused(409, "EntityAlreadyExists.User")
    );
    assert_eq!(root.refusal("CreateUser", &json!({})), refused(400, "MissingUserName"));
    let bad = json!({"UserName": "a b"});
    assert_eq!(root.refusal("CreateUser", &bad), refused(400, "InvalidParameter.UserName.InvalidChars"));
    let long = json!({"UserName": "bo", "Comments": "x".repeat(129)});
    assert_eq!(root.refusal("CreateUser", &long), refused(400, "InvalidParameter.Comments.Length"));

    let got = root.ok("GetUser", &json!({"UserName": "ana"}))["User"].clone();
    assert_eq!((&got["UserId"], &got["Email"]), (&made["UserId"], &made["Email"]));
    assert!(got["UpdateDate"].is_string() && got.get("LastLoginDate").is_none(), "{got}");
    assert_eq!(root.refusal("GetUser", &json!({"UserName": "bo"})), refused(404, "EntityNotExist.User"));
    assert_eq!(root.refusal("GetUser", &json!({})), refused(400, "MissingUserName"), "the owner is no user");

    let rename =
        json!({"UserName": "ana", "NewUserName": "anna", "NewDisplayName": "", "NewComments": "second"});
    let changed = root.ok("UpdateUser", &rename)["User"].clone();
    assert_eq!((&changed["UserName"], &changed["UserId"]), (&json!("anna"), &made["UserId"]));
    let names = (&changed["DisplayName"], &changed["Comments"]);
    assert_eq!(names, (&made["DisplayName"], &json!("second")), "what is empty was not given");
    assert_eq!(changed["Email"], "ana@example.com", "what is not named stays");
    assert_eq!(root.refusal("UpdateUser", &rename), refused(404, "EntityNotExist.User"));
    for name in ["bo", "carl", "dora"] {
        root.ok("CreateUser", &json!({"UserName": name}));
    }
    let taken = json!({"UserName": "bo", "NewUserName": "carl"});
    assert_eq!(root.refusal("UpdateUser", &taken), refused(409, "EntityAlreadyExists.User"));

    let first = root.ok("ListUsers", &json!({"MaxItems": 3}));
    assert_eq!(members(&first["Users"]["User"], "UserName"), ["anna", "bo", "carl"]);
    assert_eq!(first["IsTruncated"], true);
    let second = root.ok("ListUsers", &json!({"MaxItems": 3, "Marker": first["Marker"]}));
    assert_eq!(members(&second["Users"]["User"], "UserName"), ["dora"]);
    assert_eq!((&second["IsTruncated"], second.get("Marker")), (&json!(false), None));
    let bad = [
        (json!({"Marker": "dora"}), "InvalidParameter.Marker"),
        (json!({"MaxItems": 0}), "InvalidParameter.MaxItems"),
    ];
    for (parameters, code) in bad {
        assert_eq!(root.refusal("ListUsers", &parameters), refused(400, code));
    }
    root.ok("DeleteUser", &json!({"UserName": "dora"}));
    assert_eq!(root.refusal("DeleteUser", &json!({"UserName": "dora"})), refused(404, "EntityNotExist.User"));
}

#[test]
fn passwords_are_set_and_never_shown() {
    let arguments = vec!["--log-filter".to_owned(), "trace".to_owned()];
    let deployment = Deployment::start_with(DeploymentOptions { arguments, ..Default::default() });
    let mut root = IdentitySdk::of(&deployment.root);
    let ana = json!({"UserName": "ana"});
    let secret = "correct horse battery";
    let create = json!({"UserName": "ana", "Password": secret, "PasswordResetRequired": true});
    assert_eq!(root.refusal("CreateLoginProfile", &create), refused(404, "EntityNotExist.User"));
    root.ok("CreateUser", &ana);
    assert_eq!(root.refusal("GetLoginProfile", &ana), refused(404, "EntityNotExist.User.LoginProfile"));
    let short = json!({"UserName": "ana", "Password": "short"});
    let outcome = root.call("CreateLoginProfile", &short);
    assert_eq!(outcome["error"]["code"], "InvalidParameter.Password.TooWeak", "{outcome}");
    let said = outcome["error"]["message"].as_str().unwrap();
    assert!(said.contains("8 to 32 characters") && !said.contains("short"), "{said}");

    let made = root.ok("CreateLoginProfile", &create)["LoginProfile"].clone();
    assert_eq!((&made["UserName"], &made["PasswordResetRequired"]), (&json!("ana"), &json!(true)), "{made}");
    assert_eq!(made["MFABindRequired"], false, "{made}");
    assert_eq!(
        root.refusal("CreateLoginProfile", &create),
        refused(409, "EntityAlreadyExists.User.LoginProfile")
    );
    root.ok(
        "UpdateLoginProfile",
        &json!({"UserName": "ana", "MFABindRequired": true, "PasswordResetRequired": false}),
    );
    let got = root.ok("GetLoginProfile", &ana)["LoginProfile"].clone();
    assert_eq!((&got["MFABindRequired"], &got["PasswordResetRequired"]), (&json!(true), &json!(false)));
    assert_eq!(got["CreateDate"], made["CreateDate"]);
    let another = "another horse battery";
    root.ok("UpdateLoginProfile", &json!({"UserName": "ana", "Password": another}));
    root.ok("DeleteLoginProfile", &ana);
    for action in ["DeleteLoginProfile", "UpdateLoginProfile"] {
        assert_eq!(root.refusal(action, &ana), refused(404, "EntityNotExist.User.LoginProfile"), "{action}");
    }
    root.ok("CreateLoginProfile", &create);
    assert_eq!(root.refusal("DeleteUser", &ana), refused(409, "DeleteConflict.User.LoginProfile"));
    root.ok("DeleteLoginProfile", &ana);
    root.ok("DeleteUser", &ana);
    drop(root);

    // Neither the log, even at its finest level, nor any file of the deployment contains a password that was sent.
    until("the last call is exported", || {
        let exported = std::fs::read_to_string(deployment.data_folder().join("audit/events.log")).ok()?;
        exported.contains("\"Action\":\"DeleteUser\"").then_some(())
    });
    let mut files = vec![("the log".to_owned(), deployment.log().into_bytes())];
    gather(&deployment.data_folder(), &mut files);
    let holds = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    for (place, kept) in
        [("the log", "TRACE"), ("hansard.db", "ana"), ("/audit/events-", "CreateLoginProfile")]
    {
        let found = files.iter().any(|(name, bytes)| name.contains(place) && holds(bytes, kept));
        assert!(found, "{kept} is not in {place}");
    }
    for (name, bytes) in files {
        for planted in [secret, another] {
            for text in [planted, &planted.replace(' ', "%20"), &planted.replace(' ', "+")] {
                assert!(!holds(&bytes, text), "a password stands in {name}");
            }
        }
    }
}

/// All files below a folder, with their contents.
fn gather(folder: &Path, files: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            gather(&path, files);
        } else if path.is_file() {
            files.push((path.display().to_string(), std::fs::read(&path).unwrap_or_default()));
        }
    }
}

#[test]
fn keys_are_rotated_and_show_when_they_signed() {
    let deployment = Deployment::start();
    let mut root = IdentitySdk::of(&deployment.root);
    let ana = json!({"UserName": "ana"});
    assert_eq!(root.refusal("CreateAccessKey", &ana), refused(404, "EntityNotExist.User"));
    root.ok("CreateUser", &ana);
    let first = root.ok("CreateAccessKey", &ana)["AccessKey"].clone();
    assert_eq!(first["Status"], "Active");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (id, secret) = (text(&first["AccessKeyId"]), text(&first["AccessKeySecret"]));
    let second = text(&root.ok("CreateAccessKey", &ana)["AccessKey"]["AccessKeyId"]);
    assert_eq!(root.refusal("CreateAccessKey", &ana), refused(409, "LimitExceeded.User.AccessKey"));
    let listed = root.ok("ListAccessKeys", &ana)["AccessKeys"]["AccessKey"].clone();
    let mut ids = members(&listed, "AccessKeyId");
    ids.sort_unstable();
    let mut expected = [id.as_str(), second.as_str()];
    expected.sort_unstable();
    assert_eq!(ids, expected);
    assert!(!listed.to_string().contains(&secret), "it is shown once");

    // If a call names no user, it is about the caller: the owner's own keys, or a user's own keys if the user has
    // permission.
    let owners = root.ok("ListAccessKeys", &json!({}))["AccessKeys"]["AccessKey"].clone();
    assert_eq!(members(&owners, "AccessKeyId"), [deployment.root.access_key_id.as_str()]);
    let about = |id: &str| json!({"UserName": "ana", "UserAccessKeyId": id});
    let unused = root.ok("GetAccessKeyLastUsed", &about(&id));
    assert_eq!(unused["AccessKeyLastUsed"]["LastUsedDate"], "N/A", "{unused}");
    let client =
        Client { access_key_id: id.clone(), access_key_secret: secret.clone(), ..deployment.root.clone() };
    let mut as_ana = IdentitySdk::of(&client);
    let denied = as_ana.call("ListAccessKeys", &json!({}));
    assert_eq!((&denied["error"]["code"], &denied["error"]["status"]), (&json!("NoPermission"), &json!(403)));
    let detail = &denied["error"]["detail"];
    assert_eq!(
        (&detail["AuthAction"], &detail["NoPermissionType"]),
        (&json!("ram:ListAccessKeys"), &json!("ImplicitDeny"))
    );
    // The replica that handled the call knows it at once.
    let used = root.ok("GetAccessKeyLastUsed", &about(&id))["AccessKeyLastUsed"].clone();
    assert!(text(&used["LastUsedDate"]).ends_with('Z'), "{used}");

    let off = json!({"UserName": "ana", "UserAccessKeyId": id, "Status": "Inactive"});
    root.ok("UpdateAccessKey", &off);
    assert_eq!(as_ana.refusal("GetUser", &json!({})), refused(400, "InvalidAccessKeyId.Inactive"));
    let asleep = json!({"UserName": "ana", "UserAccessKeyId": id, "Status": "Asleep"});
    assert_eq!(root.refusal("UpdateAccessKey", &asleep), refused(400, "InvalidParameter.Status"));
    // A key is found only together with the user who has it.
    root.ok("CreateUser", &json!({"UserName": "bo"}));
    let of_bo = json!({"UserName": "bo", "UserAccessKeyId": id, "Status": "Active"});
    for (action, parameters) in [
        ("UpdateAccessKey", &of_bo),
        ("DeleteAccessKey", &of_bo),
        ("GetAccessKeyLastUsed", &of_bo),
        ("DeleteAccessKey", &json!({"UserAccessKeyId": id})),
        ("DeleteAccessKey", &about("LTAInobody")),
    ] {
        assert_eq!(
            root.refusal(action, parameters),
            refused(404, "EntityNotExist.User.AccessKey"),
            "{action}"
        );
    }
    assert_eq!(root.refusal("DeleteUser", &ana), refused(409, "DeleteConflict.User.AccessKey"));
    root.ok("DeleteAccessKey", &about(&id));
    assert_eq!(as_ana.refusal("GetUser", &json!({})), refused(404, "InvalidAccessKeyId.NotFound"));
    root.ok("DeleteAccessKey", &about(&second));
    root.ok("DeleteUser", &ana);

    // The owner may have two keys, and this is the second.
    let own = text(&root.ok("CreateAccessKey", &json!({}))["AccessKey"]["AccessKeyId"]);
    assert_eq!(root.refusal("CreateAccessKey", &json!({})), refused(409, "LimitExceeded.User.AccessKey"));
    root.ok("UpdateAccessKey", &json!({"UserAccessKeyId": own, "Status": "Inactive"}));
    root.ok("DeleteAccessKey", &json!({"UserAccessKeyId": own}));
}

#[test]
fn the_last_use_of_a_key_is_stored_when_the_server_stops() {
    let mut deployment = Deployment::start();
    let client = deployment.user(
        "ana",
        &json!([{"Effect": "Allow", "Action": "ram:GetAccessKeyLastUsed",
        "Resource": "acs:ram:*:*:user/ana"}]),
    );
    let own = json!({"UserAccessKeyId": client.access_key_id});
    let before = IdentitySdk::of(&client).ok("GetAccessKeyLastUsed", &own);
    // The last use is this very call.
    assert!(before["AccessKeyLastUsed"]["LastUsedDate"].as_str().unwrap().ends_with('Z'), "{before}");
    assert_eq!(deployment.stop(), Some(0));
    deployment.resume();
    let mut root = IdentitySdk::of(&deployment.root);
    let after =
        root.ok("GetAccessKeyLastUsed", &json!({"UserName": "ana", "UserAccessKeyId": client.access_key_id}));
    assert!(after["AccessKeyLastUsed"]["LastUsedDate"].as_str().unwrap().ends_with('Z'), "{after}");
}

#[test]
fn groups_gather_users() {
    let deployment = Deployment::start();
    let mut root = IdentitySdk::of(&deployment.root);
    let operators = json!({"GroupName": "operators"});
    let made = root.ok("CreateGroup", &json!({"GroupName": "operators", "Comments": "who operate"}))["Group"]
        .clone();
    assert_eq!((&made["GroupName"], &made["Comments"]), (&json!("operators"), &json!("who operate")));
    assert_eq!(made["GroupId"].as_str().unwrap().len(), 18);
    assert_eq!(root.refusal("CreateGroup", &operators), refused(409, "EntityAlreadyExists.Group"));
    assert_eq!(root.refusal("GetGroup", &json!({"GroupName": "none"})), refused(404, "EntityNotExist.Group"));
    let bad = json!({"GroupName": "a/b"});
    assert_eq!(root.refusal("CreateGroup", &bad), refused(400, "InvalidParameter.GroupName.InvalidChars"));
    for name in ["ana", "bo", "carl"] {
        root.ok("CreateUser", &json!({"UserName": name, "DisplayName": name.to_uppercase()}));
    }
    let member = |user: &str, group: &str| json!({"UserName": user, "GroupName": group});
    for name in ["carl", "ana", "bo"] {
        root.ok("AddUserToGroup", &member(name, "operators"));
    }
    assert_eq!(
        root.refusal("AddUserToGroup", &member("ana", "operators")),
        refused(409, "EntityAlreadyExists.User.Group")
    );
    assert_eq!(
        root.refusal("AddUserToGroup", &member("dora", "operators")),
        refused(404, "EntityNotExist.User")
    );
    assert_eq!(root.refusal("AddUserToGroup", &member("ana", "none")), refused(404, "EntityNotExist.Group"));

    let change = json!({"GroupName": "operators", "NewGroupName": "ops", "NewComments": ""});
    let renamed = root.ok("UpdateGroup", &change)["Group"].clone();
    assert_eq!(renamed["GroupId"], made["GroupId"]);
    assert_eq!(renamed["Comments"], made["Comments"], "what is empty was not given");
    let got = root.ok("GetGroup", &json!({"GroupName": "ops"}))["Group"].clone();
    assert!(got["CreateDate"].is_string() && got["UpdateDate"].is_string(), "{got}");
    let first = root.ok("ListUsersForGroup", &json!({"GroupName": "ops", "MaxItems": 2}));
    assert_eq!(members(&first["Users"]["User"], "UserName"), ["ana", "bo"]);
    assert_eq!(members(&first["Users"]["User"], "DisplayName"), ["ANA", "BO"]);
    assert!(first["Users"]["User"][0]["JoinDate"].is_string() && first["IsTruncated"] == true, "{first}");
    let second =
        root.ok("ListUsersForGroup", &json!({"GroupName": "ops", "MaxItems": 2, "Marker": first["Marker"]}));
    assert_eq!(members(&second["Users"]["User"], "UserName"), ["carl"]);

    for number in 0..9 {
        let name = format!("g{number}");
        root.ok("CreateGroup", &json!({"GroupName": name}));
        root.ok("AddUserToGroup", &member("ana", &name));
    }
    root.ok("CreateGroup", &json!({"GroupName": "one-more"}));
    assert_eq!(
        root.refusal("AddUserToGroup", &member("ana", "one-more")),
        refused(409, "LimitExceeded.User.Group")
    );
    let hers = root.ok("ListGroupsForUser", &json!({"UserName": "ana"}))["Groups"]["Group"].clone();
    assert_eq!(hers.as_array().unwrap().len(), 10);
    assert_eq!((&hers[9]["GroupName"], &hers[9]["GroupId"]), (&json!("ops"), &made["GroupId"]));
    assert!(hers[9]["JoinDate"].is_string(), "{hers}");
    let first = root.ok("ListGroups", &json!({"MaxItems": 10}));
    let second = root.ok("ListGroups", &json!({"MaxItems": 10, "Marker": first["Marker"]}));
    assert_eq!(members(&second["Groups"]["Group"], "GroupName"), ["ops"], "{first}");
    let elsewhere = json!({"Marker": first["Marker"]});
    assert_eq!(root.refusal("ListUsers", &elsewhere), refused(400, "InvalidParameter.Marker"));

    assert_eq!(
        root.refusal("DeleteUser", &json!({"UserName": "bo"})),
        refused(409, "DeleteConflict.User.Group")
    );
    assert_eq!(
        root.refusal("DeleteGroup", &json!({"GroupName": "ops"})),
        refused(409, "DeleteConflict.Group.User")
    );
    for name in ["ana", "bo", "carl"] {
        root.ok("RemoveUserFromGroup", &member(name, "ops"));
    }
    assert_eq!(
        root.refusal("RemoveUserFromGroup", &member("bo", "ops")),
        refused(404, "EntityNotExist.User.Group")
    );
    root.ok("DeleteUser", &json!({"UserName": "bo"}));
    root.ok("DeleteGroup", &json!({"GroupName": "ops"}));
    assert_eq!(
        root.refusal("DeleteGroup", &json!({"GroupName": "ops"})),
        refused(404, "EntityNotExist.Group")
    );
}

#[test]
fn a_user_may_do_what_its_policies_say_about_each_name() {
    let deployment = Deployment::start();
    let client = deployment.user("keeper", &json!([
        {"Effect": "Allow", "Action": ["ram:*User*", "ram:*AccessKey*"], "Resource": "acs:ram:*:*:user/dev-*"},
        {"Effect": "Allow", "Action": "ram:AddUserToGroup", "Resource": "acs:ram:*:*:group/dev"},
        {"Effect": "Allow", "Action": "ram:GetUser", "Resource": "acs:ram:*:*:user/keeper"},
    ]));
    let mut root = IdentitySdk::of(&deployment.root);
    root.ok("CreateUser", &json!({"UserName": "admin"}));
    for name in ["dev", "admins"] {
        root.ok("CreateGroup", &json!({"GroupName": name}));
    }
    let mut keeper = IdentitySdk::of(&client);
    assert_eq!(keeper.ok("GetUser", &json!({}))["User"]["UserName"], "keeper", "she herself");
    keeper.ok("CreateUser", &json!({"UserName": "dev-1"}));
    keeper.ok("CreateAccessKey", &json!({"UserName": "dev-1"}));
    keeper.ok("UpdateUser", &json!({"UserName": "dev-1", "NewUserName": "dev-2"}));
    keeper.ok("AddUserToGroup", &json!({"UserName": "dev-2", "GroupName": "dev"}));
    for (action, parameters) in [
        ("CreateUser", json!({"UserName": "ops-1"})),
        ("CreateAccessKey", json!({"UserName": "admin"})),
        ("CreateAccessKey", json!({})),
        ("ListUsers", json!({})),
        // A user can neither be renamed to a name that policies trust nor from such a name.
        ("UpdateUser", json!({"UserName": "dev-2", "NewUserName": "ops-1"})),
        ("UpdateUser", json!({"UserName": "admin", "NewUserName": "dev-3"})),
        ("AddUserToGroup", json!({"UserName": "dev-2", "GroupName": "admins"})),
        ("AddUserToGroup", json!({"UserName": "admin", "GroupName": "dev"})),
        ("RemoveUserFromGroup", json!({"UserName": "dev-2", "GroupName": "dev"})),
        // She does not learn whether the user exists.
        ("GetUser", json!({"UserName": "nobody"})),
    ] {
        assert_eq!(
            keeper.refusal(action, &parameters),
            refused(403, "NoPermission"),
            "{action} {parameters}"
        );
    }
    root.ok("UpdateUser", &json!({"UserName": "keeper", "NewUserName": "warden"}));
    assert_eq!(
        keeper.refusal("GetUser", &json!({})),
        refused(403, "NoPermission"),
        "her key signs, by her new name"
    );
    keeper.ok("GetUser", &json!({"UserName": "dev-2"}));
}
