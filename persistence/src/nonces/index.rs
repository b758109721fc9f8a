//! Which nonces are claimed: blocks of claims, each of which is forgotten as a whole once all of it has expired.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::thread;

use super::block::{Growing, Key, Sorted};
use crate::rows::appended_nonce_rows::READ_BYTES;

/// How many claims a block has at most.
const MOST_OF_A_BLOCK: usize = 1 << 20;
/// After how many milliseconds a block is closed that has fewer.
const BLOCK_MILLIS: i64 = 15 * 60 * 1_000;
/// How much memory the blocks may have. The rest of what is closed is in files.
pub(super) const MOST_MEMORY: usize = 256 << 20;

/// What is kept free for the block that grows, and for the one that is being sorted.
const RESERVE: usize = 128 << 20;

/// The claims of one file. Its rows have numbers without an end, so that what other processes add is noticed.
pub(crate) struct Index {
    /// Where blocks lie for which there is no room.
    folder: PathBuf,
    limits: Limits,
    growing: Growing,
    /// When the growing block was begun, by the clock of the claims; `None` as long as there is none.
    begun: Option<i64>,
    /// Newer ones are behind older ones.
    closed: VecDeque<Closed>,
    /// The number of the last row that is in the index.
    pub(super) last_row: i64,
    /// All rows up to this number have expired.
    pub(super) lapsed_up_to: i64,
}

#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) claims: usize,
    pub(super) memory: usize,
}

impl Limits {
    pub(super) const USUAL: Self = Self { claims: MOST_OF_A_BLOCK, memory: MOST_MEMORY - RESERVE };
}

struct Closed {
    last_row: i64,
    latest_expiry: i64,
    /// Until it is sorted, which another thread does.
    hashed: Option<Arc<Growing>>,
    sorted: Arc<OnceLock<Sorted>>,
}

impl Closed {
    fn expiry(&mut self, key: Key) -> Result<Option<i64>, std::io::Error> {
        if let Some(sorted) = self.sorted.get() {
            self.hashed = None;
            return sorted.expiry(key);
        }
        Ok(self.hashed.as_ref().and_then(|hashed| hashed.expiry(key)))
    }

    fn memory(&self) -> usize {
        self.sorted
            .get()
            .map_or_else(|| self.hashed.as_ref().map_or(0, |hashed| hashed.memory()), Sorted::memory)
    }
}

impl Index {
    pub(super) fn new(folder: PathBuf, limits: Limits) -> Self {
        Self {
            folder,
            limits,
            growing: Growing::new(),
            begun: None,
            closed: VecDeque::new(),
            last_row: 0,
            lapsed_up_to: 0,
        }
    }

