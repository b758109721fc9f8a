//! Sends what the person types to the recorder, and through it to the command, on a separate thread, so that Ctrl-C
//! arrives even while output waits for a slow terminal.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::io::Errno;

use crate::gate::{Gate, NotWritten};
use crate::person::{Keys, PersonTerminal};
use crate::stoppable::{Stop, StoppableThread, Stopped};

const READ_BYTES: usize = 4096;
/// How often a process in the background checks whether it is in the foreground again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// How long keys are left to other programs that may want them.
const OTHERS_FIRST: Duration = Duration::from_millis(100);

/// Starts the thread. `shared`: other programs use the terminal too, usually those of a pipeline. It then stays as it
/// is until the command wants keys, and what another program reads belongs to that program.
pub(crate) fn start(person: PersonTerminal, to: Arc<Gate>, shared: bool) -> io::Result<StoppableThread> {
    let keys = person.keys()?;
    // A read that waits cannot be told to stop; in that case the thread ends with the process.
    let waits_for_it = keys.never_waits;
    StoppableThread::start("keys", waits_for_it, move |stop| {
        let _ = pass_on(&stop, &person, &keys, &to, shared);
    })
}

/// The thread ends: it was told to, or the command or the terminal is gone.
struct End;

fn pass_on(stop: &Stop, person: &PersonTerminal, keys: &Keys, to: &Gate, shared: bool) -> Result<(), End> {
    let mut buffer = [0; READ_BYTES];
    loop {
        if !stop.wait(keys, PollFlags::IN, None) {
            return Err(End);
        }
        // A read from the background would stop this process.
        if !person.in_foreground() {
            stop.pause(LOOK_AGAIN)?;
            continue;
        }
        let raw = person.is_raw();
        if !raw {
            // The process is between a stop and its continuation, or other programs use the terminal too.
            stop.pause(OTHERS_FIRST)?;
            if person.is_raw() || !shared || !stop.is_ready(keys, PollFlags::IN) || !person.in_foreground() {
                continue;
            }
        }
        match rustix::io::read(keys, &mut buffer) {
            // A raw terminal that reads 0 bytes has hung up, and SIGHUP follows; in line mode it may be the end key.
            Ok(0) if raw || person.settings().is_err() => return Err(End),
            Ok(0) => to.end(),
            Ok(read) => {
                to.send_all(stop, &buffer[..read])?;
                if !raw {
                    // The command is reading the keys. From now on every key is for the command.
                    let _ = person.make_raw();
                }
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => return Err(End),
        }
    }
}

impl From<Stopped> for End {
    fn from(_: Stopped) -> Self {
        End
    }
}

impl From<NotWritten> for End {
    fn from(_: NotWritten) -> Self {
        End
    }
}
