//! Tags of roles and policies. They decide nothing; all the same their changes bump the revision, like every change of
//! the identity store.

use domain::AccountId;
use domain::actions::{AdministersIdentity, ReadsIdentity};
use domain::audit::AuditEvent;
use domain::gate::{Granted, IdentityResource};
use domain::identity::{EntityTags, RemovedTags, TagFilter, TagOfEntity, Taggable, TaggableKind};
use sea_orm::DatabaseTransaction;

use super::policy_steps::admits;
use super::{Revision, Store};
use crate::pages::{Cursor, Slice, next_token};
use crate::rows::role_rows::Roles;
use crate::rows::{identity_tag_rows, policy_rows};
use crate::{PageRequest, StoreError};

/// Tags that are requested: those of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagQuery {
    /// The kind.
    pub kind: TaggableKind,
    /// Only those with these names; `None` is all.
    pub of: Option<Vec<Taggable>>,
    /// Only those that have these tags.
    pub filter: TagFilter,
    /// The part of the list.
    pub page: PageRequest,
}

/// A part of a list of tags, by name and key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagPage {
    /// The tags.
    pub tags: Vec<TagOfEntity>,
    /// `None` when nothing follows.
    pub next_token: Option<String>,
}

/// What happens to the tags of each thing.
#[derive(Debug, Clone)]
enum Change {
    Set(EntityTags),
    Remove(RemovedTags),
}

impl Store {
    /// Sets tags of all these things, or of none.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when one of them does not exist, or would have too many; [`StoreError::OutsideGrant`].
    pub async fn set_tags<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        of: Vec<Taggable>,
        tags: EntityTags,
        audit: AuditEvent,
    ) -> Result<(), StoreError> {
        self.change_tags(granted, of, Change::Set(tags), audit).await
    }

    /// Removes tags of all these things, or of none.
    ///
    /// # Errors
    /// [`StoreError::Identity`] when one of them does not exist; [`StoreError::OutsideGrant`].
    pub async fn remove_tags<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        of: Vec<Taggable>,
        removed: RemovedTags,
        audit: AuditEvent,
    ) -> Result<(), StoreError> {
        self.change_tags(granted, of, Change::Remove(removed), audit).await
    }

    async fn change_tags<A: AdministersIdentity>(
        &self,
        granted: &Granted<A>,
        mut of: Vec<Taggable>,
        change: Change,
        audit: AuditEvent,
    ) -> Result<(), StoreError> {
        let resources: Vec<IdentityResource> = of.iter().map(Taggable::resource).collect();
        admits(granted, &resources)?;
        // Two calls that name the same things wait for one another, but never in a circle.
        of.sort_by(|one, other| one.name().cmp(other.name()));
        let account = granted.account().clone();
        self.transact(granted, Revision::Bumped, Some(audit), move |transaction| {
            Box::pin(async move {
                for thing in &of {
                    lock(transaction, &account, thing).await?;
                    let before = identity_tag_rows::of(transaction, &account, thing).await?;
                    let after = match &change {
                        Change::Set(tags) => before.with(tags)?,
                        Change::Remove(removed) => before.without(removed),
                    };
                    identity_tag_rows::put(transaction, &account, thing, &after).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// A part of the tags of roles or of policies. Names of which there is none are left out.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`]; [`StoreError::OutsideGrant`] when the grant is not for all that is asked about.
    pub async fn list_tags<A: ReadsIdentity>(
        &self,
        granted: &Granted<A>,
        query: &TagQuery,
    ) -> Result<TagPage, StoreError> {
        let TagQuery { kind, of, filter, page } = query;
        match of {
            Some(of) => admits(granted, &of.iter().map(Taggable::resource).collect::<Vec<_>>())?,
            None => admits(granted, &[kind.all()])?,
        }
        let mut names: Option<Vec<String>> =
            of.as_ref().map(|of| of.iter().map(|thing| thing.name().to_owned()).collect());
        if let Some(names) = &mut names {
            names.sort_unstable();
        }
        let question = format!("tags {} {names:?} {filter:?}", kind.as_str());
        let slice = Slice::of(page, &question)?;
        let reader = self.inner.connections.reader();
        let account = granted.account();
        let listed = identity_tag_rows::list(reader, account, *kind, names.as_deref(), filter, &slice);
        let mut tags = listed.await?;
        let more = slice.cut(&mut tags);
        let next_token = tags.last().filter(|_| more).map(|last| {
            let shown = tags.iter().filter(|tag| tag.name == last.name).count();
            let before =
                slice.after.as_ref().filter(|after| after.id == last.name).map_or(0, |after| after.at);
            let at = before + i64::try_from(shown).unwrap_or_default();
            next_token(&question, &Cursor { at, id: last.name.clone() })
        });
        Ok(TagPage { tags, next_token })
    }
}

/// Locks a role or a policy, so that its tags are changed by one call at a time and go with it when it is deleted.
async fn lock(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    thing: &Taggable,
) -> Result<(), StoreError> {
    match thing {
        Taggable::Role(name) => Roles::get_locked(transaction, account, name).await.map(drop),
        Taggable::Policy(name) => policy_rows::get_locked(transaction, account, name).await.map(drop),
    }
}
