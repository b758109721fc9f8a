//! The client commands against a running server.

use serde_json::Value;

use crate::deployment::{Server, hansard, stderr};

#[test]
fn any_action_can_be_called_and_lists_are_tables_or_json() {
    let server = Server::start(&[]);
    let (account, ..) = server.root();
    let set = server.as_root(&[
        "call",
        "SetInstanceRecordConfig",
        "Enabled=true",
        "InstanceId=*",
        "ExpirationDays=9",
    ]);
    assert!(set.status.success(), "{}", stderr(&set));
    let get = server.as_root(&["call", "GetInstanceRecordConfig", "InstanceId=i-web1", "--output", "json"]);
    let get: Value = serde_json::from_slice(&get.stdout).unwrap();
    assert_eq!((&get["Root"]["ExpirationDays"], &get["Root"]["ParentId"]), (&9.into(), &account.into()));

    let listed = server.as_root(&["recordings", "ls", "--output", "json"]);
    assert_eq!(serde_json::from_slice::<Value>(&listed.stdout).unwrap(), Value::Array(vec![]));
    let listed =
        server.as_root(&["recordings", "ls", "--all", "--include-expired", "--instance-id", "i-web1"]);
    let table = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(table, "TOKEN  STARTED UTC  LENGTH  STATUS  WHO  INSTANCE  COMMAND\n");
    let agents = server.as_root(&["agents", "ls"]);
    assert!(String::from_utf8(agents.stdout).unwrap().starts_with("INSTANCE  AGENT"));

    let token = server.as_root(&[
        "agents",
        "token",
        "create",
        "--instance-id",
        "i-*",
        "--ttl",
        "5m",
        "--output",
        "json",
    ]);
    let token: Value = serde_json::from_slice(&token.stdout).unwrap();
    assert!(token["Token"].as_str().unwrap().starts_with("hjt-"), "{token}");
    assert_eq!(token["InstanceId"], "i-*");
}

#[test]
fn refusals_are_one_line_with_code_message_and_request() {
    let server = Server::start(&[]);
    let token = "ab".repeat(16);
    for (arguments, expected) in [
        (&["call", "NoSuchAction"][..], "NoSuchAction: InvalidAction.NotFound: "),
        (&["call", "SetInstanceRecordConfig"][..], "MissingEnabled"),
        (&["call", "GetInstanceRecordConfig", "InstanceId=../etc"][..], "InvalidInstanceId"),
        (
            &["call", "GetInstanceRecordConfig", "InstanceId=nodash"][..],
            "1 to 8 lower-case letters, a hyphen",
        ),
        (&["call", "CreateAgentJoinToken", "InstanceId=nodash"][..], "1 to 8 lower-case letters, a hyphen"),
        (&["recordings", "open", &token][..], "there is no recording"),
        (
            &["recordings", "play", &token, "--instance-id", "i-web1"][..],
            "InvalidTerminalSessionToken.NotFound",
        ),
        (&["recordings", "export", &token, "--format", "cast"][..], "there is no recording"),
        (&["recordings", "verify", &token][..], "there is no recording"),
    ] {
        let output = server.as_root(arguments);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.starts_with("error: ") && said.contains(expected), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
    let file = server.file("kept.txt", "kept");
    let export = ["recordings", "export", &token, "--format", "txt", "--out", &file, "--force"];
    let said = stderr(&server.as_root(&export[..7]));
    assert!(said.contains("/kept.txt exists already; --force replaces it"), "{said}");
    assert!(stderr(&server.as_root(&export)).contains("there is no recording"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "kept", "an export that fails replaces nothing");
    let (_, id, secret) = server.root();
    let output = server.as_key(&id, &format!("{secret}x"), &["agents", "ls"]);
    assert!(stderr(&output).contains("SignatureDoesNotMatch"), "{}", stderr(&output));
    let output = server.as_key("LTAInobody", &secret, &["agents", "ls"]);
    assert!(stderr(&output).contains("InvalidAccessKeyId.NotFound"), "{}", stderr(&output));
}

#[test]
fn a_missing_or_foreign_server_is_reported() {
    let client = |endpoint: &str| {
        hansard(&["agents", "ls"])
            .env("HANSARD_ENDPOINT", endpoint)
            .env("ALIBABA_CLOUD_ACCESS_KEY_ID", "a")
            .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "b")
            .output()
            .unwrap()
    };
    // Nothing listens on a port that was just released.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = client(&format!("http://{nobody}"));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output)
            .starts_with(&format!("error: no answer from http://{nobody}: nothing listens there; ")),
        "{}",
        stderr(&output)
    );

    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let serving = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut stream, _) = other.accept().unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).unwrap();
        stream
            .write_all(b"HTTP/1.1 502 Bad\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>")
            .unwrap();
    });
    let output = client(&format!("http://{address}"));
    serving.join().unwrap();
    assert!(stderr(&output).contains("does not come from a Hansard server"), "{}", stderr(&output));
}

