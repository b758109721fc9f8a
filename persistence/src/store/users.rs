//! Administration of RAM users. Every change bumps the account's revision.

use std::collections::BTreeMap;

use domain::Timestamp;
use domain::actions::{AdministersIdentity, ReadsIdentity};
use domain::audit::AuditEvent;
use domain::gate::Granted;
use domain::identity::{AttachmentTarget, UserId, UserName};

use super::{Revision, Store};
use crate::rows::{access_key_rows, attachment_rows, user_rows};
use crate::{StoreError, User};

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
    pub async fn list_users<A: ReadsIdentity>(&self, granted: &Granted<A>) -> Result<Vec<User>, StoreError> {
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
                let target = AttachmentTarget::User(user.id.clone());
                attachment_rows::delete_of_target(transaction, &account, &target).await?;
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
                let target = AttachmentTarget::User(user.id.clone());
                let has_policies = attachment_rows::has_any(transaction, &account, &target).await?;
                let has_keys = keys.iter().any(|key| key.user.as_ref() == Some(&user.id));
                if has_keys || has_policies {
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

    /// The names of all users, by id.
    pub(super) async fn user_names<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
    ) -> Result<BTreeMap<String, UserName>, StoreError> {
        let users = self.list_users(granted).await?;
        Ok(users.into_iter().map(|user| (user.id.as_str().to_owned(), user.name)).collect())
    }
}
