//! Two control planes on one PostgreSQL or MariaDB: both have the same data, and a call that one of them accepted is
//! not accepted again by either.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::json;
use whole_system::{Client, Deployment, DeploymentOptions, MariaDb, Sdk, postgresql};

/// Lets the SDK call through a listener that keeps the exact bytes of its request, and returns them.
fn captured_request(deployment: &Deployment) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let caller = Client { endpoint, ..deployment.root.clone() };
    let sdk = std::thread::spawn(move || {
        Sdk::Typed.call(&caller, "GetInstanceRecordConfig", &json!({"InstanceId": "i-replica"}))
    });
    let (mut connection, _) = listener.accept().unwrap();
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = connection.read(&mut buffer).unwrap();
        request.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&request);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
            });
            if body.len() >= length.unwrap_or(0) {
                break;
            }
        }
        assert!(read > 0, "the SDK hung up: {text}");
    }
    // The SDK gets no service, but a 503 that it understands.
    let reply = r#"{"Code":"ServiceUnavailable","Message":"captured","RequestId":"0"}"#;
    let head = format!(
        "HTTP/1.1 503 x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        reply.len()
    );
    connection.write_all((head + reply).as_bytes()).unwrap();
    let outcome = sdk.join().unwrap();
    assert_eq!(outcome["error"]["code"], "ServiceUnavailable", "{outcome}");
    let request = String::from_utf8(request).unwrap();
    request.replacen("\r\n", "\r\nConnection: close\r\n", 1).into_bytes()
}

#[test]
fn two_replicas_refuse_the_same_replay_and_share_what_they_know_on_postgresql() {
    two_replicas_refuse_the_same_replay_and_share_what_they_know(&postgresql());
}

#[test]
fn two_replicas_refuse_the_same_replay_and_share_what_they_know_on_mariadb() {
    let database = MariaDb::start();
    two_replicas_refuse_the_same_replay_and_share_what_they_know(&database.url());
}

fn two_replicas_refuse_the_same_replay_and_share_what_they_know(database: &str) {
    let keys = tempfile::tempdir().unwrap();
    // The keys of a deployment with SQLite are generated; the replicas then share that file.
    drop(Deployment::start_with(DeploymentOptions {
        arguments: vec!["--server-keys".into(), keys.path().join("keys.toml").to_str().unwrap().into()],
        ..Default::default()
    }));
    let options = || DeploymentOptions {
        arguments: vec![
            "--database-url".into(),
            database.into(),
            "--server-keys".into(),
            keys.path().join("keys.toml").to_str().unwrap().into(),
        ],
        ..Default::default()
    };
    let (one, other) = (Deployment::start_with(options()), Deployment::start_with(options()));

    let set =
        Sdk::Typed.call(&one.root, "SetInstanceRecordConfig", &json!({"InstanceId": "*", "Enabled": true}));
    assert_eq!(set["reply"]["Root"], true, "{set}");
    let get =
        Sdk::LegacyGet.call(&other.root, "GetInstanceRecordConfig", &json!({"InstanceId": "i-replica"}));
    assert_eq!(get["reply"]["Root"]["InstanceId"], "*", "{get}");

    let request = captured_request(&one);
    let first = other.http(&request).unwrap();
    assert!(first.starts_with("HTTP/1.1 200"), "{first}");
    for replica in [&one, &other] {
        let again = replica.http(&request).unwrap();
        assert!(again.starts_with("HTTP/1.1 400") && again.contains("SignatureNonceUsed"), "{again}");
    }
}
