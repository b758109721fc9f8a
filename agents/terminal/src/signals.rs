//! Signals as something to poll for.

use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fd::{AsFd, BorrowedFd};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH, SIGXFSZ};
use signal_hook::low_level::{pipe, unregister};
use signal_hook::{SigId, flag};

/// The signals that a session handles. While this lives, none of them ends the process.
pub(crate) struct Signals {
    wake: UnixStream,
    flags: Vec<(i32, Arc<AtomicBool>)>,
    registered: Vec<SigId>,
}

impl Signals {
    pub(crate) fn register() -> io::Result<Self> {
        let (wake, wakes) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        wakes.set_nonblocking(true)?;
        let mut signals = Signals { wake, flags: Vec::new(), registered: Vec::new() };
        // SIGXFSZ too: a file size limit must fail the write, which ends the session in order, not kill the recorder.
        for signal in [SIGCHLD, SIGWINCH, SIGHUP, SIGTERM, SIGINT, SIGQUIT, SIGXFSZ] {
            let raised = Arc::new(AtomicBool::new(false));
            // The flag first: whoever is woken by the pipe must find it set.
            signals.registered.push(flag::register(signal, Arc::clone(&raised))?);
            signals.registered.push(pipe::register(signal, wakes.try_clone()?)?);
            signals.flags.push((signal, raised));
        }
        Ok(signals)
    }

    /// Readable when a signal has come.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// The signals that came since the last call.
    pub(crate) fn take(&self) -> Vec<i32> {
        let mut buffer = [0; 64];
        while matches!((&self.wake).read(&mut buffer), Ok(read) if read > 0) {}
        self.flags
            .iter()
            .filter(|(_, raised)| raised.swap(false, Ordering::SeqCst))
            .map(|(signal, _)| *signal)
            .collect()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for id in self.registered.drain(..) {
            unregister(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raised_signal_is_taken_once() {
        let signals = Signals::register().unwrap();
        signal_hook::low_level::raise(SIGWINCH).unwrap();
        let mut fds =
            [rustix::event::PollFd::from_borrowed_fd(signals.as_fd(), rustix::event::PollFlags::IN)];
        assert_eq!(rustix::event::poll(&mut fds, None).unwrap(), 1);
        assert!(signals.take().contains(&SIGWINCH));
        assert!(!signals.take().contains(&SIGWINCH));
    }
}
