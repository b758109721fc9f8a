//! The process that records a session, and whether it still lives. No lock on the spool could tell: whoever has a copy of its
//! descriptor can release such a lock, or keep it held.

use std::fs::{self, File};
use std::io;

use agent_protocol::processes::ProcessFacts;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

/// What a later start of the agent finds the process again by. A process id alone may be another process's by then.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RecorderNote {
    process_id: i32,
    /// When it started, in clock ticks since the machine did.
    start_ticks: u64,
    /// Which start of the machine that was.
    boot_id: String,
}

impl RecorderNote {
    /// Whether the machine has not been started again since: only then do its clock and process ids mean anything.
    pub(super) fn is_of_this_boot(&self) -> io::Result<bool> {
        Ok(self.boot_id == boot_id()?)
    }
}

/// A process that was alive when it was looked for.
#[derive(Debug)]
pub(super) struct RecorderProcess {
    note: RecorderNote,
    /// Readable when the process has ended. Without one (an old kernel, or no descriptor left) the process is looked up each time.
    pidfd: Option<OwnedFd>,
}

impl RecorderProcess {
    /// A process of this number.
    pub(super) fn of(process_id: i32) -> io::Result<RecorderProcess> {
        let ended = || io::Error::new(io::ErrorKind::NotFound, "it has ended");
        let pidfd = open_pidfd(process_id)?;
        let start_ticks = find_start_ticks(process_id)?.ok_or_else(ended)?;
        let note = RecorderNote { process_id, start_ticks, boot_id: boot_id()? };
        let process = RecorderProcess { note, pidfd };
        // Asked last: as long as it lives, its number is no other's, so that the start time is its own.
        if process.lives()? { Ok(process) } else { Err(ended()) }
    }

    /// What finds it again.
    pub(super) fn note(&self) -> &RecorderNote {
        &self.note
    }

    /// Readable when it has ended, where the system has such descriptors.
    pub(super) fn pidfd(&self) -> Option<&OwnedFd> {
        self.pidfd.as_ref()
    }

