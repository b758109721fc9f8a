//! The connection below HTTP. What cannot be read as HTTP at all never reaches a resource: the web framework answers
//! it itself, with an empty body. [`Shaped`] puts the contract's body into those answers on their way out, because
//! every SDK fails to read an error without one. Only a write that is such an answer and nothing else is touched: what
//! follows another reply in the same write could as well be the end of that reply's body. So that it is a write of its
//! own, the framework is handed one request at a time: the next head only when the reply before is taken. Of each head
//! the query is taken out before ([`target`]), and belongs to the connection's [`Slot`] until its request asks for it.

mod framing;
mod refused;
mod target;

use std::future::Future as _;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_rt::net::{ActixStream, Ready};
use openapi::error_codes::ErrorCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use crate::http::request::Query;
use crate::limits::connections::{LONGEST_HEAD, Reading, Slot};
use crate::limits::unproven::STEP;

use framing::Body;
use refused::BareHead;
pub(crate) use refused::{Refuse, whole_reply};
use target::{RequestLine, Unfit};

/// How much of a head is read at once, and so how much of what follows it.
const HEAD_STEP: usize = 8 * 1024;

/// How much is read away of a head that is too long, so that its sender, who still writes, hears why it is refused.
const READ_AWAY: usize = 4 * 1024 * 1024;

/// What the framework is given in place of a head that it is not to read: no head has such a byte anywhere, and it
/// refuses it at once.
const REFUSED_ANYWHERE: u8 = 0;

/// How long the rest of a head may take. The framework's own limit is for a connection's first head alone, and is a
/// little shorter, so that there it is the one that answers.
const REST_OF_A_HEAD: Duration = Duration::from_secs(11);
/// How long a connection may wait for the first bytes of a head: a little longer than the framework keeps one that is
/// idle, for one whose next head came half with the head before.
const BEGINNING_OF_A_HEAD: Duration = Duration::from_secs(30);

/// A stream whose bare error heads become whole replies, and that is read as far as its [`Slot`] allows.
pub(crate) struct Shaped<S> {
    stream: S,
    host_id: Arc<str>,
    peer: Option<IpAddr>,
    refuse: Refuse,
    /// How long a connection is kept whose other end takes nothing at all of what is written.
    patience: Duration,
    slot: Arc<Slot>,
    head: Head,
    /// The body of the request before the next head.
    body: Body,
    /// Whether the framework is to look at what it has before more is read away.
    looks: bool,
    /// What was read behind the end of a head or a body.
    rest: Vec<u8>,
    /// When the stream must take what was written last, while it does not.
    untaken: Option<Pin<Box<Sleep>>>,
    /// What stands in the place of a bare head, as far as it is not written yet.
    pending: Vec<u8>,
    written: usize,
    /// Whether a bare head was answered: nothing follows it.
    refused: bool,
}

/// What is known of the bytes of a head.
struct Head {
    /// Which one on this connection.
    number: u64,
    read: framing::Head,
    request_line: RequestLine,
    /// How long it is so far.
    length: usize,
    /// Why the framework is not to read it.
    unfit: Option<Unfit>,
    /// Whether the framework has all of it.
    whole: bool,
    /// Whether some of it is here, and not all.
    unfinished: bool,
    /// When the next of it must be here.
    deadline: Pin<Box<Sleep>>,
}

impl Head {
    /// The first one of a connection.
    fn first() -> Self {
        Self {
            number: 0,
            read: framing::Head::default(),
            request_line: RequestLine::default(),
            length: 0,
            unfit: None,
            whole: false,
            unfinished: false,
            deadline: Box::pin(sleep(BEGINNING_OF_A_HEAD)),
        }
    }

    /// The one with this number comes next; the one before was whole.
    fn next(&mut self, number: u64) {
        let read = std::mem::take(&mut self.read).next();
        self.number = number;
        (self.read, self.request_line, self.length) = (read, RequestLine::default(), 0);
        (self.unfit, self.whole, self.unfinished) = (None, false, false);
        // The same timer, so that a call needs none of its own.
        self.deadline.as_mut().reset(Instant::now() + BEGINNING_OF_A_HEAD);
    }

    /// A part of it is here.
    fn goes_on(&mut self) {
        if !std::mem::replace(&mut self.unfinished, true) {
            self.deadline.as_mut().reset(Instant::now() + REST_OF_A_HEAD);
        }
    }

