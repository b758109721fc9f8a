//! Writes what was counted ([`crate::limits::tally`]): within seconds after its minute is over, and all of it at the end.

use std::time::Duration;

use super::runner::Job;
use crate::Hansard;
use crate::errors::chain_of;
use crate::limits::tally::Counts;

pub(super) struct WriteTallies;

impl Job for WriteTallies {
    const NAME: &'static str = "write counted refusals";
    /// How often to check whether a counted minute is over, if nothing else is counted.
    const EVERY: Duration = Duration::from_secs(5);

    /// Writes the counts that are due. Those that cannot be written are kept for the next round.
    async fn run(&mut self, hansard: &Hansard) {
        let tally = &hansard.limits.tally;
        tally.give_back(write(hansard, tally.take_due(hansard.now())).await);
    }

    async fn woken(&self, hansard: &Hansard) {
        hansard.limits.tally.minute_is_over().await;
    }

    /// Writes everything.
    async fn end(&mut self, hansard: &Hansard) {
        let unwritten = write(hansard, hansard.limits.tally.take_all()).await;
        if !unwritten.is_empty() {
            tracing::error!(events = unwritten.len(), "counted refusals were lost");
        }
    }
}

/// Writes each count, and returns those that were not written. It stops at the first failure.
async fn write(hansard: &Hansard, mut counts: Counts) -> Counts {
    while let Some(key) = counts.keys().next().cloned() {
        let Some(count) = counts.get(&key) else { break };
        if let Err(error) = hansard.store.record_audit_unhurried(count.event(&key)).await {
            tracing::warn!(chain = %chain_of(&error), "counted refusals could not be stored yet");
            break;
        }
        counts.remove(&key);
    }
    counts
}
