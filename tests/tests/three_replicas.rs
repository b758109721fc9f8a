//! Replicas on one database, behind a balancer that knows no sessions: one of them is killed, or stands still, and what
//! was answered stays true.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;
use whole_system::load::{Caller, Exchange, keep_busy};
use whole_system::{
    Balancer, Client, Deployment, DeploymentOptions, Instance, MariaDb, audited, postgresql, program, until,
};

const CALLERS: u64 = 8;

/// What the replicas of a deployment share.
struct Site {
    database: String,
    folder: TempDir,
}

impl Site {
    fn on(database: String) -> Self {
        let site = Self { database, folder: tempfile::tempdir().unwrap() };
        let generate = ["admin", "server-keys", "generate", &site.keys()].map(str::to_owned);
        let made = std::process::Command::new(program("hansard")).args(generate).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        std::fs::create_dir(site.objects()).unwrap();
        site
    }

    fn keys(&self) -> String {
        self.folder.path().join("keys.toml").to_str().unwrap().to_owned()
    }

    fn objects(&self) -> PathBuf {
        self.folder.path().join("objects")
    }

    fn replica(&self, more: &[&str]) -> Deployment {
        let keys = self.keys();
        let usual = ["--database-url", &self.database, "--server-keys", &keys, "--address-rate", "0"];
        let usual =
            [&usual[..], &["--principal-rate", "0", "--internal-listen", "127.0.0.1:0"], more].concat();
        Deployment::start_with(DeploymentOptions {
            arguments: usual.into_iter().map(str::to_owned).collect(),
            objects: Some(self.objects()),
            ..DeploymentOptions::default()
        })
    }
}

/// Callers who call through the balancer until they are told to stop, and connect again when a connection is lost.
struct Load {
    made: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    callers: Vec<JoinHandle<Vec<Exchange>>>,
}

