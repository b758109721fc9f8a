//! What a reader should know of the circumstances of a capture. None of it is a loss.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A circumstance, as `start.json` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CaptureNote {
    /// The recorder may not give terminals to the recorded user.
    TerminalNotByName,
    /// The recorder may not end processes of the recorded user.
    LeftOverNotEnded,
    /// The person could open the terminal around the session by its name.
    OuterTerminalByName,
    /// The session began in another mount namespace than the agent's.
    OtherMountNamespace,
    /// The session began in another PID namespace than the agent's.
    OtherPidNamespace,
    /// The session began in another user namespace than the agent's.
    OtherUserNamespace,
    /// One that a later version knows.
    #[serde(other)]
    Unknown,
}

impl CaptureNote {
    /// What it means, in one sentence without a full stop.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::TerminalNotByName => {
                "the agent has no CAP_CHOWN and CAP_FOWNER, so programs could not open the terminal by its name"
            }
            Self::LeftOverNotEnded => {
                "the agent has no CAP_KILL, so what is left of a session whose recording fails is only hung up"
            }
            Self::OuterTerminalByName => {
                "the person's own terminal could not be taken away for the session, so others than the session could use it"
            }
            Self::OtherMountNamespace => "the session began in another mount namespace than the agent's",
            Self::OtherPidNamespace => "the session began in another PID namespace than the agent's",
            Self::OtherUserNamespace => "the session began in another user namespace than the agent's",
            Self::Unknown => "a later version noted something that this one does not know",
        }
    }
}

impl fmt::Display for CaptureNote {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.meaning())
    }
}
