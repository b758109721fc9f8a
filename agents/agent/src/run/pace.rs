//! How deliveries see time: what has passed, waiting, and chance.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use agent_protocol::clock;
use serde::{Deserialize, Serialize};

use super::recorder_process::boot_id;
use crate::backoff::random_fraction;

/// A moment by a clock that nobody can set: the time since the machine started, suspended time included. Moments of two
/// starts of the machine cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Moment {
    boot_id: String,
    boottime_micros: u64,
}

impl Moment {
    #[cfg(test)]
    pub(super) fn new(boot_id: &str, since_boot: Duration) -> Self {
        let boottime_micros = u64::try_from(since_boot.as_micros()).unwrap();
        Moment { boot_id: boot_id.to_owned(), boottime_micros }
    }

    /// How much has passed since an earlier moment; `None` if the machine was started anew in between.
    pub(super) fn since(&self, earlier: &Moment) -> Option<Duration> {
        let same_boot = !self.boot_id.is_empty() && self.boot_id == earlier.boot_id;
        same_boot.then(|| Duration::from_micros(self.boottime_micros.saturating_sub(earlier.boottime_micros)))
    }
}

/// A wait that can be given up.
pub(super) type Wait<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// The clock and the dice of deliveries.
pub(super) trait Pace: Send + Sync {
    /// Now.
    fn now(&self) -> Moment;

    /// Waits.
    fn sleep(&self, how_long: Duration) -> Wait<'_>;

    /// From 0 to below 1.
    fn chance(&self) -> f64;
}

/// Those of the machine.
pub(super) struct SystemPace {
    boot_id: String,
}

impl SystemPace {
    pub(super) fn new() -> Self {
        // Without it no two moments can be compared, and only what passes within this process counts less than it should.
        SystemPace { boot_id: boot_id().unwrap_or_default() }
    }
}

impl Pace for SystemPace {
    fn now(&self) -> Moment {
        Moment { boot_id: self.boot_id.clone(), boottime_micros: clock::boottime_micros() }
    }

    fn sleep(&self, how_long: Duration) -> Wait<'_> {
        Box::pin(tokio::time::sleep(how_long))
    }

    fn chance(&self) -> f64 {
        random_fraction()
    }
}
