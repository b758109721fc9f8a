//! Detecting that configuration, keys or policies changed, here or in another replica.
//!
//! The rows are the truth (DECISIONS I5). As long as somebody wants to know, the watcher looks at them often enough to see
//! the changes of other replicas and of `hansard admin` within a second. A change that is made here makes it look at once,
//! and so does PostgreSQL's notice of a change that is made elsewhere.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use domain::AccountId;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::{Inner, Store};
use crate::StoreError;
use crate::rows::revision_rows;

/// How often the watcher looks, whatever it is told.
const LOOK_EVERY: Duration = Duration::from_millis(500);

pub(super) struct Revisions {
    seen: watch::Sender<i64>,
    look: Arc<Notify>,
    /// Hears of the changes of other replicas; begun with the first subscriber.
    listener: OnceLock<Option<JoinHandle<()>>>,
}

impl Revisions {
    pub(super) fn at(revision: i64) -> Self {
        let (seen, look) = (watch::Sender::new(revision), Arc::new(Notify::new()));
        Self { seen, look, listener: OnceLock::new() }
    }

    /// What the watcher has seen last.
    pub(super) fn seen(&self) -> i64 {
        *self.seen.borrow()
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
        if let Some(Some(listener)) = self.listener.take() {
            listener.abort();
        }
    }
}

/// Starts the watcher, which ends with the store.
pub(super) fn watch_other_replicas(inner: &Arc<Inner>) {
    let look = Arc::clone(&inner.revisions.look);
    let store: Weak<Inner> = Arc::downgrade(inner);
    tokio::spawn(async move {
        let (mut answers, mut anybody) = (true, false);
        loop {
            // The reaction is the same after a notification and after a timeout.
            if anybody {
                let _ = tokio::time::timeout(LOOK_EVERY, look.notified()).await;
            } else {
                look.notified().await;
            }
            let Some(inner) = store.upgrade() else { return };
            anybody = inner.revisions.seen.receiver_count() > 0;
            if !anybody {
                continue;
            }
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
    /// A number that grows with every change of an account's configuration, keys and policies. It stays when only its
    /// instances or their tags change, of which no agent has to hear.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn configuration_revision(&self, account: &AccountId) -> Result<i64, StoreError> {
        Ok(revision_rows::of_account(self.inner.connections.reader(), account).await?.account)
    }

    /// A number that grows with every such change of any account: at once for changes made through this store, within a
    /// second for those of other replicas and of `hansard admin`. A subscriber that is notified reads
    /// [`Store::configuration_revision`] for its own account.
    #[must_use]
    pub fn subscribe_revisions(&self) -> watch::Receiver<i64> {
        let revisions = &self.inner.revisions;
        if revisions.seen.receiver_count() == 0 {
            // Without subscribers nobody has looked.
            self.inner.in_force.forget();
        }
        let subscriber = revisions.seen.subscribe();
        revisions.listener.get_or_init(|| {
            let look = Arc::clone(&revisions.look);
            self.inner.connections.tell_of_revisions(move || look.notify_one())
        });
        revisions.look_now();
        subscriber
    }
}
