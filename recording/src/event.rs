//! What was captured from a terminal: one enum, with the encoders around it.

use serde::{Deserialize, Serialize};

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
    /// The terminal was given these bytes to show, whatever they are.
    Output(Vec<u8>),
    /// The terminal changed its size.
    Resize(TerminalSize),
    /// Something that happened is not in the recording.
    Gap(Gap),
    /// The recorded command ended.
    Exit(ExitStatus),
}

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Characters in a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

/// A hole in what was captured: it is said, never passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Why, in words for a reader.
    pub reason: String,
    /// How many bytes of output are known to be lost; 0 when that is not known.
    pub lost_bytes: u64,
}

/// How a recorded command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitStatus {
    /// It ended by itself with this exit code.
    Code(u8),
    /// This signal ended it.
    Signal(u8),
}

impl ExitStatus {
    /// From the two halves that the standard library gives; `None` when they name neither a code nor a signal.
    #[must_use]
    pub fn from_parts(code: Option<i32>, signal: Option<i32>) -> Option<Self> {
        match (code, signal) {
            (Some(code), _) => u8::try_from(code).ok().map(Self::Code),
            (None, Some(signal)) => u8::try_from(signal).ok().map(Self::Signal),
            (None, None) => None,
        }
    }

    /// The code with which a shell would answer: the exit code, or 128 and the signal.
    #[must_use]
    pub fn shell_code(self) -> u8 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => signal.saturating_add(128),
        }
    }
}

impl TerminalEvent {
    /// Output at a time.
    #[must_use]
    pub fn output(at: Micros, bytes: impl Into<Vec<u8>>) -> Self {
        Self { at, kind: TerminalEventKind::Output(bytes.into()) }
    }

    /// A change of size at a time.
    #[must_use]
    pub fn resize(at: Micros, size: TerminalSize) -> Self {
        Self { at, kind: TerminalEventKind::Resize(size) }
    }

    /// A gap at a time.
    #[must_use]
    pub fn gap(at: Micros, reason: impl Into<String>, lost_bytes: u64) -> Self {
        Self { at, kind: TerminalEventKind::Gap(Gap { reason: reason.into(), lost_bytes }) }
    }

    /// The end of the command at a time.
    #[must_use]
    pub fn exit(at: Micros, status: ExitStatus) -> Self {
        Self { at, kind: TerminalEventKind::Exit(status) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_is_a_code_or_a_signal() {
        assert_eq!(ExitStatus::from_parts(Some(3), None), Some(ExitStatus::Code(3)));
        assert_eq!(ExitStatus::from_parts(None, Some(9)), Some(ExitStatus::Signal(9)));
        assert_eq!(ExitStatus::from_parts(None, None), None);
        assert_eq!(ExitStatus::from_parts(Some(-1), None), None);
        assert_eq!(ExitStatus::Signal(9).shell_code(), 137);
    }
}
