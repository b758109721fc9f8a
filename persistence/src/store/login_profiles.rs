//! Administration of how users sign in to the console. Every change bumps the account's revision.

use domain::Timestamp;
use domain::actions::{AdministersIdentity, ReadsIdentity};
use domain::audit::AuditEvent;
use domain::gate::{Granted, IdentityResource};
use domain::identity::{LoginProfile, LoginProfileChange, StoredLoginProfile, UserName};
use domain::password::PasswordHash;

use super::{Revision, Scope, Store};
use crate::StoreError;
use crate::rows::login_profile_rows;
use crate::rows::user_rows::Users;

impl Store {
    /// Gives a user a password for the console.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when there is no such user, or it already has one; [`StoreError::OutsideGrant`].
    pub async fn create_login_profile<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        name: &UserName,
        password: PasswordHash,
        profile: LoginProfile,
        audit: AuditEvent,
    ) -> Result<(), StoreError> {
        let (account, name) = (granted.account().clone(), name.clone());
        Scope::of(granted).admits_identity(&IdentityResource::User(name.clone()))?;
        self.transact(granted, Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                let user = Users::get_locked(transaction, &account, &name).await?;
                let standing = login_profile_rows::find(transaction, &account, &user.id).await?;
                let made = profile.create(&name, password, standing.as_ref())?;
                login_profile_rows::insert(transaction, &account, &user.id, &made).await
            })
        })
        .await
    }

    /// How a user signs in to the console.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when there is no such user, or it has no login profile; [`StoreError::OutsideGrant`].
    pub async fn get_login_profile<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
        name: &UserName,
    ) -> Result<LoginProfile, StoreError> {
        Scope::of(granted).admits_identity(&IdentityResource::User(name.clone()))?;
        let reader = self.inner.connections.reader();
        let user = Users::get(reader, granted.account(), name).await?;
        let standing = login_profile_rows::find(reader, granted.account(), &user.id).await?;
        Ok(StoredLoginProfile::of(name, standing)?.profile)
    }

    /// Changes how a user signs in to the console.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when there is no such user, or it has no login profile; [`StoreError::OutsideGrant`].
    pub async fn update_login_profile<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        name: &UserName,
        change: LoginProfileChange,
        now: Timestamp,
        audit: AuditEvent,
    ) -> Result<(), StoreError> {
        let (account, name) = (granted.account().clone(), name.clone());
        Scope::of(granted).admits_identity(&IdentityResource::User(name.clone()))?;
        self.transact(granted, Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                let user = Users::get_locked(transaction, &account, &name).await?;
                let standing = login_profile_rows::find(transaction, &account, &user.id).await?;
                let changed = StoredLoginProfile::of(&name, standing)?.change(change, now);
                login_profile_rows::save(transaction, &account, &user.id, &changed).await
            })
        })
        .await
    }

    /// Removes a user's access to the console.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when there is no such user, or it has no login profile; [`StoreError::OutsideGrant`].
    pub async fn delete_login_profile<A: AdministersIdentity>(
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
                let standing = login_profile_rows::find(transaction, &account, &user.id).await?;
                StoredLoginProfile::of(&name, standing)?;
                login_profile_rows::delete(transaction, &account, &user.id).await
            })
        })
        .await
    }
}
