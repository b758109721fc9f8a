//! A session that is followed to its end: each of its spools by a tail, and at last all of them into one manifest.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use capture_terminal::left_over::LeftOver;
use recording::{
    Compressor, DocumentFormat, FailurePolicy, Manifest, Micros, RecordingEnd, StartReference, StreamEntry,
    Timestamp,
};
use rustix::fd::OwnedFd;

use super::LOOK_EVERY;
use super::tail::{Next, PAUSE_AFTER_TROUBLE, Tail};
use super::waking::{Watched, Watches};
use crate::chain;
use crate::run::Agent;
use crate::run::begin::user_of;
use crate::run::damage_search::DamageSearches;
use crate::run::predecessors::Predecessor;
use crate::run::recorder_process::Recorder;
use crate::run::session::{Session, Successor};
use crate::run::unrecorded::UnrecordedSession;

fn is_full_disk(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::StorageFull)
}

/// One session being followed.
pub(super) struct Followed {
    pub(super) session: Arc<Session>,
    /// Who recorded it, if that was an earlier agent.
    predecessor: Option<Arc<Predecessor>>,
    /// One for each of its spools, in their order.
    tails: Vec<Tail>,
    recorder: Arc<Recorder>,
    /// It was seen that the recorder has ended.
    recorder_ended: bool,
    /// Its spools, in their order; those that the system does not watch have to be looked at.
    watched: Vec<Option<Watched>>,
    /// The round of its last turn.
    pub(super) served: u64,
    not_before: Option<Instant>,
}

impl Followed {
    pub(super) fn open(agent: &Agent, session: &Arc<Session>, watches: &Watches) -> Result<Followed, String> {
        let predecessor = if session.is_of_predecessor(agent) {
            Some(agent.predecessors.find(&session.start)?)
        } else {
            None
        };
        session.progress().waits_for_leave = false;
        let segmenting = agent
            .segmenting(&session.note.kind)
            .ok_or_else(|| format!("this agent cannot capture the kind {:?}", session.note.kind))?;
        let cannot_find = |error: io::Error| format!("its recorder cannot be found: {error}");
        let note = session.note.recorder.as_ref();
        let recorder = Arc::new(Recorder::find(note).map_err(cannot_find)?);
        let of_this_boot =
            note.map(|note| note.is_of_this_boot()).transpose().map_err(cannot_find)?.unwrap_or_default();
        let tails = (0..session.spools.len())
            .map(|spool| Tail::open(segmenting, session, spool, Arc::clone(&recorder), of_this_boot))
            .collect::<Result<_, _>>()?;
        let watched = session.spools.iter().map(|spool| watches.add(spool.path())).collect();
        let session = Arc::clone(session);
        Ok(Followed {
            session,
            predecessor,
            tails,
            recorder,
            recorder_ended: false,
            watched,
            served: 0,
            not_before: None,
        })
    }

    /// Forgets that its files are watched.
    pub(super) fn stop_watching(&mut self, watches: &Watches) {
        self.watched.drain(..).flatten().for_each(|watched| watches.remove(watched));
    }

    /// What becomes readable when its recorder ends, as long as that is news.
    pub(super) fn recorders_end(&self) -> Option<&OwnedFd> {
        self.recorder.pidfd().filter(|_| !self.recorder_ended)
    }

    /// How long it can be left alone if none of its files changes; `None` if that is for ever.
    pub(super) fn until_look(&self) -> Option<Duration> {
        if let Some(not_before) = self.not_before {
            return Some(not_before.saturating_duration_since(Instant::now()));
        }
        if self.session.progress().waits_for_leave {
            return None;
        }
        let is_told_of_everything = self.recorder.pidfd().is_some()
            && !self.recorder_ended
            && self.watched.iter().all(Option::is_some);
        if !is_told_of_everything {
            return Some(LOOK_EVERY);
        }
        self.tails.iter().filter_map(Tail::until_look).min()
    }

    /// Checks between turns that what was read has not changed, so that keeping the thread busy hides nothing.
    pub(super) fn glance(&mut self) {
        self.tails.iter_mut().for_each(Tail::glance);
    }

