//! What happens again and again is written down once a minute.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use domain::Timestamp;

/// How many different things are told apart within a minute; beyond them nothing more is written down.
const MOST: usize = 10_000;

/// What happened in the present minute.
#[derive(Debug, Default)]
pub(crate) struct Repeats(Mutex<Minute>);

#[derive(Debug, Default)]
struct Minute {
    number: i64,
    seen: HashSet<String>,
}

impl Repeats {
    /// Whether `what` has not happened yet in the minute of `now`.
    pub(crate) fn is_first(&self, what: &str, now: Timestamp) -> bool {
        let number = now.as_millis().div_euclid(60_000);
        // Nothing is left half-done under the lock, so a panic elsewhere does not spoil the minute.
        let mut minute = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if minute.number != number {
            *minute = Minute { number, seen: HashSet::new() };
        }
        minute.seen.len() < MOST && minute.seen.insert(what.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_first_once_a_minute_and_no_more_than_many_are() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
        let repeats = Repeats::default();
        assert!(repeats.is_first("a", at(0)) && repeats.is_first("b", at(1)));
        assert!(!repeats.is_first("a", at(59)));
        assert!(repeats.is_first("a", at(60)));
        assert_eq!(
            (0..2 * MOST).filter(|number| repeats.is_first(&number.to_string(), at(61))).count(),
            MOST - 1
        );
    }
}
