//! Administration of groups and of their members. Every change bumps the account's revision.

use domain::Timestamp;
use domain::actions::{AdministersIdentity, ReadsIdentity};
use domain::audit::AuditEvent;
use domain::gate::{Granted, IdentityResource};
use domain::identity::{
    AttachmentTarget, Group, GroupBelongings, GroupChange, GroupDeleted, GroupId, GroupName, Joined,
    NewGroup, User, UserName,
};

use super::{Revision, Scope, Store};
use crate::markers::NameSlice;
use crate::rows::group_rows::Groups;
use crate::rows::user_rows::Users;
use crate::rows::{account_rows, attachment_rows, group_member_rows};
use crate::{MarkerPage, MarkerRequest, StoreError};

impl Store {
    /// Makes a group.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when the name is taken or there are as many groups as there may be;
    /// [`StoreError::OutsideGrant`].
    pub async fn create_group<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        new: NewGroup,
        now: Timestamp,
        audit: AuditEvent,
    ) -> Result<Group, StoreError> {
        let account = granted.account().clone();
        Scope::of(granted).admits_identity(&IdentityResource::Group(new.name.clone()))?;
        self.transact(granted, Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                // Counted under a lock, so that two callers do not both take the last place.
                account_rows::lock(transaction, &account).await?;
                let standing = Groups::count(transaction, &account).await?;
                let group = new.create(GroupId::generate(), standing, now)?;
                Groups::insert(transaction, &account, &group).await?;
                Ok(group)
            })
        })
        .await
    }

    /// One group.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when it is not there; [`StoreError::OutsideGrant`].
    pub async fn get_group<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
        name: &GroupName,
    ) -> Result<Group, StoreError> {
        Scope::of(granted).admits_identity(&IdentityResource::Group(name.clone()))?;
        Groups::get(self.inner.connections.reader(), granted.account(), name).await
    }

    /// A part of the list of groups, by name.
    ///
    /// # Errors
    /// [`StoreError::InvalidMarker`]; [`StoreError::OutsideGrant`] when the grant is not for all groups.
    pub async fn list_groups<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
        page: &MarkerRequest,
    ) -> Result<MarkerPage<Group>, StoreError> {
        Scope::of(granted).admits_identity(&IdentityResource::Groups)?;
        let slice = NameSlice::of(page, "groups")?;
        let groups = Groups::list(self.inner.connections.reader(), granted.account(), &slice).await?;
        Ok(slice.page(groups, |group| group.name.to_string()))
    }

    /// Changes a group. A renamed group keeps its id and everything that belongs to it; the grant must be for both
    /// names.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when it does not exist, or the new name is taken; [`StoreError::OutsideGrant`].
    pub async fn update_group<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        name: &GroupName,
        change: GroupChange,
        now: Timestamp,
        audit: AuditEvent,
    ) -> Result<Group, StoreError> {
        let (account, name, scope) = (granted.account().clone(), name.clone(), Scope::of(granted));
        scope.admits_identity(&IdentityResource::Group(name.clone()))?;
        if let Some(another) = &change.name {
            scope.admits_identity(&IdentityResource::Group(another.clone()))?;
        }
        self.transact(granted, Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                let group = Groups::get_locked(transaction, &account, &name).await?.change(change, now);
                Groups::save(transaction, &account, &group).await?;
                Ok(group)
            })
        })
        .await
    }

    /// Deletes a group that has neither members nor attached policies.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when it does not exist, or still has members or policies; [`StoreError::OutsideGrant`].
    pub async fn delete_group<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        name: &GroupName,
        audit: AuditEvent,
    ) -> Result<(), StoreError> {
        let (account, name) = (granted.account().clone(), name.clone());
        Scope::of(granted).admits_identity(&IdentityResource::Group(name.clone()))?;
        self.transact(granted, Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                // A transaction that adds a member or attaches a policy refers to the group's row, and waits.
                let group = Groups::get_locked(transaction, &account, &name).await?;
                let target = AttachmentTarget::Group(group.id.clone());
                let has = GroupBelongings {
                    users: group_member_rows::count_of_group(transaction, &account, &group.id).await?,
                    has_policies: attachment_rows::has_any(transaction, &account, &target).await?,
                };
                let GroupDeleted { group } = group.delete(has)?;
                Groups::delete(transaction, &account, &group).await
            })
        })
        .await
    }

    /// Adds a user to a group.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when either does not exist, the user is already in the group, or is in as many groups as
    /// it may be; [`StoreError::OutsideGrant`] when the grant is not for both.
    pub async fn add_user_to_group<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        user: &UserName,
        group: &GroupName,
        now: Timestamp,
        audit: AuditEvent,
    ) -> Result<(), StoreError> {
        let account = granted.account().clone();
        let (user, group) = both(granted, user, group)?;
        self.transact(granted, Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                // The user is locked first, here and wherever both are locked. Its groups are counted under its lock.
                let user = Users::get_locked(transaction, &account, &user).await?;
                let group = Groups::get_locked(transaction, &account, &group).await?;
                let memberships = group_member_rows::groups_of_user(transaction, &account, &user.id).await?;
                let joined = group.join(&user, &memberships, now)?;
                group_member_rows::insert(transaction, &account, &joined).await
            })
        })
        .await
    }

    /// Removes a user from a group.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when either does not exist, or the user is not in the group;
    /// [`StoreError::OutsideGrant`] when the grant is not for both.
    pub async fn remove_user_from_group<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        user: &UserName,
        group: &GroupName,
        audit: AuditEvent,
    ) -> Result<(), StoreError> {
        let account = granted.account().clone();
        let (user, group) = both(granted, user, group)?;
        self.transact(granted, Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                let user = Users::get_locked(transaction, &account, &user).await?;
                let group = Groups::get(transaction, &account, &group).await?;
                let memberships = group_member_rows::groups_of_user(transaction, &account, &user.id).await?;
                let left = group.leave(&user, &memberships)?;
                group_member_rows::delete(transaction, &account, &left).await
            })
        })
        .await
    }

    /// A part of the list of the users that are in a group, by name.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when there is no such group; [`StoreError::InvalidMarker`];
    /// [`StoreError::OutsideGrant`].
    pub async fn list_group_members<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
        group: &GroupName,
        page: &MarkerRequest,
    ) -> Result<MarkerPage<Joined<User>>, StoreError> {
        let (account, reader) = (granted.account(), self.inner.connections.reader());
        Scope::of(granted).admits_identity(&IdentityResource::Group(group.clone()))?;
        let group = Groups::get(reader, account, group).await?;
        let slice = NameSlice::of(page, format!("users of {}", group.id))?;
        let users = Users::list_of_group(reader, account, &group.id, &slice).await?;
        let MarkerPage { items, marker } = slice.page(users, |user| user.name.to_string());
        let ids = items.iter().map(|user| user.id.as_str());
        let joined = group_member_rows::joined_by_user(reader, account, &group.id, ids).await?;
        // A user that left between the reads is not listed.
        let member = |user: User| {
            let joined_at = *joined.get(user.id.as_str())?;
            Some(Joined { what: user, joined_at })
        };
        Ok(MarkerPage { items: items.into_iter().filter_map(member).collect(), marker })
    }

    /// The groups that a user is in, by name.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when there is no such user; [`StoreError::OutsideGrant`].
    pub async fn groups_of_user<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
        user: &UserName,
    ) -> Result<Vec<Joined<Group>>, StoreError> {
        let (account, reader) = (granted.account(), self.inner.connections.reader());
        Scope::of(granted).admits_identity(&IdentityResource::User(user.clone()))?;
        let user = Users::get(reader, account, user).await?;
        let groups = Groups::of_user(reader, account, &user.id).await?;
        let joined = group_member_rows::joined_by_group(reader, account, &user.id).await?;
        // A group that the user left between the reads is not listed.
        let membership = |group: Group| {
            let joined_at = *joined.get(group.id.as_str())?;
            Some(Joined { what: group, joined_at })
        };
        Ok(groups.into_iter().filter_map(membership).collect())
    }
}

/// Checks that a user and a group are both within the grant.
fn both<A: AdministersIdentity>(
    granted: &Granted<A>,
    user: &UserName,
    group: &GroupName,
) -> Result<(UserName, GroupName), StoreError> {
    let scope = Scope::of(granted);
    scope.admits_identity(&IdentityResource::User(user.clone()))?;
    scope.admits_identity(&IdentityResource::Group(group.clone()))?;
    Ok((user.clone(), group.clone()))
}
