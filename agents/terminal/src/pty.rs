//! The pseudo-terminal of the recorded command.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use agent_protocol::capture::CaptureError;
use recording::TerminalSize;
use rustix::fd::{AsFd, OwnedFd};
use rustix::pty::OpenptFlags;
use rustix::termios::{self, InputModes, LocalModes, OptionalActions, Termios, Winsize};

/// A command on a pseudo-terminal, seen from the terminal's side.
pub(crate) struct PtyCommand {
    pub(crate) master: OwnedFd,
    pub(crate) child: Child,
}

/// Starts a command on a new pseudo-terminal with the settings of the person's terminal. Where the input is no terminal, what is
/// piped in is not echoed.
pub(crate) fn start(
    launcher: &[OsString],
    command: &[OsString],
    environment: (&str, &str),
    settings: Option<Termios>,
    size: TerminalSize,
) -> Result<PtyCommand, CaptureError> {
    let (master, slave) =
        open_pair().map_err(|source| CaptureError::Start { step: "open a pseudo-terminal", source })?;
    set_size(&master, size)
        .and_then(|()| apply_settings(&slave, settings))
        .and_then(|()| rustix::io::ioctl_fionbio(&master, true).map_err(io::Error::from))
        .map_err(|source| CaptureError::Start { step: "set up the pseudo-terminal", source })?;

    let child = spawn(launcher, command, environment, slave)
        .map_err(|source| CaptureError::Start { step: "start the command", source })?;
    Ok(PtyCommand { master, child })
}

fn open_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = rustix::pty::openpt(flags)?;
    rustix::pty::grantpt(&master)?;
    rustix::pty::unlockpt(&master)?;
    // By the master, not by its name: it works in any mount namespace and cannot open another terminal.
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
    Ok((master, slave))
}

fn apply_settings(slave: &OwnedFd, settings: Option<Termios>) -> io::Result<()> {
    let settings = match settings {
        Some(settings) => settings,
        None => {
            let mut settings = termios::tcgetattr(slave)?;
            settings.local_modes.remove(LocalModes::ECHO);
            settings.input_modes.insert(InputModes::IUTF8);
            settings
        }
    };
    Ok(termios::tcsetattr(slave, OptionalActions::Now, &settings)?)
}

/// Tells the pseudo-terminal its size; the foreground process group gets SIGWINCH.
pub(crate) fn set_size(master: &OwnedFd, size: TerminalSize) -> io::Result<()> {
    let size = Winsize { ws_col: size.columns, ws_row: size.rows, ws_xpixel: 0, ws_ypixel: 0 };
    Ok(termios::tcsetwinsize(master, size)?)
}

/// The slave is owned here so that no copy stays open: the master sees the end only when the last one is closed.
fn spawn(
    launcher: &[OsString],
    command: &[OsString],
    (name, value): (&str, &str),
    slave: OwnedFd,
) -> io::Result<Child> {
    let mut words = launcher.iter().chain(command);
    let program =
        words.next().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "there is no command"))?;
    Command::new(program)
        .args(words)
        .env(name, value)
        .stdin(Stdio::from(slave.try_clone()?))
        .stdout(Stdio::from(slave.try_clone()?))
        .stderr(Stdio::from(slave))
        .spawn()
}

/// Makes this process the leader of a new session on the terminal that is its standard input, then becomes `command`. Returns only
/// when that fails: with 127 when there is no such command, 126 when it cannot be run, as shells do.
pub fn run_as_session_leader(command: &[OsString]) -> u8 {
    let Some((program, arguments)) = command.split_first() else { return 126 };
    let stdin = io::stdin();
    let ready =
        rustix::process::setsid().map(drop).and_then(|()| rustix::process::ioctl_tiocsctty(stdin.as_fd()));
    let error = match ready {
        Ok(()) => Command::new(program).args(arguments).exec(),
        Err(errno) => errno.into(),
    };
    // Standard error is the recorded terminal: the person and the recording both see the reason.
    let _ = writeln!(io::stderr(), "hansard-agent: cannot run {program:?}: {error}");
    if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 }
}