    /// Does the next step.
    pub(super) fn advance(
        &mut self,
        agent: &Agent,
        searches: &DamageSearches,
        compressor: &mut Compressor,
    ) -> Next {
        if self.not_before.is_some_and(|at| Instant::now() < at) {
            return Next::LookLater;
        }
        match self.step(agent, searches, compressor) {
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
        searches: &DamageSearches,
        compressor: &mut Compressor,
    ) -> Result<Next, Box<dyn std::error::Error>> {
        // Before the spools are read: everything that a dead recorder wrote is already there.
        self.recorder_ended = match &*self.recorder {
            Recorder::Process(process) => !process.lives()?,
            Recorder::Ended => true,
            Recorder::Lock => false,
        };
        if self.recorder_ended {
            agent.outer_terminals.give_back(self.session.token());
        }
        let mut next = Next::Nothing;
        let mut trouble = None;
        for tail in &mut self.tails {
            match tail.step(searches, compressor) {
                Ok(of_one) => next = next.max(of_one),
                // It does not delay the others.
                Err(error) => trouble = trouble.or(Some(error)),
            }
        }
        self.report_gaps(agent);
        if let Some(error) = trouble {
            return Err(error);
        }
        if next == Next::Nothing && !self.seal(agent)? {
            return Ok(Next::LookLater);
        }
        Ok(next)
    }

    /// A session that went on although it could not be recorded is told to the audit trail, too.
    fn report_gaps(&mut self, agent: &Agent) {
        let note = &self.session.note;
        let goes_on = note.failure_policy == Some(FailurePolicy::BestEffort);
        for gap in self.tails.iter_mut().flat_map(|tail| tail.told_gaps.drain(..)).filter(|_| goes_on) {
            let user_id = note.user_id.unwrap_or_default();
            let unrecorded = UnrecordedSession {
                kind: note.kind.clone(),
                user_id,
                user: user_of(user_id),
                at: Timestamp::from_millis(agent.control_plane.now_millis()),
                reason: format!("part of session {} is not recorded: {gap}", self.session.token()),
                configuration_revision: self.session.start.configuration_revision,
            };
            agent.unrecorded.note(unrecorded, &agent.reserve);
        }
    }

    /// Makes the manifest, when every stream is cut to its end. The ledger is held meanwhile, so that each manifest names the one
    /// before. False if it has to wait for leave: what an earlier agent recorded is sealed with that alone.
    fn seal(&self, agent: &Agent) -> Result<bool, Box<dyn std::error::Error>> {
        let session = &self.session;
        let (ledger_of_agent, sealed_by) = match &self.predecessor {
            None => (&agent.ledger, None),
            Some(predecessor) => (&predecessor.ledger, session.find_leave(&Successor::of(agent))?.cloned()),
        };
        if self.predecessor.is_some() && sealed_by.is_none() && session.find_manifest()?.is_none() {
            if !std::mem::replace(&mut session.progress().waits_for_leave, true) {
                tracing::info!(session = %session.token(), "the session has ended, and waits for leave to seal it");
                self.end_what_is_left();
            }
            return Ok(false);
        }
        let streams = self.tails.iter().map(Tail::stream_entry).collect::<io::Result<Vec<StreamEntry>>>()?;
        let streams = listed(streams);
        let ledgers = streams.iter().filter_map(|stream| stream.ledger.as_ref());
        let delivery_mode = session.start.delivery_mode.map(|mode| mode.at_end(ledgers));
        let last_at = self.tails.iter().map(|tail| tail.last_at).max().unwrap_or(Micros::ZERO);
        let mut ledger = ledger_of_agent.lock();
        let sealed = match session.find_manifest()? {
            Some(sealed) => {
                // It may have failed when all but that was done.
                session.keep_manifest(&sealed)?;
                sealed
            }
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
                    ended_at: session.start.started_at.plus(last_at.as_duration()),
                    duration: last_at,
                    end: self.end(),
                    delivery_mode,
                    streams,
                    sealed_by,
                };
                let sealed = recording::seal(&manifest, &agent.sealing);
                if let Err(error) = session.keep_manifest(&sealed) {
                    // If it is there all the same, the next one stands on it: it is not made again.
                    if session.find_manifest()?.is_some() {
                        ledger.follow(&sealed);
                    }
                    return Err(error.into());
                }
                sealed
            }
        };
        ledger.follow(&sealed);
        ledger_of_agent.store(&ledger)?;
        drop(ledger);
        let waited = {
            let mut progress = session.progress();
            progress.sealed = true;
            std::mem::take(&mut progress.waits_for_leave)
        };
        session.changed.notify_one();
        if !waited {
            self.end_what_is_left();
        }
        tracing::info!(session = %session.token(), "the recording is sealed");
        Ok(true)
    }

    /// Ends what is left of a session whose recorder ended before the command did: nobody goes on unrecorded. It takes
    /// seconds, so it has a thread of its own.
    fn end_what_is_left(&self) {
        let broke_off = self.tails.iter().all(|tail| tail.exit.is_none() && tail.distrusted.is_none());
        let note = self.session.note.recorder.as_ref();
        let of_this_boot = note.is_some_and(|note| note.is_of_this_boot().unwrap_or_default());
        let Some(command) = self.session.command_note().filter(|_| broke_off && of_this_boot) else { return };
        let token = self.session.token().clone();
        let ending = thread::Builder::new().name("left-over".to_owned()).spawn(move || {
            let left = LeftOver::find(&command).end(&command);
            if left > 0 {
                tracing::warn!(session = %token, "{left} processes of a session that broke off could not be ended");
            }
        });
        if let Err(error) = ending {
            let token = self.session.token();
            tracing::warn!(session = %token, "what is left of a session that broke off cannot be ended: {error}");
        }
    }

    /// How the recording ended. An exit is believed only when no stream is in doubt: what was done to one may hide what stands in
    /// none of them.
    fn end(&self) -> RecordingEnd {
        let distrusted = self.tails.iter().find_map(|tail| tail.distrusted.as_ref());
        let exit = self.tails.iter().find_map(|tail| tail.exit);
        match exit {
            Some(status) if distrusted.is_none() => RecordingEnd::Exited(status),
            _ => RecordingEnd::Interrupted {
                reason: distrusted
                    .or_else(|| self.tails.iter().find_map(|tail| tail.last_gap.as_ref()))
                    .cloned()
                    .unwrap_or_else(|| "the recorder ended before the command did".to_owned()),
            },
        }
    }
}

/// The streams that the manifest lists: the first, and those of the others in which anything happened. A recording without
/// events looks as if there were no such stream.
fn listed(streams: Vec<StreamEntry>) -> Vec<StreamEntry> {
    let listed = streams.into_iter().enumerate();
    listed
        .filter(|(place, stream)| *place == 0 || !stream.segments.is_empty())
        .map(|(_, stream)| stream)
        .collect()
}

#[cfg(test)]
mod faults;

#[cfg(test)]
mod tests;
