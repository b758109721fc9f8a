//! When a spool is not believed. Whoever is the agent's user can write to it, and shorten it unless the file system
//! forbids that: where people record themselves, these are the recorded people. If such a change is noticed, it is recorded
//! as a gap, and the recording ends as interrupted, whatever exit record the spool still gets; everything that can be read
//! is kept all the same.

use std::io;
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use agent_protocol::capture::Pushed;
use agent_protocol::clock;
use recording::spool::{self, RECORD_HEADER_BYTES};
use recording::{
    Cause, ExitStatus, Micros, RecordKind, Shortfall, ShortfallKind, SpoolRecord, TerminalEvent,
    TerminalEventKind, Trailing,
};

use super::{LastRecord, Tail};

/// How long a recorder may live after its exit record.
const END_WITHIN: Duration = Duration::from_secs(10);
/// How long a record may stay incomplete while its recorder lives: a disk can be slow, but a length can be a lie.
const WHOLE_WITHIN: Duration = Duration::from_secs(10);
/// How far a record's time may lie ahead of the wall clock after another start of the machine.
const AHEAD_OF_WALL_CLOCK: Micros = Micros::new(300_000_000);
/// How far a record's time may lie ahead of the clock.
const AHEAD_AT_MOST: Micros = Micros::new(1_000_000);

pub(super) const TAMPERED: &str = "the spool was tampered with";

/// An exit record that was read and is not believed yet.
#[derive(Debug)]
pub(super) struct HeldExit {
    at: Micros,
    status: ExitStatus,
    payload: Vec<u8>,
    /// The offset behind it.
    end: u64,
    since: Instant,
}

impl HeldExit {
    /// The record, if it is an exit; it stands at this offset.
    pub(super) fn of(record: &SpoolRecord<'_>, offset: u64) -> Option<HeldExit> {
        if record.kind != RecordKind::EXIT {
            return None;
        }
        let Ok(TerminalEvent { at, kind: TerminalEventKind::Exit(status) }) = record.terminal_event() else {
            return None;
        };
        let end = offset + (RECORD_HEADER_BYTES + record.payload.len()) as u64;
        Some(HeldExit { at, status, payload: record.payload.to_vec(), end, since: Instant::now() })
    }

    fn record(&self) -> SpoolRecord<'_> {
        SpoolRecord { at: self.at, kind: RecordKind::EXIT, payload: &self.payload }
    }
}

/// Records whose times were ahead of the clock, since the last that was noted.
#[derive(Debug, Default)]
pub(super) struct AheadOfClock {
    count: u64,
    since: Micros,
}

/// Whether a record says that something is missing: with that, a recorder gives up.
pub(super) fn says_a_gap(record: &SpoolRecord<'_>) -> bool {
    match record.kind {
        RecordKind::GAP => true,
        RecordKind::SHORTFALL => {
            record.shortfall().is_ok_and(|shortfall| shortfall.kind == ShortfallKind::Gap)
        }
        _ => false,
    }
}

impl Tail {
    /// From here on no exit record is believed. The reason stands in the recording at once, and is not held back until a segment
    /// is full or old: what comes next may be done to hide it.
    pub(super) fn distrust(&mut self, cause: Cause, reason: String) {
        tracing::warn!(session = %self.session.token(), "{reason}: the recording will end as interrupted");
        let gap = Shortfall::new(ShortfallKind::Gap, cause, reason.clone());
        self.segmenter.push_shortfall(self.last_at, &gap);
        self.cut_soon = true;
        self.distrust_silently(reason);
    }

    /// The same where a gap says it already.
    pub(super) fn distrust_silently(&mut self, reason: String) {
        if self.distrusted.is_none() {
            self.spool().progress().distrusted = Some(reason.clone());
            self.distrusted = Some(reason);
        }
    }

