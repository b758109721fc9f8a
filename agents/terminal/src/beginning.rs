//! How the recorder comes to know the process that becomes the command: that process reports itself between fork and
//! exec, and the kernel says which process it is that speaks. It goes on only when the recorder has checked it.

use std::io::{self, IoSliceMut, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use agent_protocol::capture::CaptureError;
use agent_protocol::processes::{self, ProcessFacts};
use agent_protocol::recorder::{CommandNote, TerminalIdentity};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use rustix::event::{PollFd, PollFlags};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::launch::{GO, LEADS, REPORT};

/// How long a person's side may take to start the command.
const BEGINS_WITHIN: Duration = Duration::from_secs(60);

/// The process that is, or becomes, the command.
#[derive(Debug)]
pub(crate) struct CommandProcess {
    pub(crate) note: CommandNote,
    pub(crate) pid: Pid,
    /// Readable when it has ended.
    pub(crate) pidfd: OwnedFd,
}

/// What the recorder expects of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected {
    /// The person: its effective user.
    pub(crate) user_id: u32,
    /// The terminal that it must have as its controlling terminal, if there is one.
    pub(crate) terminal: Option<TerminalIdentity>,
}

/// The wait for the command to begin.
pub(crate) struct Beginning {
    launch: UnixStream,
    expected: Expected,
    reported: Option<CommandProcess>,
    deadline: Instant,
    /// Nothing more is said.
    closed: bool,
}

/// How far it is.
pub(crate) enum Begun {
    /// Not yet.
    Waits,
    /// This process reported itself, and waits for the answer.
    Reported,
    /// The command runs.
    Runs(CommandProcess),
}

impl Beginning {
    /// Also gives the end of the socket that the launcher inherits.
    pub(crate) fn new(expected: Expected) -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        // From here on the kernel attaches to each message who sent it.
        setsockopt(&ours, sockopt::PassCred, &true)?;
        let deadline = Instant::now() + BEGINS_WITHIN;
        Ok((Beginning { launch: ours, expected, reported: None, deadline, closed: false }, theirs.into()))
    }

    /// What to wait for. An end would be ready for ever.
    pub(crate) fn interest(&self) -> Option<PollFd<'_>> {
        (!self.closed).then(|| PollFd::new(&self.launch, PollFlags::IN))
    }

    pub(crate) fn until_deadline(&self, now: Instant) -> Duration {
        self.deadline.saturating_duration_since(now)
    }

    /// What there is to know of the process that reported itself.
    pub(crate) fn reported(&self) -> Option<&CommandProcess> {
        self.reported.as_ref()
    }

    /// Takes what the launcher says.
    pub(crate) fn advance(&mut self) -> Result<Begun, CaptureError> {
        let refuse =
            |why: &str| CaptureError::BrokenOff { reason: format!("the command cannot begin: {why}") };
        let failed = |error: io::Error| refuse(&error.to_string());
        if self.deadline <= Instant::now() {
            return Err(refuse("nobody reported it in time"));
        }
        let Some((said, sender)) = self.hear().map_err(failed)? else { return Ok(Begun::Waits) };
        match (said, &self.reported) {
            (REPORT, None) => {
                let process = self.check_report(sender).map_err(failed)?;
                self.reported = Some(process);
                Ok(Begun::Reported)
            }
            (LEADS, Some(process)) if process.pid.as_raw_nonzero().get() == sender => {
                self.check_leader(process).map_err(failed)?;
                self.answer().map_err(failed)?;
                self.reported.take().map(Begun::Runs).ok_or_else(|| refuse("nobody reported it"))
            }
            _ => Err(refuse("its launcher said something that is not expected")),
        }
    }

    /// Lets the process go on.
    pub(crate) fn answer(&mut self) -> io::Result<()> {
        self.launch.write_all(&[GO])
    }

    /// One byte, and the process that sent it as the kernel says. An end is no news here: the person's side says how the
    /// process ended.
    fn hear(&mut self) -> io::Result<Option<(u8, i32)>> {
        let mut byte = [0];
        let mut slices = [IoSliceMut::new(&mut byte)];
        // There is no room for descriptors: the kernel closes any that are sent.
        let mut space = nix::cmsg_space!(nix::sys::socket::UnixCredentials);
        let received =
            recvmsg::<()>(self.launch.as_raw_fd(), &mut slices, Some(&mut space), MsgFlags::MSG_DONTWAIT);
        let (bytes, sender) = match received {
            Ok(received) => {
                let sender = received.cmsgs()?.find_map(|message| match message {
                    ControlMessageOwned::ScmCredentials(credentials) => Some(credentials.pid()),
                    _ => None,
                });
                (received.bytes, sender)
            }
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        match (bytes, sender) {
            (0, _) => {
                self.closed = true;
                Ok(None)
            }
            (_, Some(sender)) if sender > 0 => Ok(Some((byte[0], sender))),
            _ => Err(io::Error::other("it runs in a PID namespace that the recorder cannot see")),
        }
    }

    fn check_report(&self, process_id: i32) -> io::Result<CommandProcess> {
        let ended = || io::Error::new(io::ErrorKind::NotFound, "its process has ended");
        let pid = Pid::from_raw(process_id).ok_or_else(ended)?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        let facts = ProcessFacts::find(process_id)?.ok_or_else(ended)?;
        self.check_user(process_id)?;
        let terminal = self.expected.terminal;
        let note = CommandNote { process_id, start_ticks: facts.start_ticks, terminal };
        Ok(CommandProcess { note, pid, pidfd })
    }

    fn check_leader(&self, process: &CommandProcess) -> io::Result<()> {
        let process_id = process.note.process_id;
        let ended = || io::Error::new(io::ErrorKind::NotFound, "its process has ended");
        let facts = ProcessFacts::find(process_id)?.ok_or_else(ended)?;
        self.check_user(process_id)?;
        if facts.start_ticks != process.note.start_ticks || facts.session != process_id {
            return Err(io::Error::other("its process does not lead a session"));
        }
        match self.expected.terminal {
            Some(terminal) if facts.terminal != terminal.device => {
                Err(io::Error::other("its controlling terminal is not the one that is recorded"))
            }
            _ => Ok(()),
        }
    }

    fn check_user(&self, process_id: i32) -> io::Result<()> {
        match processes::effective_user(process_id)? {
            Some(user_id) if user_id == self.expected.user_id => Ok(()),
            Some(user_id) => Err(io::Error::other(format!(
                "its process is of user {user_id}, and the session of user {}",
                self.expected.user_id
            ))),
            None => Err(io::Error::new(io::ErrorKind::NotFound, "its process has ended")),
        }
    }
}
