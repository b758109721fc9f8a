//! The facts that policies refer to about an instance, a recording or the rows of a list, read before it is known
//! whether the caller may do anything. They go only to the gate.

use domain::condition_keys::RecordingFacts;
use domain::gate::{Candidates, InstanceFacts, ListNeeds, MAX_LISTED_INSTANCES, MAX_LISTED_OWNERS};
use domain::{AccountId, InstanceId, Region, TerminalSessionToken};

use super::Store;
use crate::StoreError;
use crate::rows::{instance_rows, instance_tag_rows, recording_list_rows, recording_rows};

impl Store {
    /// The facts of an instance, in the region that its agent joined from, otherwise in `elsewhere`.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn instance_facts(
        &self,
        account: &AccountId,
        instance: InstanceId,
        elsewhere: &Region,
    ) -> Result<InstanceFacts, StoreError> {
        let reader = self.inner.connections.reader();
        let region = instance_rows::region(reader, account, &instance).await?;
        let tags = instance_tag_rows::of_instance(reader, account, &instance).await?;
        Ok(InstanceFacts { region: region.unwrap_or_else(|| elsewhere.clone()), instance, tags })
    }

    /// The facts of a recording of the account and the instance.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn recording_facts(
        &self,
        account: &AccountId,
        instance: &InstanceId,
        token: &TerminalSessionToken,
    ) -> Result<Option<RecordingFacts>, StoreError> {
        let reader = self.inner.connections.reader();
        let found = recording_rows::find(reader, account, Some(instance), token).await?;
        Ok(found.map(|stored| stored.recording.facts()))
    }

    /// The rows of a list, as far as policies distinguish them; of instances and of owners, one more than are searched
    /// indicates too many.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn candidates_of_list(
        &self,
        account: &AccountId,
        of: Option<&InstanceId>,
        needs: ListNeeds,
    ) -> Result<Candidates, StoreError> {
        let reader = self.inner.connections.reader();
        let mut candidates = Candidates::default();
        if needs.instances {
            let mut tags = match needs.tags {
                true => instance_tag_rows::all(reader, account).await?,
                false => Default::default(),
            };
            let known = instance_rows::list(reader, account, MAX_LISTED_INSTANCES as u64 + 1).await?;
            candidates.instances = known
                .into_iter()
                .map(|(instance, region)| InstanceFacts {
                    tags: tags.remove(&instance).unwrap_or_default(),
                    region,
                    instance,
                })
                .collect();
        }
        if needs.owners {
            candidates.owners =
                recording_list_rows::owners(reader, account, of, MAX_LISTED_OWNERS as u64 + 1).await?;
        }
        Ok(candidates)
    }
}
