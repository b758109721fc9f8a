//! Writes what was counted ([`crate::limits::tally`]): within seconds after its minute is over, and all of it at the end.

use std::time::Duration;

use super::runner::Job;
use crate::Hansard;
use crate::errors::chain_of;
use crate::limits::tally::Counts;

pub(super) struct WriteTallies;

impl Job for WriteTallies {
    const NAME: &'static str = "write counted refusals";
    /// How often it is looked whether a minute is over in which nothing was counted since.
    const EVERY: Duration = Duration::from_secs(5);

    /// Writes what is due. What cannot be written is kept for the next round.
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
            tracing::error!(events = unwritten.len(), "refusals that were counted are lost");
        }
    }
}

/// Writes each count, and gives back what was not written: after the first that fails, none is tried.
async fn write(hansard: &Hansard, mut counts: Counts) -> Counts {
    while let Some(key) = counts.keys().next().cloned() {
        let Some(count) = counts.get(&key) else { break };
        if let Err(error) = hansard.store.record_audit(count.event(&key)).await {
            tracing::warn!(chain = %chain_of(&error), "counted refusals could not be written down yet");
            break;
        }
        counts.remove(&key);
    }
    counts
}
