//! `hansard admin`, while a server is running.

use crate::deployment::{Server, hansard, mode, stderr};

const MAY_LIST_AGENTS: &str = r#"{"Version": "1", "Statement": [
    {"Effect": "Allow", "Action": "ecs-workbench:ListAgents", "Resource": "*"}]}"#;

#[test]
fn a_user_may_do_what_its_policies_say_while_it_has_them() {
    let server = Server::start(&[]);
    let user = server.admin(&["user", "create", "ana"]);
    assert_eq!(user["UserName"], "ana");
    assert_eq!(server.admin(&["user", "list"])[0]["UserId"], user["UserId"]);
    let document = server.file("policy.json", MAY_LIST_AGENTS);
    server.admin(&["policy", "put", "may-list", &document]);
    server.admin(&["policy", "attach", "may-list", "--user", "ana"]);
    assert_eq!(server.admin(&["policy", "list"])[0]["AttachedTo"][0], "ana");
    let shown = server.admin(&["policy", "show", "may-list"]);
    assert_eq!(shown["PolicyDocument"], MAY_LIST_AGENTS);

    let key = server.admin(&["access-key", "create", "--user", "ana"]);
    let (id, secret) = (key["AccessKeyId"].as_str().unwrap(), key["AccessKeySecret"].as_str().unwrap());
    let as_ana = |arguments: &[&str]| server.as_key(id, secret, arguments);
    assert!(as_ana(&["agents", "ls"]).status.success());
    let denied = as_ana(&["recordings", "ls"]);
    assert_eq!(denied.status.code(), Some(1));
    assert!(
        stderr(&denied).starts_with("error: ListInstanceRecords: Forbidden.RAM: "),
        "{}",
        stderr(&denied)
    );
    let said = stderr(&denied);
    let (line, hint) = said.trim_end().split_once('\n').unwrap();
    assert!(line.contains("RequestId "), "{line}");
    assert!(hint.starts_with("an administrator sees why with: ") && hint.lines().count() == 1, "{hint}");

    server.admin(&["access-key", "set-status", id, "Inactive"]);
    let output = as_ana(&["agents", "ls"]);
    assert!(stderr(&output).contains("InvalidAccessKeyId.Inactive"), "{}", stderr(&output));
    server.admin(&["access-key", "set-status", id, "Active"]);
    let held = server.try_admin(&["user", "delete", "ana"]);
    assert_eq!(held.status.code(), Some(1));
    let expected = format!(
        "error: DeleteConflict: the user ana has access key {id}, policy may-list; delete its access keys"
    );
    assert!(stderr(&held).starts_with(&expected), "{}", stderr(&held));
    server.admin(&["policy", "detach", "may-list", "--user", "ana"]);
    let said = stderr(&as_ana(&["agents", "ls"]));
    let user = user["UserId"].as_str().unwrap();
    assert!(said.contains("Forbidden.RAM"), "{said}");
    assert!(
        said.contains(&format!("[nothing allows ecs-workbench:ListAgents for SubUser {user}; ")),
        "{said}"
    );
    server.admin(&["policy", "delete", "may-list"]);
    assert_eq!(server.try_admin(&["user", "delete", "ana"]).status.code(), Some(1), "it has its key");
    assert!(stderr(&as_ana(&["agents", "ls"])).contains("Forbidden.RAM"), "which still signs");
    server.admin(&["user", "delete", "ana", "--force"]);
    let output = as_ana(&["agents", "ls"]);
    assert!(stderr(&output).contains("InvalidAccessKeyId.NotFound"), "{}", stderr(&output));
}

