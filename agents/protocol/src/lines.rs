//! Lines of JSON over a socket of this machine, and the descriptors that come with them.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixStream;

use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest line either side accepts.
pub const MAXIMUM_LINE_BYTES: usize = 256 * 1024;

/// How many descriptors can come along.
pub const MOST_DESCRIPTORS: usize = 16;

/// Sends a message's line, and descriptors with its first byte.
///
/// # Errors
/// There are too many descriptors, or the socket does not take the line.
pub fn send(stream: &UnixStream, message: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    if descriptors.len() > MOST_DESCRIPTORS {
        return Err(io::Error::other(format!(
            "no more than {MOST_DESCRIPTORS} descriptors can be sent at once"
        )));
    }
    let mut line = serde_json::to_vec(message).map_err(io::Error::other)?;
    line.push(b'\n');
    let mut rest = line.as_slice();
    let mut descriptors = descriptors;
    while !rest.is_empty() {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(descriptors));
        }
        // NOSIGNAL: the other side may be gone, which must not end this process.
        match rustix::net::sendmsg(stream, &[IoSlice::new(rest)], &mut control, SendFlags::NOSIGNAL) {
            Ok(sent) => {
                rest = &rest[sent..];
                descriptors = &[];
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Receives one line, and the descriptors that come with it; `None` if the other side closed the connection instead.
/// The other side must not send anything further before it was answered: that would be lost.
///
/// # Errors
/// The line is not whole, too long, or not a message of this type; something follows it; the socket fails.
pub fn receive<T: DeserializeOwned>(stream: &UnixStream) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why);
    let mut line = Vec::new();
    let mut received = Vec::new();
    let mut buffer = vec![0; 8192];
    while !line.ends_with(b"\n") {
        let read = receive_some(stream, &mut buffer, &mut received)?;
        if read == 0 {
            return if line.is_empty() { Ok(None) } else { Err(invalid("the line is not whole")) };
        }
        line.extend_from_slice(&buffer[..read]);
        if line.len() > MAXIMUM_LINE_BYTES {
            return Err(invalid("the line is too long"));
        }
    }
    if line.iter().filter(|byte| **byte == b'\n').count() > 1 {
        return Err(invalid("more than one line was sent at once"));
    }
    let message =
        serde_json::from_slice(&line).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(Some((message, received)))
}

fn receive_some(stream: &UnixStream, buffer: &mut [u8], descriptors: &mut Vec<OwnedFd>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    // CLOEXEC: a command that is started later must not inherit them.
    let received = loop {
        let mut slices = [IoSliceMut::new(buffer)];
        match rustix::net::recvmsg(stream, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            other => break other?,
        }
    };
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            descriptors.extend(received);
        }
    }
    Ok(received.bytes)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read as _, Seek as _, Write as _};

    use rustix::fd::AsFd as _;

    use super::*;

    fn temporary() -> File {
        let flags = rustix::fs::MemfdFlags::CLOEXEC;
        File::from(rustix::fs::memfd_create("lines", flags).unwrap())
    }

    #[test]
    fn descriptors_travel_with_their_line() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut files = [temporary(), temporary()];
        let sent = files.each_ref().map(|file| file.try_clone().unwrap());
        let answer = std::thread::spawn(move || {
            let descriptors = sent.each_ref().map(|file| file.as_fd());
            send(&theirs, &"x".repeat(20_000), &descriptors).unwrap();
        });
        let (text, descriptors) = receive::<String>(&ours).unwrap().unwrap();
        answer.join().unwrap();
        assert_eq!(text.len(), 20_000);
        assert_eq!(descriptors.len(), 2);
        for (number, descriptor) in descriptors.into_iter().enumerate() {
            write!(File::from(descriptor), "through descriptor {number}").unwrap();
        }
        for (number, file) in files.iter_mut().enumerate() {
            file.rewind().unwrap();
            let mut written = String::new();
            file.read_to_string(&mut written).unwrap();
            assert_eq!(written, format!("through descriptor {number}"));
        }
        assert!(receive::<String>(&ours).unwrap().is_none(), "the other side is gone");
    }

    #[test]
    fn what_is_not_one_line_is_refused() {
        for sent in [&b"1"[..], b"1\n2\n", b"not json\n", &[b'1'; MAXIMUM_LINE_BYTES + 8192]] {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            let sending = std::thread::spawn(move || theirs.write_all(sent));
            let refused = receive::<u32>(&ours);
            assert!(refused.is_err(), "{refused:?}");
            drop(ours);
            let _ = sending.join().unwrap();
        }
    }
}
