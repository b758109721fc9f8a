//! Deciding inside a transaction, for a call whose decisions were outdated again and again: nothing that it is decided by
//! can be changed before it has done what it does.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use domain::audit::AuditEvent;
use domain::decided_under::DecidedUnder;
use sea_orm::DatabaseTransaction;
use tokio::sync::Mutex;

use super::group_commit::{PATIENCE, Settled};
use super::{NonceClaim, Store, to_its_end};
use crate::StoreError;
use crate::rows::revision_rows;
use crate::turn::Turn;

/// The transaction that holds the revisions, until something is done in it.
#[derive(Clone)]
pub(super) struct Held(Arc<Mutex<Option<HeldTransaction>>>);

/// A transaction, with the turn to write: whoever ends the one gives up the other.
pub(super) struct HeldTransaction {
    pub(super) transaction: DatabaseTransaction,
    pub(super) turn: Option<Turn>,
}

impl Store {
    /// Runs a call, with a store of its own, while nobody changes what decides in these accounts. The first change that the
    /// call makes with that store, or the row that it settles, is made in the transaction that holds them.
    ///
    /// One call at a time is run in this way, because changes of the accounts, and on SQLite all calls, wait for it. So it
    /// is given up when it has done nothing in the transaction within this limit. From then on only what it did there can
    /// say what became of it, and it is waited for: given up, it would be done once more.
    ///
    /// # Errors
    /// [`StoreError::Outdated`] when nothing was done within the limit, and nothing is; [`StoreError::WriterBehind`] when its
    /// turn did not come in time; [`StoreError::Unavailable`].
    pub async fn holding<T>(
        &self,
        accounts: &DecidedUnder,
        limit: Duration,
        call: impl AsyncFnOnce(&Store) -> T,
    ) -> Result<T, StoreError> {
        let Ok(turn) = tokio::time::timeout(PATIENCE, self.inner.holding.lock()).await else {
            return Err(StoreError::WriterBehind {
                why: "has too many calls that can only be decided one by one",
            });
        };
        let held = Held(Arc::default());
        let own = Store { inner: Arc::clone(&self.inner), held: Some(held.clone()) };
        let mut call = pin!(call(&own));
        let running = call.as_mut();
        let done = self.inner.connections.write_in_turn(async |transaction: DatabaseTransaction, turn| {
            let mut ordered: Vec<_> = accounts.iter().map(|(account, _)| account).collect();
            ordered.sort();
            for account in ordered {
                let revision = revision_rows::of_account_locked(&transaction, account).await;
                let revision = revision.map_err(|error| self.outdated_if_undone(error))?;
                self.inner.facts.correct(account, revision);
            }
            held.put(HeldTransaction { transaction, turn }).await;
            let done = tokio::time::timeout(limit, running).await.ok();
            match held.take().await {
                Some(unused) => {
                    unused.transaction.rollback().await.map_err(StoreError::at("end a transaction"))?;
                    done.map(Some).ok_or(StoreError::Outdated)
                }
                None => Ok(done),
            }
        });
        let done = done.await?;
        drop(turn);
        match done {
            Some(done) => Ok(done),
            None => Ok(call.await),
        }
    }

    /// The transaction in which the next thing is to be done, if this store holds one.
    pub(super) async fn take_held(&self) -> Option<HeldTransaction> {
        match &self.held {
            Some(held) => held.take().await,
            None => None,
        }
    }

    /// As [`Store::settle`], in the transaction that this store holds. It is done to its end, also when the caller stops
    /// waiting: a commit that was left half done would stand in the way of whoever writes to the chain next.
    pub(super) async fn settle_held(
        &self,
        held: HeldTransaction,
        claim: Option<NonceClaim>,
        event: AuditEvent,
        decided_under: DecidedUnder,
    ) -> Result<Settled, StoreError> {
        let own = self.clone();
        let settling = tokio::spawn(async move {
            let HeldTransaction { transaction, turn } = held;
            let settled = own.inner.settle_in(transaction, claim, event, decided_under);
            let settled = own.inner.connections.write_begun(settled).await;
            drop(turn);
            settled.map_err(|error| own.outdated_if_undone(error))
        });
        to_its_end(settling).await
    }

    /// What the database undid in favour of another transaction is decided once more: this transaction cannot be begun
    /// anew.
    pub(super) fn outdated_if_undone(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::Unavailable { source, .. }
                if self.inner.connections.dialect().is_undone_for_another(&source) =>
            {
                StoreError::Outdated
            }
            other => other,
        }
    }
}

impl Held {
    async fn put(&self, transaction: HeldTransaction) {
        *self.0.lock().await = Some(transaction);
    }

    async fn take(&self) -> Option<HeldTransaction> {
        self.0.lock().await.take()
    }
}
