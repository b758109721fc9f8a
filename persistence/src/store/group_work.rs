//! Changes that are made in the transaction of a group ([`super::group_commit`]), so that many of them cost one commit. Each
//! is made in a savepoint: one that is refused, or fails, leaves nothing behind and takes no other with it. Its claim stays: a
//! request is used up by a refusal too.
//!
//! All calls of the replica wait for the group. So what a change needs it gets at once, or nearly so: a change that would wait
//! for a lock is left out of the group, and its caller makes it in a transaction of its own. And a group has only as many
//! changes as are made in a moment.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use domain::AccountId;
use domain::audit::AuditEvent;
use domain::decided_under::DecidedUnder;
use sea_orm::{ConnectionTrait, DatabaseTransaction};

use super::group_commit::{Job, PATIENCE, Settled};
use super::{Inner, NonceClaim, Permitted, Revision, Store, Work};
use crate::StoreError;
use crate::dialect::{wait_briefly_for_locks, wait_for_locks_as_usual};

/// The most changes of one group.
const MOST: usize = 64;
/// The most changes that wait for the writer, in which there is room for twice as many calls: whoever changes nothing finds
/// room beside them.
const MOST_WAITING: usize = 4_096;
/// So many may always wait, so that a change that was slow by chance turns nobody away.
const LEAST_WAITING: usize = 256;
/// How long the changes of one group may take together. A call that came meanwhile waits for them.
const TOGETHER: Duration = Duration::from_millis(20);
/// How long a change of a group waits for a lock, as far as the database counts so finely.
const LOCK_WAIT: Duration = Duration::from_millis(20);
/// The same after a change of the group has waited in vain.
const NO_LOCK_WAIT: Duration = Duration::from_millis(1);

/// What became of a change that came with the single use of its request.
#[derive(Debug)]
pub enum Once<T> {
    /// It was the first use, which is claimed. The change was made, or refused.
    First(Result<T, StoreError>),
    /// The request was used before. Nothing was changed.
    Used,
}

/// A change that waits for its group.
pub(super) trait GroupWork: Send + Sync {
    /// What it locks. Changes of a group are made in this order, so that replicas wait for one another, and never in a
    /// circle.
    fn locks(&self) -> &str;

    /// Makes it. It may be asked again, when the transaction was begun anew.
    fn make<'a>(&'a self, transaction: &'a DatabaseTransaction) -> Work<'a, ()>;

    /// It was not made, because of this.
    fn refuse(&self, error: StoreError);

    /// It is to be made in a transaction of its own.
    fn leave_out(&self);

    /// Whether it was left out.
    fn is_left_out(&self) -> bool;
}

/// A change, and what became of it in its group.
struct Prepared<T, W> {
    locks: String,
    work: W,
    made: Mutex<Made<T>>,
}

enum Made<T> {
    NotYet,
    Done(T),
    Refused(StoreError),
    LeftOut,
}

impl<T, W> Prepared<T, W> {
    fn new(locks: String, work: W) -> Arc<Self> {
        Arc::new(Self { locks, work, made: Mutex::new(Made::NotYet) })
    }

    fn note(&self, made: Made<T>) {
        *self.made.lock().unwrap_or_else(PoisonError::into_inner) = made;
    }

    fn take(&self) -> Made<T> {
        std::mem::replace(&mut *self.made.lock().unwrap_or_else(PoisonError::into_inner), Made::NotYet)
    }
}

impl<T, W> GroupWork for Prepared<T, W>
where
    T: Send,
    W: for<'a> FnOnce(&'a DatabaseTransaction) -> Work<'a, T> + Clone + Send + Sync,
{
    fn locks(&self) -> &str {
        &self.locks
    }

    fn make<'a>(&'a self, transaction: &'a DatabaseTransaction) -> Work<'a, ()> {
        Box::pin(async move {
            let made = (self.work.clone())(transaction).await?;
            self.note(Made::Done(made));
            Ok(())
        })
    }

    fn refuse(&self, error: StoreError) {
        self.note(Made::Refused(error));
    }

    fn leave_out(&self) {
        self.note(Made::LeftOut);
    }

    fn is_left_out(&self) -> bool {
        matches!(*self.made.lock().unwrap_or_else(PoisonError::into_inner), Made::LeftOut)
    }
}

