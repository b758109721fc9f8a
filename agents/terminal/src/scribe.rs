//! What of a session is written to which spool: output as bytes, up to a limit where there is no terminal; a file transfer
//! as what passed in it, and as bytes from where on that is not understood.

use std::io;

use agent_protocol::capture::CaptureError;
use agent_protocol::person::Output;
use recording::events::fact;
use recording::{Cause, EventLine, ExitStatus, Micros, Shortfall, ShortfallKind, TerminalSize};
use rustix::fd::BorrowedFd;
use transfer_observer::{Observer, OutputLimit, Transfer};

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
}

impl Scribe {
    /// For a session on a terminal, of which everything is recorded.
    pub(crate) fn of_terminal(shown: Spooler) -> Self {
        Scribe { shown, events: None, transfer: None, limits: None, limit_is_noted: false }
    }

    /// For a command between pipes, which may be a transfer.
    pub(crate) fn of_pipes(
        shown: Spooler,
        events: Spooler,
        transfer: Option<&Transfer>,
        most_output_bytes: u64,
    ) -> Self {
        let transfer = transfer.map(|transfer| Observer::new(transfer, shown.now()));
        let limit = |output| OutputLimit::new(output, most_output_bytes);
        let limits = [fact::Output::Output, fact::Output::ErrorOutput].map(limit);
        Scribe { shown, events: Some(events), transfer, limits: Some(limits), limit_is_noted: false }
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
        match output {
            _ if bytes.is_empty() => {}
            Output::Terminal | Output::Output => self.shown.output(bytes)?,
            Output::ErrorOutput => self.shown.error_output(bytes)?,
        }
        self.note_limit()
    }

    fn note(&mut self, events: &[EventLine]) -> Result<(), CaptureError> {
        let Some(spool) = &mut self.events else { return Ok(()) };
        events.iter().try_for_each(|event| spool.event(event))
    }

    /// Notes that the exit status is what the person's side says: the kernel does not say it.
    pub(crate) fn status_is_a_claim(&mut self) -> Result<(), CaptureError> {
        self.shown.ledger(Shortfall::new(
            ShortfallKind::DegradedMode,
            Cause::new("exit_status_claimed"),
            "the kernel does not say how the command ended: the status is what the person's side says",
        ))
    }

    pub(crate) fn resize(&mut self, size: TerminalSize) -> Result<(), CaptureError> {
        self.shown.resize(size)
    }

    /// Readable when a spool has failed in the background.
    pub(crate) fn failure_fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        [Some(&self.shown), self.events.as_ref()].into_iter().flatten().map(Spooler::failure_fd)
    }

    /// Whether a spool has failed.
    pub(crate) fn check(&self) -> Result<(), CaptureError> {
        self.shown.check()?;
        self.events.as_ref().map_or(Ok(()), Spooler::check)
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
            self.shown.ledger(limit)?;
        }
        Ok(())
    }

    fn limit_events(&self, now: Micros) -> Vec<EventLine> {
        self.limits.iter().flatten().filter_map(|limit| Some(limit.end()?.to_line(now))).collect()
    }

    /// Writes the exit record, as the last that this process writes.
    pub(crate) fn exit(mut self, status: ExitStatus) -> Result<(), CaptureError> {
        match self.finish() {
            Ok(()) => self.shown.exit(status),
            Err(error) => {
                self.shown.give_up(&crate::recorder::in_one_line(&error));
                Err(error)
            }
        }
    }

    /// Writes the reason of a failure, if that is still possible.
    pub(crate) fn give_up(mut self, reason: &str) {
        // The reason counts more than what this one fails of.
        let _ = self.finish();
        self.shown.give_up(reason);
    }

    /// For a failure in which this value is lost.
    pub(crate) fn copy(&mut self) -> io::Result<SpoolCopy> {
        self.shown.copy()
    }
}
