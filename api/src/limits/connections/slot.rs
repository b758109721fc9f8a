//! One connection, as its stream, its requests and the registry share it: whether it waits or is answered, how much of a
//! body may be read, and whether it was closed for others.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::web::Bytes;
use futures_util::Stream;
use tokio::sync::Notify;

use super::{Connections, Number};
use crate::http::request::Query;
use crate::limits::unproven::STEP;

/// What may be read of a connection now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// The bytes of the head with this number on its connection.
    Head {
        /// The number.
        number: u64,
    },
    /// So many bytes of a body.
    Body(usize),
    /// Nothing, until somebody wants the body or the reply is done.
    Nothing,
    /// Nothing any more.
    Over,
}

/// How bytes flow on one connection.
#[derive(Debug, Default)]
pub(super) struct Flow {
    state: Mutex<State>,
    /// Told when the stream is gone.
    ended: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// How many whole heads there were.
    heads: u64,
    /// The query of the last of them, until its request has it.
    query: Query,
    /// How many requests are being answered; more than one only while one follows the other.
    answering: usize,
    /// How much of the body somebody wants to read.
    wanted: usize,
    closed: bool,
    /// Whether the body of an unauthenticated request is awaited.
    awaits_unauthenticated: bool,
    /// Whether it became an agent's link, which nothing follows.
    is_link: bool,
    /// Of the task that reads and writes.
    waker: Option<Waker>,
}

impl Flow {
    /// Closes the connection: its next read or write fails, and there is one at once.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        wake(state);
    }

    // No change under the lock is left incomplete, so a panic elsewhere does not corrupt the state.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes whoever reads and writes, when the lock is open again.
fn wake(mut state: MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// An open connection. It leaves the registry when it is dropped, or with [`Slot::leave`].
#[derive(Debug)]
pub(crate) struct Slot {
    connections: Arc<Connections>,
    /// `None` for one that does not count.
    number: Option<Number>,
    counts: AtomicBool,
    flow: Arc<Flow>,
}

impl Slot {
    pub(super) fn new(connections: Arc<Connections>, number: Option<Number>, flow: Arc<Flow>) -> Self {
        Self { connections, counts: AtomicBool::new(number.is_some()), number, flow }
    }

    /// Its number, while it counts.
    fn counted(&self) -> Option<Number> {
        self.number.filter(|_| self.counts.load(Ordering::Acquire))
    }

    /// It has become the link of an authenticated agent: it does not count any more, and ends with the link.
    pub(crate) fn becomes_link(&self) {
        self.flow.lock().is_link = true;
        self.leave();
    }

    /// It counts no more.
    pub(crate) fn leave(&self) {
        if self.counts.swap(false, Ordering::AcqRel)
            && let Some(number) = self.number
        {
            let connections = &self.connections;
            connections.leave(&mut connections.lock(), number);
        }
    }

    /// What may be read, by a task that is woken when that changes.
    ///
    /// # Errors
    /// The connection was closed for others.
    pub(crate) fn reading(&self, context: &Context<'_>) -> io::Result<Reading> {
        let mut state = self.flow.lock();
        state.listen(context)?;
        Ok(match (state.answering, state.wanted) {
            (0, _) if state.is_link => Reading::Over,
            (0, _) => Reading::Head { number: state.heads },
            (_, 0) => Reading::Nothing,
            (_, wanted) => Reading::Body(wanted),
        })
    }

    /// So many bytes of a body were read.
    pub(crate) fn body_was_read(&self, bytes: usize) {
        let mut state = self.flow.lock();
        state.wanted = state.wanted.saturating_sub(bytes);
    }

    /// So many bytes were read, and there is no whole head yet.
    pub(crate) fn head_is_unfinished(&self, bytes: usize) {
        if let Some(number) = self.counted() {
            self.connections.hold_head(number, bytes);
        }
    }

    /// The last piece of a head was read. Its request comes next, and nothing of another head before.
    pub(crate) fn head_is_whole(&self, query: Query) {
        self.flow.lock().query = query;
    }

    /// Nobody reads what is written, which can last for ever: from now on it can be closed for others.
    ///
    /// # Errors
    /// It was closed for others.
    pub(crate) fn is_not_taken(&self, context: &Context<'_>) -> io::Result<()> {
        self.flow.lock().listen(context)?;
        if let Some(number) = self.counted() {
            Connections::start_waiting(&mut self.connections.lock(), number);
        }
        Ok(())
    }

    /// What is written is taken again.
    pub(crate) fn is_taken(&self) {
        let state = self.flow.lock();
        let answering = state.answering > 0 && !state.awaits_unauthenticated;
        drop(state);
        if answering && let Some(number) = self.counted() {
            let connections = &self.connections;
            connections.stop_waiting(&mut connections.lock(), number);
        }
    }

    /// A whole head is here. Until the reply is done the connection does not wait, and of the body is read what
    /// somebody wants.
    pub(crate) fn answer(self: &Arc<Self>) -> Answering {
        let mut state = self.flow.lock();
        state.heads += 1;
        state.answering += 1;
        state.wanted = 0;
        drop(state);
        self.connections.being_answered.begin();
        if let Some(number) = self.counted() {
            let connections = &self.connections;
            connections.stop_waiting(&mut connections.lock(), number);
        }
        Answering(self.clone())
    }

    /// A request that only its body can authenticate does not count yet: until this is dropped, the connection can be
    /// closed for others, like one with an unfinished head.
    pub(crate) fn awaits_unauthenticated_body(self: &Arc<Self>) -> AwaitingBody {
        self.flow.lock().awaits_unauthenticated = true;
        if let Some(number) = self.counted() {
            Connections::start_waiting(&mut self.connections.lock(), number);
        }
        AwaitingBody(self.clone())
    }

    /// Waits until its stream is gone, and closes it when that takes longer.
    pub(crate) async fn ends_within(&self, time: Duration) {
        if tokio::time::timeout(time, self.flow.ended.notified()).await.is_err() {
            self.flow.close();
        }
    }

    /// Its stream is gone.
    pub(crate) fn ended(&self) {
        self.flow.ended.notify_one();
        self.leave();
    }

    /// Somebody wants to read the body. A little at a time, so that no more is held than somebody asks for.
    fn want_body(&self) {
        let mut state = self.flow.lock();
        if state.wanted < STEP {
            state.wanted = STEP;
            wake(state);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.leave();
    }
}

impl State {
    fn listen(&mut self, context: &Context<'_>) -> io::Result<()> {
        if self.closed {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "closed to make room for others"));
        }
        match &mut self.waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Ok(())
    }
}