impl Store {
    /// Runs `work` in the transaction of a group, together with the claim of its request's single use and its audit rows:
    /// all of them are committed when it returns, or, of a change that was refused, the claim alone.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::WriterBehind`], when nothing is known of the claim either;
    /// [`StoreError::Outdated`].
    pub(super) async fn transact_in_group<T, W>(
        &self,
        permitted: Permitted,
        claim: Option<NonceClaim>,
        events: Vec<AuditEvent>,
        locks: String,
        work: W,
    ) -> Result<Once<T>, StoreError>
    where
        T: Send + 'static,
        W: for<'a> FnOnce(&'a DatabaseTransaction) -> Work<'a, T> + Clone + Send + Sync + 'static,
    {
        let prepared = Prepared::new(locks, work.clone());
        let left = Arc::clone(&prepared) as Arc<dyn GroupWork>;
        let under = permitted.decided_under.clone();
        match self.leave_with(claim, events.clone(), under, Some(left)).await? {
            Settled::NonceUsed => Ok(Once::Used),
            Settled::Stale => Err(StoreError::Outdated),
            Settled::Committed => Ok(Once::First(match prepared.take() {
                Made::Done(made) => Ok(made),
                Made::Refused(error) => Err(error),
                // A group tells of a change only after it was asked to make it.
                Made::NotYet | Made::LeftOut => self.transact(permitted, Revision::Kept, events, work).await,
            })),
        }
    }

    /// As [`Store::transact_in_group`], for what no call waits for: it waits for as long as it takes, however many calls wait
    /// with changes. It is decided from nothing, and has neither claim nor audit row.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; [`StoreError::WriterBehind`] when too many wait already.
    pub(super) async fn transact_in_group_unhurried<T, W>(
        &self,
        account: AccountId,
        locks: String,
        work: W,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: for<'a> FnOnce(&'a DatabaseTransaction) -> Work<'a, T> + Clone + Send + Sync + 'static,
    {
        let prepared = Prepared::new(locks, work.clone());
        let left = Arc::clone(&prepared) as Arc<dyn GroupWork>;
        let outcome = self.enqueue(None, Vec::new(), DecidedUnder::default(), Some(left), None)?;
        outcome.await.unwrap_or(Err(StoreError::Stopping))?;
        match prepared.take() {
            Made::Done(made) => Ok(made),
            Made::Refused(error) => Err(error),
            Made::NotYet | Made::LeftOut => self.transact(account, Revision::Kept, None, work).await,
        }
    }
}

impl Inner {
    /// Makes the changes of those jobs that stand, and says of each job whether its rows are to be written.
    pub(super) async fn make_changes(
        &self,
        transaction: &DatabaseTransaction,
        jobs: &[&Job],
        settled: &[Settled],
    ) -> Result<Vec<bool>, StoreError> {
        let mut written = Job::that_leave_rows(settled);
        let mut works: Vec<(usize, &dyn GroupWork)> = Vec::new();
        for (index, job) in jobs.iter().enumerate().filter(|(index, _)| written[*index]) {
            works.extend(job.work.as_deref().map(|work| (index, work)));
        }
        if works.is_empty() {
            return Ok(written);
        }
        let (number, begun) = (works.len(), Instant::now());
        works.sort_by(|(_, one), (_, other)| one.locks().cmp(other.locks()));
        wait_briefly_for_locks(transaction, LOCK_WAIT).await.map_err(StoreError::at(LIMIT_WAITS))?;
        let made = self.make_each(transaction, works, &mut written).await;
        // Also after a failure: with MariaDB the limit belongs to the connection. PostgreSQL refuses it then, which changes nothing.
        let usual = wait_for_locks_as_usual(transaction).await.map_err(StoreError::at(LIMIT_WAITS));
        made.and(usual)?;
        self.groups.pace().note(number, begun.elapsed());
        Ok(written)
    }

    async fn make_each(
        &self,
        transaction: &DatabaseTransaction,
        works: Vec<(usize, &dyn GroupWork)>,
        written: &mut [bool],
    ) -> Result<(), StoreError> {
        let dialect = self.connections.dialect();
        let (mut next, mut waited) = (SET, false);
        for (index, work) in works {
            if work.is_left_out() {
                written[index] = false;
                continue;
            }
            savepoint(transaction, next).await?;
            let error = match work.make(transaction).await {
                Ok(()) => {
                    next = SET_AGAIN;
                    continue;
                }
                Err(error) => error,
            };
            written[index] = false;
            match error {
                StoreError::Unavailable { source, step } if dialect.has_lost_connection(&source) => {
                    return Err(StoreError::Unavailable { source, step });
                }
                StoreError::Unavailable { source, step } if dialect.is_undone_for_another(&source) => {
                    work.leave_out();
                    // Where there is no way back, everything was undone: the group is begun anew, without this one.
                    let undone = |_| StoreError::Unavailable { source, step };
                    savepoint(transaction, BACK).await.map_err(undone)?;
                    if !waited {
                        waited = true;
                        let limited = StoreError::at(LIMIT_WAITS);
                        wait_briefly_for_locks(transaction, NO_LOCK_WAIT).await.map_err(limited)?;
                    }
                }
                refused => {
                    work.refuse(refused);
                    savepoint(transaction, BACK).await?;
                }
            }
            next = SET_AGAIN;
        }
        Ok(())
    }
}

