//! The two ends of the byte stream between the person's side and the recorder.

use std::io::{self, IoSlice};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};

use agent_protocol::person::{Decoder, FromPerson, Message, OUTPUT_WINDOW_BYTES};
use rustix::event::PollFlags;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, sendmsg};

/// The maximum that the recorder keeps for a person's side that reads nothing: all windows, and the few short
/// messages that belong to them.
const MOST_UNSENT_BYTES: usize = 4 * OUTPUT_WINDOW_BYTES;

/// Whether the other side still exists after its messages were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    Something,
    NothingNow,
    End,
}

/// Receives what there is room for, without waiting.
pub(crate) fn receive(stream: &UnixStream, decoder: &mut Decoder) -> io::Result<Heard> {
    match recv(stream, decoder.room(), RecvFlags::DONTWAIT) {
        Ok((_, 0)) => Ok(Heard::End),
        Ok((_, received)) => {
            decoder.received(received);
            Ok(Heard::Something)
        }
        Err(Errno::INTR | Errno::AGAIN) => Ok(Heard::NothingNow),
        Err(Errno::CONNRESET) => Ok(Heard::End),
        Err(error) => Err(error.into()),
    }
}

/// The sender of the person's side, for any of its threads. All its messages are short, and the recorder always reads,
/// so that they are sent at once.
pub(crate) struct ToRecorder {
    stream: Mutex<UnixStream>,
}

impl ToRecorder {
    pub(crate) fn over(stream: UnixStream) -> Self {
        ToRecorder { stream: Mutex::new(stream) }
    }

    /// Sends a message. That a recorder is gone is noticed where its messages are read.
    pub(crate) fn say(&self, message: FromPerson<'_>) {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        let stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            match rustix::net::send(&*stream, rest, SendFlags::NOSIGNAL) {
                Ok(sent) => rest = &rest[sent..],
                Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    /// Reports that no thread sends anything more.
    pub(crate) fn close(&self) {
        let stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        // If it fails, the stream is closed already.
        let _ = stream.shutdown(std::net::Shutdown::Write);
    }
}

/// The sender of the recorder. It never waits for the person's side: what cannot be sent now is kept.
pub(crate) struct ToPerson {
    stream: UnixStream,
    unsent: Vec<u8>,
}

impl ToPerson {
    pub(crate) fn over(stream: UnixStream) -> Self {
        ToPerson { stream, unsent: Vec::new() }
    }

    pub(crate) fn stream(&self) -> &UnixStream {
        &self.stream
    }

    pub(crate) fn interest(&self) -> PollFlags {
        if self.unsent.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT }
    }

    /// Whether everything was sent.
    pub(crate) fn is_idle(&self) -> bool {
        self.unsent.is_empty()
    }

    pub(crate) fn say<'a>(&mut self, message: &impl Message<'a>) -> io::Result<()> {
        let (header, bytes) = message.header();
        let mut parts = [header.as_bytes(), bytes];
        if self.unsent.is_empty() {
            let sent = self.send(&parts)?;
            let of_header = sent.min(parts[0].len());
            parts = [&parts[0][of_header..], &parts[1][sent - of_header..]];
        }
        if self.unsent.len() + bytes.len() > MOST_UNSENT_BYTES {
            return Err(io::Error::other("the person's side reads nothing"));
        }
        for part in parts {
            self.unsent.extend_from_slice(part);
        }
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if !self.unsent.is_empty() {
            let sent = self.send(&[&self.unsent, &[]])?;
            self.unsent.drain(..sent);
            if self.unsent.is_empty() {
                self.unsent.shrink_to(0);
            }
        }
        Ok(())
    }

    fn send(&self, parts: &[&[u8]; 2]) -> io::Result<usize> {
        let slices = parts.map(IoSlice::new);
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match sendmsg(&self.stream, &slices, &mut SendAncillaryBuffer::default(), flags) {
            Ok(sent) => Ok(sent),
            Err(Errno::INTR | Errno::AGAIN) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for ToPerson {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
