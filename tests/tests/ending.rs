//! Two replicas behind a balancer that follows `/readyz`: one of them is ended, and no call fails.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::process::Signal;
use whole_system::load::Caller;
use whole_system::{Balancer, Client, Deployment, DeploymentOptions, postgresql, until};

const CALLERS: usize = 8;

/// Callers that each keep a connection as long as the server does, and call until they are told to stop.
struct Load {
    answered: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    callers: Vec<std::thread::JoinHandle<Result<(), String>>>,
}

impl Load {
    fn on(address: SocketAddr, root: &Client) -> Self {
        let (answered, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let callers = (0..CALLERS).map(|number| {
            let prefix = format!("ending-{number}");
            let caller = Caller::new(address, &root.access_key_id, &root.access_key_secret, &prefix);
            let (answered, stop) = (Arc::clone(&answered), Arc::clone(&stop));
            std::thread::spawn(move || {
                let mut kept = None;
                while !stop.load(Ordering::SeqCst) {
                    let request = caller.request("GetInstanceRecordConfig", "InstanceId=i-one");
                    kept = call(address, kept, &request)?;
                    answered.fetch_add(1, Ordering::SeqCst);
                }
                Ok(())
            })
        });
        Self { callers: callers.collect(), answered, stop }
    }

    /// Waits until so many more calls were answered.
    fn goes_on(&self, calls: usize) {
        let before = self.answered.load(Ordering::SeqCst);
        until("calls are answered", || {
            let failed = self.callers.iter().any(|caller| caller.is_finished());
            (failed || self.answered.load(Ordering::SeqCst) >= before + calls).then_some(())
        });
    }

    fn end(self) {
        self.stop.store(true, Ordering::SeqCst);
        for caller in self.callers {
            assert_eq!(caller.join().unwrap(), Ok(()), "a call failed");
        }
    }
}

/// Makes one call, and returns the connection where the server keeps it.
fn call(address: SocketAddr, kept: Option<TcpStream>, request: &[u8]) -> Result<Option<TcpStream>, String> {
    let told = |error: io::Error| format!("no reply: {error}");
    let mut stream = kept.map_or_else(|| TcpStream::connect(address), Ok).map_err(told)?;
    stream.set_nodelay(true).map_err(told)?;
    stream.write_all(request).map_err(told)?;
    let (mut reply, mut some) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut some).map_err(told)?;
        reply.extend_from_slice(&some[..read]);
        let text = String::from_utf8_lossy(&reply).to_ascii_lowercase();
        if read == 0 {
            return Err(format!("the connection ended after {text:?}"));
        }
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() < length.expect("every reply has a length").parse().unwrap() {
            continue;
        }
        if !head.starts_with("http/1.1 200") {
            return Err(text);
        }
        return Ok((!head.contains("\r\nconnection: close")).then_some(stream));
    }
}

#[test]
fn no_call_fails_while_one_of_two_replicas_is_ended() {
    let database = postgresql();
    let keys = tempfile::tempdir().unwrap();
    let keys = keys.path().join("keys.toml").display().to_string();
    let arguments = |more: &[&str]| DeploymentOptions {
        arguments: [&["--server-keys", &keys, "--address-rate", "0", "--principal-rate", "0"], more]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect(),
        ..Default::default()
    };
    // The keys of a deployment with SQLite are generated; the replicas then share that file.
    drop(Deployment::start_with(arguments(&[])));
    let replica =
        || Deployment::start_with(arguments(&["--database-url", &database, "--shutdown-delay", "3"]));
    let (mut ended, other) = (replica(), replica());
    let balancer = Balancer::before(&[ended.address(), other.address()]);
    let load = Load::on(balancer.address, &other.root);
    load.goes_on(200);
    assert!(balancer.connections().iter().all(|given| *given > 0), "each of them has work");

    ended.signals(Signal::TERM);
    until("it says that it ends", || {
        let reply = ended.http_get("/readyz")?;
        (reply.starts_with("HTTP/1.1 503") && reply.contains("this replica is ending")).then_some(())
    });
    assert!(ended.http_get("/healthz").unwrap().starts_with("HTTP/1.1 200"));
    assert_eq!(ended.ended(), Some(0), "{}", ended.log());
    let log = ended.log();
    assert!(log.contains("until then /readyz answers 503") && log.contains("stopped"), "{log}");
    load.goes_on(200);
    load.end();
}
