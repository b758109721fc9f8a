//! Administration of RAM users. Every change bumps the account's revision.

use std::collections::BTreeMap;

use domain::Timestamp;
use domain::actions::{AdministersIdentity, ReadsIdentity};
use domain::audit::AuditEvent;
use domain::gate::{Granted, IdentityResource};
use domain::identity::{AttachmentTarget, UserId, UserName};

use super::{Revision, Scope, Store};
use crate::markers::NameSlice;
use crate::rows::{access_key_rows, attachment_rows, user_rows};
use crate::{MarkerPage, MarkerRequest, NewUser, StoreError, User};

impl Store {
    /// Makes a user.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when the name is taken.
    pub async fn create_user<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        new: impl Into<NewUser>,
        now: Timestamp,
        audit: AuditEvent,
    ) -> Result<User, StoreError> {
        let account = granted.account().clone();
        let NewUser { name, profile } = new.into();
        Scope::of(granted).admits_identity(&IdentityResource::User(name.clone()))?;
        let user = User {
            id: UserId::generate(),
            name,
            profile,
            created_at: now,
            changed_at: now,
            last_login_at: None,
        };
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

    /// One user.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when it is not there; [`StoreError::OutsideGrant`].
    pub async fn user<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
        name: &UserName,
    ) -> Result<User, StoreError> {
        Scope::of(granted).admits_identity(&IdentityResource::User(name.clone()))?;
        user_rows::get_by_name(self.inner.connections.reader(), granted.account(), name).await
    }

    /// A part of the list of users, by name.
    ///
    /// # Errors
    /// [`StoreError::InvalidMarker`]; [`StoreError::OutsideGrant`] when the grant is not for all users.
    pub async fn page_of_users<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
        page: &MarkerRequest,
    ) -> Result<MarkerPage<User>, StoreError> {
        Scope::of(granted).admits_identity(&IdentityResource::Users)?;
        let slice = NameSlice::of(page, "users")?;
        let users = user_rows::slice(self.inner.connections.reader(), granted.account(), &slice).await?;
        Ok(slice.page(users, |user| user.name.to_string()))
    }

    /// Deletes a user with its access keys and attachments.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when it is not there.
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
    /// [`StoreError::Identity`] when it is not there; [`StoreError::Conflict`] when it has some.
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
