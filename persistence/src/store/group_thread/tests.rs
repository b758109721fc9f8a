use std::path::Path;
use std::sync::Arc;

use domain::access_key::AccessKeySecret;
use domain::audit::{AuditDecision, AuditEvent};
use domain::decided_under::{DecidedUnder, Revisions, Under};
use domain::server_keys::ServerKeys;
use domain::{AccountId, Timestamp};
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use tokio::task::spawn_blocking;

use super::*;
use crate::dialect::sqlite_direct::Column;
use crate::{AuditVerdict, DatabaseUrl, HeldAgainst, NonceClaim, Store};

/// A call of the test below.
impl MayChange for u32 {
    fn has_change(&self) -> bool {
        false
    }
}

#[test]
fn a_panic_costs_its_group_alone_and_the_thread_ends_with_the_last_sender() {
    let (calls, waiting) = mpsc::channel(10);
    let (told, outcomes) = std::sync::mpsc::channel();
    let writing = WritingSince::default();
    let seen = writing.clone();
    let thread = thread::spawn(move || {
        run(waiting, WithChanges::new(Arc::default()), &writing.clone(), |group: Vec<u32>| {
            assert!(writing.elapsed().is_some());
            assert!(!group.contains(&1), "the test wants it");
            told.send(group).unwrap();
        });
    });
    for call in 0..3 {
        calls.blocking_send(call).unwrap();
        if call != 1 {
            assert_eq!(outcomes.recv().unwrap(), [call]);
        } else {
            while calls.capacity() < calls.max_capacity() {
                thread::yield_now();
            }
        }
    }
    drop(calls);
    thread.join().unwrap();
    assert!(seen.elapsed().is_none());
}

fn accounts() -> [AccountId; 2] {
    ["1609982529000000", "1609982529000001"].map(|id| id.parse().unwrap())
}

/// A store in this folder, whose chain has this name.
async fn store(folder: &Path, name: &str) -> Store {
    let file = folder.join(format!("{name}.db"));
    let keys = Arc::new(ServerKeys::generate().unwrap());
    let store = Store::connect(DatabaseUrl::sqlite_file(&file), keys).await.unwrap();
    for account in accounts() {
        let (key, secret) = (format!("key-{account}").parse().unwrap(), AccessKeySecret::new("s".to_owned()));
        store.ensure_root(&account, &key, &secret, Timestamp::from_millis(0)).await.unwrap();
    }
    store.inner.audit.chain().await.begin_as("the-chain-of-the-test");
    store
}

/// The thread of this store, which is not the one that it has.
fn thread_of(store: &Store) -> GroupThread {
    let (file, turns) = store.inner.connections.file().unwrap();
    let (file, turns) = (file.to_owned(), turns.clone());
    GroupThread { file, turns, runtime: Handle::current(), connection: None }
}

fn claim(number: u8) -> NonceClaim {
    let (expires_at, now) = (Timestamp::from_millis(1_000), Timestamp::from_millis(0));
    NonceClaim { hash: [number; 32], expires_at, now }
}

fn event(account: AccountId, number: u64) -> AuditEvent {
    AuditEvent {
        request_id: format!("request {number}"),
        at: Timestamp::from_millis(number as i64),
        principal: format!("acs:ram::{account}:user/an\0a"),
        access_key_id: number.is_multiple_of(3).then(|| "LTAI".to_owned()),
        action: "Look".to_owned(),
        resource: format!("acs:ecs-workbench:cn-hangzhou:{account}:workbench/i-bp1example"),
        decision: match number % 4 {
            0 => AuditDecision::NotAsked,
            1 => AuditDecision::Allowed { by: "read-only#1".to_owned() },
            2 => AuditDecision::Denied { by: Some("no#1".to_owned()) },
            _ => AuditDecision::Denied { by: None },
        },
        result: "OK".to_owned(),
        source_address: number.is_multiple_of(2).then(|| "192.0.2.1".parse().unwrap()),
        user_agent: "é".repeat(number as usize % 5),
        recording: number.is_multiple_of(5).then(|| "s-1".to_owned()),
        how: String::new(),
        account,
    }
}