/// The step of it, in errors.
const LIMIT_WAITS: &str = "limit how long a change waits for locks";

const SET: &str = "SAVEPOINT before_it";
const SET_AGAIN: &str = "RELEASE SAVEPOINT before_it; SAVEPOINT before_it";
const BACK: &str = "ROLLBACK TO SAVEPOINT before_it";

/// By its own statements, and not by those of the driver: it would count on to the savepoint also where the database has
/// undone it with everything else.
async fn savepoint(transaction: &DatabaseTransaction, statement: &str) -> Result<(), StoreError> {
    transaction.execute_unprepared(statement).await.map(drop).map_err(StoreError::at("set a savepoint"))
}

/// A call that may change something.
pub(super) trait MayChange {
    fn has_change(&self) -> bool;
}

/// Those with changes, until their group's turn comes.
pub(super) struct WithChanges<C> {
    waiting: VecDeque<C>,
    pace: Arc<Pace>,
}

/// How long it takes of late to make a change; the commit, which many share, does not count.
#[derive(Default)]
pub(super) struct Pace {
    nanos: AtomicU64,
}

/// How many calls wait with changes.
#[derive(Clone, Default)]
pub(super) struct Places(Arc<AtomicUsize>);

/// The place of one of them, until its outcome is known.
pub(super) struct Place(Places);

impl Places {
    /// One more, unless there are so many.
    pub(super) fn take(&self, most: usize) -> Option<Place> {
        let place = Place(self.clone());
        let taken = self.0.fetch_add(1, Ordering::Relaxed);
        (taken < most).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Self(Places(taken)) = self;
        taken.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<C> WithChanges<C> {
    pub(super) fn new(pace: Arc<Pace>) -> Self {
        Self { waiting: VecDeque::new(), pace }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes those with changes out of those that have come.
    pub(super) fn take_from(&mut self, come: &mut Vec<C>)
    where
        C: MayChange,
    {
        self.waiting.extend(come.extract_if(.., |waiting| waiting.has_change()));
    }

    /// As many as can be made in a moment.
    pub(super) fn next(&mut self) -> Vec<C> {
        let most = self.waiting.len().min(self.pace.at_once());
        self.waiting.drain(..most).collect()
    }
}

impl Pace {
    fn at_once(&self) -> usize {
        self.within(TOGETHER).clamp(1, MOST)
    }

    /// How many may wait. Those behind them would wait in vain, and be made when nobody waits for them any more.
    pub(super) fn most_waiting(&self) -> usize {
        self.within(PATIENCE).clamp(LEAST_WAITING, MOST_WAITING)
    }

    /// How many are made in this time.
    fn within(&self, time: Duration) -> usize {
        let nanos = u128::from(self.nanos.load(Ordering::Relaxed)).max(1);
        usize::try_from(time.as_nanos() / nanos).unwrap_or(usize::MAX)
    }

    /// Notes how long so many changes have taken.
    fn note(&self, changes: usize, taken: Duration) {
        let each = taken.as_nanos() / u128::try_from(changes.max(1)).unwrap_or(1);
        let each = u64::try_from(each).unwrap_or(u64::MAX);
        let before = self.nanos.load(Ordering::Relaxed);
        // What was slow by chance counts for a part.
        let now = if before == 0 { each } else { before - before / 4 + each / 4 };
        self.nanos.store(now, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_as_many_changes_as_are_made_in_a_moment() {
        let pace = Pace::default();
        assert_eq!(pace.at_once(), 64, "nothing is known yet");
        pace.note(10, Duration::from_millis(10));
        assert_eq!(pace.at_once(), 20);
        // One that waited for a lock does not make those after it wait for a commit each.
        pace.note(20, Duration::from_millis(40));
        assert_eq!(pace.at_once(), 16);
        for _ in 0..40 {
            pace.note(1, Duration::from_secs(1));
        }
        assert_eq!(pace.at_once(), 1, "there is always one");
        for _ in 0..80 {
            pace.note(1, Duration::from_micros(100));
        }
        assert_eq!(pace.at_once(), 64);
    }

    #[test]
    fn no_more_wait_than_are_made_while_a_call_waits() {
        let pace = Pace::default();
        assert_eq!(pace.most_waiting(), 4_096, "nothing is known yet");
        pace.note(10, Duration::from_millis(10));
        assert_eq!(pace.most_waiting(), 2_000);
        for _ in 0..40 {
            pace.note(1, Duration::from_secs(1));
        }
        assert_eq!(pace.most_waiting(), 256, "some always may");
    }

    #[test]
    fn a_place_is_free_again_when_it_is_given_up() {
        let places = Places::default();
        let taken = [places.take(2), places.take(2)];
        assert!(taken.iter().all(Option::is_some) && places.take(2).is_none());
        drop(taken);
        assert!(places.take(1).is_some());
    }
}
