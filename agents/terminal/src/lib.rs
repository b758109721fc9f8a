//! The capture of terminal sessions, in two halves. The recorder ([`TerminalRecorder`]) runs a command on a
//! pseudo-terminal of its own; what it prints is written to the spool, and then shown. In the agent the spool's records
//! become segments ([`TerminalSegmenting`]).
//!
//! Each of the three standard descriptors is handled separately: one that is not a terminal is connected to the command
//! by a pipe, byte for byte. Input is not recorded: what a person types is seen only as far as the terminal echoes it.

mod channel;
mod client;
mod command_input;
mod descriptors;
mod gate;
mod job_control;
mod keys;
mod launch;
mod person;
mod recorder;
mod segmenter;
mod session;
mod shown;
mod signals;
mod sink;
mod spooler;
mod stdin_pipe;
mod stoppable;
mod wire;

use std::ffi::OsString;
use std::time::Duration;

use agent_protocol::capture::{
    BadState, Capability, CaptureError, RecorderSession, Segmenter, SegmenterState, Segmenting, SpoolName,
};
use recording::{CaptureKind, CutPolicy, ExitStatus, Start};
use rustix::event::Timespec;

pub use launch::{become_command, run_as_session_leader};
pub use person::PersonTerminal;

/// The kind that this crate announces.
pub const KIND: CaptureKind = CaptureKind::Terminal;

/// The environment variable that tells the recorded command its session.
pub const SESSION_VARIABLE: &str = "HANSARD_TERMINAL_SESSION_TOKEN";

/// Records a command. Today it runs in the process of the person who runs the command.
#[derive(Debug, Clone)]
pub struct TerminalRecorder {
    launcher: Vec<OsString>,
}

impl TerminalRecorder {
    /// A recorder that starts commands through `launcher`: a program and arguments which, followed by optional
    /// `--login-shell`, `--` and a command, become the leader of a session on the terminal among their standard
    /// descriptors and then the command. [`run_as_session_leader`] does that; a process cannot do it to its child
    /// without code that runs between fork and exec.
    pub fn new(launcher: Vec<OsString>) -> Self {
        TerminalRecorder { launcher }
    }

    /// Runs the command, and writes its output to the spool before it is shown. It returns when the command has ended.
    ///
    /// # Errors
    /// The session could not begin, or could not be recorded any longer and was ended.
    pub fn record(&self, session: RecorderSession) -> Result<ExitStatus, CaptureError> {
        session::run(&self.launcher, session)
    }
}

/// Converts a terminal's spool to segments.
#[derive(Debug, Clone, Default)]
pub struct TerminalSegmenting {
    policy: CutPolicy,
}

/// The single spool of a terminal recording.
fn spool_name() -> SpoolName {
    SpoolName::parse(KIND.as_str()).unwrap_or_else(|_| unreachable!("the kind is a name"))
}

impl Segmenting for TerminalSegmenting {
    fn capability(&self) -> Capability {
        Capability { kind: KIND.as_str().to_owned(), version: "1".to_owned() }
    }

    fn spools(&self) -> Vec<SpoolName> {
        vec![spool_name()]
    }

    fn segmenter(
        &self,
        _spool: &SpoolName,
        start: &Start,
        start_document: &[u8],
        resume: Option<&SegmenterState>,
    ) -> Result<Box<dyn Segmenter>, BadState> {
        let resume = resume.map(SegmenterState::read).transpose()?;
        Ok(Box::new(segmenter::TerminalSegmenter::new(start, start_document, resume, self.policy)))
    }
}

/// A duration in the form that system calls need.
fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}
