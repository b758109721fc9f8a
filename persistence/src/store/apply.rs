//! Applying decisions.

use domain::actions::Action;
use domain::agent::{Agent, Retired};
use domain::audit::AuditEvent;
use domain::enrolment::{AgentAdmitted, PresentedToken};
use domain::gate::Granted;
use domain::record_config::RecordConfigChanged;
use domain::recording_life::{
    Recording, RecordingDelivered, RecordingSealed, RecordingState, SegmentAcknowledged,
};
use domain::{TerminalSessionToken, Timestamp};
use recording::EvidenceName;
use sea_orm::DatabaseTransaction;

use super::change_audit::AuditRows;
use super::{NonceClaim, Once, Revision, Scope, Store, Work, agents, unclaimed};
use crate::changes::Permits;
use crate::rows::recording_rows::{self, StoredRecording, fixed_expiry};
use crate::rows::{
    agent_rows, counter_rows, instance_rows, join_token_rows, record_config_rows, segment_rows, stream_rows,
    unclaimed_rows,
};
use crate::{
    AgentEnrolled, JoinTokenIssued, RecordingOpened, RecordingSealedAndDelivered,
    SegmentAcknowledgedAndNextPermitted, StoreError, UploadPermitted,
};

/// A decided change that the store knows how to apply.
pub trait Change: sealed::Write {}

impl<C: sealed::Write> Change for C {}

mod sealed {
    use super::{DatabaseTransaction, Revision, Scope, TerminalSessionToken, Work};

    /// How a change is written; known only to this file.
    pub trait Write: Clone + Send + Sync + Sized + 'static {
        #[allow(private_interfaces)]
        fn revision(&self) -> Revision;

        /// The recording that it changes, of those changes that agents make all the time: such a change is made in the
        /// transaction of a group of calls.
        fn recording(&self) -> Option<&TerminalSessionToken> {
            None
        }

        #[allow(private_interfaces)]
        fn write<'a>(self, scope: Scope, transaction: &'a DatabaseTransaction) -> Work<'a, ()>;
    }
}

/// What an agent's change has with it, of the call that asks for it.
#[derive(Debug, Clone, Default)]
pub struct OfAgent {
    /// The single use of the call, if it is still to be claimed.
    pub claim: Option<NonceClaim>,
    /// When the agent was heard, if that is to be noted with the change.
    pub heard: Option<Heard>,
}

/// When an agent was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// The moment.
    pub at: Timestamp,
    /// What its row said of it before.
    pub before: Timestamp,
}

impl Heard {
    /// Whether the row is to be written for it. Agents call far more often than anybody looks.
    #[must_use]
    pub fn is_due(self) -> bool {
        self.before <= agents::seen_before(self.at)
    }
}

impl Store {
    /// Applies a decision: the change, its audit row, its counters and its revision, in one transaction.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when something else changed first, so that the decision must be made again;
    /// [`StoreError::NotFound`]; [`StoreError::JoinTokenRefused`]. Nothing is changed then, and no audit row is written.
    pub async fn apply<A, C>(
        &self,
        granted: &Granted<A>,
        change: C,
        audit: AuditEvent,
    ) -> Result<(), StoreError>
    where
        A: Permits<C>,
        C: Change,
    {
        match self.apply_once(granted, OfAgent::default(), change, vec![audit]).await? {
            Once::First(outcome) => outcome,
            Once::Used => unreachable!("nothing was to be claimed"),
        }
    }

    /// As [`Store::apply`], for a call whose single use may still be to be claimed: that and the change are committed
    /// together. A change that is refused has used it up all the same.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::WriterBehind`], when nothing is known of the claim either. What the change
    /// is refused for is in [`Once::First`].
    pub async fn apply_once<A, C>(
        &self,
        granted: &Granted<A>,
        of_agent: OfAgent,
        change: C,
        audit: Vec<AuditEvent>,
    ) -> Result<Once<()>, StoreError>
    where
        A: Permits<C>,
        C: Change,
    {
        let scope = Scope::of(granted);
        let revision = change.revision();
        let OfAgent { claim, heard } = of_agent;
        let recording = change.recording().filter(|_| revision == Revision::Kept && self.held.is_none());
        let Some(recording) = recording.cloned() else {
            if let Some(claim) = claim
                && !self.claim_nonce(claim).await?
            {
                return Ok(Once::Used);
            }
            let outcome = self
                .transact(granted, revision, audit, move |transaction| change.write(scope, transaction))
                .await;
            return Ok(Once::First(outcome));
        };
        let of_agent = OfAgent { claim, heard };
        self.change_of_agent(granted, of_agent, &recording, audit, move |scope, transaction| {
            change.write(scope, transaction)
        })
        .await
    }

