//! The socket by which `record` and `status` reach the agent.

use std::io;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use agent_protocol::lines;
use agent_protocol::local::{LocalReply, LocalRequest};
use rustix::fd::OwnedFd;

use crate::state_directory::StateDirectory;

/// How long either side waits for the other.
const PATIENCE: Duration = Duration::from_secs(60);

/// Connects to a running agent; `None` when none is running.
pub(crate) fn connect(directory: &StateDirectory) -> io::Result<Option<UnixStream>> {
    let connected = directory.socket().and_then(|(_folder, path)| UnixStream::connect(path));
    match connected {
        Ok(stream) => {
            set_patience(&stream)?;
            Ok(Some(stream))
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Neither side can keep the other waiting for ever.
pub(crate) fn set_patience(stream: &UnixStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))
}

/// From here on a session decides for itself how long it waits.
pub(crate) fn lift_patience(stream: &UnixStream) -> io::Result<()> {
    stream.set_read_timeout(None)?;
    stream.set_write_timeout(None)
}

/// Asks and waits for the answer, with the descriptors that may come along.
pub(crate) fn ask(stream: &UnixStream, request: &LocalRequest) -> io::Result<(LocalReply, Vec<OwnedFd>)> {
    // A caller that is turned away gets the answer before its request: there may be an answer although the request
    // could not be sent.
    let sent = lines::send(stream, request, &[]);
    let closed = || io::Error::new(io::ErrorKind::UnexpectedEof, "the agent closed the connection");
    let answered = lines::receive(stream).and_then(|answer| answer.ok_or_else(closed));
    if answered.is_err() {
        sent?;
    }
    answered
}
