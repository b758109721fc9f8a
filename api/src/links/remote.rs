//! Links that other replicas hold, over their internal listeners.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use agent_protocol::bus::ChannelId;
use agent_protocol::bus::frame::MOST_FRAME_BYTES;
use agent_protocol::link::ServerMessage;
use domain::agent_link::AgentLink;
use domain::clock::Clock;
use domain::server_keys::ServerKeys;
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Upgraded};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::NotReached;
use super::carried::{Carried, receive};
use crate::internal::token::{Audience, InternalToken};
use crate::internal::wire::{PING_EVERY, PREFIX, Refused, SILENT_AFTER};

/// How soon another replica must take a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// How soon it must answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The internal listeners of other replicas, for those who have a lease's row.
pub(super) struct Remote {
    /// Made when it is needed first: most deployments have one replica, and making it reads the system's certificates.
    http: LazyLock<Client>,
    keys: Arc<ServerKeys>,
    clock: Arc<dyn Clock>,
}

impl Remote {
    pub(super) fn new(keys: Arc<ServerKeys>, clock: Arc<dyn Clock>) -> Self {
        Self { http: LazyLock::new(client), keys, clock }
    }

    /// Gives a message for the agent to the replica that holds its link.
    pub(super) async fn send(&self, link: &AgentLink, message: &ServerMessage) -> Result<(), NotReached> {
        let body = serde_json::to_vec(message).map_err(unreachable)?;
        self.post(link, "messages", body).await
    }

    /// Asks for the link of a replaced or removed agent to be closed.
    pub(super) async fn close(&self, link: &AgentLink) -> Result<(), NotReached> {
        self.post(link, "replaced", Vec::new()).await
    }

    async fn post(&self, link: &AgentLink, what: &str, body: Vec<u8>) -> Result<(), NotReached> {
        let request = self.request(link, Method::POST, what, &body)?.timeout(ANSWER_WITHIN).body(body);
        let response = request.send().await.map_err(unreachable)?;
        match response.status() {
            StatusCode::NO_CONTENT => Ok(()),
            _ => Err(refusal(response).await),
        }
    }

    /// Attaches a channel to the agent's link at the replica that holds it.
    pub(super) async fn attach(&self, link: &AgentLink, channel: ChannelId) -> Result<Forward, NotReached> {
        let key = generate_key();
        let request = self
            .request(link, Method::GET, &format!("channels/{channel}"), b"")?
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "websocket")
            .header(SEC_WEBSOCKET_VERSION, "13")
            .header(SEC_WEBSOCKET_KEY, &key);
        let response = timeout(ANSWER_WITHIN, request.send()).await.map_err(unreachable)?;
        let response = response.map_err(unreachable)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(refusal(response).await);
        }
        if !accepts(response.headers(), &key) {
            return Err(unreachable("its answer to the WebSocket handshake is wrong"));
        }
        let upgraded = response.upgrade().await.map_err(unreachable)?;
        let limits = WebSocketConfig::default()
            .max_message_size(Some(MOST_FRAME_BYTES))
            .max_frame_size(Some(MOST_FRAME_BYTES))
            .write_buffer_size(0);
        Ok(Forward { socket: WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(limits)).await })
    }

    /// A request to the holder of a link, with the token that proves it.
    fn request(
        &self,
        link: &AgentLink,
        method: Method,
        what: &str,
        body: &[u8],
    ) -> Result<RequestBuilder, NotReached> {
        let address = link.internal_address.as_deref().ok_or(NotReached::NoInternalListener)?;
        let path = format!("{PREFIX}/agents/{}/{what}", link.agent);
        let audience = Audience { replica: link.replica.clone(), epoch: link.epoch };
        let token =
            InternalToken::issue(&self.keys, audience, method.as_str(), &path, body, self.clock.now());
        let url = format!("{}{path}", address.trim_end_matches('/'));
        Ok(self.http.request(method, url).bearer_auth(token.map_err(unreachable)?))
    }
}

fn client() -> Client {
    Client::builder()
        .connect_timeout(CONNECT_WITHIN)
        // A channel's upgrade exists in HTTP/1.1 only.
        .http1_only()
        // Replicas are reached directly, without a proxy.
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        // The listener closes what is idle sooner than a client would find out.
        .pool_max_idle_per_host(0)
        // The system's certificates are not read: there may be none, and plain HTTP needs none.
        .tls_certs_only(std::iter::empty::<reqwest::Certificate>())
        .build()
        .expect("a client of plain HTTP needs nothing that could be missing")
}

fn accepts(headers: &reqwest::header::HeaderMap, key: &str) -> bool {
    let expected = derive_accept_key(key.as_bytes());
    headers.get(SEC_WEBSOCKET_ACCEPT).is_some_and(|accept| accept.as_bytes() == expected.as_bytes())
}

fn unreachable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> NotReached {
    NotReached::HolderUnreachable { source: source.into() }
}

/// What the holder said.
async fn refusal(response: Response) -> NotReached {
    let status = response.status();
    // A few bytes are all that a holder says.
    let refused = match timeout(ANSWER_WITHIN, response.json::<Refused>()).await {
        Ok(Ok(refused)) => refused,
        Ok(Err(_)) | Err(_) => return unreachable(format!("it answered with the status {status}")),
    };
    match refused {
        Refused::NotConnected => NotReached::NotConnected,
        Refused::NoChannels => NotReached::NoChannels,
        Refused::TooManyChannels => NotReached::TooManyChannels,
        Refused::Busy => NotReached::Busy,
    }
}

/// The path of one channel's frames to the holder of the agent's link.
pub(super) struct Forward {
    socket: WebSocketStream<Upgraded>,
}

impl Forward {
    /// Carries frames until the path is lost or the channel is closed. It receives even when nothing can be sent.
    pub(super) async fn pass(self, carried: &Carried) {
        let Carried { port, wake } = carried;
        let (mut sink, mut stream) = self.socket.split();
        // The other side notices that the channel is closed, and may have to say so first.
        let reading = async {
            loop {
                match timeout(SILENT_AFTER, stream.next()).await {
                    Ok(Some(Ok(Message::Binary(frame)))) => receive(port, &frame),
                    Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) | Err(_) => return,
                    Ok(Some(Ok(_))) => {}
                }
            }
        };
        let writing = async {
            let mut pings = interval(PING_EVERY);
            pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                while let Some(frame) = port.next_frame() {
                    if sink.send(Message::binary(frame)).await.is_err() {
                        return;
                    }
                }
                if port.over().is_some() {
                    // The connection stays until the holder has read everything and closes it, too: of one that ends before, the last
                    // frames may be dropped there.
                    let _ = sink.close().await;
                    return std::future::pending().await;
                }
                tokio::select! {
                    () = wake.notified() => {}
                    _ = pings.tick() => {
                        if sink.send(Message::Ping(Bytes::new())).await.is_err() {
                            return;
                        }
                    }
                }
            }
        };
        tokio::select! {
            () = reading => {}
            () = writing => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_client_can_be_made() {
        drop(client());
    }

    #[test]
    fn a_client_can_be_made_where_there_are_no_certificates() {
        // In a process of its own, whose environment is no other test's.
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "links::remote::tests::a_client_can_be_made"])
            .env("SSL_CERT_FILE", "/nonexistent/certificates.pem")
            .env("SSL_CERT_DIR", "/nonexistent")
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
        assert!(printed.contains("1 passed"), "{printed}");
    }
}
