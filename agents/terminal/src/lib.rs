//! Capture of terminal sessions. In the person's process a command runs on a pseudo-terminal of its own; what it prints is spooled,
//! then shown. In the agent the spool's records become segments.
//!
//! Input is not recorded: what a person types is seen only as far as the terminal echoes it.

mod input;
mod person;
mod pty;
mod relay;
mod segmenter;
mod signals;
mod spooler;

use std::ffi::OsString;

use agent_protocol::capture::{Capability, Capture, CaptureError, CaptureSession, Segmenter};
use recording::{CutPolicy, CutterState, ExitStatus, Start, Stream};

pub use person::PersonTerminal;
pub use pty::run_as_session_leader;

/// The kind that this crate announces.
pub const KIND: &str = "terminal";

/// The environment variable that tells the recorded command its session.
pub const SESSION_VARIABLE: &str = "HANSARD_TERMINAL_SESSION_TOKEN";

/// The terminal kind of capture.
#[derive(Debug, Clone)]
pub struct TerminalCapture {
    launcher: Vec<OsString>,
    policy: CutPolicy,
}

impl TerminalCapture {
    /// A capture that starts commands through `launcher`: a program and arguments which, followed by a command, make themselves the
    /// leader of a session on their standard input's terminal and then become the command. [`run_as_session_leader`] does that; a
    /// process cannot do it to its child without code that runs between fork and exec.
    pub fn new(launcher: Vec<OsString>) -> Self {
        TerminalCapture { launcher, policy: CutPolicy::default() }
    }
}

impl Capture for TerminalCapture {
    fn capability(&self) -> Capability {
        Capability { kind: KIND.to_owned(), version: "1".to_owned() }
    }

    fn stream(&self) -> Stream {
        Stream::Terminal
    }

    fn segmenter(
        &self,
        start: &Start,
        start_document: &[u8],
        resume: Option<CutterState>,
    ) -> Box<dyn Segmenter> {
        Box::new(segmenter::TerminalSegmenter::new(start, start_document, resume, self.policy))
    }

    fn run(&self, session: CaptureSession) -> Result<ExitStatus, CaptureError> {
        relay::run(&self.launcher, session)
    }
}
