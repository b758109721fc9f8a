//! How long to wait before the next try.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// Doubles from try to try, with jitter, so that a fleet does not come back all at once.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Backoff { next: FIRST }
    }

    pub(crate) fn reset(&mut self) {
        self.next = FIRST;
    }

    /// Between half of the current step and the whole.
    pub(crate) fn next(&mut self) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(LONGEST);
        let mut random = [0];
        // Without randomness the wait is still a wait.
        let _ = aws_lc_rs::rand::fill(&mut random);
        step / 2 + step.mul_f64(f64::from(random[0]) / 512.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_and_start_again() {
        let mut backoff = Backoff::new();
        for _ in 0..20 {
            let before = backoff.next;
            let wait = backoff.next();
            assert!(wait >= before / 2 && wait <= before, "{wait:?} of {before:?}");
        }
        assert_eq!(backoff.next, LONGEST);
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}
