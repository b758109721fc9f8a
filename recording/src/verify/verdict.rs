//! The result of a verification in one word.

use std::fmt;

use super::{Integrity, Standing, Verification};
use crate::end::RecordingEnd;

/// The verdict on a recording: the first row that applies in the table of `FORMAT.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Something contradicts the rest of the recording, or it is not the recording that was asked for.
    Inconsistent,
    /// The signer's key is not trusted for this agent, instance and account, or nothing states which keys are.
    Untrusted,
    /// Something is missing, or it is not sealed.
    ProvenPrefix,
    /// It is sealed, and has no segments.
    Empty,
    /// All of it is present, but the end of the command is not recorded.
    Interrupted,
    /// All of it is present and the command ended, but something was lost during the recording.
    CompleteWithLoss,
    /// None of the above.
    Complete,
}

impl Verdict {
    /// All verdicts, in the order of the table.
    pub const ALL: [Self; 7] = [
        Self::Inconsistent,
        Self::Untrusted,
        Self::ProvenPrefix,
        Self::Empty,
        Self::Interrupted,
        Self::CompleteWithLoss,
        Self::Complete,
    ];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inconsistent => "inconsistent",
            Self::Untrusted => "untrusted",
            Self::ProvenPrefix => "proven prefix",
            Self::Empty => "empty",
            Self::Interrupted => "interrupted",
            Self::CompleteWithLoss => "complete with loss",
            Self::Complete => "complete",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Verification {
    /// Whether anything was lost, in whatever stream.
    fn has_loss(&self) -> bool {
        self.totals().gaps() > 0 || self.streams.iter().any(|stream| stream.ledger.has_loss())
    }

    /// The verdict.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let manifest_holds = match &self.integrity {
            Integrity::Inconsistent { .. } => return Verdict::Inconsistent,
            Integrity::ProvenPrefix { .. } => false,
            Integrity::Complete { .. } => true,
        };
        match self.signer.as_ref().map(|signer| &signer.standing) {
            Some(Standing::Trusted(_) | Standing::TrustedByLeave(_) | Standing::NotAsked) => {}
            Some(Standing::Untrusted { .. }) | None => return Verdict::Untrusted,
        }
        if !manifest_holds {
            return Verdict::ProvenPrefix;
        }
        if self.segments() == 0 {
            return Verdict::Empty;
        }
        match &self.end {
            Some(RecordingEnd::Exited(_)) if self.has_loss() => Verdict::CompleteWithLoss,
            Some(RecordingEnd::Exited(_)) => Verdict::Complete,
            Some(RecordingEnd::Interrupted { .. }) | None => Verdict::Interrupted,
        }
    }
}
