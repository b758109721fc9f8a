//! What of a session is written to which spool: output as bytes, up to a limit where there is no terminal; a file transfer
//! as what passed in it, and as bytes from where on that is not understood.

use std::io;
use std::time::{Duration, Instant};

use agent_protocol::capture::CaptureError;
use agent_protocol::person::Output;
use recording::events::fact;
use recording::{
    Cause, EventLine, ExitStatus, FailurePolicy, Micros, Shortfall, ShortfallKind, TerminalSize,
};
use rustix::fd::BorrowedFd;
use transfer_observer::{Observer, OutputLimit, Transfer};

use crate::recorder::{cause_of, in_one_line};
use crate::spooler::{SpoolCopy, Spooler};

/// The spools of a session, and what decides what goes there.
pub(crate) struct Scribe {
    shown: Spooler,
    /// Only where there can be events.
    events: Option<Spooler>,
    transfer: Option<Observer>,
    /// For standard output and standard error, where output has a limit.
    limits: Option<[OutputLimit; 2]>,
    limit_is_noted: bool,
    policy: FailurePolicy,
    /// Set while nothing can be recorded and the session goes on all the same.
    unrecorded: Option<Unrecorded>,
    /// What the person is to be told.
    notice: Option<String>,
    /// What is to be written to the ledger as soon as anything can be recorded.
    owed: Vec<Shortfall>,
}

/// What is not recorded of a session that goes on.
struct Unrecorded {
    cause: Cause,
    reason: String,
    since: Micros,
    /// Of these the spools do not know yet.
    bytes: u64,
    events: u64,
    /// That there is a gap stands in the spool.
    gap_is_written: bool,
    /// The size that the terminal got meanwhile.
    size: Option<TerminalSize>,
    try_again_at: Instant,
}

impl Unrecorded {
    fn gap(&self) -> Shortfall {
        Shortfall::new(ShortfallKind::Gap, self.cause.clone(), self.reason.clone()).counted(1, self.since)
    }
}

/// How often it is tried to record again.
#[cfg(not(test))]
const TRY_AGAIN_EVERY: Duration = Duration::from_secs(1);
#[cfg(test)]
const TRY_AGAIN_EVERY: Duration = Duration::ZERO;

impl Scribe {
    /// For a session on a terminal, of which everything is recorded.
    pub(crate) fn of_terminal(shown: Spooler, policy: FailurePolicy) -> Self {
        Scribe {
            shown,
            events: None,
            transfer: None,
            limits: None,
            limit_is_noted: false,
            policy,
            unrecorded: None,
            notice: None,
            owed: Vec::new(),
        }
    }

    /// For a command between pipes, which may be a transfer.
    pub(crate) fn of_pipes(
        shown: Spooler,
        events: Spooler,
        transfer: Option<&Transfer>,
        most_output_bytes: u64,
        policy: FailurePolicy,
    ) -> Self {
        let transfer = transfer.map(|transfer| Observer::new(transfer, shown.now()));
        let limit = |output| OutputLimit::new(output, most_output_bytes);
        let limits = [fact::Output::Output, fact::Output::ErrorOutput].map(limit);
        Scribe { events: Some(events), transfer, limits: Some(limits), ..Scribe::of_terminal(shown, policy) }
    }

    /// What happens to the session when it cannot be recorded.
    pub(crate) fn policy(&self) -> FailurePolicy {
        self.policy
    }

    /// How much was written to each spool.
    pub(crate) fn written(&self) -> [u64; 2] {
        [self.shown.written(), self.events.as_ref().map_or(0, Spooler::written)]
    }

    /// Notes that the session goes on although the control plane does not acknowledge what was shown.
    pub(crate) fn not_acknowledged(&mut self, reason: String) -> Result<(), CaptureError> {
        let degraded = Shortfall::new(ShortfallKind::DegradedMode, Cause::DELIVERY_NOT_ACKNOWLEDGED, reason);
        self.ledger(degraded)
    }

    /// What the person is to be told of the recording.
    pub(crate) fn take_notice(&mut self) -> Option<String> {
        self.notice.take()
    }

    /// Writes to the spools, as long as that is possible; what then happens is the session's failure policy. `bytes` and
    /// `events` are what is lost otherwise.
    fn record(
        &mut self,
        (bytes, events): (u64, u64),
        write: impl FnOnce(&mut Self) -> Result<(), CaptureError>,
    ) -> Result<(), CaptureError> {
        if self.unrecorded.as_ref().is_some_and(|lost| lost.try_again_at <= Instant::now()) {
            self.try_again();
        }
        if let Some(lost) = &mut self.unrecorded {
            lost.bytes += bytes;
            lost.events += events;
            return Ok(());
        }
        match write(self) {
            Err(CaptureError::Lost { reason }) if self.policy == FailurePolicy::BestEffort => {
                self.notice = Some(format!(
                    "the recording has failed, and the session goes on without it (FailurePolicy best_effort): {reason}"
                ));
                let lost = self.stop_recording(Cause::SPOOL_FAILED, reason, Instant::now() + TRY_AGAIN_EVERY);
                (lost.bytes, lost.events) = (bytes, events);
                Ok(())
            }
            written => written,
        }
    }

