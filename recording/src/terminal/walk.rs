//! A walk along a terminal's segments.

use super::event::{TerminalEventKind, TerminalSize};
use super::segment::{DecodedSegment, decode_segment};
use crate::content::walk::{CheckedContent, Content, ContentError};
use crate::end::{ExitStatus, RecordingEnd};
use crate::ledger::StreamLedger;
use crate::start::Start;

/// Where the terminal stood after the last segment.
pub(crate) struct TerminalWalk {
    terminal: Option<TerminalSize>,
    exit: Option<ExitStatus>,
    ledger: StreamLedger,
}

impl TerminalWalk {
    pub(crate) fn new(start: &Start) -> Self {
        Self { terminal: start.terminal, exit: None, ledger: StreamLedger::default() }
    }

    fn go_on(&mut self, segment: &DecodedSegment) -> Result<(), &'static str> {
        if segment.terminal != self.terminal {
            return Err("its header names another size of the terminal than the segment before it left");
        }
        for event in &segment.events {
            match &event.kind {
                TerminalEventKind::Resize(size) => self.terminal = Some(*size),
                TerminalEventKind::Exit(_) if self.exit.is_some() => {
                    return Err("the command ends a second time");
                }
                TerminalEventKind::Exit(status) => self.exit = Some(*status),
                TerminalEventKind::Shortfall(shortfall) => self.ledger.add(event.at, shortfall),
                TerminalEventKind::Output(_) | TerminalEventKind::ErrorOutput(_) => {}
            }
        }
        Ok(())
    }
}

impl Content for TerminalWalk {
    fn segment(&mut self, object: &[u8]) -> Result<CheckedContent, ContentError> {
        let segment = decode_segment(object)?;
        self.go_on(&segment).map_err(ContentError::Disagrees)?;
        Ok(CheckedContent::of_terminal(&segment))
    }

    fn ledger(&self) -> &StreamLedger {
        &self.ledger
    }

    fn agrees_with_end(&self, end: &RecordingEnd) -> Result<(), &'static str> {
        let agrees = match (end, self.exit) {
            (RecordingEnd::Exited(said), Some(seen)) => *said == seen,
            (RecordingEnd::Exited(_), None) => false,
            // Whoever sealed it may have had a reason not to believe the end that is shown, or that of another stream.
            (RecordingEnd::Interrupted { .. }, _) => true,
        };
        if agrees { Ok(()) } else { Err("its end is not the one that its segments show") }
    }
}
