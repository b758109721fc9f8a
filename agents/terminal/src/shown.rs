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

/// A command that closes its output usually ends; if it runs this long afterwards, it closed the output to signal the
/// end to its reader.
const RELEASE_AFTER: Duration = Duration::from_millis(100);
/// While the command runs, the recorder is told after this many bytes. If more than this were on its way, it would
/// not read on; if it were told of the echo of each key, it would be woken for nothing.
const TOLD_AFTER_BYTES: usize = OUTPUT_WINDOW_BYTES / 2;

/// The state of one output. What waits for room is never more than the window.
pub(crate) struct Shown {
    output: Output,
    sink: Option<Sink>,
    pending: Vec<u8>,
    /// How much of what is pending is written.
    written: usize,
    /// How much has been written without the recorder having been told.
    untold: usize,
    /// The recorder waits for the report that everything is shown.
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
    /// Nobody reads any more; the command will be informed.
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

    /// What to wait for: room for what is pending.
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

    /// From now on the recorder is told at once, because nothing more follows and everything has to be accepted
    /// before the recording ends.
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

    /// How long to wait before its reader is informed that the command has closed it.
    pub(crate) fn until_release(&self, now: Instant) -> Option<Duration> {
        let ended_at =
            self.ended_at.filter(|_| self.pending.is_empty() && self.output != Output::Terminal)?;
        Some(RELEASE_AFTER.saturating_sub(now.saturating_duration_since(ended_at)))
    }

    /// Closes it for its reader when it is time. `together`: this is both outputs. Returns true once that is done.
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
