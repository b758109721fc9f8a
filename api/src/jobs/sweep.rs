//! What time does to recordings: those that were abandoned become interrupted, those that have expired leave the
//! counters, and what has lapsed (nonces, join tokens) is removed.

use std::time::Duration;

use domain::AccountId;
use domain::actions::SweepRecordings;
use domain::gate::{self, PrincipalPolicies, RequestFacts, Resource};
use domain::principal::Principal;
use persistence::Swept;

use crate::Hansard;
use crate::errors::{ActionError, chain_of};

/// How long a recording and its agent must both have been silent before it is shown as interrupted. An agent that
/// comes back later may still go on with it.
const ABANDONED_AFTER: Duration = Duration::from_secs(10 * 60);

/// Sweeps every account. One account's trouble does not keep the others waiting; the next round tries again.
pub(super) async fn sweep(hansard: &Hansard) {
    let accounts = match hansard.store.accounts().await {
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
                %account, abandoned = swept.abandoned, expired = swept.expired, purged = swept.purged, "swept"
            ),
            Err(error) => {
                tracing::warn!(%account, chain = %chain_of(&error), "an account could not be swept")
            }
        }
    }
}

async fn sweep_account(hansard: &Hansard, account: &AccountId) -> Result<Swept, ActionError> {
    let now = hansard.now();
    let principal = Principal::System { account: account.clone() };
    let facts = RequestFacts::at(now);
    let granted = gate::authorize::<SweepRecordings>(
        &principal,
        Resource::Everything,
        &PrincipalPolicies::none(),
        &facts,
    )?;
    Ok(hansard.store.sweep(&granted, now, ABANDONED_AFTER).await?)
}
