//! What every call leaves behind, whether it changes anything or not: the claim of its single use, and its audit row. The
//! one writer of this replica and start (DECISIONS A2) takes all that has come while it was busy, and commits it as one
//! group, so that many calls at once cost one commit. Nobody learns of an outcome before its group is on stable storage.
//!
//! The caller may give up at any time: what waits here belongs to the writer until it has an outcome, and holds the
//! store. So a row may be committed after its caller was told that it was not; the reverse never happens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use domain::AccountId;
use domain::audit::AuditEvent;
use domain::decided_under::{DecidedUnder, Revisions};
use sea_orm::DatabaseTransaction;
use tokio::sync::{mpsc, oneshot};

use super::begun_anew::begun_anew;
use super::group_work::{GroupWork, Pace, WithChanges};
use super::{Inner, NonceClaim, Store};
use crate::StoreError;
use crate::error::COMMIT;
use crate::rows::revision_rows;
use crate::since_boot::SinceBoot;

/// The most calls that one transaction commits.
const MOST_OF_A_GROUP: usize = 1_024;
/// How many calls may wait for the writer. More than these would wait in vain: they are refused at once.
const MOST_WAITING: usize = 8_192;
/// How long a call waits for its group. The vendor's SDKs give up after three seconds, and should get an answer before.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// The way to the writer.
pub(super) struct GroupCommit {
    waiting: mpsc::Sender<Waiting>,
    /// Since when it has been writing one group; `None` while it waits for calls.
    writing_since: Arc<Mutex<Option<Instant>>>,
    pace: Arc<Pace>,
}

/// What became of a call that left its claim and its row to the writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Both are on stable storage.
    Committed,
    /// Its nonce was used before. No row is written, and the call must not be answered.
    NonceUsed,
    /// It was decided under other revisions than those that stand now, or so long ago that its time counts no more.
    /// Nothing was written and nothing was claimed: it must be decided again.
    Stale,
}

/// Brings a call's outcome.
pub(super) type Outcome = oneshot::Receiver<Result<Settled, StoreError>>;

/// What a call leaves behind.
pub(super) struct Job {
    pub(super) claim: Option<NonceClaim>,
    pub(super) events: Vec<AuditEvent>,
    pub(super) decided_under: DecidedUnder,
    since: SinceBoot,
    /// What it changes. Its rows are written only if that is made.
    pub(super) work: Option<Arc<dyn GroupWork>>,
}

/// A call that waits for its group.
pub(super) struct Waiting {
    job: Job,
    outcome: oneshot::Sender<Result<Settled, StoreError>>,
    /// Also keeps the store until this is written.
    store: Arc<Inner>,
}

impl GroupCommit {
    /// Starts the writer, which ends with the store.
    pub(super) fn start() -> Self {
        let (waiting, mut receiver) = mpsc::channel(MOST_WAITING);
        let writing_since = Arc::<Mutex<Option<Instant>>>::default();
        let (since, pace) = (Arc::clone(&writing_since), Arc::<Pace>::default());
        let with_changes = WithChanges::new(Arc::clone(&pace));
        tokio::spawn(async move {
            let (mut group, mut with_changes) = (Vec::new(), with_changes);
            while gather(&mut receiver, &mut group, &with_changes).await {
                with_changes.take_from(&mut group);
                // Those without changes are done in an instant, and do not wait for the others.
                write_apart(std::mem::take(&mut group), &since).await;
                write_apart(with_changes.next(), &since).await;
            }
        });
        Self { waiting, writing_since, pace }
    }

    /// How long changes take.
    pub(super) fn pace(&self) -> &Pace {
        &self.pace
    }
}

/// Takes what has come, and waits for it if there is nothing else to do. `false`: nothing can come any more.
async fn gather(
    receiver: &mut mpsc::Receiver<Waiting>,
    group: &mut Vec<Waiting>,
    with_changes: &WithChanges,
) -> bool {
    if with_changes.len() == 0 {
        return receiver.recv_many(group, MOST_OF_A_GROUP).await > 0;
    }
    // As many may wait here as in the channel.
    while group.len() < MOST_OF_A_GROUP && with_changes.len() < MOST_WAITING {
        let Ok(waiting) = receiver.try_recv() else { break };
        group.push(waiting);
    }
    true
}

/// In a task of its own, so that a panic costs this group and not the writer. Its callers learn that nothing is known, and
/// the chain is in doubt.
async fn write_apart(group: Vec<Waiting>, writing_since: &Mutex<Option<Instant>>) {
    if group.is_empty() {
        return;
    }
    *lock(writing_since) = Some(Instant::now());
    if let Err(ended) = tokio::spawn(write(group)).await {
        tracing::error!(error = &ended as &dyn std::error::Error, "a group was not committed");
    }
    *lock(writing_since) = None;
}

