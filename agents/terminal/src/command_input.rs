//! One input at the recorder: from the person's side to the command. It is not recorded.

use std::io;

use agent_protocol::person::{FromRecorder, Input};
use rustix::event::{PollFd, PollFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::termios::{self, SpecialCodeIndex};

use crate::wire::ToPerson;

/// Ctrl-D, which is used if the terminal has no other end key.
const END_OF_TRANSMISSION: u8 = 4;

pub(crate) struct CommandInput {
    input: Input,
    to: OwnedFd,
    /// What the command had no room for yet; never more than the room that the person's side was told of.
    pending: Vec<u8>,
    /// How much the person's side may still send.
    promised: usize,
    ended: bool,
    broken: bool,
}

impl CommandInput {
    pub(crate) fn new(input: Input, to: OwnedFd) -> Self {
        CommandInput { input, to, pending: Vec::new(), promised: 0, ended: false, broken: false }
    }

    pub(crate) fn input(&self) -> Input {
        self.input
    }

    /// The room of a pipe is only granted once it exists, so that nothing is read that cannot be delivered. For a
    /// terminal this is not checked at each key.
    fn wants_room(&self) -> bool {
        self.pending.is_empty() && !self.ended && self.promised <= self.input.window_bytes() / 2
    }

    pub(crate) fn interest(&self) -> Option<PollFd<'_>> {
        if self.broken {
            return None;
        }
        match self.input {
            Input::Terminal => (!self.pending.is_empty()).then(|| PollFd::new(&self.to, PollFlags::OUT)),
            Input::Input if self.wants_room() || !self.pending.is_empty() => {
                Some(PollFd::new(&self.to, PollFlags::OUT))
            }
            // A pipe without a reader reports that by itself.
            Input::Input => Some(PollFd::new(&self.to, PollFlags::empty())),
        }
    }

    /// Accepts what was sent, which must not exceed the room.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        let left = self.promised.checked_sub(bytes.len());
        self.promised = left.ok_or("the person's side sends more than there is room for")?;
        if !self.broken {
            self.pending.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// The input has ended: a pipe is closed after the pending bytes; on a terminal, its end key is typed.
    pub(crate) fn end(&mut self) {
        match self.input {
            Input::Terminal if self.pending.len() < self.input.window_bytes() => {
                let key = termios::tcgetattr(&self.to)
                    .map(|settings| settings.special_codes[SpecialCodeIndex::VEOF])
                    .unwrap_or(END_OF_TRANSMISSION);
                self.pending.push(key);
            }
            Input::Terminal => {}
            Input::Input => self.ended = true,
        }
    }

    /// Passes on what there is room for, and tells the person's side how much more it may send. `ready`: the result
    /// of the poll.
    pub(crate) fn advance(&mut self, ready: PollFlags, person: &mut ToPerson) -> io::Result<()> {
        if self.broken {
            return Ok(());
        }
        while !self.pending.is_empty() && !self.broken {
            match rustix::io::write(&self.to, &self.pending) {
                Ok(written) => drop(self.pending.drain(..written)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => self.broken = true,
            }
        }
        self.broken |= ready.contains(PollFlags::ERR) || (self.ended && self.pending.is_empty());
        if self.broken {
            self.pending = Vec::new();
            if !self.ended {
                person.say(&FromRecorder::InputBroken(self.input))?;
            }
            return Ok(());
        }
        if self.wants_room() && (self.input == Input::Terminal || ready.contains(PollFlags::OUT)) {
            let room = self.input.window_bytes() - self.promised;
            self.promised = self.input.window_bytes();
            person.say(&FromRecorder::Room(self.input, u32::try_from(room).unwrap_or_default()))?;
        }
        Ok(())
    }

    /// Whether nothing more is written to it.
    pub(crate) fn is_over(&self) -> bool {
        self.broken
    }
}