#[test]
fn flags_out_of_range_are_named_before_anything_is_asked() {
    let token = "ab".repeat(16);
    for (arguments, expected) in [
        (
            &["agents", "token", "create", "--instance-id", "i-a", "--ttl", "0"][..],
            "'--ttl <TIME>': it must be 60s to 7d",
        ),
        (
            &["agents", "token", "create", "--instance-id", "i-a", "--ttl", "8d"],
            "'--ttl <TIME>': it must be 60s to 7d",
        ),
        (&["recordings", "play", &token, "--speed", "-1"], "'--speed <TIMES>': it must be a number above 0"),
    ] {
        let output = hansard(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(expected), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn the_documents_are_those_that_the_server_serves() {
    let server = Server::start(&[]);
    for (arguments, path) in
        [(&["openapi"][..], "/openapi.json"), (&["openapi", "--agent"][..], "/openapi/agent-v1.json")]
    {
        let printed = hansard(arguments).output().unwrap();
        let printed: Value = serde_json::from_slice(&printed.stdout).unwrap();
        let reply = server.get(path).unwrap();
        let served: Value = serde_json::from_str(reply.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!(printed, served, "{path}");
        assert!(printed["openapi"].as_str().unwrap().starts_with("3."));
    }
}

#[test]
fn missing_recordings_are_checked_for_one_agent_or_for_all() {
    let server = Server::start(&[]);
    let all = server.as_root(&["recordings", "verify", "--all", "--output", "json"]);
    assert_eq!(all.status.code(), Some(0), "{}", stderr(&all));
    let said: Value = serde_json::from_slice(&all.stdout).unwrap();
    assert_eq!(said, serde_json::json!({ "Verdict": "all there", "ExitCode": 0, "Agents": [] }));
    let text = server.as_root(&["recordings", "verify", "--all"]);
    assert_eq!(String::from_utf8_lossy(&text.stdout), "No agents.\nVerdict: all there\n");
    let none = server.as_root(&["recordings", "verify", "--all", "--instance-id", "i-nothing"]);
    assert_eq!((none.status.code(), none.stdout.is_empty()), (Some(1), true));
    let said = stderr(&none);
    assert!(
        said.contains("the account has no agent of instance i-nothing, and its audit trail has none"),
        "{said}"
    );
    let unknown = "agent-00112233445566778899aabbccddeeff";
    let none = server.as_root(&["recordings", "verify", "--agent", unknown]);
    assert_eq!(none.status.code(), Some(1));
    assert!(stderr(&none).contains("the account has no agent agent-0011"), "{}", stderr(&none));
    for wrong in [&["--agent", "agent-x"][..], &["--all", "--agent", unknown], &["folder", "--all"], &[]] {
        let arguments = [&["recordings", "verify"], wrong].concat();
        assert_eq!(server.as_root(&arguments).status.code(), Some(2), "{wrong:?}");
    }
}
