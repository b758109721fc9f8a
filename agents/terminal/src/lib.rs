//! The capture of terminal sessions, in three processes and the agent. The recorder ([`run_recorder`]), which the agent
//! starts, has a pseudo-terminal; what is printed there is written to the spool, and then sent to the person's side
//! ([`run_recorded`]), which shows it. That side starts the command, whose launcher ([`run_as_session_leader`]) reports
//! itself to the recorder. In the agent the spool's records become segments ([`TerminalSegmenting`]).
//!
//! Each of the three standard descriptors is handled separately: one that is not a terminal is connected to the command
//! by a pipe, byte for byte. Input is not recorded: what a person types is seen only as far as the terminal echoes it.

mod beginning;
mod channel;
mod client;
mod command_ends;
mod command_input;
mod control;
mod descriptors;
mod events_segmenter;
mod foreground;
mod gate;
mod inherited;
mod job_control;
mod kernel_exit;
mod keys;
mod launch;
pub mod left_over;
mod person;
mod process;
mod recorder;
mod scribe;
mod segmenter;
mod session;
mod shown;
mod signals;
mod sink;
mod spool_file;
mod spooler;
mod stdin_pipe;
mod stoppable;
mod unacknowledged;
mod wire;

use std::time::Duration;

use agent_protocol::capture::{BadState, Capability, Segmenter, SegmenterState, Segmenting, SpoolName};
use recording::{CaptureKind, CutPolicy, DeliveryMode, Start, Stream};
use rustix::event::Timespec;

pub use descriptors::connections_of_this_process;
pub use launch::{become_command, run_as_session_leader};
pub use person::PersonTerminal;
pub use process::run_recorder;
pub use session::run_recorded;

/// The kind that this crate announces.
pub const KIND: CaptureKind = CaptureKind::Terminal;

/// The environment variable that tells the recorded command its session.
pub const SESSION_VARIABLE: &str = "HANSARD_TERMINAL_SESSION_TOKEN";

/// Converts a terminal's spool to segments.
#[derive(Debug, Clone, Default)]
pub struct TerminalSegmenting {
    policy: CutPolicy,
}

/// The spool of what is shown. It also says how the command ended.
fn spool_name() -> SpoolName {
    SpoolName::parse(KIND.as_str()).unwrap_or_else(|_| unreachable!("the kind is a name"))
}

/// The spool of what is known besides: lines of the stream `events`, as [`recording::SpoolWriter::append_event`] writes them.
pub fn events_spool_name() -> SpoolName {
    SpoolName::parse(Stream::Events.name()).unwrap_or_else(|_| unreachable!("the stream is a name"))
}

impl Segmenting for TerminalSegmenting {
    fn capability(&self) -> Capability {
        Capability { kind: KIND.as_str().to_owned(), version: "1".to_owned() }
    }

    fn spools(&self) -> Vec<SpoolName> {
        vec![spool_name(), events_spool_name()]
    }

    fn segmenter(
        &self,
        spool: &SpoolName,
        start: &Start,
        start_document: &[u8],
        resume: Option<&SegmenterState>,
    ) -> Result<Box<dyn Segmenter>, BadState> {
        let policy = match start.delivery_mode {
            Some(DeliveryMode::Sync) => self.policy.sync(),
            Some(DeliveryMode::Async) | None => self.policy,
        };
        if *spool == events_spool_name() {
            let resume = resume.map(SegmenterState::read).transpose()?;
            let events = events_segmenter::EventsSegmenter::new(start, start_document, resume, policy);
            return Ok(Box::new(events));
        }
        let resume = resume.map(SegmenterState::read).transpose()?;
        Ok(Box::new(segmenter::TerminalSegmenter::new(start, start_document, resume, policy)))
    }
}

/// A duration in the form that system calls need.
fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}
