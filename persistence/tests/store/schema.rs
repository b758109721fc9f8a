//! Migrations of an empty database, repeated, and at the same time.

use std::collections::BTreeSet;
use std::sync::Arc;

use persistence::{DatabaseUrl, Store, StoreError};
use sea_orm::{ConnectionTrait, QueryResult};

use test_facts::{Backend, TestDatabase, World, account, on_both};

on_both!(
    a_second_start_finds_everything_in_place,
    nobody_starts_where_somebody_has_the_deployments_account,
    a_database_of_this_version_is_taken_as_it_is_and_no_other_is_touched,
    times_are_whole_numbers_and_nothing_else,
);

async fn a_second_start_finds_everything_in_place(world: World) {
    let before = world.count("seaql_migrations", "1 = 1").await;
    assert!(before >= 2);
    let again = world.replica().await;
    assert_eq!(again.all_accounts().await.unwrap().len(), 2);
    assert_eq!(world.count("seaql_migrations", "1 = 1").await, before);
}

async fn nobody_starts_where_somebody_has_the_deployments_account(world: World) {
    world
        .database
        .execute("INSERT INTO accounts (account_id, created_at) VALUES ('1000000000000000', 1)")
        .await;
    let keys = Arc::new(domain::server_keys::ServerKeys::generate().unwrap());
    let refused = Store::connect(world.database.parsed(), keys).await.unwrap_err();
    assert!(matches!(refused, StoreError::Conflict { what: "account", .. }), "{refused:?}");
    assert!(refused.to_string().contains("1000000000000000"), "{refused}");
}

async fn a_database_of_this_version_is_taken_as_it_is_and_no_other_is_touched(world: World) {
    let open = async |database: &TestDatabase| {
        Store::connect_existing(database.parsed(), Arc::clone(&world.keys)).await
    };
    let refused = async |database: &TestDatabase, why: &str| {
        let refused = open(database).await.unwrap_err();
        assert!(matches!(refused, StoreError::UnfitDatabase { .. }), "{refused:?}");
        assert!(refused.to_string().contains(why), "{refused}");
    };
    assert_eq!(open(&world.database).await.unwrap().all_accounts().await.unwrap().len(), 2);
    let applied = world.count("seaql_migrations", "1 = 1").await;
    world
        .database
        .execute("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m29990101_000000_later', 1)")
        .await;
    refused(&world.database, "of a later version").await;
    // A replica of this version that starts beside those of the later one.
    let beside = Store::connect(world.database.parsed(), Arc::clone(&world.keys)).await.unwrap_err();
    assert!(beside.to_string().contains("of a later version"), "{beside}");
    let forget = match world.database.backend {
        Backend::Sqlite | Backend::Postgres => "version > 'm20261129_120000'",
        Backend::MariaDb => "version > 'm20261130_020000_mariadb_tables'",
    };
    world.database.execute(&format!("DELETE FROM seaql_migrations WHERE {forget}")).await;
    refused(&world.database, "of an earlier version").await;
    let left = world.count("seaql_migrations", "1 = 1").await;
    assert!(left < applied && left > 0, "nothing was migrated: {left} of {applied}");

    let empty = TestDatabase::new(world.database.backend).await;
    match empty.backend {
        Backend::Sqlite => {
            let file = empty.url.strip_prefix("sqlite:").unwrap();
            refused(&empty, "there is no such file").await;
            assert!(!std::path::Path::new(file).exists(), "none was made");
            std::fs::write(file, "").unwrap();
            refused(&empty, "it holds no tables").await;
            assert_eq!(std::fs::metadata(file).unwrap().len(), 0);
        }
        Backend::Postgres | Backend::MariaDb => refused(&empty, "it holds no tables").await,
    }
}

async fn times_are_whole_numbers_and_nothing_else(world: World) {
    // SQLite's INTEGER has 64 bits.
    let whole = match world.database.backend {
        Backend::Sqlite => "integer",
        Backend::Postgres | Backend::MariaDb => "bigint",
    };
    let columns = columns(&world.database).await;
    assert!(columns.len() > 80, "{} columns", columns.len());
    for Column { table, name, kind, .. } in columns {
        if name == "at" || name.ends_with("_at") {
            assert_eq!(kind, whole, "{table}.{name}");
        }
        assert!(
            !kind.contains("time") && !kind.contains("json") && !kind.contains("real"),
            "{table}.{name}: {kind}"
        );
    }
}

