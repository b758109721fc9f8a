//! The answers to what is no request: whole replies, in the contract's shape, where no resource makes any.

use std::net::IpAddr;
use std::rc::Rc;

use actix_web::http::StatusCode;
use openapi::error_codes::{ErrorCode, WireError};

use crate::errors::Refusal;
use crate::http::request::RequestId;

/// An answer of the framework itself is not longer than this; anything longer is passed through unread.
const LONGEST_BARE_HEAD: usize = 256;

/// What is answered instead of a refusal of what is no HTTP, which was counted meanwhile.
pub(crate) type Refuse = Rc<dyn Fn(Option<IpAddr>, &RequestId, Refusal) -> Refusal>;

/// An error reply that consists of a head alone.
pub(super) struct BareHead<'b> {
    status: &'b str,
    date: Option<&'b str>,
}

impl<'b> BareHead<'b> {
    /// Reads a write that is one whole bare error head and nothing else. Every reply of a resource carries its
    /// RequestId and is passed through.
    pub(super) fn read(bytes: &'b [u8]) -> Option<Self> {
        if bytes.len() > LONGEST_BARE_HEAD {
            return None;
        }
        let head = std::str::from_utf8(bytes).ok()?.strip_suffix("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let status =
            lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3).filter(|status| status.starts_with('4'))?;
        let (mut empty, mut date) = (false, None);
        for line in lines {
            match line.split_once(": ")? {
                ("content-length", length) => empty = length == "0",
                ("date", text) => date = Some(text),
                ("connection", _) => {}
                _ => return None,
            }
        }
        empty.then_some(Self { status, date })
    }

    /// What it says.
    pub(super) fn error(&self) -> WireError {
        match self.status {
            "431" => ErrorCode::RequestEntityTooLarge.into(),
            "408" => {
                WireError::with_message(ErrorCode::MalformedRequest, "The request did not arrive in time.")
            }
            _ => WireError::with_message(
                ErrorCode::MalformedRequest,
                "The request is not well-formed HTTP/1.1.",
            ),
        }
    }

    /// The whole reply that stands in its place.
    pub(super) fn reply(
        &self,
        error: WireError,
        host_id: &str,
        peer: Option<IpAddr>,
        refuse: &Refuse,
    ) -> Vec<u8> {
        let request_id = RequestId::generate();
        let refusal = refuse(peer, &request_id, error.into());
        whole_reply(&refusal, &request_id, host_id, self.date)
    }
}

/// The reply that tells this refusal, and after which the connection is closed.
pub(crate) fn whole_reply(
    refusal: &Refusal,
    request_id: &RequestId,
    host_id: &str,
    date: Option<&str>,
) -> Vec<u8> {
    let status = StatusCode::from_u16(refusal.wire.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let body = serde_json::to_vec(&refusal.body(request_id, host_id)).unwrap_or_default();
    let mut reply = format!(
        "HTTP/1.1 {} {}\r\ncontent-length: {}\r\ncontent-type: application/json;charset=utf-8\r\n\
         cache-control: no-store\r\nx-acs-request-id: {request_id}\r\n",
        status.as_u16(),
        status.canonical_reason().unwrap_or_default(),
        body.len()
    );
    for (name, value) in refusal.headers() {
        reply.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap_or_default()));
    }
    if let Some(date) = date {
        reply.push_str(&format!("date: {date}\r\n"));
    }
    reply.push_str("connection: close\r\n\r\n");
    let mut reply = reply.into_bytes();
    reply.extend_from_slice(&body);
    reply
}
