//! The agent speaks to the recorder of a session, whichever agent started that.

use std::io;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use agent_protocol::lines;
use agent_protocol::recorder::{ControlReply, ControlRequest};

use super::Session;

impl Session {
    /// Asks its recorder for something, and waits for the answer. A recorder that has ended is not found.
    pub(in crate::run) fn ask_recorder(
        &self,
        request: &ControlRequest,
        patience: Duration,
    ) -> io::Result<ControlReply> {
        let (_folder, path) = self.control_socket()?;
        let stream = UnixStream::connect(path)?;
        stream.set_write_timeout(Some(patience))?;
        stream.set_read_timeout(Some(patience))?;
        lines::send(&stream, request, &[])?;
        let answer = lines::receive(&stream)?;
        answer.map(|(reply, _)| reply).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}
