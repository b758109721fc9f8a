//! Starts the command, on the descriptors that the recorder made for it, and the launcher: what runs between fork and
//! exec, and reports itself to the recorder.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use agent_protocol::capture::CaptureError;
use agent_protocol::recorder::{CommandDescriptor, Connections, InputWay, OutputWay};
use rustix::fd::{AsRawFd as _, OwnedFd};
use rustix::io::FdFlags;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::stdio;
use rustix::termios::{self, InputModes, LocalModes, OutputModes, Termios};

use transfer_observer::Transfer;

use crate::inherited;

/// What the launcher says first: it is the process that becomes the command.
pub(crate) const REPORT: u8 = b'r';
/// What it says when it leads a session on the command's terminal.
pub(crate) const LEADS: u8 = b'l';
/// The recorder's answer to each.
pub(crate) const GO: u8 = b'g';

/// The command to run.
#[derive(Clone, Copy)]
pub(crate) struct Program<'p> {
    /// The program that becomes the leader of a session, and then the command.
    pub(crate) launcher: &'p [OsString],
    pub(crate) command: &'p [OsString],
    pub(crate) is_login_shell: bool,
    /// It is the program of a transfer, which nothing of the person's may change.
    pub(crate) is_transfer: bool,
}

/// The descriptors of a command.
pub(crate) struct CommandEnds {
    descriptors: Vec<(CommandDescriptor, OwnedFd)>,
}

impl CommandEnds {
    pub(crate) fn new(descriptors: Vec<(CommandDescriptor, OwnedFd)>) -> Self {
        CommandEnds { descriptors }
    }

    /// The command's end of the pseudo-terminal.
    pub(crate) fn terminal(&self) -> Option<&OwnedFd> {
        self.find(CommandDescriptor::Terminal)
    }

    /// Whether the recorder gave this one.
    pub(crate) fn has(&self, what: CommandDescriptor) -> bool {
        self.find(what).is_some()
    }

    fn find(&self, what: CommandDescriptor) -> Option<&OwnedFd> {
        self.descriptors.iter().find(|(this, _)| *this == what).map(|(_, descriptor)| descriptor)
    }

    fn get(&self, what: CommandDescriptor) -> io::Result<Stdio> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, format!("the recorder gave no {what:?}"));
        Ok(Stdio::from(self.find(what).ok_or_else(missing)?.try_clone()?))
    }

    /// Standard input, standard output and standard error.
    fn standard(&self, connections: &Connections) -> io::Result<[Stdio; 3]> {
        let input = match connections.input {
            InputWay::Terminal => self.get(CommandDescriptor::Terminal)?,
            InputWay::Inherited => Stdio::inherit(),
            InputWay::Pipe => self.get(CommandDescriptor::Input)?,
        };
        let output = match connections.output {
            OutputWay::Terminal => self.get(CommandDescriptor::Terminal)?,
            OutputWay::Pipe => self.get(CommandDescriptor::Output)?,
        };
        let error = match connections.error {
            OutputWay::Terminal => self.get(CommandDescriptor::Terminal)?,
            OutputWay::Pipe if connections.together => self.get(CommandDescriptor::Output)?,
            OutputWay::Pipe => self.get(CommandDescriptor::ErrorOutput)?,
        };
        Ok([input, output, error])
    }
}

/// Starts a command on its descriptors, and with one additional environment variable. Afterwards this process has none
/// of them: the recorder sees the end of one only when its last copy is closed.
pub(crate) fn start(
    program: Program<'_>,
    (name, value): (&str, &str),
    ends: CommandEnds,
    connections: &Connections,
) -> Result<Child, CaptureError> {
    let step = |source| CaptureError::Start { step: "start the command", source };
    let Program { launcher, command, is_login_shell, is_transfer } = program;
    let no_launch = || io::Error::new(io::ErrorKind::NotFound, "the recorder gave no way to report it");
    let launch = ends.find(CommandDescriptor::Launch).ok_or_else(no_launch).map_err(step)?;
    // The launcher inherits it under the same number, and closes it before it becomes the command.
    rustix::io::fcntl_setfd(launch, FdFlags::empty()).map_err(|errno| step(errno.into()))?;
    let launch = format!("--launch={}", launch.as_raw_fd());
    let login = is_login_shell.then_some(OsStr::new("--login-shell"));
    let flags = [OsStr::new(&launch)].into_iter().chain(login).chain([OsStr::new("--")]);
    let mut words =
        launcher.iter().map(OsString::as_os_str).chain(flags).chain(command.iter().map(OsString::as_os_str));
    let no_command = || io::Error::new(io::ErrorKind::InvalidInput, "there is no command");
    let program = words.next().ok_or_else(no_command).map_err(step)?;
    let [input, output, error] = ends.standard(connections).map_err(step)?;
    let mut starting = Command::new(program);
    if is_transfer {
        for name in refused_variables() {
            starting.env_remove(name);
        }
    }
    starting.args(words).env(name, value).stdin(input).stdout(output).stderr(error).spawn().map_err(step)
}

/// The variables of this process that could make another program of a transfer's.
#[allow(clippy::disallowed_methods, reason = "they are not read, but withheld")]
fn refused_variables() -> impl Iterator<Item = OsString> {
    std::env::vars_os().map(|(name, _)| name).filter(|name| !Transfer::takes_variable(name))
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

/// Makes this process the leader of a new session, on the terminal among its standard descriptors if there is one,
/// then becomes `command`. `launch`: the number of the inherited descriptor on which the recorder is told of this
/// process, and lets it go on. Returns only if that fails: with 127 if there is no such command, 126 if it cannot be
/// run, as shells do.
pub fn run_as_session_leader(launch: Option<i32>, command: &[OsString], is_login_shell: bool) -> u8 {
    let (code, why) = match lead(launch) {
        Ok(()) => become_command(command, is_login_shell),
        Err(error) => (126, format!("cannot lead a session: {error}")),
    };
    // Standard error is recorded: the person and the recording both see the reason.
    let _ = writeln!(io::stderr(), "hansard-agent: {why}");
    code
}

fn lead(launch: Option<i32>) -> io::Result<()> {
    let mut recorder = launch.map(|number| inherited::take(number).map(UnixStream::from)).transpose()?;
    if let Some(recorder) = &mut recorder {
        // Until it leads a session of its own, this process has the person's own terminal as its controlling one: nobody may
        // make it open that. The command can be debugged again.
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
        ask(recorder, REPORT)?;
    }
    let terminal =
        [stdio::stdin(), stdio::stdout(), stdio::stderr()].into_iter().find(|fd| termios::isatty(*fd));
    rustix::process::setsid()?;
    if let Some(terminal) = terminal {
        rustix::process::ioctl_tiocsctty(terminal)?;
    }
    if let Some(recorder) = &mut recorder {
        ask(recorder, LEADS)?;
    }
    Ok(())
}

/// Says something to the recorder, and waits until this process may go on. The kernel tells the recorder who says it.
fn ask(recorder: &mut UnixStream, what: u8) -> io::Result<()> {
    let refused = || io::Error::other("the recorder does not let the command begin");
    recorder.write_all(&[what])?;
    let mut answer = [0];
    recorder.read_exact(&mut answer).map_err(|_| refused())?;
    if answer == [GO] { Ok(()) } else { Err(refused()) }
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