impl Load {
    fn on(balancer: &Balancer, root: &Client) -> Self {
        let (made, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let address = balancer.address;
        let callers = (0..CALLERS).map(|number| {
            let prefix = format!("replicas-{number}");
            let caller =
                Arc::new(Caller::new(address, &root.access_key_id, &root.access_key_secret, &prefix));
            let (made, stop) = (Arc::clone(&made), Arc::clone(&stop));
            std::thread::spawn(move || {
                let mut answered = Vec::new();
                while !stop.load(Ordering::SeqCst) {
                    let (caller, made, stop) = (Arc::clone(&caller), Arc::clone(&made), Arc::clone(&stop));
                    let make = move || match made.fetch_add(1, Ordering::SeqCst) {
                        // Each instance is set once, so that no two changes meet.
                        call if call % 5 == 0 => {
                            let body = format!("InstanceId=i-load{call}&Enabled=true");
                            caller.request("SetInstanceRecordConfig", &body)
                        }
                        _ => caller.request("GetInstanceRecordConfig", "InstanceId=i-one"),
                    };
                    answered.extend(keep_busy(address, 1, make, move || stop.load(Ordering::SeqCst)));
                }
                answered
            })
        });
        Self { callers: callers.collect(), made, stop }
    }

    /// Waits until so many more calls were made.
    fn goes_on(&self, calls: u64) {
        let before = self.made.load(Ordering::SeqCst);
        until("calls are made", || (self.made.load(Ordering::SeqCst) >= before + calls).then_some(()));
    }

    fn end(self) -> Vec<Exchange> {
        self.stop.store(true, Ordering::SeqCst);
        self.callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
    }
}

/// Which of the replicas has opened the link of the only agent last.
fn holder(replicas: &[Deployment]) -> usize {
    let opened = |replica: &Deployment| replica.log().contains("an agent's link is open");
    until("the agent's link is open", || replicas.iter().position(opened))
}

#[test]
fn a_replica_that_is_killed_costs_nothing_that_was_answered_on_postgresql() {
    a_replica_that_is_killed_costs_nothing_that_was_answered(postgresql());
}

#[test]
fn a_replica_that_is_killed_costs_nothing_that_was_answered_on_mariadb() {
    let database = MariaDb::start();
    a_replica_that_is_killed_costs_nothing_that_was_answered(database.url());
}

fn a_replica_that_is_killed_costs_nothing_that_was_answered(database: String) {
    let site = Site::on(database);
    let mut replicas = vec![site.replica(&[]), site.replica(&[]), site.replica(&[])];
    let addresses: Vec<_> = replicas.iter().map(Deployment::address).collect();
    let balancer = Balancer::before(&addresses);
    let through = Client { endpoint: format!("http://{}", balancer.address), ..replicas[0].root.clone() };
    let set = |enabled: &str| {
        let _ = through.call("SetInstanceRecordConfig", &[enabled, "InstanceId=*", "ExpirationDays=7"]);
    };
    set("Enabled=true");
    let instance = Instance::enrol_through(&replicas[0], &through.endpoint, "i-moved", &[]);
    instance.wait_until_recording_is(true);
    let holder = holder(&replicas);
    let load = Load::on(&balancer, &through);
    let mut person = instance.record(&["sh", "-c", "echo it be''gan; read line; echo it went o''n"]);
    person.sees("it began\r\n");
    let opened = through.one_recording("running");
    load.goes_on(400);
    assert!(balancer.connections().iter().all(|given| *given > 0), "each of them has work");

    let mut killed = replicas.remove(holder);
    killed.kill();
    load.goes_on(400);
    person.types("\r");
    assert!(person.leaves().success());
    let sealed = through.one_recording("finished");
    assert_eq!(sealed["TerminalSessionToken"], opened["TerminalSessionToken"]);
    let token = sealed["TerminalSessionToken"].as_str().unwrap();
    let verified = through.run(&["recordings", "verify", token]);
    assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stdout));
    let file = killed.scratch().join("whole.txt");
    let _ =
        through.stdout(&["recordings", "export", token, "--format", "txt", "--out", file.to_str().unwrap()]);
    assert_eq!(std::fs::read(file).unwrap(), person.shown_of_the_program());
    // Whichever of the others is called, the change reaches the agent where its link is now.
    set("Enabled=false");
    instance.wait_until_recording_is(false);

    let answered = load.end();
    assert!(answered.len() > 500, "{} calls were answered", answered.len());
    let mut rows = BTreeMap::<String, usize>::new();
    for row in audited(&replicas[0], Some(&site.database)) {
        *rows.entry(row).or_default() += 1;
    }
    for exchange in &answered {
        assert_eq!(exchange.status, 200, "{exchange:?}");
        assert_eq!(rows.get(&exchange.request_id), Some(&1), "one row each: {exchange:?}");
    }
    for (number, exchange) in answered.iter().step_by(7).enumerate() {
        let again = sends(&replicas[number % 2], &exchange.request);
        assert!(again.starts_with("HTTP/1.1 400") && again.contains("SignatureNonceUsed"), "{again}");
    }
    killed.resume();
    assert_eq!(killed.stop(), Some(0));
    for replica in &mut replicas {
        assert_eq!(replica.stop(), Some(0));
    }
    let mut verify = std::process::Command::new(program("hansard"));
    verify.args(["audit", "verify", "--server-keys", &site.keys(), "--database-url", &site.database]);
    let verified = verify.arg("--data-dir").arg(killed.data_folder()).output().unwrap();
    let said = String::from_utf8_lossy(&verified.stdout);
    assert!(!said.contains("removed") && !said.contains("altered"), "{said}");
}

/// Sends a request that was made for another connection, and returns the reply.
fn sends(replica: &Deployment, request: &[u8]) -> String {
    let request = String::from_utf8_lossy(request).replacen("\r\n", "\r\nConnection: close\r\n", 1);
    replica.http(request.as_bytes()).unwrap()
}

