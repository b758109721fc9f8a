//! The socket between `record` and the agent: one line each way, and a descriptor.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use agent_protocol::local::{LocalReply, LocalRequest, MAXIMUM_LINE_BYTES};
use rustix::fd::{AsFd, OwnedFd};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use serde::Serialize;

use crate::state_directory::StateDirectory;

/// How long either side waits for the other.
const PATIENCE: Duration = Duration::from_secs(30);

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

/// Asks and waits for the answer, with the descriptor that may come along.
pub(crate) fn ask(stream: &UnixStream, request: &LocalRequest) -> io::Result<(LocalReply, Option<File>)> {
    send(stream, request, None)?;
    let mut line = Vec::new();
    let mut received = None;
    let mut buffer = vec![0; 8192];
    while !line.ends_with(b"\n") {
        let (read, descriptor) = receive(stream, &mut buffer)?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the agent closed the connection"));
        }
        line.extend_from_slice(&buffer[..read]);
        received = received.or(descriptor);
        if line.len() > MAXIMUM_LINE_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the agent's answer is too long"));
        }
    }
    let reply =
        serde_json::from_slice(&line).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok((reply, received.map(File::from)))
}

/// Sends a message's line, and a descriptor with its first byte.
pub(crate) fn send(
    stream: &UnixStream,
    message: &impl Serialize,
    descriptor: Option<&File>,
) -> io::Result<()> {
    let mut line = serde_json::to_vec(message).map_err(io::Error::other)?;
    line.push(b'\n');
    let mut rest = line.as_slice();
    let mut descriptor = descriptor;
    while !rest.is_empty() {
        let descriptors = descriptor.map(AsFd::as_fd);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.as_slice().is_empty() {
            control.push(SendAncillaryMessage::ScmRights(descriptors.as_slice()));
        }
        // NOSIGNAL: whoever asked may be gone, which is no reason to die.
        match rustix::net::sendmsg(stream, &[IoSlice::new(rest)], &mut control, SendFlags::NOSIGNAL) {
            Ok(sent) => {
                rest = &rest[sent..];
                descriptor = None;
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn receive(stream: &UnixStream, buffer: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    // CLOEXEC: the recorded command must not inherit the spool, or its lock would outlive the recorder.
    let received = loop {
        let mut slices = [IoSliceMut::new(buffer)];
        match rustix::net::recvmsg(stream, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other?,
        }
    };
    let mut descriptor = None;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(mut descriptors) = message {
            descriptor = descriptor.or(descriptors.next());
        }
    }
    Ok((received.bytes, descriptor))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, Seek as _, Write as _};

    use super::*;

    #[test]
    fn a_descriptor_travels_with_its_line() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        let sent = file.try_clone().unwrap();
        let answer = std::thread::spawn(move || {
            let mut line = String::new();
            io::BufReader::new(&theirs).read_line(&mut line).unwrap();
            assert_eq!(line, "{\"Type\":\"status\"}\n");
            let reply = LocalReply::Refused { reason: "x".repeat(20_000) };
            send(&theirs, &reply, Some(&sent)).unwrap();
        });
        let (reply, descriptor) = ask(&ours, &LocalRequest::Status).unwrap();
        answer.join().unwrap();
        assert!(matches!(reply, LocalReply::Refused { reason } if reason.len() == 20_000));
        descriptor.unwrap().write_all(b"through the descriptor").unwrap();
        file.rewind().unwrap();
        assert_eq!(io::read_to_string(file).unwrap(), "through the descriptor");
    }
}
