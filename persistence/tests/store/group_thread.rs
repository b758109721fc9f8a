//! The thread that commits groups of calls on SQLite, beside those who change something, and when its store is gone.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use domain::audit::AuditEvent;
use persistence::{NonceClaim, Store};
use tokio::task::JoinSet;

use test_facts::{Backend, World, account, as_operator, at, event, instance, until_async};

/// A use of this number, in a call with a row.
async fn call(store: &Store, number: usize) -> bool {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&number.to_be_bytes());
    let claim = NonceClaim { hash, expires_at: at(1_000), now: at(0) };
    let row = AuditEvent { request_id: number.to_string(), ..event(&account(), "ListAgents") };
    store.record_audit_once(claim, row).await.unwrap()
}

/// However many calls there are at once, whoever changes something comes to its turn, and the calls go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_take_their_turn_while_calls_keep_the_thread_busy() {
    const CHANGES: usize = 20;
    let world = World::new(Backend::Sqlite).await;
    let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut callers = JoinSet::new();
    for _ in 0..32 {
        let (store, stop, calls) = (world.store.clone(), Arc::clone(&stop), Arc::clone(&calls));
        callers.spawn(async move {
            let mut made = 0;
            while !stop.load(Ordering::Relaxed) {
                assert!(call(&store, calls.fetch_add(1, Ordering::Relaxed)).await);
                made += 1;
            }
            made
        });
    }
    for number in 0..CHANGES {
        let before = calls.load(Ordering::Relaxed);
        until_async("the calls go on", async || (calls.load(Ordering::Relaxed) > before + 64).then_some(()))
            .await;
        let (operator, on, audit) = (as_operator(&account()), instance("web1"), event(&account(), "Tag"));
        let tags = vec![("env".parse().unwrap(), format!("v{number}").parse().unwrap())];
        let change = world.store.tag_instance(&operator, &on, Vec::new(), tags, audit);
        // SQLite's own waiting would give up after longer.
        tokio::time::timeout(Duration::from_secs(8), change).await.expect("it starves").unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    let made: i64 = callers.join_all().await.into_iter().sum();
    assert_eq!(world.count("audit_events", "action = 'ListAgents'").await, made);
    assert_eq!(world.count("audit_events", "action = 'Tag'").await, CHANGES as i64);
    assert_eq!(world.count("nonces", "1 = 1").await, made);
    crate::audit::assert_chains_are_whole(&world).await;
}

/// How many descriptors of this process are open to the file, or to one beside it.
fn open_to(file: &Path) -> usize {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap();
    // One that was closed meanwhile leads nowhere.
    let targets = descriptors.filter_map(|descriptor| std::fs::read_link(descriptor.ok()?.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with(&*file.to_string_lossy())).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_thread_of_a_store_that_is_dropped_ends_and_closes_the_file() {
    let world = World::new(Backend::Sqlite).await;
    let file = std::fs::canonicalize(world.database.url.strip_prefix("sqlite:").unwrap()).unwrap();
    for number in 0..3 {
        assert!(call(&world.store, number).await);
    }
    let World { store, database, .. } = world;
    let clone = store.clone();
    drop(store);
    assert!(call(&clone, 3).await, "somebody still has it");
    assert!(open_to(&file) > 0);
    drop(clone);
    until_async("the file is closed", async || (open_to(&file) == 0).then_some(())).await;
    // Whoever closes a file last copies the log into it.
    assert!(!file.with_extension("db-wal").exists());
    drop(database);
}
