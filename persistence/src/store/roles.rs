//! Administration of roles. Every change bumps the account's revision.

use domain::Timestamp;
use domain::actions::{AdministersIdentity, ReadsIdentity};
use domain::audit::AuditEvent;
use domain::gate::{Granted, IdentityResource};
use domain::identity::{
    AttachmentTarget, EntityTags, NewRole, Role, RoleChange, RoleDeleted, RoleId, RoleName, TagFilter,
    Taggable, TaggableKind, Tagged, check_trust_policy,
};

use super::{Revision, Scope, Store};
use crate::markers::NameSlice;
use crate::rows::role_rows::{self, Roles};
use crate::rows::{account_rows, attachment_rows, identity_tag_rows, role_session_rows};
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
        let new = Tagged { thing: new, tags: EntityTags::default() };
        self.create_tagged_role(granted, new, now, audit).await
    }

    /// Makes a role with tags.
    ///
    /// # Errors
    /// As [`Store::create_role`].
    pub async fn create_tagged_role<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        Tagged { thing: new, tags }: Tagged<NewRole>,
        now: Timestamp,
        audit: AuditEvent,
    ) -> Result<Role, StoreError> {
        Scope::of(granted).admits_identity(&IdentityResource::Role(new.name.clone()))?;
        check_trust_policy(&new.trust_policy).map_err(StoreError::InvalidPolicy)?;
        let account = granted.account().clone();
        self.transact(granted, Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                // Callers that make roles take turns, so that no two of them take the last place.
                account_rows::lock(transaction, &account).await?;
                let standing = Roles::count(transaction, &account).await?;
                let role = new.create(RoleId::generate(), standing, now)?;
                Roles::insert(transaction, &account, &role).await?;
                let tagged = Taggable::Role(role.name.clone());
                identity_tag_rows::put(transaction, &account, &tagged, &tags).await?;
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
        let page = self.list_tagged_roles(granted, &TagFilter::default(), page).await?;
        Ok(MarkerPage {
            items: page.items.into_iter().map(|tagged| tagged.thing).collect(),
            marker: page.marker,
        })
    }

    /// A part of the roles that have these tags, by name, with all their tags.
    ///
    /// # Errors
    /// As [`Store::list_roles`].
    pub async fn list_tagged_roles<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
        filter: &TagFilter,
        page: &MarkerRequest,
    ) -> Result<MarkerPage<Tagged<Role>>, StoreError> {
        Scope::of(granted).admits_identity(&IdentityResource::Roles)?;
        let question = if filter.is_empty() { "roles".to_owned() } else { format!("roles {filter:?}") };
        let slice = NameSlice::of(page, question)?;
        let account = granted.account();
        let snapshot = self.inner.connections.begin_snapshot().await?;
        let roles = role_rows::list_with_tags(&snapshot, account, filter, &slice).await?;
        let names = roles.iter().map(|role| role.name.as_str());
        let mut tags = identity_tag_rows::of_names(&snapshot, account, TaggableKind::Role, names).await?;
        let tagged =
            |role: Role| Tagged { tags: tags.remove(role.name.as_str()).unwrap_or_default(), thing: role };
        let roles = roles.into_iter().map(tagged).collect();
        Ok(slice.page(roles, |role| role.thing.name.to_string()))
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
        self.transact(granted, Revision::Bumped, Some(audit), move |transaction| {
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
        self.transact(granted, Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                let role = Roles::get_locked(transaction, &account, &name).await?;
                let target = AttachmentTarget::Role(role.id.clone());
                let attached = attachment_rows::of_target(transaction, &account, &target).await?;
                let RoleDeleted { role } = role.delete(attached.len())?;
                role_session_rows::delete_of_role(transaction, &account, &role.id).await?;
                let tagged = Taggable::Role(role.name.clone());
                identity_tag_rows::delete(transaction, &account, &tagged).await?;
                Roles::delete(transaction, &account, &role.id).await
            })
        })
        .await
    }
}
