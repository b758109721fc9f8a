//! What decides a call is kept in memory and changed by others all the time: no call is decided by what was changed before
//! it came, and none fails because much is changed.

use std::cell::Cell;
use std::time::{Duration, Instant};

use domain::actions::AdministerIdentity;
use domain::audit::{AuditDecision, AuditEvent};
use domain::gate::Granted;
use domain::identity::PolicyName;
use futures_util::future::join_all;
use persistence::{DatabaseUrl, Store};
use sea_orm::{ConnectionTrait as _, Database, Statement, TransactionTrait as _};
use test_facts::postgres::{FAST, new_database};
use test_facts::{as_operator, at, instance, mariadb, operator_event};
use test_server::{Key, Running};

const GET: &str = r#"{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "ecs-workbench:Get*", "Resource": "*"}]}"#;
const NOTHING: &str =
    r#"{"Version": "1", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}"#;

/// One control plane, or two replicas on one database, and what `hansard admin` has of them.
struct Scene {
    replicas: Vec<Running>,
    admin: Store,
    operator: Granted<AdministerIdentity>,
}

impl Scene {
    async fn of(replicas: Vec<Running>) -> Self {
        let url = DatabaseUrl::parse(&replicas[0].database_address()).unwrap();
        let admin = Store::connect_existing(url, replicas[0].site().keys.clone()).await.unwrap();
        let operator = as_operator(&replicas[0].account);
        Self { replicas, admin, operator }
    }

    async fn on_sqlite() -> Self {
        Self::of(vec![Running::start().await]).await
    }

    async fn of_two(database: String) -> Self {
        let one = Running::start_with(Some(database)).await;
        let other = one.another().await;
        Self::of(vec![one, other]).await
    }

    fn event(&self, action: &str) -> AuditEvent {
        operator_event(self.operator.account(), action, at(0))
    }

    async fn put_policy(&self, name: &str, document: &str) {
        let (name, audit) = (PolicyName::parse(name).unwrap(), self.event("PutPolicy"));
        self.admin.put_policy(&self.operator, &name, document, at(0), audit).await.unwrap();
    }

    async fn tag(&self, value: u32) {
        let audit = self.event("TagInstance");
        let set = vec![("env".parse().unwrap(), value.to_string().parse().unwrap())];
        self.admin.tag_instance(&self.operator, &instance("one"), Vec::new(), set, audit).await.unwrap();
    }
}

