//! A database that is gone for a while, in two ways: it refuses connections, or it answers nothing. What needs no row goes
//! on, every call is refused with advice, agents spool; and when it is back, nothing is lost and nothing was done twice.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};

use whole_system::load::Caller;
use whole_system::{Deployment, DeploymentOptions, Instance, MariaDb, audited, postgresql, until};

/// The way to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    /// As when its process is dead.
    Refused,
    /// As when its network is: connections stay, and nothing passes.
    Silent,
}

/// Where the database listens.
#[derive(Clone)]
enum Place {
    Port(u16),
    Socket(PathBuf),
}

/// A connection in two halves.
trait Half: Read + Write + Send {
    fn close(&self);
}

impl Half for TcpStream {
    fn close(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

impl Half for UnixStream {
    fn close(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

/// Stands between a control plane and its database.
struct Gate {
    port: u16,
    way: Arc<(Mutex<Way>, Condvar)>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Gate {
    fn before(place: Place) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let gate = Self {
            port: listener.local_addr().unwrap().port(),
            way: Arc::new((Mutex::new(Way::Open), Condvar::new())),
            open: Arc::default(),
        };
        let (way, open) = (Arc::clone(&gate.way), Arc::clone(&gate.open));
        // Its threads end with the test's process.
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                if *way.0.lock().unwrap() == Way::Refused {
                    continue;
                }
                open.lock().unwrap().push(client.try_clone().unwrap());
                let [to_client, from_client] = [client.try_clone().unwrap(), client];
                let (to_server, from_server): (Box<dyn Half>, Box<dyn Half>) = match &place {
                    Place::Port(port) => {
                        let server = TcpStream::connect(("127.0.0.1", *port)).unwrap();
                        (Box::new(server.try_clone().unwrap()), Box::new(server))
                    }
                    Place::Socket(path) => {
                        let server = UnixStream::connect(path).unwrap();
                        (Box::new(server.try_clone().unwrap()), Box::new(server))
                    }
                };
                let other = Arc::clone(&way);
                std::thread::spawn({
                    let way = Arc::clone(&way);
                    move || pass(Box::new(from_client), to_server, &way)
                });
                std::thread::spawn(move || pass(from_server, Box::new(to_client), &other));
            }
        });
        gate
    }

    fn is(&self, way: Way) {
        *self.way.0.lock().unwrap() = way;
        self.way.1.notify_all();
        if way == Way::Refused {
            for connection in self.open.lock().unwrap().drain(..) {
                connection.close();
            }
        }
    }
}

fn pass(mut from: Box<dyn Half>, mut to: Box<dyn Half>, way: &(Mutex<Way>, Condvar)) {
    let mut some = [0; 16 * 1024];
    while let Ok(read) = from.read(&mut some)
        && read > 0
    {
        drop(way.1.wait_while(way.0.lock().unwrap(), |way| *way == Way::Silent).unwrap());
        if to.write_all(&some[..read]).is_err() {
            break;
        }
    }
    from.close();
    to.close();
}

#[test]
fn a_postgresql_that_is_gone_costs_refused_calls_alone() {
    let url = postgresql();
    let (database, folder) =
        url.strip_prefix("postgres://postgres@localhost/").unwrap().split_once("?host=").unwrap();
    let gate = Gate::before(Place::Socket(PathBuf::from(folder).join(".s.PGSQL.5432")));
    let through = format!("postgres://postgres@127.0.0.1:{}/{database}", gate.port);
    a_database_that_is_gone_costs_refused_calls_alone(&gate, &through, &url);
}

#[test]
fn a_mariadb_that_is_gone_costs_refused_calls_alone() {
    let server = MariaDb::start();
    let url = server.url();
    let (_, rest) = url.rsplit_once(':').unwrap();
    let port: u16 = rest.split_once('/').unwrap().0.parse().unwrap();
    let gate = Gate::before(Place::Port(port));
    let through = url.replace(&format!(":{port}/"), &format!(":{}/", gate.port));
    a_database_that_is_gone_costs_refused_calls_alone(&gate, &through, &url);
}

fn a_database_that_is_gone_costs_refused_calls_alone(gate: &Gate, through: &str, direct: &str) {
    let keys = tempfile::tempdir().unwrap();
    let keys = keys.path().join("keys.toml").display().to_string();
    let arguments = |more: &[&str]| DeploymentOptions {
        arguments: [&["--server-keys", &keys], more].concat().into_iter().map(str::to_owned).collect(),
        ..Default::default()
    };
    // The keys of a deployment with SQLite are generated.
    drop(Deployment::start_with(arguments(&[])));
    let deployment = Deployment::start_with(arguments(&["--database-url", through]));
    let root = &deployment.root;
    let _ = root.call("SetInstanceRecordConfig", &["InstanceId=*", "Enabled=true", "ExpirationDays=7"]);
    let instance = Instance::enrol(&deployment, "i-gone");
    instance.wait_until_recording_is(true);
    let caller = Caller::new(deployment.address(), &root.access_key_id, &root.access_key_secret, "gone");
    let mut refused = Vec::new();
    let mut sessions = 0;
    for way in [Way::Refused, Way::Silent] {
        let mut person = instance.record(&["sh", "-c", "echo be''fore; read line; echo af''ter"]);
        person.sees("before\r\n");
        sessions += 1;
        until("it arrives", || (listed(&deployment)?.len() == sessions).then_some(()));
        gate.is(way);
        // A call that is made before anybody knows is not left waiting.
        refused.push(refuses(&deployment, &caller, "GetInstanceRecordConfig", "InstanceId=i-gone"));
        until("it is not ready", || {
            let reply = deployment.http_get("/readyz")?;
            (reply.starts_with("HTTP/1.1 503") && reply.contains("the database does not answer"))
                .then_some(())
        });
        for (action, body) in [
            ("GetInstanceRecordConfig", "InstanceId=i-gone"),
            ("ListInstanceRecords", ""),
            ("SetInstanceRecordConfig", "InstanceId=i-other&Enabled=true"),
        ] {
            refused.push(refuses(&deployment, &caller, action, body));
        }
        let health = deployment.http_get("/healthz").unwrap();
        assert!(health.starts_with("HTTP/1.1 200") && health.contains("not answering"), "{health}");
        // The session goes on, and another begins and ends.
        person.types("\r");
        assert!(person.leaves().success());
        let mut another = instance.record(&["sh", "-c", "echo mean''while"]);
        assert!(another.leaves().success());
        sessions += 1;
        let status = instance.agent(&["status", "--output", "json"]);
        let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
        assert_eq!(status["Running"]["Link"], "connected", "{status}");

        gate.is(Way::Open);
        let finished = until("all recordings are there", || {
            let listed = listed(&deployment)?;
            let whole = listed.len() == sessions && listed.iter().all(|(_, status)| status == "finished");
            whole.then_some(listed)
        });
        for token in finished.keys() {
            let verified = root.run(&["recordings", "verify", token]);
            assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stdout));
        }
        until("it is ready again", || {
            deployment.http_get("/readyz").filter(|reply| reply.starts_with("HTTP/1.1 200"))
        });
        assert!(!deployment.log().contains("an agent's link is gone"), "the link went on");
    }
    let mut rows = BTreeMap::<String, usize>::new();
    for row in audited(&deployment, Some(direct)) {
        *rows.entry(row).or_default() += 1;
    }
    // A refused call may have its row, if it was refused while that was being written; one that came later has none.
    let written: Vec<usize> = refused.iter().filter_map(|request_id| rows.get(request_id).copied()).collect();
    assert!(written.len() <= 2 && written.iter().all(|rows| *rows == 1), "{written:?}");
    let get = root.call("GetInstanceRecordConfig", &["InstanceId=i-other"]);
    assert_eq!(get["Root"]["InstanceId"], "*", "the refused change was not made: {get}");
}

/// The recordings with their status; `None` while they cannot be listed.
fn listed(deployment: &Deployment) -> Option<BTreeMap<String, String>> {
    let output = deployment.root.run(&["call", "ListInstanceRecords", "IncludeExpired=true"]);
    let reply: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    let text = |record: &serde_json::Value, field: &str| record[field].as_str().unwrap().to_owned();
    let records = reply["Root"]["RecordList"].as_array()?;
    Some(
        records.iter().map(|record| (text(record, "TerminalSessionToken"), text(record, "Status"))).collect(),
    )
}

/// Makes a call, which must be refused with advice; returns the id of its request.
fn refuses(deployment: &Deployment, caller: &Caller, action: &str, body: &str) -> String {
    let request = String::from_utf8(caller.request(action, body)).unwrap();
    let request = request.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    let reply = deployment.http(request.as_bytes()).unwrap();
    assert!(reply.starts_with("HTTP/1.1 503") && reply.contains("ServiceUnavailable"), "{action}: {reply}");
    let header = |name: &str| {
        let mut lines = reply.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    };
    assert_eq!(header("retry-after").as_deref(), Some("1"), "{action}: {reply}");
    header("x-acs-request-id").unwrap()
}
