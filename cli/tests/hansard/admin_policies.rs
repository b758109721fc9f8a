//! `hansard admin policy` and `hansard admin control-policy`, while a server is running.

use crate::deployment::{Server, stderr};

const READS: &str =
    r#"{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "ram:Get*", "Resource": "*"}]}"#;
const LISTS: &str =
    r#"{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "ram:List*", "Resource": "*"}]}"#;
const DENIES: &str = r#"{"Version": "1", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}"#;

#[test]
fn a_policy_is_put_over_the_version_that_was_seen_and_over_no_other() {
    let server = Server::start(&[]);
    let (reads, lists) = (server.file("reads.json", READS), server.file("lists.json", LISTS));
    assert_eq!(server.admin(&["policy", "put", "p", &reads])["VersionId"], "v1");
    assert_eq!(server.admin(&["policy", "show", "p"])["DefaultVersion"], "v1");
    assert_eq!(server.admin(&["policy", "put", "p", &lists])["VersionId"], "v2");
    // A caller who read v1 cannot overwrite v2.
    let stale = server.try_admin(&["policy", "put", "p", &reads, "--over", "v1"]);
    assert_eq!(stale.status.code(), Some(1));
    assert!(stderr(&stale).contains("another version is the default by now"), "{}", stderr(&stale));
    assert_eq!(server.admin(&["policy", "show", "p"])["PolicyDocument"], LISTS);
    assert_eq!(server.admin(&["policy", "put", "p", &reads, "--over", "v2"])["VersionId"], "v3");
    let gone = server.try_admin(&["policy", "put", "q", &reads, "--over", "v1"]);
    assert!(stderr(&gone).contains("it was deleted meanwhile"), "{}", stderr(&gone));
    // However often it is put, old versions are removed to make room.
    for number in 4..=9 {
        let version = format!("v{number}");
        assert_eq!(server.admin(&["policy", "put", "p", &lists])["VersionId"], version.as_str());
    }
    server.admin(&["policy", "delete", "p"]);
}

#[test]
fn ready_made_policies_are_listed_shown_and_attached() {
    let server = Server::start(&[]);
    server.admin(&["user", "create", "ana"]);
    let listed = server.admin(&["policy", "list", "--type", "System"]);
    let found = |name: &str| listed.as_array().unwrap().iter().any(|policy| policy["PolicyName"] == name);
    assert!(found("AdministratorAccess") && found("AliyunECSWorkbenchFullAccess"), "{listed}");
    assert_eq!(server.admin(&["policy", "list"]).as_array().unwrap().len(), 0);
    let attach = ["policy", "attach", "AliyunECSWorkbenchFullAccess", "--type", "System", "--user", "ana"];
    for _ in 0..2 {
        assert_eq!(server.admin(&attach)["Attached"], true, "attached already, it stays so");
    }
    let shown = server.admin(&["policy", "show", "AliyunECSWorkbenchFullAccess", "--type", "System"]);
    assert_eq!(shown["AttachmentCount"], 1, "{shown}");
    let key = server.admin(&["access-key", "create", "--user", "ana"]);
    let (id, secret) = (key["AccessKeyId"].as_str().unwrap(), key["AccessKeySecret"].as_str().unwrap());
    assert!(server.as_key(id, secret, &["agents", "ls"]).status.success());
    let detach = ["policy", "detach", "AliyunECSWorkbenchFullAccess", "--type", "System", "--user", "ana"];
    assert_eq!(server.admin(&detach)["Attached"], false);
    assert!(stderr(&server.as_key(id, secret, &["agents", "ls"])).contains("Forbidden.RAM"));
    for (arguments, code, expected) in [
        (
            &["policy", "attach", "none", "--type", "System", "--user", "ana"][..],
            1,
            "no system policy none here",
        ),
        (&["policy", "attach", "none", "--type", "Other", "--user", "ana"][..], 2, "System or Custom"),
        (&["policy", "attach", "none", "--group", "crew"][..], 1, "no such group: crew"),
        (&["policy", "detach", "none", "--role", "deploy"][..], 1, "no such role: deploy"),
        (&["policy", "attach", "none"][..], 2, "--user"),
        (&["policy", "attach", "none", "--user", "ana", "--group", "crew"][..], 2, "cannot be used with"),
        (&detach[..], 1, "no such attachment of the policy to the user"),
    ] {
        let output = server.try_admin(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn a_control_policy_that_locks_everybody_out_is_put_with_a_warning() {
    let server = Server::start(&[]);
    let (lists, denies) = (server.file("lists.json", LISTS), server.file("denies.json", DENIES));
    let closed = |output: &std::process::Output| {
        assert!(output.status.success(), "{}", stderr(output));
        stderr(output).contains("warning: level 1 of the control policies allows nothing")
    };
    assert!(closed(&server.try_admin(&["control-policy", "put", "never", &denies])));
    assert!(closed(&server.try_admin(&["control-policy", "put", "some", &lists])), "the Deny wins");
    assert!(!closed(&server.try_admin(&["control-policy", "delete", "never"])));
    assert!(!closed(&server.try_admin(&["control-policy", "put", "some", &lists])));
    let above = server.try_admin(&["control-policy", "put", "above", &denies, "--level", "2"]);
    assert!(stderr(&above).contains("warning: level 2"), "{}", stderr(&above));
    let listed = server.admin(&["control-policy", "list"]);
    assert_eq!((&listed[0]["PolicyName"], &listed[1]["Level"]), (&"some".into(), &2.into()), "{listed}");
    assert_eq!(server.admin(&["control-policy", "show", "some"])["PolicyDocument"], LISTS);
    server.admin(&["control-policy", "delete", "above"]);
    let bad = server.file("bad.json", "{\"Version\": \"1\",\n nonsense");
    for (arguments, code, expected) in [
        (&["control-policy", "put", "bad", &bad][..], 1, "line 2"),
        (&["control-policy", "put", "bad", &lists, "--level", "0"][..], 2, "1..=100"),
        (&["control-policy", "show", "none"][..], 1, "there is no control policy none"),
        (&["control-policy", "delete", "none"][..], 1, "no such control policy: none"),
    ] {
        let output = server.try_admin(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{arguments:?}: {}", stderr(&output));
    }
}
