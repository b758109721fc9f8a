//! A small HTTP client that sends exactly the bytes given to it, because these tests are about the bytes on the wire.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Every answer must arrive within this time; a connection that hangs fails the test.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A request, ready to be sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Send the body in chunks, without Content-Length.
    pub(crate) chunked: bool,
}

impl Request {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        Self { method: method.to_owned(), target: target.to_owned(), ..Self::default() }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The value of a header that a test wants to see or change.
    pub(crate) fn header_mut(&mut self, name: &str) -> &mut String {
        let found = self.headers.iter_mut().find(|(candidate, _)| candidate.eq_ignore_ascii_case(name));
        &mut found.unwrap_or_else(|| panic!("there is no header {name}")).1
    }

    fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(candidate, _)| candidate.eq_ignore_ascii_case(name))
    }

    pub(crate) fn bytes(&self, address: SocketAddr) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        if !self.has("host") {
            bytes.extend_from_slice(format!("host: {address}\r\n").as_bytes());
        }
        if self.chunked {
            bytes.extend_from_slice(b"transfer-encoding: chunked\r\n");
        } else if !self.has("content-length") {
            bytes.extend_from_slice(format!("content-length: {}\r\n", self.body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"connection: close\r\n\r\n");
        if self.chunked {
            for chunk in self.body.chunks(7) {
                bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                bytes.extend_from_slice(chunk);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
        } else {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }

    pub(crate) fn send(&self, address: SocketAddr) -> Reply {
        let bytes =
            exchange(address, &self.bytes(address)).unwrap_or_else(|error| panic!("{self:?}: {error}"));
        Reply::parse(&bytes)
            .unwrap_or_else(|| panic!("{self:?}: no HTTP reply: {:?}", String::from_utf8_lossy(&bytes)))
    }
}

/// Sends bytes and reads until the other side closes.
pub(crate) fn exchange(address: SocketAddr, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    // A server may refuse and close before it has read everything; what it sent can still be read.
    let sent = stream.write_all(bytes);
    let mut reply = Vec::new();
    match stream.read_to_end(&mut reply) {
        Ok(_) => {}
        Err(_) if !reply.is_empty() => {}
        Err(error) => return Err(sent.err().unwrap_or(error)),
    }
    Ok(reply)
}

#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..end]).ok()?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        let header = |line: &str| {
            line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        };
        let headers: Vec<_> = lines.map(header).collect::<Option<_>>()?;
        let mut body = &bytes[end + 4..];
        // Changed bytes can turn one request into two; this is the reply to the first.
        let length = headers
            .iter()
            .find(|(name, _)| name == "content-length")
            .and_then(|(_, value)| value.parse().ok());
        if let Some(length) = length.filter(|length| *length < body.len()) {
            body = &body[..length];
        }
        Some(Self { status, headers, text: String::from_utf8_lossy(body).into_owned() })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(candidate, _)| candidate == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of a refusal. Checks that it has the form of the contract.
    pub(crate) fn code(&self) -> String {
        let body = self.json();
        assert!((400..600).contains(&self.status), "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json;charset=utf-8"), "{self:?}");
        assert_eq!(body["Success"], false, "{self:?}");
        assert!(body["Message"].as_str().is_some_and(|message| !message.is_empty()), "{self:?}");
        assert!(body["HostId"].is_string(), "{self:?}");
        let request_id = body["RequestId"].as_str().unwrap();
        assert_request_id(request_id);
        assert_eq!(self.header("x-acs-request-id"), Some(request_id), "{self:?}");
        body["Code"].as_str().unwrap().to_owned()
    }

    /// The status and the code of a refusal.
    pub(crate) fn refusal(&self) -> (u16, String) {
        (self.status, self.code())
    }

    /// The body of a successful call. Checks that it has the form of the contract.
    pub(crate) fn done(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json;charset=utf-8"), "{self:?}");
        let body = self.json();
        assert_eq!((&body["Code"], &body["Success"]), (&"OK".into(), &true.into()), "{self:?}");
        let request_id = body["RequestId"].as_str().unwrap();
        assert_request_id(request_id);
        assert_eq!(self.header("x-acs-request-id"), Some(request_id), "{self:?}");
        body
    }
}

fn assert_request_id(text: &str) {
    let parts: Vec<_> = text.split('-').map(str::len).collect();
    assert_eq!(parts, [8, 4, 4, 4, 12], "{text}");
    assert!(
        text.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte)),
        "{text}"
    );
}
