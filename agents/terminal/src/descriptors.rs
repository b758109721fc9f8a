//! What the three standard descriptors of this process are, and how each of them is therefore connected to the command.
//!
//! A descriptor that was closed when this program began is `/dev/null` by now, because the standard library opens it.

use agent_protocol::recorder::{Connections, InputWay, OutputWay};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{FileType, OFlags, fcntl_getfl};
use rustix::stdio;
use rustix::termios::isatty;

/// How the descriptors of a command are to be connected that this process starts.
#[must_use]
pub fn connections_of_this_process() -> Connections {
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
    let somebody_reads = [has_reader(stdio::stdout()), has_reader(stdio::stderr())];
    Connections { input, output, error, together, somebody_reads }
}

/// Whether both lead to the same pipe, socket or file. A device does not count: the order does not matter when both go
/// to `/dev/null`.
fn same(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> bool {
    let (Ok(one), Ok(other)) = (rustix::fs::fstat(one), rustix::fs::fstat(other)) else { return false };
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
        && FileType::from_raw_mode(one.st_mode) != FileType::CharacterDevice
}

/// Whether it is a pipe or a socket, whose reader waits for the end of what is written.
fn has_reader(fd: impl AsFd) -> bool {
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
