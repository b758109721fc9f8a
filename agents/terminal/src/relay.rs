//! One session in the person's process: the loop between the command's terminal and the person's.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Child;
use std::time::{Duration, Instant};

use agent_protocol::capture::{CaptureError, CaptureSession};
use recording::{ExitStatus, TerminalSize};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};
use rustix::termios::tcgetpgrp;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH};

use crate::SESSION_VARIABLE;
use crate::input::InputThread;
use crate::person::PersonTerminal;
use crate::pty::{self, PtyCommand};
use crate::signals::Signals;
use crate::spooler::Spooler;

const READ_BYTES: usize = 64 * 1024;
/// A pseudo-terminal gives at most so much at once; whoever gives it in full is printing in bulk.
const BULK_BYTES: usize = 4095;
const MERGE_WITHIN: Duration = Duration::from_millis(1);
/// How long a command's left-over background processes may keep the terminal silent before the session ends.
const QUIET_AFTER_EXIT: Duration = Duration::from_millis(100);
/// How long they may go on printing.
const LONGEST_AFTER_EXIT: Duration = Duration::from_secs(2);
const KILL_AFTER_TERMINATE: Duration = Duration::from_secs(5);
const KILL_AFTER_LOSS: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

pub(crate) fn run(launcher: &[OsString], session: CaptureSession) -> Result<ExitStatus, CaptureError> {
    let start_error = |step| move |source| CaptureError::Start { step, source };
    let person = PersonTerminal::of_this_process();
    let signals = Signals::register().map_err(start_error("handle signals"))?;
    let mut spooler = Spooler::new(session.spool, session.start_boottime_micros, session.least_free_bytes)
        .map_err(start_error("prepare the spool"))?;

    let environment = (SESSION_VARIABLE, session.token.as_str());
    let PtyCommand { master, child } =
        pty::start(launcher, &session.command, environment, person.settings(), session.terminal)?;
    let raw = person.raw().map_err(start_error("set up the terminal"))?;
    let input = person
        .input
        .as_fd()
        .try_clone_to_owned()
        .and_then(|input| InputThread::start(input, master.try_clone()?))
        .map_err(start_error("read the terminal"))?;

    let mut relay = Relay {
        person: &person,
        leader: Pid::from_child(&child),
        child,
        signals: &signals,
        exited: None,
        kill_at: None,
        shows: true,
        size: session.terminal,
    };
    // The window may have changed while the agent was asked, when nobody listened yet.
    let ended = relay.take_size(&master, &mut spooler).and_then(|()| relay.pass_on(&master, &mut spooler));
    drop(input);
    // The hang-up of the terminal reaches whatever still runs on it.
    drop(master);
    let ended = match ended {
        Ok(status) => spooler.exit(status).map(|()| status),
        Err(error) => {
            if let CaptureError::Lost { reason } = &error {
                spooler.give_up(reason);
            }
            relay.end_command();
            Err(error)
        }
    };
    drop(raw);
    ended
}

struct Relay<'a> {
    person: &'a PersonTerminal,
    child: Child,
    leader: Pid,
    signals: &'a Signals,
    exited: Option<(ExitStatus, Instant)>,
    kill_at: Option<Instant>,
    shows: bool,
    size: TerminalSize,
}

/// What a read of the command's terminal gave.
struct Burst {
    bytes: usize,
    closed: bool,
}

