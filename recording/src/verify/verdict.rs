//! What a verification comes to, in one word.

use std::fmt;

use super::{Integrity, Standing, Verification};
use crate::end::RecordingEnd;

/// The verdict on a recording: of the table in `FORMAT.md` the first row that fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Something contradicts the rest, or it is not the recording that was asked for.
    Inconsistent,
    /// The signer's key is not trusted for this agent, instance and account, or nothing says which keys are.
    Untrusted,
    /// Something is missing, or it is not sealed.
    ProvenPrefix,
    /// It is sealed, and has no segment.
    Empty,
    /// All is there, and the command's end is not.
    Interrupted,
    /// All is there and the command ended, and on the way something was lost.
    CompleteWithLoss,
    /// None of these.
    Complete,
}

impl Verdict {
    /// Every verdict, in the table's order.
    pub const ALL: [Self; 7] = [
        Self::Inconsistent,
        Self::Untrusted,
        Self::ProvenPrefix,
        Self::Empty,
        Self::Interrupted,
        Self::CompleteWithLoss,
        Self::Complete,
    ];

    /// The word.
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
    /// The verdict.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let manifest_holds = match &self.integrity {
            Integrity::Inconsistent { .. } => return Verdict::Inconsistent,
            Integrity::ProvenPrefix { .. } => false,
            Integrity::Complete { .. } => true,
        };
        match self.signer.as_ref().map(|signer| &signer.standing) {
            Some(Standing::Trusted(_) | Standing::NotAsked) => {}
            Some(Standing::Untrusted { .. }) | None => return Verdict::Untrusted,
        }
        if !manifest_holds {
            return Verdict::ProvenPrefix;
        }
        if self.segments() == 0 {
            return Verdict::Empty;
        }
        match &self.end {
            Some(RecordingEnd::Exited(_)) if self.totals().gaps() > 0 => Verdict::CompleteWithLoss,
            Some(RecordingEnd::Exited(_)) => Verdict::Complete,
            Some(RecordingEnd::Interrupted { .. }) | None => Verdict::Interrupted,
        }
    }
}