    /// Moves what the framework is to read of these bytes of it to their front; says how many they are.
    fn pass_on(&mut self, bytes: &mut [u8], ends: bool) -> usize {
        self.length += bytes.len();
        if self.unfit.is_none() {
            match self.request_line.cut(bytes) {
                Ok(kept) if self.length < LONGEST_HEAD => return kept,
                Ok(_) => self.unfit = Some(Unfit::TooLong),
                Err(unfit) => self.unfit = Some(unfit),
            }
        }
        let read_away = ends || self.length > READ_AWAY;
        match bytes.first_mut() {
            Some(first) if read_away || self.unfit == Some(Unfit::Malformed) => {
                *first = REFUSED_ANYWHERE;
                1
            }
            _ => 0,
        }
    }
}

impl<S> Shaped<S> {
    pub(crate) fn new(
        stream: S,
        host_id: Arc<str>,
        peer: Option<IpAddr>,
        refuse: Refuse,
        patience: Duration,
        slot: Arc<Slot>,
    ) -> Self {
        Self {
            stream,
            host_id,
            peer,
            refuse,
            patience,
            slot,
            head: Head::first(),
            body: Body::Length(0),
            looks: false,
            rest: Vec::new(),
            untaken: None,
            pending: Vec::new(),
            written: 0,
            refused: false,
        }
    }

    /// The connection, for its requests.
    pub(crate) fn slot(&self) -> &Arc<Slot> {
        &self.slot
    }
}

impl<S> Drop for Shaped<S> {
    fn drop(&mut self) {
        // A request may outlive its connection, and must not keep its place.
        self.slot.ended();
    }
}

impl<S: AsyncWrite + Unpin> Shaped<S> {
    /// Writes what is pending.
    fn poll_pending(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.pending.len() {
            match ready!(self.poll_write_through(context, None))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
        }
        self.pending.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Writes `bytes`, or else what is pending, to the stream, and says to the slot whether they are taken.
    fn poll_write_through(
        &mut self,
        context: &mut Context<'_>,
        bytes: Option<&[u8]>,
    ) -> Poll<io::Result<usize>> {
        let bytes = bytes.unwrap_or(&self.pending[self.written..]);
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if written.is_pending() {
            self.slot.is_not_taken(context)?;
            let deadline = self.untaken.get_or_insert_with(|| Box::pin(sleep(self.patience)));
            if deadline.as_mut().poll(context).is_ready() {
                let late = "nobody takes what is written";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, late)));
            }
        } else if self.untaken.take().is_some() {
            self.slot.is_taken();
            // The next head may be read.
            context.waker().wake_by_ref();
        }
        written
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
            return self.poll_write_through(context, Some(bytes));
        };
        self.refused = true;
        let error = match self.head.unfit {
            Some(Unfit::TooLong) => ErrorCode::RequestEntityTooLarge.into(),
            Some(Unfit::Malformed) | None => bare.error(),
        };
        self.pending = bare.reply(error, &self.host_id, self.peer, &self.refuse);
        // The rest of it goes out with the next write or flush, one of which always follows.
        if let Poll::Ready(Err(error)) = self.poll_pending(context) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pending(context))?;
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        if self.refused {
            // The connection ends here, as one that its peer breaks off does. Left to itself the framework would log an
            // error for each client that does not speak HTTP, among those that are its own.
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "it is not HTTP")));
        }
        Poll::Ready(Ok(()))
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
        let this = &mut *self;
        match this.slot.reading(context)? {
            Reading::Head { number } => {
                if this.head.number != number {
                    this.head.next(number);
                }
                if this.head.deadline.as_mut().poll(context).is_ready() {
                    let late = "the rest of a head did not arrive";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, late)));
                }
                if this.head.whole {
                    // The framework has it. It may answer at once; what came with it of the body is then read already.
                    return this.poll_read_body(context, into, 0);
                }
                if this.body.is_over() {
                    return this.poll_read_head(context, into);
                }
                // What was not read of a body stands before the next head. The framework reads it away, and would gather all
                // that is here before it looks at any: it is to look after each piece.
                if std::mem::take(&mut this.looks) {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                this.head.goes_on();
                let before = into.filled().len();
                let polled = this.poll_read_body(context, into, STEP);
                this.looks = into.filled().len() > before;
                polled
            }
            Reading::Body(wanted) => this.poll_read_body(context, into, wanted),
            // What came with the head is here already.
            Reading::Nothing => this.poll_read_body(context, into, 0),
            // As if the peer had closed its side.
            Reading::Over => Poll::Ready(Ok(())),
        }
    }
}

