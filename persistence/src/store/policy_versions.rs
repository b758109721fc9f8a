//! The versions of the account's policies, and which of them decides.
//!
//! Two that change a policy at once: whoever makes a version decide says which one decided when it looked
//! (`seen`), and is told when another does by now. What one of them wrote, the other does not overwrite unseen.

use domain::actions::{AdministersIdentity, ReadsIdentity};
use domain::audit::AuditEvent;
use domain::gate::{Granted, IdentityResource};
use domain::identity::{Entity as Thing, IdentityRefused, PolicyKind, PolicyName, PolicyRef, limits};
use domain::policy_version::PolicyVersionId;
use domain::system_policies::{self, SystemPolicy};
use domain::{AccountId, Timestamp};
use sea_orm::{ConnectionTrait, DatabaseTransaction};

use super::policies::{admits, checked, get, insert, system_policy};
use super::{Revision, Store};
use crate::rows::account_rows;
use crate::rows::policy_rows::{self, StoredPolicy, StoredVersion};
use crate::{CorruptRow, NewPolicyVersion, PolicyVersion, StoreError};

impl Store {
    /// The version that decides by now: what a change of it is based on. `None`: there is no such policy.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn default_policy_version<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
        name: &PolicyName,
    ) -> Result<Option<PolicyVersionId>, StoreError> {
        admits(granted, &[IdentityResource::Policy(name.into())])?;
        let found = policy_rows::find(self.inner.connections.reader(), granted.account(), name).await?;
        Ok(found.map(|policy| policy.default_version))
    }

    /// Makes a policy, or gives an existing one a new deciding version. Of the versions that do not decide, the oldest
    /// makes room where there are as many as there may be.
    ///
    /// # Errors
    /// [`StoreError::InvalidPolicy`] says what is wrong with the document, and where; [`StoreError::Conflict`] when
    /// somebody else changes the policy at the same moment.
    pub async fn put_policy<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        name: &PolicyName,
        document: &str,
        now: Timestamp,
        audit: AuditEvent,
    ) -> Result<PolicyVersionId, StoreError> {
        let seen = self.default_policy_version(granted, name).await?;
        self.put_policy_over(granted, name, document, seen, now, audit).await
    }

    /// As [`Store::put_policy`], over the version that decided when the caller looked; over `None` the policy is new.
    ///
    /// # Errors
    /// [`StoreError::InvalidPolicy`]; [`StoreError::Conflict`] when by now another version decides, or the policy was
    /// made or deleted meanwhile.
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
        self.transact(account.clone(), Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                account_rows::lock(transaction, &account).await?;
                let found = policy_rows::find(transaction, &account, &name).await?;
                match (found, seen) {
                    (None, None) => {
                        insert(transaction, &account, &name, "", &document, now).await?;
                        Ok(PolicyVersionId::FIRST)
                    }
                    (None, Some(_)) => Err(changed_meanwhile("it was deleted meanwhile")),
                    (Some(_), None) => Err(changed_meanwhile("somebody else made it meanwhile")),
                    (Some(policy), Some(seen)) => {
                        still_decides(&policy, seen)?;
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
    /// versions as there may be; [`StoreError::Conflict`] when the new version was to decide, and by now another one
    /// than `seen` does.
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
        let audit = |made: &PolicyVersion| vec![audit.with_more(&made.id.to_string())];
        self.transact_telling(account.clone(), Revision::Bumped, audit, move |transaction| {
            Box::pin(async move {
                account_rows::lock(transaction, &account).await?;
                let policy = policy_rows::get_locked(transaction, &account, &name).await?;
                if let Some(seen) = seen.filter(|_| how.as_default) {
                    still_decides(&policy, seen)?;
                }
                add_version(transaction, &account, policy, document, how, now).await
            })
        })
        .await
    }

    /// The versions of a policy that stand, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when there is no such policy.
    pub async fn policy_versions<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
        policy: &PolicyRef,
    ) -> Result<Vec<PolicyVersion>, StoreError> {
        admits(granted, &[IdentityResource::Policy(policy.clone())])?;
        match policy.kind {
            PolicyKind::System => Ok(vec![of_system(system_policy(&policy.name)?)]),
            PolicyKind::Custom => {
                let snapshot = self.inner.connections.begin_snapshot().await?;
                let stored = get(&snapshot, granted.account(), &policy.name).await?;
                let versions = policy_rows::versions(&snapshot, granted.account(), &policy.name).await?;
                Ok(versions.into_iter().map(|version| shown(version, &stored)).collect())
            }
        }
    }

    /// One version of a policy.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when there is no such policy or version.
    pub async fn policy_version<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
        policy: &PolicyRef,
        id: PolicyVersionId,
    ) -> Result<PolicyVersion, StoreError> {
        let versions = self.policy_versions(granted, policy).await?;
        versions.into_iter().find(|version| version.id == id).ok_or_else(|| no_version(id))
    }

    /// Makes another version the one that decides.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when there is no such policy or version; [`StoreError::Conflict`] when by now another
    /// version than `seen` decides.
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
        self.transact(account.clone(), Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                account_rows::lock(transaction, &account).await?;
                let mut policy = policy_rows::get_locked(transaction, &account, &name).await?;
                policy_rows::find_version(transaction, &account, &name, id)
                    .await?
                    .ok_or_else(|| no_version(id))?;
                if let Some(seen) = seen {
                    still_decides(&policy, seen)?;
                }
                policy.default_version = id;
                policy.changed_at = now;
                policy_rows::save(transaction, &account, &policy).await
            })
        })
        .await
    }

    /// Deletes a version that does not decide.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when there is no such policy or version, and when it decides.
    pub async fn delete_policy_version<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        name: &PolicyName,
        id: PolicyVersionId,
        audit: AuditEvent,
    ) -> Result<(), StoreError> {
        admits(granted, &[IdentityResource::Policy(name.into())])?;
        let (account, name) = (granted.account().clone(), name.clone());
        self.transact(account.clone(), Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                account_rows::lock(transaction, &account).await?;
                let policy = policy_rows::get_locked(transaction, &account, &name).await?;
                if policy.default_version == id {
                    return Err(IdentityRefused::DeleteConflict {
                        entity: Thing::PolicyVersion,
                        code: "Policy.Version.Default",
                        why: format!("{id} is the version that decides; make another one the default first"),
                    }
                    .into());
                }
                policy_rows::delete_version(transaction, &account, &name, id).await
            })
        })
        .await
    }
}

