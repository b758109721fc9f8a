//! A preset root, with a database that already exists.

use std::path::Path;

use rustix::process::Signal;

use crate::deployment::{Server, stderr};

/// A settings file that presets the root, and its path.
fn preset(folder: &Path, account: &str, key: &str) -> String {
    let path = folder.join(format!("{account}-{key}.toml"));
    let text = format!(
        "root-account-id = \"{account}\"\nroot-access-key-id = \"{key}\"\nroot-access-key-secret = \"s-{key}\"\n"
    );
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_preset_of_another_account_is_refused() {
    let mut server = Server::start(&[]);
    let (account, id, secret) = server.root();
    server.stop(Signal::TERM);
    let other = preset(server.folder.path(), "1000000000000009", "LTAIother");
    let output = server.refuses_to_start(&["--config", &other]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    for part in ["1000000000000009", account.as_str(), "HANSARD_ROOT_ACCOUNT_ID", "--data-dir"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // Nothing of the other account was created.
    assert_eq!(server.admin(&["account", "show"])["AccountId"], account.as_str());
    server.resume(&[]);
    assert!(server.as_key(&id, &secret, &["agents", "ls"]).status.success());
}

#[test]
fn a_kept_key_of_another_account_is_refused() {
    let mut server = Server::start(&[]);
    let mut other = Server::start(&[]);
    server.stop(Signal::TERM);
    other.stop(Signal::TERM);
    let file = "root-access-key.toml";
    std::fs::copy(other.data().join(file), server.data().join(file)).unwrap();
    let said = stderr(&server.refuses_to_start(&[]));
    assert!(said.contains(file) && said.contains("holds"), "{said}");
    assert_eq!(server.admin(&["account", "show"])["Users"], 0, "there is one account");
}

#[test]
fn an_older_active_root_key_is_named_at_each_start() {
    let mut server = Server::start(&[]);
    let (account, generated, secret) = server.root();
    assert!(!server.log().contains("access-key delete"), "{}", server.log());
    let asked_to_delete = |server: &Server, id: &str| {
        let line = format!("admin access-key delete {id} --data-dir {}", server.data().display());
        server.log().matches(&line).count()
    };
    server.stop(Signal::TERM);
    server.resume(&["--config", &preset(server.folder.path(), &account, "LTAIone")]);
    assert_eq!((asked_to_delete(&server, &generated), asked_to_delete(&server, "LTAIone")), (1, 0));

    server.stop(Signal::TERM);
    let two = preset(server.folder.path(), &account, "LTAItwo");
    server.resume(&["--config", &two]);
    assert_eq!((asked_to_delete(&server, &generated), asked_to_delete(&server, "LTAIone")), (2, 1));
    assert!(server.as_key(&generated, &secret, &["agents", "ls"]).status.success(), "it still signs");

    server.admin(&["access-key", "delete", &generated]);
    server.admin(&["access-key", "set-status", "LTAIone", "Inactive"]);
    server.stop(Signal::TERM);
    server.resume(&["--config", &two]);
    assert_eq!((asked_to_delete(&server, &generated), asked_to_delete(&server, "LTAIone")), (2, 1));
}
