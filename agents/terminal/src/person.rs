//! The terminal of the person: its size, and its modes during a session and afterwards, however the session ends.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use recording::TerminalSize;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::stdio;
use rustix::termios::{self, LocalModes, OptionalActions, Termios};

use crate::sink::{Sink, reopen};

/// The terminal among this process's standard descriptors. It is made before the agent is asked: for the length of a
/// recorded session the agent takes the terminal away, and nobody can open it any longer.
#[derive(Debug, Clone)]
pub struct PersonTerminal {
    terminal: BorrowedFd<'static>,
    /// Where the output of the command's terminal is shown.
    screen: BorrowedFd<'static>,
    /// The two once more, with flags of their own, where they could be opened.
    own_keys: Option<Arc<OwnedFd>>,
    own_screen: Option<Arc<OwnedFd>>,
    modes: Arc<Mutex<Modes>>,
}

#[derive(Debug, Default)]
struct Modes {
    /// Whether every key is passed through.
    raw: bool,
    /// Whether it is gone: its window was closed, or its connection broke.
    gone: bool,
    /// The settings to restore at the end.
    before: Option<Termios>,
}

impl PersonTerminal {
    /// The terminal of this process, if one of its standard descriptors is a terminal.
    pub fn of_this_process() -> Option<Self> {
        let is_terminal = |fd: &BorrowedFd<'static>| termios::isatty(*fd);
        let terminal = [stdio::stdin(), stdio::stdout(), stdio::stderr()].into_iter().find(is_terminal)?;
        let screen = [stdio::stdout(), stdio::stderr()].into_iter().find(is_terminal);
        let screen = screen.unwrap_or(terminal);
        Some(PersonTerminal {
            terminal,
            screen,
            own_keys: reopen(terminal, OFlags::RDONLY).map(Arc::new),
            own_screen: reopen(screen, OFlags::WRONLY).map(Arc::new),
            modes: Arc::default(),
        })
    }

    /// The size at the beginning; 80 by 24 if the terminal has no size.
    pub fn first_size(&self) -> TerminalSize {
        // It may be gone by now, but it counts as a terminal all the same.
        self.size().unwrap_or(TerminalSize::WITHOUT_TERMINAL)
    }

    /// The terminal's size; 80 by 24 if it has none. `None` once the terminal is gone.
    pub(crate) fn size(&self) -> Option<TerminalSize> {
        let sizes = [self.terminal, self.screen].map(|fd| termios::tcgetwinsize(fd).ok());
        let sizes: Vec<_> = sizes.into_iter().flatten().collect();
        let sizes = (!sizes.is_empty()).then_some(sizes)?.into_iter();
        let mut sizes = sizes.map(|size| TerminalSize { columns: size.ws_col, rows: size.ws_row });
        Some(sizes.find(|size| size.columns > 0 && size.rows > 0).unwrap_or(TerminalSize::WITHOUT_TERMINAL))
    }

    pub(crate) fn settings(&self) -> io::Result<Termios> {
        Ok(termios::tcgetattr(self.terminal)?)
    }

    /// The destination for what is shown.
    pub(crate) fn sink(&self) -> Sink {
        match &self.own_screen {
            Some(own) => Sink::reopened_as(self.screen, Arc::clone(own)),
            None => Sink::to(self.screen),
        }
    }

    /// The source of what is typed; if possible, one whose read does not wait when another program was faster.
    pub(crate) fn keys(&self) -> io::Result<Keys> {
        match &self.own_keys {
            Some(own) => Ok(Keys { fd: Arc::clone(own), never_waits: true }),
            None => Ok(Keys { fd: Arc::new(self.terminal.try_clone_to_owned()?), never_waits: false }),
        }
    }

    /// Whether this process may use the terminal now. A terminal that is not the controlling terminal has no job
    /// control.
    pub(crate) fn in_foreground(&self) -> bool {
        nix::unistd::tcgetpgrp(self.terminal).map_or(true, |group| group == nix::unistd::getpgrp())
    }

    pub(crate) fn is_raw(&self) -> bool {
        self.modes().raw
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.modes().gone
    }

