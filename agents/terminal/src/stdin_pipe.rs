//! Passes a standard input that is neither a terminal nor read-only to the command through a pipe. It is not recorded.

use std::io;
use std::sync::Arc;

use agent_protocol::person::Input;
use rustix::event::PollFlags;
use rustix::fd::BorrowedFd;
use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::stdio;

use crate::descriptors::release;
use crate::gate::Gate;
use crate::stoppable::{Stop, StoppableThread};

/// Starts the thread. What the command does not read is not read here either, beyond the capacity of a pipe and
/// one window, because the recorder has no room for more.
pub(crate) fn start(to: Arc<Gate>) -> io::Result<StoppableThread> {
    let input = stdio::stdin();
    let socket =
        rustix::fs::fstat(input).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Socket);
    // If another process reads from it too, a read may wait; the session's end does not wait for that.
    StoppableThread::start("input", socket, move |stop| pass_on(&stop, input, socket, &to))
}

fn pass_on(stop: &Stop, input: BorrowedFd<'static>, socket: bool, to: &Gate) {
    let mut buffer = vec![0; Input::Input.window_bytes()];
    // Wait for room first, so that nothing is read that cannot be delivered.
    while stop.wait(to, PollFlags::IN, None) && stop.wait_unless_broken(&input, PollFlags::IN, to.broken()) {
        let most = to.room().min(buffer.len());
        let room = &mut buffer[..most];
        let read = if socket {
            rustix::net::recv(input, room, RecvFlags::DONTWAIT).map(|(read, _)| read)
        } else {
            rustix::io::read(input, room)
        };
        match read {
            Ok(0) => break,
            Ok(read) => {
                if to.send_all(stop, &buffer[..read]).is_err() {
                    break;
                }
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => break,
        }
    }
    // The command is informed that nothing more follows, and the writer that nobody reads.
    to.end();
    release(|null| stdio::dup2_stdin(null));
}
