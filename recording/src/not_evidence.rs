//! What lies among a recording's objects and is none of them.

use std::collections::BTreeSet;

/// The entries of a recording's folder that are no objects of a recording. They prove and disprove nothing.
///
/// The first names are kept and the others only counted, because anybody who can write there may have put any number of
/// entries into it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct NotEvidence {
    first: BTreeSet<String>,
    count: u64,
}

impl NotEvidence {
    /// How many names are kept.
    pub const MOST_NAMES: usize = 20;

    /// Adds an entry.
    pub fn add(&mut self, name: String) {
        self.count += 1;
        self.first.insert(name);
        if self.first.len() > Self::MOST_NAMES {
            self.first.pop_last();
        }
    }

    /// The first names in their order, with what kind of entry it is unless that is a file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.first.iter().map(String::as_str)
    }

    /// How many entries there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How many entries have no name here.
    #[must_use]
    pub fn unnamed(&self) -> u64 {
        self.count.saturating_sub(self.first.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_names_are_kept_and_all_are_counted() {
        let mut entries = NotEvidence::default();
        assert_eq!((entries.names().count(), entries.count(), entries.unnamed()), (0, 0, 0));
        for number in (0..50).rev() {
            entries.add(format!("{number:02}"));
        }
        assert_eq!(entries.names().next(), Some("00"));
        assert_eq!(entries.names().last(), Some("19"));
        assert_eq!((entries.count(), entries.unnamed()), (50, 30));
    }
}
