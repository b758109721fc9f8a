//! Instances and their tags, for administrators.

use domain::actions::TagsInstances;
use domain::audit::AuditEvent;
use domain::gate::Granted;
use domain::instance_tags::{InstanceTags, TagKey, TagValue, TooManyTags};
use domain::{InstanceId, Region};

use super::{Revision, Store};
use crate::rows::{instance_rows, instance_tag_rows};
use crate::{InstanceEntry, StoreError};

impl Store {
    /// Removes tags of an instance, then sets some; returns its tags after the change. An instance may have tags before
    /// an agent joins from it.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it would have too many tags; nothing is changed then.
    pub async fn tag_instance<A: TagsInstances>(
        &self,
        granted: &Granted<A>,
        instance: &InstanceId,
        remove: Vec<TagKey>,
        set: Vec<(TagKey, TagValue)>,
        audit: AuditEvent,
    ) -> Result<InstanceTags, StoreError> {
        let (account, instance) = (granted.account().clone(), instance.clone());
        self.transact(granted, Revision::BumpedOfInstances, Some(audit), move |transaction| {
            Box::pin(async move {
                let standing = instance_tag_rows::of_instance(transaction, &account, &instance).await?;
                let too_many = |TooManyTags| StoreError::Conflict {
                    what: "instance",
                    why: "it would have more than 20 tags; remove one first",
                };
                let tags = standing.changed(&remove, set).map_err(too_many)?;
                instance_tag_rows::put(transaction, &account, &instance, &tags).await?;
                Ok(tags)
            })
        })
        .await
    }

    /// The instances that an agent has joined from or that have tags, by id.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn all_instances<A: TagsInstances>(
        &self,
        granted: &Granted<A>,
    ) -> Result<Vec<InstanceEntry>, StoreError> {
        let (reader, account) = (self.inner.connections.reader(), granted.account());
        let mut tags = instance_tag_rows::all(reader, account).await?;
        let known = instance_rows::list(reader, account, i64::MAX as u64).await?;
        let entry = |instance: InstanceId, region: Option<Region>, tags: InstanceTags| InstanceEntry {
            instance,
            region,
            tags,
        };
        let mut entries: Vec<InstanceEntry> = known
            .into_iter()
            .map(|(instance, region)| {
                let tags = tags.remove(&instance).unwrap_or_default();
                entry(instance, Some(region), tags)
            })
            .collect();
        entries.extend(tags.into_iter().map(|(instance, tags)| entry(instance, None, tags)));
        entries.sort_by(|a, b| a.instance.cmp(&b.instance));
        Ok(entries)
    }
}
