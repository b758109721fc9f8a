//! One spool that is followed to its end: its records become segments.

mod doubts;

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_protocol::capture::{Pushed, Segmenter, Segmenting};
use agent_protocol::clock;
use recording::{
    Cause, Compressor, ExitStatus, Micros, Searched, Segment, Shortfall, ShortfallKind, SpoolReader,
    SpoolRecord, StreamEntry, Trailing,
};

use crate::append_only;
use crate::run::damage_search::{DamageSearches, Ticket};
use crate::run::last_record::LastRecord;
use crate::run::recorder_process::Recorder;
use crate::run::session::{CutRecord, Session, StreamSpool};

use super::LOOK_EVERY;
use doubts::{AheadOfClock, HeldExit, TAMPERED, says_a_gap};

/// How much of one spool is read before the others get their turn.
const MOST_AT_ONCE_BYTES: u64 = 256 * 1024;
/// How long to wait after an error of a session (usually a full disk).
pub(super) const PAUSE_AFTER_TROUBLE: Duration = Duration::from_secs(2);

/// What a spool or its session needs after a step. Of several that are followed together, the greatest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Next {
    /// It is cut to its end; the session is sealed.
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

/// A place in a spool that cannot be read.
#[derive(Debug)]
struct Damage {
    offset: u64,
    state: DamageState,
}

#[derive(Debug)]
enum DamageState {
    /// Seen once while the recorder lives, it may be a write that is not whole yet.
    Seen,
    /// Something behind it is being looked for.
    BeingSearched(Ticket, Searchable),
    /// Nothing was found behind it then.
    SearchedInVain(Instant, Searchable),
}

/// What a spool was when a search began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Searchable {
    length: u64,
    /// Without its recorder it has its end: whoever else still writes to it cannot keep it open.
    recorder_lives: bool,
}

/// What became of a place that cannot be read.
enum Damaged {
    /// There is none, or nothing behind it either: the spool is read to its end.
    AtTheEnd,
    /// It waits for more of the spool, or for the search.
    Waits,
    /// It is a gap now, and there is more to read.
    PassedOver,
}

/// One spool being followed.
pub(super) struct Tail {
    session: Arc<Session>,
    /// The place of its stream among the session's.
    stream: usize,
    file: File,
    /// The session's.
    recorder: Arc<Recorder>,
    /// The machine's clock has run since the recording began.
    of_this_boot: bool,
    segmenter: Box<dyn Segmenter>,
    /// Up to where records have been given to the segmenter.
    offset: u64,
    /// How long the spool was at most. Only a recorder that gives up cuts it back.
    longest: u64,
    /// It was cut back, and nothing was read since.
    cut_back: bool,
    /// Records that came from the future, once one did.
    ahead_of_clock: Option<AheadOfClock>,
    /// What stands at `offset` of a record that is not whole, and since when.
    incomplete: Option<(LastRecord, Instant)>,
    /// What stands right before `offset`, as it was read.
    last_record: Option<LastRecord>,
    pub(super) last_at: Micros,
    /// An exit record at `offset`, until it is known whether its recorder ended.
    held_exit: Option<HeldExit>,
    pub(super) exit: Option<ExitStatus>,
    /// Why exit records are not believed any more.
    pub(super) distrusted: Option<String>,
    /// A segment is to be cut before it is full or old.
    cut_soon: bool,
    pub(super) last_gap: Option<String>,
    /// The gaps that the recorder told and that nobody has asked for yet.
    pub(super) told_gaps: Vec<String>,
    finished: bool,
    /// Where the spool cannot be read.
    damage: Option<Damage>,
    /// Some of the spool could not be read.
    damaged: bool,
    /// A segment that is cut but could not be kept yet.
    pending: Option<Segment>,
}

