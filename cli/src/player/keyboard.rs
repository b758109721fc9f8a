//! The viewer's keys while a recording plays, and waiting for them.

use std::collections::VecDeque;
use std::io::{ErrorKind, IsTerminal as _, stdin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use agent_protocol::signals;
use nix::unistd::{getpgrp, tcgetpgrp};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{InputModes, LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGCONT, SIGSTOP, SIGTSTP, SIGWINCH};

use super::keys::{Keys, Request};

/// The longest wait: a signal may come right before it, when it interrupts nothing.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The keyboard without line editing, until it is dropped; and the signals that end, stop or change the view.
pub(super) struct Keyboard {
    /// How the terminal was, and how it is meanwhile.
    modes: Option<(Termios, Termios)>,
    end: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    went_on: Arc<AtomicBool>,
    resized: Arc<AtomicBool>,
    keys: Keys,
    requests: VecDeque<Request>,
}

impl Keyboard {
    /// Takes the keyboard, when there is one and `interactive` says so.
    pub(super) fn take(interactive: bool) -> Self {
        let flag = || Arc::new(AtomicBool::new(false));
        let mut keyboard = Self {
            modes: None,
            end: flag(),
            stop: flag(),
            went_on: flag(),
            resized: flag(),
            keys: Keys::default(),
            requests: VecDeque::new(),
        };
        // Without these handlers a signal would leave the terminal painted by the recording and without echo. If they
        // cannot be set, the keyboard is not taken.
        if interactive
            && keyboard.handle_signals().is_ok()
            && stdin().is_terminal()
            && let Ok(before) = tcgetattr(stdin())
        {
            let mut without_lines = before.clone();
            without_lines.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG);
            // Ctrl-S would stop the player in the middle of a frame, where it notices nothing.
            without_lines.input_modes.remove(InputModes::IXON);
            if tcsetattr(stdin(), OptionalActions::Now, &without_lines).is_ok() {
                keyboard.modes = Some((before, without_lines));
            }
        }
        keyboard
    }

    fn handle_signals(&self) -> std::io::Result<()> {
        let ending = signals::ending().map(|signal| (signal, &self.end));
        let others = [(SIGWINCH, &self.resized), (SIGTSTP, &self.stop), (SIGCONT, &self.went_on)];
        for (signal, flag) in ending.chain(others) {
            if signals::ignored(signal) {
                continue;
            }
            match signal_hook::flag::register(signal, Arc::clone(flag)) {
                // The C library keeps some to itself.
                Err(error) if error.kind() != ErrorKind::InvalidInput => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Stops when that was asked for, with the terminal as it was; takes it again when somebody has continued this process.
    fn stop_and_go_on(&self) {
        if self.stop.swap(false, Ordering::Relaxed) {
            self.restore();
            // The default of the signal that was handled. There is nobody to tell if even that fails.
            let _ = signal_hook::low_level::raise(SIGSTOP);
        }
        if self.went_on.swap(false, Ordering::Relaxed)
            && let Some((_, without_lines)) = &self.modes
            && tcgetpgrp(stdin()).is_ok_and(|group| group == getpgrp())
        {
            // Its size may have changed as well.
            self.resized.store(true, Ordering::Relaxed);
            let _ = tcsetattr(stdin(), OptionalActions::Now, without_lines);
        }
    }

    fn restore(&self) {
        if let Some((before, _)) = &self.modes {
            // Nothing can be done about a terminal that does not accept its old modes.
            let _ = tcsetattr(stdin(), OptionalActions::Now, before);
        }
    }

    /// Whether the viewer's terminal changed its size since this was asked last.
    pub(super) fn resized(&self) -> bool {
        self.resized.swap(false, Ordering::Relaxed)
    }

    /// Waits at most so long (for ever without a limit) and gives what the viewer asked for meanwhile. It returns
    /// early on a signal, and after half a second.
    pub(super) fn wait(&mut self, limit: Option<Duration>) -> Option<Request> {
        self.stop_and_go_on();
        if self.end.load(Ordering::Relaxed) {
            return Some(Request::Quit);
        }
        if let Some(request) = self.requests.pop_front() {
            return Some(request);
        }
        let limit = limit.map_or(LOOK_EVERY, |limit| limit.min(LOOK_EVERY));
        let timeout = Timespec {
            tv_sec: limit.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: limit.subsec_nanos().into(),
        };
        let input = stdin();
        let mut watched = [PollFd::new(&input, PollFlags::IN)];
        let watched = if self.modes.is_some() { &mut watched[..] } else { &mut [] };
        let ready = poll(watched, Some(&timeout));
        if self.end.load(Ordering::Relaxed) {
            return Some(Request::Quit);
        }
        match ready {
            Ok(1..) => {}
            // Time is over, or a signal came.
            Ok(0) | Err(_) => return None,
        }
        let mut bytes = [0; 256];
        // Not through the standard library's buffer, in which keys could wait unseen.
        match rustix::io::read(stdin(), &mut bytes) {
            Ok(read @ 1..) => {
                self.requests.extend(bytes[..read].iter().filter_map(|byte| self.keys.read(*byte)));
                self.requests.pop_front()
            }
            // The terminal is gone.
            _ => Some(Request::Quit),
        }
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        self.restore();
    }
}
