//! Screens that are kept while a recording plays, so that going back does not play it from the start again.

use super::painter::Painter;
use super::screen::Snapshot;

/// A snapshot is taken after so many bytes of output, at first. A terminal model takes some milliseconds for them.
const EVERY_BYTES: usize = 256 * 1024;

/// The memory for all of them. When it is used up, every second one is dropped, and they are taken half as often.
const MOST_BYTES: usize = 64 << 20;

/// Snapshots by the number of events before them, the first of none.
pub(super) struct Snapshots {
    kept: Vec<(usize, Snapshot)>,
    every_bytes: usize,
    /// The output since the last one.
    bytes_since: usize,
    bytes_kept: usize,
}

impl Snapshots {
    /// With the screen before the first event, which is always there.
    pub(super) fn starting_with(first: Snapshot) -> Self {
        Self { bytes_kept: first.bytes(), kept: vec![(0, first)], every_bytes: EVERY_BYTES, bytes_since: 0 }
    }

    /// Takes note of an event's output, and keeps the screen after it where it is time.
    pub(super) fn after(&mut self, number: usize, bytes: usize, painter: &Painter) {
        // A part that was played before has its snapshots.
        if number < self.last().0 {
            return;
        }
        self.bytes_since += bytes;
        if self.bytes_since >= self.every_bytes
            && let Some(snapshot) = painter.snapshot()
        {
            self.bytes_since = 0;
            self.bytes_kept += snapshot.bytes();
            self.kept.push((number + 1, snapshot));
            if self.bytes_kept > MOST_BYTES {
                self.thin_out();
            }
        }
    }

    /// The latest snapshot of no more than so many events, and of how many it is.
    pub(super) fn latest_until(&self, events: usize) -> (usize, &Snapshot) {
        let after = self.kept.partition_point(|(number, _)| *number <= events);
        let (number, snapshot) = &self.kept[after.saturating_sub(1)];
        (*number, snapshot)
    }

    fn last(&self) -> &(usize, Snapshot) {
        self.kept.last().expect("the first one is always there")
    }

    fn thin_out(&mut self) {
        let mut number = 0_usize;
        self.kept.retain(|_| {
            number += 1;
            number % 2 == 1
        });
        self.bytes_kept = self.kept.iter().map(|(_, snapshot)| snapshot.bytes()).sum();
        self.every_bytes = self.every_bytes.saturating_mul(2);
    }
}
