//! Stores when access keys last signed. The time that GetAccessKeyLastUsed shows is as far behind as this job's
//! rounds are apart.

use std::time::Duration;

use super::runner::Job;
use crate::Hansard;
use crate::errors::chain_of;

pub(super) struct WriteKeyUsage;

impl Job for WriteKeyUsage {
    const NAME: &'static str = "write the use of access keys";
    const EVERY: Duration = Duration::from_secs(5);

    /// Writes what was noted since the last round. What could not be written is kept for the next.
    async fn run(&mut self, hansard: &Hansard) {
        if let Err(error) = hansard.store.write_key_usage().await {
            tracing::warn!(chain = %chain_of(&error), "when access keys last signed could not be written");
        }
    }

    /// Once more, for the calls that were answered last.
    async fn end(&mut self, hansard: &Hansard) {
        self.run(hansard).await;
    }
}
