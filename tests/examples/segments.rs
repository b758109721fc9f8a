//! Recordings for `make bench`: agents that deliver small segments one after another, each with the grant of the next one.
//! Prints a line of JSON for each number of agents.
//!
//!     segments ADDRESS SECONDS ACCESS_KEY_ID ACCESS_KEY_SECRET AGENTS...
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that is run by hand")]
#![allow(clippy::unwrap_used, reason = "a measurement that fails may panic")]

use std::io::BufRead as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use agent_protocol::{AgentClaims, PrivateKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::AgentId;
use domain::clock::{Clock as _, SystemClock};
use recording::{
    CaptureKind, Compressor, CutPolicy, DocumentFormat, InstanceId, Micros, Recorder, SealingKey, Segment,
    SegmentCutter, Start, TerminalEvent, TerminalSessionToken, TerminalSize,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use whole_system::load::Caller;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, seconds, key_id, key_secret, numbers @ ..] = &arguments[..] else {
        eprintln!("usage: segments ADDRESS SECONDS ACCESS_KEY_ID ACCESS_KEY_SECRET AGENTS...");
        std::process::exit(2);
    };
    let address: SocketAddr = address.parse().unwrap();
    let length = Duration::from_secs(seconds.parse().unwrap());
    let prefix = format!("segments-{}-{}", std::process::id(), SystemClock.now().as_millis());
    let caller = Caller::new(address, key_id, key_secret, &prefix);
    let mut go = std::io::stdin().lock().lines();
    for (round, number) in numbers.iter().enumerate() {
        let number: usize = number.parse().unwrap();
        let mut agents = Vec::new();
        for agent in 0..number {
            agents.push(Agent::ready(address, &caller, &format!("i-segments{round}x{agent}")).await);
        }
        println!("{}", json!({"Step": "ready", "Agents": number}));
        // Whoever measures has looked at the server.
        if go.next().is_none() {
            return;
        }
        let since = Instant::now();
        let mut delivering = JoinSet::new();
        for mut agent in agents {
            delivering.spawn(async move {
                let mut waits = Vec::new();
                while since.elapsed() < length {
                    let begun = Instant::now();
                    agent.deliver().await;
                    waits.push(begun.elapsed());
                }
                waits
            });
        }
        let mut waits: Vec<Duration> = delivering.join_all().await.into_iter().flatten().collect();
        let seconds = since.elapsed().as_secs_f64();
        waits.sort_unstable();
        let at = |part: usize| waits[(waits.len() - 1) * part / 100].as_secs_f64() * 1_000.0;
        println!(
            "{}",
            json!({"Step": "delivered", "Agents": number, "Segments": waits.len(), "Seconds": seconds,
                "MedianMillis": at(50), "MostMillisOf99": at(99)})
        );
    }
}

struct Agent {
    address: SocketAddr,
    stream: TcpStream,
    id: AgentId,
    key: PrivateKey,
    token: TerminalSessionToken,
    cutter: SegmentCutter,
    compressor: Compressor,
    second: u64,
    /// The next segment, and the grant under which it is uploaded.
    next: (Segment, Value),
}

