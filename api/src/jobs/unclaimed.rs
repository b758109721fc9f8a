//! Objects that agents uploaded and no recording claimed go after a day: their agents have kept the bytes.

use domain::AccountId;
use domain::actions::SweepRecordings;
use domain::gate::{self, PrincipalPolicies, RequestFacts, Resource};
use domain::principal::Principal;

use crate::Hansard;
use crate::errors::{ActionError, chain_of};

/// Removes what is due of every account. One account's trouble does not keep the others waiting; the next round tries
/// again.
pub(super) async fn remove(hansard: &Hansard) {
    let accounts = match hansard.store.accounts().await {
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

async fn remove_of(hansard: &Hansard, account: &AccountId) -> Result<u64, ActionError> {
    let now = hansard.now();
    let principal = Principal::System { account: account.clone() };
    let facts = RequestFacts::at(now);
    let granted = gate::authorize::<SweepRecordings>(
        &principal,
        Resource::Everything,
        &PrincipalPolicies::none(),
        &facts,
    )?;
    Ok(hansard.store.remove_unclaimed(&granted, &hansard.stores, now).await?)
}
