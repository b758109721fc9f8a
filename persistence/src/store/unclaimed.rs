//! Objects that no recording has claimed yet: how many bytes of them an agent may have, and when they are removed.
//!
//! INVARIANT: an object is removed only in a transaction that holds its row, and every permission to write it and every
//! claim goes through that row first. Therefore a removal is complete before the object can be written again, and an
//! object that is about to be claimed is not removed: a claim refreshes the row before the object is read.

use std::sync::Arc;
use std::time::Duration;

use domain::actions::{SweepsRecordings, WritesRecording};
use domain::gate::Granted;
use domain::unclaimed::{AgentLimitReached, COUNTED_AS_OPEN_FOR, UNCLAIMED_KEPT_FOR, UnclaimedObject};
use domain::{AccountId, AgentId, Timestamp};
use recording::EvidenceName;
use sea_orm::DatabaseTransaction;

use super::{OfAgent, Once, Revision, Scope, Store};
use crate::StoreError;
use crate::dialect::standing_still;
use crate::objects::{ObjectError, ObjectStores};
use crate::rows::{agent_rows, recording_rows, stream_rows, unclaimed_rows};

/// The greatest age of a permission that a claim may rely on: far below the age at which a sweep removes an object.
const RELIED_ON_FOR: Duration = Duration::from_secs(12 * 3_600);

/// How many objects one round of a sweep removes, so that it does not run for ever.
const SWEEP_LIMIT: u64 = 1_000;

/// How long the removal of one object may keep its transaction waiting.
const STORE_LIMIT: Duration = Duration::from_secs(30);

/// The outcome for the account's oldest unclaimed object.
enum Removal {
    /// None is old enough.
    None,
    /// It was removed.
    Removed,
    /// It belongs to a recording after all, and is kept.
    Claimed,
    /// Its store does not remove it at present.
    Failed,
}

impl Store {
    /// Permits an agent to write a recording's `start.json`, before the recording is opened.
    ///
    /// # Errors
    /// [`StoreError::AgentLimit`], in [`Once::First`], when the agent has as many open recordings, or as many unclaimed bytes,
    /// as it may have; otherwise nothing is known of the claim either.
    pub async fn expect_start<A: WritesRecording>(
        &self,
        granted: &Granted<A>,
        of_agent: OfAgent,
        start: UnclaimedObject,
        now: Timestamp,
    ) -> Result<Once<()>, StoreError> {
        let recording = start.recording.clone();
        self.change_of_agent(granted, of_agent, &recording, Vec::new(), move |scope, transaction| {
            Box::pin(async move {
                agent_rows::lock(transaction, &scope.account, &start.agent).await?;
                check_open_recordings(transaction, &scope.account, &start.agent, now).await?;
                permit(transaction, &scope.account, &start, now).await
            })
        })
        .await
    }

    /// Notes that an object is about to be read and claimed: no sweep removes it from now on. An object that was
    /// permitted before permissions were stored, or whose permission is missing from a restored database, is noted
    /// again.
    ///
    /// # Errors
    /// [`StoreError::AgentRetired`] when the agent was replaced or removed meanwhile; [`StoreError::Unavailable`].
    pub async fn expect_claim<A: WritesRecording>(
        &self,
        granted: &Granted<A>,
        object: UnclaimedObject,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let reader = self.inner.connections.reader();
        let permitted_at =
            unclaimed_rows::permitted_at(reader, &object.location.bucket, &object.name).await?;
        if permitted_at.is_some_and(|permitted_at| permitted_at >= now.minus(RELIED_ON_FOR)) {
            return Ok(());
        }
        let account = Scope::of(granted).account;
        self.transact(account.clone(), Revision::Kept, None, move |transaction| {
            Box::pin(async move {
                agent_rows::lock(transaction, &account, &object.agent).await?;
                unclaimed_rows::put(transaction, &account, &object, now).await
            })
        })
        .await
    }

    /// Removes the account's objects that have waited too long for a claim; returns how many. It may run at any time and
    /// in any number of replicas.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn remove_unclaimed<A: SweepsRecordings>(
        &self,
        granted: &Granted<A>,
        stores: &Arc<dyn ObjectStores>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let account = granted.account();
        let (mut removed, mut skip) = (0, 0);
        while removed + skip < SWEEP_LIMIT {
            let (account, stores) = (account.clone(), Arc::clone(stores));
            let before = now.minus(UNCLAIMED_KEPT_FOR);
            let removal = self
                .transact(account.clone(), Revision::Kept, None, move |transaction| {
                    Box::pin(async move {
                        let removing = remove_oldest(transaction, &account, &stores, before, skip);
                        // While it waits for the object's store, the database must not end the transaction.
                        let removed = standing_still(transaction, STORE_LIMIT, removing).await;
                        removed.map_err(StoreError::at("wait for an object's removal"))?
                    })
                })
                .await?;
            match removal {
                Removal::None => break,
                Removal::Removed => removed += 1,
                Removal::Claimed => {}
                // The others may be in another store; this one is tried again in the next round.
                Removal::Failed => skip += 1,
            }
        }
        Ok(removed)
    }
}

