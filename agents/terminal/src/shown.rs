//! One output at the person's side: from the recorder to this process's own output.

use std::io;
use std::time::{Duration, Instant};

use agent_protocol::person::{FromPerson, OUTPUT_WINDOW_BYTES, Output};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::stdio;

use crate::descriptors::release;
use crate::sink::Sink;
use crate::wire::ToRecorder;

/// A command that closes its output ends mostly; one that lives on so long has closed it for its reader to know.
const RELEASE_AFTER: Duration = Duration::from_millis(100);
/// So much is taken before the recorder is told while the command runs: with more on its way it would not read on, and to tell it of each
/// key's echo would wake it in vain.
const TOLD_AFTER_BYTES: usize = OUTPUT_WINDOW_BYTES / 2;

/// Its state. What waits for room is never more than the window.
pub(crate) struct Shown {
    output: Output,
    sink: Option<Sink>,
    pending: Vec<u8>,
    /// How much of what is pending is written.
    written: usize,
    /// How much is written of which the recorder has not been told.
    untold: usize,
    /// The recorder waits to hear that everything is taken.
    at_once: bool,
    ended_at: Option<Instant>,
}

/// The result of an attempt to pass something on.
#[derive(Debug)]
pub(crate) enum Passed {
    /// Nothing is wrong.
    Well,
    /// The person's terminal is gone.
    TerminalGone,
    /// Nobody reads any more, and the command will hear of it.
    ReaderGone,
    /// It cannot be written, for this reason.
    Failed(io::Error),
}

impl Shown {
    pub(crate) fn new(output: Output, sink: Sink) -> Self {
        Shown {
            output,
            sink: Some(sink),
            pending: Vec::new(),
            written: 0,
            untold: 0,
            at_once: false,
            ended_at: None,
        }
    }

    pub(crate) fn output(&self) -> Output {
        self.output
    }

    /// Room for what is pending.
    pub(crate) fn interest(&self) -> Option<PollFd<'_>> {
        self.sink.as_ref().filter(|_| !self.pending.is_empty()).map(|sink| PollFd::new(sink, PollFlags::OUT))
    }

    /// Shows as much as there is room for; the rest waits.
    pub(crate) fn show(&mut self, bytes: &[u8], to: &ToRecorder) -> Passed {
        let Some(sink) = &self.sink else { return Passed::Well };
        let mut rest = bytes;
        if self.pending.is_empty() {
            match sink.write_some(bytes) {
                Ok(written) => {
                    self.untold += written;
                    rest = &bytes[written..];
                }
                Err(error) => return self.fail(error),
            }
        }
        self.pending.extend_from_slice(rest);
        self.tell(to);
        Passed::Well
    }

    /// Shows what waits, if there is room now.
    pub(crate) fn advance(&mut self, to: &ToRecorder) -> Passed {
        let Some(sink) = self.sink.as_ref().filter(|_| !self.pending.is_empty()) else { return Passed::Well };
        match sink.write_some(&self.pending[self.written..]) {
            Ok(written) => {
                self.written += written;
                self.untold += written;
            }
            Err(error) => return self.fail(error),
        }
        if self.written == self.pending.len() {
            self.pending.clear();
            self.written = 0;
        }
        self.tell(to);
        Passed::Well
    }

    /// From now on the recorder is told at once: nothing more comes, and everything is to be taken before the recording ends.
    pub(crate) fn tell_at_once(&mut self, to: &ToRecorder) {
        self.at_once = true;
        self.tell(to);
    }

    fn tell(&mut self, to: &ToRecorder) {
        if self.untold >= TOLD_AFTER_BYTES || (self.at_once && self.untold > 0) {
            let untold = std::mem::take(&mut self.untold);
            to.say(FromPerson::Taken(self.output, u32::try_from(untold).unwrap_or(u32::MAX)));
        }
    }

    fn fail(&mut self, error: io::Error) -> Passed {
        self.give_up();
        let gone = [Errno::PIPE, Errno::CONNRESET].map(|errno| Some(errno.raw_os_error()));
        match self.output {
            Output::Terminal => Passed::TerminalGone,
            _ if gone.contains(&error.raw_os_error()) => Passed::ReaderGone,
            _ => Passed::Failed(error),
        }
    }

    /// Further output goes nowhere.
    pub(crate) fn give_up(&mut self) {
        self.sink = None;
        self.pending = Vec::new();
        (self.written, self.untold) = (0, 0);
    }

    /// The command has closed it.
    pub(crate) fn end(&mut self, to: &ToRecorder) {
        self.ended_at = Some(Instant::now());
        self.tell_at_once(to);
    }

    /// How long its reader still has to wait for the end that the command made.
    pub(crate) fn until_release(&self, now: Instant) -> Option<Duration> {
        let ended_at =
            self.ended_at.filter(|_| self.pending.is_empty() && self.output != Output::Terminal)?;
        Some(RELEASE_AFTER.saturating_sub(now.saturating_duration_since(ended_at)))
    }

    /// Lets its reader know of the end, when it is time. `together`: both outputs are this one. True when that is done.
    pub(crate) fn is_released(&self, now: Instant, together: bool) -> bool {
        if self.until_release(now) != Some(Duration::ZERO) {
            return false;
        }
        if self.output == Output::Output {
            release(|null| stdio::dup2_stdout(null));
        }
        if self.output == Output::ErrorOutput || together {
            release(|null| stdio::dup2_stderr(null));
        }
        true
    }
}
