//! A database that falls silent: the network between it and a replica loses everything without a word, as when a firewall
//! forgets a connection. The replica does not wait until TCP gives up.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::actions::CreateAgentJoinToken;
use domain::audit::AuditEvent;
use domain::gate::Resource;
use domain::identity::AccessKeyId;
use persistence::{AuditVerdict, DatabaseUrl, HeldAgainst, JoinTokenIssued, NonceClaim, Store, StoreError};
use sea_orm::{ConnectionTrait, DatabaseConnection};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use test_facts::{Backend, World, account, at, event, join_token, owner, until_async};

use crate::group_statement::{open_the_gate_and, stand_at_the_commit, until_it_stands};

/// A proxy before the database's socket, which can stop to forward and closes nothing.
struct Silencer {
    /// Its socket.
    socket: PathBuf,
    /// How many connections it has forgotten, and whether it also forgets new ones.
    silence: watch::Sender<Silence>,
    _folder: TempDir,
}

#[derive(Clone, Copy)]
struct Silence {
    /// Connections with a smaller number are lost for ever.
    below: u64,
    /// Nothing at all passes.
    everywhere: bool,
    /// How many connections there were.
    made: u64,
}

impl Silencer {
    fn before(socket: PathBuf, name: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let own = folder.path().join(name);
        let listener = UnixListener::bind(&own).unwrap();
        let (silence, _) = watch::channel(Silence { below: 0, everywhere: false, made: 0 });
        let told = silence.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut number = 0;
                told.send_modify(|silence| {
                    number = silence.made;
                    silence.made += 1;
                });
                let server = UnixStream::connect(&socket).await.unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(forward(from_client, to_server, number, told.subscribe()));
                tokio::spawn(forward(from_server, to_client, number, told.subscribe()));
            }
        });
        Self { socket: own, silence, _folder: folder }
    }

    /// Loses the connections that there are.
    fn lose_connections(&self) {
        self.silence.send_modify(|silence| silence.below = silence.made);
    }

    /// Loses everything, until further notice.
    fn lose_everything(&self) {
        self.silence.send_modify(|silence| (silence.below, silence.everywhere) = (silence.made, true));
    }

    fn pass_again(&self) {
        self.silence.send_modify(|silence| silence.everywhere = false);
    }

    fn connections(&self) -> u64 {
        self.silence.borrow().made
    }
}

async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    number: u64,
    mut silence: watch::Receiver<Silence>,
) {
    let mut piece = vec![0; 64 * 1024];
    loop {
        let Ok(read @ 1..) = from.read(&mut piece).await else {
            let lost = |silence: &Silence| silence.below > number;
            if lost(&silence.borrow()) {
                // What is lost is not closed either, for the other side.
                std::future::pending::<()>().await;
            }
            return;
        };
        let passes = |silence: &Silence| silence.below <= number && !silence.everywhere;
        if silence.wait_for(passes).await.is_err() || to.write_all(&piece[..read]).await.is_err() {
            return;
        }
    }
}

/// A replica whose network can fall silent.
async fn replica_behind(world: &World) -> (Store, Silencer) {
    let url = &world.database.url;
    let (silencer, url) = match world.database.backend {
        Backend::Sqlite => unreachable!("a file has no network"),
        Backend::Postgres => {
            let (_, folder) = url.split_once("host=").unwrap();
            let silencer = Silencer::before(Path::new(folder).join(".s.PGSQL.5432"), ".s.PGSQL.5432");
            let own = silencer.socket.parent().unwrap().display().to_string();
            let url = url.replace(folder, &own);
            (silencer, url)
        }
        Backend::MariaDb => {
            let (_, socket) = url.split_once("socket=").unwrap();
            let silencer = Silencer::before(PathBuf::from(socket), "socket");
            let url = url.replace(socket, &silencer.socket.display().to_string());
            (silencer, url)
        }
    };
    let url = DatabaseUrl::parse(&url).unwrap();
    (Store::connect(url, Arc::clone(&world.keys)).await.unwrap(), silencer)
}

fn claim(number: u64) -> NonceClaim {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&number.to_be_bytes());
    NonceClaim { hash, expires_at: at(1_000), now: at(0) }
}

