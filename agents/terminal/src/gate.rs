//! Limits what a thread that reads for the command may send to what the recorder has room for.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agent_protocol::person::{FromPerson, Input};
use rustix::event::{EventfdFlags, PollFlags, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::stoppable::Stop;
use crate::wire::ToRecorder;

/// Something could not be sent: the thread must end, or nothing reads it any more.
#[derive(Debug)]
pub(crate) struct NotWritten;

/// The connection of one input to the recorder.
pub(crate) struct Gate {
    input: Input,
    to: Arc<ToRecorder>,
    state: Mutex<State>,
    /// Readable while there is room, or if the command no longer reads.
    open: OwnedFd,
    /// Hung up as soon as the command no longer reads.
    broken: UnixStream,
}

struct State {
    room: usize,
    /// Kept until the command no longer reads.
    reads: Option<UnixStream>,
}

impl Gate {
    pub(crate) fn new(input: Input, to: Arc<ToRecorder>) -> io::Result<Self> {
        let (broken, reads) = UnixStream::pair()?;
        let open = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Gate { input, to, state: Mutex::new(State { room: 0, reads: Some(reads) }), open, broken })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Two plain values; a panic elsewhere leaves them whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds room that the recorder has.
    pub(crate) fn give(&self, bytes: u32) {
        let mut state = self.state();
        state.room += usize::try_from(bytes).unwrap_or_default();
        self.open();
    }

    /// Notes that the command no longer reads.
    pub(crate) fn break_off(&self) {
        self.state().reads = None;
        self.open();
    }

    fn open(&self) {
        // The write fails only if the counter is nearly full, and the counter is emptied again and again.
        let _ = rustix::io::write(&self.open, &1_u64.to_ne_bytes());
    }

    /// How much may be sent now.
    pub(crate) fn room(&self) -> usize {
        self.state().room
    }

    /// Sends as much as there is room for.
    pub(crate) fn send(&self, bytes: &[u8]) -> Result<usize, NotWritten> {
        let mut state = self.state();
        if state.reads.is_none() {
            return Err(NotWritten);
        }
        let sent = bytes.len().min(state.room);
        state.room -= sent;
        if state.room == 0 {
            // If there is no count, there is nothing to take.
            let _ = rustix::io::read(&self.open, &mut [0; 8]);
        }
        if sent > 0 {
            self.to.say(FromPerson::Input(self.input, &bytes[..sent]));
        }
        Ok(sent)
    }

    /// Sends all of it, as room becomes available.
    pub(crate) fn send_all(&self, stop: &Stop, mut bytes: &[u8]) -> Result<(), NotWritten> {
        while !bytes.is_empty() {
            if !stop.wait(self, PollFlags::IN, None) {
                return Err(NotWritten);
            }
            bytes = &bytes[self.send(bytes)?..];
        }
        Ok(())
    }

    /// Reports that there is no more input for now (terminal) or ever (pipe).
    pub(crate) fn end(&self) {
        self.to.say(FromPerson::InputEnd(self.input));
    }

    /// The descriptor to wait on for the command to stop reading.
    pub(crate) fn broken(&self) -> &UnixStream {
        &self.broken
    }
}

impl AsFd for Gate {
    /// The descriptor to wait on for room.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.open.as_fd()
    }
}
