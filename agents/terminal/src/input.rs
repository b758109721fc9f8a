//! What the person types goes to the command on a thread of its own, so that Ctrl-C arrives even while output waits for a slow
//! terminal.

use std::io;
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::termios::{self, SpecialCodeIndex};

const READ_BYTES: usize = 4096;
const FIRST_EOF_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_EOF_PAUSE: Duration = Duration::from_secs(2);
/// Ctrl-D, where the terminal names no other key.
const END_OF_TRANSMISSION: u8 = 4;

/// The thread; it ends when this is dropped.
pub(crate) struct InputThread {
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl InputThread {
    pub(crate) fn start(input: OwnedFd, master: OwnedFd) -> io::Result<Self> {
        let (stop, stopped) = UnixStream::pair()?;
        let thread = thread::Builder::new()
            .name("input".to_owned())
            .spawn(move || Input { input, master, stopped, at_line_start: true }.run())?;
        Ok(InputThread { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for InputThread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed; the session's end is the same.
            let _ = thread.join();
        }
    }
}

struct Input {
    input: OwnedFd,
    master: OwnedFd,
    stopped: UnixStream,
    at_line_start: bool,
}

/// Why the thread ends.
enum End {
    Stopped,
    CommandGone,
    InputEnded,
}

impl Input {
    fn run(mut self) {
        if matches!(self.pass_on(), End::InputEnded) && termios::tcgetattr(&self.input).is_err() {
            // A terminal that ends has hung up, and SIGHUP follows. A pipe that ends is said to the command.
            self.say_end_of_input();
        }
    }

    fn pass_on(&mut self) -> End {
        let mut buffer = [0; READ_BYTES];
        loop {
            if !self.wait(&self.input, PollFlags::IN, None) {
                return End::Stopped;
            }
            match rustix::io::read(&self.input, &mut buffer) {
                Ok(0) => return End::InputEnded,
                Ok(read) => {
                    self.at_line_start = buffer[read - 1] == b'\n';
                    if let Err(end) = self.write(&buffer[..read]) {
                        return end;
                    }
                }
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(_) => return End::InputEnded,
            }
        }
    }

    fn write(&self, mut bytes: &[u8]) -> Result<(), End> {
        while !bytes.is_empty() {
            match rustix::io::write(&self.master, bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    if !self.wait(&self.master, PollFlags::OUT, None) {
                        return Err(End::Stopped);
                    }
                }
                Err(_) => return Err(End::CommandGone),
            }
        }
        Ok(())
    }

    /// A terminal has no end of file, only a key for it, which one reader takes. The key is pressed again and again, more and more
    /// slowly, because each program that reads, a shell after its child, must learn that nothing more will come.
    fn say_end_of_input(&self) {
        let key = termios::tcgetattr(&self.master)
            .map(|settings| settings.special_codes[SpecialCodeIndex::VEOF])
            .unwrap_or(END_OF_TRANSMISSION);
        // The first only ends an unfinished line.
        if !self.at_line_start && self.write(&[key]).is_err() {
            return;
        }
        let mut pause = FIRST_EOF_PAUSE;
        loop {
            match rustix::io::write(&self.master, &[key]) {
                Ok(_) | Err(Errno::INTR | Errno::AGAIN) => {}
                Err(_) => return,
            }
            if self.is_stopped_within(pause) {
                return;
            }
            pause = (pause * 2).min(LONGEST_EOF_PAUSE);
        }
    }

    /// Waits until the descriptor is ready. False: the thread is to stop.
    fn wait(&self, ready: &impl AsFd, flags: PollFlags, timeout: Option<&Timespec>) -> bool {
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

    fn is_stopped_within(&self, pause: Duration) -> bool {
        let timeout =
            Timespec { tv_sec: pause.as_secs().cast_signed(), tv_nsec: pause.subsec_nanos().into() };
        let mut fds = [PollFd::new(&self.stopped, PollFlags::IN)];
        // Any answer but "nothing happened" ends the thread.
        !matches!(poll(&mut fds, Some(&timeout)), Ok(0) | Err(Errno::INTR))
    }
}
