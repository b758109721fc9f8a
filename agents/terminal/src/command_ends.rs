//! The connections of a command, made by the recorder, which keeps the other ends: a pseudo-terminal if the person has
//! a terminal, and a pipe for each descriptor that is none.

use std::fs;
use std::io;
use std::os::unix::fs::fchown;

use agent_protocol::capture::CaptureError;
use agent_protocol::recorder::{CommandDescriptor, Connections, InputWay, OutputWay};
use recording::TerminalSize;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, fchmod};
use rustix::pty::OpenptFlags;
use rustix::termios::{self, Winsize};

/// As `login` leaves a terminal: its owner reads and writes, and `wall` and `write` may write through the group.
const TERMINAL_MODE: Mode = Mode::from_raw_mode(0o620);
const TERMINAL_GROUP: &str = "tty";
const GROUPS: &str = "/etc/group";

/// The recorder's ends of the connections to a command.
#[derive(Debug)]
pub(crate) struct RecorderEnds {
    /// The pseudo-terminal, if there is one.
    pub(crate) master: Option<OwnedFd>,
    /// The writing end of the command's standard input, if that is a pipe.
    pub(crate) input: Option<OwnedFd>,
    /// The reading end of its standard output (or of both outputs), if that is a pipe.
    pub(crate) output: Option<OwnedFd>,
    /// The reading end of its standard error, if that is a separate pipe.
    pub(crate) error: Option<OwnedFd>,
}

/// What was opened for a command.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) ours: RecorderEnds,
    pub(crate) theirs: Vec<(CommandDescriptor, OwnedFd)>,
    /// Why the person cannot open the terminal by its name, if so.
    pub(crate) not_by_name: Option<io::Error>,
}

/// Opens the connections of a command, each descriptor in its way. Without a terminal among them there is no
/// pseudo-terminal, and the command's session has no controlling terminal, because what would be typed and shown there
/// would bypass the recording. The terminal belongs to the user, if this process may give it away.
pub(crate) fn open(
    connections: &Connections,
    size: TerminalSize,
    user_id: u32,
) -> Result<Opened, CaptureError> {
    let mut theirs = Vec::new();
    let mut not_by_name = None;
    let master = if connections.any_terminal() {
        let (master, slave) = open_terminal(size)
            .map_err(|source| CaptureError::Start { step: "set up the pseudo-terminal", source })?;
        not_by_name = give_away(&slave, user_id).err();
        theirs.push((CommandDescriptor::Terminal, slave));
        Some(master)
    } else {
        None
    };
    let mut pipes = || -> io::Result<_> {
        let mut add = |what, end| theirs.push((what, end));
        let input = match connections.input {
            InputWay::Terminal | InputWay::Inherited => None,
            InputWay::Pipe => {
                let (read, write) = io::pipe()?;
                rustix::io::ioctl_fionbio(&write, true)?;
                add(CommandDescriptor::Input, read.into());
                Some(OwnedFd::from(write))
            }
        };
        let mut outgoing = |what| -> io::Result<OwnedFd> {
            let (read, write) = io::pipe()?;
            // Only this process's end.
            rustix::io::ioctl_fionbio(&read, true)?;
            add(what, write.into());
            Ok(read.into())
        };
        let output = match connections.output {
            OutputWay::Terminal => None,
            OutputWay::Pipe => Some(outgoing(CommandDescriptor::Output)?),
        };
        let error = match connections.error {
            OutputWay::Pipe if !(connections.together && output.is_some()) => {
                Some(outgoing(CommandDescriptor::ErrorOutput)?)
            }
            OutputWay::Pipe | OutputWay::Terminal => None,
        };
        Ok((input, output, error))
    };
    let (input, output, error) =
        pipes().map_err(|source| CaptureError::Start { step: "make the command's pipes", source })?;
    Ok(Opened { ours: RecorderEnds { master, input, output, error }, theirs, not_by_name })
}

fn open_terminal(size: TerminalSize) -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = rustix::pty::openpt(flags)?;
    rustix::pty::grantpt(&master)?;
    rustix::pty::unlockpt(&master)?;
    // Opened through the master instead of by name: this works in any mount namespace and cannot open another
    // terminal.
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
    set_size(&master, size)?;
    rustix::io::ioctl_fionbio(&master, true)?;
    Ok((master, slave))
}

/// Makes the terminal the user's, as `login` does.
fn give_away(slave: &OwnedFd, user_id: u32) -> io::Result<()> {
    fchown(slave, Some(user_id), terminal_group())?;
    Ok(fchmod(slave, TERMINAL_MODE)?)
}

/// The group of terminals, if the file of this instance's groups has one.
fn terminal_group() -> Option<u32> {
    let groups = fs::read_to_string(GROUPS).ok()?;
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == TERMINAL_GROUP).then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

/// Sets the size of the pseudo-terminal; the foreground process group gets SIGWINCH.
pub(crate) fn set_size(master: &OwnedFd, size: TerminalSize) -> io::Result<()> {
    let size = Winsize { ws_col: size.columns, ws_row: size.rows, ws_xpixel: 0, ws_ypixel: 0 };
    Ok(termios::tcsetwinsize(master, size)?)
}
