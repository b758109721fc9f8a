//! Shortfalls as records.
//!
//! The payload is, in big-endian numbers:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | lost bytes |
//! | 8 | lost events |
//! | 8 | how often |
//! | 8 | the time of the first; that of the record, or a later one, when there was none before |
//! | 1 | the kind: its place in [`ShortfallKind::ALL`] |
//! | 1 | n, the length of the cause |
//! | n | the cause |
//! | rest | the reason in UTF-8 |

use std::io::{self, Write};

use super::{BadRecord, MAX_REASON_BYTES, RecordKind, SpoolRecord, SpoolWriter};
use crate::ledger::{Cause, Shortfall, ShortfallKind};
use crate::timestamp::Micros;

/// The bytes of the payload before the cause.
const HEAD_BYTES: usize = 4 * 8 + 2;

/// The most bytes of the payload before the reason.
pub(super) const MOST_BEFORE_REASON_BYTES: usize = HEAD_BYTES + Cause::LONGEST_BYTES;

impl SpoolRecord<'_> {
    /// The shortfall of a record of any stream.
    ///
    /// # Errors
    /// The record is of another kind, or its payload is no shortfall.
    pub fn shortfall(&self) -> Result<Shortfall, BadRecord> {
        let bad = |why| BadRecord { kind: self.kind.0, why };
        if self.kind != RecordKind::SHORTFALL {
            return Err(bad("it is no shortfall"));
        }
        let too_short = || bad("a shortfall has 34 bytes or more");
        let (head, rest) = self.payload.split_first_chunk::<HEAD_BYTES>().ok_or_else(too_short)?;
        let number = |place: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&head[8 * place..8 * (place + 1)]);
            u64::from_be_bytes(bytes)
        };
        let [.., kind, length] = *head;
        let kind = ShortfallKind::ALL.get(usize::from(kind)).ok_or_else(|| bad("its kind is unknown"))?;
        let (cause, reason) =
            rest.split_at_checked(length.into()).ok_or_else(|| bad("its cause is cut off"))?;
        let cause = std::str::from_utf8(cause).ok().and_then(|cause| Cause::parse(cause).ok());
        let cause = cause.ok_or_else(|| bad("its cause is none"))?;
        if reason.len() > MAX_REASON_BYTES {
            return Err(bad("the reason is too long"));
        }
        let reason = std::str::from_utf8(reason).map_err(|_| bad("the reason is not UTF-8"))?;
        if number(2) == 0 {
            return Err(bad("what never happened is no shortfall"));
        }
        Ok(Shortfall {
            lost_bytes: number(0),
            lost_events: number(1),
            count: number(2),
            since: Some(Micros::new(number(3))).filter(|since| *since < self.at),
            ..Shortfall::new(*kind, cause, reason)
        })
    }
}

impl<W: Write> SpoolWriter<W> {
    /// Appends a shortfall. A gap without a stated cause is written as recorders write it that know no others. Returns the
    /// offset of the end.
    ///
    /// # Errors
    /// As for [`SpoolWriter::append`].
    pub fn append_shortfall(&mut self, at: Micros, shortfall: &Shortfall) -> io::Result<u64> {
        let Shortfall { kind, cause, reason, lost_bytes, lost_events, count, since } = shortfall;
        if !shortfall.is_stated() {
            let payload = [&lost_bytes.to_be_bytes(), reason.as_bytes()].concat();
            return self.append(at, RecordKind::GAP, &payload);
        }
        let since = since.unwrap_or(at).min(at);
        let cause = cause.as_str().as_bytes();
        let place = ShortfallKind::ALL.iter().position(|known| known == kind);
        let byte = |number: usize| u8::try_from(number).expect("kinds and the bytes of a cause are few");
        let numbers = [*lost_bytes, *lost_events, *count, since.get()].map(u64::to_be_bytes).concat();
        let lengths = [byte(place.expect("every kind is listed")), byte(cause.len())];
        self.append(at, RecordKind::SHORTFALL, &[&numbers, &lengths[..], cause, reason.as_bytes()].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::event::TerminalEvent;

    fn record(at: Micros, shortfall: &Shortfall) -> Vec<u8> {
        let mut writer = SpoolWriter::new(Vec::new(), 0);
        writer.append_shortfall(at, shortfall).unwrap();
        writer.into_inner()
    }

    #[test]
    fn a_shortfall_passes_through_the_spool_with_everything_it_says() {
        let at = Micros::new(500);
        for kind in ShortfallKind::ALL {
            let shortfall = Shortfall::new(kind, Cause::new("too_much"), "there was €")
                .with_lost_bytes(1)
                .with_lost_events(2)
                .counted(3, Micros::new(4));
            let spool = record(at, &shortfall);
            let mut reader = super::super::SpoolReader::new(spool.as_slice(), 0);
            let read = reader.next_record().unwrap().unwrap();
            assert_eq!(read.shortfall().unwrap(), shortfall);
            assert_eq!(read.terminal_event().unwrap(), TerminalEvent::shortfall(at, shortfall));
        }
    }

    #[test]
    fn a_payload_that_is_no_shortfall_is_refused() {
        let whole = record(Micros::new(9), &Shortfall::new(ShortfallKind::Drop, Cause::OTHER, "why"));
        let payload = &whole[super::super::RECORD_HEADER_BYTES..];
        let read = |payload: &[u8]| {
            let record = SpoolRecord { at: Micros::new(9), kind: RecordKind::SHORTFALL, payload };
            record.shortfall()
        };
        assert!(read(payload).is_ok());
        let changed = |place: usize, byte: u8| {
            let mut payload = payload.to_vec();
            payload[place] = byte;
            payload
        };
        for bad in [
            payload[..HEAD_BYTES - 1].to_vec(),
            payload[..HEAD_BYTES + 2].to_vec(),
            changed(23, 0),
            changed(32, 6),
            changed(33, 0),
            changed(HEAD_BYTES, b'O'),
            changed(HEAD_BYTES + 6, 0xff),
            [payload, &[b'x'; MAX_REASON_BYTES]].concat(),
        ] {
            assert!(read(&bad).is_err(), "{bad:?}");
        }
    }
}
