//! Noticing that configuration, keys or policies changed, here or in another replica.

use domain::AccountId;
use tokio::sync::watch;

use super::Store;
use crate::StoreError;

pub(super) struct Revisions;

impl Store {
    /// Counts the changes of an account's configuration, keys and policies.
    pub async fn configuration_revision(&self, account: &AccountId) -> Result<i64, StoreError> {
        todo!()
    }

    /// A number that grows with every change of any account: at once for changes made through this store, within a
    /// second for those of other replicas and of `hansard admin`. Whoever is woken asks
    /// [`Store::configuration_revision`] for its own account.
    #[must_use]
    pub fn subscribe_revisions(&self) -> watch::Receiver<i64> {
        todo!()
    }
}
