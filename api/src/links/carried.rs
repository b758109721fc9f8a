//! A channel that this replica opened, while its frames are carried.

use std::sync::Arc;

use agent_protocol::bus::{Frame, Port};
use tokio::sync::Notify;

/// The opener's end of a channel, and how it is told that there is something to send.
pub(super) struct Carried {
    pub(super) port: Port,
    pub(super) wake: Arc<Notify>,
}

/// Takes a frame of this channel; the holder of the link has read it before.
pub(super) fn receive(port: &Port, bytes: &[u8]) {
    if let Ok(frame) = Frame::decode(bytes) {
        port.receive(&frame.body);
    }
}
