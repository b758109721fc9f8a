//! Brings a spool to stable storage in the background.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};

use super::check_free_space;
use crate::spool_file::SpoolFile;

/// Half of the promised 500 ms; the other half is for the disk.
const SYNC_AFTER: Duration = Duration::from_millis(250);

/// The thread that brings records to stable storage.
pub(super) struct Syncer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<SyncState>,
    changed: Condvar,
    /// Readable as long as the state has a failure.
    failed: OwnedFd,
}

impl Shared {
    fn new() -> io::Result<Self> {
        let failed = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Shared { state: Mutex::default(), changed: Condvar::new(), failed })
    }

    /// INVARIANT: the failure and what is readable change under one lock. If a recovery came between them, this would be
    /// readable for ever without a failure.
    fn fail(&self, reason: String) {
        let mut state = lock(&self.state);
        state.failure = Some(reason);
        // The session checks for the failure when this is readable; if nobody does, the session is over.
        let _ = rustix::io::write(&self.failed, &1_u64.to_ne_bytes());
    }

    fn recover(&self) {
        let mut state = lock(&self.state);
        state.failure = None;
        // If it has not failed, there is nothing to read.
        let _ = rustix::io::read(&self.failed, &mut [0; 8]);
        self.changed.notify_one();
    }
}

#[derive(Default)]
struct SyncState {
    dirty: bool,
    stop: bool,
    failure: Option<String>,
}

impl Syncer {
    pub(super) fn start(spool: SpoolFile, least_free_bytes: u64) -> io::Result<Self> {
        let shared = Arc::new(Shared::new()?);
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new().name("sync".to_owned()).spawn(move || {
            while let Err(reason) = sync_until_stopped(&spool, least_free_bytes, &theirs) {
                theirs.fail(reason);
            }
        })?;
        Ok(Syncer { shared, thread: Some(thread) })
    }

    fn state(&self) -> MutexGuard<'_, SyncState> {
        lock(&self.shared.state)
    }

    pub(super) fn dirty(&self) {
        let mut state = self.state();
        if !state.dirty {
            state.dirty = true;
            self.shared.changed.notify_one();
        }
    }

    /// Readable when it has failed.
    pub(super) fn failure_fd(&self) -> BorrowedFd<'_> {
        self.shared.failed.as_fd()
    }

    /// Why it has failed, if it has.
    pub(super) fn failure(&self) -> Option<String> {
        self.state().failure.clone()
    }

    /// Begins anew after a failure.
    pub(super) fn recover(&self) {
        self.shared.recover();
    }

    pub(super) fn stop(&mut self) {
        self.state().stop = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // The panic was printed there.
            let _ = thread.join();
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn lock(state: &Mutex<SyncState>) -> MutexGuard<'_, SyncState> {
    // The state is three plain values, which a panic elsewhere leaves intact.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn sync_until_stopped(spool: &SpoolFile, least_free_bytes: u64, shared: &Shared) -> Result<(), String> {
    let mut state = lock(&shared.state);
    loop {
        while (!state.dirty || state.failure.is_some()) && !state.stop {
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        // Records that arrive in the meantime are synced together with the first one.
        let stopped = |state: &mut SyncState| !state.stop;
        state = shared
            .changed
            .wait_timeout_while(state, SYNC_AFTER, stopped)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
        if state.stop {
            return Ok(());
        }
        state.dirty = false;
        drop(state);
        spool.sync_data().map_err(|error| format!("the spool could not be synced: {error}"))?;
        check_free_space(spool, least_free_bytes)?;
        state = lock(&shared.state);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use rustix::event::{PollFd, PollFlags, Timespec};

    use super::*;

    /// How often two threads meet in the test below: before both were under one lock, some of these went wrong.
    const ROUNDS: usize = 20_000;

    /// The session waits for what is readable: without a failure it would look for one over and over.
    #[test]
    fn a_failure_is_readable_exactly_as_long_as_it_is_known() {
        let shared = Shared::new().unwrap();
        let together = Barrier::new(2);
        thread::scope(|threads| {
            threads.spawn(|| {
                for _ in 0..ROUNDS {
                    together.wait();
                    shared.fail("the disk is full".to_owned());
                    together.wait();
                }
            });
            let mut apart = 0;
            for _ in 0..ROUNDS {
                together.wait();
                shared.recover();
                together.wait();
                let mut fds = [PollFd::new(&shared.failed, PollFlags::IN)];
                let is_readable = rustix::event::poll(&mut fds, Some(&Timespec::default())).unwrap() == 1;
                apart += usize::from(is_readable != lock(&shared.state).failure.is_some());
                shared.recover();
            }
            assert_eq!(apart, 0, "of {ROUNDS}");
        });
    }
}