impl Tail {
    pub(super) fn open(
        segmenting: &dyn Segmenting,
        session: &Arc<Session>,
        stream: usize,
        recorder: Arc<Recorder>,
        of_this_boot: bool,
    ) -> Result<Tail, String> {
        let spool = &session.spools[stream];
        let path = spool.path();
        let file =
            File::open(path).map_err(|error| format!("{} cannot be opened: {error}", path.display()))?;
        let last =
            spool.cut_records().map_err(|error| format!("its segments cannot be read: {error}"))?.pop();
        // An agent that was killed may have had it opened up.
        if matches!(*recorder, Recorder::Process(_))
            && let Err(error) = append_only::set(&file)
        {
            tracing::warn!(session = %session.token(), "the spool cannot be made append-only: {error}");
        }
        let state = last.as_ref().map(|record| &record.state);
        let segmenter = segmenting
            .segmenter(spool.name(), &session.start, &session.start_document, state)
            .map_err(|error| format!("its segments cannot be gone on with: {error}"))?;
        Ok(Tail {
            session: Arc::clone(session),
            stream,
            file,
            recorder,
            of_this_boot,
            offset: last.as_ref().map_or(0, |record| record.spool_end),
            longest: last.as_ref().map_or(0, |record| record.spool_end),
            cut_back: false,
            ahead_of_clock: None,
            incomplete: None,
            last_record: last.as_ref().and_then(|record| record.last_record.clone()),
            last_at: segmenter.last_at(),
            held_exit: None,
            exit: last.as_ref().and_then(|record| record.exit),
            distrusted: last.as_ref().and_then(|record| record.distrusted.clone()),
            cut_soon: false,
            last_gap: last.as_ref().and_then(|record| record.last_gap.clone()),
            told_gaps: Vec::new(),
            finished: false,
            damage: None,
            damaged: last.as_ref().is_some_and(|record| record.damaged),
            pending: None,
            segmenter,
        })
    }

    /// How long it can be left alone while its spool does not change; `None` if that is for ever.
    pub(super) fn until_look(&self) -> Option<Duration> {
        if self.finished {
            return None;
        }
        let waits = self.held_exit.is_some()
            || self.incomplete.is_some()
            || self.damage.is_some()
            || self.pending.is_some()
            || self.cut_soon;
        if waits {
            return Some(LOOK_EVERY);
        }
        let due_at = self.segmenter.due_at()?.as_duration();
        let now = clock::boottime_micros().saturating_sub(self.session.note.start_boottime_micros);
        Some(due_at.saturating_sub(Duration::from_micros(now)))
    }

    fn spool(&self) -> &StreamSpool {
        &self.session.spools[self.stream]
    }

    /// Looks whether what was seen still stands, when it is not this one's turn: whoever keeps the thread busy hides nothing by it.
    pub(super) fn glance(&mut self) {
        if !self.finished
            && self.exit.is_none()
            && let Err(error) = self.check_what_was_read()
        {
            // It is reported in its own turn.
            tracing::debug!(session = %self.session.token(), "the spool cannot be checked: {error}");
        }
    }

    /// Does what there is to do.
    pub(super) fn step(
        &mut self,
        searches: &DamageSearches,
        compressor: &mut Compressor,
    ) -> Result<Next, Box<dyn std::error::Error>> {
        self.keep_pending()?;
        if !self.finished {
            // Checked before reading: everything that a dead recorder wrote is already there.
            let recorder_lives = self.recorder.lives(&self.file)?;
            if self.exit.is_none() {
                self.check_what_was_read()?;
            }
            let Reached::End(trailing) = self.read_on(compressor)? else { return Ok(Next::LookNow) };
            self.note_cut_end();
            if self.exit.is_none()
                && (self.decide_on_exit(recorder_lives)? || self.meet_giving_up(trailing, recorder_lives)?)
            {
                return Ok(Next::LookNow);
            }
            let damaged = if self.exit.is_none() {
                self.pass_over_damage(trailing, recorder_lives, searches)?
            } else {
                Damaged::AtTheEnd
            };
            if self.damaged {
                self.spool().progress().damaged = true;
            }
            let waits = match damaged {
                Damaged::PassedOver => return Ok(Next::LookNow),
                Damaged::Waits => true,
                Damaged::AtTheEnd => self.exit.is_none() && recorder_lives,
            };
            if waits {
                self.cut_by_the_clock(compressor)?;
                return Ok(Next::LookLater);
            }
            // Nothing followed that could say why it was cut back.
            self.judge_cutting_back(false);
            self.note_counted();
            self.pending = self.segmenter.finish(compressor)?;
            self.finished = true;
            if let Err(error) = append_only::take_off(&self.file) {
                tracing::warn!(session = %self.session.token(), "the spool stays append-only: {error}");
            }
            self.keep_pending()?;
        }
        Ok(Next::Nothing)
    }

    /// A segment may be old enough although nothing was printed since.
    fn cut_by_the_clock(&mut self, compressor: &mut Compressor) -> Result<(), Box<dyn std::error::Error>> {
        let now = clock::boottime_micros().saturating_sub(self.session.note.start_boottime_micros);
        if std::mem::take(&mut self.cut_soon) || self.segmenter.due(Micros::new(now)) {
            self.note_counted();
            self.pending = self.segmenter.cut(compressor)?;
            self.keep_pending()?;
            self.note_cut_end();
        }
        Ok(())
    }