// No change under the lock is left incomplete.
fn lock(since: &Mutex<Option<Instant>>) -> MutexGuard<'_, Option<Instant>> {
    since.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    /// Writes the final row of a call that changed nothing; committed when it returns.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::WriterBehind`]; the call must then not be answered.
    pub async fn record_audit(&self, event: AuditEvent) -> Result<(), StoreError> {
        self.leave(None, vec![event], DecidedUnder::default()).await.map(drop)
    }

    /// As [`Store::record_audit`], for a row that nobody waits for, and that would be written again if it seemed not to
    /// be: it waits for as long as it takes.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; [`StoreError::WriterBehind`] when too many wait already. The row is not written, unless
    /// the commit's own answer was lost.
    pub async fn record_audit_unhurried(&self, event: AuditEvent) -> Result<(), StoreError> {
        let outcome = self.enqueue(None, vec![event], DecidedUnder::default(), None)?;
        outcome.await.map_or(Err(StoreError::Stopping), |outcome| outcome.map(drop))
    }

    /// Writes the final row of a call that changed nothing, and claims its single use if that is still to be claimed; both
    /// are committed when it is [`Settled::Committed`], and neither otherwise.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::WriterBehind`]; the call must then not be answered.
    pub async fn settle(
        &self,
        claim: Option<NonceClaim>,
        event: AuditEvent,
        decided_under: DecidedUnder,
    ) -> Result<Settled, StoreError> {
        match self.take_held().await {
            Some(transaction) => self.settle_held(transaction, claim, event, decided_under).await,
            None => self.leave(claim, vec![event], decided_under).await,
        }
    }

    /// As [`Store::settle`], for what was decided from no account's facts. `false`: its nonce was used before.
    ///
    /// # Errors
    /// As [`Store::settle`].
    pub async fn record_audit_once(&self, claim: NonceClaim, event: AuditEvent) -> Result<bool, StoreError> {
        self.settle(Some(claim), event, DecidedUnder::default()).await.map(is_committed)
    }

    /// Claims a nonce; committed when it returns. `false`: it was claimed before and has not expired.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::WriterBehind`]; the call must then be refused.
    pub async fn claim_nonce(&self, claim: NonceClaim) -> Result<bool, StoreError> {
        self.leave(Some(claim), Vec::new(), DecidedUnder::default()).await.map(is_committed)
    }

    /// Whether the writer has been at one group for longer than a call waits for it, so that calls are refused.
    #[must_use]
    pub fn writer_stands_still(&self) -> bool {
        lock(&self.inner.groups.writing_since).is_some_and(|since| since.elapsed() > PATIENCE)
    }

    async fn leave(
        &self,
        claim: Option<NonceClaim>,
        events: Vec<AuditEvent>,
        decided_under: DecidedUnder,
    ) -> Result<Settled, StoreError> {
        self.leave_with(claim, events, decided_under, None).await
    }

    pub(super) async fn leave_with(
        &self,
        claim: Option<NonceClaim>,
        events: Vec<AuditEvent>,
        decided_under: DecidedUnder,
        work: Option<Arc<dyn GroupWork>>,
    ) -> Result<Settled, StoreError> {
        // Without a word to the writer.
        if claim.as_ref().is_some_and(|claim| self.inner.nonces.own().is_some_and(|own| own.hold(claim))) {
            return Ok(Settled::NonceUsed);
        }
        match tokio::time::timeout(PATIENCE, self.enqueue(claim, events, decided_under, work)?).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(StoreError::Stopping),
            Err(_) => Err(StoreError::WriterBehind { why: "did not come to this call in time" }),
        }
    }

    pub(super) fn enqueue(
        &self,
        claim: Option<NonceClaim>,
        events: Vec<AuditEvent>,
        decided_under: DecidedUnder,
        work: Option<Arc<dyn GroupWork>>,
    ) -> Result<Outcome, StoreError> {
        let (sender, outcome) = oneshot::channel();
        let job = Job { claim, events, decided_under, since: SinceBoot::now(), work };
        let waiting = Waiting { job, outcome: sender, store: Arc::clone(&self.inner) };
        self.inner.groups.waiting.try_send(waiting).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => {
                StoreError::WriterBehind { why: "has as many calls waiting as it may have" }
            }
            mpsc::error::TrySendError::Closed(_) => StoreError::Stopping,
        })?;
        Ok(outcome)
    }
}

/// Commits a group, and tells each call its outcome. One call's row must not take the others with it: where the database
/// says that a row is to blame, nothing was committed, and each half is a group of its own.
async fn write(mut group: Vec<Waiting>) {
    group.retain(Waiting::counts);
    let Some(store) = group.first().map(|waiting| Arc::clone(&waiting.store)) else { return };
    let mut parts = vec![group];
    while let Some(mut part) = parts.pop() {
        match store.write_group(&part).await {
            Ok(settled) => {
                for (waiting, settled) in part.into_iter().zip(settled) {
                    waiting.tell(Ok(settled));
                }
            }
            Err(error) if part.len() > 1 && store.blames_a_row(&error) => {
                let later = part.split_off(part.len() / 2);
                parts.extend([later, part]);
            }
            Err(error) => {
                for waiting in part {
                    waiting.tell(Err(error.for_another()));
                }
            }
        }
    }
}

