//! The socket between `record` and the agent: one line each way, and descriptors.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use agent_protocol::local::{LocalReply, LocalRequest, MAXIMUM_LINE_BYTES};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use serde::Serialize;

use crate::state_directory::StateDirectory;

/// How long either side waits for the other.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many descriptors can come along.
const MOST_DESCRIPTORS: usize = 8;

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

/// Asks and waits for the answer, with the descriptors that may come along.
pub(crate) fn ask(stream: &UnixStream, request: &LocalRequest) -> io::Result<(LocalReply, Vec<File>)> {
    // A caller that is turned away gets the answer before its request: there may be an answer although the request
    // could not be sent.
    let sent = send(stream, request, &[]);
    let answered = hear(stream);
    if answered.is_err() {
        sent?;
    }
    answered
}

fn hear(stream: &UnixStream) -> io::Result<(LocalReply, Vec<File>)> {
    let mut line = Vec::new();
    let mut received = Vec::new();
    let mut buffer = vec![0; 8192];
    while !line.ends_with(b"\n") {
        let (read, descriptors) = receive(stream, &mut buffer)?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the agent closed the connection"));
        }
        line.extend_from_slice(&buffer[..read]);
        received.extend(descriptors.into_iter().map(File::from));
        if line.len() > MAXIMUM_LINE_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the agent's answer is too long"));
        }
    }
    let reply =
        serde_json::from_slice(&line).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok((reply, received))
}

/// Sends a message's line, and descriptors with its first byte.
pub(crate) fn send(stream: &UnixStream, message: &impl Serialize, descriptors: &[File]) -> io::Result<()> {
    if descriptors.len() > MOST_DESCRIPTORS {
        return Err(io::Error::other(format!(
            "no more than {MOST_DESCRIPTORS} descriptors can be sent at once"
        )));
    }
    let mut line = serde_json::to_vec(message).map_err(io::Error::other)?;
    line.push(b'\n');
    let mut rest = line.as_slice();
    let mut descriptors: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
    while !rest.is_empty() {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(&descriptors));
        }
        // NOSIGNAL: the caller may be gone, which must not end this process.
        match rustix::net::sendmsg(stream, &[IoSlice::new(rest)], &mut control, SendFlags::NOSIGNAL) {
            Ok(sent) => {
                rest = &rest[sent..];
                descriptors.clear();
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn receive(stream: &UnixStream, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    // CLOEXEC: the recorded command must not inherit the spool, or its lock would outlive the recorder.
    let received = loop {
        let mut slices = [IoSliceMut::new(buffer)];
        match rustix::net::recvmsg(stream, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other?,
        }
    };
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            descriptors.extend(received);
        }
    }
    Ok((received.bytes, descriptors))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, Seek as _, Write as _};

    use super::*;

    #[test]
    fn descriptors_travel_with_their_line() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut files = [tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap()];
        let sent = files.each_ref().map(|file| file.try_clone().unwrap());
        let answer = std::thread::spawn(move || {
            let mut line = String::new();
            io::BufReader::new(&theirs).read_line(&mut line).unwrap();
            assert_eq!(line, "{\"Type\":\"status\"}\n");
            let reply = LocalReply::Refused { reason: "x".repeat(20_000) };
            send(&theirs, &reply, &sent).unwrap();
        });
        let (reply, descriptors) = ask(&ours, &LocalRequest::Status).unwrap();
        answer.join().unwrap();
        assert!(matches!(reply, LocalReply::Refused { reason } if reason.len() == 20_000));
        assert_eq!(descriptors.len(), 2);
        for (number, mut descriptor) in descriptors.into_iter().enumerate() {
            write!(descriptor, "through descriptor {number}").unwrap();
        }
        for (number, file) in files.iter_mut().enumerate() {
            file.rewind().unwrap();
            assert_eq!(io::read_to_string(file).unwrap(), format!("through descriptor {number}"));
        }
    }
}
