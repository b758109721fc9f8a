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
use super::group_work::{GroupWork, MayChange, Pace, Place, Places, WithChanges};
use super::{Inner, NonceClaim, Store, group_thread};
use crate::StoreError;
use crate::audit::event::WrittenEvent;
use crate::database::Connections;
use crate::error::COMMIT;
use crate::nonces::Claimed;
use crate::rows::revision_rows;
use crate::since_boot::SinceBoot;

/// The most calls that one transaction commits.
pub(super) const MOST_OF_A_GROUP: usize = 1_024;
/// How many calls may wait for the writer. More than these would wait in vain: they are refused at once.
const MOST_WAITING: usize = 8_192;
/// How long a call waits for its group. The vendor's SDKs give up after three seconds, and should get an answer before.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// The way to the writer.
pub(super) struct GroupCommit {
    waiting: mpsc::Sender<Waiting>,
    writing: WritingSince,
    pace: Arc<Pace>,
    places: Places,
}

/// Since when the writer has been writing one group; `None` while it waits for calls.
#[derive(Clone, Default)]
pub(super) struct WritingSince(Arc<Mutex<Option<Instant>>>);

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
    /// Shared with the export.
    pub(super) events: Vec<Arc<WrittenEvent>>,
    pub(super) decided_under: DecidedUnder,
    since: SinceBoot,
    /// What it changes. Its rows are written only if that is made.
    pub(super) work: Option<Arc<dyn GroupWork>>,
}

/// A call that waits for its group.
pub(super) struct Waiting {
    pub(super) job: Job,
    outcome: oneshot::Sender<Result<Settled, StoreError>>,
    /// Its place, if it has a change.
    _place: Option<Place>,
    /// Also keeps the store until this is written.
    store: Arc<Inner>,
}

impl GroupCommit {
    /// Starts the writer, which ends with the store.
    pub(super) fn start(connections: &Connections) -> Result<Self, StoreError> {
        let (waiting, receiver) = mpsc::channel(MOST_WAITING);
        let (writing, pace) = (WritingSince::default(), Arc::<Pace>::default());
        let with_changes = WithChanges::new(Arc::clone(&pace));
        match connections.file() {
            Some((file, turns)) => {
                let (file, turns) = (file.to_owned(), turns.clone());
                group_thread::start(file, turns, receiver, with_changes, writing.clone())?;
            }
            None => drop(tokio::spawn(write_all(receiver, with_changes, writing.clone()))),
        }
        Ok(Self { waiting, writing, pace, places: Places::default() })
    }

    /// How long changes take.
    pub(super) fn pace(&self) -> &Pace {
        &self.pace
    }

    /// A place among the calls that wait with changes.
    fn place(&self) -> Result<Place, StoreError> {
        let place = self.places.take(self.pace.most_waiting());
        place.ok_or(StoreError::WriterBehind { why: "has as many changes waiting as it may have" })
    }
}

async fn write_all(
    mut calls: mpsc::Receiver<Waiting>,
    mut with_changes: WithChanges<Waiting>,
    writing: WritingSince,
) {
    let mut group = Vec::new();
    loop {
        if with_changes.is_empty() && calls.recv_many(&mut group, MOST_OF_A_GROUP).await == 0 {
            return;
        }
        let next = take_apart(&mut calls, &mut group, &mut with_changes);
        for group in next {
            write_apart(group, &writing).await;
        }
    }
}

/// What is to be written next: a group of those that have come, and one of those that change something. Those without changes
/// are done in an instant, and do not wait for the others.
pub(super) fn take_apart<C: MayChange>(
    calls: &mut mpsc::Receiver<C>,
    group: &mut Vec<C>,
    with_changes: &mut WithChanges<C>,
) -> [Vec<C>; 2] {
    while group.len() < MOST_OF_A_GROUP {
        let Ok(call) = calls.try_recv() else { break };
        group.push(call);
    }
    with_changes.take_from(group);
    [std::mem::take(group), with_changes.next()]
}

