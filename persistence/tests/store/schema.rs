//! Migrations from empty, again, and at once.

use std::sync::Arc;

use persistence::{DatabaseUrl, Store, StoreError};

use crate::harness::{Backend, TestDatabase, World, on_both};

on_both!(
    a_second_start_finds_everything_in_place,
    nobody_starts_where_somebody_has_the_deployments_account,
    a_database_of_this_version_is_taken_as_it_is_and_no_other_is_touched,
    times_are_whole_numbers_and_nothing_else,
);

async fn a_second_start_finds_everything_in_place(world: World) {
    let before = world.count("seaql_migrations", "1 = 1").await;
    assert!(before >= 5);
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
    world.database.execute("DELETE FROM seaql_migrations WHERE version > 'm20261129_120000'").await;
    refused(&world.database, "of an earlier version").await;
    let left = world.count("seaql_migrations", "1 = 1").await;
    assert!(left < applied && left > 0, "nothing was migrated: {left} of {applied}");

    let empty = TestDatabase::new(world.database.backend).await;
    if let Some(file) = empty.url.strip_prefix("sqlite:") {
        refused(&empty, "there is no such file").await;
        assert!(!std::path::Path::new(file).exists(), "none was made");
        std::fs::write(file, "").unwrap();
        refused(&empty, "it holds no tables").await;
        assert_eq!(std::fs::metadata(file).unwrap().len(), 0);
    } else {
        refused(&empty, "it holds no tables").await;
    }
}

async fn times_are_whole_numbers_and_nothing_else(world: World) {
    use sea_orm::{ConnectionTrait, DbBackend, Statement};

    let raw = world.database.raw().await;
    let backend = raw.get_database_backend();
    let columns = match backend {
        DbBackend::Sqlite => {
            "SELECT m.name AS t, c.name AS c, c.type AS k FROM sqlite_master m, pragma_table_info(m.name) c \
             WHERE m.type = 'table' AND m.name NOT LIKE 'seaql%'"
        }
        _ => {
            "SELECT table_name::text AS t, column_name::text AS c, data_type::text AS k FROM information_schema.columns \
             WHERE table_schema = 'public' AND table_name NOT LIKE 'seaql%'"
        }
    };
    let rows = raw.query_all_raw(Statement::from_string(backend, columns)).await.unwrap();
    assert!(rows.len() > 80, "{} columns", rows.len());
    for row in rows {
        let text = |column| row.try_get::<String>("", column).unwrap();
        let (table, column, kind) = (text("t"), text("c"), text("k").to_lowercase());
        if column == "at" || column.ends_with("_at") {
            // SQLite's INTEGER has 64 bits.
            let whole = if backend == DbBackend::Sqlite { "integer" } else { "bigint" };
            assert_eq!(kind, whole, "{table}.{column}");
        }
        assert!(
            !kind.contains("time") && !kind.contains("json") && !kind.contains("real"),
            "{table}.{column}: {kind}"
        );
    }
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
    for url in ["sqlite:/no/such/folder/x.db", "postgres://me:secret@localhost/x?host=/no/such/folder"] {
        let refused = Store::connect(DatabaseUrl::parse(url).unwrap(), Arc::clone(&keys)).await.unwrap_err();
        assert!(matches!(refused, StoreError::Unavailable { .. }), "{refused:?}");
        assert!(!format!("{refused:?}").contains("secret"), "{refused:?}");
    }
}