    /// Whether it is claimed, and has not expired by then.
    pub(super) fn holds(&mut self, hash: &[u8; READ_BYTES], now: i64) -> Result<bool, std::io::Error> {
        let key = Key::of(hash);
        if self.growing.expiry(key).is_some_and(|expires_at| expires_at > now) {
            return Ok(true);
        }
        for block in self.closed.iter_mut().rev() {
            if block.expiry(key)?.is_some_and(|expires_at| expires_at > now) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Adds a claim that is committed; whoever does moves `last_row`. `now`, where it is known, is when it was claimed.
    pub(super) fn add(&mut self, hash: &[u8; READ_BYTES], expires_at: i64, now: Option<i64>) {
        let old = matches!((self.begun, now), (Some(begun), Some(now)) if now >= begun + BLOCK_MILLIS);
        if self.growing.claims >= self.limits.claims || old {
            self.close();
        }
        if self.begun.is_none() {
            self.begun = now;
        }
        self.growing.add(Key::of(hash), expires_at);
    }

    fn close(&mut self) {
        let growing = Arc::new(std::mem::replace(&mut self.growing, Growing::new()));
        self.begun = None;
        let sorted = Arc::new(OnceLock::new());
        let memory: usize = self.closed.iter().map(Closed::memory).sum();
        let to_file = (memory + growing.memory() > self.limits.memory).then(|| self.folder.clone());
        self.closed.push_back(Closed {
            last_row: self.last_row,
            latest_expiry: growing.latest_expiry,
            hashed: Some(Arc::clone(&growing)),
            sorted: Arc::clone(&sorted),
        });
        // Calls wait for whoever closes a block.
        thread::spawn(move || {
            let made = match to_file {
                None => Sorted::in_memory(&growing),
                Some(folder) => match Sorted::in_file(&growing, &folder) {
                    Ok(made) => made,
                    Err(error) => {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(error, "nonces do not find room in a file, and stay in memory");
                        Sorted::in_memory(&growing)
                    }
                },
            };
            let _ = sorted.set(made);
        });
    }

    /// Forgets the blocks all of which has expired.
    pub(super) fn forget(&mut self, now: i64) {
        if self.growing.claims > 0 && self.growing.latest_expiry <= now {
            self.close();
        }
        // In their order, because rows are removed from the first one on.
        while let Some(block) = self.closed.front().filter(|block| block.latest_expiry <= now) {
            self.lapsed_up_to = block.last_row;
            self.closed.pop_front();
        }
    }

    /// The bytes that it has in memory.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.growing.memory() + self.closed.iter().map(Closed::memory).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u64) -> [u8; READ_BYTES] {
        let mut hash = [0; READ_BYTES];
        hash[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        hash[8..].copy_from_slice(&number.to_be_bytes());
        hash
    }

    fn add(index: &mut Index, row: i64, hash: &[u8; READ_BYTES], expires_at: i64, now: Option<i64>) {
        index.add(hash, expires_at, now);
        index.last_row = row;
    }

    fn until_sorted(index: &Index) {
        while index.closed.iter().any(|block| block.sorted.get().is_none()) {
            thread::yield_now();
        }
    }

    #[test]
    fn blocks_hold_what_was_claimed_until_all_of_them_has_expired() {
        let folder = tempfile::tempdir().unwrap();
        let mut index = Index::new(folder.path().to_owned(), Limits { claims: 100, memory: usize::MAX });
        for number in 0..1_000_u64 {
            assert!(!index.holds(&hash(number), 0).unwrap());
            add(&mut index, number as i64 + 1, &hash(number), 10 + number as i64, Some(0));
            assert!(index.holds(&hash(number), 0).unwrap());
        }
        assert_eq!(index.closed.len(), 9);
        let all_are_held = |index: &mut Index| {
            for number in 0..1_000_u64 {
                assert!(index.holds(&hash(number), 9 + number as i64).unwrap(), "{number}");
                assert!(!index.holds(&hash(number), 10 + number as i64).unwrap(), "{number} has expired");
            }
        };
        all_are_held(&mut index);
        until_sorted(&index);
        all_are_held(&mut index);
        index.forget(208);
        assert_eq!((index.closed.len(), index.lapsed_up_to), (8, 100), "the second has one that holds");
        index.forget(209);
        assert_eq!((index.closed.len(), index.lapsed_up_to), (7, 200));
        assert!(index.holds(&hash(200), 209).unwrap());
        index.forget(2_000);
        assert_eq!((index.closed.len(), index.lapsed_up_to), (0, 1_000), "also the one that grew");
        add(&mut index, 1_001, &hash(1), 3_000, Some(2_000));
        assert!(index.holds(&hash(1), 2_000).unwrap());
    }

    #[test]
    fn a_block_is_closed_after_a_while_whoever_claims() {
        let folder = tempfile::tempdir().unwrap();
        let mut index = Index::new(folder.path().to_owned(), Limits::USUAL);
        add(&mut index, 1, &hash(1), 10, Some(5));
        add(&mut index, 2, &hash(2), BLOCK_MILLIS * 9, Some(BLOCK_MILLIS + 4));
        assert_eq!(index.closed.len(), 0, "what expires when says nothing");
        add(&mut index, 3, &hash(3), 10, Some(BLOCK_MILLIS + 5));
        assert_eq!((index.closed.len(), index.closed[0].last_row), (1, 2));
    }

    #[test]
    fn beyond_its_memory_blocks_are_looked_up_in_files() {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits { claims: 20_000, memory: 3 << 20 };
        let mut index = Index::new(folder.path().to_owned(), limits);
        for number in 0..200_000_u64 {
            add(&mut index, number as i64 + 1, &hash(number), 10, Some(0));
            if index.growing.claims == 1 {
                until_sorted(&index);
            }
        }
        for number in (0..200_000).step_by(7) {
            assert!(index.holds(&hash(number), 9).unwrap(), "{number}");
            assert!(!index.holds(&hash(number + 200_000), 9).unwrap(), "{number}");
        }
        let unbounded = 200_000 * 24;
        let directories = index.closed.len() * 260 * 1_024;
        assert!(index.memory() < unbounded + directories, "{}", index.memory());
        let in_files = index.closed.iter().filter(|block| block.memory() < 300 * 1_024).count();
        assert!(in_files > 3, "{in_files}");
    }
}
