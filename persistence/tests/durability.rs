//! Databases whose commits can be lost are refused, and nothing is changed in them. Each test has
//! a server of its own kind to itself, and changes the settings of the whole server.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use domain::server_keys::ServerKeys;
use persistence::{DatabaseUrl, Store, StoreError};
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection, DbBackend, Statement};
use test_facts::{Backend, TestDatabase, mariadb, postgres, until_async};

/// Everything is durable but what a connection can set by itself.
const POSTGRES: &str = "-c synchronous_commit=off";
/// A server that has replicas.
const MARIADB: &str = "--log-bin=log-bin --sync-binlog=1 --log-bin-trust-function-creators=1";

async fn connect_durably(url: &str) -> Result<Store, StoreError> {
    let keys = Arc::new(ServerKeys::generate().unwrap());
    Store::connect_durably(DatabaseUrl::parse(url).unwrap(), keys).await
}

/// The refusal, in words.
async fn refused(url: &str) -> String {
    let refused = connect_durably(url).await.unwrap_err();
    assert!(matches!(refused, StoreError::CommitsCanBeLost(_)), "{refused:?}");
    let no_tables =
        Store::connect_existing(DatabaseUrl::parse(url).unwrap(), Arc::new(ServerKeys::generate().unwrap()));
    let no_tables = no_tables.await.unwrap_err();
    assert!(no_tables.to_string().contains("holds no tables"), "nothing was changed: {no_tables:?}");
    refused.to_string()
}

/// A connection of an administrator.
async fn administrator(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    Database::connect(options).await.unwrap()
}

#[tokio::test]
async fn sqlite_is_durable_as_the_server_opens_it() {
    let database = TestDatabase::new(Backend::Sqlite).await;
    assert_eq!(connect_durably(&database.url).await.unwrap().lossy_settings().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_is_refused_for_what_a_connection_cannot_set_itself() {
    let url = postgres::new_database(POSTGRES).await;
    let set = async |name: &str, value: &str| {
        let administrator = administrator(&url).await;
        administrator.execute_unprepared(&format!("ALTER SYSTEM SET {name} = {value}")).await.unwrap();
        administrator.execute_unprepared("SELECT pg_reload_conf()").await.unwrap();
        until_async("the server has read its settings again", async || {
            let row = Statement::from_string(DbBackend::Postgres, format!("SHOW {name}"));
            let row = administrator.query_one_raw(row).await.unwrap().unwrap();
            (row.try_get_by_index::<String>(0).unwrap() == value).then_some(())
        })
        .await;
    };
    for name in ["fsync", "full_page_writes"] {
        set(name, "off").await;
        assert_eq!(
            refused(&url).await,
            format!("its commits can be lost when its machine fails: {name} is off and must be on")
        );
        set(name, "on").await;
    }
    let store = connect_durably(&url).await.unwrap();
    assert_eq!(store.lossy_settings().await.unwrap(), None, "synchronous_commit is set by each connection");
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_is_refused_for_its_log_and_its_binary_log() {
    let url = mariadb::new_database(MARIADB).await;
    let administrator = administrator(&url).await;
    let set = async |name: &str, value: u8| {
        administrator.execute_unprepared(&format!("SET GLOBAL {name} = {value}")).await.unwrap();
    };
    set("innodb_flush_log_at_trx_commit", 2).await;
    set("sync_binlog", 0).await;
    assert_eq!(
        refused(&url).await,
        "its commits can be lost when its machine fails: innodb_flush_log_at_trx_commit is 2 and must be 1, \
         sync_binlog is 0 and must be 1"
    );
    set("innodb_flush_log_at_trx_commit", 3).await;
    set("sync_binlog", 1).await;
    assert_eq!(connect_durably(&url).await.unwrap().lossy_settings().await.unwrap(), None);
}
