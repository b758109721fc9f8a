//! The bodies of agents' calls, in the words of the agent API, and strictly what they should be.

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::web::Bytes;
use agent_protocol::AgentErrorCode;
use serde::de::DeserializeOwned;

use super::refusal::AgentRefusal;
use crate::http::body::{Length, NotReceived, Pace, receive};
use crate::limits::in_flight::Held;

/// How long the body of an authenticated agent may take to arrive. It is long, because a slow network is no reason to
/// lose a segment, and a slow agent only holds a connection.
pub(crate) const OF_AN_AGENT: Duration = Duration::from_secs(300);

/// Reads a call's body of at most `most` bytes that arrives `within` this time. An agent that announces more is told so
/// before it is read.
pub(crate) async fn read(
    payload: &mut Payload,
    length: Length,
    within: Duration,
    room: Held,
) -> Result<(Bytes, Held), AgentRefusal> {
    let received = receive(payload, length, Pace::all_within(within), room, |_| {}).await;
    let (body, held) = received.map_err(|not_received| match not_received {
        NotReceived::TooLong => {
            let message = format!("the body has more than the {} bytes that are accepted here", length.most);
            AgentRefusal::new(AgentErrorCode::RequestEntityTooLarge, message)
        }
        NotReceived::Broken | NotReceived::TooSlow | NotReceived::NoRoom(_) => not_received.into(),
    })?;
    Ok((body.into(), held))
}

/// Reads the body as JSON. Unknown fields are ignored: an agent one minor version ahead may send them.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, AgentRefusal> {
    serde_json::from_slice(body)
        .map_err(|error| AgentRefusal::invalid_request(format!("the body cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use actix_web::error::PayloadError;
    use futures_util::{StreamExt as _, stream};

    use super::*;
    use crate::limits::in_flight::InFlight;

    /// One piece, and then nothing for ever.
    fn stalled() -> Payload {
        let first = stream::iter([Ok::<_, PayloadError>(Bytes::from_static(b"{"))]);
        Payload::Stream { payload: Box::pin(first.chain(stream::pending())) }
    }

    #[tokio::test]
    async fn a_body_that_stalls_is_refused() {
        let room = Arc::<InFlight>::default().room("agent");
        let length = Length { most: 100, announced: None };
        let refusal = read(&mut stalled(), length, Duration::from_millis(20), room).await.unwrap_err();
        assert_eq!(refusal.code, AgentErrorCode::ServiceUnavailable);
    }
}