fn is_committed(settled: Settled) -> bool {
    settled == Settled::Committed
}

impl Job {
    /// Whether it may be done as it was decided, while these revisions stand.
    fn holds(&self, revisions: &BTreeMap<AccountId, Revisions>) -> bool {
        let mut under = self.decided_under.iter();
        under.all(|(account, under)| {
            revisions.get(account).is_some_and(|standing| under.holds_under(*standing))
        }) && !self.is_outlived()
    }

    /// Whether its decision was made so long ago that its time counts no more.
    pub(super) fn is_outlived(&self) -> bool {
        !self.decided_under.is_empty() && self.since.elapsed() > PATIENCE
    }
}

impl Waiting {
    /// Whether it is to be written. A claim alone whose caller has given up is not: what it was for will not happen, so that
    /// the request is as good as never sent, and others need not wait for it. A row is evidence of what was tried, and stays.
    fn counts(&self) -> bool {
        !(self.job.events.is_empty() && self.outcome.is_closed())
    }

    pub(super) fn has_change(&self) -> bool {
        self.job.work.is_some()
    }

    /// The caller may have given up, which changes nothing.
    fn tell(self, outcome: Result<Settled, StoreError>) {
        let _ = self.outcome.send(outcome);
    }
}

impl Inner {
    /// Commits a group, and returns what became of each call.
    async fn write_group(&self, group: &[Waiting]) -> Result<Vec<Settled>, StoreError> {
        let jobs: Vec<&Job> = group.iter().map(|waiting| &waiting.job).collect();
        if let Some(settled) = self.write_jobs_at_once(&jobs).await? {
            return Ok(settled);
        }
        let once = || self.connections.write_group(|transaction| self.write_jobs(transaction, &jobs));
        begun_anew(&self.connections, once).await
    }

    /// Settles one call in a transaction that was begun for it.
    pub(super) async fn settle_in(
        &self,
        transaction: DatabaseTransaction,
        claim: Option<NonceClaim>,
        event: AuditEvent,
        decided_under: DecidedUnder,
    ) -> Result<Settled, StoreError> {
        let job = Job { claim, events: vec![event], decided_under, since: SinceBoot::now(), work: None };
        let settled = self.write_jobs(transaction, &[&job]).await?;
        Ok(settled.first().copied().unwrap_or(Settled::Stale))
    }

    async fn write_jobs(
        &self,
        transaction: DatabaseTransaction,
        jobs: &[&Job],
    ) -> Result<Vec<Settled>, StoreError> {
        // First of all: a change that was answered before one of these calls came is seen here.
        let revisions = self.revisions_of(&transaction, jobs).await?;
        let holds: Vec<bool> = jobs.iter().map(|job| job.holds(&revisions)).collect();
        // Before the chain is taken: a claim may wait for another replica's, and changes need not wait with it.
        let standing = jobs.iter().zip(&holds).filter(|(_, holds)| **holds).map(|(job, _)| job);
        let claims: Vec<_> = standing.filter_map(|job| job.claim.as_ref()).collect();
        let mut claimed = self.nonces.claim(&transaction, &claims).await?;
        let settled = jobs.iter().zip(&holds).map(|(job, holds)| match &job.claim {
            _ if !holds => Settled::Stale,
            // Of equal claims of one group the first one has it.
            Some(claim) if !claimed.take(claim) => Settled::NonceUsed,
            _ => Settled::Committed,
        });
        let settled: Vec<Settled> = settled.collect();
        let written = self.make_changes(&transaction, jobs, &settled).await?;
        let written = jobs.iter().zip(&written).filter(|(_, written)| **written);
        let events: Vec<&AuditEvent> = written.flat_map(|(job, _)| &job.events).collect();
        if events.is_empty() {
            transaction.commit().await.map_err(StoreError::at(COMMIT))?;
        } else {
            self.audit.append_and_commit(transaction, events).await?;
        }
        claimed.committed();
        Ok(settled)
    }

    /// The revisions of all accounts by whose facts the calls were decided.
    async fn revisions_of(
        &self,
        transaction: &DatabaseTransaction,
        jobs: &[&Job],
    ) -> Result<BTreeMap<AccountId, Revisions>, StoreError> {
        let under = jobs.iter().flat_map(|job| job.decided_under.iter());
        let accounts: BTreeSet<&AccountId> = under.map(|(account, _)| account).collect();
        if accounts.is_empty() {
            return Ok(BTreeMap::new());
        }
        let revisions = revision_rows::of_accounts(transaction, &accounts).await?;
        for (account, revision) in &revisions {
            self.facts.correct(account, *revision);
        }
        Ok(revisions)
    }

    fn blames_a_row(&self, error: &StoreError) -> bool {
        match error {
            StoreError::Unavailable { source, .. } => self.connections.dialect().blames_a_row(source),
            _ => false,
        }
    }
}
