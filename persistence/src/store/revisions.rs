//! Detecting that configuration, keys or policies changed, here or in another replica.
//!
//! The rows are the truth (DECISIONS I5). A change that is made here makes the watcher look at once; to see changes of
//! other replicas and of `hansard admin` it polls, often enough to see them within a second.

use std::sync::{Arc, Weak};
use std::time::Duration;

use domain::AccountId;
use tokio::sync::{Notify, watch};

use super::{Inner, Store};
use crate::StoreError;
use crate::rows::revision_rows;

/// How often the watcher polls.
const LOOK_EVERY: Duration = Duration::from_millis(500);

pub(super) struct Revisions {
    seen: watch::Sender<i64>,
    look: Arc<Notify>,
}

impl Revisions {
    pub(super) fn at(revision: i64) -> Self {
        Self { seen: watch::Sender::new(revision), look: Arc::new(Notify::new()) }
    }

    /// Makes the watcher look now.
    pub(super) fn look_now(&self) {
        self.look.notify_one();
    }
}

impl Drop for Revisions {
    fn drop(&mut self) {
        // The watcher holds the store weakly: when woken, it sees that the store is gone.
        self.look.notify_one();
    }
}

/// Starts the watcher, which ends with the store.
pub(super) fn watch_other_replicas(inner: &Arc<Inner>) {
    let look = Arc::clone(&inner.revisions.look);
    let store: Weak<Inner> = Arc::downgrade(inner);
    tokio::spawn(async move {
        let mut answers = true;
        loop {
            // The reaction is the same after a notification and after a timeout.
            let _ = tokio::time::timeout(LOOK_EVERY, look.notified()).await;
            let Some(inner) = store.upgrade() else { return };
            match revision_rows::of_all(inner.connections.reader()).await {
                Ok(now) => {
                    answers = true;
                    inner.revisions.seen.send_if_modified(|seen| std::mem::replace(seen, now) != now);
                }
                Err(error) => {
                    // Logged once each time the database stops answering, not twice a second.
                    if std::mem::replace(&mut answers, false) {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "cannot look for changed revisions"
                        );
                    }
                }
            }
        }
    });
}

impl Store {
    /// Counts the changes of an account's configuration, keys and policies.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn configuration_revision(&self, account: &AccountId) -> Result<i64, StoreError> {
        revision_rows::of_account(self.inner.connections.reader(), account).await
    }

    /// A number that grows with every change of any account: at once for changes made through this store, within a
    /// second for those of other replicas and of `hansard admin`. A subscriber that is notified reads
    /// [`Store::configuration_revision`] for its own account.
    #[must_use]
    pub fn subscribe_revisions(&self) -> watch::Receiver<i64> {
        self.inner.revisions.seen.subscribe()
    }
}
