//! Administration of users, access keys and policies. Every change bumps the account's revision.

use std::collections::BTreeMap;

use domain::Timestamp;
use domain::access_key::{AccessKeySecret, AccessKeyStatus};
use domain::actions::AdministersIdentity;
use domain::audit::AuditEvent;
use domain::gate::Granted;
use domain::identity::{AccessKeyId, PolicyName, UserId, UserName};
use policies::{DocumentKind, PolicyDocument};

use super::{Revision, Store};
use crate::rows::access_key_rows::{self, StoredKey};
use crate::rows::{policy_rows, user_rows};
use crate::{AccessKeyEntry, KeyOwner, PolicyEntry, StoreError, User};

impl Store {
    /// Makes a user.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the name is taken.
    pub async fn create_user<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        name: &UserName,
        now: Timestamp,
        audit: AuditEvent,
    ) -> Result<User, StoreError> {
        let account = granted.account().clone();
        let user = User { id: UserId::generate(), name: name.clone(), created_at: now };
        self.transact(account.clone(), Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                user_rows::insert(transaction, &account, &user).await?;
                Ok(user)
            })
        })
        .await
    }

    /// All users, by name.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn list_users<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
    ) -> Result<Vec<User>, StoreError> {
        user_rows::list(self.inner.connections.reader(), granted.account()).await
    }

    /// Deletes a user with its access keys and attachments.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn delete_user<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        name: &UserName,
        audit: AuditEvent,
    ) -> Result<(), StoreError> {
        let (account, name) = (granted.account().clone(), name.clone());
        self.transact(account.clone(), Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                let user = user_rows::get_by_name(transaction, &account, &name).await?;
                access_key_rows::delete_of_user(transaction, &account, &user.id).await?;
                policy_rows::detach_all(transaction, &account, &user.id).await?;
                user_rows::delete(transaction, &account, &user.id).await
            })
        })
        .await
    }

    /// Deletes a user that has neither access keys nor policies.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Conflict`] when it has some.
    pub async fn delete_bare_user<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        name: &UserName,
        audit: AuditEvent,
    ) -> Result<(), StoreError> {
        let (account, name) = (granted.account().clone(), name.clone());
        self.transact(account.clone(), Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                let user = user_rows::get_by_name(transaction, &account, &name).await?;
                let keys = access_key_rows::list(transaction, &account).await?;
                let attachments = policy_rows::attachments(transaction, &account).await?;
                let has_keys = keys.iter().any(|key| key.user.as_ref() == Some(&user.id));
                if has_keys || attachments.iter().any(|(attached, _)| attached == user.id.as_str()) {
                    return Err(StoreError::Conflict {
                        what: "user",
                        why: "it has access keys or attached policies",
                    });
                }
                user_rows::delete(transaction, &account, &user.id).await
            })
        })
        .await
    }

    /// Makes an access key. The secret can be read here and never again.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such user.
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
    pub async fn list_access_keys<A: AdministersIdentity>(
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

    /// Makes a policy, or gives an existing one a new document.
    ///
    /// # Errors
    /// [`StoreError::InvalidPolicy`] says what is wrong with the document, and where.
    pub async fn put_policy<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        name: &PolicyName,
        document: &str,
        now: Timestamp,
        audit: AuditEvent,
    ) -> Result<(), StoreError> {
        PolicyDocument::parse(document.as_bytes(), DocumentKind::Identity)
            .map_err(StoreError::InvalidPolicy)?;
        let (account, name, document) = (granted.account().clone(), name.clone(), document.to_owned());
        self.transact(account.clone(), Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move { policy_rows::put(transaction, &account, &name, &document, now).await })
        })
        .await
    }

    /// All policies of the account, by name.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn list_policies<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
    ) -> Result<Vec<PolicyEntry>, StoreError> {
        let names = self.user_names(granted).await?;
        let reader = self.inner.connections.reader();
        let attachments = policy_rows::attachments(reader, granted.account()).await?;
        let stored = policy_rows::list(reader, granted.account()).await?;
        let entry = |policy: policy_rows::StoredPolicy| {
            let mut attached_to: Vec<UserName> = attachments
                .iter()
                .filter(|(_, attached)| attached == policy.name.as_str())
                .filter_map(|(user, _)| names.get(user).cloned())
                .collect();
            attached_to.sort();
            PolicyEntry {
                name: policy.name,
                document: policy.document,
                created_at: policy.created_at,
                changed_at: policy.changed_at,
                attached_to,
            }
        };
        Ok(stored.into_iter().map(entry).collect())
    }

    /// Deletes a policy.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Conflict`] while it is attached.
    pub async fn delete_policy<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        name: &PolicyName,
        audit: AuditEvent,
    ) -> Result<(), StoreError> {
        let (account, name) = (granted.account().clone(), name.clone());
        self.transact(account.clone(), Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move { policy_rows::delete(transaction, &account, &name).await })
        })
        .await
    }

    /// Attaches a policy to a user; attached already, it stays so.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such user or policy.
    pub async fn attach_policy<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        user: &UserName,
        policy: &PolicyName,
        audit: AuditEvent,
    ) -> Result<(), StoreError> {
        let (account, user, policy) = (granted.account().clone(), user.clone(), policy.clone());
        self.transact(account.clone(), Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                let user = user_rows::get_by_name(transaction, &account, &user).await?;
                if !policy_rows::exists(transaction, &account, &policy).await? {
                    return Err(StoreError::NotFound { what: "policy" });
                }
                policy_rows::attach(transaction, &account, &user.id, &policy).await
            })
        })
        .await
    }

    /// Detaches a policy from a user.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such user, or the policy is not attached.
    pub async fn detach_policy<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        user: &UserName,
        policy: &PolicyName,
        audit: AuditEvent,
    ) -> Result<(), StoreError> {
        let (account, user, policy) = (granted.account().clone(), user.clone(), policy.clone());
        self.transact(account.clone(), Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                let user = user_rows::get_by_name(transaction, &account, &user).await?;
                policy_rows::detach(transaction, &account, &user.id, &policy).await
            })
        })
        .await
    }

    async fn user_names<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
    ) -> Result<BTreeMap<String, UserName>, StoreError> {
        let users = self.list_users(granted).await?;
        Ok(users.into_iter().map(|user| (user.id.as_str().to_owned(), user.name)).collect())
    }
}
