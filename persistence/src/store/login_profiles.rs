//! Administration of how users sign in to the console. Every change bumps the account's revision.

use domain::Timestamp;
use domain::actions::{AdministersIdentity, ReadsIdentity};
use domain::audit::AuditEvent;
use domain::gate::{Granted, IdentityResource};
use domain::identity::{Entity, IdentityRefused, UserName};
use domain::password::PasswordHash;

use super::{Revision, Scope, Store};
use crate::rows::login_profile_rows::{self, StoredLoginProfile};
use crate::rows::user_rows::Users;
use crate::{LoginProfile, LoginProfileChange, StoreError};

impl Store {
    /// Gives a user a password for the console.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when there is no such user, or it has one; [`StoreError::OutsideGrant`].
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
        let LoginProfile { password_reset_required, mfa_bind_required, created_at } = profile;
        let changed_at = created_at;
        let stored = StoredLoginProfile {
            password,
            password_reset_required,
            mfa_bind_required,
            created_at,
            changed_at,
        };
        self.transact(account.clone(), Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                let user = Users::get_locked(transaction, &account, &name).await?;
                login_profile_rows::insert(transaction, &account, &user.id, &name, &stored).await
            })
        })
        .await
    }

    /// How a user signs in to the console.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when there is no such user, or it does not; [`StoreError::OutsideGrant`].
    pub async fn login_profile<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
        name: &UserName,
    ) -> Result<LoginProfile, StoreError> {
        Scope::of(granted).admits_identity(&IdentityResource::User(name.clone()))?;
        let reader = self.inner.connections.reader();
        let user = Users::get(reader, granted.account(), name).await?;
        let found = login_profile_rows::find(reader, granted.account(), &user.id).await?;
        let StoredLoginProfile { password_reset_required, mfa_bind_required, created_at, .. } =
            found.ok_or_else(|| absent(name))?;
        Ok(LoginProfile { password_reset_required, mfa_bind_required, created_at })
    }

    /// Changes how a user signs in to the console.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when there is no such user, or it does not; [`StoreError::OutsideGrant`].
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
        self.transact(account.clone(), Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                let user = Users::get_locked(transaction, &account, &name).await?;
                let found = login_profile_rows::find(transaction, &account, &user.id).await?;
                let stored = found.ok_or_else(|| absent(&name))?;
                let changed = StoredLoginProfile {
                    password: change.password.unwrap_or(stored.password),
                    password_reset_required: change
                        .password_reset_required
                        .unwrap_or(stored.password_reset_required),
                    mfa_bind_required: change.mfa_bind_required.unwrap_or(stored.mfa_bind_required),
                    created_at: stored.created_at,
                    changed_at: now,
                };
                login_profile_rows::save(transaction, &account, &user.id, &changed).await
            })
        })
        .await
    }

    /// Takes the console from a user.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when there is no such user, or it has none; [`StoreError::OutsideGrant`].
    pub async fn delete_login_profile<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        name: &UserName,
        audit: AuditEvent,
    ) -> Result<(), StoreError> {
        let (account, name) = (granted.account().clone(), name.clone());
        Scope::of(granted).admits_identity(&IdentityResource::User(name.clone()))?;
        self.transact(account.clone(), Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                let user = Users::get_locked(transaction, &account, &name).await?;
                let was_there = login_profile_rows::delete(transaction, &account, &user.id).await?;
                if was_there { Ok(()) } else { Err(absent(&name)) }
            })
        })
        .await
    }
}

fn absent(name: &UserName) -> StoreError {
    IdentityRefused::NotExist { entity: Entity::LoginProfile, name: name.to_string() }.into()
}
