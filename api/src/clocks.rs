//! How far this replica's clock is from the database's. What a replica decides by time it compares with what others have
//! written, and with each other replica it has only the database in common.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::Timestamp;

/// More than this is worth a warning.
const WARN_BEYOND: Duration = Duration::from_secs(5);
/// With more than this, leases and signatures would be judged wrongly.
const REFUSE_BEYOND: Duration = Duration::from_secs(30);

/// What the last comparison found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Clocks {
    /// They agree, or were not compared yet.
    #[default]
    Agree,
    /// They differ, and calls are still decided.
    Differ,
    /// They are too far apart to decide anything.
    TooFarApart,
}

impl From<Duration> for Clocks {
    fn from(apart: Duration) -> Self {
        if apart > REFUSE_BEYOND {
            Self::TooFarApart
        } else if apart > WARN_BEYOND {
            Self::Differ
        } else {
            Self::Agree
        }
    }
}

/// How far the clocks are apart at least: the database read its own between two readings of ours, and how long the
/// question or the answer took must not count.
pub(crate) fn apart(before: Timestamp, database: Timestamp, after: Timestamp) -> Duration {
    let ahead = database.as_millis().saturating_sub(after.as_millis());
    let behind = before.as_millis().saturating_sub(database.as_millis());
    Duration::from_millis(ahead.max(behind).max(0).unsigned_abs())
}

/// The last comparison of one replica.
#[derive(Debug, Default)]
pub(crate) struct Compared(Mutex<Clocks>);

impl Compared {
    /// Takes a comparison; returns what it found if the one before found something else.
    pub(crate) fn now(&self, clocks: Clocks) -> Option<Clocks> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::replace(&mut *last, clocks) != clocks).then_some(clocks)
    }

    /// What the last comparison found.
    pub(crate) fn last(&self) -> Clocks {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_certain_counts() {
        let at = Timestamp::from_millis;
        for (before, database, after, expected) in
            [(0, 0, 0, 0), (0, 900, 1_000, 0), (0, 7_000, 1_000, 6_000), (9_000, 2_000, 60_000, 7_000)]
        {
            assert_eq!(apart(at(before), at(database), at(after)), Duration::from_millis(expected));
        }
    }

    #[test]
    fn a_spell_is_told_once() {
        let compared = Compared::default();
        let seconds = |seconds| compared.now(Duration::from_secs(seconds).into());
        assert_eq!(seconds(5), None);
        assert_eq!(seconds(6), Some(Clocks::Differ));
        assert_eq!(seconds(30), None);
        assert_eq!(seconds(31), Some(Clocks::TooFarApart));
        assert_eq!(compared.last(), Clocks::TooFarApart);
        assert_eq!(seconds(1), Some(Clocks::Agree));
    }
}
