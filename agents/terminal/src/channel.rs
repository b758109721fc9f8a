//! One output at the recorder: from the command, into the spool, to the person's side.

use std::io;
use std::time::{Duration, Instant};

use agent_protocol::capture::CaptureError;
use agent_protocol::person::{FromRecorder, OUTPUT_WINDOW_BYTES, Output};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;

use crate::scribe::Scribe;
use crate::timespec;
use crate::wire::ToPerson;

/// If more than this is on its way, nothing is read, so that a slow reader does not get tiny pieces.
const MOST_BEFORE_READING: usize = OUTPUT_WINDOW_BYTES / 2;
/// If the person reads nothing for this long, the person counts as holding the output.
const HELD_AFTER: Duration = Duration::from_millis(100);
/// The most that a pseudo-terminal gives at once; a full read means bulk output.
const BULK_BYTES: usize = 4095;
const MERGE_WITHIN: Duration = Duration::from_millis(1);
/// How long a command's left-over background processes may keep the terminal silent before the session ends.
const QUIET_AFTER_EXIT: Duration = Duration::from_millis(100);
/// How long they may continue to print.
const LONGEST_AFTER_EXIT: Duration = Duration::from_secs(2);
/// How long they may be silent if the output is a file or a device. If somebody reads, their end is waited for, as the
/// reader does.
const QUIET_TOWARDS_FILE: Duration = Duration::from_secs(2);

/// The state of one output.
pub(crate) struct Channel {
    output: Output,
    source: Source,
    /// The person's side accepts output.
    passes_on: bool,
    somebody_reads: bool,
    buffer: Vec<u8>,
    /// How much is in the spool and was sent, but is not accepted yet.
    on_the_way: usize,
    /// Since when so much is on the way that nothing is read.
    full_since: Option<Instant>,
    /// The person's side knows that the output has ended.
    end_is_told: bool,
    /// When something was last read or accepted.
    moved_at: Instant,
    /// When it was last seen that the person holds the output.
    held_at: Option<Instant>,
}

enum Source {
    Open(OwnedFd),
    /// No process has the terminal open, but one may still open it by name.
    HungUp(OwnedFd),
    Ended,
}

impl Channel {
    /// `somebody_reads`: the output leads to a pipe or socket, so the end of what is written is waited for.
    pub(crate) fn new(output: Output, source: OwnedFd, somebody_reads: bool) -> Self {
        Channel {
            output,
            source: Source::Open(source),
            passes_on: true,
            somebody_reads,
            buffer: vec![0; OUTPUT_WINDOW_BYTES],
            on_the_way: 0,
            full_since: None,
            end_is_told: false,
            moved_at: Instant::now(),
            held_at: None,
        }
    }

    pub(crate) fn output(&self) -> Output {
        self.output
    }