/// A request is being answered on a connection, until this is dropped.
#[derive(Debug)]
pub(crate) struct Answering(Arc<Slot>);

impl Answering {
    /// The query of the request.
    pub(crate) fn take_query(&self) -> Query {
        std::mem::take(&mut self.0.flow.lock().query)
    }

    /// The request's payload, read from the connection as its reader asks for it.
    pub(crate) fn payload(&self, payload: Payload) -> Payload {
        match payload {
            Payload::None => Payload::None,
            payload => {
                Payload::Stream { payload: Box::pin(TrackedPayload { payload, slot: self.0.clone() }) }
            }
        }
    }

    /// The reply's body, at whose end the connection waits again.
    pub(crate) fn body(self, body: BoxBody) -> BoxBody {
        BoxBody::new(Replying { body, _answering: self })
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let slot = &self.0;
        let mut state = slot.flow.lock();
        state.answering -= 1;
        let waits = state.answering == 0;
        wake(state);
        slot.connections.being_answered.end();
        if waits && let Some(number) = slot.counted() {
            Connections::start_waiting(&mut slot.connections.lock(), number);
        }
    }
}

/// The body of an unauthenticated request is awaited on a connection, until this is dropped.
#[derive(Debug)]
pub(crate) struct AwaitingBody(Arc<Slot>);

impl Drop for AwaitingBody {
    fn drop(&mut self) {
        let slot = &self.0;
        slot.flow.lock().awaits_unauthenticated = false;
        if let Some(number) = slot.counted() {
            let connections = &slot.connections;
            connections.stop_waiting(&mut connections.lock(), number);
        }
    }
}

/// A payload whose reader is asked for.
struct TrackedPayload {
    payload: Payload,
    slot: Arc<Slot>,
}

impl Stream for TrackedPayload {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = Pin::new(&mut self.payload).poll_next(context);
        if polled.is_pending() {
            self.slot.want_body();
        }
        polled
    }
}

/// A reply's body.
pub(crate) struct Replying {
    body: BoxBody,
    _answering: Answering,
}

impl MessageBody for Replying {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}