    /// Changes something of a recording in the transaction of a group.
    pub(super) async fn change_of_agent<A, W>(
        &self,
        granted: &Granted<A>,
        OfAgent { claim, heard }: OfAgent,
        recording: &TerminalSessionToken,
        audit: Vec<AuditEvent>,
        write: W,
    ) -> Result<Once<()>, StoreError>
    where
        A: Action,
        W: for<'a> FnOnce(Scope, &'a DatabaseTransaction) -> Work<'a, ()> + Clone + Send + Sync + 'static,
    {
        let scope = Scope::of(granted);
        let events = AuditRows::from(audit).within(&scope.account)?;
        // An agent's row is locked before those of its recordings, and a recording is locked only for its agent.
        let agent = scope.agent.as_ref().map_or("", |agent| agent.as_str());
        let locks = format!("{agent} {recording}");
        self.transact_in_group(granted.into(), claim, events, locks, move |transaction| {
            Box::pin(async move {
                if let (Some(heard), Some(agent)) = (heard.filter(|heard| heard.is_due()), &scope.agent) {
                    agents::note_heard(transaction, &scope, agent, heard.at).await?;
                }
                write(scope, transaction).await
            })
        })
        .await
    }
}

#[allow(private_interfaces)]
impl sealed::Write for RecordConfigChanged {
    fn revision(&self) -> Revision {
        Revision::Bumped
    }

    fn write<'a>(self, scope: Scope, transaction: &'a DatabaseTransaction) -> Work<'a, ()> {
        Box::pin(async move {
            scope.admits_selector(&self.after.selector)?;
            if self.after.account != scope.account {
                return Err(StoreError::OutsideGrant { what: "RecordConfig" });
            }
            record_config_rows::compare_and_swap(transaction, self.expected_revision, &self.after).await
        })
    }
}

#[allow(private_interfaces)]
impl sealed::Write for RecordingOpened {
    fn revision(&self) -> Revision {
        Revision::Kept
    }

    fn recording(&self) -> Option<&TerminalSessionToken> {
        Some(&self.recording.token)
    }

    fn write<'a>(self, scope: Scope, transaction: &'a DatabaseTransaction) -> Work<'a, ()> {
        Box::pin(async move {
            let recording = self.recording;
            scope.admits("recording", &recording.account, &recording.instance)?;
            scope.admits_holder(&recording)?;
            agent_rows::lock(transaction, &scope.account, recording.holder()).await?;
            let now = recording.last_heard_at;
            unclaimed::check_open_recordings(transaction, &scope.account, recording.holder(), now).await?;
            claim(transaction, &recording, EvidenceName::Start).await?;
            let stored = StoredRecording { recording, manifest_sha256: None, counted: true };
            recording_rows::insert(transaction, &stored).await?;
            stream_rows::insert(transaction, &stored.recording.token, &self.streams).await?;
            counter_rows::add(transaction, &scope.account, &[(stored.recording.instance, (1, 1))].into())
                .await
        })
    }
}

#[allow(private_interfaces)]
impl sealed::Write for UploadPermitted {
    fn revision(&self) -> Revision {
        Revision::Kept
    }

    fn recording(&self) -> Option<&TerminalSessionToken> {
        Some(&self.object.recording)
    }

    fn write<'a>(self, scope: Scope, transaction: &'a DatabaseTransaction) -> Work<'a, ()> {
        Box::pin(async move {
            // What it holds cannot be taken over while it has this lock.
            agent_rows::lock(transaction, &scope.account, &self.object.agent).await?;
            unclaimed::permit(transaction, &scope.account, &self.object, self.at).await
        })
    }
}

#[allow(private_interfaces)]
impl sealed::Write for SegmentAcknowledged {
    fn revision(&self) -> Revision {
        Revision::Kept
    }

    fn recording(&self) -> Option<&TerminalSessionToken> {
        Some(&self.token)
    }