#[test]
fn a_replica_that_stood_still_answers_by_what_holds_then() {
    let site = Site::on(postgresql());
    let (still, other) = (site.replica(&[]), site.replica(&[]));
    let lives = |count: u32| {
        until("the other one counts the replicas that live", || {
            let log = other.log();
            let last = log.lines().rfind(|line| line.contains("shared among the replicas that live"))?;
            last.contains(&format!("live={count}")).then_some(())
        });
    };
    let user = other.user("narrowed", &json!([{"Effect": "Allow", "Action": "*", "Resource": "*"}]));
    // The replica that will stand still has decided by the policy before. The requests are signed for it.
    let caller = Caller::new(still.address(), &user.access_key_id, &user.access_key_secret, "still");
    let get = || caller.request("GetInstanceRecordConfig", "InstanceId=i-one");
    let used = get();
    assert!(sends(&still, &used).starts_with("HTTP/1.1 200"));
    let unused = get();
    lives(2);

    still.signals(Signal::STOP);
    lives(1);
    let _ = other.admin(&["policy", "detach", "narrowed", "--user", "narrowed"]);
    assert!(sends(&other, &unused).starts_with("HTTP/1.1 403"), "the policy is gone");
    // They arrive while it stands still, and are read when it goes on.
    let arrived: Vec<TcpStream> = [get(), unused, used]
        .iter()
        .map(|request| {
            let mut stream = TcpStream::connect(still.address()).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            let text = String::from_utf8_lossy(request).replacen("\r\n", "\r\nConnection: close\r\n", 1);
            stream.write_all(text.as_bytes()).unwrap();
            stream
        })
        .collect();
    still.signals(Signal::CONT);
    let expected = [("HTTP/1.1 403", "Forbidden.RAM"), ("HTTP/1.1 400", "SignatureNonceUsed")];
    for (number, mut stream) in arrived.into_iter().enumerate() {
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        let (status, code) = expected[number.min(1)];
        assert!(reply.starts_with(status) && reply.contains(code), "{number}: {reply}");
    }
    lives(2);
}

#[test]
#[ignore = "an agent takes most of a minute to find out that nobody speaks to it; make test-deep runs it"]
fn an_agent_leaves_a_replica_that_stands_still_and_is_reached_where_it_went() {
    let site = Site::on(postgresql());
    let replicas = [site.replica(&[]), site.replica(&[])];
    let balancer = Balancer::before(&replicas.each_ref().map(Deployment::address));
    let endpoint = format!("http://{}", balancer.address);
    let instance = Instance::enrol_through(&replicas[0], &endpoint, "i-left", &[]);
    let (still, other) = match holder(&replicas) {
        0 => (&replicas[0], &replicas[1]),
        _ => (&replicas[1], &replicas[0]),
    };
    still.signals(Signal::STOP);
    // `until` gives up after a minute, which is what this takes.
    for _ in 0..2 {
        let moved = std::panic::catch_unwind(|| {
            until("its link moves", || other.log().contains("an agent's link is open").then_some(()))
        });
        if moved.is_ok() {
            break;
        }
    }
    still.signals(Signal::CONT);
    until("the one that stood still lets the link go", || {
        let log = still.log();
        (log.contains("an agent's link is gone") || log.contains("an agent's link is closed")).then_some(())
    });
    // The change is made where the link was before.
    let set = ["InstanceId=*", "Enabled=true", "ExpirationDays=7"];
    let _ = still.root.call("SetInstanceRecordConfig", &set);
    instance.wait_until_recording_is(true);
}

#[test]
fn two_replicas_at_one_address_are_named() {
    let site = Site::on(postgresql());
    let address = ["--internal-address", "http://127.0.0.1:9"];
    let (one, other) = (site.replica(&address), site.replica(&address));
    for replica in [&one, &other] {
        until("it says so", || {
            let log = replica.log();
            log.contains("two replicas say that others reach them at this address").then_some(())
        });
    }
    assert_eq!(one.log().matches("two replicas say").count(), 1, "once, not with each renewal");
}