    /// What was read must still be there, before anything behind it is looked at.
    pub(super) fn check_what_was_read(&mut self) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        let stands = match &self.last_record {
            Some(last) => last.stands_in(&self.file)?,
            None => true,
        };
        let seen_stands = match &self.incomplete {
            Some((seen, _)) => seen.stands_in(&self.file)?,
            None => true,
        };
        if length < self.offset {
            let reason = format!("{TAMPERED}: it has {length} bytes, and {} had been read", self.offset);
            self.distrust(Cause::SPOOL_TAMPERED, reason);
            // Whatever is written next follows what is left.
            self.offset = length;
        } else if !stands {
            let reason = format!("{TAMPERED}: what had been read up to byte {} has changed", self.offset);
            self.distrust(Cause::SPOOL_TAMPERED, reason);
        } else {
            if length < self.longest {
                self.distrust_silently(format!(
                    "{TAMPERED}: it was cut back from {} bytes to {length}",
                    self.longest
                ));
                self.cut_back = true;
                self.incomplete = None;
            } else if !seen_stands {
                let reason = format!("{TAMPERED}: what followed byte {} has changed", self.offset);
                self.distrust(Cause::SPOOL_TAMPERED, reason);
                self.incomplete = None;
                self.damaged = true;
            }
            self.longest = length;
            return Ok(());
        }
        (self.longest, self.cut_back, self.incomplete) = (length, false, None);
        self.held_exit = None;
        self.last_record = None;
        // Whoever wants to look for the rest finds the file as it is.
        self.damaged = true;
        Ok(())
    }

    /// What stands at the end of the spool was seen, though it cannot be read yet.
    pub(super) fn note_trailing(&mut self, trailing: Trailing, rest: &[u8]) {
        let before = self.incomplete.take().filter(|(seen, _)| seen.offset() == self.offset);
        if let Trailing::Incomplete { bytes } = trailing {
            let end = self.offset + bytes;
            self.longest = self.longest.max(end);
            let since = before.map_or_else(Instant::now, |(_, since)| since);
            self.incomplete = Some((LastRecord::of(rest, end), since));
        }
    }

    /// Whether the record that is not whole is none that is about to be written.
    pub(super) fn stays_incomplete(&self) -> bool {
        self.incomplete.as_ref().is_some_and(|(_, since)| since.elapsed() >= WHOLE_WITHIN)
    }

    /// What comes next says who cut the spool back. A recorder that gives up takes off what it could not write whole, and leaves the
    /// reason; nobody else had anything to take off.
    pub(super) fn judge_cutting_back(&mut self, next_says_a_gap: bool) {
        if std::mem::take(&mut self.cut_back)
            && !next_says_a_gap
            && let Some(reason) = self.distrusted.clone()
        {
            self.distrust(Cause::SPOOL_TAMPERED, reason);
        }
    }

    /// Takes an exit record: it is held back until the recorder has ended, and then nothing further is to be read for now. False
    /// when it is not believed anyway.
    pub(super) fn hold(&mut self, exit: HeldExit) -> bool {
        self.judge_cutting_back(false);
        if self.distrusted.is_some() {
            let status = match exit.status {
                ExitStatus::Code(code) => format!("exit code {code}"),
                ExitStatus::Signal(signal) => format!("signal {signal}"),
            };
            let reason = format!("an exit record is not believed: {status}");
            let gap = Shortfall::new(ShortfallKind::Gap, Cause::EXIT_NOT_BELIEVED, reason);
            self.segmenter.push_shortfall(self.last_at, &gap);
            return false;
        }
        self.held_exit = Some(exit);
        true
    }

    /// Decides about an exit record that is held back. True when what stands behind it is to be read.
    pub(super) fn decide_on_exit(
        &mut self,
        recorder_lives: bool,
    ) -> Result<bool, Box<dyn std::error::Error>> {
        let Some(held) = self.held_exit.take() else { return Ok(false) };
        let length = self.file.metadata()?.len();
        if length > held.end {
            self.distrust(Cause::SPOOL_TAMPERED, format!("{TAMPERED}: something follows its exit record"));
        } else if length < held.end {
            self.distrust(Cause::SPOOL_TAMPERED, format!("{TAMPERED}: its exit record was cut off"));
        } else if !recorder_lives {
            self.last_at = self.last_at.max(held.at);
            self.segmenter.push(&held.record())?;
            self.exit = Some(held.status);
        } else if held.since.elapsed() >= END_WITHIN {
            let reason = "the recorder continued after its exit record".to_owned();
            self.distrust(Cause::RECORDER_CONTINUED, reason);
        } else {
            self.held_exit = Some(held);
            return Ok(false);
        }
        self.offset = held.end.min(length);
        Ok(self.exit.is_none())
    }

    /// A record's time; now, if it claims to come from later than that.
    pub(super) fn believable_time(&mut self, at: Micros) -> Micros {
        let (now, leeway) = if self.of_this_boot {
            let now = clock::boottime_micros().saturating_sub(self.session.note.start_boottime_micros);
            (now, AHEAD_AT_MOST.get())
        } else {
            // After another start of the machine that clock says nothing about this recording; the other one, what a clock can
            // say that is set. One that stands before the recording's start says nothing either.
            let since_start = clock::wall_millis() - self.session.start.started_at.as_millis();
            let Ok(since_start) = u64::try_from(since_start) else { return at };
            (since_start.saturating_mul(1_000), AHEAD_OF_WALL_CLOCK.get())
        };
        if at.get() <= now.saturating_add(leeway) {
            return at;
        }
        let ahead = Duration::from_micros(at.get() - now);
        let now = Micros::new(now);
        self.last_at = self.last_at.max(now);
        // Told once: each time is a line in the log, and records are cheap. Those that follow are counted.
        match &mut self.ahead_of_clock {
            None => {
                self.ahead_of_clock = Some(AheadOfClock::default());
                let reason =
                    format!("{TAMPERED}: a record's time is {} s ahead of the clock", ahead.as_secs());
                self.distrust(Cause::TIME_AHEAD_OF_CLOCK, reason);
            }
            Some(more) => {
                if more.count == 0 {
                    more.since = now;
                }
                more.count += 1;
            }
        }
        now
    }

    /// Notes what was counted since a segment was cut, so that it stands in the segment that holds it.
    pub(super) fn note_counted(&mut self) {
        let Some(AheadOfClock { count: count @ 1.., since }) = self.ahead_of_clock else { return };
        let reason = format!("{TAMPERED}: the times of {count} more records are ahead of the clock");
        let gap =
            Shortfall::new(ShortfallKind::Gap, Cause::TIME_AHEAD_OF_CLOCK, reason).counted(count, since);
        self.segmenter.push_shortfall(self.last_at, &gap);
        self.ahead_of_clock = Some(AheadOfClock::default());
    }

    /// Takes the reason for which a recorder gave up, if it stands behind a record that it could not write whole: it does not cut
    /// that off where it may only append. True when that is what could not be read.
    pub(super) fn meet_giving_up(
        &mut self,
        trailing: Trailing,
        recorder_lives: bool,
    ) -> Result<bool, Box<dyn std::error::Error>> {
        let may_be = match trailing {
            Trailing::Nothing => false,
            Trailing::Incomplete { .. } => !recorder_lives,
            Trailing::Damaged => true,
        };
        if !may_be {
            return Ok(false);
        }
        let rest = self.file.metadata()?.len().saturating_sub(self.offset);
        if rest > spool::LONGEST_GIVING_UP_BYTES as u64 {
            return Ok(false);
        }
        let mut bytes = vec![0; usize::try_from(rest).unwrap_or_default()];
        self.file.read_exact_at(&mut bytes, self.offset)?;
        let Some(record) = spool::find_giving_up(&bytes) else { return Ok(false) };
        let record = SpoolRecord { at: self.believable_time(record.at), ..record };
        self.last_at = self.last_at.max(record.at);
        if let Pushed::Gap(reason) = self.segmenter.push(&record)? {
            // An honest recorder writes nothing more, and certainly no exit record.
            self.distrust_silently(reason.clone());
            self.last_gap = Some(reason);
        }
        self.offset += rest;
        Ok(true)
    }
}