/// A column as the database itself describes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Column {
    table: String,
    name: String,
    kind: String,
    nullable: bool,
}

async fn columns(database: &TestDatabase) -> Vec<Column> {
    let columns = match database.backend {
        Backend::Sqlite => {
            "SELECT m.name AS t, c.name AS c, c.type AS k, CASE WHEN c.\"notnull\" = 1 THEN 'NO' ELSE 'YES' END AS n \
             FROM sqlite_master m, pragma_table_info(m.name) c \
             WHERE m.type = 'table' AND m.name NOT LIKE 'seaql%'"
        }
        Backend::Postgres => {
            "SELECT table_name::text AS t, column_name::text AS c, data_type::text AS k, is_nullable::text AS n \
             FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE 'seaql%'"
        }
        // Without those that stand for an index on an expression.
        Backend::MariaDb => {
            "SELECT table_name AS t, column_name AS c, data_type AS k, is_nullable AS n \
             FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name NOT LIKE 'seaql%' \
             AND is_generated = 'NEVER'"
        }
    };
    let read = |row: QueryResult| {
        let text = |column| row.try_get::<String>("", column).unwrap();
        Column {
            table: text("t"),
            name: text("c"),
            kind: text("k").to_lowercase(),
            nullable: text("n") == "YES",
        }
    };
    database.rows(columns).await.into_iter().map(read).collect()
}

/// MariaDB's tables were written out when support for it was added; every later change is made on all databases.
#[tokio::test]
async fn tables_and_columns_are_the_same_on_all_databases() {
    let mut all = Vec::new();
    for backend in [Backend::Sqlite, Backend::Postgres, Backend::MariaDb] {
        let world = World::new(backend).await;
        let described = columns(&world.database).await.into_iter();
        let mut described: Vec<_> =
            described.map(|column| (column.table, column.name, column.nullable)).collect();
        described.sort();
        all.push(described);
    }
    assert!(all[0].len() > 80, "{}", all[0].len());
    // There nonces are only appended, each with a number.
    let number = ("nonces".to_owned(), "id".to_owned(), false);
    let found = all[0].iter().position(|column| *column == number);
    all[0].remove(found.expect("SQLite numbers its nonces"));
    assert_eq!(all[0], all[1], "SQLite and PostgreSQL");
    assert_eq!(all[1], all[2], "PostgreSQL and MariaDB");
}

/// Names and keys that differ in case, or in trailing spaces, are different.
#[tokio::test]
async fn mariadb_compares_texts_byte_by_byte_whatever_the_defaults_of_its_database() {
    let world = World::new(Backend::MariaDb).await;
    let others = "SELECT CONCAT(table_name, '.', column_name, ' ', collation_name) AS t \
                  FROM information_schema.columns WHERE table_schema = DATABASE() AND collation_name IS NOT NULL \
                  AND collation_name <> 'utf8mb4_nopad_bin' AND table_name NOT LIKE 'seaql%'";
    let others: Vec<String> =
        world.database.rows(others).await.iter().map(|row| row.try_get("", "t").unwrap()).collect();
    assert_eq!(others, Vec::<String>::new());
    for key in ["a", "A", "a ", "\u{e4}", "\u{1f600}"] {
        let tag = format!(
            "INSERT INTO instance_tags (account_id, instance_id, tag_key, tag_value) \
             VALUES ('{}', 'i-web1', '{key}', '')",
            account()
        );
        world.database.execute(&tag).await;
    }
    assert_eq!(world.count("instance_tags", "tag_key = 'a'").await, 1);
}