fn row(request_id: impl ToString) -> AuditEvent {
    AuditEvent { request_id: request_id.to_string(), ..event(&account(), "ListAgents") }
}

async fn assert_whole(world: &World) {
    let found = world.store.verify_audit(HeldAgainst::default()).await.unwrap();
    assert!(matches!(found.verdict(), AuditVerdict::Whole | AuditVerdict::Unanchored), "{found:?}");
    assert_eq!(found.findings, []);
}

/// Uses numbers from there on until a call succeeds; returns the number that did.
async fn until_it_writes(store: &Store, from: u64) -> u64 {
    let mut number = from;
    until_async("the writer works again", async || {
        number += 1;
        match store.record_audit_once(claim(number), row(number)).await {
            Ok(fresh) => fresh.then_some(()),
            Err(StoreError::WriterBehind { .. } | StoreError::Unavailable { .. }) => None,
            Err(other) => panic!("{number}: {other:?}"),
        }
    })
    .await;
    number
}

macro_rules! on_servers {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                super::$test(test_facts::World::new(test_facts::Backend::Postgres).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_mariadb() {
                super::$test(test_facts::World::new(test_facts::Backend::MariaDb).await).await;
            }
        }
    )+};
}

on_servers!(
    a_writer_whose_connection_is_lost_without_a_word_works_again,
    a_change_whose_connection_is_lost_without_a_word_holds_up_no_call,
    the_database_ends_a_transaction_in_which_nothing_happens,
    a_network_that_loses_everything_for_a_while_costs_nothing_that_was_answered,
);

async fn a_writer_whose_connection_is_lost_without_a_word_works_again(world: World) {
    let (store, silencer) = replica_behind(&world).await;
    for number in 0..5 {
        assert!(store.record_audit_once(claim(number), row(number)).await.unwrap());
    }
    silencer.lose_connections();
    let since = Instant::now();
    let told = store.record_audit_once(claim(5), row(5)).await;
    assert!(matches!(told, Err(StoreError::WriterBehind { .. })), "{told:?}");
    let number = until_it_writes(&store, 10).await;
    assert!(since.elapsed() < Duration::from_secs(25), "{:?}", since.elapsed());
    for number in (0..5).chain([number]) {
        let answered = format!("request_id = '{number}'");
        assert_eq!(world.count("audit_events", &answered).await, 1, "{number} was answered");
        assert!(!store.record_audit_once(claim(number), row("again")).await.unwrap(), "{number}");
    }
    assert_whole(&world).await;
}

/// A change holds the chain while it writes its row, for which every call waits.
async fn a_change_whose_connection_is_lost_without_a_word_holds_up_no_call(world: World) {
    let (store, silencer) = replica_behind(&world).await;
    assert!(store.record_audit_once(claim(0), row(0)).await.unwrap());
    let held = hold(&world).await;
    let changing = {
        let (store, token) = (store.clone(), join_token(&account(), "*", false, at(0)).1);
        let granted = owner::<CreateAgentJoinToken>(&account(), Resource::Everything);
        let row = event(&account(), "CreateAgentJoinToken");
        tokio::spawn(async move { store.apply(&granted, JoinTokenIssued { token }, row).await })
    };
    until_waiting(&world).await;
    silencer.lose_connections();
    release(&world, &held).await;
    let since = Instant::now();
    let number = until_it_writes(&store, 10).await;
    assert!(since.elapsed() < Duration::from_secs(25), "{:?}", since.elapsed());
    let told = changing.await.unwrap();
    assert!(matches!(told, Err(StoreError::Unavailable { .. })), "{told:?}");
    // Reads go on as well, on new connections, and at once.
    let key = AccessKeyId::parse("root-key").unwrap();
    let read = tokio::time::timeout(Duration::from_secs(5), store.find_access_key(&key)).await;
    assert!(read.expect("it is read at once").unwrap().is_some());
    assert_eq!(world.count("audit_events", &format!("request_id = '{number}'")).await, 1);
    assert_whole(&world).await;
}