/// In a task of its own, so that a panic costs this group and not the writer. Its callers learn that nothing is known, and
/// the chain is in doubt.
async fn write_apart(group: Vec<Waiting>, writing: &WritingSince) {
    if group.is_empty() {
        return;
    }
    writing.begin();
    if let Err(ended) = tokio::spawn(write(group)).await {
        tracing::error!(error = &ended as &dyn std::error::Error, "a group was not committed");
    }
    writing.end();
}

impl WritingSince {
    // No change under the lock is left incomplete.
    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self) {
        *self.lock() = Some(Instant::now());
    }

    pub(super) fn end(&self) {
        *self.lock() = None;
    }

    /// How long it has been writing.
    pub(super) fn elapsed(&self) -> Option<Duration> {
        self.lock().map(|since| since.elapsed())
    }
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
        let outcome = self.enqueue(None, vec![event], DecidedUnder::default(), None, None)?;
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
            Some(held) => self.settle_held(held, claim, event, decided_under).await,
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
        self.inner.groups.writing.elapsed().is_some_and(|writing| writing > PATIENCE)
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
        let place = work.as_ref().map(|_| self.inner.groups.place()).transpose()?;
        let outcome = self.enqueue(claim, events, decided_under, work, place)?;
        match tokio::time::timeout(PATIENCE, outcome).await {
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
        place: Option<Place>,
    ) -> Result<Outcome, StoreError> {
        let (sender, outcome) = oneshot::channel();
        let events = events.into_iter().map(WrittenEvent::of).map(Arc::new).collect();
        let job = Job { claim, events, decided_under, since: SinceBoot::now(), work };
        let store = Arc::clone(&self.inner);
        let waiting = Waiting { job, outcome: sender, _place: place, store };
        self.inner.groups.waiting.try_send(waiting).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => {
                StoreError::WriterBehind { why: "has as many calls waiting as it may have" }
            }
            mpsc::error::TrySendError::Closed(_) => StoreError::Stopping,
        })?;
        Ok(outcome)
    }
}

/// Commits a group, and tells each call its outcome.
async fn write(group: Vec<Waiting>) {
    let Some((store, mut parts)) = Parts::of(group) else { return };
    while let Some(part) = parts.next() {
        let settled = store.write_group(&part).await;
        parts.tell(&store, part, settled);
    }
}

/// What is still to be written of a group. One call's row must not take the others with it: where the database says that a
/// row is to blame, nothing was committed, and each half is a group of its own.
pub(super) struct Parts(Vec<Vec<Waiting>>);

impl Parts {
    /// All of it, with its store; `None` when nothing is to be written.
    pub(super) fn of(mut group: Vec<Waiting>) -> Option<(Arc<Inner>, Self)> {
        group.retain(Waiting::counts);
        let store = Arc::clone(&group.first()?.store);
        Some((store, Self(vec![group])))
    }

    /// The next one.
    pub(super) fn next(&mut self) -> Option<Vec<Waiting>> {
        self.0.pop()
    }

    /// Tells the calls of a part what became of them, unless they are to be tried in halves.
    pub(super) fn tell(
        &mut self,
        store: &Inner,
        mut part: Vec<Waiting>,
        settled: Result<Vec<Settled>, StoreError>,
    ) {
        match settled {
            Ok(settled) => {
                for (waiting, settled) in part.into_iter().zip(settled) {
                    waiting.tell(Ok(settled));
                }
            }
            Err(error) if part.len() > 1 && store.blames_a_row(&error) => {
                let later = part.split_off(part.len() / 2);
                self.0.extend([later, part]);
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

/// The steps of a group, whoever asks the database between them.
impl Job {
    /// The accounts by whose facts the calls were decided.
    pub(super) fn accounts<'j>(jobs: &[&'j Self]) -> BTreeSet<&'j AccountId> {
        let under = jobs.iter().flat_map(|job| job.decided_under.iter());
        under.map(|(account, _)| account).collect()
    }

    /// Which of them may be done, while these revisions stand.
    pub(super) fn that_hold(jobs: &[&Self], revisions: &BTreeMap<AccountId, Revisions>) -> Vec<bool> {
        jobs.iter().map(|job| job.holds(revisions)).collect()
    }

    /// What these claim.
    pub(super) fn claims<'j>(jobs: &[&'j Self], holds: &[bool]) -> Vec<&'j NonceClaim> {
        let standing = jobs.iter().zip(holds).filter(|(_, holds)| **holds).map(|(job, _)| job);
        standing.filter_map(|job| job.claim.as_ref()).collect()
    }

    /// What becomes of each once the transaction is committed.
    pub(super) fn settled(jobs: &[&Self], holds: &[bool], claimed: &mut Claimed<'_>) -> Vec<Settled> {
        let settled = jobs.iter().zip(holds).map(|(job, holds)| match &job.claim {
            _ if !holds => Settled::Stale,
            // Of equal claims of one group the first one has it.
            Some(claim) if !claimed.take(claim) => Settled::NonceUsed,
            _ => Settled::Committed,
        });
        settled.collect()
    }

    /// Of those without changes, which leave their rows.
    pub(super) fn that_leave_rows(settled: &[Settled]) -> Vec<bool> {
        settled.iter().map(|settled| is_committed(*settled)).collect()
    }

    /// The rows of those that leave them.
    pub(super) fn events<'j>(jobs: &[&'j Self], written: &[bool]) -> Vec<&'j Arc<WrittenEvent>> {
        let written = jobs.iter().zip(written).filter(|(_, written)| **written);
        written.flat_map(|(job, _)| &job.events).collect()
    }

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

