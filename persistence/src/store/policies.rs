//! The account's policies. Every change bumps its revision.

use std::collections::BTreeMap;

use domain::Timestamp;
use domain::actions::{AdministersIdentity, ReadsIdentity};
use domain::audit::AuditEvent;
use domain::gate::{Granted, IdentityResource};
use domain::identity::{
    EntityTags, NewPolicy, OtherVersions, Policy, PolicyBearers, PolicyDeleted, PolicyEntry, PolicyKind,
    PolicyName, PolicyRef, PolicySummary, PolicyVersion, TagFilter, Taggable, TaggableKind, Tagged, UserName,
};
use domain::policy_version::PolicyVersionId;
use domain::system_policies::{self, SystemPolicy};

use super::policy_steps::{admits, checked, insert, system_policy};
use super::{Revision, Scope, Store, policy_versions};
use crate::pages::{Cursor, next_token, read_token};
use crate::rows::{
    account_rows, attachment_rows, column_text, identity_tag_rows, policy_bearer_rows, policy_rows,
};
use crate::{CorruptRow, MarkerPage, MarkerRequest, StoreError};

impl Store {
    /// Makes a policy with its first version.
    ///
    /// # Errors
    /// [`StoreError::InvalidPolicy`] says what is wrong with the document, and where; [`StoreError::Identity`] when the
    /// name is taken or there are as many policies as there may be.
    pub async fn create_policy<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        name: &PolicyName,
        description: &str,
        document: &str,
        now: Timestamp,
        audit: AuditEvent,
    ) -> Result<PolicySummary, StoreError> {
        let new = NewPolicy {
            name: name.clone(),
            description: description.to_owned(),
            document: document.to_owned(),
        };
        let new = Tagged { thing: new, tags: EntityTags::default() };
        self.create_tagged_policy(granted, new, now, audit).await
    }

    /// Makes a policy with tags.
    ///
    /// # Errors
    /// As [`Store::create_policy`].
    pub async fn create_tagged_policy<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        Tagged { thing: new, tags }: Tagged<NewPolicy>,
        now: Timestamp,
        audit: AuditEvent,
    ) -> Result<PolicySummary, StoreError> {
        admits(granted, &[IdentityResource::Policy((&new.name).into())])?;
        checked(&new.document)?;
        let account = granted.account().clone();
        let new = NewPolicy { description: column_text(&new.description), ..new };
        self.transact(granted, Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                account_rows::lock(transaction, &account).await?;
                let policy = insert(transaction, &account, new, now).await?;
                let tagged = Taggable::Policy(policy.name.clone());
                identity_tag_rows::put(transaction, &account, &tagged, &tags).await?;
                Ok(summary(policy, &BTreeMap::new()))
            })
        })
        .await
    }

    /// Changes the description of a policy.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when it does not exist; [`StoreError::OutsideGrant`].
    pub async fn describe_policy<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        name: &PolicyName,
        description: &str,
        now: Timestamp,
        audit: AuditEvent,
    ) -> Result<PolicySummary, StoreError> {
        admits(granted, &[IdentityResource::Policy(name.into())])?;
        let (account, name) = (granted.account().clone(), name.clone());
        let description = column_text(description);
        self.transact(granted, Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                let policy = policy_rows::get_locked(transaction, &account, &name).await?;
                let policy = policy.describe(description, now);
                policy_rows::save(transaction, &account, &policy).await?;
                let counts =
                    attachment_rows::counts(transaction, &account, PolicyKind::Custom, [&policy.name])
                        .await?;
                Ok(summary(policy, &counts))
            })
        })
        .await
    }

    /// A policy with its default version.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when it does not exist.
    pub async fn get_policy<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
        policy: &PolicyRef,
    ) -> Result<(PolicySummary, PolicyVersion), StoreError> {
        admits(granted, &[IdentityResource::Policy(policy.clone())])?;
        let account = granted.account();
        let snapshot = self.inner.connections.begin_snapshot().await?;
        let counts = attachment_rows::counts(&snapshot, account, policy.kind, [&policy.name]).await?;
        match policy.kind {
            PolicyKind::System => {
                let found = system_policy(&policy.name)?;
                Ok((summary_of_system(found, &counts)?, policy_versions::of_system(found)))
            }
            PolicyKind::Custom => {
                let stored = policy_rows::get(&snapshot, account, &policy.name).await?;
                let version = policy_versions::deciding(&snapshot, account, &stored).await?;
                Ok((summary(stored, &counts), version))
            }
        }
    }

    /// A part of the policies that can be attached in the account, of one kind or of both: system policies first, then
    /// by name.
    ///
    /// # Errors
    /// [`StoreError::InvalidMarker`]; [`StoreError::OutsideGrant`] when the grant is not for all policies.
    pub async fn list_policies<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
        kind: Option<PolicyKind>,
        page: &MarkerRequest,
    ) -> Result<MarkerPage<PolicySummary>, StoreError> {
        let page = self.list_tagged_policies(granted, kind, &TagFilter::default(), page).await?;
        Ok(MarkerPage {
            items: page.items.into_iter().map(|tagged| tagged.thing).collect(),
            marker: page.marker,
        })
    }

    /// The same of the policies that have these tags, with all their tags. Policies of the system have none.
    ///
    /// # Errors
    /// As [`Store::list_policies`].
    pub async fn list_tagged_policies<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
        kind: Option<PolicyKind>,
        filter: &TagFilter,
        page: &MarkerRequest,
    ) -> Result<MarkerPage<Tagged<PolicySummary>>, StoreError> {
        admits(granted, &[IdentityResource::Policies])?;
        let account = granted.account();
        let mut question = format!("policies {}", kind.map_or("of both kinds", PolicyKind::as_str));
        if !filter.is_empty() {
            question.push_str(&format!(" {filter:?}"));
        }
        let after = place(page.marker.as_deref(), &question)?;
        let size = usize::try_from(page.max_items).unwrap_or(usize::MAX);
        let goes_on_in_custom = matches!(&after, Some((PolicyKind::Custom, _)));
        let after = after.as_ref().map(|(_, name)| name);
        let wanted = |asked| kind.is_none_or(|only| only == asked);
        let mut items = Vec::new();
        let snapshot = self.inner.connections.begin_snapshot().await?;
        if wanted(PolicyKind::System) && !goes_on_in_custom && filter.is_empty() {
            let after = after.map_or("", PolicyName::as_str);
            let found = system_policies::ALL.iter().filter(|policy| policy.name > after).take(size + 1);
            let found: Vec<_> = found.collect();
            let names: Vec<_> = found.iter().map(|policy| name_of(policy)).collect::<Result<_, _>>()?;
            let counts = attachment_rows::counts(&snapshot, account, PolicyKind::System, &names).await?;
            for policy in found {
                items.push(summary_of_system(policy, &counts)?);
            }
        }
        if wanted(PolicyKind::Custom) && items.len() <= size {
            let rest = (size + 1 - items.len()) as u64;
            let found =
                policy_rows::list(&snapshot, account, filter, after.filter(|_| goes_on_in_custom), rest)
                    .await?;
            let names = found.iter().map(|policy| &policy.name);
            let counts = attachment_rows::counts(&snapshot, account, PolicyKind::Custom, names).await?;
            items.extend(found.into_iter().map(|policy| summary(policy, &counts)));
        }
        let more = items.len() > size;
        items.truncate(size);
        let last = items.last().filter(|_| more);
        let marker = last.map(|last| {
            let PolicyRef { kind, name } = &last.policy;
            let at = i64::from(*kind == PolicyKind::Custom);
            next_token(&question, &Cursor { at, id: name.to_string() })
        });
        let custom = items.iter().map(|item| &item.policy).filter(|policy| policy.kind == PolicyKind::Custom);
        let names = custom.map(|policy| policy.name.as_str());
        let mut tags = identity_tag_rows::of_names(&snapshot, account, TaggableKind::Policy, names).await?;
        let tagged = |item: PolicySummary| Tagged {
            tags: match item.policy.kind {
                PolicyKind::Custom => tags.remove(item.policy.name.as_str()).unwrap_or_default(),
                PolicyKind::System => EntityTags::default(),
            },
            thing: item,
        };
        Ok(MarkerPage { items: items.into_iter().map(tagged).collect(), marker })
    }

    /// All policies of the account with the documents of their default versions, by name.
    ///
    /// # Errors
    /// [`StoreError::OutsideGrant`] when the grant is not for everything.
    pub async fn all_policies<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
    ) -> Result<Vec<PolicyEntry>, StoreError> {
        Scope::of(granted).admits_everything("policies")?;
        let account = granted.account();
        let snapshot = self.inner.connections.begin_snapshot().await?;
        let mut bearers =
            policy_bearer_rows::of_policies(&snapshot, account, PolicyKind::Custom, None).await?;
        let mut entries = Vec::new();
        for policy in policy_rows::all(&snapshot, account).await? {
            let version = policy_versions::deciding(&snapshot, account, &policy).await?;
            let PolicyBearers { users, groups, roles } =
                bearers.remove(policy.name.as_str()).unwrap_or_default();
            entries.push(PolicyEntry {
                name: policy.name,
                document: version.document,
                created_at: policy.created_at,
                changed_at: policy.changed_at,
                default_version: version.id,
                attached_to: users.into_iter().map(|user| user.name).collect::<Vec<UserName>>(),
                attached_to_groups: groups.into_iter().map(|group| group.name).collect(),
                attached_to_roles: roles.into_iter().map(|role| role.name).collect(),
            });
        }
        Ok(entries)
    }

    /// Deletes a policy with all its versions.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when it does not exist, and while it is attached.
    pub async fn purge_policy<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        name: &PolicyName,
        audit: AuditEvent,
    ) -> Result<(), StoreError> {
        self.remove_policy(granted, name, OtherVersions::GoWithIt, audit).await
    }

    /// Deletes a policy that has no version but the default one.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when it does not exist, while it is attached, and when it has other versions.
    pub async fn delete_policy<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        name: &PolicyName,
        audit: AuditEvent,
    ) -> Result<(), StoreError> {
        self.remove_policy(granted, name, OtherVersions::MustBeGone, audit).await
    }

    async fn remove_policy<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        name: &PolicyName,
        others: OtherVersions,
        audit: AuditEvent,
    ) -> Result<(), StoreError> {
        let policy = PolicyRef::from(name);
        admits(granted, &[IdentityResource::Policy(policy.clone())])?;
        let account = granted.account().clone();
        self.transact(granted, Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                account_rows::lock(transaction, &account).await?;
                let standing = policy_rows::get_locked(transaction, &account, &policy.name).await?;
                let mut bearers =
                    policy_bearer_rows::of_policies(transaction, &account, policy.kind, Some(&policy.name))
                        .await?;
                let bearers = bearers.remove(policy.name.as_str()).unwrap_or_default();
                let versions = policy_rows::versions(transaction, &account, &standing).await?.len();
                let PolicyDeleted { policy } = standing.delete(&bearers, versions, others)?;
                let tagged = Taggable::Policy(policy.clone());
                identity_tag_rows::delete(transaction, &account, &tagged).await?;
                policy_rows::delete(transaction, &account, &policy).await
            })
        })
        .await
    }
}

