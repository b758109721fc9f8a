//! Transactions that the database rolls back in favour of another one.

use std::time::{Duration, Instant};

use domain::agent_link::ReplicaId;
use domain::identity::{GroupName, NewGroup, UserName};
use sea_orm::{ConnectionTrait, TransactionTrait};

use test_facts::{Backend, World, account, as_operator, at, event, instance, other_account};

/// MariaDB answers about its transactions from a copy, which it renews only when nobody has read it for 100 ms: whoever
/// looks more often sees the first answer for ever.
pub(crate) const BETWEEN_LOOKS: Duration = Duration::from_millis(150);

/// How many transactions of this database wait for a lock.
pub(crate) fn waiting(backend: Backend) -> &'static str {
    match backend {
        Backend::Sqlite => unreachable!("SQLite has one writer, which waits for no row"),
        Backend::Postgres => {
            "SELECT COUNT(*) AS n FROM pg_stat_activity \
             WHERE datname = current_database() AND wait_event_type = 'Lock'"
        }
        Backend::MariaDb => {
            "SELECT COUNT(*) AS n FROM information_schema.innodb_trx t \
             JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id \
             WHERE t.trx_state = 'LOCK WAIT' AND p.db = DATABASE()"
        }
    }
}

/// The store locks a user and waits for a group; another transaction holds the group and then wants the user. The
/// database must roll one of them back, and picks the store's: nothing of that attempt may be left, and the whole change
/// must be made, and written to the audit trail, once.
async fn what_was_undone_for_another_is_done_anew_and_audited_once(backend: Backend) {
    let world = World::new(backend).await;
    match backend {
        Backend::Sqlite | Backend::MariaDb => {}
        // A transaction that has waited this long checks for a deadlock, once: the store's does, and not before the
        // other one waits too.
        Backend::Postgres => {
            let name = world.database.rows("SELECT current_database()::text AS name").await;
            let name: String = name[0].try_get("", "name").unwrap();
            world.database.execute(&format!("ALTER DATABASE {name} SET deadlock_timeout = '4s'")).await;
        }
    }
    let (store, operator) = (world.replica().await, as_operator(&account()));
    let (ana, crew) = (UserName::parse("ana").unwrap(), GroupName::parse("crew").unwrap());
    store.create_user(&operator, &ana, at(1), event(&account(), "CreateUser")).await.unwrap();
    let group = NewGroup { name: crew.clone(), comments: String::new() };
    store.create_group(&operator, group, at(1), event(&account(), "CreateGroup")).await.unwrap();

    let raw = world.database.raw().await;
    match backend {
        Backend::Sqlite | Backend::MariaDb => {}
        Backend::Postgres => {
            raw.execute_unprepared("SET deadlock_timeout = '60s'").await.map(drop).unwrap();
        }
    }
    let other = raw.begin().await.unwrap();
    // MariaDB rolls back the transaction that has changed less.
    let many: Vec<String> = (0..500).map(|number| format!("('w{number}', 0, 0, 0)")).collect();
    let many = format!(
        "INSERT INTO audit_writers (writer_id, heard_at, exported_events, exported_anchors) VALUES {}",
        many.join(", ")
    );
    other.execute_unprepared(&many).await.unwrap();
    other.execute_unprepared("UPDATE groups SET comments = 'theirs' WHERE name = 'crew'").await.unwrap();
    let (asked, user, group) = (store.clone(), ana.clone(), crew.clone());
    let joining = tokio::spawn(async move {
        let audit = event(&account(), "AddUserToGroup");
        asked.add_user_to_group(&as_operator(&account()), &user, &group, at(2), audit).await
    });
    let since = Instant::now();
    while world.database.rows(waiting(backend)).await[0].try_get::<i64>("", "n").unwrap() == 0 {
        assert!(since.elapsed() < Duration::from_secs(20), "the store does not wait for the group");
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    let user = "UPDATE users SET comments = 'theirs' WHERE name = 'ana'";
    other.execute_unprepared(user).await.expect("the store was undone, which held the user");
    other.commit().await.unwrap();
    joining.await.unwrap().unwrap();

    assert_eq!(world.count("group_members", "1 = 1").await, 1);
    assert_eq!(world.count("audit_events", "action = 'AddUserToGroup'").await, 1);
    assert_eq!(world.count("users", "comments = 'theirs'").await, 1);
    crate::audit::assert_chains_are_whole(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_undone_for_another_is_done_anew_and_audited_once_on_postgres() {
    what_was_undone_for_another_is_done_anew_and_audited_once(Backend::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_undone_for_another_is_done_anew_and_audited_once_on_mariadb() {
    what_was_undone_for_another_is_done_anew_and_audited_once(Backend::MariaDb).await;
}

/// Another transaction holds what all changes of an account wait for. However many wait, whoever only reads, or changes
/// something of another account, finds a connection.
async fn changes_that_wait_leave_connections_to_those_who_read(backend: Backend) {
    let world = World::new(backend).await;
    let raw = world.database.raw().await;
    let other = raw.begin().await.unwrap();
    let hold = format!("UPDATE revisions SET revision = revision + 1 WHERE account_id = '{}'", account());
    other.execute_unprepared(&hold).await.unwrap();
    let change = |number: usize| {
        let store = world.store.clone();
        let tags = vec![("env".parse().unwrap(), format!("v{number}").parse().unwrap())];
        let audit = event(&account(), "Tag");
        async move {
            let operator = as_operator(&account());
            store.tag_instance(&operator, &instance("web1"), Vec::new(), tags, audit).await
        }
    };
    let changes: Vec<_> = (0..40).map(|number| tokio::spawn(change(number))).collect();
    let since = Instant::now();
    while world.database.rows(waiting(backend)).await[0].try_get::<i64>("", "n").unwrap() < 8 {
        assert!(since.elapsed() < Duration::from_secs(20), "the changes do not wait");
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    let reading = async {
        for _ in 0..20 {
            world.store.configuration_revision(&other_account()).await.unwrap();
        }
    };
    // Before the database ends the wait, or the transaction that is waited for.
    let read = tokio::time::timeout(Duration::from_secs(2), reading).await;
    other.commit().await.unwrap();
    assert!(read.is_ok(), "those who read wait for those who change");
    for changed in changes {
        changed.await.unwrap().unwrap();
    }
    assert_eq!(world.count("audit_events", "action = 'Tag'").await, 40);
}

/// A replica whose calls have all connections still lives, and the database is not gone.
async fn a_lease_is_renewed_whoever_waits(backend: Backend) {
    let world = World::new(backend).await;
    let replica = ReplicaId::generate();
    world.store.renew_replica(&replica, None).await.unwrap().unwrap();
    let raw = world.database.raw().await;
    let (lock, unlock) = match backend {
        Backend::MariaDb => ("LOCK TABLES accounts WRITE", "UNLOCK TABLES"),
        _ => ("BEGIN; LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE", "COMMIT"),
    };
    raw.execute_unprepared(lock).await.unwrap();
    let read = |_: usize| {
        let store = world.store.clone();
        async move { store.ping().await }
    };
    let reads: Vec<_> = (0..40).map(|number| tokio::spawn(read(number))).collect();
    // More than the pool has connections: when one of them is not answered, all wait.
    let since = Instant::now();
    while tokio::time::timeout(BETWEEN_LOOKS, world.store.configuration_revision(&account())).await.is_ok() {
        assert!(since.elapsed() < Duration::from_secs(20), "those who read have connections left");
    }
    let renewed = world.store.renew_replica(&replica, None);
    let renewed = tokio::time::timeout(Duration::from_secs(2), renewed).await;
    raw.execute_unprepared(unlock).await.unwrap();
    assert!(renewed.is_ok_and(|live| live.unwrap().is_some()), "it waits for those who read");
    for read in reads {
        read.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_is_renewed_whoever_waits_on_postgres() {
    a_lease_is_renewed_whoever_waits(Backend::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_is_renewed_whoever_waits_on_mariadb() {
    a_lease_is_renewed_whoever_waits(Backend::MariaDb).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_that_wait_leave_connections_to_those_who_read_on_postgres() {
    changes_that_wait_leave_connections_to_those_who_read(Backend::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_that_wait_leave_connections_to_those_who_read_on_mariadb() {
    changes_that_wait_leave_connections_to_those_who_read(Backend::MariaDb).await;
}