impl MayChange for Waiting {
    fn has_change(&self) -> bool {
        self.job.work.is_some()
    }
}

impl Waiting {
    /// A call whose outcome nobody waits for.
    #[cfg(test)]
    pub(super) fn for_test(
        store: &Store,
        claim: Option<NonceClaim>,
        events: Vec<AuditEvent>,
        decided_under: DecidedUnder,
    ) -> Self {
        let events = events.into_iter().map(WrittenEvent::of).map(Arc::new).collect();
        let job = Job { claim, events, decided_under, since: SinceBoot::now(), work: None };
        Self { job, outcome: oneshot::channel().0, _place: None, store: Arc::clone(&store.inner) }
    }

    /// Whether it is to be written. A claim alone whose caller has given up is not: what it was for will not happen, so that
    /// the request is as good as never sent, and others need not wait for it. A row is evidence of what was tried, and stays.
    fn counts(&self) -> bool {
        !(self.job.events.is_empty() && self.outcome.is_closed())
    }

    /// The caller may have given up, which changes nothing.
    fn tell(self, outcome: Result<Settled, StoreError>) {
        let _ = self.outcome.send(outcome);
    }
}

impl Inner {
    /// Commits a group, and returns what became of each call.
    pub(super) async fn write_group(&self, group: &[Waiting]) -> Result<Vec<Settled>, StoreError> {
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
        let events = vec![Arc::new(WrittenEvent::of(event))];
        let job = Job { claim, events, decided_under, since: SinceBoot::now(), work: None };
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
        let holds = Job::that_hold(jobs, &revisions);
        // Before the chain is taken: a claim may wait for another replica's, and changes need not wait with it.
        let claims = Job::claims(jobs, &holds);
        let mut claimed = self.nonces.claim(&transaction, &claims).await?;
        let settled = Job::settled(jobs, &holds, &mut claimed);
        let written = self.make_changes(&transaction, jobs, &settled).await?;
        let events = Job::events(jobs, &written);
        if events.is_empty() {
            transaction.commit().await.map_err(StoreError::at(COMMIT))?;
        } else {
            self.audit.append_and_commit(transaction, &events).await?;
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
        let accounts = Job::accounts(jobs);
        if accounts.is_empty() {
            return Ok(BTreeMap::new());
        }
        let revisions = revision_rows::of_accounts(transaction, &accounts).await?;
        self.correct(&revisions);
        Ok(revisions)
    }

    /// Takes in the revisions that a group has read.
    pub(super) fn correct(&self, revisions: &BTreeMap<AccountId, Revisions>) {
        for (account, revision) in revisions {
            self.facts.correct(account, *revision);
        }
    }

    pub(super) fn blames_a_row(&self, error: &StoreError) -> bool {
        match error {
            StoreError::Unavailable { source, .. } => self.connections.dialect().blames_a_row(source),
            _ => false,
        }
    }
}
