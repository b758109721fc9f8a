//! Starts the command: on a pseudo-terminal if the person has a terminal, and otherwise behind pipes.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use agent_protocol::capture::CaptureError;
use recording::TerminalSize;
use rustix::fd::OwnedFd;
use rustix::pty::OpenptFlags;
use rustix::stdio;
use rustix::termios::{self, InputModes, LocalModes, OptionalActions, OutputModes, Termios, Winsize};

use crate::descriptors::{InputWay, OutputWay, Ways};

/// The recorder's ends of the connections to a command.
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

/// The command's ends.
pub(crate) struct CommandEnds {
    stdin: Stdio,
    stdout: Stdio,
    stderr: Stdio,
}

/// The properties of the terminal that the command gets.
pub(crate) struct Model {
    pub(crate) settings: Termios,
    pub(crate) size: TerminalSize,
}

/// The command to run.
#[derive(Clone, Copy)]
pub(crate) struct Program<'p> {
    /// The program that becomes the leader of a session, and then the command.
    pub(crate) launcher: &'p [OsString],
    pub(crate) command: &'p [OsString],
    pub(crate) is_login_shell: bool,
}

/// Opens the connections of a command, each descriptor in its way. `model` is the person's terminal; without one
/// there is no pseudo-terminal, and the command's session has no controlling terminal, because what would be typed
/// and shown there would bypass the recording.
pub(crate) fn open(ways: Ways, model: Option<Model>) -> Result<(RecorderEnds, CommandEnds), CaptureError> {
    let step = |step| move |source| CaptureError::Start { step, source };
    let pair = model.map(open_terminal).transpose()?;
    let (master, slave) = pair.map_or((None, None), |(master, slave)| (Some(master), Some(slave)));
    let on_terminal = || -> io::Result<Stdio> {
        match &slave {
            Some(slave) => Ok(Stdio::from(slave.try_clone()?)),
            // The terminal has disappeared since it was checked.
            None => Ok(Stdio::null()),
        }
    };

    let ends = || -> io::Result<_> {
        let (stdin, input) = match ways.input {
            InputWay::Terminal => (on_terminal()?, None),
            InputWay::Inherited => (Stdio::inherit(), None),
            InputWay::Pipe => {
                let (read, write) = io::pipe()?;
                rustix::io::ioctl_fionbio(&write, true)?;
                (Stdio::from(read), Some(OwnedFd::from(write)))
            }
        };
        let (stdout, output, both) = match ways.output {
            OutputWay::Terminal => (on_terminal()?, None, None),
            OutputWay::Pipe => {
                let (read, write) = outgoing_pipe()?;
                let both = ways.together.then(|| write.try_clone()).transpose()?;
                (Stdio::from(write), Some(read), both)
            }
        };
        let (stderr, error) = match (ways.error, both) {
            (_, Some(both)) => (Stdio::from(both), None),
            (OutputWay::Terminal, None) => (on_terminal()?, None),
            (OutputWay::Pipe, None) => {
                let (read, write) = outgoing_pipe()?;
                (Stdio::from(write), Some(read))
            }
        };
        Ok((stdin, stdout, stderr, input, output, error))
    };
    let (stdin, stdout, stderr, input, output, error) = ends().map_err(step("make the command's pipes"))?;
    Ok((RecorderEnds { master, input, output, error }, CommandEnds { stdin, stdout, stderr }))
}

/// Starts a command with its ends of the connections, and with one additional environment variable.
pub(crate) fn start(
    program: Program<'_>,
    (name, value): (&str, &str),
    ends: CommandEnds,
) -> Result<Child, CaptureError> {
    let step = |source| CaptureError::Start { step: "start the command", source };
    let Program { launcher, command, is_login_shell } = program;
    let flags = [("--login-shell", is_login_shell), ("--", true)];
    let flags = flags.into_iter().filter_map(|(flag, wanted)| wanted.then_some(OsStr::new(flag)));
    let mut words =
        launcher.iter().map(OsString::as_os_str).chain(flags).chain(command.iter().map(OsString::as_os_str));
    let no_command = || io::Error::new(io::ErrorKind::InvalidInput, "there is no command");
    let program = words.next().ok_or_else(no_command).map_err(step)?;
    let CommandEnds { stdin, stdout, stderr } = ends;
    // Only this builder has these descriptors: the other side sees the end of one only when its last copy is closed.
    Command::new(program)
        .args(words)
        .env(name, value)
        .stdin(stdin)
        .stdout(stdout)
        .stderr(stderr)
        .spawn()
        .map_err(step)
}

