//! The one place of the control plane that reads the wall clock.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::Timestamp;

/// Where `now` comes from. Two implementations ship: the system's clock, and a clock that stands still
/// until it is moved, for tests and for replaying recorded requests.
pub trait Clock: Send + Sync + 'static {
    /// The present moment, UTC, in epoch milliseconds.
    fn now(&self) -> Timestamp;

    /// How much time has passed since a fixed moment, to measure durations by: it never runs backwards, whatever
    /// becomes of the wall clock.
    fn elapsed(&self) -> Duration;
}

/// The operating system's wall clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    // The one allowed reading of the wall clock (clippy.toml).
    #[allow(clippy::disallowed_methods)]
    fn now(&self) -> Timestamp {
        let since_epoch = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |elapsed| i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX));
        Timestamp::from_millis(since_epoch)
    }

    fn elapsed(&self) -> Duration {
        static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);
        FIRST.elapsed()
    }
}

/// A clock that moves only when it is told to.
#[derive(Debug)]
pub struct ManualClock {
    millis: AtomicI64,
    elapsed_millis: AtomicU64,
}

impl ManualClock {
    /// A clock that stands at `at`.
    #[must_use]
    pub fn at(at: Timestamp) -> Self {
        Self { millis: AtomicI64::new(at.as_millis()), elapsed_millis: AtomicU64::new(0) }
    }

    /// Moves the clock forward by `millis` milliseconds. When negative, the wall clock alone goes back: no time has
    /// passed.
    pub fn advance_millis(&self, millis: i64) {
        self.millis.fetch_add(millis, Ordering::SeqCst);
        self.elapsed_millis.fetch_add(u64::try_from(millis).unwrap_or(0), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.millis.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.elapsed_millis.load(Ordering::SeqCst))
    }
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn elapsed(&self) -> Duration {
        (**self).elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_elapsed_never_runs_backwards() {
        let clock = ManualClock::at(Timestamp::from_millis(10_000));
        clock.advance_millis(700);
        clock.advance_millis(-5_000);
        assert_eq!((clock.now().as_millis(), clock.elapsed()), (5_700, Duration::from_millis(700)));
        assert!(SystemClock.elapsed() <= SystemClock.elapsed());
    }
}
