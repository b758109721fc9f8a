//! A fleet for `make bench`: agents that hold their links and do nothing else. Prints a line of JSON for each step.
//!
//!     fleet ADDRESS AGENTS ACCESS_KEY_ID ACCESS_KEY_SECRET
//!
//! It enrols them, links them, changes the configuration of all and waits until each of them has it. Then it waits until
//! the server has ended, and how long it takes until all are linked again once another serves at that address.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that is run by hand")]
#![allow(clippy::unwrap_used, reason = "a measurement that fails may panic")]

use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use agent_protocol::{AgentClaims, PrivateKey};
use domain::AgentId;
use domain::clock::{Clock as _, SystemClock};
use futures_util::{SinkExt as _, StreamExt as _};
use recording::SealingKey;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use whole_system::load::Caller;

/// How many agents enrol at once.
const ENROL_AT_ONCE: usize = 32;
/// How many dial at once at the start; when links are lost, all do, as the agent does.
const DIAL_AT_ONCE: usize = 128;
const LINK: &str = "/agent/v1/link";

struct Agent {
    id: AgentId,
    key: PrivateKey,
}

/// What the fleet has seen.
#[derive(Default)]
struct Seen {
    configurations: AtomicUsize,
    links: AtomicUsize,
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, agents, key_id, key_secret] = &arguments[..] else {
        eprintln!("usage: fleet ADDRESS AGENTS ACCESS_KEY_ID ACCESS_KEY_SECRET");
        std::process::exit(2);
    };
    let (address, count): (SocketAddr, usize) = (address.parse().unwrap(), agents.parse().unwrap());
    let prefix = format!("fleet-{}-{}", std::process::id(), SystemClock.now().as_millis());
    let caller = Arc::new(Caller::new(address, key_id, key_secret, &prefix));

    let since = Instant::now();
    let mut enrolling = JoinSet::new();
    for worker in 0..ENROL_AT_ONCE {
        enrolling.spawn(enrol(address, Arc::clone(&caller), (worker..count).step_by(ENROL_AT_ONCE)));
    }
    let agents: Vec<Agent> = enrolling.join_all().await.into_iter().flatten().collect();
    step("enrolled", since, agents.len());

    let (seen, since) = (Arc::<Seen>::default(), Instant::now());
    let dialling = Arc::new(tokio::sync::Semaphore::new(DIAL_AT_ONCE));
    for agent in agents {
        tokio::spawn(keep_linked(address, agent, Arc::clone(&seen), Arc::clone(&dialling)));
    }
    reach(&seen.configurations, count).await;
    step("linked", since, count);
    // The agents' reports and the first pings are over.
    tokio::time::sleep(Duration::from_secs(20)).await;
    step("idle", since, count);

    for days in [11, 12, 13] {
        let before = seen.configurations.load(Ordering::SeqCst);
        let since = Instant::now();
        let body = format!("InstanceId=*&Enabled=true&ExpirationDays={days}");
        let mut stream = TcpStream::connect(address).await.unwrap();
        let reply = exchange(&mut stream, &caller.request("SetInstanceRecordConfig", &body)).await;
        assert_eq!(reply["Success"], true, "{reply}");
        let answered = since.elapsed();
        reach(&seen.configurations, before + count).await;
        println!(
            "{}",
            json!({"Step": "configured", "Agents": count, "Seconds": since.elapsed().as_secs_f64(),
                "AnsweredAfter": answered.as_secs_f64()})
        );
    }

    while seen.links.load(Ordering::SeqCst) > count / 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let since = Instant::now();
    step("lost", since, count);
    while TcpStream::connect(address).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let since = Instant::now();
    reach(&seen.links, count).await;
    step("relinked", since, count);
    // Until it is ended.
    std::future::pending::<()>().await;
}

fn step(name: &str, since: Instant, agents: usize) {
    println!("{}", json!({"Step": name, "Agents": agents, "Seconds": since.elapsed().as_secs_f64()}));
}

