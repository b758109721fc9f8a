//! Whether a deployment has a history.

use domain::AccountId;
use domain::actions::AdministerIdentity;
use domain::clock::{Clock as _, SystemClock};
use domain::gate::{InstanceFacts, PrincipalPolicies, RequestFacts, Resource, authorize};
use domain::principal::Principal;
use domain::record_config::InstanceSelector;
use persistence::{Store, StoreError};

use crate::failure::{Failure, chain};
use crate::settings::Settings;

/// Which start of this deployment it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// The database holds no account yet.
    First,
    /// It holds one.
    Later {
        /// Whether sessions on the local instance are recorded; `None` where no agent runs beside the server, so that this
        /// machine says nothing about the others.
        recording: Option<bool>,
    },
}

impl Start {
    /// Finds out which one it is, before the server changes anything in the database.
    ///
    /// # Errors
    /// The database refuses.
    pub(super) async fn find(store: &Store, settings: &Settings) -> Result<Self, Failure> {
        let failed = |error: StoreError| Failure::failed(chain(&error));
        let accounts = store.all_accounts().await.map_err(failed)?;
        let preset = settings.root.as_ref().map(|root| &root.account);
        let Some(account) = accounts.iter().find(|account| preset.is_none_or(|preset| preset == *account))
        else {
            return Ok(Self::First);
        };
        let recording = match settings.with_local_agent {
            true => Some(is_recorded(store, account, settings).await?),
            false => None,
        };
        Ok(Self::Later { recording })
    }
}

/// Whether sessions on the local instance are recorded.
async fn is_recorded(store: &Store, account: &AccountId, settings: &Settings) -> Result<bool, Failure> {
    let principal = Principal::Operator { account: account.clone() };
    let resource = Resource::Instance(InstanceFacts::untagged(
        settings.region.clone(),
        settings.local_instance_id.clone(),
    ));
    let facts = RequestFacts::at(SystemClock.now());
    let granted = authorize::<AdministerIdentity>(&principal, resource, &PrincipalPolicies::none(), &facts)
        .map_err(|denied| Failure::failed(denied.to_string()))?;
    let selector = InstanceSelector::One(settings.local_instance_id.clone());
    let effective = store.effective_record_config(&granted, &selector).await;
    Ok(effective.map_err(|error| Failure::failed(chain(&error)))?.enabled())
}
