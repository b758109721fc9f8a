//! The stream `terminal`: the output of a terminal, or of other outputs, as asciicast lines.

pub mod asciicast;
pub mod cutter;
pub mod event;
pub mod replay;
pub mod segment;
mod walk;

use serde::{Deserialize, Serialize};

use crate::manifest::Totals;

pub(crate) use walk::TerminalWalk;

/// The counts of a terminal's segments.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalTotals {
    /// Events of all kinds. Output and its exact bytes (`o` and `b`) are one.
    pub events: u64,
    /// Bytes of output as they were captured.
    pub output_bytes: u64,
    /// Gaps.
    pub gaps: u64,
    /// Bytes that the gaps say are lost.
    pub lost_bytes: u64,
}

impl TerminalTotals {
    /// Both together.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            events: self.events + other.events,
            output_bytes: self.output_bytes + other.output_bytes,
            gaps: self.gaps + other.gaps,
            lost_bytes: self.lost_bytes.saturating_add(other.lost_bytes),
        }
    }

    /// In the form of the manifest.
    #[must_use]
    pub fn to_totals(self) -> Totals {
        Totals::new([
            ("events", self.events),
            ("output_bytes", self.output_bytes),
            ("gaps", self.gaps),
            ("lost_bytes", self.lost_bytes),
        ])
    }
}