async fn reach(counter: &AtomicUsize, count: usize) {
    while counter.load(Ordering::SeqCst) < count {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Sends a request and returns the JSON of the reply.
async fn exchange(stream: &mut TcpStream, request: &[u8]) -> Value {
    stream.write_all(request).await.unwrap();
    let mut received = Vec::new();
    loop {
        assert!(stream.read_buf(&mut received).await.unwrap() > 0, "the connection ended");
        let Some(head) = received.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&received[..head]).to_ascii_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        if received.len() >= head + 4 + length.unwrap().parse::<usize>().unwrap() {
            return serde_json::from_slice(&received[head + 4..]).unwrap();
        }
    }
}

async fn enrol(
    address: SocketAddr,
    caller: Arc<Caller>,
    numbers: impl Iterator<Item = usize> + Send + 'static,
) -> Vec<Agent> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut agents = Vec::new();
    for number in numbers {
        let body = format!("InstanceId=i-fleet{number}&TtlSeconds=3600");
        // A machine that is busy with something else has calls wait for longer than they may.
        let issued = loop {
            let issued = exchange(&mut stream, &caller.request("CreateAgentJoinToken", &body)).await;
            if issued["Retryable"] != true {
                break issued;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        };
        let token = issued["Token"].as_str().unwrap_or_else(|| panic!("{issued}"));
        let key = PrivateKey::generate().unwrap();
        let body = json!({
            "JoinToken": token, "InstanceId": format!("i-fleet{number}"), "Hostname": "fleet", "AgentVersion": "0.2.0",
            "AuthenticationPublicKey": key.public_key(), "SealingPublicKey": SealingKey::generate().public_key(),
            "Capabilities": [],
        })
        .to_string();
        let request = format!(
            "POST /agent/v1/enrol HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let enrolled = exchange(&mut stream, request.as_bytes()).await;
        let id = enrolled["AgentId"].as_str().unwrap_or_else(|| panic!("{enrolled}"));
        agents.push(Agent { id: AgentId::parse(id).unwrap(), key });
    }
    agents
}

/// Links an agent, and links it again whenever the link is lost, with the pauses of the real agent.
async fn keep_linked(
    address: SocketAddr,
    agent: Agent,
    seen: Arc<Seen>,
    dialling: Arc<tokio::sync::Semaphore>,
) {
    let mut first = Some(dialling.acquire_owned().await.unwrap());
    let mut pause: u64 = 500;
    loop {
        if hold(address, &agent, &seen, &mut first).await {
            pause = 500;
        }
        first = None;
        tokio::time::sleep(Duration::from_millis(RandomState::new().hash_one(pause) % pause)).await;
        pause = (pause * 2).min(30_000);
    }
}

/// Holds a link until it is lost; whether it was opened.
async fn hold(
    address: SocketAddr,
    agent: &Agent,
    seen: &Seen,
    first: &mut Option<tokio::sync::OwnedSemaphorePermit>,
) -> bool {
    let Ok(stream) = TcpStream::connect(address).await else { return false };
    let claims = AgentClaims::new("GET", LINK, b"", SystemClock.now().as_millis()).unwrap();
    let mut request = format!("ws://{address}{LINK}").into_client_request().unwrap();
    let bearer = format!("Bearer {}", claims.sign(&agent.id, &agent.key).unwrap());
    request.headers_mut().insert("authorization", bearer.parse().unwrap());
    let Ok((mut socket, _)) = client_async(request, stream).await else { return false };
    let hello =
        json!({"Type": "hello", "AgentVersion": "0.2.0", "Capabilities": [], "Sessions": [], "Services": []});
    if socket.send(Message::text(hello.to_string())).await.is_err() {
        return false;
    }
    let mut configured = false;
    while let Some(Ok(message)) = socket.next().await {
        if matches!(message, Message::Text(_)) {
            seen.configurations.fetch_add(1, Ordering::SeqCst);
            if !std::mem::replace(&mut configured, true) {
                seen.links.fetch_add(1, Ordering::SeqCst);
                drop(first.take());
            }
        }
    }
    if configured {
        seen.links.fetch_sub(1, Ordering::SeqCst);
    }
    configured
}