    fn write<'a>(self, scope: Scope, transaction: &'a DatabaseTransaction) -> Work<'a, ()> {
        Box::pin(async move {
            let mut stored =
                recording_rows::get_locked(transaction, &scope.account, scope.instance.as_ref(), &self.token)
                    .await?;
            scope.admits_holder(&stored.recording)?;
            still_growing(&stored)?;
            let stream = self.arrived.stream;
            let arrived = stream_rows::get(transaction, &self.token, stream).await?;
            if arrived.segments != self.number {
                return Err(StoreError::Conflict {
                    what: "segment",
                    why: "another segment was claimed first",
                });
            }
            segment_rows::insert(transaction, &self).await?;
            stream_rows::save(transaction, &self.token, &self.arrived).await?;
            let recording = &mut stored.recording;
            let evidence = EvidenceName::Segment { stream, number: self.number };
            claim(transaction, recording, evidence).await?;
            recording.arrived = recording.arrived.with(&self);
            recording.ledger = recording.ledger_with(&self);
            recording.last_heard_at = self.at;
            // A recording that was considered abandoned continues.
            recording.state = RecordingState::Open;
            save(transaction, stored, self.at).await
        })
    }
}

#[allow(private_interfaces)]
impl sealed::Write for SegmentAcknowledgedAndNextPermitted {
    fn revision(&self) -> Revision {
        Revision::Kept
    }

    fn recording(&self) -> Option<&TerminalSessionToken> {
        Some(&self.acknowledged.token)
    }

    fn write<'a>(self, scope: Scope, transaction: &'a DatabaseTransaction) -> Work<'a, ()> {
        Box::pin(async move {
            let (account, at) = (scope.account.clone(), self.acknowledged.at);
            // Locked before the recording's row, as every permission does, so that no two transactions wait for each
            // other.
            agent_rows::lock(transaction, &account, &self.next.agent).await?;
            self.acknowledged.write(scope, transaction).await?;
            unclaimed::permit_ahead(transaction, &account, &self.next, at).await
        })
    }
}

#[allow(private_interfaces)]
impl sealed::Write for RecordingSealed {
    fn revision(&self) -> Revision {
        Revision::Kept
    }

    fn recording(&self) -> Option<&TerminalSessionToken> {
        Some(&self.token)
    }

    fn write<'a>(self, scope: Scope, transaction: &'a DatabaseTransaction) -> Work<'a, ()> {
        Box::pin(async move {
            let mut stored =
                recording_rows::get_locked(transaction, &scope.account, scope.instance.as_ref(), &self.token)
                    .await?;
            scope.admits_holder(&stored.recording)?;
            still_growing(&stored)?;
            if stored.recording.arrived.segments != self.segments {
                return Err(StoreError::Conflict {
                    what: "recording",
                    why: "a segment was claimed meanwhile",
                });
            }
            stored.manifest_sha256 = Some(self.manifest_sha256);
            stored.recording.last_heard_at = self.at;
            stored.recording.ledger = stored.recording.ledger.or(self.ledger);
            stored.recording.state = RecordingState::Sealed { ended_at: self.ended_at, end: self.end };
            save(transaction, stored, self.at).await
        })
    }
}

#[allow(private_interfaces)]
impl sealed::Write for RecordingSealedAndDelivered {
    fn revision(&self) -> Revision {
        Revision::Kept
    }

    fn recording(&self) -> Option<&TerminalSessionToken> {
        Some(&self.sealed.token)
    }

    fn write<'a>(self, scope: Scope, transaction: &'a DatabaseTransaction) -> Work<'a, ()> {
        Box::pin(async move {
            let delivered = RecordingDelivered { token: self.sealed.token.clone(), at: self.sealed.at };
            self.sealed.write(scope.clone(), transaction).await?;
            delivered.write(scope, transaction).await
        })
    }
}

#[allow(private_interfaces)]
impl sealed::Write for RecordingDelivered {
    fn revision(&self) -> Revision {
        Revision::Kept
    }

    fn recording(&self) -> Option<&TerminalSessionToken> {
        Some(&self.token)
    }

