//! Removes objects that agents uploaded and no recording claimed within a day. Their agents have kept the bytes.

use std::time::Duration;

use domain::AccountId;
use domain::actions::SweepRecordings;

use super::runner::Job;
use super::{accounts, authorize};
use crate::Hansard;
use crate::errors::{ActionError, chain_of};

pub(super) struct RemoveUnclaimed;

impl Job for RemoveUnclaimed {
    const NAME: &'static str = "remove unclaimed objects";
    const EVERY: Duration = Duration::from_secs(30);

    /// Removes the objects that are due in every account. An error in one account does not delay the others; the next
    /// round tries again.
    async fn run(&mut self, hansard: &Hansard) {
        let accounts = match accounts(hansard).await {
            Ok(accounts) => accounts,
            Err(error) => {
                tracing::warn!(chain = %chain_of(&error), "unclaimed objects could not be looked for");
                return;
            }
        };
        for account in accounts {
            match remove_of(hansard, &account).await {
                Ok(0) => {}
                Ok(removed) => {
                    tracing::info!(%account, removed, "objects that no recording had claimed are removed");
                }
                Err(error) => {
                    tracing::warn!(%account, chain = %chain_of(&error), "unclaimed objects could not be removed");
                }
            }
        }
    }
}

async fn remove_of(hansard: &Hansard, account: &AccountId) -> Result<u64, ActionError> {
    let granted = authorize::<SweepRecordings>(hansard, account)?;
    Ok(hansard.store.remove_unclaimed(&granted, &hansard.stores, hansard.now()).await?)
}