    fn stop_recording(&mut self, cause: Cause, reason: String, try_again_at: Instant) -> &mut Unrecorded {
        let (since, gap_is_written, size) = (self.shown.now(), false, None);
        let lost =
            Unrecorded { cause, reason, since, bytes: 0, events: 0, gap_is_written, size, try_again_at };
        self.unrecorded.insert(lost)
    }

    /// Records nothing until then, unless the session ends before.
    ///
    /// # Errors
    /// The session must not go on without its recording.
    pub(crate) fn pause(&mut self, reason: String, until: Instant) -> Result<(), String> {
        if self.policy != FailurePolicy::BestEffort {
            return Err("the session must not go on without its recording (FailurePolicy strict)".to_owned());
        }
        match &mut self.unrecorded {
            Some(lost) => lost.try_again_at = lost.try_again_at.max(until),
            None => {
                self.notice = Some(format!(
                    "the session goes on without its recording (FailurePolicy best_effort): {reason}"
                ));
                self.stop_recording(Cause::SPOOL_LIMIT, reason, until);
            }
        }
        Ok(())
    }

    /// Records again, if that is possible now.
    fn try_again(&mut self) {
        let Some(mut lost) = self.unrecorded.take() else { return };
        if self.recover(&mut lost).is_ok() {
            self.notice = Some("the session is recorded again".to_owned());
        } else {
            lost.try_again_at = Instant::now() + TRY_AGAIN_EVERY;
            self.unrecorded = Some(lost);
        }
    }

    /// Writes what the spools do not know yet. What was written is not written again when a later step fails.
    fn recover(&mut self, lost: &mut Unrecorded) -> Result<(), CaptureError> {
        if let Some(events) = &mut self.events {
            let gap = (lost.events > 0).then(|| lost.gap().with_lost_events(lost.events));
            events.recover(gap)?;
            lost.events = 0;
        }
        let is_new = lost.bytes > 0 || !lost.gap_is_written;
        self.shown.recover(is_new.then(|| lost.gap().with_lost_bytes(lost.bytes)))?;
        lost.bytes = 0;
        lost.gap_is_written = true;
        lost.size.map_or(Ok(()), |size| self.shown.resize(size))?;
        self.write_what_is_owed()
    }

    /// Writes what the ledger lacks. What was written is not written again when a later entry fails.
    fn write_what_is_owed(&mut self) -> Result<(), CaptureError> {
        while let Some(owed) = self.owed.first() {
            self.shown.ledger(owed.clone())?;
            self.owed.remove(0);
        }
        Ok(())
    }

    /// Takes bytes that go to the command by a pipe, before the command can see them. They are not recorded.
    pub(crate) fn input(&mut self, bytes: &[u8]) -> Result<(), CaptureError> {
        let Some(transfer) = &mut self.transfer else { return Ok(()) };
        transfer.input(self.shown.now(), bytes);
        let events = transfer.take_events();
        self.note(&events)
    }

    /// Writes output. Only then may it be shown.
    pub(crate) fn output(&mut self, output: Output, bytes: &[u8]) -> Result<(), CaptureError> {
        match &mut self.transfer {
            Some(transfer) if output == Output::Output => {
                let of_this = transfer.output(self.shown.now(), bytes);
                let events = transfer.take_events();
                self.note(&events)?;
                self.write(output, &of_this.before)?;
                self.write(output, &bytes[of_this.of_this])
            }
            _ => self.write(output, bytes),
        }
    }

    fn write(&mut self, output: Output, bytes: &[u8]) -> Result<(), CaptureError> {
        let bytes = match (&mut self.limits, output) {
            (Some([limit, _]), Output::Output) | (Some([_, limit]), Output::ErrorOutput) => limit.take(bytes),
            (_, Output::Terminal) | (None, _) => bytes,
        };
        if !bytes.is_empty() {
            self.record((bytes.len() as u64, 0), |scribe| match output {
                Output::Terminal | Output::Output => scribe.shown.output(bytes),
                Output::ErrorOutput => scribe.shown.error_output(bytes),
            })?;
        }
        self.note_limit()
    }

    fn note(&mut self, events: &[EventLine]) -> Result<(), CaptureError> {
        // One by one: those before the one that fails are not lost.
        events.iter().try_for_each(|event| {
            self.record((0, 1), |scribe| scribe.events.as_mut().map_or(Ok(()), |spool| spool.event(event)))
        })
    }

