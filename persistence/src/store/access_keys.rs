//! Administration of access keys. Every change bumps the account's revision.

use domain::Timestamp;
use domain::access_key::{AccessKeySecret, AccessKeyStatus};
use domain::actions::{AdministersIdentity, ReadsIdentity};
use domain::audit::AuditEvent;
use domain::gate::Granted;
use domain::identity::AccessKeyId;

use super::{Revision, Store};
use crate::rows::access_key_rows::{self, StoredKey};
use crate::rows::user_rows;
use crate::{AccessKeyEntry, KeyOwner, StoreError};

impl Store {
    /// Makes an access key. The secret can be read here and never again.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when there is no such user.
    pub async fn create_access_key<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        owner: &KeyOwner,
        now: Timestamp,
        audit: AuditEvent,
    ) -> Result<(AccessKeyId, AccessKeySecret), StoreError> {
        let (account, owner) = (granted.account().clone(), owner.clone());
        let (id, secret) = (AccessKeyId::generate(), AccessKeySecret::generate());
        let (key_id, sealed_secret) = (id.clone(), self.sealed(&id, &secret)?);
        self.transact(account.clone(), Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                let user = match &owner {
                    KeyOwner::Root => None,
                    KeyOwner::User(name) => {
                        Some(user_rows::get_by_name(transaction, &account, name).await?.id)
                    }
                };
                let status = AccessKeyStatus::Active;
                let key = StoredKey { id: key_id, account, user, sealed_secret, status, created_at: now };
                access_key_rows::insert(transaction, &key).await
            })
        })
        .await?;
        Ok((id, secret))
    }

    /// All access keys of the account, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn list_access_keys<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
    ) -> Result<Vec<AccessKeyEntry>, StoreError> {
        let names = self.user_names(granted).await?;
        let keys = access_key_rows::list(self.inner.connections.reader(), granted.account()).await?;
        let entry = |key: StoredKey| {
            let owner = match &key.user {
                None => KeyOwner::Root,
                // A user that was made or deleted between the two reads is not listed.
                Some(id) => KeyOwner::User(names.get(id.as_str())?.clone()),
            };
            Some(AccessKeyEntry { id: key.id, owner, status: key.status, created_at: key.created_at })
        };
        Ok(keys.into_iter().filter_map(entry).collect())
    }

    /// Switches an access key on or off.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn set_access_key_status<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        id: &AccessKeyId,
        status: AccessKeyStatus,
        audit: AuditEvent,
    ) -> Result<(), StoreError> {
        let (account, id) = (granted.account().clone(), id.clone());
        self.transact(account.clone(), Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move { access_key_rows::set_status(transaction, &account, &id, status).await })
        })
        .await
    }

    /// Deletes an access key.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn delete_access_key<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        id: &AccessKeyId,
        audit: AuditEvent,
    ) -> Result<(), StoreError> {
        let (account, id) = (granted.account().clone(), id.clone());
        self.transact(account.clone(), Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move { access_key_rows::delete(transaction, &account, &id).await })
        })
        .await
    }
}