/// Has everybody wait who writes audit rows.
async fn hold(world: &World) -> DatabaseConnection {
    let held = world.database.raw().await;
    let hold = match world.database.backend {
        Backend::MariaDb => "LOCK TABLES audit_events WRITE",
        Backend::Postgres | Backend::Sqlite => "BEGIN; LOCK TABLE audit_events IN EXCLUSIVE MODE",
    };
    held.execute_unprepared(hold).await.unwrap();
    held
}

async fn release(world: &World, held: &DatabaseConnection) {
    let release = match world.database.backend {
        Backend::MariaDb => "UNLOCK TABLES",
        Backend::Postgres | Backend::Sqlite => "COMMIT",
    };
    held.execute_unprepared(release).await.unwrap();
}

async fn until_waiting(world: &World) {
    let waiting = match world.database.backend {
        Backend::MariaDb => {
            "SELECT COUNT(*) AS n FROM information_schema.processlist \
             WHERE db = DATABASE() AND state LIKE 'Waiting for table%'"
        }
        Backend::Postgres | Backend::Sqlite => {
            "SELECT COUNT(*) AS n FROM pg_stat_activity \
             WHERE datname = current_database() AND wait_event_type = 'Lock'"
        }
    };
    until_async("somebody waits for the table", async || {
        (world.database.rows(waiting).await[0].try_get::<i64>("", "n").unwrap() == 1).then_some(())
    })
    .await;
}

async fn a_network_that_loses_everything_for_a_while_costs_nothing_that_was_answered(world: World) {
    let (store, silencer) = replica_behind(&world).await;
    let mut answered = Vec::new();
    for number in 0..20 {
        if store.record_audit_once(claim(number), row(number)).await.unwrap() {
            answered.push(number);
        }
    }
    silencer.lose_everything();
    let before = silencer.connections();
    for number in 20..24 {
        let told = store.record_audit_once(claim(number), row(number)).await;
        assert!(matches!(told, Err(StoreError::WriterBehind { .. })), "{number}: {told:?}");
    }
    until_async("another connection is tried", async || (silencer.connections() > before).then_some(()))
        .await;
    silencer.pass_again();
    answered.push(until_it_writes(&store, 100).await);
    for number in answered {
        let answered = format!("request_id = '{number}'");
        assert_eq!(world.count("audit_events", &answered).await, 1, "{number} was answered");
        assert!(!store.record_audit_once(claim(number), row("again")).await.unwrap(), "{number}");
    }
    assert_whole(&world).await;
}

/// Another replica that has stopped in the midst of a group holds the nonces that it claims.
async fn the_database_ends_a_transaction_in_which_nothing_happens(world: World) {
    let (lost, silencer) = replica_behind(&world).await;
    let held = hold(&world).await;
    let told = lost.record_audit_once(claim(1), row(1)).await;
    assert!(matches!(told, Err(StoreError::WriterBehind { .. })), "{told:?}");
    // Its connection is lost while the database works for it. When that is done, the transaction is idle.
    silencer.lose_everything();
    release(&world, &held).await;
    let since = Instant::now();
    until_async("its nonce is free", async || world.store.claim_nonce(claim(1)).await.ok()).await;
    assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
    assert_whole(&world).await;
}

/// Nobody knows what becomes of a group whose answer is lost. This one was committed: its call is refused when it comes again,
/// and its row is the only one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_is_in_doubt_and_the_chain_goes_on() {
    let world = World::new(Backend::Postgres).await;
    let (store, silencer) = replica_behind(&world).await;
    assert!(store.record_audit_once(claim(0), row(0)).await.unwrap());
    stand_at_the_commit(&world).await;
    let lost = {
        let store = store.clone();
        tokio::spawn(async move { store.record_audit_once(claim(1), row("stands")).await })
    };
    until_it_stands(&world).await;
    silencer.lose_connections();
    open_the_gate_and(&world, "SELECT 1").await;
    let told = lost.await.unwrap();
    assert!(matches!(told, Err(StoreError::WriterBehind { .. })), "{told:?}");
    let number = until_it_writes(&store, 10).await;
    assert!(!store.record_audit_once(claim(1), row("again")).await.unwrap());
    for request_id in ["stands", &number.to_string()] {
        assert_eq!(world.count("audit_events", &format!("request_id = '{request_id}'")).await, 1);
    }
    assert_whole(&world).await;
}
