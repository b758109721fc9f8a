//! Nonces that were claimed one after another: first a map that grows, and once it is closed a sorted table, in memory or,
//! where there is no more room for it, in a file.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::rows::appended_nonce_rows::READ_BYTES;

/// The first half of a nonce's SHA-256. That two of them are equal by chance, or made so, is as hard as 2^64 attempts, and
/// then a caller's own request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key(u64, u64);

impl Key {
    pub(super) fn of(hash: &[u8; READ_BYTES]) -> Self {
        Self(number(&hash[..8]), number(&hash[8..]))
    }

    /// Where the directory of a table has it.
    fn slot(self) -> usize {
        (self.0 >> (64 - SLOT_BITS)) as usize
    }
}

const SLOT_BITS: u32 = 16;
const SLOTS: usize = 1 << SLOT_BITS;

/// A map that grows moves all that it holds. Many small ones never move much at once, while calls wait.
const SHARDS: usize = 64;
const SHARD_BITS: u32 = SHARDS.trailing_zeros();

/// Claims and when each expires, in a map.
pub(super) struct Growing {
    shards: Vec<HashMap<Key, i64>>,
    pub(super) claims: usize,
    pub(super) latest_expiry: i64,
}

impl Growing {
    pub(super) fn new() -> Self {
        let shards = std::iter::repeat_with(HashMap::new).take(SHARDS).collect();
        Self { shards, claims: 0, latest_expiry: i64::MIN }
    }

    pub(super) fn add(&mut self, key: Key, expires_at: i64) {
        self.claims += 1;
        self.latest_expiry = self.latest_expiry.max(expires_at);
        // One that was claimed again after it had expired is kept until the later moment.
        let kept = self.shards[shard(key)].entry(key).or_insert(expires_at);
        *kept = expires_at.max(*kept);
    }

    pub(super) fn expiry(&self, key: Key) -> Option<i64> {
        self.shards[shard(key)].get(&key).copied()
    }

    /// The bytes that the maps have, to a close approximation: an entry, one byte to find it by, and an eighth to spare.
    pub(super) fn memory(&self) -> usize {
        let entry = size_of::<(Key, i64)>() + 1;
        self.shards.iter().map(|shard| shard.capacity() * entry * 8 / 7).sum()
    }
}

fn shard(key: Key) -> usize {
    (key.0 >> (64 - SHARD_BITS)) as usize
}

/// The same claims in the order of their keys, with a directory of where they begin that have the same first bits.
pub(super) struct Sorted {
    directory: Vec<u32>,
    entries: Entries,
}

enum Entries {
    InMemory(Vec<(Key, i64)>),
    /// A file without a name, which ends with this process: it can be made again from the database.
    InFile(File),
}

/// The bytes of an entry in a file.
const ENTRY: usize = 24;

impl Sorted {
    pub(super) fn in_memory(of: &Growing) -> Self {
        let entries = in_order(of);
        Self { directory: directory(&entries), entries: Entries::InMemory(entries) }
    }

    pub(super) fn in_file(of: &Growing, folder: &Path) -> io::Result<Self> {
        let entries = in_order(of);
        let mut file = BufWriter::with_capacity(1 << 20, nameless(folder)?);
        for (Key(first, second), expires_at) in &entries {
            file.write_all(&first.to_be_bytes())?;
            file.write_all(&second.to_be_bytes())?;
            file.write_all(&expires_at.to_be_bytes())?;
        }
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Self { directory: directory(&entries), entries: Entries::InFile(file) })
    }

    pub(super) fn expiry(&self, key: Key) -> io::Result<Option<i64>> {
        let [from, to] = [key.slot(), key.slot() + 1].map(|slot| self.directory[slot] as usize);
        match &self.entries {
            Entries::InMemory(entries) => {
                let entries = &entries[from..to];
                let found = entries.binary_search_by_key(&key, |(key, _)| *key);
                Ok(found.ok().map(|found| entries[found].1))
            }
            Entries::InFile(file) => {
                let mut bytes = vec![0; (to - from) * ENTRY];
                file.read_exact_at(&mut bytes, (from * ENTRY) as u64)?;
                let entries =
                    bytes.chunks_exact(ENTRY).map(|entry| [0, 8, 16].map(|at| number(&entry[at..])));
                let found = entries.into_iter().find(|[first, second, _]| Key(*first, *second) == key);
                Ok(found.map(|[.., expires_at]| expires_at.cast_signed()))
            }
        }
    }

    pub(super) fn memory(&self) -> usize {
        let entries = match &self.entries {
            Entries::InMemory(entries) => size_of_val(&**entries),
            Entries::InFile(_) => 0,
        };
        size_of_val(&*self.directory) + entries
    }
}

/// The first eight bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn in_order(of: &Growing) -> Vec<(Key, i64)> {
    let mut entries = Vec::with_capacity(of.claims);
    entries.extend(of.shards.iter().flatten().map(|(key, expires_at)| (*key, *expires_at)));
    entries.sort_unstable();
    entries
}

fn directory(entries: &[(Key, i64)]) -> Vec<u32> {
    let mut directory = vec![0; SLOTS + 1];
    for (key, _) in entries {
        directory[key.slot() + 1] += 1;
    }
    let mut sum = 0;
    for begin in &mut directory {
        sum += *begin;
        *begin = sum;
    }
    directory
}

fn nameless(folder: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags, open};

    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    Ok(File::from(open(folder, flags, Mode::RUSR | Mode::WUSR)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> Key {
        // Spread over all slots, as hashes are.
        Key(number.wrapping_mul(0x9e37_79b9_7f4a_7c15), number)
    }

    #[test]
    fn what_was_claimed_is_found_in_each_form_and_nothing_else_is() {
        let mut growing = Growing::new();
        for number in 0..10_000 {
            growing.add(key(number), number as i64);
        }
        growing.add(key(7), 3);
        growing.add(key(8), 50_000);
        let folder = tempfile::tempdir().unwrap();
        let in_file = Sorted::in_file(&growing, folder.path()).unwrap();
        let in_memory = Sorted::in_memory(&growing);
        for number in 0..20_000 {
            let expected = match number {
                8 => Some(50_000),
                0..10_000 => Some(number as i64),
                _ => None,
            };
            assert_eq!(growing.expiry(key(number)), expected, "{number}");
            assert_eq!(in_memory.expiry(key(number)).unwrap(), expected, "{number}");
            assert_eq!(in_file.expiry(key(number)).unwrap(), expected, "{number}");
        }
        for extreme in [Key(0, 0), Key(u64::MAX, u64::MAX)] {
            assert_eq!(in_file.expiry(extreme).unwrap().is_some(), extreme == key(0));
            assert_eq!(in_memory.expiry(extreme).unwrap().is_some(), extreme == key(0));
        }
        assert!(in_file.memory() < in_memory.memory() && growing.memory() > 10_000 * 25);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the file has no name");
    }
}
