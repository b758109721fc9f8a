//! Waiting for an agent that is starting: after a boot, people can log in before it listens.

use std::io;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::backoff::Backoff;
use crate::identity::Identity;
use crate::state_directory::StateDirectory;
use crate::{complain, local_socket};

const FIRST_LOOK_AFTER: Duration = Duration::from_millis(20);
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_millis(250);
/// A person who waits longer than this is told for what.
const TELL_AFTER: Duration = Duration::from_secs(1);

/// Connects to the agent, and waits this long for one that is starting; `None` when none is running even then, or none is
/// to be expected.
pub(crate) fn connect(directory: &StateDirectory, patience: Duration) -> io::Result<Option<UnixStream>> {
    let begun = Instant::now();
    let mut wait = Backoff::between(FIRST_LOOK_AFTER, LOOK_AT_LEAST_EVERY);
    let mut told = false;
    loop {
        if let Some(stream) = local_socket::connect(directory)? {
            return Ok(Some(stream));
        }
        if !is_expected(directory) {
            return Ok(None);
        }
        let waited = begun.elapsed();
        if waited >= TELL_AFTER && !std::mem::replace(&mut told, true) {
            complain(&format!("no agent answers yet; waiting up to {patience:?} for one that is starting"));
        }
        let left = patience.saturating_sub(waited);
        if left.is_zero() {
            return Ok(None);
        }
        let until_told = if told { left } else { TELL_AFTER.saturating_sub(waited) };
        std::thread::sleep(wait.next_evenly().min(left).min(until_told));
    }
}

/// Whether an agent belongs here whose answer makes a difference: none can start where none is enrolled, and none is needed where
/// recording is known to be off.
fn is_expected(directory: &StateDirectory) -> bool {
    let Ok(identity) = Identity::get(directory) else { return false };
    !matches!(identity.stored_configuration(directory), Ok(Some(known)) if known.recording.is_none())
}