/// A pipe from the command; only this process's end is non-blocking.
fn outgoing_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = io::pipe()?;
    rustix::io::ioctl_fionbio(&read, true)?;
    Ok((read.into(), write.into()))
}

fn open_terminal(model: Model) -> Result<(OwnedFd, OwnedFd), CaptureError> {
    let (master, slave) =
        open_pair().map_err(|source| CaptureError::Start { step: "open a pseudo-terminal", source })?;
    set_size(&master, model.size)
        .and_then(|()| Ok(termios::tcsetattr(&slave, OptionalActions::Now, &model.settings)?))
        .and_then(|()| Ok(rustix::io::ioctl_fionbio(&master, true)?))
        .map_err(|source| CaptureError::Start { step: "set up the pseudo-terminal", source })?;
    Ok((master, slave))
}

fn open_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = rustix::pty::openpt(flags)?;
    rustix::pty::grantpt(&master)?;
    rustix::pty::unlockpt(&master)?;
    // Opened through the master instead of by name: this works in any mount namespace and cannot open another
    // terminal.
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
    Ok((master, slave))
}

/// The settings that shells leave to commands. If several programs share the terminal, one of them may have set modes
/// of its own just now.
pub(crate) fn plain(mut settings: Termios) -> Termios {
    settings.input_modes.insert(InputModes::ICRNL);
    settings.output_modes.insert(OutputModes::OPOST | OutputModes::ONLCR);
    settings
        .local_modes
        .insert(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG | LocalModes::IEXTEN);
    settings
}

/// Sets the size of the pseudo-terminal; the foreground process group gets SIGWINCH.
pub(crate) fn set_size(master: &OwnedFd, size: TerminalSize) -> io::Result<()> {
    let size = Winsize { ws_col: size.columns, ws_row: size.rows, ws_xpixel: 0, ws_ypixel: 0 };
    Ok(termios::tcsetwinsize(master, size)?)
}

/// Makes this process the leader of a new session, on the terminal among its standard descriptors if there is one,
/// then becomes `command`. Returns only if that fails: with 127 if there is no such command, 126 if it cannot be run,
/// as shells do.
pub fn run_as_session_leader(command: &[OsString], is_login_shell: bool) -> u8 {
    let terminal =
        [stdio::stdin(), stdio::stdout(), stdio::stderr()].into_iter().find(|fd| termios::isatty(*fd));
    let ready = rustix::process::setsid().and_then(|_| match terminal {
        Some(terminal) => rustix::process::ioctl_tiocsctty(terminal),
        None => Ok(()),
    });
    let (code, why) = match ready {
        Ok(()) => become_command(command, is_login_shell),
        Err(errno) => (126, format!("cannot lead a session: {}", io::Error::from(errno))),
    };
    // Standard error is recorded: the person and the recording both see the reason.
    let _ = writeln!(io::stderr(), "hansard-agent: {why}");
    code
}

/// Becomes `command`; for a login shell, its name gets a leading hyphen. Returns only if that fails, with the exit
/// code and the reason.
pub fn become_command(command: &[OsString], is_login_shell: bool) -> (u8, String) {
    let Some((program, arguments)) = command.split_first() else {
        return (126, "there is no command".to_owned());
    };
    let mut becoming = Command::new(program);
    becoming.args(arguments);
    if is_login_shell {
        let name = Path::new(program).file_name().unwrap_or(program);
        becoming.arg0(OsStr::from_bytes(&[b"-", name.as_bytes()].concat()));
    }
    let error = becoming.exec();
    let code = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
    (code, format!("cannot run {program:?}: {error}"))
}
