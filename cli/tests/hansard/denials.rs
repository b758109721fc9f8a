//! What a denied caller is told, and the README's example of a policy.

use serde_json::Value;

use crate::deployment::{Server, hansard, stderr};

/// The policy that the README shows to new users.
fn policy_of_the_readme() -> String {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let blocks = readme.split("```json\n").skip(1).map(|block| block.split("```").next().unwrap());
    let mut policies = blocks.filter(|block| block.contains("\"Statement\""));
    policies.next().expect("README shows a policy").to_owned()
}

/// A user with a key and this policy.
fn user_with(server: &Server, name: &str, policy: &str) -> (String, String) {
    server.admin(&["user", "create", name]);
    let key = server.admin(&["access-key", "create", "--user", name]);
    let file = server.file(&format!("{name}.json"), policy);
    server.admin(&["policy", "put", name, &file]);
    server.admin(&["policy", "attach", name, "--user", name]);
    let member = |member: &str| key[member].as_str().unwrap_or_else(|| panic!("{key}")).to_owned();
    (member("AccessKeyId"), member("AccessKeySecret"))
}

#[test]
fn the_readmes_policy_works_on_the_machine_where_it_is_tried() {
    let server = Server::start(&[]);
    let policy = policy_of_the_readme();
    let (id, secret) = user_with(&server, "ana", &policy);
    let listed = server.as_key(&id, &secret, &["recordings", "ls", "--output", "json"]);
    assert!(listed.status.success(), "{}", stderr(&listed));
    assert_eq!(serde_json::from_slice::<Value>(&listed.stdout).unwrap(), Value::Array(vec![]));
}

#[test]
fn a_denial_names_what_was_asked_and_says_why_to_whoever_may_know() {
    let server = Server::start(&[]);
    let elsewhere = r#"{"Version": "1", "Statement": [{"Effect": "Allow", "Resource": "*",
        "Action": "ecs-workbench:GetInstanceRecordConfig",
        "Condition": {"IpAddress": {"acs:SourceIp": "10.0.0.0/8"}}}]}"#;
    let asked = ["call", "GetInstanceRecordConfig", "InstanceId=i-web1"];
    let (id, secret) = user_with(&server, "ana", elsewhere);
    let denied = server.as_key(&id, &secret, &asked);
    let said = stderr(&denied);
    assert_eq!(denied.status.code(), Some(1), "{said}");
    let (line, hint) = said.trim_end().split_once('\n').unwrap();
    assert!(
        line.contains(
            "[nothing allows ecs-workbench:GetInstanceRecordConfig on InstanceId=i-web1 for SubUser "
        ),
        "{line}"
    );
    assert!(line.contains("; your address is 127.0.0.1]"), "{line}");
    assert!(!said.contains("10.0.0.0"), "what a policy says is not for everybody: {said}");

    // The command for the administrator works exactly as printed.
    let command = hint.strip_prefix("an administrator sees why with: hansard ").unwrap();
    let decoded = server.as_root(&command.split(' ').collect::<Vec<_>>());
    let decoded: Value = serde_json::from_slice(&decoded.stdout).unwrap();
    let unmet = &decoded["DecodedDiagnosticMessage"]["UnmetConditions"][0];
    assert_eq!(
        (&unmet["PolicyIdentifier"], &unmet["ConditionKey"], &unmet["WantedValues"][0]),
        (&"ana".into(), &"acs:SourceIp".into(), &"10.0.0.0/8".into()),
        "{decoded}"
    );

    let may_decode = elsewhere.replace(
        r#""Statement": ["#,
        r#""Statement": [{"Effect": "Allow", "Action": "ram:DecodeDiagnosticMessage", "Resource": "*"}, "#,
    );
    let (id, secret) = user_with(&server, "eva", &may_decode);
    let said = stderr(&server.as_key(&id, &secret, &asked));
    assert_eq!(said.lines().count(), 1, "{said}");
    for expected in [
        "nothing allows ecs-workbench:GetInstanceRecordConfig on acs:ecs-workbench:",
        ":workbench/i-web1 for SubUser ",
        "; your address is 127.0.0.1; the policy eva, statement 1 (counted from 0), would allow it, and wants \
         acs:SourceIp IpAddress 10.0.0.0/8: the call has 127.0.0.1]",
    ] {
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_wrong_secret_is_the_first_thing_said() {
    let server = Server::start(&[]);
    let (_, id, secret) = server.root();
    let said = stderr(&server.as_key(&id, &format!("{secret}x"), &["agents", "ls"]));
    let expected = "error: ALIBABA_CLOUD_ACCESS_KEY_SECRET is not the secret of this access key";
    assert!(said.starts_with(expected) && said.contains("SignatureDoesNotMatch"), "{said}");
}

#[test]
fn parameters_that_an_action_does_not_have_are_warned_of() {
    let server = Server::start(&[]);
    let called = server.as_root(&["call", "ListAgents", "PageSize=5", "Pagesize=7"]);
    assert!(called.status.success(), "{}", stderr(&called));
    assert_eq!(stderr(&called), "warning: ListAgents has no parameter Pagesize; it is ignored\n");
    serde_json::from_slice::<Value>(&called.stdout).unwrap();
}

#[test]
fn the_key_file_of_the_data_directory_needs_no_name() {
    let server = Server::start(&[]);
    let current = |keys: &Value| keys[0]["Current"].as_str().unwrap().to_owned();
    let shown = server.admin(&["server-keys", "show"]);
    let rotated = server.admin(&["server-keys", "rotate"]);
    assert_ne!(current(&shown), current(&rotated));
    assert_eq!(rotated[0]["Older"][0], shown[0]["Current"], "{rotated}");
    let file = server.data().join("server-keys.toml");
    let named = server.admin(&["server-keys", "show", file.to_str().unwrap()]);
    assert_eq!(named, rotated);
    let by_flag = server.admin(&["server-keys", "show", "--server-keys", file.to_str().unwrap()]);
    assert_eq!(by_flag, rotated);
    let nowhere =
        hansard(&["admin", "server-keys", "show", "--data-dir", "/nowhere/at-all"]).output().unwrap();
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(stderr(&nowhere).contains("there is no data directory /nowhere/at-all"), "{}", stderr(&nowhere));
}

#[test]
fn a_policy_that_cannot_be_read_is_not_said_to_be_in_order() {
    let output = hansard(&["policy", "check", "/nowhere/missing.json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(said.contains("/nowhere/missing.json cannot be read"), "{said}");
    assert!(said.ends_with("1 file could not be read\n") && !said.contains("mend"), "{said}");
}
