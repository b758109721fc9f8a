//! What was recorded.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The kind of the recorded session. It is also the value of the condition key `ecs-workbench:CaptureKind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptureKind {
    /// A session of a person or a program: on a terminal, over SSH or between pipes.
    Terminal,
    /// A run by an API call, which nobody watches.
    Command,
    /// A graphical session.
    Desktop,
}

impl CaptureKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Terminal, Self::Command, Self::Desktop];

    /// The kind as `start.json`, rows and policies write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Terminal => "terminal",
            Self::Command => "command",
            Self::Desktop => "desktop",
        }
    }

    /// Whether its end is that of the command, which the stream `terminal` contains. A desktop records its own end.
    #[must_use]
    pub const fn ends_in_its_terminal(self) -> bool {
        match self {
            Self::Terminal | Self::Command => true,
            Self::Desktop => false,
        }
    }
}

impl fmt::Display for CaptureKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Text that is no [`CaptureKind`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{shown}\" is no kind of capture; there are terminal, command and desktop")]
pub struct UnknownCaptureKind {
    shown: String,
}

impl std::str::FromStr for CaptureKind {
    type Err = UnknownCaptureKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        known.ok_or_else(|| UnknownCaptureKind { shown: crate::ids::shown(text) })
    }
}
