//! Applies time to recordings: those whose agent's lease has lapsed become interrupted, and expired ones leave the
//! counters. An agent that returns later may still continue its recordings.

use std::time::Duration;

use domain::AccountId;
use domain::actions::SweepRecordings;
use persistence::Swept;

use super::runner::Job;
use super::{accounts, authorize};
use crate::Hansard;
use crate::errors::{ActionError, chain_of};

pub(super) struct Sweep;

impl Job for Sweep {
    const NAME: &'static str = "sweep recordings";
    const EVERY: Duration = Duration::from_secs(30);

    /// A short lease is looked at more often, so that what has lapsed is seen within half of it again.
    async fn woken(&self, hansard: &Hansard) {
        tokio::time::sleep(hansard.settings.recording_lease / 2).await;
    }

    /// Sweeps every account. An error in one account does not delay the others; the next round tries again.
    async fn run(&mut self, hansard: &Hansard) {
        let accounts = match accounts(hansard).await {
            Ok(accounts) => accounts,
            Err(error) => {
                tracing::warn!(chain = %chain_of(&error), "the sweep could not begin");
                return;
            }
        };
        for account in accounts {
            match sweep_account(hansard, &account).await {
                Ok(swept) if swept == Swept::default() => {}
                Ok(swept) => tracing::info!(
                    %account, abandoned = swept.abandoned, expired = swept.expired, "swept"
                ),
                Err(error) => {
                    tracing::warn!(%account, chain = %chain_of(&error), "an account could not be swept")
                }
            }
        }
    }
}

async fn sweep_account(hansard: &Hansard, account: &AccountId) -> Result<Swept, ActionError> {
    let granted = authorize::<SweepRecordings>(hansard, account)?;
    Ok(hansard.store.sweep(&granted, hansard.now(), hansard.settings.recording_lease).await?)
}
