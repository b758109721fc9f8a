//! A balancer before several replicas, as a deployment has one, which follows `/readyz`.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// How long a replica may take to say whether it is ready.
const PATIENCE: Duration = Duration::from_millis(500);

/// A balancer: it asks each replica often whether it is ready, and gives each new connection to the next one that is.
#[derive(Debug)]
pub struct Balancer {
    /// Where callers reach it.
    pub address: SocketAddr,
    replicas: Vec<Replica>,
}

#[derive(Debug)]
struct Replica {
    address: SocketAddr,
    ready: AtomicBool,
    connections: AtomicUsize,
}

impl Balancer {
    /// A balancer before these replicas.
    #[must_use]
    pub fn before(replicas: &[SocketAddr]) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let replicas = replicas.iter().map(|address| Replica {
            address: *address,
            ready: AtomicBool::new(true),
            connections: AtomicUsize::new(0),
        });
        let address = listener.local_addr().unwrap();
        let balancer = Arc::new(Self { address, replicas: replicas.collect() });
        // Both threads end with the test's process.
        let asks = Arc::clone(&balancer);
        std::thread::spawn(move || {
            loop {
                for replica in &asks.replicas {
                    replica.ready.store(is_ready(replica.address), Ordering::SeqCst);
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let passes_on = Arc::clone(&balancer);
        std::thread::spawn(move || {
            for (number, caller) in listener.incoming().enumerate() {
                passes_on.pass_on(number, caller.unwrap());
            }
        });
        balancer
    }

    /// How many connections each replica has been given.
    #[must_use]
    pub fn connections(&self) -> Vec<usize> {
        self.replicas.iter().map(|replica| replica.connections.load(Ordering::SeqCst)).collect()
    }

    fn pass_on(&self, number: usize, caller: TcpStream) {
        let ready: Vec<_> =
            self.replicas.iter().filter(|replica| replica.ready.load(Ordering::SeqCst)).collect();
        // Without a replica the caller finds its connection closed.
        let Some(replica) = ready.get(number % ready.len().max(1)) else { return };
        let Ok(server) = TcpStream::connect(replica.address) else { return };
        replica.connections.fetch_add(1, Ordering::SeqCst);
        for (mut from, mut to) in
            [(caller.try_clone().unwrap(), server.try_clone().unwrap()), (server, caller)]
        {
            std::thread::spawn(move || {
                let _ = io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
                // What a killed replica leaves half open would be waited for in vain.
                let _ = from.shutdown(Shutdown::Read);
            });
        }
    }
}

fn is_ready(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    // One that stands still accepts connections all the same.
    if stream.set_read_timeout(Some(PATIENCE)).is_err() {
        return false;
    }
    let request = format!("GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    let mut reply = String::new();
    stream.write_all(request.as_bytes()).is_ok()
        && stream.read_to_string(&mut reply).is_ok()
        && reply.starts_with("HTTP/1.1 200")
}
