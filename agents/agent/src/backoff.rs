//! How long to wait before the next try.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);
/// For errors that people correct, which the agent also learns in other ways.
const LONGEST_PATIENT: Duration = Duration::from_secs(300);

/// Doubles from try to try, with jitter, so that a fleet does not come back all at once.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// For a control plane.
    pub(crate) fn new() -> Self {
        Backoff::between(FIRST, LONGEST)
    }

    /// For errors that a retry does not resolve: a storage target that somebody has to correct.
    pub(crate) fn patient() -> Self {
        Backoff::between(FIRST, LONGEST_PATIENT)
    }

    /// From one step to another.
    pub(crate) fn between(first: Duration, longest: Duration) -> Self {
        Backoff { first, longest, next: first }
    }

    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }

    /// Between half of the current step and the whole.
    pub(crate) fn next(&mut self) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(self.longest);
        let mut random = [0];
        // Without randomness the wait is merely not random.
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
        let mut patient = Backoff::patient();
        for _ in 0..20 {
            patient.next();
        }
        assert_eq!(patient.next, LONGEST_PATIENT);
    }
}