    /// Notes that there is nothing to cut, if so.
    fn note_cut_end(&self) {
        let nothing_to_cut = self.pending.is_none() && self.segmenter.due_at().is_none();
        if nothing_to_cut && self.spool().progress().note_cut_end(self.offset) {
            self.session.acknowledged_more.notify_one();
        }
    }

    /// Goes on behind damage: what cannot be read becomes a gap, and everything behind it is kept. It is looked for on a thread of its
    /// own: this one serves everybody.
    fn pass_over_damage(
        &mut self,
        trailing: Trailing,
        recorder_lives: bool,
        searches: &DamageSearches,
    ) -> io::Result<Damaged> {
        let found = match trailing {
            Trailing::Nothing => false,
            // While it lives the recorder may be about to write the rest. Afterwards it is a torn tail, unless its length lies.
            Trailing::Incomplete { .. } => !recorder_lives || self.stays_incomplete(),
            Trailing::Damaged => true,
        };
        if !found {
            self.damage = None;
            return Ok(Damaged::AtTheEnd);
        }
        let now = Searchable { length: self.file.metadata()?.len(), recorder_lives };
        let reason = format!("the spool is damaged at byte {}", self.offset);
        let before = self.damage.take().filter(|damage| damage.offset == self.offset);
        let (state, damaged) = match before.map(|damage| damage.state) {
            None if recorder_lives => (DamageState::Seen, Damaged::Waits),
            Some(DamageState::BeingSearched(ticket, searched)) => match ticket.take() {
                None => (DamageState::BeingSearched(ticket, searched), Damaged::Waits),
                Some(outcome) => match outcome? {
                    Searched::Found { offset } => {
                        let bytes = offset.saturating_sub(self.offset);
                        tracing::warn!(session = %self.session.token(), "{reason}: {bytes} bytes are skipped");
                        self.lose(reason, bytes);
                        return Ok(Damaged::PassedOver);
                    }
                    Searched::Nothing | Searched::GivenUp | Searched::Paused => {
                        let state = DamageState::SearchedInVain(Instant::now(), searched);
                        if !recorder_lives {
                            // It is known now whether the search saw all of it.
                            self.damage = Some(Damage { offset: self.offset, state });
                            return self.pass_over_damage(trailing, recorder_lives, searches);
                        }
                        tracing::warn!(session = %self.session.token(), "{reason}, and nothing behind it can be read yet");
                        self.session.progress().trouble = Some(reason);
                        (state, Damaged::Waits)
                    }
                },
            },
            Some(DamageState::SearchedInVain(at, searched))
                if recorder_lives && (searched == now || at.elapsed() < PAUSE_AFTER_TROUBLE) =>
            {
                (DamageState::SearchedInVain(at, searched), Damaged::Waits)
            }
            Some(DamageState::SearchedInVain(_, searched))
                if !recorder_lives && (!searched.recorder_lives || searched.length == now.length) =>
            {
                match trailing {
                    Trailing::Damaged => {
                        tracing::warn!(session = %self.session.token(), "{reason}, and nothing behind it can be read");
                        self.lose(reason, now.length.saturating_sub(self.offset));
                    }
                    Trailing::Incomplete { bytes } => self.note_torn(bytes),
                    Trailing::Nothing => {}
                }
                return Ok(Damaged::AtTheEnd);
            }
            before @ (None | Some(DamageState::Seen | DamageState::SearchedInVain(..))) => {
                if recorder_lives && matches!(before, Some(DamageState::Seen)) {
                    // A disk cannot have damaged what was written just now and is still in memory.
                    let reason = format!("{TAMPERED}: there is no record at byte {}", self.offset);
                    self.distrust(Cause::SPOOL_TAMPERED, reason);
                }
                let ticket = searches.search(self.spool().path().to_owned(), self.offset);
                (DamageState::BeingSearched(ticket, now), Damaged::Waits)
            }
        };
        self.damage = Some(Damage { offset: self.offset, state });
        Ok(damaged)
    }

    /// Notes a gap for bytes of the spool that cannot be read. The spool is kept for whoever can.
    fn lose(&mut self, reason: String, bytes: u64) {
        let gap =
            Shortfall::new(ShortfallKind::Gap, Cause::SPOOL_DAMAGED, reason.clone()).with_lost_bytes(bytes);
        self.segmenter.push_shortfall(self.last_at, &gap);
        self.distrust_silently(reason.clone());
        self.last_gap = Some(reason);
        self.offset += bytes;
        self.damage = None;
        self.damaged = true;
    }