/// Where a list of policies continues: after this one.
fn place(marker: Option<&str>, question: &str) -> Result<Option<(PolicyKind, PolicyName)>, StoreError> {
    let Some(marker) = marker else { return Ok(None) };
    let Cursor { at, id } = read_token(marker, question).map_err(|_| StoreError::InvalidMarker)?;
    let kind = if at == 0 { PolicyKind::System } else { PolicyKind::Custom };
    Ok(Some((kind, PolicyName::parse(&id).map_err(|_| StoreError::InvalidMarker)?)))
}

fn summary(stored: Policy, counts: &BTreeMap<String, u64>) -> PolicySummary {
    PolicySummary {
        attachment_count: counts.get(stored.name.as_str()).copied().unwrap_or(0),
        policy: PolicyRef { kind: PolicyKind::Custom, name: stored.name },
        description: stored.description,
        default_version: stored.default_version,
        created_at: stored.created_at,
        changed_at: stored.changed_at,
    }
}

fn summary_of_system(
    policy: &SystemPolicy,
    counts: &BTreeMap<String, u64>,
) -> Result<PolicySummary, StoreError> {
    Ok(PolicySummary {
        policy: PolicyRef { kind: PolicyKind::System, name: name_of(policy)? },
        description: policy.description.to_owned(),
        default_version: PolicyVersionId::FIRST,
        attachment_count: counts.get(policy.name).copied().unwrap_or(0),
        created_at: system_policies::WRITTEN_AT,
        changed_at: system_policies::WRITTEN_AT,
    })
}

fn name_of(policy: &SystemPolicy) -> Result<PolicyName, StoreError> {
    let corrupt = |why: domain::identity::InvalidName| CorruptRow {
        table: "system policies",
        column: "name",
        id: policy.name.to_owned(),
        why: why.to_string(),
    };
    Ok(policy.policy_name().map_err(corrupt)?)
}
