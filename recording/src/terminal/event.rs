//! What was captured from a terminal: one enum, with the encoders around it.

use serde::{Deserialize, Serialize};

use crate::end::ExitStatus;
use crate::ledger::Shortfall;
use crate::timestamp::Micros;

/// One thing that happened on a recorded terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TerminalEvent {
    /// When, since the start of the recording.
    pub at: Micros,
    /// What.
    pub kind: TerminalEventKind,
}

/// What can happen on a recorded terminal. Input is not recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TerminalEventKind {
    /// The terminal was given these bytes to show, whatever they are; or they went to a standard output that is no terminal.
    Output(Vec<u8>),
    /// These bytes went to a standard error that is not a terminal. Everything that goes to a terminal is one stream.
    ErrorOutput(Vec<u8>),
    /// The terminal changed its size.
    Resize(TerminalSize),
    /// Something that happened is not in the recording, or less of it than might be.
    Shortfall(Shortfall),
    /// The recorded command ended.
    Exit(ExitStatus),
}

impl TerminalEventKind {
    /// Whether it is one of the events that a manifest counts. A stated limit and a degraded mode are not, because readers that
    /// know no ledger skip their lines.
    pub(crate) fn counts(&self) -> bool {
        !matches!(self, Self::Shortfall(shortfall) if !shortfall.kind.is_loss())
    }

    /// The bytes that a person was given to see, by either output.
    #[must_use]
    pub fn shown(&self) -> Option<&[u8]> {
        match self {
            Self::Output(bytes) | Self::ErrorOutput(bytes) => Some(bytes),
            Self::Resize(_) | Self::Shortfall(_) | Self::Exit(_) => None,
        }
    }
}

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Characters in a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

impl TerminalSize {
    /// What stands where a format demands a size and there is no terminal.
    pub const WITHOUT_TERMINAL: Self = Self { columns: 80, rows: 24 };
}

impl TerminalEvent {
    /// Output at a time.
    #[must_use]
    pub fn output(at: Micros, bytes: impl Into<Vec<u8>>) -> Self {
        Self { at, kind: TerminalEventKind::Output(bytes.into()) }
    }

    /// Output to a standard error that is no terminal, at a time.
    #[must_use]
    pub fn error_output(at: Micros, bytes: impl Into<Vec<u8>>) -> Self {
        Self { at, kind: TerminalEventKind::ErrorOutput(bytes.into()) }
    }

    /// A change of size at a time.
    #[must_use]
    pub fn resize(at: Micros, size: TerminalSize) -> Self {
        Self { at, kind: TerminalEventKind::Resize(size) }
    }

    /// A gap at a time, without a cause for programs.
    #[must_use]
    pub fn gap(at: Micros, reason: impl Into<String>, lost_bytes: u64) -> Self {
        Self::shortfall(at, Shortfall::unstated(reason.into(), lost_bytes))
    }

    /// A shortfall at a time.
    #[must_use]
    pub fn shortfall(at: Micros, shortfall: Shortfall) -> Self {
        Self { at, kind: TerminalEventKind::Shortfall(shortfall) }
    }

    /// The end of the command at a time.
    #[must_use]
    pub fn exit(at: Micros, status: ExitStatus) -> Self {
        Self { at, kind: TerminalEventKind::Exit(status) }
    }
}
