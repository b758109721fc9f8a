//! Load on the wire: connections that each send one call after another, every one with a nonce and a signature of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use domain::clock::{Clock as _, SystemClock};
use request_signature::v3::{self, Signable};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};

const FORM: &str = "application/x-www-form-urlencoded";

/// Makes requests.
#[derive(Debug)]
pub struct Caller {
    address: SocketAddr,
    access_key_id: String,
    access_key_secret: String,
    /// What tells the nonces of this caller from those of others, and from one another.
    prefix: String,
    made: AtomicU64,
}

impl Caller {
    /// A caller with this key. The prefix is that of its nonces: no other caller may have it.
    #[must_use]
    pub fn new(address: SocketAddr, access_key_id: &str, access_key_secret: &str, prefix: &str) -> Self {
        Self {
            address,
            access_key_id: access_key_id.to_owned(),
            access_key_secret: access_key_secret.to_owned(),
            prefix: prefix.to_owned(),
            made: AtomicU64::new(0),
        }
    }

    /// A signed call of version 2022-02-20, as it is sent.
    #[must_use]
    pub fn request(&self, action: &str, body: &str) -> Vec<u8> {
        let nonce = format!("{}-{}", self.prefix, self.made.fetch_add(1, Ordering::Relaxed));
        let (host, date) = (self.address.to_string(), SystemClock.now().to_rfc3339_seconds());
        let content_sha256 = v3::content_sha256(body.as_bytes());
        let headers = [
            ("content-type", FORM),
            ("host", host.as_str()),
            ("x-acs-action", action),
            ("x-acs-content-sha256", content_sha256.as_str()),
            ("x-acs-date", date.as_str()),
            ("x-acs-signature-nonce", nonce.as_str()),
            ("x-acs-version", "2022-02-20"),
        ];
        let signed_headers = v3::signed_headers(&headers);
        let signable = Signable {
            method: "POST",
            path: "/",
            query: &[],
            headers: &headers,
            signed_headers: &signed_headers,
            content_sha256: &content_sha256,
        };
        let authorization = signable.authorization(&self.access_key_id, &self.access_key_secret);
        let mut request = "POST / HTTP/1.1\r\n".to_owned();
        for (name, value) in headers {
            request.extend([name, ": ", value, "\r\n"]);
        }
        request += &format!("authorization: {authorization}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        request.into_bytes()
    }
}

/// What was asked, and what was answered.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The request, as it was sent.
    pub request: Arc<[u8]>,
    /// The status of the reply.
    pub status: u16,
    /// The id that the reply gives the request.
    pub request_id: String,
    /// From the first byte sent to the last one received.
    pub took: Duration,
}

/// Keeps a number of connections busy, each with the requests that `make` makes, as long as `until` says, and returns every
/// exchange that was completed. A connection that breaks ends; its last request is not among them.
pub fn keep_busy(
    address: SocketAddr,
    connections: usize,
    make: impl Fn() -> Vec<u8> + 'static,
    until: impl Fn() -> bool + 'static,
) -> Vec<Exchange> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (make, until) = (std::rc::Rc::new(make), std::rc::Rc::new(until));
    let tasks = LocalSet::new();
    let mut running = JoinSet::new();
    for _ in 0..connections {
        let (make, until) = (std::rc::Rc::clone(&make), std::rc::Rc::clone(&until));
        running.spawn_local_on(
            async move {
                let mut exchanges = Vec::new();
                let Ok(mut connection) = Connection::open(address).await else { return exchanges };
                while !until() {
                    match connection.exchange(make().into()).await {
                        Ok(exchange) => exchanges.push(exchange),
                        Err(_) => break,
                    }
                }
                exchanges
            },
            &tasks,
        );
    }
    runtime.block_on(tasks.run_until(running.join_all())).into_iter().flatten().collect()
}

/// One connection, which is kept.
struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::with_capacity(4_096) })
    }

    async fn exchange(&mut self, request: Arc<[u8]>) -> std::io::Result<Exchange> {
        let since = Instant::now();
        self.stream.write_all(&request).await?;
        self.received.clear();
        loop {
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let Some(head) = self.received.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            let text = std::str::from_utf8(&self.received[..head]).expect("a head of ASCII");
            let header = |wanted: &str| {
                let named = text.lines().filter_map(|line| line.split_once(": "));
                named.clone().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
            };
            let length: usize = header("content-length").expect("every reply has a length").parse().unwrap();
            if self.received.len() < head + 4 + length {
                continue;
            }
            return Ok(Exchange {
                request,
                status: text[9..12].parse().expect("a status"),
                request_id: header("x-acs-request-id").unwrap_or_default().to_owned(),
                took: since.elapsed(),
            });
        }
    }
}
