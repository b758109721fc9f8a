//! The thread that searches spools behind damage, so that the one that cuts everybody's sessions never waits for it.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use recording::{DamageSearch, Searched};
use rustix::fs::SeekFrom;
use rustix::io::Errno;

/// How long one spool is searched before the others get their turn.
const TURN: Duration = Duration::from_secs(1);

/// Gives searches to the thread.
pub(super) struct DamageSearches {
    jobs: Sender<Job>,
}

/// Where the outcome of one search appears.
#[derive(Debug, Clone)]
pub(super) struct Ticket(Arc<Mutex<Option<io::Result<Searched>>>>);

impl Ticket {
    /// The outcome, once there is one. It is given once.
    pub(super) fn take(&self) -> Option<io::Result<Searched>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, outcome: io::Result<Searched>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
    }

    /// Nobody waits for it any more.
    fn is_abandoned(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

struct Job {
    spool: PathBuf,
    search: DamageSearch,
    ticket: Ticket,
}

impl DamageSearches {
    /// Starts the thread; it tells when a search is done.
    pub(super) fn start(done: impl Fn() + Send + 'static) -> Result<Self, String> {
        let (jobs, inbox) = mpsc::channel();
        thread::Builder::new()
            .name("search".to_owned())
            .spawn(move || work(&inbox, &done))
            .map_err(|error| format!("the thread that searches damaged spools cannot start: {error}"))?;
        Ok(DamageSearches { jobs })
    }

    /// Searches a spool from this offset on, where it is damaged.
    pub(super) fn search(&self, spool: PathBuf, offset: u64) -> Ticket {
        let ticket = Ticket(Arc::default());
        let job = Job { spool, search: DamageSearch::new(offset), ticket: ticket.clone() };
        if self.jobs.send(job).is_err() {
            ticket.put(Err(io::Error::other("the thread that searches damaged spools has ended")));
        }
        ticket
    }
}

fn work(inbox: &Receiver<Job>, done: &impl Fn()) {
    let mut waiting = VecDeque::new();
    loop {
        if waiting.is_empty() {
            match inbox.recv() {
                Ok(job) => waiting.push_back(job),
                Err(_) => return,
            }
        }
        waiting.extend(inbox.try_iter());
        let Some(mut job) = waiting.pop_front() else { continue };
        if job.ticket.is_abandoned() {
            continue;
        }
        let turn = panic::catch_unwind(AssertUnwindSafe(|| take_turn(&mut job)));
        match turn.unwrap_or_else(|_| Err(io::Error::other("the search failed unexpectedly"))) {
            Ok(Searched::Paused) => waiting.push_back(job),
            outcome => {
                job.ticket.put(outcome);
                done();
            }
        }
    }
}

fn take_turn(job: &mut Job) -> io::Result<Searched> {
    // By a description of its own: a place in the file would be shared with whoever else reads through the same one.
    let mut spool = File::open(&job.spool)?;
    let begun = Instant::now();
    job.search.advance(&mut spool, next_data, || begun.elapsed() < TURN)
}

/// Where there is data from an offset on; `None` when all the rest is a hole.
fn next_data(spool: &mut File, offset: u64) -> io::Result<Option<u64>> {
    match rustix::fs::seek(&*spool, SeekFrom::Data(offset)) {
        Ok(data) => Ok(Some(data)),
        Err(Errno::NXIO) => Ok(None),
        // This file system cannot tell.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(Some(offset)),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use recording::{Micros, RecordKind, SpoolWriter};

    use super::*;

    fn outcome(ticket: &Ticket, told: &Receiver<()>) -> Searched {
        told.recv().unwrap();
        ticket.take().unwrap().unwrap()
    }

    #[test]
    fn a_record_behind_a_terabyte_of_nothing_is_found() {
        const HOLE: u64 = 1 << 40;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool");
        let mut record = SpoolWriter::new(Vec::new(), 0);
        record.append(Micros::new(7), RecordKind::TERMINAL_OUTPUT, b"here").unwrap();
        let file = File::create(&path).unwrap();
        file.write_all_at(&record.into_inner(), HOLE).unwrap();
        let (tell, told) = mpsc::channel();
        let searches = DamageSearches::start(move || tell.send(()).unwrap()).unwrap();
        let found = searches.search(path.clone(), 0);
        assert_eq!(outcome(&found, &told), Searched::Found { offset: HOLE });
        file.set_len(HOLE).unwrap();
        assert_eq!(outcome(&searches.search(path, 10), &told), Searched::Nothing);
        let missing = searches.search(folder.path().join("none"), 0);
        told.recv().unwrap();
        assert!(missing.take().unwrap().is_err());
    }
}
