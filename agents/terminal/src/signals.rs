//! Signals as a descriptor to poll.

use std::io;
use std::os::unix::net::UnixStream;

use agent_protocol::signals;
use nix::sys::signal::SigSet;
use rustix::fd::{AsFd, BorrowedFd};
use signal_hook::consts::{SIGCHLD, SIGCONT, SIGTSTP, SIGWINCH};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;

/// The signals that a session handles. As long as this value exists, none of them ends the process.
pub(crate) struct Signals {
    delivery: SignalDelivery<UnixStream, SignalOnly>,
}

impl Signals {
    /// Signals that were ignored when this process began stay ignored: `nohup` and shells without job control rely on
    /// it.
    pub(crate) fn register() -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        let asked = [SIGWINCH, SIGCONT, SIGTSTP].into_iter().chain(signals::ending());
        let asked: Vec<i32> = asked.filter(|signal| !signals::ignored(*signal)).collect();
        // The process that started this one may have blocked some signals. Then this process would not even notice
        // that the command has ended. The command begins with none blocked in any case.
        SigSet::all().thread_unblock()?;
        let delivery = SignalDelivery::with_pipe(read, write, SignalOnly, [SIGCHLD])?;
        for signal in asked {
            match delivery.handle().add_signal(signal) {
                Ok(()) => {}
                // The C library reserves the first real-time signals for itself.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Signals { delivery })
    }

    /// Readable when a signal has come.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.delivery.get_read().as_fd()
    }

    /// The signals that came since the last call.
    pub(crate) fn take(&mut self) -> Vec<i32> {
        self.delivery.pending().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raised_signal_is_taken_once() {
        let mut signals = Signals::register().unwrap();
        signal_hook::low_level::raise(SIGWINCH).unwrap();
        let mut fds =
            [rustix::event::PollFd::from_borrowed_fd(signals.as_fd(), rustix::event::PollFlags::IN)];
        assert_eq!(rustix::event::poll(&mut fds, None).unwrap(), 1);
        assert!(signals.take().contains(&SIGWINCH));
        assert!(!signals.take().contains(&SIGWINCH));
    }

    #[test]
    fn real_time_signals_and_those_that_nobody_thinks_of_are_handled() {
        let mut signals = Signals::register().unwrap();
        for signal in [signal_hook::consts::SIGALRM, signal_hook::consts::SIGIO, 16, 34, 64] {
            signal_hook::low_level::raise(signal).unwrap();
            assert!(signals.take().contains(&signal), "{signal}");
        }
    }
}
