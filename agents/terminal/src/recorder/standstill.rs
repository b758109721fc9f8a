//! Notices that the person's side was stopped while the session went on. What the session prints is recorded all the same, but
//! the person does not see it, and may see something else in their window meanwhile: the recording says so.
//!
//! The kernel tells nobody but a process's parent that it was stopped. So this looks, and only when there is a reason: a moment
//! after output was sent, and from then on as long as the person's side is stopped. A session in which nothing is printed wakes
//! nobody. A suspended session (Ctrl-Z before `record`) is none of this: its command is stopped as well.

use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use agent_protocol::capture::CaptureError;
use agent_protocol::processes::{self, ProcessFacts};
use agent_protocol::recorder::CommandNote;
use nix::sys::socket::{getsockopt, sockopt};
use recording::{Cause, Micros, Shortfall, ShortfallKind};

use crate::scribe::Scribe;

/// How long after output.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// The process of the person's side, as far as it is watched.
pub(super) struct Standstill {
    /// Its id and its start; `None` where the kernel does not say it.
    process: Option<(i32, u64)>,
    look_at: Option<Instant>,
    stopped_since: Option<Micros>,
}

impl Standstill {
    /// Of the process at the other end, which may have ended by now.
    pub(super) fn of(person: &UnixStream) -> Self {
        let peer = getsockopt(person, sockopt::PeerCredentials).ok();
        // 0 is a process in a PID namespace that this one cannot see.
        let process = peer.map(|peer| peer.pid()).filter(|id| *id > 0).and_then(|id| {
            let facts = ProcessFacts::find(id).ok().flatten()?;
            Some((id, facts.start_ticks))
        });
        Standstill { process, look_at: None, stopped_since: None }
    }

    /// Output was sent that it should take soon.
    pub(super) fn output_was_sent(&mut self, now: Instant) {
        if self.process.is_some() {
            self.look_at.get_or_insert(now + LOOK_AFTER);
        }
    }

    /// How long nothing has to be looked at.
    pub(super) fn until_look(&self, now: Instant) -> Option<Duration> {
        self.look_at.map(|at| at.saturating_duration_since(now))
    }

    /// Looks, when it is time.
    pub(super) fn look(
        &mut self,
        now: Instant,
        command: Option<&CommandNote>,
        scribe: &mut Scribe,
    ) -> Result<(), CaptureError> {
        if self.look_at.is_none_or(|at| now < at) {
            return Ok(());
        }
        self.look_at = None;
        let is_stopped = |(id, start_ticks)| processes::is_stopped(id, start_ticks).unwrap_or(false);
        let of_command = command.map(|note| (note.process_id, note.start_ticks));
        if self.process.is_some_and(is_stopped) && !of_command.is_some_and(is_stopped) {
            self.stopped_since.get_or_insert_with(|| scribe.now());
            self.look_at = Some(now + LOOK_AFTER);
            return Ok(());
        }
        self.note(scribe)
    }

    /// Notes a standstill that is over, or ends with the session.
    pub(super) fn note(&mut self, scribe: &mut Scribe) -> Result<(), CaptureError> {
        let Some(since) = self.stopped_since.take() else { return Ok(()) };
        let standstill = Shortfall::new(
            ShortfallKind::DegradedMode,
            Cause::new("person_side_stopped"),
            "the person's side was stopped by a signal or a debugger while the session went on: what was printed meanwhile is \
             recorded, but was not shown to the person then",
        );
        scribe.ledger(standstill.counted(1, since))
    }
}
