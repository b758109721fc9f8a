//! Administration of RAM users. Every change bumps the account's revision.

use std::collections::BTreeMap;

use domain::Timestamp;
use domain::actions::{AdministersIdentity, ReadsIdentity};
use domain::audit::AuditEvent;
use domain::gate::{Granted, IdentityResource};
use domain::identity::{
    AttachmentTarget, NewUser, User, UserBelongings, UserChange, UserDeleted, UserId, UserName,
};

use super::{Revision, Scope, Store};
use crate::markers::NameSlice;
use crate::rows::user_rows::Users;
use crate::rows::{access_key_rows, account_rows, attachment_rows, group_member_rows, login_profile_rows};
use crate::{MarkerPage, MarkerRequest, StoreError};

impl Store {
    /// Makes a user.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when the name is taken or there are as many users as there may be;
    /// [`StoreError::OutsideGrant`].
    pub async fn create_user<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        new: impl Into<NewUser>,
        now: Timestamp,
        audit: AuditEvent,
    ) -> Result<User, StoreError> {
        let account = granted.account().clone();
        let new = new.into();
        Scope::of(granted).admits_identity(&IdentityResource::User(new.name.clone()))?;
        self.transact(granted, Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                // Counted under a lock, so that two callers do not both take the last place.
                account_rows::lock(transaction, &account).await?;
                let standing = Users::count(transaction, &account).await?;
                let user = new.create(UserId::generate(), standing, now)?;
                Users::insert(transaction, &account, &user).await?;
                Ok(user)
            })
        })
        .await
    }

    /// One user.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when it is not there; [`StoreError::OutsideGrant`].
    pub async fn get_user<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
        name: &UserName,
    ) -> Result<User, StoreError> {
        Scope::of(granted).admits_identity(&IdentityResource::User(name.clone()))?;
        Users::get(self.inner.connections.reader(), granted.account(), name).await
    }

    /// A part of the list of users, by name.
    ///
    /// # Errors
    /// [`StoreError::InvalidMarker`]; [`StoreError::OutsideGrant`] when the grant is not for all users.
    pub async fn list_users<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
        page: &MarkerRequest,
    ) -> Result<MarkerPage<User>, StoreError> {
        Scope::of(granted).admits_identity(&IdentityResource::Users)?;
        let slice = NameSlice::of(page, "users")?;
        let users = Users::list(self.inner.connections.reader(), granted.account(), &slice).await?;
        Ok(slice.page(users, |user| user.name.to_string()))
    }

    /// All users, by name.
    ///
    /// # Errors
    /// [`StoreError::OutsideGrant`] when the grant is not for everything.
    pub async fn all_users<A: ReadsIdentity>(&self, granted: &Granted<A>) -> Result<Vec<User>, StoreError> {
        Scope::of(granted).admits_everything("users")?;
        Users::all(self.inner.connections.reader(), granted.account()).await
    }

    /// Changes a user. A renamed user keeps its id and everything that belongs to it; the grant must be for both names.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when it does not exist, or the new name is taken; [`StoreError::OutsideGrant`].
    pub async fn update_user<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        name: &UserName,
        change: UserChange,
        now: Timestamp,
        audit: AuditEvent,
    ) -> Result<User, StoreError> {
        let (account, name, scope) = (granted.account().clone(), name.clone(), Scope::of(granted));
        scope.admits_identity(&IdentityResource::User(name.clone()))?;
        if let Some(another) = &change.name {
            scope.admits_identity(&IdentityResource::User(another.clone()))?;
        }
        self.transact(granted, Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                let user = Users::get_locked(transaction, &account, &name).await?.change(change, now);
                Users::save(transaction, &account, &user).await?;
                Ok(user)
            })
        })
        .await
    }

    /// Deletes a user with its access keys, its login profile, its memberships and its attachments.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when it is not there; [`StoreError::OutsideGrant`].
    pub async fn purge_user<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        name: &UserName,
        audit: AuditEvent,
    ) -> Result<(), StoreError> {
        let (account, name) = (granted.account().clone(), name.clone());
        Scope::of(granted).admits_identity(&IdentityResource::User(name.clone()))?;
        self.transact(granted, Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                let user = Users::get_locked(transaction, &account, &name).await?;
                access_key_rows::delete_of_user(transaction, &account, &user.id).await?;
                group_member_rows::delete_of_user(transaction, &account, &user.id).await?;
                let target = AttachmentTarget::User(user.id.clone());
                attachment_rows::delete_of_target(transaction, &account, &target).await?;
                login_profile_rows::delete(transaction, &account, &user.id).await?;
                Users::delete(transaction, &account, &user.id).await
            })
        })
        .await
    }

    /// Deletes a user that has neither access keys nor policies nor a login profile, and is in no group.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when it does not exist, or has any of these; [`StoreError::OutsideGrant`].
    pub async fn delete_user<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        name: &UserName,
        audit: AuditEvent,
    ) -> Result<(), StoreError> {
        let (account, name) = (granted.account().clone(), name.clone());
        Scope::of(granted).admits_identity(&IdentityResource::User(name.clone()))?;
        self.transact(granted, Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                // A transaction that gives the user any of these refers to its row, and waits.
                let user = Users::get_locked(transaction, &account, &name).await?;
                let target = AttachmentTarget::User(user.id.clone());
                let has = UserBelongings {
                    access_keys: access_key_rows::count_of_owner(transaction, &account, Some(&user.id))
                        .await?,
                    groups: group_member_rows::count_of_user(transaction, &account, &user.id).await?,
                    has_policies: attachment_rows::has_any(transaction, &account, &target).await?,
                    has_login_profile: login_profile_rows::find(transaction, &account, &user.id)
                        .await?
                        .is_some(),
                };
                let UserDeleted { user } = user.delete(has)?;
                Users::delete(transaction, &account, &user).await
            })
        })
        .await
    }

    /// The names of all users, by id.
    pub(super) async fn user_names<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
    ) -> Result<BTreeMap<String, UserName>, StoreError> {
        let users = self.all_users(granted).await?;
        Ok(users.into_iter().map(|user| (user.id.as_str().to_owned(), user.name)).collect())
    }
}