/// What was done before the program was killed is found, and the rest is done.
#[tokio::test]
async fn a_migration_of_mariadb_that_was_interrupted_goes_on() {
    let whole = World::new(Backend::MariaDb).await;
    let expected = columns(&whole.database).await.into_iter().collect::<BTreeSet<_>>();
    let keys = Arc::new(domain::server_keys::ServerKeys::generate().unwrap());
    for undone in [
        &[
            "DROP TRIGGER audit_anchors_undeleted",
            "DELETE FROM seaql_migrations WHERE version > 'm20261130_020100'",
        ][..],
        &["DROP TABLE waiting_recordings", "DROP TABLE unclaimed_objects", "DELETE FROM seaql_migrations"],
    ] {
        let database = TestDatabase::new(Backend::MariaDb).await;
        drop(Store::connect(database.parsed(), Arc::clone(&keys)).await.unwrap());
        for statement in undone {
            database.execute(statement).await;
        }
        let store = Store::connect(database.parsed(), Arc::clone(&keys)).await.unwrap();
        assert_eq!(columns(&database).await.into_iter().collect::<BTreeSet<_>>(), expected);
        store.record_audit(test_facts::event(&account(), "X")).await.unwrap();
        for statement in ["UPDATE audit_events SET result = 'x'", "DELETE FROM audit_events"] {
            let refused = database.raw().await.execute_unprepared(statement).await.expect_err(statement);
            assert!(refused.to_string().contains("append-only"), "{refused}");
        }
        let anchors = "SELECT COUNT(*) AS n FROM information_schema.triggers \
                       WHERE trigger_schema = DATABASE() AND event_object_table = 'audit_anchors'";
        let triggers: i64 = database.rows(anchors).await[0].try_get("", "n").unwrap();
        assert_eq!(triggers, 2);
    }
}

#[tokio::test]
async fn a_mariadb_with_tables_of_another_program_is_refused() {
    let database = TestDatabase::new(Backend::MariaDb).await;
    database.execute("CREATE TABLE accounts (id BIGINT PRIMARY KEY)").await;
    let keys = Arc::new(domain::server_keys::ServerKeys::generate().unwrap());
    let refused = Store::connect(database.parsed(), keys).await.unwrap_err();
    assert!(matches!(refused, StoreError::UnfitDatabase { .. }), "{refused:?}");
    assert_eq!(columns(&database).await.len(), 1, "nothing was made");
}

/// A text that a column cannot hold is refused, although the server's own mode would truncate it.
#[tokio::test]
async fn mariadb_cuts_no_text() {
    let world = World::new(Backend::MariaDb).await;
    let event =
        domain::audit::AuditEvent { principal: "p".repeat(600), ..test_facts::event(&account(), "TooLong") };
    assert!(matches!(world.store.record_audit(event).await, Err(StoreError::Unavailable { .. })));
    assert_eq!(world.count("audit_events", "action = 'TooLong'").await, 0);
    let long =
        domain::audit::AuditEvent { user_agent: "u".repeat(70_000), ..test_facts::event(&account(), "Long") };
    world.store.record_audit(long).await.unwrap();
    assert_eq!(world.count("audit_events", "CHAR_LENGTH(user_agent) = 70000").await, 1);
    crate::audit::assert_chains_are_whole(&world).await;
}

async fn replicas_that_start_together_take_turns(backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let keys = Arc::new(domain::server_keys::ServerKeys::generate().unwrap());
    let mut starts = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (url, keys) = (database.parsed(), Arc::clone(&keys));
        starts.spawn(async move { Store::connect(url, keys).await.map(drop) });
    }
    for started in starts.join_all().await {
        started.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_start_together_take_turns_on_sqlite() {
    replicas_that_start_together_take_turns(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_start_together_take_turns_on_postgres() {
    replicas_that_start_together_take_turns(Backend::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_start_together_take_turns_on_mariadb() {
    replicas_that_start_together_take_turns(Backend::MariaDb).await;
}

#[tokio::test]
async fn a_new_sqlite_file_is_private_and_durable() {
    use std::os::unix::fs::PermissionsExt;

    let world = World::new(Backend::Sqlite).await;
    let file = world.database.url.strip_prefix("sqlite:").unwrap();
    for beside in ["", "-wal", "-shm"] {
        let mode = std::fs::metadata(format!("{file}{beside}")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}{beside}");
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_is_unavailable() {
    let keys = Arc::new(domain::server_keys::ServerKeys::generate().unwrap());
    for url in [
        "sqlite:/no/such/folder/x.db",
        "postgres://me:secret@localhost/x?host=/no/such/folder",
        "mariadb://me:secret@localhost/x?socket=/no/such/socket",
    ] {
        let refused = Store::connect(DatabaseUrl::parse(url).unwrap(), Arc::clone(&keys)).await.unwrap_err();
        assert!(matches!(refused, StoreError::Unavailable { .. }), "{refused:?}");
        assert!(!format!("{refused:?}").contains("secret"), "{refused:?}");
    }
}
