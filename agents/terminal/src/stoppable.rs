//! A thread that waits for descriptors and ends when it is told to.

use std::io;
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use rustix::io::Errno;

use crate::timespec;

/// The thread; it is told to end when this is dropped.
pub(crate) struct StoppableThread {
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl StoppableThread {
    /// Starts it. `joined`: dropping this value waits for its end.
    pub(crate) fn start(
        name: &str,
        joined: bool,
        run: impl FnOnce(Stop) + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = UnixStream::pair()?;
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || run(Stop { stopped }))?;
        Ok(StoppableThread { stop: Some(stop), thread: joined.then_some(thread) })
    }
}

impl Drop for StoppableThread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed; the session ends the same way.
            let _ = thread.join();
        }
    }
}

/// The thread's side.
pub(crate) struct Stop {
    stopped: UnixStream,
}

/// The thread has to end.
#[derive(Debug)]
pub(crate) struct Stopped;

impl Stop {
    /// Waits until the descriptor is ready. False: the thread is to stop, or the descriptor cannot be waited for.
    pub(crate) fn wait(&self, ready: &impl AsFd, flags: PollFlags, timeout: Option<&Timespec>) -> bool {
        loop {
            let mut fds = [PollFd::new(ready, flags), PollFd::new(&self.stopped, PollFlags::IN)];
            match poll(&mut fds, timeout) {
                Ok(_) => {
                    let [ready, stopped] = fds;
                    if !stopped.revents().is_empty() {
                        return false;
                    }
                    if !ready.revents().is_empty() {
                        return true;
                    }
                }
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }

    /// The same, but also false if there is no process at the other end of a pipe any more.
    pub(crate) fn wait_unless_broken(&self, ready: &impl AsFd, flags: PollFlags, pipe: &impl AsFd) -> bool {
        loop {
            let mut fds = [
                PollFd::new(ready, flags),
                PollFd::new(pipe, PollFlags::empty()),
                PollFd::new(&self.stopped, PollFlags::IN),
            ];
            match poll(&mut fds, None) {
                Ok(_) => {
                    let [ready, pipe, stopped] = fds.map(|fd| !fd.revents().is_empty());
                    if pipe || stopped {
                        return false;
                    }
                    if ready {
                        return true;
                    }
                }
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }

    /// Whether it is ready now.
    pub(crate) fn is_ready(&self, ready: &impl AsFd, flags: PollFlags) -> bool {
        let mut fds = [PollFd::new(ready, flags)];
        matches!(poll(&mut fds, Some(&timespec(Duration::ZERO))), Ok(1..))
    }

    /// Waits for this time.
    pub(crate) fn pause(&self, pause: Duration) -> Result<(), Stopped> {
        let mut fds = [PollFd::new(&self.stopped, PollFlags::IN)];
        // Any result other than "nothing happened" ends the thread.
        match poll(&mut fds, Some(&timespec(pause))) {
            Ok(0) | Err(Errno::INTR) => Ok(()),
            _ => Err(Stopped),
        }
    }
}
