//! Channels to a real agent whose link is held by another replica, which is killed in the middle of a transfer.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent_protocol::bus::{Channel, Reset, ServiceName, WINDOW_BYTES};
use api::{ApiSettings, Hansard, HansardParts, NotReached};
use domain::AgentId;
use domain::clock::SystemClock;
use domain::server_keys::ServerKeys;
use persistence::objects::FolderStores;
use persistence::{DatabaseUrl, Store};
use test_facts::{reaching, until_async};
use tokio::time::timeout;
use whole_system::{Deployment, DeploymentOptions, Instance, postgresql, program};

/// The address that an agent dials: like a load balancer, it leads to one replica or another.
struct Switch {
    address: SocketAddr,
    target: Arc<Mutex<SocketAddr>>,
}

impl Switch {
    fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let switch = Self { address: listener.local_addr().unwrap(), target: Arc::new(Mutex::new(target)) };
        let target = Arc::clone(&switch.target);
        std::thread::spawn(move || {
            for dialled in listener.incoming() {
                let target = *target.lock().unwrap();
                // While a replica is dead, nothing accepts the connection.
                let (Ok(dialled), Ok(replica)) = (dialled, TcpStream::connect(target)) else { continue };
                for (from, to) in [(&dialled, &replica), (&replica, &dialled)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(std::net::Shutdown::Both);
                        let _ = from.shutdown(std::net::Shutdown::Both);
                    });
                }
            }
        });
        switch
    }

    fn lead_to(&self, target: SocketAddr) {
        *self.target.lock().unwrap() = target;
    }
}

fn address_of(deployment: &Deployment) -> SocketAddr {
    deployment.root.endpoint.strip_prefix("http://").unwrap().parse().unwrap()
}

/// A replica that listens for other replicas, and that callers reach through a switch.
fn replica(database: &str, keys: &Path) -> Deployment {
    let keys = keys.to_str().unwrap().to_owned();
    let arguments = ["--database-url", database, "--server-keys", &keys, "--internal-listen", "127.0.0.1:0"];
    Deployment::start_with(DeploymentOptions {
        arguments: arguments.map(str::to_owned).to_vec(),
        ..DeploymentOptions::default()
    })
}

/// A replica in this process. It opens channels, and no agent dials it.
async fn opener(database: &str, keys: &Path, folder: &Path) -> Hansard {
    let keys = Arc::new(ServerKeys::parse(&std::fs::read_to_string(keys).unwrap()).unwrap());
    let store = Store::connect(DatabaseUrl::parse(database).unwrap(), keys.clone()).await.unwrap();
    Hansard::new(HansardParts {
        store,
        stores: Arc::new(FolderStores::open(&folder.join("objects")).unwrap()),
        clock: Arc::new(SystemClock),
        keys,
        settings: ApiSettings::new("http://127.0.0.1:1".parse().unwrap(), "cn-hangzhou".parse().unwrap()),
    })
}

async fn open(hansard: &Hansard, account: &str, agent: &AgentId) -> Channel {
    let echo = ServiceName::parse("echo").unwrap();
    let granted = reaching(&account.parse().unwrap());
    until_async("the agent's link opens", async || match hansard.open_channel(&granted, agent, &echo).await {
        Ok(channel) => Some(channel),
        Err(NotReached::NotConnected) => None,
        Err(error) => panic!("{error:?}"),
    })
    .await
}

/// The byte to send at each position: no two long parts are alike.
fn byte(at: usize) -> u8 {
    u8::try_from((at * 7 + at / 251) % 251).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_outlives_the_replica_that_holds_the_link() {
    let database = tokio::task::spawn_blocking(postgresql).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys.toml");
    let made = std::process::Command::new(program("hansard"))
        .args(["admin", "server-keys", "generate", keys.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let (mut holder, survivor) = (replica(&database, &keys), replica(&database, &keys));
    let survivor_address = address_of(&survivor);
    let switch = Switch::to(address_of(&holder));
    holder.root.endpoint = format!("http://{}", switch.address);
    let instance = Instance::enrol(&holder, "i-bus");
    let agents = survivor.root.call("ListAgents", &[]);
    let agent = AgentId::parse(agents["Root"]["AgentList"][0]["AgentId"].as_str().unwrap()).unwrap();

    let hansard = opener(&database, &keys, folder.path()).await;
    let account = holder.account();
    // A channel that nobody reads, opened before the one that continues.
    let mut stalled = open(&hansard, account, &agent).await;
    let full = vec![0; 8 * WINDOW_BYTES as usize];
    let writing = timeout(Duration::from_millis(500), stalled.writer.write(&full)).await;
    assert!(writing.is_err(), "nothing is taken beyond the windows");

    let Channel { mut reader, mut writer } = open(&hansard, account, &agent).await;
    let length = 6 * 1024 * 1024;
    let heard = Arc::new(AtomicUsize::new(0));
    let hears = Arc::clone(&heard);
    let killed = Arc::new(AtomicBool::new(false));
    let is_killed = Arc::clone(&killed);
    let echoing = async move {
        let sending = async {
            let sent: Vec<u8> = (0..length).map(byte).collect();
            for piece in sent.chunks(100_000) {
                writer.write(piece).await?;
            }
            writer.finish();
            Ok::<_, Reset>(())
        };
        let receiving = async {
            while let Some(bytes) = reader.read().await? {
                let first = hears.load(Ordering::SeqCst);
                for (at, received) in bytes.iter().enumerate() {
                    assert_eq!(*received, byte(first + at), "byte {}", first + at);
                }
                hears.store(first + bytes.len(), Ordering::SeqCst);
                // A third is read before the holder is killed, and the rest afterwards.
                while first + bytes.len() > length / 3 && !is_killed.load(Ordering::SeqCst) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            Ok::<_, Reset>(())
        };
        tokio::try_join!(sending, receiving)
    };
    let watched = Arc::clone(&heard);
    let killing = tokio::task::spawn_blocking(move || {
        whole_system::until("a third is back", || {
            (watched.load(Ordering::SeqCst) > length / 3).then_some(())
        });
        holder.kill();
        switch.lead_to(survivor_address);
        killed.store(true, Ordering::SeqCst);
    });
    let echoed = timeout(Duration::from_secs(120), echoing).await.expect("it goes on and ends");
    echoed.expect("every byte comes back, and then the end");
    assert_eq!(heard.load(Ordering::SeqCst), length);
    killing.await.unwrap();
    // The channel that nobody read was resumed as well: it returns what was sent, from the first byte on. Whatever
    // exceeds the opener's window arrived after the resumption.
    let mut given_back = 0;
    while given_back <= WINDOW_BYTES as usize {
        let bytes = timeout(Duration::from_secs(60), stalled.reader.read()).await.unwrap().unwrap().unwrap();
        assert!(!bytes.is_empty() && bytes.iter().all(|byte| *byte == 0));
        given_back += bytes.len();
    }
    let survives = survivor.root.call("ListAgents", &[]);
    assert_eq!(survives["Root"]["AgentList"][0]["Status"], "online");
    drop(instance);
    drop(stalled);
}