/// Numbers without an order, the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// A group of calls: claims that repeat within it and after others, decisions that hold or do not, calls with rows and
/// without. The outcomes are dropped: what is compared is what the group itself says.
async fn group(store: &Store, numbers: &mut Numbers) -> Vec<Waiting> {
    let mut revisions = Vec::new();
    for account in accounts() {
        let reader = store.inner.connections.reader();
        let standing = revision_rows::of_account(reader, &account).await.unwrap();
        revisions.push((account, standing));
    }
    let calls = 1 + numbers.below(40);
    let call = |_| {
        let claim = (numbers.below(4) > 0).then(|| claim(numbers.below(200) as u8));
        let mut under = DecidedUnder::default();
        for (account, Revisions { account: own, instances }) in &revisions {
            let read_under = match numbers.below(8) {
                0..3 => Under { account: *own, instances: None },
                3 => Under { account: *own, instances: Some(*instances) },
                4 => Under { account: own - 1, instances: None },
                5 => Under { account: *own, instances: Some(instances - 1) },
                _ => continue,
            };
            under.add(account, read_under);
        }
        let events = (0..numbers.below(3)).map(|_| {
            let account = accounts()[numbers.below(2) as usize].clone();
            event(account, numbers.below(1_000))
        });
        let events = events.collect();
        Waiting::for_test(store, claim, events, under)
    };
    (0..calls).map(call).collect()
}

async fn rows(store: &Store, table: &str, columns: &str) -> Vec<String> {
    let text = format!("SELECT json_array({columns}) FROM {table} ORDER BY 1");
    let statement = Statement::from_string(DbBackend::Sqlite, text);
    let rows = store.inner.connections.reader().query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

async fn all_rows(store: &Store) -> [Vec<String>; 3] {
    let event = "writer_id, sequence, chain, request_id, at, account_id, principal, access_key_id, action, resource, \
                 decision, decided_by, result, source_address, user_agent, recording, how, instance_id";
    [
        rows(store, "audit_events", event).await,
        rows(store, "nonces", "id, HEX(hash), expires_at").await,
        rows(store, "audit_writers", "writer_id, origin, closed_at").await,
    ]
}

/// Commits a part on the thread; what is not plain goes to the driver. Says whether it was plain.
async fn on_thread(own: GroupThread, store: &Store, part: Vec<Waiting>) -> (GroupThread, Vec<Settled>, bool) {
    let inner = Arc::clone(&store.inner);
    let written = spawn_blocking(move || {
        let mut own = own;
        match own.write_plainly(&inner, &part).unwrap() {
            Some(settled) => (own, settled, true),
            None => {
                let (_, settled) = own.write_by_driver(&inner, part);
                (own, settled.unwrap(), false)
            }
        }
    });
    written.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_thread_and_the_driver_write_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let [direct, driven] = [store(folder.path(), "direct").await, store(folder.path(), "driven").await];
    let mut own = thread_of(&direct);
    let [mut for_direct, mut for_driven] = [Numbers(7), Numbers(7)];
    let (mut plain, mut outcomes) = (0, [0; 3]);
    for number in 0..60 {
        let part = group(&direct, &mut for_direct).await;
        let (back, settled, was_plain) = on_thread(own, &direct, part).await;
        own = back;
        plain += u32::from(was_plain);
        let part = group(&driven, &mut for_driven).await;
        assert_eq!(settled, driven.inner.write_group(&part).await.unwrap(), "group {number}");
        for settled in settled {
            outcomes[settled as usize] += 1;
        }
    }
    assert_eq!(all_rows(&direct).await, all_rows(&driven).await);
    assert!(plain >= 58, "only the beginning of the chain is not plain: {plain} of 60");
    assert!(outcomes.iter().all(|of_a_kind| *of_a_kind > 50), "{outcomes:?}");
    assert_whole(&direct).await;
}

async fn assert_whole(store: &Store) {
    let found = store.verify_audit(HeldAgainst::default()).await.unwrap();
    assert!(matches!(found.verdict(), AuditVerdict::Whole | AuditVerdict::Unanchored), "{found:?}");
    assert_eq!(found.findings, []);
}

/// What another process added is claimed, and goes the way that reads it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonces_that_another_process_added_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), "shared").await;
    let mut own = thread_of(&store);
    let call = |number| {
        let events = vec![event(accounts()[0].clone(), number)];
        vec![Waiting::for_test(&store, Some(claim(number as u8)), events, DecidedUnder::default())]
    };
    for (number, expected) in [(1, false), (2, true), (3, true)] {
        let (back, settled, plain) = on_thread(own, &store, call(number)).await;
        own = back;
        assert_eq!((settled.as_slice(), plain), ([Settled::Committed].as_slice(), expected), "{number}");
    }
    let other = Direct::open(store.inner.connections.file().unwrap().0).unwrap();
    let added = other.begin().unwrap();
    let mut insert = added.for_each_row("INSERT INTO nonces VALUES (?, ?, ?)").unwrap();
    insert.run(&[4.into(), Column::Bytes(&[9; 32]), 1_000.into()]).unwrap();
    drop(insert);
    added.commit().unwrap();
    for (number, expected, plain_now) in
        [(9, Settled::NonceUsed, false), (9, Settled::NonceUsed, true), (10, Settled::Committed, true)]
    {
        let (back, settled, plain) = on_thread(own, &store, call(number)).await;
        own = back;
        assert_eq!((settled.as_slice(), plain), ([expected].as_slice(), plain_now), "{number}");
    }
    assert_whole(&store).await;
}

