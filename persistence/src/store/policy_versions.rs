//! The versions of the account's policies, and which of them is the default.
//!
//! When two callers change a policy at the same time: a caller that sets the default version states which version was
//! the default when it looked (`seen`), and gets an error if another one is by now. So neither overwrites a change of
//! the other without having seen it.

use domain::actions::{AdministersIdentity, ReadsIdentity};
use domain::audit::AuditEvent;
use domain::gate::{Granted, IdentityResource};
use domain::identity::{
    Entity, IdentityRefused, NewPolicy, NewPolicyVersion, Policy, PolicyKind, PolicyName, PolicyRef,
    PolicyVersion, PolicyVersionAdded, PolicyVersionDeleted,
};
use domain::policy_version::PolicyVersionId;
use domain::system_policies::{self, SystemPolicy};
use domain::{AccountId, Timestamp};
use sea_orm::{ConnectionTrait, DatabaseTransaction};

use super::policy_steps::{admits, checked, insert, system_policy};
use super::{Revision, Store};
use crate::rows::{account_rows, policy_rows};
use crate::{CorruptRow, StoreError};

impl Store {
    /// The present default version, which a change is based on. `None`: there is no such policy.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn find_default_policy_version<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
        name: &PolicyName,
    ) -> Result<Option<PolicyVersionId>, StoreError> {
        admits(granted, &[IdentityResource::Policy(name.into())])?;
        let found = policy_rows::find(self.inner.connections.reader(), granted.account(), name).await?;
        Ok(found.map(|policy| policy.default_version))
    }

    /// Makes a policy, or gives an existing one a new default version. When there are as many versions as there may be,
    /// the oldest one that is not the default is deleted.
    ///
    /// # Errors
    /// [`StoreError::InvalidPolicy`] says what is wrong with the document, and where; [`StoreError::Conflict`] when
    /// another caller changes the policy at the same moment.
    pub async fn put_policy<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        name: &PolicyName,
        document: &str,
        now: Timestamp,
        audit: AuditEvent,
    ) -> Result<PolicyVersionId, StoreError> {
        let seen = self.find_default_policy_version(granted, name).await?;
        self.put_policy_over(granted, name, document, seen, now, audit).await
    }

    /// As [`Store::put_policy`], based on the version that was the default when the caller looked; with `None` the
    /// policy must be new.
    ///
    /// # Errors
    /// [`StoreError::InvalidPolicy`]; [`StoreError::Conflict`] when another version is the default by now, or the policy
    /// was made or deleted meanwhile.
    pub async fn put_policy_over<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        name: &PolicyName,
        document: &str,
        seen: Option<PolicyVersionId>,
        now: Timestamp,
        audit: AuditEvent,
    ) -> Result<PolicyVersionId, StoreError> {
        admits(granted, &[IdentityResource::Policy(name.into())])?;
        checked(document)?;
        let (account, name, document) = (granted.account().clone(), name.clone(), document.to_owned());
        self.transact(granted, Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                account_rows::lock(transaction, &account).await?;
                let standing = policy_rows::find(transaction, &account, &name).await?;
                match Policy::as_seen(standing, seen)? {
                    None => {
                        let new = NewPolicy { name, description: String::new(), document };
                        Ok(insert(transaction, &account, new, now).await?.default_version)
                    }
                    Some(policy) => {
                        let how = NewPolicyVersion { as_default: true, rotate: true };
                        let made = add_version(transaction, &account, policy, document, how, now).await?;
                        Ok(made.id)
                    }
                }
            })
        })
        .await
    }

    /// Gives a policy another version.
    ///
    /// # Errors
    /// [`StoreError::InvalidPolicy`]; [`StoreError::Identity`] when there is no such policy, or there are as many
    /// versions as there may be; [`StoreError::Conflict`] when the new version was to be the default, and by now the
    /// default is another version than `seen`.
    #[allow(clippy::too_many_arguments, reason = "each is a fact of the call, and none belongs to another")]
    pub async fn create_policy_version<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        name: &PolicyName,
        document: &str,
        how: NewPolicyVersion,
        seen: Option<PolicyVersionId>,
        now: Timestamp,
        audit: AuditEvent,
    ) -> Result<PolicyVersion, StoreError> {
        admits(granted, &[IdentityResource::Policy(name.into())])?;
        checked(document)?;
        let (account, name, document) = (granted.account().clone(), name.clone(), document.to_owned());
        let audit = move |made: &PolicyVersion| vec![audit.clone().with_more(&made.id.to_string())];
        self.transact_telling(granted, Revision::Bumped, audit, move |transaction| {
            Box::pin(async move {
                account_rows::lock(transaction, &account).await?;
                let policy = policy_rows::get_locked(transaction, &account, &name).await?;
                let policy = policy.before_another_decides(seen.filter(|_| how.as_default))?;
                add_version(transaction, &account, policy, document, how, now).await
            })
        })
        .await
    }

    /// The existing versions of a policy, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when there is no such policy.
    pub async fn versions_of_policy<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
        policy: &PolicyRef,
    ) -> Result<Vec<PolicyVersion>, StoreError> {
        admits(granted, &[IdentityResource::Policy(policy.clone())])?;
        match policy.kind {
            PolicyKind::System => Ok(vec![of_system(system_policy(&policy.name)?)]),
            PolicyKind::Custom => {
                let snapshot = self.inner.connections.begin_snapshot().await?;
                let stored = policy_rows::get(&snapshot, granted.account(), &policy.name).await?;
                policy_rows::versions(&snapshot, granted.account(), &stored).await
            }
        }
    }

    /// One version of a policy.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when there is no such policy or version.
    pub async fn get_policy_version<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
        policy: &PolicyRef,
        id: PolicyVersionId,
    ) -> Result<PolicyVersion, StoreError> {
        let versions = self.versions_of_policy(granted, policy).await?;
        versions.into_iter().find(|version| version.id == id).ok_or_else(|| no_version(id))
    }

    /// Makes another version the default.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when there is no such policy or version; [`StoreError::Conflict`] when by now the
    /// default is another version than `seen`.
    pub async fn set_default_policy_version<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        name: &PolicyName,
        id: PolicyVersionId,
        seen: Option<PolicyVersionId>,
        now: Timestamp,
        audit: AuditEvent,
    ) -> Result<(), StoreError> {
        admits(granted, &[IdentityResource::Policy(name.into())])?;
        let (account, name) = (granted.account().clone(), name.clone());
        self.transact(granted, Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                account_rows::lock(transaction, &account).await?;
                let policy = policy_rows::get_locked(transaction, &account, &name).await?;
                let stands = policy_rows::find_version(transaction, &account, &policy, id).await?.is_some();
                let policy = policy.decide_by(id, stands, seen, now)?;
                policy_rows::save(transaction, &account, &policy).await
            })
        })
        .await
    }

    /// Deletes a version that is not the default.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when there is no such policy or version, and when it is the default.
    pub async fn delete_policy_version<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        name: &PolicyName,
        id: PolicyVersionId,
        audit: AuditEvent,
    ) -> Result<(), StoreError> {
        admits(granted, &[IdentityResource::Policy(name.into())])?;
        let (account, name) = (granted.account().clone(), name.clone());
        self.transact(granted, Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                account_rows::lock(transaction, &account).await?;
                let policy = policy_rows::get_locked(transaction, &account, &name).await?;
                let stands = policy_rows::find_version(transaction, &account, &policy, id).await?.is_some();
                let PolicyVersionDeleted { version } = policy.delete_version(id, stands)?;
                policy_rows::delete_version(transaction, &account, &name, version).await
            })
        })
        .await
    }
}

