//! How a link ends.

use std::time::Duration;

use actix_ws::CloseCode;
use agent_protocol::AgentErrorCode;
use tokio::time::timeout;

use crate::links::LinkClosed;

/// How a link ends.
pub(super) enum End {
    /// The agent closed it, or its network failed.
    Gone,
    /// This side closes it, with a reason for the agent.
    Close(CloseCode, &'static str),
}

/// Something that ends the link, or nothing.
pub(super) type Step = Result<(), End>;

/// Waits until the agent takes what is written. An agent that does not counts as gone.
pub(super) async fn taken(
    within: Duration,
    written: impl Future<Output = Result<(), actix_ws::Closed>>,
) -> Step {
    match timeout(within, written).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(End::Gone),
    }
}

/// Tells an ended connection from unreadable frames: an agent that stops, or whose machine stops, sends nothing more.
pub(super) fn unreadable(error: &actix_ws::ProtocolError) -> End {
    match error {
        actix_ws::ProtocolError::Io(_) => End::Gone,
        _ => End::Close(CloseCode::Protocol, "the frames cannot be read"),
    }
}

/// What this side sends when it closes a link for this reason.
pub(super) fn closing(why: LinkClosed) -> End {
    match why {
        LinkClosed::Superseded => End::Close(CloseCode::Policy, "the agent opened another link"),
        LinkClosed::Retired => End::Close(CloseCode::Policy, AgentErrorCode::AgentNotFound.code()),
        LinkClosed::Stopping => End::Close(CloseCode::Restart, "the control plane is stopping; dial again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ended_connection_is_distinguished_from_unreadable_frames() {
        let ended = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        assert!(matches!(unreadable(&actix_ws::ProtocolError::Io(ended)), End::Gone));
        assert!(matches!(
            unreadable(&actix_ws::ProtocolError::BadOpCode),
            End::Close(CloseCode::Protocol, _)
        ));
    }
}
