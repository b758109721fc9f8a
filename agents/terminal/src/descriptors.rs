//! What the three standard descriptors of this process are, and how each of them is therefore connected to the command.
//!
//! A descriptor that was closed when this program began is `/dev/null` by now, because the standard library opens it.

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{FileType, OFlags, fcntl_getfl};
use rustix::stdio;
use rustix::termios::isatty;

/// How the command gets its standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InputWay {
    /// The keys that are typed, through the pseudo-terminal.
    Terminal,
    /// Inherited unchanged. A descriptor that can only be read from carries nothing that is recorded; so no process
    /// stands in between, reads ahead, or has to detect its end.
    Inherited,
    /// By a pipe: a descriptor that can also be written to (usually a socket) would be a way around the recording.
    Pipe,
}

/// How what the command prints reaches this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutputWay {
    /// By the pseudo-terminal.
    Terminal,
    /// By a pipe, byte for byte.
    Pipe,
}

/// The connections of all three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ways {
    pub(crate) input: InputWay,
    pub(crate) output: OutputWay,
    pub(crate) error: OutputWay,
    /// Standard output and standard error are the same (`2>&1`): one pipe for both keeps the order of what is written
    /// to them.
    pub(crate) together: bool,
}

impl Ways {
    /// The connections of this process's descriptors.
    pub(crate) fn of_this_process() -> Self {
        let input = if isatty(stdio::stdin()) {
            InputWay::Terminal
        } else if fcntl_getfl(stdio::stdin())
            .is_ok_and(|flags| flags.intersection(OFlags::ACCMODE) == OFlags::RDONLY)
        {
            InputWay::Inherited
        } else {
            InputWay::Pipe
        };
        let way = |fd| if isatty(fd) { OutputWay::Terminal } else { OutputWay::Pipe };
        let (output, error) = (way(stdio::stdout()), way(stdio::stderr()));
        let together =
            output == OutputWay::Pipe && error == OutputWay::Pipe && same(stdio::stdout(), stdio::stderr());
        Ways { input, output, error, together }
    }

    /// Whether all of them are terminals. If so, no other program of a pipeline uses the person's terminal.
    pub(crate) fn all_terminals(&self) -> bool {
        self.input == InputWay::Terminal && [self.output, self.error] == [OutputWay::Terminal; 2]
    }
}

/// Whether both lead to the same pipe, socket or file. A device does not count: the order does not matter when both go
/// to `/dev/null`.
fn same(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> bool {
    let (Ok(one), Ok(other)) = (rustix::fs::fstat(one), rustix::fs::fstat(other)) else { return false };
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
        && FileType::from_raw_mode(one.st_mode) != FileType::CharacterDevice
}

/// Whether it is a pipe or a socket, whose reader waits for the end of what is written.
pub(crate) fn has_reader(fd: impl AsFd) -> bool {
    rustix::fs::fstat(fd)
        .is_ok_and(|stat| matches!(FileType::from_raw_mode(stat.st_mode), FileType::Fifo | FileType::Socket))
}

/// Closes a standard descriptor, so that its other end notices. Something else must take its number.
pub(crate) fn release(replace: impl FnOnce(&std::fs::File) -> rustix::io::Result<()>) {
    // If this fails, the other end notices the end a little later, when this process ends.
    if let Ok(null) = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null") {
        let _ = replace(&null);
    }
}
