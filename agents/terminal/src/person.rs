//! The terminal of the person: its size, raw mode while a session runs, and its settings afterwards, whatever happens.

use std::io::{self, Stdin, Stdout};

use recording::TerminalSize;
use rustix::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::termios::{self, OptionalActions, Termios};

const SIZE_WITHOUT_TERMINAL: TerminalSize = TerminalSize { columns: 80, rows: 24 };

/// The standard input and output of this process.
#[derive(Debug)]
pub struct PersonTerminal {
    pub(crate) input: Stdin,
    pub(crate) output: Stdout,
    /// The output once more, for writing without waiting.
    unblocked: Option<OwnedFd>,
}

impl PersonTerminal {
    /// This process's own.
    pub fn of_this_process() -> Self {
        let output = io::stdout();
        let unblocked = reopen_without_blocking(&output);
        PersonTerminal { input: io::stdin(), output, unblocked }
    }

    /// Where [`PersonTerminal::show_some`] writes.
    pub(crate) fn shown_on(&self) -> BorrowedFd<'_> {
        self.unblocked.as_ref().map_or_else(|| self.output.as_fd(), AsFd::as_fd)
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

    /// Writes as much of it as there is room for now; 0 when there is none.
    pub(crate) fn show_some(&self, bytes: &[u8]) -> io::Result<usize> {
        match rustix::io::write(self.shown_on(), bytes) {
            Ok(written) => Ok(written),
            // Somebody may have made the shared terminal non-blocking, too.
            Err(Errno::INTR | Errno::AGAIN) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}

/// Opens a terminal or pipe once more. To make it non-blocking as it is would make it so for everybody who shares it. What cannot be
/// opened is written to as it is, and then a person who stops the output stops the recorder; a file never stops it.
fn reopen_without_blocking(output: &Stdout) -> Option<OwnedFd> {
    let is_pipe = || {
        rustix::fs::fstat(output).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
    };
    if !termios::isatty(output) && !is_pipe() {
        return None;
    }
    let path = format!("/proc/self/fd/{}", output.as_fd().as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).ok()
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
