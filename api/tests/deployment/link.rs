//! The link: the configuration is pushed at once and within a second of a change; a link ends when it should.

use std::time::Duration;

use agent_protocol::keys::ServerKey;
use agent_protocol::link::ServerMessage;
use agent_protocol::{EffectiveConfiguration, SignedConfiguration};
use api::LinkTiming;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::recording_agent::TestAgent;
use sea_orm::{ConnectionTrait as _, Statement, TransactionTrait as _};
use test_facts::{Backend, TestDatabase, until_async};
use test_server::{Answer, Running};

const PATH: &str = "/agent/v1/link";

pub(crate) struct DialledLink {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pinned: Vec<ServerKey>,
}

impl DialledLink {
    pub(crate) async fn dial(running: &Running, agent: &TestAgent) -> Self {
        let mut request = running.url(PATH).replace("http://", "ws://").into_client_request().unwrap();
        let bearer = format!("Bearer {}", agent.token(running, "GET", PATH, b""));
        request.headers_mut().insert("authorization", bearer.parse().unwrap());
        let (socket, response) = connect_async(request).await.unwrap();
        assert!(response.headers().contains_key("x-acs-request-id"));
        Self { socket, pinned: serde_json::from_value(agent.enrolled["ServerKeys"].clone()).unwrap() }
    }

    pub(crate) async fn say(&mut self, message: serde_json::Value) {
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    pub(crate) async fn hello(&mut self, kinds: &[&str]) {
        let capabilities: Vec<_> = kinds.iter().map(|kind| json!({"Kind": kind, "Version": "1"})).collect();
        let hello =
            json!({"Type": "hello", "AgentVersion": "0.2.0", "Capabilities": capabilities, "Sessions": []});
        self.say(hello).await;
    }

    /// The next message other than a ping.
    async fn next(&mut self) -> Option<Message> {
        loop {
            match tokio::time::timeout(Duration::from_secs(20), self.socket.next()).await.expect("a message")
            {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(message)) => return Some(message),
                Some(Err(_)) | None => return None,
            }
        }
    }

    pub(crate) async fn configuration(&mut self) -> EffectiveConfiguration {
        let Some(Message::Text(text)) = self.next().await else { panic!("no configuration") };
        let ServerMessage::Configuration { configuration } = serde_json::from_str(&text).unwrap();
        SignedConfiguration::verify(&configuration, &self.pinned).unwrap()
    }

    pub(crate) async fn close_code(&mut self) -> Option<CloseCode> {
        match self.next().await {
            Some(Message::Close(frame)) => frame.map(|frame| frame.code),
            other => panic!("{other:?}"),
        }
    }
}