/// The caller has locked the agent's row, as for [`permit`].
pub(super) async fn check_open_recordings(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    agent: &AgentId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let since = now.minus(COUNTED_AS_OPEN_FOR);
    let open = recording_rows::count_open(transaction, account, agent, since).await?;
    Ok(AgentLimitReached::check_open_recordings(open)?)
}

/// The caller has locked the agent's row, so that two permissions do not both take what is left.
pub(super) async fn permit(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    object: &UnclaimedObject,
    now: Timestamp,
) -> Result<(), StoreError> {
    let others = unclaimed_rows::counted_bytes_beside(transaction, object).await?;
    AgentLimitReached::check_unclaimed(others, object)?;
    unclaimed_rows::put(transaction, account, object, now).await
}

/// The same for an object whose permission was not requested separately.
pub(super) async fn permit_ahead(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    object: &UnclaimedObject,
    now: Timestamp,
) -> Result<(), StoreError> {
    let others = unclaimed_rows::counted_bytes_beside(transaction, object).await?;
    AgentLimitReached::check_unclaimed_ahead(others, object)?;
    unclaimed_rows::put(transaction, account, object, now).await
}

async fn remove_oldest(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    stores: &Arc<dyn ObjectStores>,
    before: Timestamp,
    skip: u64,
) -> Result<Removal, StoreError> {
    let oldest = unclaimed_rows::oldest_locked(transaction, account, before, skip).await?;
    let Some(object) = oldest else { return Ok(Removal::None) };
    let claim = claim_of(transaction, account, &object).await?;
    let claimed = claim == Claim::Claimed;
    if !claimed {
        // A database that was restored from a backup lacks what was written since, but the bucket still has it. An
        // object that is sealed by a manifest there is evidence, even if the database does not know it. For a recording
        // that this database knows as sealed nothing is missing.
        let sealed = match claim {
            Claim::NotClaimed => Ok(false),
            _ => is_sealed(stores, &object).await,
        };
        let removed = match sealed {
            Ok(true) => {
                unclaimed_rows::remove(transaction, &object.location.bucket, &object.name).await?;
                tracing::warn!(
                    object = %object.name,
                    "no recording has claimed this object, but a manifest lies beside it: it stays"
                );
                return Ok(Removal::Claimed);
            }
            Ok(false) => stores.at(&object.location).delete(&object.name).await,
            Err(error) => Err(error),
        };
        if let Err(error) = removed {
            tracing::warn!(object = %object.name, error = &error as &dyn std::error::Error, "an unclaimed object could not be removed");
            return Ok(Removal::Failed);
        }
    }
    unclaimed_rows::remove(transaction, &object.location.bucket, &object.name).await?;
    Ok(if claimed { Removal::Claimed } else { Removal::Removed })
}

/// Whether a recording has claimed an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    Claimed,
    /// No recording has claimed it, and none will.
    NotClaimed,
    /// This database knows of no claim.
    Unknown,
}

/// A claim removes the row in the same transaction; this checks again, because a removed object cannot be restored.
async fn claim_of(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    object: &UnclaimedObject,
) -> Result<Claim, StoreError> {
    let found = recording_rows::find(transaction, account, None, &object.recording).await?;
    let Some(stored) = found else { return Ok(Claim::Unknown) };
    let sealed = stored.manifest_sha256.is_some();
    let recording = stored.recording;
    let elsewhere = recording.target.bucket() != &object.location.bucket
        || recording.folder.join(&object.evidence.to_object_name()).ok().as_ref() != Some(&object.name);
    let claimed = match object.evidence {
        EvidenceName::Segment { stream, number } => {
            let arrived = stream_rows::find(transaction, &recording.token, stream).await?;
            arrived.is_some_and(|arrived| number < arrived.segments)
        }
        _ => true,
    };
    Ok(match (elsewhere, claimed) {
        (false, true) => Claim::Claimed,
        (false, false) if sealed => Claim::NotClaimed,
        _ => Claim::Unknown,
    })
}

async fn is_sealed(stores: &Arc<dyn ObjectStores>, object: &UnclaimedObject) -> Result<bool, ObjectError> {
    let below = object.evidence.to_string();
    let Some(folder) = object.name.as_str().strip_suffix(below.as_str()) else { return Ok(false) };
    let manifest = format!("{folder}{}", EvidenceName::Manifest(0));
    match recording::ObjectName::parse(&manifest) {
        Ok(manifest) => Ok(stores.at(&object.location).head(&manifest).await?.is_some()),
        Err(_) => Ok(false),
    }
}
