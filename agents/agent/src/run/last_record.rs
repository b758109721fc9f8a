//! The last record that was read of a spool, to notice when it is not there any more: whoever shortens the spool and lets it grow
//! again puts zeros, or something else, where records stood.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use serde::{Deserialize, Serialize};

/// How many bytes of either end of the record are kept: the first ones hold its length, checksum, time and kind, so that they are
/// neither zeros nor easily guessed.
const KEPT_BYTES: usize = 32;

/// Where a record stood, and how it began and ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct LastRecord {
    offset: u64,
    end: u64,
    first: Vec<u8>,
    last: Vec<u8>,
}

impl LastRecord {
    /// Of the bytes of a record that was read, and the offset of its end.
    pub(super) fn of(record: &[u8], end: u64) -> Self {
        let kept = record.len().min(KEPT_BYTES);
        LastRecord {
            offset: end.saturating_sub(record.len() as u64),
            end,
            first: record[..kept].to_vec(),
            last: record[record.len() - kept..].to_vec(),
        }
    }

    /// Where it begins: what stands before may be erased.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether it still stands there.
    pub(super) fn stands_in(&self, spool: &File) -> io::Result<bool> {
        let holds = |bytes: &[u8], offset: u64| -> io::Result<bool> {
            let mut found = [0; KEPT_BYTES];
            let found = &mut found[..bytes.len()];
            match spool.read_exact_at(found, offset) {
                Ok(()) => Ok(found == bytes),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
                Err(error) => Err(error),
            }
        };
        Ok(holds(&self.first, self.offset)?
            && holds(&self.last, self.end.saturating_sub(self.last.len() as u64))?)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_record_that_gave_way_to_zeros_is_missed() {
        let mut spool = tempfile::tempfile().unwrap();
        // What is printed may be zeros, too.
        let record = [&[1; 17][..], &[0; 100]].concat();
        spool.write_all(&[7; 40]).unwrap();
        spool.write_all(&record).unwrap();
        let last = LastRecord::of(&record, 157);
        assert_eq!(last.offset(), 40);
        assert!(last.stands_in(&spool).unwrap());
        for length in [0, 40, 50] {
            spool.set_len(length).unwrap();
            assert!(!last.stands_in(&spool).unwrap());
            spool.set_len(157).unwrap();
            assert!(!last.stands_in(&spool).unwrap(), "cut to {length}");
            spool.write_all_at(&record, 40).unwrap();
            assert!(last.stands_in(&spool).unwrap());
        }
    }

    #[test]
    fn short_records_are_kept_whole() {
        let mut spool = tempfile::tempfile().unwrap();
        spool.write_all(b"12345").unwrap();
        assert!(LastRecord::of(b"345", 5).stands_in(&spool).unwrap());
        assert!(!LastRecord::of(b"346", 5).stands_in(&spool).unwrap());
    }
}