    /// Finds a process again; `None` when it has ended.
    pub(super) fn find(note: &RecorderNote) -> io::Result<Option<RecorderProcess>> {
        if !note.is_of_this_boot()? {
            return Ok(None);
        }
        let pidfd = match open_pidfd(note.process_id) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            pidfd => pidfd?,
        };
        // After the descriptor was opened: if the number is another process's by now, the start time says so.
        if find_start_ticks(note.process_id)? != Some(note.start_ticks) {
            return Ok(None);
        }
        Ok(Some(RecorderProcess { note: note.clone(), pidfd }))
    }

    /// The same process, looked up each time.
    pub(super) fn without_descriptor(self) -> RecorderProcess {
        RecorderProcess { pidfd: None, ..self }
    }

    /// Whether it has not ended yet. One that nobody has waited for has ended.
    pub(super) fn lives(&self) -> io::Result<bool> {
        let Some(pidfd) = &self.pidfd else {
            return Ok(find_start_ticks(self.note.process_id)? == Some(self.note.start_ticks));
        };
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
        loop {
            match poll(&mut fds, Some(&at_once)) {
                Ok(ready) => return Ok(ready == 0),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The recorder of a session that is followed.
#[derive(Debug)]
pub(super) enum Recorder {
    /// It was alive when the session was taken up.
    Process(RecorderProcess),
    /// It had ended by then.
    Ended,
    /// The session was begun by an earlier version of the agent, which noted no process: its lock has to say.
    Lock,
}

impl Recorder {
    /// The recorder that a session's note names.
    pub(super) fn find(note: Option<&RecorderNote>) -> io::Result<Recorder> {
        let Some(note) = note else { return Ok(Recorder::Lock) };
        Ok(RecorderProcess::find(note)?.map_or(Recorder::Ended, Recorder::Process))
    }

    /// Readable when it has ended, if that can be waited for.
    pub(super) fn pidfd(&self) -> Option<&OwnedFd> {
        match self {
            Recorder::Process(process) => process.pidfd(),
            Recorder::Ended | Recorder::Lock => None,
        }
    }

    /// Whether it may still write.
    pub(super) fn lives(&self, spool: &File) -> io::Result<bool> {
        match self {
            Recorder::Process(process) => process.lives(),
            Recorder::Ended => Ok(false),
            Recorder::Lock => match rustix::fs::flock(spool, FlockOperation::NonBlockingLockShared) {
                Ok(()) => {
                    rustix::fs::flock(spool, FlockOperation::Unlock)?;
                    Ok(false)
                }
                Err(Errno::WOULDBLOCK) => Ok(true),
                Err(error) => Err(error.into()),
            },
        }
    }
}

/// A descriptor of a process; `None` where there can be none, and the error `NotFound` when there is no such process.
fn open_pidfd(process_id: i32) -> io::Result<Option<OwnedFd>> {
    let Some(pid) = Pid::from_raw(process_id) else { return Err(io::ErrorKind::NotFound.into()) };
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => Ok(Some(pidfd)),
        Err(Errno::SRCH) => Err(io::ErrorKind::NotFound.into()),
        Err(Errno::NOSYS | Errno::PERM | Errno::MFILE | Errno::NFILE) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// When a process started; `None` when it has ended.
fn find_start_ticks(process_id: i32) -> io::Result<Option<u64>> {
    Ok(ProcessFacts::find(process_id)?.map(|facts| facts.start_ticks))
}

/// What tells this start of the machine from every other.
pub(super) fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    fn note_of(child: &Child) -> RecorderNote {
        let process_id = i32::try_from(child.id()).unwrap();
        let start_ticks = find_start_ticks(process_id).unwrap().unwrap();
        RecorderNote { process_id, start_ticks, boot_id: boot_id().unwrap() }
    }

    fn sleeper() -> Child {
        Command::new("sleep").arg("1000").spawn().unwrap()
    }

    #[test]
    fn this_process_is_found_again() {
        let process = RecorderProcess::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert_eq!(process.note.process_id, i32::try_from(std::process::id()).unwrap());
        assert!(process.lives().unwrap());
        assert!(RecorderProcess::find(&process.note).unwrap().unwrap().lives().unwrap());
    }

    #[test]
    fn a_process_that_ended_is_known_although_nobody_waited_for_it() {
        let mut child = sleeper();
        let note = note_of(&child);
        let found = RecorderProcess::find(&note).unwrap().unwrap();
        let looked_up = RecorderProcess { note: note.clone(), pidfd: None };
        assert!(found.lives().unwrap() && looked_up.lives().unwrap());
        child.kill().unwrap();
        let mut fds = [PollFd::new(found.pidfd.as_ref().unwrap(), PollFlags::IN)];
        assert_eq!(poll(&mut fds, None).unwrap(), 1);
        // It is a zombie now.
        assert!(!found.lives().unwrap() && !looked_up.lives().unwrap());
        assert!(RecorderProcess::find(&note).unwrap().is_none());
        child.wait().unwrap();
        assert!(!found.lives().unwrap() && !looked_up.lives().unwrap());
        assert!(RecorderProcess::find(&note).unwrap().is_none());
    }

    #[test]
    fn another_process_with_the_same_number_is_not_it() {
        let mut child = sleeper();
        let note = note_of(&child);
        let earlier = RecorderNote { start_ticks: note.start_ticks - 1, ..note.clone() };
        assert!(RecorderProcess::find(&earlier).unwrap().is_none());
        assert!(!RecorderProcess { note: earlier, pidfd: None }.lives().unwrap());
        let before_reboot = RecorderNote { boot_id: "another".to_owned(), ..note.clone() };
        assert!(RecorderProcess::find(&before_reboot).unwrap().is_none());
        assert!(RecorderProcess::find(&note).unwrap().is_some());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