/// Writes the next version of a policy; the account is locked.
async fn add_version(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    policy: Policy,
    document: String,
    how: NewPolicyVersion,
    now: Timestamp,
) -> Result<PolicyVersion, StoreError> {
    let standing = policy_rows::versions(transaction, account, &policy).await?;
    let standing: Vec<_> = standing.into_iter().map(|version| version.id).collect();
    let PolicyVersionAdded { policy, removed, version } =
        policy.add_version(document, &standing, how, now)?;
    if let Some(removed) = removed {
        policy_rows::delete_version(transaction, account, &policy.name, removed).await?;
    }
    policy_rows::insert_version(transaction, account, &policy.name, &version).await?;
    policy_rows::save(transaction, account, &policy).await?;
    Ok(version)
}

/// The default version.
pub(super) async fn deciding(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    policy: &Policy,
) -> Result<PolicyVersion, StoreError> {
    let id = policy.default_version;
    let missing = || CorruptRow {
        table: "policies",
        column: "default_version",
        id: format!("{account} {}", policy.name),
        why: format!("there is no version {id}"),
    };
    Ok(policy_rows::find_version(connection, account, policy, id).await?.ok_or_else(missing)?)
}

/// The only version of a system policy.
pub(super) fn of_system(policy: &SystemPolicy) -> PolicyVersion {
    PolicyVersion {
        id: PolicyVersionId::FIRST,
        document: policy.document.to_owned(),
        is_default: true,
        created_at: system_policies::WRITTEN_AT,
    }
}

fn no_version(id: PolicyVersionId) -> StoreError {
    IdentityRefused::not_exist(Entity::PolicyVersion, id).into()
}
