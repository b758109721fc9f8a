//! Sets of numbers, kept as ranges: what is exported is nearly always a single range.

use std::collections::BTreeMap;

/// A set of numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ranges {
    /// Maps the first number of each range to its last; no two ranges touch.
    by_first: BTreeMap<u64, u64>,
}

impl Ranges {
    /// Adds a number.
    pub(crate) fn add(&mut self, number: u64) {
        self.add_range(number, number);
    }

    /// Adds all numbers from the first through the last.
    pub(crate) fn add_range(&mut self, mut first: u64, mut last: u64) {
        if first > last {
            return;
        }
        while let Some((&before, &through)) = self.by_first.range(..=last.saturating_add(1)).next_back() {
            if through.saturating_add(1) < first {
                break;
            }
            self.by_first.remove(&before);
            (first, last) = (first.min(before), last.max(through));
        }
        self.by_first.insert(first, last);
    }

    /// The ranges of numbers from the first through the last that are not in the set.
    pub(crate) fn missing(&self, first: u64, last: u64) -> Vec<(u64, u64)> {
        let (mut missing, mut next) = (Vec::new(), first);
        let begins = self.by_first.range(..=first).next_back().map_or(first, |(&begin, _)| begin);
        for (&from, &through) in self.by_first.range(begins..) {
            if from > last || next > last {
                break;
            }
            if from > next {
                missing.push((next, from - 1));
            }
            next = next.max(through.saturating_add(1));
        }
        if next <= last {
            missing.push((next, last));
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_what_was_not_added() {
        let mut ranges = Ranges::default();
        assert_eq!(ranges.missing(1, 3), [(1, 3)]);
        for number in [2, 3, 9, 8, 5] {
            ranges.add(number);
        }
        assert_eq!(ranges.missing(1, 10), [(1, 1), (4, 4), (6, 7), (10, 10)]);
        assert_eq!(ranges.missing(3, 8), [(4, 4), (6, 7)]);
        assert_eq!(ranges.missing(8, 9), []);
        assert_eq!(ranges.missing(11, 12), [(11, 12)]);
        assert_eq!(ranges.missing(4, 3), []);
        ranges.add_range(4, 7);
        assert_eq!(ranges.by_first, BTreeMap::from([(2, 9)]));
        ranges.add_range(1, 20);
        ranges.add(5);
        assert_eq!(ranges.by_first, BTreeMap::from([(1, 20)]));
    }
}
