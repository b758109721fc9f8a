//! The end of a spool whose writer gave up after a record that it could not write completely.
//!
//! Where it may, the writer cuts such a record off. In a file that can only be appended to it leaves the torn record, and behind it
//! a gap with the reason, which says how long the torn record is: so a reader can tell this end from damage. The gap may be a
//! shortfall with its cause, which begins with its lost bytes, too.

use super::{
    Examined, Frame, LONGEST_SHORTFALL_BYTES, MAX_PAYLOAD_BYTES, RECORD_HEADER_BYTES, RecordKind,
    SpoolRecord, examine, frame,
};
use crate::ledger::ShortfallKind;

/// The bytes of a gap's payload before its reason.
const LOST_BYTES_BYTES: usize = 8;

/// The longest that such an end can be.
pub const LONGEST_GIVING_UP_BYTES: usize = RECORD_HEADER_BYTES + MAX_PAYLOAD_BYTES + LONGEST_SHORTFALL_BYTES;

/// The gap that says why the writer gave up, if these bytes, which end a spool, are a torn record and that gap, and nothing else.
#[must_use]
pub fn find_giving_up(bytes: &[u8]) -> Option<SpoolRecord<'_>> {
    let shortest = RECORD_HEADER_BYTES + LOST_BYTES_BYTES;
    let latest = bytes.len().checked_sub(shortest)?;
    let longer = LONGEST_SHORTFALL_BYTES - shortest;
    // A complete record is not a torn one.
    (latest.saturating_sub(longer).max(1)..=latest).find_map(|torn| {
        let rest = &bytes[torn..];
        if !matches!(frame(rest), Frame::Whole(length) if length == rest.len()) {
            return None;
        }
        let Examined::Whole(record, _) = examine(rest) else { return None };
        let lost = record.payload.first_chunk::<LOST_BYTES_BYTES>()?;
        (is_gap(&record) && u64::from_be_bytes(*lost) == torn as u64).then_some(record)
    })
}

/// Whether the record says that something is missing.
fn is_gap(record: &SpoolRecord<'_>) -> bool {
    match record.kind {
        RecordKind::GAP => true,
        RecordKind::SHORTFALL => {
            record.shortfall().is_ok_and(|shortfall| shortfall.kind == ShortfallKind::Gap)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Cause, Shortfall};
    use crate::spool::{MAX_REASON_BYTES, SpoolWriter};
    use crate::terminal::event::TerminalEvent;
    use crate::timestamp::Micros;

    fn record(event: &TerminalEvent) -> Vec<u8> {
        let mut writer = SpoolWriter::new(Vec::new(), 0);
        writer.append_terminal(event).unwrap();
        writer.into_inner()
    }

    #[test]
    fn a_torn_record_and_its_reason_are_distinguished_from_damage() {
        let at = Micros::new(5);
        let output = record(&TerminalEvent::output(at, vec![b'x'; 3_000]));
        for torn in [1, 16, 17, 100, 3_016] {
            for reason in ["", "the disk is full", &"x".repeat(MAX_REASON_BYTES)] {
                let gap = TerminalEvent::gap(at, reason, torn as u64);
                let end = [&output[..torn], &record(&gap)].concat();
                let found = find_giving_up(&end).expect("found").terminal_event().unwrap();
                assert_eq!(found, gap);
                assert!(find_giving_up(&end[..end.len() - 1]).is_none());
                assert!(find_giving_up(&[&end[..], b"x"].concat()).is_none(), "something follows");
                assert!(find_giving_up(&[b"x", &end[..]].concat()).is_none(), "something else was torn");
                let stated = |kind| {
                    let cause = Cause::new("a_cause_of_forty_letters_digits_and_more");
                    let shortfall = Shortfall::new(kind, cause, reason).with_lost_bytes(torn as u64);
                    TerminalEvent::shortfall(at, shortfall)
                };
                let gap = stated(ShortfallKind::Gap);
                let end = [&output[..torn], &record(&gap)].concat();
                assert_eq!(find_giving_up(&end).expect("found").terminal_event().unwrap(), gap);
                let other = [&output[..torn], &record(&stated(ShortfallKind::StatedLimit))].concat();
                assert!(find_giving_up(&other).is_none(), "a limit is no reason to give up");
            }
        }
        assert!(find_giving_up(&record(&TerminalEvent::gap(at, "whole", 0))).is_none());
        assert!(find_giving_up(&[0; 64]).is_none());
        assert!(find_giving_up(&[]).is_none());
    }
}
