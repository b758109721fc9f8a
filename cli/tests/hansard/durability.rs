//! A database that confirms commits which can be lost. The databases of tests are such ones.

use test_facts::{Backend, TestDatabase};

use crate::deployment::{Server, hansard, stderr};

#[test]
fn postgresql_without_fsync_is_refused_unless_somebody_accepts_it() {
    is_refused_unless_somebody_accepts_it(
        Backend::Postgres,
        &["fsync is off and must be on", "full_page_writes is off"],
    );
}

#[test]
fn mariadb_that_flushes_its_log_once_a_second_is_refused_unless_somebody_accepts_it() {
    let settings = [
        "innodb_flush_log_at_trx_commit is 0 and must be 1",
        "innodb_flush_method is nosync and must be fsync or O_DIRECT",
        "innodb_doublewrite is OFF and must be ON",
    ];
    is_refused_unless_somebody_accepts_it(Backend::MariaDb, &settings);
}

fn is_refused_unless_somebody_accepts_it(backend: Backend, settings: &[&str]) {
    const FLAG: &str = "--accept-commits-that-can-be-lost";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let database = runtime.block_on(TestDatabase::new(backend));
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys.toml");
    let keys = keys.to_str().unwrap();
    assert!(hansard(&["admin", "server-keys", "generate", keys]).status().unwrap().success());
    let arguments = ["--database-url", &database.url, "--server-keys", keys];
    let data = folder.path().join("data");
    let refused = hansard(&["serve", "--listen", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()])
        .args(arguments)
        .output()
        .unwrap();
    let told = stderr(&refused);
    assert_eq!(refused.status.code(), Some(1), "{told}");
    for text in settings.iter().chain(&["its commits can be lost", FLAG]) {
        assert!(told.contains(text), "{text}: {told}");
    }
    assert!(!data.exists(), "nothing is left behind");
    let accepted = Server::start(&[&arguments[..], &[FLAG]].concat());
    let log = accepted.log();
    for text in settings.iter().chain(&["WARN", FLAG]) {
        assert!(log.contains(text), "{text}: {log}");
    }
}
