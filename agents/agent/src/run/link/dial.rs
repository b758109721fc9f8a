//! How the link is dialled.

use agent_protocol::AgentErrorCode;
use reqwest::Upgraded;
use reqwest::header::{
    CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::chain;
use crate::client::CallError;
use crate::run::Agent;

const LARGEST_MESSAGE_BYTES: usize = 1024 * 1024;

/// Why there is no link.
pub(super) enum NotDialled {
    /// The control plane says that it has no such agent any more: it was removed, or another replaced it.
    Retired(String),
    /// It failed in another way.
    Failed(String),
}

impl From<String> for NotDialled {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

impl From<CallError> for NotDialled {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused { ref message, .. } if error.has_code(AgentErrorCode::AgentNotFound) => {
                Self::Retired(message.clone())
            }
            other => Self::Failed(other.to_string()),
        }
    }
}

/// Opens the WebSocket over the same HTTP client as every call, so that there is one TLS configuration.
pub(super) async fn dial(agent: &Agent) -> Result<WebSocketStream<Upgraded>, NotDialled> {
    let key = generate_key();
    let mut headers = HeaderMap::new();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::try_from(&key).map_err(|error| error.to_string())?);
    let response = agent.control_plane.open_link(headers).await?;
    let expected = derive_accept_key(key.as_bytes());
    if response
        .headers()
        .get(SEC_WEBSOCKET_ACCEPT)
        .is_none_or(|accept| accept.as_bytes() != expected.as_bytes())
    {
        return Err("the control plane's answer to the WebSocket handshake is wrong".to_owned().into());
    }
    let upgraded = response.upgrade().await.map_err(|error| chain(&error.without_url()))?;
    let limits = WebSocketConfig::default()
        .max_message_size(Some(LARGEST_MESSAGE_BYTES))
        .max_frame_size(Some(LARGEST_MESSAGE_BYTES))
        .read_buffer_size(4096)
        .write_buffer_size(0);
    Ok(WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(limits)).await)
}
