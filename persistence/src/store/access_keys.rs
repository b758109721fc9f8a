//! Administration of access keys. Every change bumps the account's revision.

use domain::access_key::{AccessKeySecret, AccessKeyStatus};
use domain::actions::{AdministersIdentity, ReadsIdentity};
use domain::audit::AuditEvent;
use domain::gate::Granted;
use domain::identity::{
    AccessKeyCreated, AccessKeyEntry, AccessKeyId, Entity, IdentityRefused, KeyOwner, access_keys,
};
use domain::{AccountId, Timestamp};
use sea_orm::{ConnectionTrait, DatabaseTransaction};

use super::{Revision, Scope, Store};
use crate::StoreError;
use crate::rows::access_key_rows::{self, StoredKey};
use crate::rows::account_rows;
use crate::rows::user_rows::Users;

impl Store {
    /// Makes an access key. The secret can be read from the result and never again.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when there is no such user, or it has as many keys as it may have;
    /// [`StoreError::OutsideGrant`].
    pub async fn create_access_key<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        owner: &KeyOwner,
        now: Timestamp,
        audit: AuditEvent,
    ) -> Result<(AccessKeyId, AccessKeySecret), StoreError> {
        let (account, owner) = (granted.account().clone(), owner.clone());
        Scope::of(granted).admits_identity(&owner.resource())?;
        let (id, secret) = (AccessKeyId::generate(), AccessKeySecret::generate());
        let (key_id, sealed_secret) = (id.clone(), self.sealed(&id, &secret)?);
        let audit = audit.with_more(id.as_str());
        self.transact(granted, Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                // Counted under a lock, so that two callers do not both take the last place.
                let user = match &owner {
                    KeyOwner::Root => {
                        account_rows::lock(transaction, &account).await?;
                        None
                    }
                    KeyOwner::User(name) => Some(Users::get_locked(transaction, &account, name).await?.id),
                };
                let standing = access_key_rows::count_of_owner(transaction, &account, user.as_ref()).await?;
                let AccessKeyCreated { id, user, status, at: created_at } =
                    access_keys::create(key_id, user, standing, now)?;
                let key = StoredKey { id, account, user, sealed_secret, status, created_at, last_used: None };
                access_key_rows::insert(transaction, &key).await
            })
        })
        .await?;
        Ok((id, secret))
    }

    /// All access keys of the account, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::OutsideGrant`] when the grant is not for everything.
    pub async fn all_access_keys<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
    ) -> Result<Vec<AccessKeyEntry>, StoreError> {
        Scope::of(granted).admits_everything("access keys")?;
        let names = self.user_names(granted).await?;
        let keys = access_key_rows::all(self.inner.connections.reader(), granted.account()).await?;
        let listed = |key: StoredKey| {
            let owner = match &key.user {
                None => KeyOwner::Root,
                // A user that was made or deleted between the two reads is not listed.
                Some(id) => KeyOwner::User(names.get(id.as_str())?.clone()),
            };
            Some(entry(key, owner))
        };
        Ok(keys.into_iter().filter_map(listed).collect())
    }

    /// The access keys of one user, or of the account's owner, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when there is no such user; [`StoreError::OutsideGrant`].
    pub async fn access_keys_of<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
        owner: &KeyOwner,
    ) -> Result<Vec<AccessKeyEntry>, StoreError> {
        let (account, reader) = (granted.account(), self.inner.connections.reader());
        Scope::of(granted).admits_identity(&owner.resource())?;
        let user = match owner {
            KeyOwner::Root => None,
            KeyOwner::User(name) => Some(Users::get(reader, account, name).await?.id),
        };
        let keys = access_key_rows::of_owner(reader, account, user.as_ref()).await?;
        Ok(keys.into_iter().map(|key| entry(key, owner.clone())).collect())
    }

    /// One access key of an owner that the grant names.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when there is no such key, or it belongs to another owner.
    pub async fn get_access_key<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
        id: &AccessKeyId,
    ) -> Result<AccessKeyEntry, StoreError> {
        let reader = self.inner.connections.reader();
        // Read first, because a use that is written meanwhile is then read below.
        let noted = self.inner.key_usage.noted_of(id);
        let found = access_key_rows::find(reader, id).await?;
        let found = found.filter(|key| key.account == *granted.account());
        let mut key = within(reader, &Scope::of(granted), found, id).await?;
        key.last_used = noted.into_iter().chain(key.last_used).max_by_key(|used| used.at);
        Ok(key)
    }

    /// Switches an access key of an owner that the grant names on or off.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when there is no such key, or it belongs to another owner.
    pub async fn set_access_key_status<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        id: &AccessKeyId,
        status: AccessKeyStatus,
        audit: AuditEvent,
    ) -> Result<(), StoreError> {
        let (account, id, scope) = (granted.account().clone(), id.clone(), Scope::of(granted));
        self.transact(granted, Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                locked_within(transaction, &account, &scope, &id).await?;
                access_key_rows::set_status(transaction, &account, &id, status).await
            })
        })
        .await
    }

    /// Deletes an access key of an owner that the grant names.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when there is no such key, or it belongs to another owner.
    pub async fn delete_access_key<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        id: &AccessKeyId,
        audit: AuditEvent,
    ) -> Result<(), StoreError> {
        let (account, id, scope) = (granted.account().clone(), id.clone(), Scope::of(granted));
        self.transact(granted, Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                locked_within(transaction, &account, &scope, &id).await?;
                access_key_rows::delete(transaction, &account, &id).await
            })
        })
        .await
    }
}

async fn locked_within(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    scope: &Scope,
    id: &AccessKeyId,
) -> Result<(), StoreError> {
    let found = access_key_rows::find_locked(transaction, account, id).await?;
    within(transaction, scope, found, id).await.map(drop)
}

/// The key, if it exists and the grant names its owner. Otherwise the caller does not learn who the owner is.
async fn within(
    connection: &impl ConnectionTrait,
    scope: &Scope,
    found: Option<StoredKey>,
    id: &AccessKeyId,
) -> Result<AccessKeyEntry, StoreError> {
    let absent = || IdentityRefused::not_exist(Entity::AccessKey, id);
    let key = found.ok_or_else(absent)?;
    let owner = match &key.user {
        None => KeyOwner::Root,
        Some(user) => {
            let user = Users::find_by_id(connection, &key.account, user).await?;
            KeyOwner::User(user.ok_or_else(absent)?.name)
        }
    };
    scope.admits_identity(&owner.resource()).map_err(|_| absent())?;
    Ok(entry(key, owner))
}

fn entry(key: StoredKey, owner: KeyOwner) -> AccessKeyEntry {
    let StoredKey { id, status, created_at, last_used, .. } = key;
    AccessKeyEntry { id, owner, status, created_at, last_used }
}
