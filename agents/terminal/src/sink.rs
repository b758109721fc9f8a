//! The destination of output, which is written without waiting and without changing flags that others share.

use std::io;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::SendFlags;
use rustix::termios::isatty;

/// This much can be written without waiting to a pipe that has room at all.
const ALWAYS_FITS_BYTES: usize = 4096;

/// A standard descriptor to write to.
#[derive(Debug)]
pub(crate) struct Sink {
    shared: BorrowedFd<'static>,
    manner: Manner,
}

#[derive(Debug)]
enum Manner {
    /// A terminal or pipe, opened once more, because making the shared descriptor non-blocking would affect everybody
    /// who shares it.
    Reopened(Arc<OwnedFd>),
    /// A socket can be told in each call not to wait.
    Socket,
    /// A descriptor that cannot be opened again, usually because it belongs to another user, is written to in pieces
    /// when it has room.
    Pieces,
    /// A write to a file never waits.
    File,
}

impl Sink {
    /// A sink that writes to a standard descriptor.
    pub(crate) fn to(shared: BorrowedFd<'static>) -> Self {
        let kind = rustix::fs::fstat(shared).map(|stat| FileType::from_raw_mode(stat.st_mode));
        let manner = match kind {
            Ok(FileType::Socket) => Manner::Socket,
            Ok(FileType::Fifo) => reopened(shared),
            Ok(FileType::CharacterDevice) if isatty(shared) => reopened(shared),
            Ok(FileType::CharacterDevice) => Manner::Pieces,
            _ => Manner::File,
        };
        Sink { shared, manner }
    }

    /// A sink that writes to a standard descriptor that was opened once more.
    pub(crate) fn reopened_as(shared: BorrowedFd<'static>, own: Arc<OwnedFd>) -> Self {
        Sink { shared, manner: Manner::Reopened(own) }
    }

    /// Writes as much as there is room for now; 0 when there is none.
    pub(crate) fn write_some(&self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &self.manner {
            Manner::Reopened(fd) => rustix::io::write(fd, bytes),
            Manner::Socket => {
                rustix::net::send(self.shared, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)
            }
            Manner::Pieces if !has_room(self.shared) => Ok(0),
            Manner::Pieces => rustix::io::write(self.shared, &bytes[..bytes.len().min(ALWAYS_FITS_BYTES)]),
            Manner::File => rustix::io::write(self.shared, bytes),
        };
        match written {
            Ok(written) => Ok(written),
            // Somebody may have made the shared descriptor non-blocking, too.
            Err(Errno::INTR | Errno::AGAIN) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Sink {
    /// The descriptor to wait on for room.
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.manner {
            Manner::Reopened(fd) => fd.as_fd(),
            Manner::Socket | Manner::Pieces | Manner::File => self.shared,
        }
    }
}

fn reopened(shared: BorrowedFd<'static>) -> Manner {
    reopen(shared, OFlags::WRONLY).map_or(Manner::Pieces, |own| Manner::Reopened(Arc::new(own)))
}

/// Opens what a descriptor refers to once more, so that its flags are this process's own.
pub(crate) fn reopen(shared: BorrowedFd<'_>, access: OFlags) -> Option<OwnedFd> {
    let path = format!("/proc/self/fd/{}", shared.as_raw_fd());
    let flags = access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).ok()
}

fn has_room(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
    // The write will report any other problem.
    !matches!(poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(0))
}