impl Relay<'_> {
    /// Relays until the command has ended and all it printed is spooled.
    fn pass_on(&mut self, master: &OwnedFd, spooler: &mut Spooler) -> Result<ExitStatus, CaptureError> {
        let mut buffer = vec![0; READ_BYTES];
        let mut closed = false;
        loop {
            let timeout = self.timeout(closed);
            let mut fds = [
                PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(spooler.failure_fd(), PollFlags::IN),
                PollFd::new(master, if closed { PollFlags::empty() } else { PollFlags::IN }),
            ];
            // A hung-up terminal is always "ready"; while nobody has it open it is left out and looked at again later.
            let watched = if closed { &mut fds[..2] } else { &mut fds[..] };
            let ready = match poll(watched, timeout.map(timespec).as_ref()) {
                Ok(ready) => ready,
                Err(Errno::INTR) => continue,
                Err(error) => {
                    return Err(CaptureError::Start { step: "wait for the terminal", source: error.into() });
                }
            };
            let [signalled, failed, readable] = fds.map(|fd| !fd.revents().is_empty());

            if failed {
                spooler.check()?;
            }
            if signalled {
                self.handle_signals(master, spooler)?;
            }
            self.reap()?;
            self.kill_when_due(master);
            let mut quiet = ready == 0;
            if readable || closed {
                let burst = read_burst(master, &mut buffer)?;
                closed = burst.closed;
                quiet = burst.bytes == 0;
                if burst.bytes > 0 {
                    spooler.output(&buffer[..burst.bytes])?;
                    self.show(&buffer[..burst.bytes], master, spooler)?;
                }
            }
            if let Some((status, since)) = self.exited
                && (closed || quiet || since.elapsed() > LONGEST_AFTER_EXIT)
            {
                return Ok(status);
            }
        }
    }

    fn timeout(&self, closed: bool) -> Option<Duration> {
        if self.exited.is_some() {
            // The terminal's end, or silence, or the limit ends the session.
            return Some(if closed { Duration::ZERO } else { QUIET_AFTER_EXIT });
        }
        let until_kill = self.kill_at.map(|at| at.saturating_duration_since(Instant::now()));
        let look_again = closed.then_some(LOOK_AGAIN);
        until_kill.into_iter().chain(look_again).min()
    }

    fn reap(&mut self) -> Result<(), CaptureError> {
        if self.exited.is_some() {
            return Ok(());
        }
        let status = self
            .child
            .try_wait()
            .map_err(|source| CaptureError::Start { step: "wait for the command", source })?;
        if let Some(status) = status {
            // Linux gives every ended process a code of 8 bits or a signal.
            let status =
                ExitStatus::from_parts(status.code(), status.signal()).unwrap_or(ExitStatus::Code(u8::MAX));
            self.exited = Some((status, Instant::now()));
        }
        Ok(())
    }

    /// Shows all of it. A person may stop the output for as long as they like: meanwhile signals are handled, and so is a spool that
    /// fails.
    fn show(
        &mut self,
        mut bytes: &[u8],
        master: &OwnedFd,
        spooler: &mut Spooler,
    ) -> Result<(), CaptureError> {
        while self.shows && !bytes.is_empty() {
            match self.person.show_some(bytes) {
                Ok(0) => self.wait_for_room(master, spooler)?,
                Ok(shown) => bytes = &bytes[shown..],
                Err(_) => {
                    // Nobody looks any more. As when a terminal window is closed, the command is told, and recorded to its end.
                    self.shows = false;
                    self.pass_signal(master, Signal::HUP);
                }
            }
        }
        Ok(())
    }

    fn wait_for_room(&mut self, master: &OwnedFd, spooler: &mut Spooler) -> Result<(), CaptureError> {
        let until_kill = self.kill_at.map(|at| at.saturating_duration_since(Instant::now()));
        let mut fds = [
            PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(spooler.failure_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.person.shown_on(), PollFlags::OUT),
        ];
        match poll(&mut fds, until_kill.map(timespec).as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => {
                return Err(CaptureError::Start { step: "wait for the terminal", source: error.into() });
            }
        }
        let [signalled, failed, _] = fds.map(|fd| !fd.revents().is_empty());
        if failed {
            spooler.check()?;
        }
        if signalled {
            self.handle_signals(master, spooler)?;
        }
        self.reap()?;
        if self.kill_at.is_some_and(|at| at <= Instant::now()) {
            // Whoever asked for the end does not wait for a person who does not look.
            self.shows = false;
        }
        self.kill_when_due(master);
        Ok(())
    }

    fn handle_signals(&mut self, master: &OwnedFd, spooler: &mut Spooler) -> Result<(), CaptureError> {
        for signal in self.signals.take() {
            match signal {
                SIGWINCH => self.take_size(master, spooler)?,
                SIGHUP => self.pass_signal(master, Signal::HUP),
                SIGINT => self.pass_signal(master, Signal::INT),
                SIGQUIT => self.pass_signal(master, Signal::QUIT),
                SIGTERM => {
                    // Interactive shells ignore SIGTERM; losing the terminal ends them.
                    self.pass_signal(master, Signal::TERM);
                    self.pass_signal(master, Signal::HUP);
                    self.kill_at = Some(Instant::now() + KILL_AFTER_TERMINATE);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Gives the command's terminal the size of the person's.
    fn take_size(&mut self, master: &OwnedFd, spooler: &mut Spooler) -> Result<(), CaptureError> {
        let size = self.person.size();
        if size != self.size {
            self.size = size;
            // First spooled: what is drawn for the new size must not come before it.
            spooler.resize(size)?;
            // If it fails the terminal is closed, which the next read will tell.
            let _ = pty::set_size(master, size);
        }
        Ok(())
    }

    /// To the terminal's foreground processes and to the command itself.
    fn pass_signal(&self, master: &OwnedFd, signal: Signal) {
        let foreground = tcgetpgrp(master).ok().filter(|group| *group != self.leader);
        for group in foreground.into_iter().chain(self.exited.is_none().then_some(self.leader)) {
            // A group that is gone needs no signal.
            let _ = kill_process_group(group, signal);
            if signal != Signal::KILL {
                // A stopped process takes a signal only when it goes on.
                let _ = kill_process_group(group, Signal::CONT);
            }
        }
    }

    fn kill_when_due(&mut self, master: &OwnedFd) {
        if self.kill_at.is_some_and(|at| at <= Instant::now()) {
            self.kill_at = None;
            self.pass_signal(master, Signal::KILL);
        }
    }

    /// Ends a command whose terminal is closed already.
    fn end_command(&mut self) {
        if self.exited.is_some() {
            return;
        }
        let _ = kill_process_group(self.leader, Signal::HUP);
        let _ = kill_process_group(self.leader, Signal::CONT);
        let deadline = Instant::now() + KILL_AFTER_LOSS;
        while let Ok(None) = self.child.try_wait() {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                let _ = kill_process_group(self.leader, Signal::KILL);
                let _ = self.child.wait();
                return;
            };
            // SIGCHLD wakes this.
            let mut fds = [PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN)];
            let _ = poll(&mut fds, Some(&timespec(left)));
            self.signals.take();
        }
    }
}

/// Reads what is there. Bulk output is gathered, because a pseudo-terminal gives little at once; a keystroke's echo is not delayed.
fn read_burst(master: &OwnedFd, buffer: &mut [u8]) -> Result<Burst, CaptureError> {
    let mut bytes = 0;
    loop {
        if bytes == buffer.len() {
            return Ok(Burst { bytes, closed: false });
        }
        match rustix::io::read(master, &mut buffer[bytes..]) {
            // EIO: no process has the terminal open.
            Ok(0) | Err(Errno::IO) => return Ok(Burst { bytes, closed: true }),
            Ok(read) => bytes += read,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let mut fds = [PollFd::new(master, PollFlags::IN)];
                let more =
                    bytes >= BULK_BYTES && matches!(poll(&mut fds, Some(&timespec(MERGE_WITHIN))), Ok(1));
                if !more {
                    return Ok(Burst { bytes, closed: false });
                }
            }
            Err(error) => {
                let source = io::Error::from(error);
                return Err(CaptureError::Lost {
                    reason: format!("the command's terminal cannot be read: {source}"),
                });
            }
        }
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}