/// The head that opens a link.
fn handshake(running: &Running, agent: &TestAgent) -> String {
    let token = agent.token(running, "GET", PATH, b"");
    format!(
        "GET {PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// A frame of a client with this operation code, with a mask that changes nothing.
fn frame(code: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | code];
    match u8::try_from(payload.len()) {
        Ok(length @ ..126) => frame.push(0x80 | length),
        _ => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&u16::try_from(payload.len()).unwrap().to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

async fn linked() -> (Running, TestAgent, DialledLink) {
    let running = Running::start().await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let mut link = DialledLink::dial(&running, &agent).await;
    link.hello(&["terminal"]).await;
    (running, agent, link)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_comes_at_once_and_after_each_change() {
    let (running, _, mut link) = linked().await;
    let first = link.configuration().await;
    assert_eq!(first.recording, None);
    link.say(json!({"Type": "configuration-applied", "Revision": first.revision})).await;
    // A message of a version that does not exist yet.
    link.say(json!({"Type": "something-new", "Value": 1})).await;
    // Changes that concern other agents are not pushed: each configuration below is the next message.
    TestAgent::enrol(&running, "i-other").await;
    running.record("i-other", "9").await;
    let mut revision = first.revision;
    for (instance, days) in [("*", "30"), ("i-web1", "5"), ("i-web1", "6")] {
        running.record(instance, days).await;
        let pushed = link.configuration().await;
        assert!(pushed.revision > revision);
        revision = pushed.revision;
        let recording = pushed.recording.unwrap();
        assert_eq!(
            (recording.selector.as_str(), recording.expiration_days.to_string().as_str()),
            (instance, days)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_by_another_process_is_pushed_too() {
    let (running, _, mut link) = linked().await;
    link.configuration().await;
    let other = running.another().await;
    other.record("*", "30").await;
    let pushed = link.configuration().await;
    assert_eq!(pushed.recording.unwrap().expiration_days, 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn capabilities_that_hello_announces_are_delegated() {
    let (_running, _, mut link) = linked().await;
    assert_eq!(link.configuration().await.captures.len(), 1);
    link.hello(&["desktop"]).await;
    drop(link);
    let (running, agent, mut link) = linked().await;
    link.configuration().await;
    let mut newer = DialledLink::dial(&running, &agent).await;
    newer.hello(&["desktop"]).await;
    assert_eq!(newer.configuration().await.captures, []);
    let listed = running.call("ListAgents", &[]).await.ok();
    assert_eq!(listed["Root"]["AgentList"][0]["AgentVersion"], "0.2.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connected_agent_is_online_and_a_newer_link_closes_the_older() {
    let (running, agent, mut link) = linked().await;
    link.configuration().await;
    running.advance_seconds(3_600);
    let status =
        async || running.call("ListAgents", &[]).await.ok()["Root"]["AgentList"][0]["Status"].clone();
    assert_eq!(status().await, "online");
    let mut newer = DialledLink::dial(&running, &agent).await;
    newer.hello(&["terminal"]).await;
    newer.configuration().await;
    assert_eq!(link.close_code().await, Some(CloseCode::Policy));
    assert_eq!(status().await, "online");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_agent_is_cut_off() {
    let (running, agent, mut link) = linked().await;
    link.configuration().await;
    TestAgent::enrol_with(&running, "i-web1", true).await;
    assert_eq!(link.close_code().await, Some(CloseCode::Policy));
    let mut request = running.url(PATH).replace("http://", "ws://").into_client_request().unwrap();
    let bearer = format!("Bearer {}", agent.token(&running, "GET", PATH, b""));
    request.headers_mut().insert("authorization", bearer.parse().unwrap());
    assert!(connect_async(request).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_come_with_the_handshake_are_read() {
    let running = Running::start().await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let hello = json!({"Type": "hello", "AgentVersion": "0.2.0", "Capabilities": [], "Sessions": []});
    let hello = frame(1, hello.to_string().as_bytes());
    let head = handshake(&running, &agent);
    // All at once, and also such that the end of the head and the beginning of the first frame are in one piece.
    for cut in [head.len() + hello.len(), head.len() - 1] {
        let bytes = [handshake(&running, &agent).as_bytes(), &hello].concat();
        let mut stream = TcpStream::connect(running.address.strip_prefix("http://").unwrap()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        for piece in bytes.chunks(cut) {
            stream.write_all(piece).await.unwrap();
        }
        let mut heard = Vec::new();
        while !String::from_utf8_lossy(&heard).contains("\"Type\":\"configuration\"") {
            let read = tokio::time::timeout(Duration::from_secs(9), stream.read_buf(&mut heard)).await;
            let said = || String::from_utf8_lossy(&heard).into_owned();
            assert!(read.is_ok_and(|read| read.unwrap() > 0), "no configuration came: {}", said());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_reads_nothing_loses_its_connection() {
    let running = Running::adjusted(|settings| settings.link_patience = Duration::from_millis(300)).await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let address = running.address.strip_prefix("http://").unwrap().parse().unwrap();
    let mut deaf = Vec::new();
    for _ in 0..3 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        let mut stream = socket.connect(address).await.unwrap();
        stream.write_all(handshake(&running, &agent).as_bytes()).await.unwrap();
        let mut switching = [0; 12];
        stream.read_exact(&mut switching).await.unwrap();
        assert_eq!(&switching, b"HTTP/1.1 101");
        deaf.push(stream);
    }
    // It never reads the answers to its pings. The first two links are superseded meanwhile.
    let pings = frame(9, &[b'x'; 125]).repeat(500);
    for mut stream in deaf {
        let flooding = async { while stream.write_all(&pings).await.is_ok() {} };
        let ended = tokio::time::timeout(Duration::from_secs(15), flooding).await;
        assert!(ended.is_ok(), "the connection is kept for somebody who takes nothing");
    }
    let mut link = DialledLink::dial(&running, &agent).await;
    link.hello(&["terminal"]).await;
    link.configuration().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_server_says_goodbye_to_its_links() {
    let (running, agent, mut link) = linked().await;
    link.configuration().await;
    let running =
        tokio::task::spawn_blocking(move || tokio::runtime::Handle::current().block_on(running.restart()))
            .await
            .unwrap();
    // The code is not "going away": a server that waited for its links would end them with that code after the time
    // for calls in flight.
    assert_eq!(link.close_code().await, Some(CloseCode::Restart));
    let mut again = DialledLink::dial(&running, &agent).await;
    again.hello(&["terminal"]).await;
    again.configuration().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_and_browsers_are_refused() {
    let (running, agent, mut link) = linked().await;
    link.configuration().await;
    link.socket.send(Message::text("nonsense")).await.unwrap();
    assert_eq!(link.close_code().await, Some(CloseCode::Invalid));
    let mut link = DialledLink::dial(&running, &agent).await;
    link.socket.send(Message::binary(vec![1])).await.unwrap();
    assert_eq!(link.close_code().await, Some(CloseCode::Unsupported));
    let mut link = DialledLink::dial(&running, &agent).await;
    link.socket.send(Message::text(" ".repeat(300_000))).await.unwrap();
    assert!(!matches!(link.next().await, Some(Message::Text(_))));

    // Not a WebSocket at all, and one opened by a page of some other site.
    assert_eq!(agent.get(&running, PATH).await.refusal(), (400, "InvalidRequest"));
    let request = running
        .http
        .get(running.url(PATH))
        .bearer_auth(agent.token(&running, "GET", PATH, b""))
        .header("origin", "https://evil.example")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(Answer::of(request.send().await.unwrap()).await.refusal(), (400, "InvalidRequest"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_falls_silent_and_one_that_never_greets_are_closed() {
    let running = Running::adjusted(|settings| {
        settings.link_timing = LinkTiming {
            hello_within: Duration::from_secs(2),
            ping_every: Duration::from_millis(500),
            silent_after: Duration::from_secs(3),
        };
    })
    .await;
    let (agent, stranger) =
        (TestAgent::enrol(&running, "i-web1").await, TestAgent::enrol(&running, "i-web2").await);
    let mut mute = DialledLink::dial(&running, &stranger).await;
    assert_eq!(mute.close_code().await, Some(CloseCode::Policy));
    // An agent that answers pings counts as alive, however little it sends.
    let mut quiet = DialledLink::dial(&running, &stranger).await;
    quiet.hello(&["terminal"]).await;
    quiet.configuration().await;
    let mut stays = Box::pin(quiet.next());

    // It reads, and answers no ping.
    let mut silent = TcpStream::connect(running.address.strip_prefix("http://").unwrap()).await.unwrap();
    let hello = json!({"Type": "hello", "AgentVersion": "0.2.0", "Capabilities": [], "Sessions": []});
    let bytes = [handshake(&running, &agent).as_bytes(), &frame(1, hello.to_string().as_bytes())].concat();
    silent.write_all(&bytes).await.unwrap();
    let mut heard = Vec::new();
    let closed = async { while silent.read_buf(&mut heard).await.is_ok_and(|read| read > 0) {} };
    tokio::select! {
        closed = tokio::time::timeout(Duration::from_secs(20), closed) => closed.expect("it is never closed"),
        said = &mut stays => panic!("a link that answers pings heard {said:?}"),
    }
    assert!(String::from_utf8_lossy(&heard).contains("nothing was heard for too long"));
    drop(stays);
    drop(quiet);
    running.advance_seconds(3_600);
    until_async("both are offline", async || {
        let listed = running.call("ListAgents", &[]).await.ok();
        let agents = listed["Root"]["AgentList"].as_array().unwrap();
        (agents.len() == 2 && agents.iter().all(|agent| agent["Status"] == "offline")).then_some(())
    })
    .await;
    let mut again = DialledLink::dial(&running, &agent).await;
    again.hello(&["terminal"]).await;
    again.configuration().await;
}

/// The number of sessions that wait for a lock in this database that another session holds.
const WAITERS: &str = "SELECT COUNT(*) AS n FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database \
                       WHERE NOT granted AND datname = current_database()";

#[tokio::test(flavor = "multi_thread")]
async fn a_link_whose_database_is_slow_is_not_taken_for_silent() {
    const SILENT_AFTER: Duration = Duration::from_secs(5);
    let database = TestDatabase::new(Backend::Postgres).await;
    let running = Running::reachable_with(Some(database.url.clone()), |settings| {
        settings.link_timing.ping_every = Duration::from_secs(1);
        settings.link_timing.silent_after = SILENT_AFTER;
    })
    .await;
    let agent = TestAgent::enrol(&running, "i-web1").await;
    let mut link = DialledLink::dial(&running, &agent).await;
    link.hello(&["terminal"]).await;
    link.configuration().await;

    let (holds, watches) = (database.raw().await, database.raw().await);
    let lock = holds.begin().await.unwrap();
    // The agent answers pings until its activity can no longer be recorded in the database, and none from then on:
    // when the database continues, nothing of the agent is left to be read.
    tokio::select! {
        locked = lock.execute_unprepared("LOCK TABLE agents IN ACCESS EXCLUSIVE MODE") => drop(locked.unwrap()),
        said = link.next() => panic!("{said:?}"),
    }
    until_async("the link waits for the database", async || {
        let count = Statement::from_string(watches.get_database_backend(), WAITERS);
        let row = watches.query_one_raw(count).await.unwrap().unwrap();
        (row.try_get::<i64>("", "n").unwrap() > 0).then_some(())
    })
    .await;
    // For longer than an agent may be silent.
    tokio::time::sleep(SILENT_AFTER + Duration::from_secs(1)).await;
    lock.rollback().await.unwrap();
    // Its messages are still handled, and it receives what is new.
    running.record("i-web1", "9").await;
    assert_eq!(link.configuration().await.recording.unwrap().expiration_days, 9);
}
