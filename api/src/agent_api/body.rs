//! Reading the body of a call: never more than allowed, and strictly what it should be.

use actix_web::dev::Payload;
use actix_web::web::{Bytes, BytesMut};
use agent_protocol::AgentErrorCode;
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;

use super::refusal::AgentRefusal;

/// Reads at most `most` bytes.
pub(crate) async fn read(payload: &mut Payload, most: usize) -> Result<Bytes, AgentRefusal> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| {
            AgentRefusal::invalid_request("the body did not arrive whole").caused_by(error.to_string())
        })?;
        if body.len() + chunk.len() > most {
            let message = format!("the body has more than the {most} bytes that are accepted here");
            return Err(AgentRefusal::new(AgentErrorCode::RequestEntityTooLarge, message));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Reads the body as JSON. Unknown fields are ignored: an agent one minor version ahead may send them.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, AgentRefusal> {
    serde_json::from_slice(body)
        .map_err(|error| AgentRefusal::invalid_request(format!("the body cannot be read: {error}")))
}
