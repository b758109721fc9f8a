//! The terminal of the person: its size, raw mode while a session runs, and its settings afterwards, whatever happens.

use std::io::{self, Stdin, Stdout};

use recording::TerminalSize;
use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::termios::{self, OptionalActions, Termios};

const SIZE_WITHOUT_TERMINAL: TerminalSize = TerminalSize { columns: 80, rows: 24 };

/// The standard input and output of this process.
#[derive(Debug)]
pub struct PersonTerminal {
    pub(crate) input: Stdin,
    pub(crate) output: Stdout,
}

impl PersonTerminal {
    /// This process's own.
    pub fn of_this_process() -> Self {
        PersonTerminal { input: io::stdin(), output: io::stdout() }
    }

    /// The terminal's size; 80 by 24 where there is no terminal or it has no size.
    pub fn size(&self) -> TerminalSize {
        [self.input.as_fd(), self.output.as_fd()]
            .into_iter()
            .filter_map(|fd| termios::tcgetwinsize(fd).ok())
            .map(|size| TerminalSize { columns: size.ws_col, rows: size.ws_row })
            .find(|size| size.columns > 0 && size.rows > 0)
            .unwrap_or(SIZE_WITHOUT_TERMINAL)
    }

    /// The settings of the terminal that is typed on; `None` when the input is something else.
    pub(crate) fn settings(&self) -> Option<Termios> {
        termios::tcgetattr(self.input.as_fd()).ok()
    }

    /// Passes every key through until the guard is dropped.
    pub(crate) fn raw(&self) -> io::Result<Option<RawMode<'_>>> {
        let Some(saved) = self.settings() else { return Ok(None) };
        let mut raw = saved.clone();
        raw.make_raw();
        termios::tcsetattr(self.input.as_fd(), OptionalActions::Now, &raw)?;
        Ok(Some(RawMode { terminal: self, saved }))
    }

    /// Writes all of it, waiting where the terminal is slow.
    pub(crate) fn show(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match rustix::io::write(self.output.as_fd(), bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(Errno::INTR) => {}
                // Somebody made the shared terminal non-blocking: wait for room.
                Err(Errno::AGAIN) => {
                    let mut fds = [rustix::event::PollFd::new(&self.output, rustix::event::PollFlags::OUT)];
                    match rustix::event::poll(&mut fds, None) {
                        Ok(_) | Err(Errno::INTR) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Restores the terminal's settings when it is dropped.
pub(crate) struct RawMode<'a> {
    terminal: &'a PersonTerminal,
    saved: Termios,
}

impl Drop for RawMode<'_> {
    fn drop(&mut self) {
        // Drain: what was shown last must not be printed with the restored settings. If the terminal is gone, nothing is to be
        // restored.
        let _ = termios::tcsetattr(self.terminal.input.as_fd(), OptionalActions::Drain, &self.saved);
    }
}
