//! Applies time to recordings: abandoned ones become interrupted, and expired ones leave the
//! counters.

use std::time::Duration;

use domain::AccountId;
use domain::actions::SweepRecordings;
use persistence::Swept;

use super::runner::Job;
use super::{accounts, authorize};
use crate::Hansard;
use crate::errors::{ActionError, chain_of};

/// How long a recording and its agent must both have been silent before it is shown as interrupted. An agent that
/// returns later may still continue it.
const ABANDONED_AFTER: Duration = Duration::from_secs(10 * 60);

pub(super) struct Sweep;

impl Job for Sweep {
    const NAME: &'static str = "sweep recordings";
    const EVERY: Duration = Duration::from_secs(30);

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
    Ok(hansard.store.sweep(&granted, hansard.now(), ABANDONED_AFTER).await?)
}
