//! The viewer's keys while a recording plays, and waiting for them.

use std::io::{IsTerminal as _, Read as _, stdin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};

/// What the viewer asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// Stop, and leave.
    Quit,
    /// Stop until the same is asked again.
    Pause,
}

/// The keyboard without line editing, until it is dropped; and the signals that end or change the view.
pub(super) struct Keyboard {
    before: Option<Termios>,
    end: Arc<AtomicBool>,
    resized: Arc<AtomicBool>,
}

impl Keyboard {
    /// Takes the keyboard, when there is one and `interactive` says so.
    pub(super) fn take(interactive: bool) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let resized = Arc::new(AtomicBool::new(false));
        let mut before = None;
        if interactive && stdin().is_terminal() {
            // Without these handlers a signal would leave the terminal without echo; where they cannot be set, the
            // keyboard is not taken.
            let flags = [(SIGINT, &end), (SIGTERM, &end), (SIGHUP, &end), (SIGWINCH, &resized)];
            let handled = flags
                .iter()
                .all(|(signal, flag)| signal_hook::flag::register(*signal, Arc::clone(flag)).is_ok());
            if handled && let Ok(modes) = tcgetattr(stdin()) {
                let mut without_lines = modes.clone();
                without_lines.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG);
                if tcsetattr(stdin(), OptionalActions::Now, &without_lines).is_ok() {
                    before = Some(modes);
                }
            }
        }
        Self { before, end, resized }
    }

    /// Whether the viewer's terminal changed its size since this was asked last.
    pub(super) fn resized(&self) -> bool {
        self.resized.swap(false, Ordering::Relaxed)
    }

    /// Waits at most so long (for ever without a limit) and gives what the viewer asked for meanwhile. It returns
    /// early on a signal.
    pub(super) fn wait(&self, limit: Option<Duration>) -> Option<Request> {
        if self.end.load(Ordering::Relaxed) {
            return Some(Request::Quit);
        }
        let timeout = limit.map(|limit| Timespec {
            tv_sec: limit.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: limit.subsec_nanos().into(),
        });
        let input = stdin();
        let mut watched = [PollFd::new(&input, PollFlags::IN)];
        let watched = if self.before.is_some() { &mut watched[..] } else { &mut [] };
        let ready = poll(watched, timeout.as_ref());
        if self.end.load(Ordering::Relaxed) {
            return Some(Request::Quit);
        }
        match ready {
            Ok(1..) => {}
            // Time is over, or a signal came.
            Ok(0) | Err(_) => return None,
        }
        let mut key = [0];
        match stdin().lock().read(&mut key) {
            Ok(1) => match key[0] {
                b'q' | b'Q' | 0x03 | 0x04 => Some(Request::Quit),
                b' ' => Some(Request::Pause),
                _ => None,
            },
            // The terminal is gone.
            _ => Some(Request::Quit),
        }
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // There is nothing left to do about a terminal that does not take its old modes back.
            let _ = tcsetattr(stdin(), OptionalActions::Now, before);
        }
    }
}
