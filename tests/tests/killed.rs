//! A control plane that is killed under load: whatever it answered is in the audit trail, and no request that it answered is
//! accepted again.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use whole_system::load::{Caller, Exchange, keep_busy};
use whole_system::{Deployment, DeploymentOptions, MariaDb, audited, postgresql, program, until};

const CONNECTIONS: usize = 24;
/// How often each control plane is killed.
const KILLS: u64 = 5;

#[test]
fn what_was_answered_before_a_kill_is_audited_and_used_on_sqlite() {
    what_was_answered_before_a_kill_is_audited_and_used(None);
}

#[test]
fn what_was_answered_before_a_kill_is_audited_and_used_on_postgresql() {
    what_was_answered_before_a_kill_is_audited_and_used(Some(postgresql()));
}

#[test]
fn what_was_answered_before_a_kill_is_audited_and_used_on_mariadb() {
    let database = MariaDb::start();
    what_was_answered_before_a_kill_is_audited_and_used(Some(database.url()));
}

fn what_was_answered_before_a_kill_is_audited_and_used(database: Option<String>) {
    let keys = tempfile::tempdir().unwrap();
    let keys = keys.path().join("keys.toml").display().to_string();
    let mut arguments: Vec<String> =
        ["--address-rate", "0", "--principal-rate", "0", "--server-keys", &keys].map(str::to_owned).into();
    // The keys of a deployment with SQLite are generated.
    drop(Deployment::start_with(DeploymentOptions { arguments: arguments.clone(), ..Default::default() }));
    let database_arguments = database.iter().flat_map(|url| ["--database-url".to_owned(), url.clone()]);
    arguments.extend(database_arguments.clone());
    let mut deployment = Deployment::start_with(DeploymentOptions { arguments, ..Default::default() });
    let address = deployment.address();
    let mut answered = Vec::new();
    for kill in 0..KILLS {
        let (root, made) = (deployment.root.clone(), Arc::new(AtomicU64::new(0)));
        let counted = Arc::clone(&made);
        let load = std::thread::spawn(move || {
            let prefix = format!("kill-{kill}");
            let caller = Caller::new(address, &root.access_key_id, &root.access_key_secret, &prefix);
            let make = move || match counted.fetch_add(1, Ordering::Relaxed) {
                // Each instance is set once, so that no two changes meet.
                number if number % 5 == 0 => {
                    let body = format!("InstanceId=i-{kill}x{number}&Enabled=true");
                    caller.request("SetInstanceRecordConfig", &body)
                }
                number if number % 5 == 1 => caller.request("NoSuchAction", ""),
                number => {
                    let body = format!("InstanceId=i-{kill}x{}", number - number % 5);
                    caller.request("GetInstanceRecordConfig", &body)
                }
            };
            keep_busy(address, CONNECTIONS, make, || false)
        });
        // Between two kills at another point of the road.
        until("it is under load", || (made.load(Ordering::Relaxed) > 300 + 37 * kill).then_some(()));
        deployment.kill();
        answered.extend(load.join().unwrap());
        deployment.resume();
        check(&deployment, &answered, database.as_deref());
    }
    assert_eq!(deployment.stop(), Some(0));
    let mut verify = Command::new(program("hansard"));
    verify.args(["audit", "verify", "--server-keys", &keys, "--data-dir"]).arg(deployment.data_folder());
    let verified = verify.args(database_arguments).output().unwrap();
    assert!(verified.status.success(), "{verified:?}");
}

fn check(deployment: &Deployment, answered: &[Exchange], database: Option<&str>) {
    assert!(answered.len() > 100, "only {} calls were answered", answered.len());
    let audited: BTreeSet<String> = audited(deployment, database).into_iter().collect();
    for exchange in answered {
        assert!(matches!(exchange.status, 200 | 404), "{exchange:?}");
        assert!(audited.contains(&exchange.request_id), "answered, and not audited: {exchange:?}");
    }
    // The next load is not of these; their requests are still as good as they were.
    let (address, requests) =
        (deployment.address(), answered.iter().map(|exchange| exchange.request.to_vec()));
    let requests: Vec<_> = requests.collect();
    let (count, next) = (requests.len(), Arc::new(AtomicU64::new(0)));
    let taken = Arc::clone(&next);
    let again = keep_busy(
        address,
        1,
        move || requests[usize::try_from(taken.fetch_add(1, Ordering::Relaxed)).unwrap()].clone(),
        move || next.load(Ordering::Relaxed) >= count as u64,
    );
    assert_eq!(again.len(), count);
    for exchange in again {
        assert_eq!(exchange.status, 400, "accepted again: {exchange:?}");
        assert!(!audited.contains(&exchange.request_id));
    }
}