    /// What to wait for: something to read, if there is room for it.
    pub(crate) fn interest(&self) -> Option<PollFd<'_>> {
        self.readable().filter(|_| self.on_the_way <= MOST_BEFORE_READING)
    }

    /// The same whether or not there is room.
    pub(crate) fn readable(&self) -> Option<PollFd<'_>> {
        match &self.source {
            Source::Open(source) => Some(PollFd::new(source, PollFlags::IN)),
            // A hung-up terminal is always "ready"; it is checked again later instead.
            Source::HungUp(_) | Source::Ended => None,
        }
    }

    pub(crate) fn is_hung_up(&self) -> bool {
        matches!(self.source, Source::HungUp(_))
    }

    /// Moves whatever is ready and has room. Returns how many bytes were recorded; [`Channel::recorded`] has
    /// them until the next call.
    pub(crate) fn advance(
        &mut self,
        scribe: &mut Scribe,
        person: &mut ToPerson,
    ) -> Result<usize, CaptureError> {
        if self.on_the_way > MOST_BEFORE_READING {
            return Ok(0);
        }
        let read = self.read(OUTPUT_WINDOW_BYTES - self.on_the_way)?;
        if read > 0 {
            // First spooled, then shown.
            self.spool(read, scribe)?;
            if self.passes_on {
                person.say(&FromRecorder::Output(self.output, &self.buffer[..read])).map_err(person_gone)?;
                self.on_the_way += read;
                if self.on_the_way > MOST_BEFORE_READING {
                    self.full_since = Some(Instant::now());
                }
            }
        }
        if matches!(self.source, Source::Ended) && self.passes_on && !self.end_is_told {
            self.end_is_told = true;
            person.say(&FromRecorder::OutputEnd(self.output)).map_err(person_gone)?;
        }
        Ok(read)
    }

    /// What the last call recorded, which were so many bytes.
    pub(crate) fn recorded(&self, bytes: usize) -> &[u8] {
        &self.buffer[..bytes]
    }

    /// Notes that this much was shown, or passed on.
    pub(crate) fn taken(&mut self, bytes: u32) {
        let now = Instant::now();
        if self.is_held(now) {
            self.held_at = Some(now);
        }
        self.on_the_way = self.on_the_way.saturating_sub(usize::try_from(bytes).unwrap_or(usize::MAX));
        self.full_since = (self.on_the_way > MOST_BEFORE_READING).then_some(now);
        self.moved_at = now;
    }

    /// Notes that nothing is read now, so that no time passes for a command that may still print.
    pub(crate) fn hold(&mut self, now: Instant) {
        self.held_at = Some(now);
        self.moved_at = now;
    }

    /// Records, without showing it, what is there to be read, up to so many bytes; returns how many.
    pub(crate) fn keep(&mut self, scribe: &mut Scribe, most: usize) -> Result<usize, CaptureError> {
        let mut kept = 0;
        while kept < most {
            let is_ready = match &self.source {
                Source::Open(source) => {
                    let mut fds = [PollFd::new(source, PollFlags::IN)];
                    matches!(poll(&mut fds, Some(&timespec(Duration::ZERO))), Ok(1))
                }
                Source::HungUp(_) => true,
                Source::Ended => false,
            };
            let read = if is_ready { self.read((most - kept).min(OUTPUT_WINDOW_BYTES))? } else { 0 };
            if read == 0 {
                break;
            }
            self.spool(read, scribe)?;
            kept += read;
        }
        Ok(kept)
    }

    fn is_held(&self, now: Instant) -> bool {
        self.full_since.is_some_and(|since| now.saturating_duration_since(since) >= HELD_AFTER)
    }

    /// From now on, output is recorded and goes nowhere else.
    pub(crate) fn drop_what_comes(&mut self) {
        self.passes_on = false;
        self.on_the_way = 0;
        self.full_since = None;
    }

    /// If nobody reads any more, a command behind a pipe notices at its own next write, as it would without this
    /// process. What it has written up to now is recorded.
    pub(crate) fn break_off(&mut self, scribe: &mut Scribe) -> Result<(), CaptureError> {
        self.drop_what_comes();
        if let Source::Open(source) = &self.source {
            let mut left = rustix::io::ioctl_fionread(source).unwrap_or(0);
            while left > 0 {
                let read = self.read(OUTPUT_WINDOW_BYTES)?;
                if read == 0 {
                    break;
                }
                self.spool(read, scribe)?;
                left = left.saturating_sub(read as u64);
            }
            self.source = Source::Ended;
        }
        Ok(())
    }

    fn spool(&mut self, read: usize, scribe: &mut Scribe) -> Result<(), CaptureError> {
        self.moved_at = Instant::now();
        scribe.output(self.output, &self.buffer[..read])
    }

    /// Whether nothing more is to be waited for after the command has ended, when nothing is there to be read now.
    /// `hurry`: somebody asked for the end.
    pub(crate) fn is_done(&self, exited_at: Instant, hurry: bool, now: Instant) -> bool {
        self.until_done(exited_at, hurry, now) == Some(Duration::ZERO)
    }

    /// For how long it must stay silent to be done after the command has ended; `None` while something else is waited for.
    pub(crate) fn until_done(&self, exited_at: Instant, hurry: bool, now: Instant) -> Option<Duration> {
        if self.on_the_way > 0 {
            return None;
        }
        let quiet = match (&self.source, self.output) {
            (Source::Ended | Source::HungUp(_), _) => return Some(Duration::ZERO),
            (Source::Open(_), Output::Terminal) => QUIET_AFTER_EXIT,
            (Source::Open(_), _) if hurry => QUIET_AFTER_EXIT,
            (Source::Open(_), _) if self.somebody_reads => return None,
            (Source::Open(_), _) => QUIET_TOWARDS_FILE,
        };
        let silent = now.saturating_duration_since(self.moved_at.max(exited_at));
        Some(quiet.saturating_sub(silent))
    }

    /// Stops reading when the processes left over have printed for long enough: on a terminal, or where nobody reads any more. Time during which the person holds
    /// the output does not count.
    pub(crate) fn end_when_overdue(&mut self, exited_at: Instant, nobody_reads: bool, now: Instant) {
        let since = self.held_at.map_or(exited_at, |at| at.max(exited_at));
        if (self.output == Output::Terminal || nobody_reads)
            && !self.is_held(now)
            && now.saturating_duration_since(since) > LONGEST_AFTER_EXIT
        {
            self.source = Source::Ended;
        }
    }

    /// Reads what is available; returns 0 if nothing is available now.
    fn read(&mut self, most: usize) -> Result<usize, CaptureError> {
        let lost = |error: Errno| CaptureError::BrokenOff {
            reason: format!("the command's output cannot be read: {}", io::Error::from(error)),
        };
        match &self.source {
            Source::Ended => Ok(0),
            Source::Open(source) if self.output != Output::Terminal => {
                match rustix::io::read(source, &mut self.buffer[..most]) {
                    Ok(0) => {
                        self.source = Source::Ended;
                        Ok(0)
                    }
                    Ok(read) => Ok(read),
                    Err(Errno::INTR | Errno::AGAIN) => Ok(0),
                    Err(error) => Err(lost(error)),
                }
            }
            Source::Open(master) | Source::HungUp(master) => {
                let burst = read_burst(master, &mut self.buffer[..most]).map_err(lost)?;
                let source = std::mem::replace(&mut self.source, Source::Ended);
                if let Source::Open(master) | Source::HungUp(master) = source {
                    self.source = if burst.hung_up { Source::HungUp(master) } else { Source::Open(master) };
                }
                Ok(burst.bytes)
            }
        }
    }
}

