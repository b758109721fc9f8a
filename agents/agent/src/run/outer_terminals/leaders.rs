//! Waits for the ends of the clients that lead the sessions of terminals that are taken.
//!
//! They are the persons' processes, and there may be as many as those can have. So one thread waits for all of them, and it is
//! there only as long as there is one. If it cannot be made, or a process cannot be looked at, the terminals stay taken: who
//! made the agent run out of something must not have the window for it.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;

use super::{OuterTerminals, Taken};
use crate::run::recorder_process::{RecorderNote, RecorderProcess};

/// How often those are looked at whose end nothing announces.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Of as many the end is announced. Others need descriptors as well.
const MOST_DESCRIPTORS: usize = 512;

/// The thread that waits.
pub(super) struct Watch {
    /// Rings for it, as long as it runs. It is set and taken while what is taken is locked.
    bell: Mutex<Option<Arc<OwnedFd>>>,
    start: fn(&Arc<OuterTerminals>) -> io::Result<Arc<OwnedFd>>,
}

impl Default for Watch {
    fn default() -> Self {
        Watch { bell: Mutex::default(), start }
    }
}

impl Watch {
    /// Of a system that has no thread left.
    #[cfg(test)]
    pub(super) fn never_starts() -> Self {
        Watch { start: |_| Err(Errno::AGAIN.into()), ..Watch::default() }
    }

    fn bell(&self) -> MutexGuard<'_, Option<Arc<OwnedFd>>> {
        self.bell.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OuterTerminals {
    /// Sees to it that somebody waits for the leaders. If nobody can, they are looked at once, now.
    pub(super) fn watch_leaders(self: &Arc<Self>, taken: &mut [Taken]) {
        let noted = notes(taken);
        if noted.is_empty() {
            return;
        }
        let mut bell = self.watch.bell();
        if let Some(bell) = &*bell {
            // It fails only if it was rung almost 2^64 times in vain.
            let _ = rustix::io::write(bell, &1_u64.to_ne_bytes());
            return;
        }
        match (self.watch.start)(self) {
            Ok(new) => *bell = Some(new),
            Err(error) => {
                tracing::warn!("the end of a client cannot be waited for now: {error}");
                forget(taken, &ended(&noted, &mut HashMap::new()));
            }
        }
    }

    fn wait_for_leaders(&self, bell: &OwnedFd) {
        let mut known = HashMap::new();
        loop {
            let noted = {
                let taken = self.lock();
                let noted = notes(&taken);
                if noted.is_empty() {
                    *self.watch.bell() = None;
                    return;
                }
                noted
            };
            let ended = ended(&noted, &mut known);
            if !ended.is_empty() {
                let mut taken = self.lock();
                forget(&mut taken, &ended);
                self.give_back_unneeded(&mut taken);
                continue;
            }
            wait(bell, &known, noted.len());
        }
    }
}

fn start(terminals: &Arc<OuterTerminals>) -> io::Result<Arc<OwnedFd>> {
    let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
    let (terminals, rung) = (Arc::clone(terminals), Arc::clone(&bell));
    thread::Builder::new()
        .name("outer-terminals".to_owned())
        .spawn(move || terminals.wait_for_leaders(&rung))?;
    Ok(bell)
}

fn notes(taken: &[Taken]) -> HashSet<RecorderNote> {
    taken.iter().flat_map(|terminal| &terminal.leaders).cloned().collect()
}

fn forget(taken: &mut [Taken], ended: &HashSet<RecorderNote>) {
    for terminal in taken {
        terminal.leaders.retain(|leader| !ended.contains(leader));
    }
}

/// Which of them have ended. The others are known from now on; one that cannot be looked at has not ended.
fn ended(
    noted: &HashSet<RecorderNote>,
    known: &mut HashMap<RecorderNote, RecorderProcess>,
) -> HashSet<RecorderNote> {
    known.retain(|note, _| noted.contains(note));
    let mut descriptors = known.values().filter(|process| process.pidfd().is_some()).count();
    let mut ended = HashSet::new();
    for note in noted {
        if let Some(process) = known.get(note) {
            if process.lives().is_ok_and(|lives| !lives) {
                ended.insert(note.clone());
            }
            continue;
        }
        match RecorderProcess::find(note) {
            Ok(Some(process)) => {
                let process =
                    if descriptors < MOST_DESCRIPTORS { process } else { process.without_descriptor() };
                descriptors += usize::from(process.pidfd().is_some());
                known.insert(note.clone(), process);
            }
            Ok(None) => {
                ended.insert(note.clone());
            }
            Err(_) => {}
        }
    }
    ended
}

/// Waits until the bell rings, or one of them ends, or for a moment if that would not be announced of each.
fn wait(bell: &OwnedFd, known: &HashMap<RecorderNote, RecorderProcess>, noted: usize) {
    let mut fds = vec![PollFd::new(bell, PollFlags::IN)];
    fds.extend(known.values().filter_map(RecorderProcess::pidfd).map(|end| PollFd::new(end, PollFlags::IN)));
    let look_every = Timespec::try_from(LOOK_EVERY).ok();
    let timeout = if fds.len() == noted + 1 { None } else { look_every.as_ref() };
    match poll(&mut fds, timeout) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(_) => thread::sleep(LOOK_EVERY),
    }
    let _ = rustix::io::read(bell, &mut [0; 8]);
}
