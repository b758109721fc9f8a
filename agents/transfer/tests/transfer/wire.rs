//! Both sides of a transfer as a list of pieces, and what an observer makes of them.

use recording::events::fact::{Fact, FileChange, FileTransfer, Side};
use recording::{EventLine, Micros};
use transfer_observer::{Observer, classify};

/// A piece that one side sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) side: Side,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) fn client(bytes: impl Into<Vec<u8>>) -> Piece {
    Piece { side: Side::Client, bytes: bytes.into() }
}

pub(crate) fn command(bytes: impl Into<Vec<u8>>) -> Piece {
    Piece { side: Side::Command, bytes: bytes.into() }
}

/// What an observer says of a transfer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Observed {
    pub(crate) facts: Vec<Fact>,
    /// The output that is recorded as bytes.
    pub(crate) recorded: Vec<u8>,
}

impl Observed {
    pub(crate) fn files(&self) -> Vec<&FileTransfer> {
        let files = self.facts.iter().filter_map(|fact| match fact {
            Fact::TransferFile(file) => Some(file),
            _ => None,
        });
        files.collect()
    }

    pub(crate) fn changes(&self) -> Vec<&FileChange> {
        let changes = self.facts.iter().filter_map(|fact| match fact {
            Fact::FileChange(change) => Some(change),
            _ => None,
        });
        changes.collect()
    }

    /// Why, and up to which bytes of input and output it was understood; `None` if it was to its end.
    pub(crate) fn not_understood(&self) -> Option<(&str, u64, u64)> {
        self.facts.iter().find_map(|fact| match fact {
            Fact::TransferNotUnderstood { why, input_offset, output_offset, .. } => {
                Some((why.as_str(), *input_offset, *output_offset))
            }
            _ => None,
        })
    }

    pub(crate) fn end(&self) -> &Fact {
        self.facts.last().unwrap()
    }
}

pub(crate) fn facts_of(lines: Vec<EventLine>) -> Vec<Fact> {
    lines
        .iter()
        .map(|line| {
            assert!(line.to_payload().is_ok(), "it fits into the stream: {line}");
            Fact::of_line(line).unwrap()
        })
        .collect()
}

/// Shows an observer these pieces.
pub(crate) fn observed(text: &str, pieces: &[Piece]) -> Observed {
    let mut observer = Observer::new(&classify(text.as_bytes(), None).unwrap(), Micros::ZERO);
    let (mut lines, mut recorded) = (observer.take_events(), Vec::new());
    for (place, piece) in pieces.iter().enumerate() {
        let at = Micros::new(place as u64);
        match piece.side {
            Side::Client => observer.input(at, &piece.bytes),
            Side::Command => {
                let to_record = observer.output(at, &piece.bytes);
                recorded.extend(&to_record.before);
                recorded.extend(&piece.bytes[to_record.of_this]);
            }
        }
        lines.extend(observer.take_events());
    }
    recorded.extend(observer.end(Micros::new(pieces.len() as u64)));
    lines.extend(observer.take_events());
    assert!(observer.end(Micros::ZERO).is_empty() && observer.take_events().is_empty());
    Observed { facts: facts_of(lines), recorded }
}
