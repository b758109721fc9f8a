//! The thread that makes segments of spools, and manifests of what has ended. One zstd context serves all sessions.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use agent_protocol::capture::{Pushed, Segmenter};
use agent_protocol::clock;
use recording::{
    Compressor, DocumentFormat, ExitStatus, Manifest, Micros, RecordingEnd, Segment, SpoolReader,
    StartReference, Trailing,
};
use rustix::fs::FlockOperation;

use super::Agent;
use super::session::{CutRecord, Session};
use crate::chain;

/// How often live spools are looked at. While no session lives, the thread sleeps.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How much of one spool is read before the others get their turn.
const MOST_AT_ONCE_BYTES: u64 = 8 * 1024 * 1024;
/// How long a session that went wrong (a full disk, mostly) is left in peace.
const PAUSE_AFTER_TROUBLE: Duration = Duration::from_secs(2);
/// How long a session whose files cannot be opened is left in peace.
const OPEN_AGAIN_AFTER: Duration = Duration::from_secs(5);

enum Order {
    Follow(Arc<Session>),
    Stop,
}

/// Gives sessions to the thread.
#[derive(Clone)]
pub(super) struct Cutter {
    orders: Sender<Order>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Cutter {
    pub(super) fn start(agent: Arc<Agent>) -> Result<Cutter, String> {
        let (orders, inbox) = mpsc::channel();
        let compressor = Compressor::new().map_err(|error| format!("zstd cannot start: {error}"))?;
        let thread = thread::Builder::new()
            .name("cutter".to_owned())
            .spawn(move || {
                if panic::catch_unwind(AssertUnwindSafe(|| work(&agent, &inbox, compressor))).is_err() {
                    // Without it nothing is cut any more, and nobody would notice. Whoever started the agent starts it again.
                    tracing::error!("the cutter failed unexpectedly: the agent ends");
                    std::process::exit(1);
                }
            })
            .map_err(|error| format!("the cutter's thread cannot start: {error}"))?;
        Ok(Cutter { orders, thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// Cuts this session from now on, to its end.
    pub(super) fn follow(&self, session: Arc<Session>) {
        // The thread ends only after `stop`, when nothing is followed any more.
        let _ = self.orders.send(Order::Follow(session));
    }

    /// Ends the thread between two steps.
    pub(super) fn stop(&self) {
        let _ = self.orders.send(Order::Stop);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic there has been printed.
            let _ = thread.join();
        }
    }
}

fn work(agent: &Agent, inbox: &Receiver<Order>, mut compressor: Compressor) {
    let mut tails: Vec<Tail> = Vec::new();
    let mut unopened: Vec<Unopened> = Vec::new();
    let mut look_after = LOOK_EVERY;
    loop {
        let order = if !tails.is_empty() {
            inbox.recv_timeout(look_after)
        } else if !unopened.is_empty() {
            inbox.recv_timeout(OPEN_AGAIN_AFTER)
        } else {
            agent.reserve.hold();
            inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        match order {
            Ok(Order::Follow(session)) => unopened.push(Unopened { session, not_before: None }),
            Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {}
        }
        unopened.retain_mut(|unopened| match unopened.open(agent) {
            Some(tail) => {
                tails.push(tail);
                false
            }
            None => true,
        });
        look_after = LOOK_EVERY;
        tails.retain_mut(|tail| {
            // What one session does to the cutter must not end the others.
            let next = panic::catch_unwind(AssertUnwindSafe(|| tail.advance(agent, &mut compressor)));
            match next {
                Ok(Next::Nothing) => false,
                Ok(Next::LookLater) => true,
                Ok(Next::LookNow) => {
                    look_after = Duration::ZERO;
                    true
                }
                Err(_) => {
                    let why =
                        "cutting it failed unexpectedly; it is begun again from the last segment".to_owned();
                    tracing::error!(session = %tail.session.token(), "{why}");
                    tail.session.progress().trouble = Some(why);
                    let session = Arc::clone(&tail.session);
                    unopened.push(Unopened { session, not_before: Some(Instant::now() + OPEN_AGAIN_AFTER) });
                    false
                }
            }
        });
    }
}

/// A session that is not followed yet.
struct Unopened {
    session: Arc<Session>,
    /// When it is tried again, after it could not be opened.
    not_before: Option<Instant>,
}

impl Unopened {
    fn open(&mut self, agent: &Agent) -> Option<Tail> {
        if self.not_before.is_some_and(|at| Instant::now() < at) {
            return None;
        }
        match Tail::open(agent, &self.session) {
            Ok(tail) => {
                if self.not_before.is_some() {
                    self.session.progress().trouble = None;
                }
                Some(tail)
            }
            Err(why) => {
                if self.not_before.is_none() {
                    tracing::error!(session = %self.session.token(), "the session cannot be cut, and is tried again: {why}");
                }
                self.session.progress().trouble = Some(why);
                self.not_before = Some(Instant::now() + OPEN_AGAIN_AFTER);
                None
            }
        }
    }
}

/// What a session needs after a step.
enum Next {
    /// It is sealed.
    Nothing,
    /// It may grow.
    LookLater,
    /// There is more of it already.
    LookNow,
}

/// Where reading a spool stopped.
enum Reached {
    /// At the end of what is whole, and what stands behind it.
    End(Trailing),
    /// Somewhere before, to give others their turn.
    Limit,
}

fn is_full_disk(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::StorageFull)
}

/// A place in a live spool that cannot be read.
#[derive(Debug, Clone, Copy)]
struct Damage {
    offset: u64,
    /// When something behind it was looked for in vain, and how long the spool was then.
    searched: Option<(Instant, u64)>,
}

/// One spool being followed.
struct Tail {
    session: Arc<Session>,
    file: File,
    segmenter: Box<dyn Segmenter>,
    /// Up to where records have been given to the segmenter.
    offset: u64,
    last_at: Micros,
    exit: Option<ExitStatus>,
    last_gap: Option<String>,
    finished: bool,
    /// Where the spool cannot be read while its recorder lives.
    damage: Option<Damage>,
    /// Some of the spool could not be read.
    damaged: bool,
    /// A segment that is cut but could not be kept yet.
    pending: Option<Segment>,
    not_before: Option<Instant>,
}

impl Tail {
    fn open(agent: &Agent, session: &Arc<Session>) -> Result<Tail, String> {
        if session.start.agent != agent.identity.agent_id {
            return Err(format!(
                "it was recorded by {}, before this instance was enrolled anew",
                session.start.agent
            ));
        }
        let capture = agent
            .capture(&session.note.kind)
            .ok_or_else(|| format!("this agent has no capture of kind {:?}", session.note.kind))?;
        let path = session.spool_path();
        let file =
            File::open(&path).map_err(|error| format!("{} cannot be opened: {error}", path.display()))?;
        let last =
            session.cut_records().map_err(|error| format!("its segments cannot be read: {error}"))?.pop();
        let offset = last.as_ref().map_or(0, |record| record.spool_end);
        let last_at = last.as_ref().map_or(Micros::ZERO, |record| record.state.last_at);
        let exit = last.as_ref().and_then(|record| record.exit);
        let last_gap = last.as_ref().and_then(|record| record.last_gap.clone());
        let damaged = last.as_ref().is_some_and(|record| record.damaged);
        let segmenter =
            capture.segmenter(&session.start, &session.start_document, last.map(|record| record.state));
        Ok(Tail {
            session: Arc::clone(session),
            file,
            segmenter,
            offset,
            last_at,
            exit,
            last_gap,
            finished: false,
            damage: None,
            damaged,
            pending: None,
            not_before: None,
        })
    }

    /// Does what there is to do.
    fn advance(&mut self, agent: &Agent, compressor: &mut Compressor) -> Next {
        if self.not_before.is_some_and(|at| Instant::now() < at) {
            return Next::LookLater;
        }
        match self.step(agent, compressor) {
            Ok(next) => {
                if self.not_before.take().is_some() {
                    self.session.progress().trouble = None;
                }
                next
            }
            Err(error) => {
                let why = chain(error.as_ref());
                if is_full_disk(error.as_ref()) {
                    agent.reserve.release();
                }
                if self.not_before.is_none() {
                    tracing::warn!(session = %self.session.token(), "cutting will be tried again: {why}");
                }
                self.session.progress().trouble = Some(why);
                self.not_before = Some(Instant::now() + PAUSE_AFTER_TROUBLE);
                Next::LookLater
            }
        }
    }

    fn step(
        &mut self,
        agent: &Agent,
        compressor: &mut Compressor,
    ) -> Result<Next, Box<dyn std::error::Error>> {
        self.keep_pending()?;
        if !self.finished {
            // Asked before reading: what a dead recorder wrote is all there already.
            let recorder_lives = self.recorder_lives()?;
            let Reached::End(trailing) = self.read_on(compressor)? else { return Ok(Next::LookNow) };
            if self.exit.is_none() && self.pass_over_damage(trailing, recorder_lives)? {
                return Ok(Next::LookNow);
            }
            if self.exit.is_none() && recorder_lives {
                self.cut_by_the_clock(compressor)?;
                return Ok(Next::LookLater);
            }
            self.pending = self.segmenter.finish(compressor)?;
            self.finished = true;
            self.keep_pending()?;
        }
        self.seal(agent)?;
        Ok(Next::Nothing)
    }

    /// A segment may be old enough although nothing was printed since.
    fn cut_by_the_clock(&mut self, compressor: &mut Compressor) -> Result<(), Box<dyn std::error::Error>> {
        let now = clock::boottime_micros().saturating_sub(self.session.note.start_boottime_micros);
        if self.segmenter.due(Micros::new(now)) {
            self.pending = self.segmenter.cut(compressor)?;
            self.keep_pending()?;
        }
        Ok(())
    }

    /// Goes on behind damage: what cannot be read becomes a gap, and everything behind it is kept. True when there is more to read.
    fn pass_over_damage(&mut self, trailing: Trailing, recorder_lives: bool) -> io::Result<bool> {
        let found = match trailing {
            Trailing::Nothing => false,
            // While it lives the recorder may be about to write the rest. Afterwards it is a torn tail, unless its length lies.
            Trailing::Incomplete { .. } => !recorder_lives,
            Trailing::Damaged => true,
        };
        if !found {
            self.damage = None;
            return Ok(false);
        }
        let length = self.file.metadata()?.len();
        if recorder_lives {
            match self.damage.filter(|damage| damage.offset == self.offset) {
                // Seen once, it may be a write that is not whole yet.
                None => {
                    self.damage = Some(Damage { offset: self.offset, searched: None });
                    return Ok(false);
                }
                Some(Damage { searched: Some((at, so_far)), .. })
                    if so_far == length || at.elapsed() < PAUSE_AFTER_TROUBLE =>
                {
                    return Ok(false);
                }
                Some(_) => {}
            }
        }
        let reason = format!("the spool is damaged at byte {}", self.offset);
        self.file.seek(SeekFrom::Start(self.offset))?;
        let mut reader = SpoolReader::new(self.file.try_clone()?, self.offset);
        if let Some(passed_over) = reader.pass_over_damage()? {
            tracing::warn!(session = %self.session.token(), "{reason}: {passed_over} bytes are passed over");
            self.lose(reason, passed_over);
            return Ok(true);
        }
        if recorder_lives {
            if self.damage.is_none_or(|damage| damage.searched.is_none()) {
                tracing::warn!(session = %self.session.token(), "{reason}, and nothing behind it can be read yet");
            }
            self.session.progress().trouble = Some(reason);
            self.damage = Some(Damage { offset: self.offset, searched: Some((Instant::now(), length)) });
        } else if trailing == Trailing::Damaged {
            tracing::warn!(session = %self.session.token(), "{reason}, and nothing behind it can be read");
            self.lose(reason, length.saturating_sub(self.offset));
        }
        Ok(false)
    }

    /// Notes a gap for bytes of the spool that cannot be read. The spool is kept for whoever can.
    fn lose(&mut self, reason: String, bytes: u64) {
        self.segmenter.push_gap(self.last_at, &reason, bytes);
        self.last_gap = Some(reason);
        self.offset += bytes;
        self.damage = None;
        self.damaged = true;
    }

    /// The recorder holds the spool's lock as long as it lives.
    fn recorder_lives(&self) -> io::Result<bool> {
        match rustix::fs::flock(&self.file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => {
                rustix::fs::flock(&self.file, FlockOperation::Unlock)?;
                Ok(false)
            }
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives the segmenter the whole records there are, and cuts on the way.
    fn read_on(&mut self, compressor: &mut Compressor) -> Result<Reached, Box<dyn std::error::Error>> {
        if self.exit.is_some() || self.file.metadata()?.len() == self.offset {
            return Ok(Reached::End(Trailing::Nothing));
        }
        let limit = self.offset.saturating_add(MOST_AT_ONCE_BYTES);
        self.file.seek(SeekFrom::Start(self.offset))?;
        let mut reader = SpoolReader::new(self.file.try_clone()?, self.offset);
        loop {
            if self.offset >= limit {
                return Ok(Reached::Limit);
            }
            let Some(record) = reader.next_record()? else { return Ok(Reached::End(reader.trailing())) };
            if record.at <= Micros::LATEST {
                self.last_at = self.last_at.max(record.at);
            }
            match self.segmenter.push(&record) {
                Ok(Pushed::Content) => {}
                Ok(Pushed::Gap(reason)) => self.last_gap = Some(reason),
                Ok(Pushed::Exit(status)) => self.exit = Some(status),
                Err(bad) => {
                    // Its checksum is right, so a recorder of another version wrote it. It is said, not passed over.
                    self.segmenter.push_gap(self.last_at, &bad.to_string(), record.payload.len() as u64);
                }
            }
            self.offset = reader.good_end();
            if self.exit.is_some() {
                return Ok(Reached::End(Trailing::Nothing));
            }
            // By the records' own time: what is caught up after a pause is cut as it would have been.
            if self.segmenter.due(self.last_at) {
                self.pending = self.segmenter.cut(compressor)?;
                self.keep_pending()?;
            }
        }
    }

    fn keep_pending(&mut self) -> io::Result<()> {
        if let Some(segment) = &self.pending {
            let record = CutRecord {
                entry: segment.entry(),
                chain_before: segment.chain_before,
                spool_end: self.offset,
                state: self.segmenter.state().clone(),
                exit: self.exit,
                last_gap: self.last_gap.clone(),
                damaged: self.damaged,
            };
            self.session.keep_segment(&segment.bytes, &record)?;
            self.pending = None;
        }
        Ok(())
    }

    /// Makes the manifest. The ledger is held meanwhile, so that each manifest names the one before.
    fn seal(&self, agent: &Agent) -> Result<(), Box<dyn std::error::Error>> {
        let session = &self.session;
        let entries = session.cut_records()?.into_iter().map(|record| record.entry).collect();
        let mut ledger = agent.ledger.lock();
        let sealed = match session.find_manifest()? {
            Some(sealed) => sealed,
            None => {
                let manifest = Manifest {
                    format: DocumentFormat::V1,
                    number: 0,
                    recording: session.token().clone(),
                    start: StartReference::of(&session.start_document),
                    agent: session.start.agent.clone(),
                    agent_recording_number: session.start.agent_recording_number,
                    previous_manifest: ledger.last_manifest,
                    started_at: session.start.started_at,
                    ended_at: session.start.started_at.plus(self.last_at.as_duration()),
                    duration: self.last_at,
                    end: self.end(),
                    streams: vec![self.segmenter.stream_entry(entries)],
                };
                let sealed = recording::seal(&manifest, &agent.sealing);
                session.keep_manifest(&sealed)?;
                sealed
            }
        };
        ledger.follow(&sealed);
        agent.ledger.store(&ledger)?;
        drop(ledger);
        session.progress().sealed = true;
        session.changed.notify_one();
        tracing::info!(session = %session.token(), "the recording is sealed");
        Ok(())
    }

    fn end(&self) -> RecordingEnd {
        match self.exit {
            Some(status) => RecordingEnd::Exited(status),
            None => RecordingEnd::Interrupted {
                reason: self
                    .last_gap
                    .clone()
                    .unwrap_or_else(|| "the recorder ended before the command did".to_owned()),
            },
        }
    }
}
