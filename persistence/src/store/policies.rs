//! Administration of the account's policies and of who has which. Every change bumps the account's revision.

use domain::Timestamp;
use domain::actions::{AdministersIdentity, ReadsIdentity};
use domain::audit::AuditEvent;
use domain::gate::Granted;
use domain::identity::{AttachmentTarget, PolicyKind, PolicyName, PolicyRef, UserName, limits};
use policies::{DocumentKind, PolicyDocument};
use sea_orm::DatabaseTransaction;

use super::{Revision, Store};
use crate::rows::attachment_rows::{self, Attachment};
use crate::rows::policy_rows::{self, StoredVersion};
use crate::rows::user_rows;
use crate::{CorruptRow, PolicyEntry, StoreError};

impl Store {
    /// Makes a policy, or gives an existing one a new deciding version. Of the versions that do not decide, the oldest
    /// makes room where there are as many as there may be.
    ///
    /// # Errors
    /// [`StoreError::InvalidPolicy`] says what is wrong with the document, and where.
    pub async fn put_policy<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        name: &PolicyName,
        document: &str,
        now: Timestamp,
        audit: AuditEvent,
    ) -> Result<(), StoreError> {
        PolicyDocument::parse(document.as_bytes(), DocumentKind::Identity)
            .map_err(StoreError::InvalidPolicy)?;
        let (account, name, document) = (granted.account().clone(), name.clone(), document.to_owned());
        self.transact(account.clone(), Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                if policy_rows::find(transaction, &account, &name).await?.is_none() {
                    return policy_rows::insert(transaction, &account, &name, "", &document, now).await;
                }
                let mut policy = policy_rows::get_locked(transaction, &account, &name).await?;
                let standing = policy_rows::versions(transaction, &account, &name).await?;
                let excess = (standing.len() as u64 + 1).saturating_sub(limits::POLICY_VERSIONS);
                let spare = standing.iter().filter(|version| version.version != policy.default_version);
                for version in spare.take(usize::try_from(excess).unwrap_or(usize::MAX)) {
                    policy_rows::delete_version(transaction, &account, &name, version.version).await?;
                }
                policy.last_version += 1;
                policy.default_version = policy.last_version;
                policy.changed_at = now;
                let made = StoredVersion { version: policy.last_version, document, created_at: now };
                policy_rows::insert_version(transaction, &account, &name, &made).await?;
                policy_rows::save(transaction, &account, &policy).await
            })
        })
        .await
    }

    /// All policies of the account with their deciding documents, by name.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn list_policies<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
    ) -> Result<Vec<PolicyEntry>, StoreError> {
        let account = granted.account();
        let names = self.user_names(granted).await?;
        let reader = self.inner.connections.reader();
        let attachments = attachment_rows::all(reader, account).await?;
        let mut entries = Vec::new();
        for policy in policy_rows::list(reader, account).await? {
            let number = policy.default_version;
            let version = policy_rows::find_version(reader, account, &policy.name, number).await?;
            let missing = || CorruptRow {
                table: "policies",
                column: "default_version",
                id: format!("{account} {}", policy.name),
                why: format!("there is no version {number}"),
            };
            let mut attached_to: Vec<UserName> = attachments
                .iter()
                .filter(|attached| {
                    attached.policy.kind == PolicyKind::Custom && attached.policy.name == policy.name
                })
                .filter_map(|attached| names.get(attached.target.id()).cloned())
                .collect();
            attached_to.sort();
            entries.push(PolicyEntry {
                document: version.ok_or_else(missing)?.document,
                name: policy.name,
                created_at: policy.created_at,
                changed_at: policy.changed_at,
                attached_to,
            });
        }
        Ok(entries)
    }

    /// Deletes a policy with all its versions.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when it is not there; [`StoreError::Conflict`] while it is attached.
    pub async fn delete_policy<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        name: &PolicyName,
        audit: AuditEvent,
    ) -> Result<(), StoreError> {
        let (account, name) = (granted.account().clone(), name.clone());
        self.transact(account.clone(), Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                policy_rows::get_locked(transaction, &account, &name).await?;
                let policy = PolicyRef { kind: PolicyKind::Custom, name };
                if !attachment_rows::of_policy(transaction, &account, &policy).await?.is_empty() {
                    let why = "it is attached; detach it first";
                    return Err(StoreError::Conflict { what: "policy", why });
                }
                policy_rows::delete(transaction, &account, &policy.name).await
            })
        })
        .await
    }

    /// Attaches a policy of the account to a user; attached already, it stays so.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when there is no such user, or when there is no such policy.
    pub async fn attach_policy<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        user: &UserName,
        policy: &PolicyName,
        now: Timestamp,
        audit: AuditEvent,
    ) -> Result<(), StoreError> {
        let (account, user, policy) = (granted.account().clone(), user.clone(), policy.clone());
        self.transact(account.clone(), Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                let (target, policy) = both(transaction, &account, &user, policy).await?;
                policy_rows::get_locked(transaction, &account, &policy.name).await?;
                let has = attachment_rows::of_target(transaction, &account, &target).await?;
                if has.iter().any(|attached| attached.policy == policy) {
                    return Ok(());
                }
                let attachment = Attachment { target, policy, attached_at: now };
                attachment_rows::insert(transaction, &account, &attachment).await
            })
        })
        .await
    }

    /// Detaches a policy of the account from a user.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when there is no such user, or when it is not attached.
    pub async fn detach_policy<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        user: &UserName,
        policy: &PolicyName,
        audit: AuditEvent,
    ) -> Result<(), StoreError> {
        let (account, user, policy) = (granted.account().clone(), user.clone(), policy.clone());
        self.transact(account.clone(), Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                let (target, policy) = both(transaction, &account, &user, policy).await?;
                attachment_rows::delete(transaction, &account, &target, &policy).await
            })
        })
        .await
    }
}

async fn both(
    transaction: &DatabaseTransaction,
    account: &domain::AccountId,
    user: &UserName,
    policy: PolicyName,
) -> Result<(AttachmentTarget, PolicyRef), StoreError> {
    let user = user_rows::get_by_name(transaction, account, user).await?;
    Ok((AttachmentTarget::User(user.id), PolicyRef { kind: PolicyKind::Custom, name: policy }))
}