/// What is recorded must be shown, so the session cannot go on without the person's side.
fn person_gone(error: io::Error) -> CaptureError {
    CaptureError::BrokenOff { reason: format!("the person's side cannot be told anything: {error}") }
}

/// The result of reading the command's terminal.
struct Burst {
    bytes: usize,
    hung_up: bool,
}

/// Reads what is available. Bulk output is gathered, because a pseudo-terminal returns little at once; the echo of a
/// keystroke is not delayed.
fn read_burst(master: &OwnedFd, buffer: &mut [u8]) -> Result<Burst, Errno> {
    let mut bytes = 0;
    loop {
        if bytes == buffer.len() {
            return Ok(Burst { bytes, hung_up: false });
        }
        match rustix::io::read(master, &mut buffer[bytes..]) {
            // EIO: no process has the terminal open.
            Ok(0) | Err(Errno::IO) => return Ok(Burst { bytes, hung_up: true }),
            Ok(read) => bytes += read,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let mut fds = [PollFd::new(master, PollFlags::IN)];
                let more =
                    bytes >= BULK_BYTES && matches!(poll(&mut fds, Some(&timespec(MERGE_WITHIN))), Ok(1));
                if !more {
                    return Ok(Burst { bytes, hung_up: false });
                }
            }
            Err(error) => return Err(error),
        }
    }
}