impl<S: AsyncRead + Unpin> Shaped<S> {
    /// Reads a piece of a head, and nothing behind its end. What is no head the framework may refuse before it ends.
    fn poll_read_head(&mut self, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.untaken.is_some() {
            return Poll::Pending;
        }
        let Self { stream, rest, head, body, slot, .. } = self;
        let mut find = |bytes: &mut [u8]| {
            let end = head.read.find_end(bytes);
            let taken = end.unwrap_or(bytes.len());
            let passed_on = head.pass_on(&mut bytes[..taken], end.is_some());
            if end.is_some() {
                (head.whole, *body) = (true, head.read.body());
                slot.head_is_whole(Query::from(head.request_line.take_query()));
            } else if taken > 0 {
                slot.head_is_unfinished(taken);
                head.goes_on();
            }
            Part { taken, passed_on }
        };
        let part = ready!(poll_read_part(stream, rest, context, into, HEAD_STEP, &mut find))?;
        if part.taken > 0 && part.passed_on == 0 {
            // To the framework this would be the end of the connection.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads what is here already of a body, or else at most so many bytes, and nothing behind its end.
    fn poll_read_body(
        &mut self,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
        wanted: usize,
    ) -> Poll<io::Result<()>> {
        let wanted = self.body.at_most(wanted);
        if self.body == Body::Unknown {
            // As if the peer had broken off: whoever reads it hears that it did not come whole.
            return Poll::Ready(Ok(()));
        }
        if self.body.is_over() || (self.rest.is_empty() && wanted == 0) {
            return Poll::Pending;
        }
        let Self { stream, rest, body, .. } = self;
        let mut take = |bytes: &mut [u8]| Part::all(body.take(bytes));
        let read = ready!(poll_read_part(stream, rest, context, into, wanted, &mut take))?;
        self.slot.body_was_read(read.taken);
        Poll::Ready(Ok(()))
    }
}

/// What is done with the first of some bytes that were read.
#[derive(Debug, Clone, Copy)]
struct Part {
    /// How many of them are wanted; the others are the rest.
    taken: usize,
    /// How many of those the framework is to have. They stand at the front.
    passed_on: usize,
}

impl Part {
    fn all(taken: usize) -> Self {
        Self { taken, passed_on: taken }
    }
}

/// Reads of `rest`, or else at most so many bytes of the stream. What is done with them, `part` says.
fn poll_read_part<S: AsyncRead + Unpin>(
    stream: &mut S,
    rest: &mut Vec<u8>,
    context: &mut Context<'_>,
    into: &mut ReadBuf<'_>,
    most: usize,
    part: &mut dyn FnMut(&mut [u8]) -> Part,
) -> Poll<io::Result<Part>> {
    if !rest.is_empty() {
        let count = rest.len().min(into.remaining());
        let bytes = into.initialize_unfilled_to(count);
        bytes.copy_from_slice(&rest[..count]);
        let part = part(bytes);
        into.advance(part.passed_on);
        *rest = rest.split_off(part.taken);
        return Poll::Ready(Ok(part));
    }
    let mut piece = ReadBuf::new(into.initialize_unfilled_to(most.min(into.remaining())));
    ready!(Pin::new(stream).poll_read(context, &mut piece))?;
    let bytes = piece.filled_mut();
    let part = part(bytes);
    rest.extend_from_slice(&bytes[part.taken..]);
    into.advance(part.passed_on);
    Poll::Ready(Ok(part))
}

impl<S: ActixStream> ActixStream for Shaped<S> {
    fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        self.stream.poll_read_ready(context)
    }

    fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        self.stream.poll_write_ready(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::limits::connections::{ConnectionLimits, Connections, Peer};

    const BARE: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\ndate: Fri, 20 Nov 2026 11:30:19 GMT\r\n\r\n";

    async fn through(written: &[u8], room: usize) -> String {
        let (ours, mut theirs) = tokio::io::duplex(room);
        let reader = tokio::spawn(async move {
            let mut text = String::new();
            theirs.read_to_string(&mut text).await.unwrap();
            text
        });
        let refuse: Refuse = std::rc::Rc::new(|_, _, refusal| refusal);
        let unproven = Arc::<crate::limits::unproven::Unproven>::default();
        let connections = Arc::new(Connections::new(ConnectionLimits::default(), unproven));
        let slot = connections.open(Peer::Caller(None)).unwrap();
        let mut shaped = Shaped::new(ours, "host".into(), None, refuse, Duration::MAX, slot);
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