    fn write<'a>(self, scope: Scope, transaction: &'a DatabaseTransaction) -> Work<'a, ()> {
        Box::pin(async move {
            let mut stored =
                recording_rows::get_locked(transaction, &scope.account, scope.instance.as_ref(), &self.token)
                    .await?;
            scope.admits_holder(&stored.recording)?;
            stored.recording.state = match stored.recording.state {
                RecordingState::Sealed { ended_at, end } | RecordingState::Delivered { ended_at, end } => {
                    RecordingState::Delivered { ended_at, end }
                }
                RecordingState::Open | RecordingState::Abandoned { .. } | RecordingState::Closed { .. } => {
                    return Err(StoreError::Conflict { what: "recording", why: "it is not sealed" });
                }
            };
            save(transaction, stored, self.at).await
        })
    }
}

#[allow(private_interfaces)]
impl sealed::Write for JoinTokenIssued {
    fn revision(&self) -> Revision {
        Revision::Kept
    }

    fn write<'a>(self, scope: Scope, transaction: &'a DatabaseTransaction) -> Work<'a, ()> {
        Box::pin(async move {
            let granted_instance = scope.instance.as_ref();
            let wider =
                granted_instance.is_some_and(|granted| self.token.instances.as_str() != granted.as_str());
            if self.token.account != scope.account || wider {
                return Err(StoreError::OutsideGrant { what: "join token" });
            }
            join_token_rows::insert(transaction, &self.token).await
        })
    }
}

#[allow(private_interfaces)]
impl sealed::Write for AgentEnrolled {
    fn revision(&self) -> Revision {
        // Whoever is replaced has to hear of it, wherever its link is held.
        if self.replace { Revision::Bumped } else { Revision::BumpedOfInstances }
    }

    fn write<'a>(self, scope: Scope, transaction: &'a DatabaseTransaction) -> Work<'a, ()> {
        Box::pin(async move {
            let now = self.agent.enrolled_at;
            scope.admits("agent", &self.agent.account, &self.agent.instance)?;
            let presented = join_token_rows::find_locked(transaction, self.token_hash).await?;
            let presented = presented.map(|stored| PresentedToken { token: stored.token, used: stored.used });
            let admitted = PresentedToken::admit(presented, self.agent.clone())?;
            let Agent { account, instance, region, .. } = &self.agent;
            // From here on, two agents that enrol for the same instance take turns.
            instance_rows::put(transaction, account, instance, region, now).await?;
            let has_agent = agent_rows::has_present(transaction, account, instance).await?;
            let AgentAdmitted { agent, replaces } = admitted.take_place(has_agent, self.replace)?;
            if replaces {
                agent_rows::retire(transaction, account, instance, Retired::Replaced { at: now }).await?;
            }
            join_token_rows::mark_used(transaction, self.token_hash, &agent.id, now).await?;
            agent_rows::insert(transaction, &agent).await
        })
    }
}

/// An object that its recording has claimed no longer counts as unclaimed.
async fn claim(
    transaction: &DatabaseTransaction,
    recording: &Recording,
    evidence: EvidenceName,
) -> Result<(), StoreError> {
    match recording.folder.join(&evidence.to_object_name()) {
        Ok(name) => unclaimed_rows::remove(transaction, recording.target.bucket(), &name).await,
        // No object can have been written under a name that is too long.
        Err(_) => Ok(()),
    }
}

fn still_growing(stored: &StoredRecording) -> Result<(), StoreError> {
    match stored.recording.state {
        RecordingState::Open | RecordingState::Abandoned { .. } => Ok(()),
        // It was closed because its agent was removed.
        RecordingState::Closed { .. } => Err(StoreError::AgentRetired),
        RecordingState::Sealed { .. } | RecordingState::Delivered { .. } => {
            Err(StoreError::Conflict { what: "recording", why: "it is sealed" })
        }
    }
}

/// Saves a changed recording. If a sweep removed it from the counter and it is visible again, it is counted again.
pub(super) async fn save(
    transaction: &DatabaseTransaction,
    mut stored: StoredRecording,
    now: Timestamp,
) -> Result<(), StoreError> {
    let visible = fixed_expiry(&stored.recording).is_none_or(|expires_at| expires_at > now);
    let returns = visible && !stored.counted;
    stored.counted |= visible;
    recording_rows::save(transaction, &stored).await?;
    if returns {
        let recording = &stored.recording;
        counter_rows::add(transaction, &recording.account, &[(recording.instance.clone(), (1, 0))].into())
            .await?;
    }
    Ok(())
}
