//! Administration of roles. Every change bumps the account's revision.

use domain::Timestamp;
use domain::actions::{AdministersIdentity, ReadsIdentity};
use domain::audit::AuditEvent;
use domain::gate::{Granted, IdentityResource};
use domain::identity::{
    AttachmentTarget, NewRole, Role, RoleChange, RoleDeleted, RoleId, RoleName, check_trust_policy,
};

use super::{Revision, Scope, Store};
use crate::markers::NameSlice;
use crate::rows::role_rows::Roles;
use crate::rows::{account_rows, attachment_rows, role_session_rows};
use crate::{MarkerPage, MarkerRequest, StoreError};

impl Store {
    /// Makes a role.
    ///
    /// # Errors
    /// [`StoreError::InvalidPolicy`] says what is wrong with the trust policy, and where; [`StoreError::Identity`] when
    /// the name is taken or there are as many roles as there may be; [`StoreError::OutsideGrant`].
    pub async fn create_role<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        new: NewRole,
        now: Timestamp,
        audit: AuditEvent,
    ) -> Result<Role, StoreError> {
        Scope::of(granted).admits_identity(&IdentityResource::Role(new.name.clone()))?;
        check_trust_policy(&new.trust_policy).map_err(StoreError::InvalidPolicy)?;
        let account = granted.account().clone();
        self.transact(account.clone(), Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                // Callers that make roles take turns, so that no two of them take the last place.
                account_rows::lock(transaction, &account).await?;
                let standing = Roles::count(transaction, &account).await?;
                let role = new.create(RoleId::generate(), standing, now)?;
                Roles::insert(transaction, &account, &role).await?;
                Ok(role)
            })
        })
        .await
    }

    /// One role.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when there is no such role; [`StoreError::OutsideGrant`].
    pub async fn get_role<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
        name: &RoleName,
    ) -> Result<Role, StoreError> {
        Scope::of(granted).admits_identity(&IdentityResource::Role(name.clone()))?;
        Roles::get(self.inner.connections.reader(), granted.account(), name).await
    }

    /// A part of the roles, by name.
    ///
    /// # Errors
    /// [`StoreError::InvalidMarker`]; [`StoreError::OutsideGrant`] when the grant is not for all roles.
    pub async fn list_roles<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
        page: &MarkerRequest,
    ) -> Result<MarkerPage<Role>, StoreError> {
        Scope::of(granted).admits_identity(&IdentityResource::Roles)?;
        let slice = NameSlice::of(page, "roles")?;
        let roles = Roles::list(self.inner.connections.reader(), granted.account(), &slice).await?;
        Ok(slice.page(roles, |role| role.name.to_string()))
    }

    /// Changes a role. The permissions of its running sessions follow the change; a changed trust policy applies from
    /// the next AssumeRole.
    ///
    /// # Errors
    /// [`StoreError::InvalidPolicy`]; [`StoreError::Identity`] when there is no such role.
    pub async fn update_role<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        name: &RoleName,
        change: RoleChange,
        now: Timestamp,
        audit: AuditEvent,
    ) -> Result<Role, StoreError> {
        Scope::of(granted).admits_identity(&IdentityResource::Role(name.clone()))?;
        if let Some(document) = &change.trust_policy {
            check_trust_policy(document).map_err(StoreError::InvalidPolicy)?;
        }
        let (account, name) = (granted.account().clone(), name.clone());
        self.transact(account.clone(), Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                let role = Roles::get_locked(transaction, &account, &name).await?.change(change, now);
                Roles::save(transaction, &account, &role).await?;
                Ok(role)
            })
        })
        .await
    }

    /// Deletes a role that has no policies, and ends its sessions.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when there is no such role, and while policies are attached to it.
    pub async fn delete_role<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        name: &RoleName,
        audit: AuditEvent,
    ) -> Result<(), StoreError> {
        Scope::of(granted).admits_identity(&IdentityResource::Role(name.clone()))?;
        let (account, name) = (granted.account().clone(), name.clone());
        self.transact(account.clone(), Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                let role = Roles::get_locked(transaction, &account, &name).await?;
                let target = AttachmentTarget::Role(role.id.clone());
                let attached = attachment_rows::of_target(transaction, &account, &target).await?;
                let RoleDeleted { role } = role.delete(attached.len())?;
                role_session_rows::delete_of_role(transaction, &account, &role.id).await?;
                Roles::delete(transaction, &account, &role.id).await
            })
        })
        .await
    }
}
