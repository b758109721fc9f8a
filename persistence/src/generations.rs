//! A cache that keeps what is used, up to a limit of bytes.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A panic under the lock of a cache cannot leave the data half changed, so that poisoning is ignored.
pub(crate) fn lock<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Values up to a limit of bytes. There are two generations: a value that is looked up stays in the younger one, or
/// moves back into it. When the younger one has reached half of the limit it becomes the older one, and what nobody
/// looked up since then is dropped.
pub(crate) struct Kept<Key, Value> {
    limit: usize,
    young: Generation<Key, Value>,
    old: Generation<Key, Value>,
}

pub(crate) struct Generation<Key, Value> {
    values: HashMap<Key, (Value, usize)>,
    bytes: usize,
}

impl<Key, Value> Default for Generation<Key, Value> {
    fn default() -> Self {
        Self { values: HashMap::new(), bytes: 0 }
    }
}

impl<Key: Hash + Eq, Value: Clone> Kept<Key, Value> {
    pub(crate) fn within(limit: usize) -> Self {
        Self { limit, young: Generation::default(), old: Generation::default() }
    }

    pub(crate) fn get(&mut self, key: &Key) -> Option<Value> {
        if let Some((value, _)) = self.young.values.get(key) {
            return Some(value.clone());
        }
        let (key, (value, bytes)) = self.old.values.remove_entry(key)?;
        self.old.bytes -= bytes;
        // Making room may drop what is left of the older generation; that costs little compared with parsing.
        let _ = self.put(key, value.clone(), bytes);
        Some(value)
    }

    /// Stores a value in place of another one. Returns what is no longer kept, for the caller to drop.
    pub(crate) fn replace(&mut self, key: Key, value: Value, bytes: usize) -> Option<Generation<Key, Value>> {
        for generation in [&mut self.young, &mut self.old] {
            if let Some((_, bytes)) = generation.values.remove(&key) {
                generation.bytes -= bytes;
            }
        }
        self.put(key, value, bytes + Self::entry())
    }

    /// Stores a value, or finds the one that is stored already. Returns what is no longer kept, for the caller to drop.
    pub(crate) fn keep(
        &mut self,
        key: Key,
        value: Value,
        bytes: usize,
    ) -> (Value, Option<Generation<Key, Value>>) {
        if let Some(kept) = self.get(&key) {
            return (kept, None);
        }
        (value.clone(), self.put(key, value, bytes + Self::entry()))
    }

    /// The table sometimes has room for twice its entries.
    const fn entry() -> usize {
        2 * size_of::<(Key, (Value, usize))>()
    }

    fn put(&mut self, key: Key, value: Value, bytes: usize) -> Option<Generation<Key, Value>> {
        if bytes > self.limit / 2 {
            return None;
        }
        let full = self.young.bytes + bytes > self.limit / 2;
        let discarded = full.then(|| {
            let young = std::mem::take(&mut self.young);
            std::mem::replace(&mut self.old, young)
        });
        self.young.bytes += bytes;
        self.young.values.insert(key, (value, bytes));
        discarded
    }

    /// How many bytes are kept, counted anew.
    #[cfg(test)]
    pub(crate) fn checked_bytes(&self) -> usize {
        for generation in [&self.young, &self.old] {
            assert_eq!(generation.bytes, generation.values.values().map(|(_, bytes)| bytes).sum::<usize>());
        }
        self.young.bytes + self.old.bytes
    }

    /// How many values each generation has, the younger one first.
    #[cfg(test)]
    pub(crate) fn lengths(&self) -> [usize; 2] {
        [self.young.values.len(), self.old.values.len()]
    }
}