#[test]
fn a_command_that_fails_says_why_and_changes_nothing() {
    let server = Server::start(&[]);
    let malformed = server.file("malformed.json", "{\"Version\": \"1\",\n nonsense");
    let good = server.file("good.json", MAY_LIST_AGENTS);
    server.admin(&["user", "create", "ana"]);
    server.admin(&["policy", "put", "held", &good]);
    server.admin(&["policy", "attach", "held", "--user", "ana"]);
    for (arguments, code, expected) in [
        (&["user", "create", "ana"][..], 1, "there is such a user already: ana"),
        (&["user", "create", "a b"][..], 2, "letters, digits"),
        (&["user", "delete", "nobody"][..], 1, "no such user"),
        (&["policy", "put", "bad", &malformed][..], 1, "line 2"),
        (&["policy", "put", "bad", "/nowhere/at/all.json"][..], 2, "/nowhere/at/all.json cannot be read"),
        (&["policy", "show", "none"][..], 1, "there is no policy none"),
        (&["policy", "delete", "held"][..], 1, "attached"),
        (&["policy", "attach", "none", "--user", "ana"][..], 1, "no such policy"),
        (&["access-key", "create"][..], 2, "--root"),
        (&["access-key", "create", "--user", "nobody"][..], 1, "no such user"),
        (&["access-key", "set-status", "LTAInone", "Active"][..], 1, "no such access key"),
        (&["access-key", "set-status", "LTAInone", "Asleep"][..], 2, "it must be Active or Inactive"),
        (&["access-key", "delete", "LTAInone"][..], 1, "no such access key"),
    ] {
        let output = server.try_admin(arguments);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.starts_with("error: ") && said.contains(expected), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
    }
    assert_eq!(server.admin(&["policy", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn a_deleted_root_key_does_not_come_back() {
    let mut server = Server::start(&[]);
    let (account, id, secret) = server.root();
    let other = server.admin(&["access-key", "create", "--root"]);
    server.admin(&["access-key", "delete", &id]);
    assert!(!server.data().join("root-access-key.toml").exists());
    server.stop(rustix::process::Signal::TERM);
    server.resume(&[]);
    let output = server.as_key(&id, &secret, &["agents", "ls"]);
    assert!(stderr(&output).contains("InvalidAccessKeyId.NotFound"), "{}", stderr(&output));
    let (id, secret) = (other["AccessKeyId"].as_str().unwrap(), other["AccessKeySecret"].as_str().unwrap());
    assert!(server.as_key(id, secret, &["agents", "ls"]).status.success());
    let printed = server.printed();
    assert!(printed.contains(&account) && printed.contains("admin access-key create --root"), "{printed}");
}

#[test]
fn refusals_of_unauthenticated_callers_are_shown_to_an_operator_and_to_no_account() {
    let mut server = Server::start(&[]);
    for _ in 0..3 {
        let output = server.as_key("LTAInobody", "a-wrong-secret", &["agents", "ls"]);
        assert!(stderr(&output).contains("InvalidAccessKeyId.NotFound"), "{}", stderr(&output));
    }
    // It is written when its minute has passed, and completely at an orderly end.
    assert!(server.stop(rustix::process::Signal::TERM).success());
    let unauthenticated = server.admin(&["audit", "--account-id", "1000000000000000"]);
    let refused: u64 = unauthenticated
        .as_array()
        .unwrap()
        .iter()
        .map(|event| {
            assert_eq!(event["Result"], "InvalidAccessKeyId.NotFound", "{event}");
            assert_eq!(event["SourceAddress"], "127.0.0.1", "{event}");
            event["How"].as_str().and_then(|how| how.split(' ').next()).unwrap().parse::<u64>().unwrap()
        })
        .sum();
    assert_eq!(refused, 3, "{unauthenticated}");
    let own = server.admin(&["audit", "--all"]).to_string();
    assert!(!own.contains("InvalidAccessKeyId.NotFound"), "{own}");
    let elsewhere = server.try_admin(&["user", "list", "--account-id", "1000000000000000"]);
    assert!(stderr(&elsewhere).contains("there is no account"), "{}", stderr(&elsewhere));
}

#[test]
fn server_keys_are_made_rotated_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.toml");
    let run = |what: &[&str]| {
        let mut command = hansard(&["admin", "--output", "json", "server-keys"]);
        command.args(what).arg(&file).output().unwrap()
    };
    let made = run(&["generate"]);
    assert!(made.status.success(), "{}", stderr(&made));
    assert_eq!(mode(&file), 0o600);
    assert_eq!(run(&["generate"]).status.code(), Some(1), "a key file is not replaced");
    let before: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    let rotated = run(&["rotate", "--purpose", "tickets"]);
    let after: serde_json::Value = serde_json::from_slice(&rotated.stdout).unwrap();
    for (before, after) in before.as_array().unwrap().iter().zip(after.as_array().unwrap()) {
        if before["Purpose"] == "tickets" {
            assert_ne!(before["Current"], after["Current"]);
            assert_eq!(before["Current"], after["Older"][0]);
        } else {
            assert_eq!(before, after);
        }
    }
    let text = std::fs::read_to_string(&file).unwrap();
    let shown = String::from_utf8(run(&["show"]).stdout).unwrap();
    let keys = text.lines().filter_map(|line| line.split('"').nth(1)).filter(|value| value.len() == 64);
    assert_eq!(keys.clone().count(), 4);
    assert!(keys.into_iter().all(|key| !shown.contains(key)));
}
