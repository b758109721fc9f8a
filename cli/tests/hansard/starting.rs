//! Starting and stopping the server.

use rustix::process::Signal;

use crate::deployment::{Server, hansard, mode, stderr, until};

#[test]
fn the_first_start_makes_private_files_and_shows_no_secret_outside_a_terminal() {
    let mut server = Server::start(&[]);
    let (account, id, secret) = server.root();
    for (name, expected) in [
        ("", 0o700),
        ("hansard.db", 0o600),
        ("server-keys.toml", 0o600),
        ("root-access-key.toml", 0o600),
        ("objects", 0o700),
    ] {
        assert_eq!(mode(&server.data().join(name)), expected, "{name}");
    }
    let printed = server.printed();
    assert!(printed.contains(&account) && printed.contains(&format!("ACCESS_KEY_ID={id}")), "{printed}");
    assert!(printed.contains("Nothing leaves this machine"), "{printed}");
    assert!(!printed.contains(&secret) && !server.log().contains(&secret), "the secret is nowhere");

    assert_eq!(server.stop(Signal::TERM).code(), Some(0), "{}", server.log());
    server.resume(&["--print-credentials"]);
    assert_eq!(server.root().2, secret, "the key is kept");
    assert!(server.printed().contains("Hansard serves again at http://"), "{}", server.printed());
    let printed = server.printed();
    assert!(printed.contains(&format!("export ALIBABA_CLOUD_ACCESS_KEY_SECRET={secret}")), "{printed}");
    assert!(!server.log().contains(&secret), "the secret is in no log");
    assert_eq!(server.stop(Signal::INT).code(), Some(0), "{}", server.log());
}

#[test]
fn the_log_can_be_json() {
    let mut server = Server::start(&["--log-format", "json", "--log-filter", "info"]);
    server.stop(Signal::TERM);
    assert_eq!(server.printed(), "", "nothing is for people");
    let log = server.log();
    for line in log.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert!(entry["level"].is_string() && entry["timestamp"].is_string(), "{line}");
    }
    assert!(log.contains("\"message\":\"stopped\""), "{log}");

    server.resume(&["--log-format", "json", "--print-credentials"]);
    let (account, id, secret) = server.root();
    until("the credentials are printed", || server.printed().ends_with('\n').then_some(()));
    let printed: serde_json::Value = serde_json::from_str(&server.printed()).unwrap();
    let endpoint = format!("http://{}", server.address);
    let expected = serde_json::json!({
        "AccountId": account, "AccessKeyId": id, "AccessKeySecret": secret, "Endpoint": endpoint,
    });
    assert_eq!(printed, expected);
}

#[test]
fn a_second_server_is_kept_from_the_data_and_from_the_address() {
    let server = Server::start(&[]);
    let data = server.data();
    let data = data.to_str().unwrap();
    let other = hansard(&["serve", "--listen", "127.0.0.1:0", "--data-dir", data]).output().unwrap();
    assert_eq!(other.status.code(), Some(1));
    assert!(
        stderr(&other).contains("error: another `hansard serve` uses the data directory"),
        "{}",
        stderr(&other)
    );

    let own = server.folder.path().join("own");
    let file = format!("sqlite:{}", server.data().join("hansard.db").display());
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", own.to_str().unwrap()];
    std::fs::create_dir(&own).unwrap();
    std::fs::copy(server.data().join("server-keys.toml"), own.join("server-keys.toml")).unwrap();
    let other = hansard(&arguments).args(["--database-url", &file]).output().unwrap();
    assert_eq!(other.status.code(), Some(1));
    let said = stderr(&other);
    assert!(said.contains("hansard.db: another `hansard serve` uses this file"), "{said}");
    // What is not a server works beside one.
    assert!(server.admin(&["account", "show"])["AccountId"].is_string());

    let elsewhere = server.folder.path().join("elsewhere");
    let listen = server.address.to_string();
    let arguments = ["serve", "--listen", &listen, "--data-dir", elsewhere.to_str().unwrap()];
    let other = hansard(&arguments).output().unwrap();
    assert_eq!(other.status.code(), Some(1));
    assert!(stderr(&other).contains(&format!("error: the address {listen} is in use")), "{}", stderr(&other));
    assert!(!elsewhere.exists(), "nothing is left behind");
}

#[test]
fn a_preset_root_signs_and_is_not_written_down() {
    let preset = [
        ("HANSARD_ROOT_ACCOUNT_ID", "1000000000000001"),
        ("HANSARD_ROOT_ACCESS_KEY_ID", "LTAIpreset"),
        ("HANSARD_ROOT_ACCESS_KEY_SECRET", "preset-secret-+/="),
    ];
    let file = tempfile::NamedTempFile::new().unwrap();
    let lines: Vec<_> = preset
        .iter()
        .map(|(name, value)| {
            format!("{} = \"{value}\"", name.trim_start_matches("HANSARD_").to_lowercase().replace('_', "-"))
        })
        .collect();
    std::fs::write(file.path(), lines.join("\n")).unwrap();
    let server = Server::start(&["--config", file.path().to_str().unwrap()]);
    let output = server.as_key(preset[1].1, preset[2].1, &["call", "ListAgents"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!server.data().join("root-access-key.toml").exists());
    assert_eq!(server.admin(&["account", "show"])["AccountId"], preset[0].1);
}

#[test]
fn lost_server_keys_are_not_replaced_while_a_database_needs_them() {
    let mut server = Server::start(&[]);
    server.stop(Signal::TERM);
    std::fs::remove_file(server.data().join("server-keys.toml")).unwrap();
    let data = server.data();
    let output = hansard(&["serve", "--listen", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("restore them from a copy"), "{}", stderr(&output));
    assert!(!server.data().join("server-keys.toml").exists());
}