    /// Notes that the exit status is what the person's side says: the kernel does not say it.
    pub(crate) fn status_is_a_claim(&mut self) -> Result<(), CaptureError> {
        let claim = Shortfall::new(
            ShortfallKind::DegradedMode,
            Cause::new("exit_status_claimed"),
            "the kernel does not say how the command ended: the status is what the person's side says",
        );
        self.ledger(claim)
    }

    /// Notes what the recording lacks, or did less; if nothing can be recorded now, as soon as it can.
    pub(crate) fn ledger(&mut self, shortfall: Shortfall) -> Result<(), CaptureError> {
        self.owed.push(shortfall);
        self.record((0, 0), Self::write_what_is_owed)
    }

    /// The recording's time.
    pub(crate) fn now(&self) -> Micros {
        self.shown.now()
    }

    pub(crate) fn resize(&mut self, size: TerminalSize) -> Result<(), CaptureError> {
        self.record((0, 0), |scribe| scribe.shown.resize(size))?;
        if let Some(lost) = &mut self.unrecorded {
            lost.size = Some(size);
        }
        Ok(())
    }

    /// Readable when a spool has failed in the background; none once that is known.
    pub(crate) fn failure_fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let known = self.unrecorded.is_some();
        let spools = [Some(&self.shown), self.events.as_ref()].into_iter().flatten();
        spools.filter(move |_| !known).map(Spooler::failure_fd)
    }

    /// Whether a spool has failed.
    pub(crate) fn check(&mut self) -> Result<(), CaptureError> {
        self.record((0, 0), |scribe| {
            scribe.shown.check()?;
            scribe.events.as_ref().map_or(Ok(()), Spooler::check)
        })
    }

    /// Writes what is known only at the end.
    fn finish(&mut self) -> Result<(), CaptureError> {
        let now = self.shown.now();
        if let Some(mut transfer) = self.transfer.take() {
            let rest = transfer.end(now);
            self.note(&transfer.take_events())?;
            self.write(Output::Output, &rest)?;
        }
        let limits: Vec<EventLine> = self.limit_events(now);
        self.note(&limits)?;
        self.events.take().map_or(Ok(()), Spooler::close)
    }

    /// Notes the limit in the ledger when it begins to matter.
    fn note_limit(&mut self) -> Result<(), CaptureError> {
        let exceeded = self.limits.iter().flatten().any(OutputLimit::is_exceeded);
        if exceeded && !std::mem::replace(&mut self.limit_is_noted, true) {
            let limit = Shortfall::new(
                ShortfallKind::StatedLimit,
                Cause::new("output_limit"),
                "the command put out more than is recorded; what follows is counted and hashed",
            );
            self.ledger(limit)?;
        }
        Ok(())
    }

    fn limit_events(&self, now: Micros) -> Vec<EventLine> {
        self.limits.iter().flatten().filter_map(|limit| Some(limit.end()?.to_line(now))).collect()
    }

    /// Writes the exit record, as the last that this process writes.
    pub(crate) fn exit(mut self, status: ExitStatus) -> Result<(), CaptureError> {
        self.try_again();
        if let Some(lost) = &self.unrecorded {
            // The command has ended well, and the recording ends with the reason why its end is missing.
            let (cause, reason) = (lost.cause.clone(), lost.reason.clone());
            self.give_up(cause, &reason);
            return Ok(());
        }
        let ended = match self.finish() {
            // What was lost just now is told with the reason.
            Ok(()) if self.unrecorded.is_some() => return self.exit(status),
            Ok(()) => self.shown.exit(status),
            Err(error) => {
                self.shown.give_up(cause_of(&error), &in_one_line(&error));
                Err(error)
            }
        };
        match ended {
            // The command has ended as it did, and its recording says why its end is missing.
            Err(_) if self.policy == FailurePolicy::BestEffort => Ok(()),
            ended => ended,
        }
    }

    /// Writes the reason of a failure, if that is still possible.
    pub(crate) fn give_up(mut self, cause: Cause, reason: &str) {
        // The reason counts more than what this one fails of.
        let _ = self.finish();
        match self.unrecorded {
            Some(lost) if lost.bytes > 0 => {
                let bytes = lost.bytes;
                self.shown
                    .give_up(cause, &format!("{reason}; the last {bytes} bytes of output are not recorded"));
            }
            _ => self.shown.give_up(cause, reason),
        }
    }

    /// For a failure in which this value is lost.
    pub(crate) fn copy(&mut self) -> io::Result<SpoolCopy> {
        self.shown.copy()
    }
}

#[cfg(test)]
mod tests;