async fn get(replica: &Running, key: &Key) -> u16 {
    replica.call_as(key, "GetInstanceRecordConfig", &[("InstanceId", "i-one")]).await.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_is_decided_by_what_was_changed_before_it_came_on_sqlite() {
    no_call_is_decided_by_what_was_changed_before_it_came(Scene::on_sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_is_decided_by_what_was_changed_before_it_came_on_postgres() {
    no_call_is_decided_by_what_was_changed_before_it_came(Scene::of_two(new_database(FAST).await).await)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_is_decided_by_what_was_changed_before_it_came_on_mariadb() {
    let database = mariadb::new_database(mariadb::FAST).await;
    no_call_is_decided_by_what_was_changed_before_it_came(Scene::of_two(database).await).await;
}

async fn no_call_is_decided_by_what_was_changed_before_it_came(scene: Scene) {
    const CHANGES: u32 = 40;
    const CALLERS: usize = 8;
    let key = scene.replicas[0].user("ana", GET).await;
    // How many changes have begun, and what the policy says when none is under way.
    let state = Cell::new((0, Some(true)));
    let (ended, decided) = (Cell::new(false), Cell::new(0));
    let changes = async {
        for change in 1..=CHANGES {
            let allows = change % 2 == 0;
            state.set((change, None));
            scene.put_policy("ana", if allows { GET } else { NOTHING }).await;
            state.set((change, Some(allows)));
            let before = decided.get();
            while decided.get() < before + CALLERS {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        ended.set(true);
    };
    let calls = join_all((0..CALLERS).map(async |caller| {
        let replica = &scene.replicas[caller % scene.replicas.len()];
        while !ended.get() {
            let before = state.get();
            let status = get(replica, &key).await;
            if before.1.is_some() && before == state.get() {
                let expected = if before.1 == Some(true) { 200 } else { 403 };
                assert_eq!(status, expected, "after change {}", before.0);
                decided.set(decided.get() + 1);
            }
            assert!(matches!(status, 200 | 403), "{status}");
        }
    }));
    tokio::join!(changes, calls);
    // A row says what was decided, and the reply was the same.
    let rows = scene.replicas[0].audit_rows().await;
    let calls = rows.iter().filter(|row| row.action == "GetInstanceRecordConfig");
    for row in calls {
        let allowed = matches!(row.decision, AuditDecision::Allowed { .. });
        assert_eq!(allowed, row.result == "OK", "{row:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_rate_of_changes_makes_a_call_fail_on_sqlite() {
    no_rate_of_changes_makes_a_call_fail(Scene::on_sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_rate_of_changes_makes_a_call_fail_on_postgres() {
    no_rate_of_changes_makes_a_call_fail(Scene::of_two(new_database(FAST).await).await).await;
}

/// Each change of tags comes as soon as the one before was made. Calls that read and calls that change go through.
async fn no_rate_of_changes_makes_a_call_fail(scene: Scene) {
    const CALLERS: usize = 8;
    const CALLS_OF_EACH: usize = 20;
    let everything = GET.replace("ecs-workbench:Get*", "*");
    let key = scene.replicas[0].user("ana", &everything).await;
    let (left, changes) = (Cell::new(CALLERS), Cell::new(0));
    let changing = async {
        while left.get() > 0 {
            scene.tag(changes.get()).await;
            changes.set(changes.get() + 1);
        }
    };
    let calls = join_all((0..CALLERS).map(async |caller| {
        let replica = &scene.replicas[caller % scene.replicas.len()];
        let of_caller = format!("i-{caller}");
        for call in 0..CALLS_OF_EACH {
            let status = match call % 4 {
                0 => {
                    let parameters = [("InstanceId", of_caller.as_str()), ("Enabled", "true")];
                    replica.call_as(&key, "SetInstanceRecordConfig", &parameters).await.status
                }
                _ => get(replica, &key).await,
            };
            assert_eq!(status, 200, "call {call} of caller {caller}");
        }
        left.set(left.get() - 1);
    }));
    tokio::join!(changing, calls);
    assert!(changes.get() > 20, "only {} changes beside the calls", changes.get());
}

/// A call that itself takes longer than calls are decided again for, as one that reads much may, is not refused for one
/// change that was made meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_call_is_decided_again_after_a_change() {
    let database = new_database(FAST).await;
    let scene = Scene::of_two(database.clone()).await;
    let (holds, watches) =
        (Database::connect(&database).await.unwrap(), Database::connect(&database).await.unwrap());
    let held = holds.begin().await.unwrap();
    held.execute_unprepared("LOCK TABLE recordings IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let since = Instant::now();
    let changing = async {
        let waiting = "SELECT COUNT(*) FROM pg_stat_activity \
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let waiting = Statement::from_string(watches.get_database_backend(), waiting);
        let waits = async || {
            let row = watches.query_one_raw(waiting.clone()).await.unwrap().unwrap();
            row.try_get_by_index::<i64>(0).unwrap() > 0
        };
        while !waits().await {
            assert!(since.elapsed() < Duration::from_secs(20), "the call does not read");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        scene.tag(1).await;
        // It is this long that calls are decided again.
        tokio::time::sleep(Duration::from_millis(2_200)).await;
        held.commit().await.unwrap();
    };
    let listing = scene.replicas[0].call("ListInstanceRecords", &[]);
    let (reply, ()) = tokio::join!(listing, changing);
    assert_eq!(reply.status, 200);
}

/// A refusal that no row is written of asks whether the key is still as it is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_refused_for_what_is_no_longer_so() {
    use domain::access_key::AccessKeyStatus::{Active, Inactive};
    let scene = Scene::on_sqlite().await;
    let server = &scene.replicas[0];
    let key = server.user("ana", GET).await;
    for status in [Inactive, Active, Inactive, Active] {
        let audit = scene.event("SwitchKey");
        let id = key.id.parse().unwrap();
        scene.admin.set_access_key_status(&scene.operator, &id, status, audit).await.unwrap();
        assert_eq!(get(server, &key).await, if status == Active { 200 } else { 400 }, "{status:?}");
    }
}
