//! How a recording ends.

use serde::{Deserialize, Serialize};

/// How a recording ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordingEnd {
    /// The recorded command ended.
    Exited(ExitStatus),
    /// The recording broke off before the command ended.
    Interrupted {
        /// Why, in words for a reader.
        reason: String,
    },
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
