//! Reads the body of a request piece by piece, within a length and a time, and only as far as there is room. The rest
//! of a refused body is not read here; the connection stays open for a moment, so that a sender who is still writing
//! receives the reply.

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{HttpRequest, web::Bytes};
use futures_util::StreamExt as _;
use tokio::time::{Instant, timeout_at};

use crate::limits::room::{NoRoom, Room};

/// A body that is not received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotReceived {
    /// It is longer than it may be.
    TooLong,
    /// The connection broke, or the framing is wrong.
    Broken,
    /// It came too slowly.
    TooSlow,
    /// There was no room for it.
    NoRoom(NoRoom),
}

/// How long a body may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Length {
    /// In bytes, at most.
    pub(crate) most: usize,
    /// What the head says; `None` for a body in chunks.
    pub(crate) announced: Option<usize>,
}

impl Length {
    /// Of this request's body, which may have so many bytes.
    pub(crate) fn of(http: &HttpRequest, most: usize) -> Self {
        let announced = http.headers().get(header::CONTENT_LENGTH);
        Self { most, announced: announced.and_then(|value| value.to_str().ok()?.parse().ok()) }
    }

    /// How long the body is as its head says, or may be.
    ///
    /// # Errors
    /// It says that it is longer than it may be.
    pub(crate) fn expected(self) -> Result<usize, NotReceived> {
        let length = self.announced.unwrap_or(self.most);
        if length > self.most { Err(NotReceived::TooLong) } else { Ok(length) }
    }
}

/// How fast a body has to arrive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Whatever its length.
    pub(crate) within: Duration,
    /// How many bytes each further second has to bring, if there may be any.
    pub(crate) bytes_per_second: Option<usize>,
}

impl Pace {
    /// All of it within this time.
    pub(crate) fn all_within(within: Duration) -> Self {
        Self { within, bytes_per_second: None }
    }

    /// How much time this many bytes add.
    #[allow(clippy::cast_precision_loss, reason = "lengths of bodies are far below 2^52")]
    fn time_for(&self, bytes: usize) -> Duration {
        let seconds = |rate| bytes as f64 / rate as f64;
        self.bytes_per_second.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(seconds(rate)))
    }
}

/// Receives a body, and shows each piece to `look` as it comes. Room is made before a piece is read, in steps, so that
/// a sender who announces much and sends little takes little room.
pub(crate) async fn receive<R: Room>(
    payload: &mut Payload,
    Length { most, announced }: Length,
    pace: Pace,
    room: R,
    mut look: impl FnMut(&[u8]),
) -> Result<(Vec<u8>, R), NotReceived> {
    let length = Length { most, announced }.expected()?;
    let mut body = Receiving { bytes: Vec::new(), made: 0, room, deadline: Instant::now() + pace.within };
    loop {
        // After its length only the end is expected.
        body.make_room(R::STEP.min(length.saturating_sub(body.bytes.len()))).await?;
        let piece: Bytes = match timeout_at(body.deadline, payload.next()).await {
            Err(_) => return Err(NotReceived::TooSlow),
            Ok(None) => return Ok((body.bytes, body.room)),
            Ok(Some(Err(_))) => return Err(NotReceived::Broken),
            Ok(Some(Ok(piece))) => piece,
        };
        if body.bytes.len() + piece.len() > most {
            return Err(NotReceived::TooLong);
        }
        // More may have come with the head than there is room for yet.
        body.make_room(piece.len()).await?;
        body.deadline += pace.time_for(piece.len());
        look(&piece);
        body.bytes.extend_from_slice(&piece);
    }
}

/// A body that is being received.
struct Receiving<R> {
    bytes: Vec<u8>,
    /// How many bytes there is room for.
    made: usize,
    room: R,
    deadline: Instant,
}

impl<R: Room> Receiving<R> {
    /// Makes room for so many bytes behind those that are here.
    async fn make_room(&mut self, more: usize) -> Result<(), NotReceived> {
        let missing = (self.bytes.len() + more).saturating_sub(self.made);
        if missing == 0 {
            return Ok(());
        }
        let began = Instant::now();
        if R::WAITS_FOR_ITSELF {
            let made = timeout_at(self.deadline, self.room.make(missing)).await;
            made.map_err(|_| NotReceived::TooSlow)?.map_err(NotReceived::NoRoom)?;
        } else {
            self.room.make(missing).await.map_err(NotReceived::NoRoom)?;
            // The time that others took does not count against the sender.
            self.deadline += began.elapsed();
        }
        self.made += missing;
        // Exactly: growing by doubling would hold twice what is counted.
        self.bytes.reserve_exact(more);
        Ok(())
    }
}

/// Whether a body follows the head.
pub(crate) fn follows(http: &HttpRequest) -> bool {
    http.headers().contains_key(header::TRANSFER_ENCODING)
        || Length::of(http, usize::MAX).announced.is_some_and(|length| length > 0)
}
