//! The settings of an account.

use domain::actions::{AdministersIdentity, ReadsIdentity};
use domain::audit::AuditEvent;
use domain::gate::Granted;
use domain::identity::{AccountSettings, AccountSettingsChange};

use super::{Revision, Store};
use crate::StoreError;
use crate::rows::{account_rows, account_setting_rows};

impl Store {
    /// The settings of the grant's account, or the defaults.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn account_settings<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
    ) -> Result<AccountSettings, StoreError> {
        let reader = self.inner.connections.reader();
        Ok(account_setting_rows::find(reader, granted.account()).await?.unwrap_or_default())
    }

    /// Changes settings of the grant's account; returns all its settings after the change.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when another account has the alias.
    pub async fn change_account_settings<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        change: AccountSettingsChange,
        audit: AuditEvent,
    ) -> Result<AccountSettings, StoreError> {
        let account = granted.account().clone();
        self.transact(granted, Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                account_rows::lock(transaction, &account).await?;
                let standing = account_setting_rows::find(transaction, &account).await?;
                let is_first = standing.is_none();
                let changed = standing.unwrap_or_default().change(change);
                if is_first {
                    account_setting_rows::insert(transaction, &account, &changed).await?;
                } else {
                    account_setting_rows::save(transaction, &account, &changed).await?;
                }
                Ok(changed)
            })
        })
        .await
    }
}
