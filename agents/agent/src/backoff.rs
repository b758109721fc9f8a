//! How long to wait before the next try.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);
/// For errors that people correct, which the agent also learns in other ways.
const LONGEST_PATIENT: Duration = Duration::from_secs(300);

/// Doubles from try to try, with full jitter, so that a fleet does not come back all at once.
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

    /// Anything up to the current step ("full jitter").
    pub(crate) fn next(&mut self) -> Duration {
        self.next_at(random_fraction())
    }

    /// Between half of the current step and the whole: where a wait of next to nothing would be wrong, since the answer is
    /// known, or since whoever waits on this machine is alone.
    pub(crate) fn next_evenly(&mut self) -> Duration {
        self.next_at(0.5 + random_fraction() / 2.0)
    }

    /// This part of the current step.
    pub(crate) fn next_at(&mut self, fraction: f64) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(self.longest);
        step.mul_f64(fraction.clamp(0.0, 1.0))
    }
}

/// A number from 0 to below 1. Without randomness it is a half: waits are merely not random then.
pub(crate) fn random_fraction() -> f64 {
    let mut random = [0; 4];
    match aws_lc_rs::rand::fill(&mut random) {
        Ok(()) => f64::from(u32::from_le_bytes(random)) / (f64::from(u32::MAX) + 1.0),
        Err(_) => 0.5,
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
            assert!(wait <= before, "{wait:?} of {before:?}");
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

    #[test]
    fn the_whole_step_is_jitter() {
        let waits: Vec<f64> = (0..1000).map(|_| Backoff::new().next().div_duration_f64(FIRST)).collect();
        let in_part = |part: u32| {
            let (from, to) = (f64::from(part) / 4.0, f64::from(part + 1) / 4.0);
            waits.iter().filter(|wait| (from..to).contains(wait)).count()
        };
        assert!((0..4).all(|part| in_part(part) > 150), "{waits:?}");
    }
}