impl Agent {
    /// An agent that has opened a recording and has a grant for its first segment.
    async fn ready(address: SocketAddr, caller: &Caller, instance: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let body = format!("InstanceId={instance}&TtlSeconds=3600");
        let issued = exchange(&mut stream, &caller.request("CreateAgentJoinToken", &body)).await;
        let (key, sealing) = (PrivateKey::generate().unwrap(), SealingKey::generate());
        let body = json!({
            "JoinToken": issued["Token"].as_str().unwrap_or_else(|| panic!("{issued}")), "InstanceId": instance,
            "Hostname": "fleet", "AgentVersion": "0.2.0", "AuthenticationPublicKey": key.public_key(),
            "SealingPublicKey": sealing.public_key(), "Capabilities": [{"Kind": "terminal", "Version": "1"}],
        });
        let enrolled = exchange(
            &mut stream,
            &request(address, "POST", "/agent/v1/enrol", "", body.to_string().as_bytes()),
        )
        .await;
        let text = |field: &str| enrolled[field].as_str().unwrap_or_else(|| panic!("{enrolled}"));
        let id = AgentId::parse(text("AgentId")).unwrap();
        let start = Start {
            format: DocumentFormat::V1,
            recording: TerminalSessionToken::generate(),
            kind: CaptureKind::Terminal,
            account: text("AccountId").parse().unwrap(),
            instance: InstanceId::parse(text("InstanceId")).unwrap(),
            agent: id.clone(),
            agent_sealing_key: sealing.public_key(),
            agent_recording_number: 1,
            previous_manifest: None,
            configuration_revision: 0,
            recorder: Recorder::SameUser,
            notes: vec![],
            failure_policy: None,
            delivery_mode: None,
            started_at: SystemClock.now(),
            terminal: Some(TerminalSize { columns: 80, rows: 24 }),
            command: Some(vec!["bash".into()]),
            claimed_user: Some("ana".into()),
            term: None,
            shell: None,
            agent_version: Some("0.2.0".into()),
        };
        let document = start.to_document();
        let mut cutter = SegmentCutter::new(&start, &document, CutPolicy::default());
        let mut compressor = Compressor::new().unwrap();
        let first = cut(&mut cutter, &mut compressor, 0);
        let (token, next) = (start.recording.clone(), (first, Value::Null));
        let mut agent = Self { address, stream, id, key, token, cutter, compressor, second: 0, next };
        let open = json!({"TerminalSessionToken": agent.token, "Kind": "terminal", "Start": STANDARD.encode(&document)});
        agent.post("/agent/v1/recordings", &open).await;
        let path = agent.path("grants");
        let grant = agent.post(&path, &wish(&agent.next.0)).await["Grant"].take();
        agent.next.1 = grant;
        agent
    }

    fn path(&self, call: &str) -> String {
        format!("/agent/v1/recordings/{}/{call}", self.token)
    }

    /// Uploads a segment and has it acknowledged, with the grant of the next one.
    async fn deliver(&mut self) {
        self.second += 1;
        let following = cut(&mut self.cutter, &mut self.compressor, self.second);
        let (segment, grant) = std::mem::replace(&mut self.next, (following, Value::Null));
        let mut headers = String::new();
        for (name, value) in grant["Headers"].as_object().unwrap_or_else(|| panic!("{grant}")) {
            headers.push_str(&format!("{name}: {}\r\n", value.as_str().unwrap()));
        }
        let url = grant["Url"].as_str().unwrap();
        let uploaded =
            exchange(&mut self.stream, &request(self.address, "PUT", url, &headers, &segment.bytes)).await;
        assert!(uploaded["Code"].is_null(), "{uploaded}");
        let claim = json!({
            "Stream": segment.header.stream, "Number": segment.header.number, "Length": segment.bytes.len(),
            "Sha256": segment.sha256, "ChainBefore": segment.header.chain_before, "ChainAfter": segment.chain_after,
            "FirstAtMicros": segment.header.first_at.get(), "LastAtMicros": segment.last_at.get(),
            "Next": wish(&self.next.0),
        });
        let path = self.path("segments");
        let mut reply = self.post(&path, &claim).await;
        assert_eq!(reply["Acknowledged"], segment.header.number, "{reply}");
        self.next.1 = reply["NextGrant"].take();
    }

    /// A machine that is busy with something else has calls wait for longer than they may. As the agent does, each is made
    /// again then, with a token of its own.
    async fn post(&mut self, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        loop {
            let now = SystemClock.now().as_millis();
            let claims = AgentClaims::new("POST", path, body.as_bytes(), now).unwrap();
            let bearer = format!("authorization: Bearer {}\r\n", claims.sign(&self.id, &self.key).unwrap());
            let call = request(self.address, "POST", path, &bearer, body.as_bytes());
            let reply = exchange(&mut self.stream, &call).await;
            if reply["Retryable"] != true {
                assert!(reply["Code"].is_null(), "{reply}");
                return reply;
            }
        }
    }
}

/// What a grant is asked for.
fn wish(segment: &Segment) -> Value {
    let (stream, number) = (segment.header.stream, segment.header.number);
    let name = recording::EvidenceName::Segment { stream, number }.to_string();
    json!({"ObjectName": name, "Length": segment.bytes.len(), "Sha256": segment.sha256})
}

fn cut(cutter: &mut SegmentCutter, compressor: &mut Compressor, second: u64) -> Segment {
    cutter.push(&TerminalEvent::output(Micros::new(second * 1_000_000), b"a line of output\r\n".as_slice()));
    cutter.cut(compressor).unwrap().expect("an event was pushed")
}

fn request(address: SocketAddr, method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
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