    /// Passes every key through, from now until [`PersonTerminal::restore`]; not from the background, where a change
    /// would stop this process. If the terminal is gone there are no keys, which is not an error: the command
    /// continues.
    pub(crate) fn make_raw(&self) -> io::Result<()> {
        let mut modes = self.modes();
        match self.try_make_raw(&mut modes) {
            Err(error) if is_gone(&error) => {
                modes.gone = true;
                Ok(())
            }
            outcome => outcome,
        }
    }

    fn try_make_raw(&self, modes: &mut Modes) -> io::Result<()> {
        if !self.in_foreground() {
            return Ok(());
        }
        let now = self.settings()?;
        let raw = raw(&now);
        // After a stop, most shells have set modes of their own; some have not, and then the terminal still has those
        // set here.
        if modes.before.is_none() || !alike(&now, &raw) {
            modes.before = Some(now);
        }
        termios::tcsetattr(self.terminal, OptionalActions::Now, &raw)?;
        modes.raw = true;
        Ok(())
    }

    /// This process was stopped, so somebody else may have used the terminal.
    pub(crate) fn forget_raw(&self) {
        self.modes().raw = false;
    }

    /// Whether it is in the state in which shells leave it to commands: it echoes and edits lines, and no other
    /// program has set its own modes.
    pub(crate) fn is_plain(&self) -> bool {
        let plain = LocalModes::ICANON | LocalModes::ECHO;
        self.settings().is_ok_and(|settings| settings.local_modes.contains(plain))
    }

    /// Restores the terminal as it was.
    pub(crate) fn restore(&self) {
        let mut modes = self.modes();
        if !std::mem::take(&mut modes.raw) {
            return;
        }
        let Some(before) = &modes.before else { return };
        // In the background the terminal belongs to somebody else. Another program of the same pipeline may have set
        // its own modes since.
        if self.in_foreground() && self.settings().is_ok_and(|now| alike(&now, &raw(before))) {
            // Drain: what was shown last must not be printed with the restored settings. If the terminal is gone,
            // there is nothing to restore.
            let _ = termios::tcsetattr(self.terminal, OptionalActions::Drain, before);
        }
    }

    /// Whether the agent may have taken it, and something may run next in it that wants to open it by its name.
    fn is_missed(&self) -> bool {
        // A login's own terminal is given back when this process is gone, and nothing runs next in it.
        let leads = nix::unistd::getsid(None).is_ok_and(|session| session == nix::unistd::getpid());
        let ours = rustix::process::geteuid().as_raw();
        !leads && owner_of(self.terminal).is_some_and(|owner| owner != ours)
    }

    fn modes(&self) -> MutexGuard<'_, Modes> {
        // One plain value; a panic elsewhere leaves it whole.
        self.modes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The errors that the system returns for a terminal that was hung up.
fn is_gone(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::IO | Errno::NXIO | Errno::NODEV | Errno::BADF))
}

fn owner_of(terminal: BorrowedFd<'_>) -> Option<u32> {
    rustix::fs::fstat(terminal).ok().map(|stat| stat.st_uid)
}

fn raw(settings: &Termios) -> Termios {
    let mut raw = settings.clone();
    raw.make_raw();
    raw
}

fn alike(one: &Termios, other: &Termios) -> bool {
    (one.input_modes, one.output_modes, one.local_modes)
        == (other.input_modes, other.output_modes, other.local_modes)
}

/// The source of what is typed.
#[derive(Debug)]
pub(crate) struct Keys {
    fd: Arc<OwnedFd>,
    /// A read returns at once if another program took what there was.
    pub(crate) never_waits: bool,
}

impl AsFd for Keys {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Restores the terminal when it is dropped, which is when the recorder has ended, and waits until the agent has given it
/// back.
pub(crate) struct Restored<'a> {
    pub(crate) person: &'a PersonTerminal,
    /// Waits for the agent, which alone knows whether another session needs the terminal. If it is away just now, its next
    /// start gives it back.
    pub(crate) wait_for_agent: &'a dyn Fn(),
}

impl Drop for Restored<'_> {
    fn drop(&mut self) {
        self.person.restore();
        if self.person.is_missed() {
            (self.wait_for_agent)();
        }
    }
}
