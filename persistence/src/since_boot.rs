//! Time by which a decision ages. A machine that sleeps decides nothing meanwhile, and others go on: the time of its sleep
//! counts, which the clock of [`std::time::Instant`] leaves out.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A moment by `CLOCK_BOOTTIME`, which also runs while the machine sleeps, and never backwards.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SinceBoot(Duration);

impl SinceBoot {
    /// The present moment.
    pub(crate) fn now() -> Self {
        let now = clock_gettime(ClockId::Boottime);
        // The clock counts from the boot of the machine, so that neither part is negative.
        let seconds = Duration::from_secs(now.tv_sec.unsigned_abs());
        Self(seconds + Duration::from_nanos(now.tv_nsec.unsigned_abs()))
    }

    /// How long ago it was.
    pub(crate) fn elapsed(self) -> Duration {
        Self::now().0.saturating_sub(self.0)
    }
}