    /// Notes the record at the end of the spool that its recorder did not finish. What it would have held was never shown.
    fn note_torn(&mut self, bytes: u64) {
        let reason = "the recorder ended while it wrote a record, which was not shown either";
        let torn =
            Shortfall::new(ShortfallKind::Truncation, Cause::RECORD_TORN, reason).with_lost_bytes(bytes);
        self.segmenter.push_shortfall(self.last_at, &torn);
        self.offset += bytes;
        self.damage = None;
    }

    /// Gives the segmenter the whole records there are, and cuts on the way.
    fn read_on(&mut self, compressor: &mut Compressor) -> Result<Reached, Box<dyn std::error::Error>> {
        let nothing_new = || Ok::<_, io::Error>(self.file.metadata()?.len() == self.offset);
        if self.exit.is_some() || self.held_exit.is_some() || nothing_new()? {
            self.incomplete = None;
            return Ok(Reached::End(Trailing::Nothing));
        }
        let limit = self.offset.saturating_add(MOST_AT_ONCE_BYTES);
        self.file.seek(SeekFrom::Start(self.offset))?;
        let mut reader = SpoolReader::new(self.file.try_clone()?, self.offset);
        loop {
            if self.offset >= limit {
                return Ok(Reached::Limit);
            }
            let Some(record) = reader.next_record()? else {
                let trailing = reader.trailing();
                self.note_trailing(trailing, reader.rest());
                return Ok(Reached::End(trailing));
            };
            let record = SpoolRecord { at: self.believable_time(record.at), ..record };
            // Only the first stream says how the command ended. In another it is a record like any that does not belong there.
            match HeldExit::of(&record, self.offset).filter(|_| self.stream == 0) {
                Some(exit) => {
                    if self.hold(exit) {
                        return Ok(Reached::End(Trailing::Nothing));
                    }
                }
                None => self.take(&record),
            }
            self.offset = reader.good_end();
            self.last_record = Some(LastRecord::of(reader.last_record(), self.offset));
            // By the records' own time: what is caught up after a pause is cut as it would have been.
            if self.segmenter.due(self.last_at) {
                self.note_counted();
                self.pending = self.segmenter.cut(compressor)?;
                self.keep_pending()?;
                // A segment costs the disk a moment, however little is in it.
                return Ok(Reached::Limit);
            }
        }
    }

    /// Gives the segmenter a record that is not an exit.
    fn take(&mut self, record: &SpoolRecord<'_>) {
        self.judge_cutting_back(says_a_gap(record));
        if record.at <= Micros::LATEST {
            self.last_at = self.last_at.max(record.at);
        }
        match self.segmenter.push(record) {
            Ok(Pushed::Gap(reason)) => {
                self.told_gaps.push(reason.clone());
                self.last_gap = Some(reason);
            }
            Ok(Pushed::Content | Pushed::Exit(_)) => {}
            Err(bad) => {
                // Its checksum is right, so a recorder of another version wrote it. It is reported, not ignored.
                let dropped =
                    Shortfall::new(ShortfallKind::Drop, Cause::RECORD_NOT_UNDERSTOOD, bad.to_string());
                let dropped = dropped.with_lost_bytes(record.payload.len() as u64);
                self.segmenter.push_shortfall(self.last_at, &dropped);
            }
        }
    }

    fn keep_pending(&mut self) -> io::Result<()> {
        if let Some(segment) = &self.pending {
            let record = CutRecord {
                stream: segment.header.stream,
                entry: segment.entry(),
                chain_before: segment.header.chain_before,
                spool_end: self.offset,
                state: self.segmenter.state().map_err(io::Error::other)?,
                exit: self.exit,
                last_gap: self.last_gap.clone(),
                damaged: self.damaged,
                distrusted: self.distrusted.clone(),
                last_record: self.last_record.clone(),
            };
            self.spool().keep_segment(&segment.bytes, &record)?;
            self.pending = None;
        }
        Ok(())
    }

    /// The stream's entry in the manifest, once it is cut to its end.
    pub(super) fn stream_entry(&self) -> io::Result<StreamEntry> {
        let entries = self.spool().cut_records()?.into_iter().map(|record| record.entry).collect();
        Ok(self.segmenter.stream_entry(entries))
    }
}