/// Nothing of a group that found no room is left, its callers learn it, and what follows is written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_and_the_chain_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), "full").await;
    let call = |number: u8| {
        let events = vec![event(accounts()[0].clone(), number.into())];
        Waiting::for_test(&store, Some(claim(number)), events, DecidedUnder::default())
    };
    let (own, _, _) = on_thread(thread_of(&store), &store, vec![call(0)]).await;
    let (mut own, settled, plain) = on_thread(own, &store, vec![call(1)]).await;
    assert_eq!((settled.as_slice(), plain), ([Settled::Committed].as_slice(), true));
    own.connection.as_ref().unwrap().permit_no_more_pages();
    let (mut refused, inner) = (None, Arc::clone(&store.inner));
    for first in (2..200).step_by(20) {
        let part: Vec<_> = (first..first + 20).map(call).collect();
        let inner = Arc::clone(&inner);
        let written = spawn_blocking(move || {
            let mut own = own;
            let written = own.write_plainly(&inner, &part);
            (own, written)
        });
        let (back, written) = written.await.unwrap();
        own = back;
        match written {
            Ok(settled) => assert!(settled.unwrap().iter().all(|settled| *settled == Settled::Committed)),
            Err(error) => {
                refused = Some((first, error));
                break;
            }
        }
    }
    let (first, error) = refused.expect("there was room for everything");
    assert!(
        matches!(&error, StoreError::Unavailable { source, .. } if source.to_string().contains("full")),
        "{error:?}"
    );
    assert!(!store.inner.blames_a_row(&error), "no row is to blame");
    let count = async || rows(&store, "audit_events", "sequence").await.len();
    assert_eq!(count().await, usize::from(first), "nothing of it is left");
    // There is room again: the driver's connection has no limit. It finds out where the chain ends.
    let again = |own| on_thread(own, &store, vec![call(first), call(first + 1)]);
    let (mut own, settled, plain) = again(own).await;
    assert_eq!((settled.as_slice(), plain), ([Settled::Committed; 2].as_slice(), false));
    own.connection = None;
    let (_, settled, plain) = on_thread(own, &store, vec![call(first), call(first + 2)]).await;
    assert_eq!((settled.as_slice(), plain), ([Settled::NonceUsed, Settled::Committed].as_slice(), true));
    assert_eq!(count().await, usize::from(first) + 3);
    assert_whole(&store).await;
}