/// Writes the next version of a policy; the account is locked.
async fn add_version(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    mut policy: StoredPolicy,
    document: String,
    how: NewPolicyVersion,
    now: Timestamp,
) -> Result<PolicyVersion, StoreError> {
    let standing = policy_rows::versions(transaction, account, &policy.name).await?;
    if standing.len() as u64 >= limits::POLICY_VERSIONS.most() {
        let oldest = standing.iter().find(|version| version.version != policy.default_version);
        let Some(oldest) = oldest.filter(|_| how.rotate) else {
            let (code, what) = ("Policy.Version", "versions of one custom policy");
            return Err(
                IdentityRefused::LimitExceeded { code, what, limit: limits::POLICY_VERSIONS.most() }.into()
            );
        };
        policy_rows::delete_version(transaction, account, &policy.name, oldest.version).await?;
    }
    policy.last_version = policy.last_version.next();
    if how.as_default {
        policy.default_version = policy.last_version;
    }
    policy.changed_at = now;
    let made = StoredVersion { version: policy.last_version, document, created_at: now };
    policy_rows::insert_version(transaction, account, &policy.name, &made).await?;
    policy_rows::save(transaction, account, &policy).await?;
    Ok(shown(made, &policy))
}

/// The version that decides.
pub(super) async fn deciding(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    policy: &StoredPolicy,
) -> Result<PolicyVersion, StoreError> {
    let id = policy.default_version;
    let found = policy_rows::find_version(connection, account, &policy.name, id).await?;
    let missing = || CorruptRow {
        table: "policies",
        column: "default_version",
        id: format!("{account} {}", policy.name),
        why: format!("there is no version {id}"),
    };
    Ok(shown(found.ok_or_else(missing)?, policy))
}

/// The one version of a system policy.
pub(super) fn of_system(policy: &SystemPolicy) -> PolicyVersion {
    PolicyVersion {
        id: PolicyVersionId::FIRST,
        document: policy.document.to_owned(),
        is_default: true,
        created_at: system_policies::WRITTEN_AT,
    }
}

fn shown(version: StoredVersion, policy: &StoredPolicy) -> PolicyVersion {
    PolicyVersion {
        id: version.version,
        is_default: version.version == policy.default_version,
        document: version.document,
        created_at: version.created_at,
    }
}

fn still_decides(policy: &StoredPolicy, seen: PolicyVersionId) -> Result<(), StoreError> {
    if policy.default_version == seen {
        return Ok(());
    }
    Err(changed_meanwhile("by now another version decides; look at it and try again"))
}

fn changed_meanwhile(why: &'static str) -> StoreError {
    StoreError::Conflict { what: "policy", why }
}

fn no_version(id: PolicyVersionId) -> StoreError {
    IdentityRefused::NotExist { entity: Thing::PolicyVersion, name: id.to_string() }.into()
}
