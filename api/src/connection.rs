//! The connection below HTTP. What cannot be read as HTTP at all never reaches a resource: the web framework answers
//! it itself, with an empty body. [`Shaped`] puts the contract's body into those answers on their way out, because
//! every SDK fails to read an error without one. Only a write that is such an answer and nothing else is touched: what
//! follows another reply in the same write could as well be the end of that reply's body.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use actix_rt::net::{ActixStream, Ready};
use openapi::error_codes::{ErrorCode, WireError};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::errors::Refusal;
use crate::request::RequestId;

/// An answer of the framework itself is not longer than this; anything longer is passed through unread.
const LONGEST_BARE_HEAD: usize = 256;

/// A stream whose bare error heads become whole replies.
pub(crate) struct Shaped<S> {
    stream: S,
    host_id: Arc<str>,
    peer: Option<SocketAddr>,
    /// What stands in the place of a bare head, as far as it is not written yet.
    pending: Vec<u8>,
    written: usize,
}

impl<S> Shaped<S> {
    pub(crate) fn new(stream: S, host_id: Arc<str>, peer: Option<SocketAddr>) -> Self {
        Self { stream, host_id, peer, pending: Vec::new(), written: 0 }
    }
}

impl<S: AsyncWrite + Unpin> Shaped<S> {
    /// Writes what is pending.
    fn poll_pending(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.pending.len() {
            let rest = &self.pending[self.written..];
            match ready!(Pin::new(&mut self.stream).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
        }
        self.pending.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Shaped<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_pending(context))?;
        let Some(bare) = BareHead::read(bytes) else {
            return Pin::new(&mut self.stream).poll_write(context, bytes);
        };
        self.pending = bare.reply(&self.host_id, self.peer);
        // The rest of it goes out with the next write or flush, one of which always follows.
        if let Poll::Ready(Err(error)) = self.poll_pending(context) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pending(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pending(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Shaped<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<S: ActixStream> ActixStream for Shaped<S> {
    fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        self.stream.poll_read_ready(context)
    }

    fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        self.stream.poll_write_ready(context)
    }
}

/// An error reply that consists of a head alone.
struct BareHead<'b> {
    status: &'b str,
    date: Option<&'b str>,
}

impl<'b> BareHead<'b> {
    /// Reads a write that is one whole bare error head and nothing else. Every reply of a resource carries its
    /// RequestId and is passed through.
    fn read(bytes: &'b [u8]) -> Option<Self> {
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

    fn reply(&self, host_id: &str, peer: Option<SocketAddr>) -> Vec<u8> {
        let error = match self.status {
            "431" => ErrorCode::RequestEntityTooLarge.into(),
            "408" => {
                WireError::with_message(ErrorCode::MalformedRequest, "The request did not arrive in time.")
            }
            _ => WireError::with_message(
                ErrorCode::MalformedRequest,
                "The request is not well-formed HTTP/1.1.",
            ),
        };
        let (request_id, refusal) = (RequestId::generate(), Refusal::from(error));
        let (status, code) = (refusal.wire.status(), refusal.wire.code_text());
        let peer = peer.map(|peer| peer.ip().to_canonical().to_string()).unwrap_or_default();
        tracing::info!(%request_id, peer, status, code, "answered what could not be read as HTTP");
        let body = serde_json::to_vec(&refusal.body(&request_id, host_id)).unwrap_or_default();
        let reason = if status == 413 { "Payload Too Large" } else { "Bad Request" };
        let date = self.date.map(|date| format!("date: {date}\r\n")).unwrap_or_default();
        let mut reply = format!(
            "HTTP/1.1 {status} {reason}\r\ncontent-length: {}\r\ncontent-type: application/json;charset=utf-8\r\n\
             cache-control: no-store\r\nx-acs-request-id: {request_id}\r\n{date}connection: close\r\n\r\n",
            body.len()
        )
        .into_bytes();
        reply.extend_from_slice(&body);
        reply
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const BARE: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\ndate: Fri, 20 Nov 2026 11:30:19 GMT\r\n\r\n";

    async fn through(written: &[u8], room: usize) -> String {
        let (ours, mut theirs) = tokio::io::duplex(room);
        let reader = tokio::spawn(async move {
            let mut text = String::new();
            theirs.read_to_string(&mut text).await.unwrap();
            text
        });
        let mut shaped = Shaped::new(ours, "host".into(), None);
        shaped.write_all(written).await.unwrap();
        shaped.shutdown().await.unwrap();
        drop(shaped);
        reader.await.unwrap()
    }

    #[tokio::test]
    async fn a_bare_head_becomes_a_reply_however_little_room_there_is() {
        for room in [1, 7, 10_000] {
            let text = through(BARE.as_bytes(), room).await;
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{text}");
            assert!(
                head.contains("date: Fri, 20 Nov 2026 11:30:19 GMT\r\n")
                    && head.contains("x-acs-request-id: ")
            );
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(
                (&body["Code"], &body["HostId"], &body["Success"]),
                (&"InvalidParameter".into(), &"host".into(), &false.into())
            );
        }
    }

    #[tokio::test]
    async fn everything_else_passes_unchanged() {
        for text in [
            BARE.replace("content-length: 0", "content-length: 5"),
            BARE.replace("connection: close", "x-acs-request-id: 1"),
            BARE.replace("400 Bad Request", "200 OK"),
            format!("{BARE}more"),
            format!("before{BARE}"),
            BARE.trim_end().to_owned(),
            "\u{ff}".repeat(300),
            String::new(),
        ] {
            assert_eq!(through(text.as_bytes(), 10_000).await, text);
        }
    }
}
