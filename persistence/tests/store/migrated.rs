//! Databases that earlier versions made, with rows of theirs, are migrated to the tables that an empty one gets, and
//! everything in them is still there and readable.
//!
//! Each fixture is a dump of a database which the program of one commit made and filled by its own code:
//!
//! - `2aa376f6`: before recordings had several streams, agents could be reached, and MariaDB was supported;
//! - `ded2fe2f`: with those, before sessions were recorded by a process of their own.
//!
//! The server keys of all of them are in `fixtures/server-keys.toml`; they protect nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::actions::{AcknowledgeSegment, ListAgents};
use domain::agent::Agent;
use domain::recording_life::{ArrivedStream, RecordingState, SegmentAcknowledged, WireStatus};
use domain::server_keys::ServerKeys;
use persistence::{AuditVerdict, HeldAgainst, NonceClaim, Store};
use recording::Stream;

use test_facts::{Backend, TestDatabase, World, account, as_agent, at, event, list_of, owner, segment};

/// The dump of a database as it was made by a version, loaded.
async fn loaded(backend: Backend, dump: &str) -> TestDatabase {
    let database = TestDatabase::new(backend).await;
    if backend == Backend::Sqlite {
        std::fs::write(database.url.strip_prefix("sqlite:").unwrap(), "").unwrap();
    }
    database.execute(dump).await;
    database
}

fn keys() -> Arc<ServerKeys> {
    Arc::new(ServerKeys::parse(include_str!("../fixtures/server-keys.toml")).unwrap())
}

/// Everything of a database's schema, as it describes that itself, a line for each thing.
async fn schema(database: &TestDatabase) -> BTreeSet<String> {
    let asked: &[&str] = match database.backend {
        Backend::Sqlite => &["SELECT name || ' ' || sql AS d FROM sqlite_master WHERE sql IS NOT NULL"],
        Backend::Postgres => &[
            "SELECT concat_ws(' ', 'column', table_name, column_name, data_type, character_maximum_length, is_nullable, \
             column_default) AS d FROM information_schema.columns WHERE table_schema = 'public'",
            "SELECT indexdef AS d FROM pg_indexes WHERE schemaname = 'public'",
            "SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid)) AS d FROM pg_constraint \
             WHERE connamespace = 'public'::regnamespace",
            "SELECT concat_ws(' ', tgenabled, pg_get_triggerdef(oid)) AS d FROM pg_trigger WHERE NOT tgisinternal",
            "SELECT pg_get_functiondef(oid) AS d FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
        ],
        Backend::MariaDb => &[
            "SELECT CONCAT_WS(' ', 'column', table_name, column_name, column_type, is_nullable, column_default, \
             collation_name) AS d FROM information_schema.columns WHERE table_schema = DATABASE()",
            "SELECT CONCAT_WS(' ', 'index', table_name, index_name, non_unique, seq_in_index, column_name, sub_part) AS d \
             FROM information_schema.statistics WHERE table_schema = DATABASE()",
            "SELECT CONCAT_WS(' ', 'key', table_name, column_name, referenced_table_name, referenced_column_name) AS d \
             FROM information_schema.key_column_usage WHERE table_schema = DATABASE()",
            "SELECT CONCAT_WS(' ', 'trigger', trigger_name, event_manipulation, event_object_table, action_statement) AS d \
             FROM information_schema.triggers WHERE trigger_schema = DATABASE()",
        ],
    };
    let mut all = BTreeSet::new();
    for statement in asked {
        let rows = database.rows(statement).await;
        all.extend(rows.iter().map(|row| row.try_get::<String>("", "d").unwrap()));
    }
    all
}

/// The value of a column in the one row that a statement finds.
async fn text(database: &TestDatabase, statement: &str) -> String {
    let rows = database.rows(statement).await;
    assert_eq!(rows.len(), 1, "{statement}");
    rows[0].try_get("", "t").unwrap()
}

