//! The one place where the agent reads clocks.

use std::time::Duration;

/// Milliseconds since 1970 by the instance's wall clock.
pub fn wall_millis() -> i64 {
    // The one reading of the wall clock on the agent's side.
    #[allow(clippy::disallowed_methods)]
    let now = std::time::SystemTime::now();
    match now.duration_since(std::time::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
    }
}

/// Time since the machine started, suspended time included (CLOCK_BOOTTIME): the clock of recordings. Setting the wall clock does
/// not touch it.
pub fn boottime() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(
        u64::try_from(now.tv_sec).unwrap_or_default(),
        u32::try_from(now.tv_nsec).unwrap_or_default(),
    )
}

/// Microseconds of `boottime`.
pub fn boottime_micros() -> u64 {
    u64::try_from(boottime().as_micros()).unwrap_or(u64::MAX)
}
