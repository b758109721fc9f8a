//! Reading the body of a call: never more than allowed, and strictly what it should be.

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::web::{Bytes, BytesMut};
use agent_protocol::AgentErrorCode;
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;

use super::refusal::AgentRefusal;

/// How long the body of somebody who proved to be an agent may take to arrive: a slow network is no reason to lose a
/// segment. Whoever is slower only holds a connection.
pub(crate) const OF_AN_AGENT: Duration = Duration::from_secs(300);
/// How long a body may take whose sender nobody knows yet.
pub(crate) const OF_A_STRANGER: Duration = Duration::from_secs(20);

/// How much of a body that is too long is still read away.
const DISCARDED_AT_MOST: usize = 16 * 1024 * 1024;

/// A body that does not arrive as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotReceived {
    /// It is longer than it may be.
    TooLong,
    /// The connection broke, or the framing is wrong.
    Broken,
    /// It took too long.
    TooSlow,
}

/// Receives a body of at most `most` bytes that arrives `within` this time, shows each piece to `look` as it comes, and keeps
/// nothing from the first byte too many on.
pub(crate) async fn receive(
    payload: &mut Payload,
    most: usize,
    within: Duration,
    mut look: impl FnMut(&[u8]),
) -> Result<Bytes, NotReceived> {
    let mut body = BytesMut::new();
    let all = async {
        while let Some(piece) = payload.next().await {
            let piece = piece.map_err(|_| NotReceived::Broken)?;
            if body.len() + piece.len() > most {
                return Err(NotReceived::TooLong);
            }
            look(&piece);
            body.extend_from_slice(&piece);
        }
        Ok(())
    };
    match tokio::time::timeout(within, all).await.unwrap_or(Err(NotReceived::TooSlow)) {
        Ok(()) => Ok(body.freeze()),
        Err(not_received) => {
            if not_received == NotReceived::TooLong {
                discard(payload, DISCARDED_AT_MOST, OF_A_STRANGER).await;
            }
            Err(not_received)
        }
    }
}

/// Reads a call's body of at most `most` bytes that arrives `within` this time.
pub(crate) async fn read(
    payload: &mut Payload,
    most: usize,
    within: Duration,
) -> Result<Bytes, AgentRefusal> {
    receive(payload, most, within, |_| {}).await.map_err(|not_received| match not_received {
        NotReceived::TooLong => {
            let message = format!("the body has more than the {most} bytes that are accepted here");
            AgentRefusal::new(AgentErrorCode::RequestEntityTooLarge, message)
        }
        NotReceived::Broken => AgentRefusal::invalid_request("the body did not arrive whole"),
        NotReceived::TooSlow => AgentRefusal::new(
            AgentErrorCode::ServiceUnavailable,
            "the body took too long to arrive; try again",
        ),
    })
}

/// Reads away a body of at most `most` bytes, keeping nothing: a sender that still writes when the connection closes
/// might not hear why it was refused.
pub(crate) async fn discard(payload: &mut Payload, most: usize, within: Duration) {
    let mut left = most;
    let all = async {
        while let Some(Ok(piece)) = payload.next().await {
            let Some(after) = left.checked_sub(piece.len()) else { return };
            left = after;
        }
    };
    // Whoever is slower hears nothing, and has lost nothing by it.
    let _ = tokio::time::timeout(within, all).await;
}

/// Reads the body as JSON. Unknown fields are ignored: an agent one minor version ahead may send them.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, AgentRefusal> {
    serde_json::from_slice(body)
        .map_err(|error| AgentRefusal::invalid_request(format!("the body cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use actix_web::error::PayloadError;
    use futures_util::stream;

    use super::*;

    /// One piece, and then nothing for ever.
    fn stalled() -> Payload {
        let first = stream::iter([Ok::<_, PayloadError>(Bytes::from_static(b"{"))]);
        Payload::Stream { payload: Box::pin(first.chain(stream::pending())) }
    }

    #[tokio::test]
    async fn a_body_that_stalls_is_given_up() {
        let refusal = read(&mut stalled(), 100, Duration::from_millis(20)).await.unwrap_err();
        assert_eq!(refusal.code, AgentErrorCode::ServiceUnavailable);
    }
}