async fn becomes_what_an_empty_one_becomes(backend: Backend, dump: &str) {
    let database = loaded(backend, dump).await;
    let before = schema(&database).await;
    let store = Store::connect(database.parsed(), keys()).await.unwrap();
    let (migrated, fresh) = (schema(&database).await, schema(&World::new(backend).await.database).await);
    assert!(fresh.len() > 40 && !before.is_superset(&fresh), "{} of {}", before.len(), fresh.len());
    let only_in =
        |one: &BTreeSet<String>, other: &BTreeSet<String>| one.difference(other).cloned().collect::<Vec<_>>();
    assert_eq!(only_in(&migrated, &fresh), [""; 0], "not in an empty one");
    assert_eq!(only_in(&fresh, &migrated), [""; 0], "only in an empty one");
    everything_is_readable(&database, &store).await;
    // The version before is not needed for it: a second start finds everything in place.
    Store::connect(database.parsed(), keys()).await.unwrap();
}

/// What the version before wrote: two agents, a recording that was sealed, one that is open, a chain that ended and one that
/// did not.
async fn everything_is_readable(database: &TestDatabase, store: &Store) {
    let key = store.find_access_key(&"root-key".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(key.secret.reveal(), "root-secret");
    let page = persistence::PageRequest::Number { number: 1, size: 10 };
    let granted = owner::<ListAgents>(&account(), list_of(None));
    assert_eq!(store.list_agents(&granted, page).await.unwrap().agents.len(), 2);
    for (instance, segments, status) in
        [("i-web1", 2, WireStatus::Finished), ("i-web2", 1, WireStatus::Running)]
    {
        let found = format!("SELECT token AS t FROM recordings WHERE instance_id = '{instance}'");
        let token = text(database, &found).await.parse().unwrap();
        let found = format!("SELECT agent_id AS t FROM agents WHERE instance_id = '{instance}'");
        let agent: Agent =
            store.find_agent(&text(database, &found).await.parse().unwrap()).await.unwrap().unwrap();
        let granted = as_agent::<AcknowledgeSegment>(&agent);
        let recording = store.find_recording(&granted, &token).await.unwrap().unwrap();
        assert_eq!((recording.status(), recording.arrived.segments), (status, segments));
        let arrived = store.streams_of_recording(&granted, &token).await.unwrap();
        assert_eq!(
            arrived
                .iter()
                .filter(|of| of.segments > 0)
                .map(|of| (of.stream, of.segments))
                .collect::<Vec<_>>(),
            [(Stream::Terminal, segments)]
        );
        if recording.state == RecordingState::Open {
            let next = segment(&token, segments, at(10_000));
            let next = SegmentAcknowledged {
                arrived: ArrivedStream { segments: segments + 1, ..next.arrived },
                ..next
            };
            store.apply(&granted, next, event(&account(), "AcknowledgeSegment")).await.unwrap();
        }
    }
    let replayed = NonceClaim { hash: [7; 32], expires_at: at(900_000), now: at(0) };
    assert!(!store.claim_nonce(replayed).await.unwrap());
    store.anchor_audit(at(20_000)).await.unwrap();
    let found = store.verify_audit(HeldAgainst::default()).await.unwrap();
    assert_eq!((found.verdict(), &found.findings), (AuditVerdict::Whole, &vec![]));
    assert_eq!(
        (found.writers.len(), found.unknown_signatures),
        (3, 0),
        "those of that version, and this one"
    );
    assert!(found.writers.iter().all(|writer| writer.anchored > 0), "{found:?}");
}

macro_rules! fixtures {
    ($($test:ident: $backend:ident, $file:literal;)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            becomes_what_an_empty_one_becomes(Backend::$backend, include_str!(concat!("../fixtures/", $file))).await;
        }
    )+};
}

fixtures! {
    a_sqlite_of_2aa376f6: Sqlite, "2aa376f6-sqlite.sql";
    a_postgres_of_2aa376f6: Postgres, "2aa376f6-postgres.sql";
    a_sqlite_of_ded2fe2f: Sqlite, "ded2fe2f-sqlite.sql";
    a_postgres_of_ded2fe2f: Postgres, "ded2fe2f-postgres.sql";
    a_mariadb_of_ded2fe2f: MariaDb, "ded2fe2f-mariadb.sql";
}
