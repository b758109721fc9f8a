//! The attachments of policies. Every change bumps the account's revision.

use domain::Timestamp;
use domain::actions::{AdministersIdentity, ReadsIdentity};
use domain::audit::AuditEvent;
use domain::gate::{Granted, IdentityResource};
use domain::identity::{
    AttachedPolicy, Attachment, AttachmentFilter, ListedAttachment, PolicyBearers, PolicyKind, PolicyRef,
};
use domain::policy_bearer::PolicyBearer;
use domain::policy_version::PolicyVersionId;

use super::policy_steps::{admits, system_policy};
use super::{Revision, Store};
use crate::StoreError;
use crate::rows::{account_rows, attachment_list_rows, attachment_rows, policy_bearer_rows, policy_rows};

impl Store {
    /// This many attachments of the account, by the policy's kind and name, and the number of entries in the whole list.
    ///
    /// # Errors
    /// [`StoreError::OutsideGrant`] when the grant is not for all policies.
    pub async fn list_policy_attachments<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
        filter: &AttachmentFilter,
        skipped: u64,
        limit: u64,
    ) -> Result<(Vec<ListedAttachment>, u64), StoreError> {
        admits(granted, &[IdentityResource::Policies])?;
        let snapshot = self.inner.connections.begin_snapshot().await?;
        attachment_list_rows::list(&snapshot, granted.account(), filter, skipped, limit).await
    }

    /// Attaches a policy to a user, a group or a role.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when either does not exist, when the policy is attached already, and when the target has
    /// as many policies as it may have.
    pub async fn attach_policy<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        bearer: impl Into<PolicyBearer>,
        policy: impl Into<PolicyRef>,
        now: Timestamp,
        audit: AuditEvent,
    ) -> Result<(), StoreError> {
        let (account, bearer, policy) = (granted.account().clone(), bearer.into(), policy.into());
        admits(granted, &[bearer.resource(), IdentityResource::Policy(policy.clone())])?;
        self.transact(granted, Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                account_rows::lock(transaction, &account).await?;
                let target = policy_bearer_rows::target(transaction, &account, &bearer).await?;
                let custom = match policy.kind {
                    PolicyKind::System => false,
                    PolicyKind::Custom => {
                        policy_rows::find(transaction, &account, &policy.name).await?.is_some()
                    }
                };
                let attached = attachment_rows::of_target(transaction, &account, &target).await?;
                let attachment = target.attach(policy, custom, &attached, now)?;
                attachment_rows::insert(transaction, &account, &attachment).await
            })
        })
        .await
    }

    /// Detaches a policy from a user, a group or a role.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when either does not exist, and when the policy is not attached.
    pub async fn detach_policy<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        bearer: impl Into<PolicyBearer>,
        policy: impl Into<PolicyRef>,
        audit: AuditEvent,
    ) -> Result<(), StoreError> {
        let (account, bearer, policy) = (granted.account().clone(), bearer.into(), policy.into());
        admits(granted, &[bearer.resource(), IdentityResource::Policy(policy.clone())])?;
        self.transact(granted, Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                account_rows::lock(transaction, &account).await?;
                let target = policy_bearer_rows::target(transaction, &account, &bearer).await?;
                let attached = attachment_rows::of_target(transaction, &account, &target).await?;
                let detached = target.detach(policy, &attached)?;
                attachment_rows::delete(transaction, &account, &detached).await
            })
        })
        .await
    }

    /// The policies attached to a user, a group or a role itself, by kind and name. Those that a user has through its
    /// groups are not included.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when the bearer does not exist.
    pub async fn policies_attached_to<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
        bearer: &PolicyBearer,
    ) -> Result<Vec<AttachedPolicy>, StoreError> {
        admits(granted, &[bearer.resource()])?;
        let account = granted.account();
        let snapshot = self.inner.connections.begin_snapshot().await?;
        let target = policy_bearer_rows::target(&snapshot, account, bearer).await?;
        let attached = attachment_rows::of_target(&snapshot, account, &target).await?;
        let custom = attached.iter().filter(|attached| attached.policy.kind == PolicyKind::Custom);
        let stored =
            policy_rows::named(&snapshot, account, custom.map(|attached| &attached.policy.name)).await?;
        let shown = |Attachment { policy, attached_at, .. }| -> Result<AttachedPolicy, StoreError> {
            let (description, default_version) = match policy.kind {
                PolicyKind::System => {
                    (system_policy(&policy.name)?.description.to_owned(), PolicyVersionId::FIRST)
                }
                PolicyKind::Custom => {
                    let found = stored.iter().find(|stored| stored.name == policy.name);
                    let found = found.ok_or(StoreError::NotFound { what: "policy" })?;
                    (found.description.clone(), found.default_version)
                }
            };
            Ok(AttachedPolicy { policy, description, default_version, attached_at })
        };
        attached.into_iter().map(shown).collect()
    }

    /// The bearers of a policy.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when there is no such policy.
    pub async fn bearers_of_policy<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
        policy: &PolicyRef,
    ) -> Result<PolicyBearers, StoreError> {
        admits(granted, &[IdentityResource::Policy(policy.clone())])?;
        let account = granted.account();
        let snapshot = self.inner.connections.begin_snapshot().await?;
        match policy.kind {
            PolicyKind::Custom => policy_rows::get(&snapshot, account, &policy.name).await.map(drop)?,
            PolicyKind::System => system_policy(&policy.name).map(drop)?,
        }
        let mut found =
            policy_bearer_rows::of_policies(&snapshot, account, policy.kind, Some(&policy.name)).await?;
        Ok(found.remove(policy.name.as_str()).unwrap_or_default())
    }
}
