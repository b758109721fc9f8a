//! What wakes the cutter: orders, spools that were written to, and recorders that ended. While nothing happens in any
//! session, nothing looks for anything.

use std::io;
use std::mem::MaybeUninit;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fd::OwnedFd;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

/// Rings for the cutter's thread.
#[derive(Debug, Clone)]
pub(super) struct Bell {
    rung: Arc<OwnedFd>,
}

impl Bell {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Bell { rung: Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?) })
    }

    pub(super) fn ring(&self) {
        // It fails only if it was rung almost 2^64 times in vain.
        let _ = rustix::io::write(&self.rung, &1_u64.to_ne_bytes());
    }

    fn fall_silent(&self) {
        let _ = rustix::io::read(&self.rung, &mut [0; 8]);
    }
}

/// Whether files are written to, by whomever.
#[derive(Debug)]
pub(super) struct Watches {
    inotify: Option<OwnedFd>,
}

/// A file that is watched.
#[derive(Debug)]
pub(super) struct Watched(i32);

impl Watches {
    /// Where the system offers none, files have to be looked at again and again.
    pub(super) fn new() -> Self {
        let inotify = match inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK) {
            Ok(inotify) => Some(inotify),
            Err(error) => {
                tracing::warn!("files cannot be watched, and are looked at all the time: {error}");
                None
            }
        };
        Watches { inotify }
    }

    /// Watches a file; `None` if it has to be looked at instead.
    pub(super) fn add(&self, path: &Path) -> Option<Watched> {
        let changes = WatchFlags::MODIFY | WatchFlags::ATTRIB;
        match inotify::add_watch(self.inotify.as_ref()?, path, changes) {
            Ok(number) => Some(Watched(number)),
            Err(error) => {
                tracing::warn!(
                    "{} cannot be watched, and is looked at all the time: {error}",
                    path.display()
                );
                None
            }
        }
    }

    pub(super) fn remove(&self, watched: Watched) {
        if let Some(inotify) = &self.inotify {
            // If the file is gone, so is its watch.
            let _ = inotify::remove_watch(inotify, watched.0);
        }
    }

    fn forget_what_happened(&self) {
        let Some(inotify) = &self.inotify else { return };
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(inotify, &mut buffer);
        // Which file it was does not matter: each is looked at in its turn.
        while reader.next().is_ok() {}
    }
}

/// What ended the wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    /// The bell: there is an order.
    Order,
    /// A recorder has ended.
    End,
    /// A file was written to.
    Change,
    /// It was time.
    Time,
}

/// Waits, at most until `timeout`. Changes of files count only from `changes_from` on: under much output they are looked
/// at together.
pub(super) fn wait(
    bell: &Bell,
    watches: &Watches,
    ends: &[&OwnedFd],
    timeout: Option<Duration>,
    changes_from: Instant,
) -> Woken {
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    loop {
        let now = Instant::now();
        let until_changes = changes_from.saturating_duration_since(now);
        let with_changes = until_changes.is_zero();
        let left = deadline.map(|deadline| deadline.saturating_duration_since(now));
        let mut fds = vec![PollFd::new(&*bell.rung, PollFlags::IN)];
        fds.extend(ends.iter().map(|end| PollFd::new(*end, PollFlags::IN)));
        if with_changes {
            fds.extend(watches.inotify.as_ref().map(|inotify| PollFd::new(inotify, PollFlags::IN)));
        }
        let wait = [left, (!with_changes).then_some(until_changes)].into_iter().flatten().min();
        let polled = poll(&mut fds, wait.map(timespec).as_ref());
        let ready = |fd: &PollFd<'_>| polled.is_ok() && !fd.revents().is_empty();
        let rung = ready(&fds[0]);
        let ended = fds[1..=ends.len()].iter().any(ready);
        let changed = fds[1 + ends.len()..].iter().any(ready);
        if changed {
            watches.forget_what_happened();
        }
        if rung {
            bell.fall_silent();
            return Woken::Order;
        }
        if ended {
            return Woken::End;
        }
        if changed {
            return Woken::Change;
        }
        match polled {
            Err(Errno::INTR) => {}
            Ok(_) if left.is_some_and(|left| wait.is_some_and(|wait| wait >= left)) => return Woken::Time,
            Ok(_) => {}
            // Memory is short: look at everything, a little later.
            Err(_) => {
                std::thread::sleep(Duration::from_millis(100));
                return Woken::Time;
            }
        }
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, OpenOptions};
    use std::io::Write as _;
    use std::process::Command;

    use rustix::process::{Pid, PidfdFlags, pidfd_open};

    use super::*;

    const LONG: Option<Duration> = Some(Duration::from_secs(60));

    #[test]
    fn orders_changes_ends_and_time_wake_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool");
        File::create(&path).unwrap();
        let (bell, watches) = (Bell::new().unwrap(), Watches::new());
        let watched = watches.add(&path).unwrap();
        let now = Instant::now();
        let short = Some(Duration::from_millis(20));
        assert_eq!(wait(&bell, &watches, &[], short, now), Woken::Time);

        let append = || OpenOptions::new().append(true).open(&path).unwrap().write_all(b"x").unwrap();
        append();
        assert_eq!(wait(&bell, &watches, &[], LONG, now), Woken::Change);
        assert_eq!(wait(&bell, &watches, &[], short, now), Woken::Time, "it is told once");
        append();
        let later = Instant::now() + Duration::from_secs(60);
        assert_eq!(wait(&bell, &watches, &[], short, later), Woken::Time, "changes do not count yet");
        assert_eq!(wait(&bell, &watches, &[], LONG, now), Woken::Change, "and are not forgotten");
        OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
        assert_eq!(wait(&bell, &watches, &[], LONG, now), Woken::Change, "being cut back is a change");

        bell.ring();
        bell.ring();
        assert_eq!(wait(&bell, &watches, &[], LONG, later), Woken::Order);
        assert_eq!(wait(&bell, &watches, &[], short, now), Woken::Time);

        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
        assert_eq!(wait(&bell, &watches, &[&pidfd], short, now), Woken::Time);
        child.kill().unwrap();
        assert_eq!(wait(&bell, &watches, &[&pidfd], LONG, later), Woken::End);
        child.wait().unwrap();

        watches.remove(watched);
        watches.forget_what_happened();
        append();
        assert_eq!(wait(&bell, &watches, &[], short, now), Woken::Time);
    }
}
