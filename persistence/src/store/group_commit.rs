//! What every call leaves behind, whether it changes anything or not: the claim of its single use, and its audit row. The
//! one writer of this replica and start (DECISIONS A2) takes all that has come while it was busy, and commits it as one
//! group, so that many calls at once cost one commit. Nobody learns of an outcome before its group is on stable storage.
//!
//! The caller may give up at any time: what waits here belongs to the writer until it has an outcome, and holds the
//! store. So a row may be committed after its caller was told that it was not; the reverse never happens.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use domain::audit::AuditEvent;
use tokio::sync::{mpsc, oneshot};

use super::begun_anew::begun_anew;
use super::{Inner, NonceClaim, Store};
use crate::StoreError;
use crate::rows::nonce_rows;

/// The most calls that one transaction commits.
const MOST_OF_A_GROUP: usize = 1_024;
/// How many calls may wait for the writer. More than these would wait in vain: they are refused at once.
const MOST_WAITING: usize = 8_192;
/// How long a call waits for its group. The vendor's SDKs give up after three seconds, and should get an answer before.
const PATIENCE: Duration = Duration::from_secs(2);

/// The way to the writer.
pub(super) struct GroupCommit {
    waiting: mpsc::Sender<Waiting>,
    /// Since when it has been writing one group; `None` while it waits for calls.
    writing_since: Arc<Mutex<Option<Instant>>>,
}

/// Brings a call's outcome: whether it was its first use.
type Outcome = oneshot::Receiver<Result<bool, StoreError>>;

/// A call that waits for its group.
struct Waiting {
    claim: Option<NonceClaim>,
    events: Vec<AuditEvent>,
    outcome: oneshot::Sender<Result<bool, StoreError>>,
    /// Also keeps the store until this is written.
    store: Arc<Inner>,
}

impl GroupCommit {
    /// Starts the writer, which ends with the store.
    pub(super) fn start() -> Self {
        let (waiting, mut receiver) = mpsc::channel(MOST_WAITING);
        let writing_since = Arc::<Mutex<Option<Instant>>>::default();
        let since = Arc::clone(&writing_since);
        tokio::spawn(async move {
            let mut group = Vec::new();
            while receiver.recv_many(&mut group, MOST_OF_A_GROUP).await > 0 {
                *lock(&since) = Some(Instant::now());
                // In a task of its own, so that a panic costs this group and not the writer. Its callers learn that
                // nothing is known, and the chain is in doubt.
                if let Err(ended) = tokio::spawn(write(std::mem::take(&mut group))).await {
                    tracing::error!(error = &ended as &dyn std::error::Error, "a group was not committed");
                }
                *lock(&since) = None;
            }
        });
        Self { waiting, writing_since }
    }
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
        self.leave(None, vec![event]).await.map(drop)
    }

    /// As [`Store::record_audit`], for a row that nobody waits for, and that would be written again if it seemed not to
    /// be: it waits for as long as it takes.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; [`StoreError::WriterBehind`] when too many wait already. The row is not written, unless
    /// the commit's own answer was lost.
    pub async fn record_audit_unhurried(&self, event: AuditEvent) -> Result<(), StoreError> {
        self.enqueue(None, vec![event])?.await.map_or(Err(StoreError::Stopping), |outcome| outcome.map(drop))
    }

    /// Claims the single use of a call that changed nothing, and writes its final row; both are committed when it
    /// returns. `false`: it was used before, so that no row is written, and the call must not be answered.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::WriterBehind`]; the call must then not be answered.
    pub async fn record_audit_once(&self, claim: NonceClaim, event: AuditEvent) -> Result<bool, StoreError> {
        self.leave(Some(claim), vec![event]).await
    }

    /// Claims a nonce; committed when it returns. `false`: it was claimed before and has not expired.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::WriterBehind`]; the call must then be refused.
    pub async fn claim_nonce(&self, claim: NonceClaim) -> Result<bool, StoreError> {
        self.leave(Some(claim), Vec::new()).await
    }

    /// Whether the writer has been at one group for longer than a call waits for it, so that calls are refused.
    #[must_use]
    pub fn writer_stands_still(&self) -> bool {
        lock(&self.inner.groups.writing_since).is_some_and(|since| since.elapsed() > PATIENCE)
    }

    async fn leave(&self, claim: Option<NonceClaim>, events: Vec<AuditEvent>) -> Result<bool, StoreError> {
        match tokio::time::timeout(PATIENCE, self.enqueue(claim, events)?).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(StoreError::Stopping),
            Err(_) => Err(StoreError::WriterBehind { why: "did not come to this call in time" }),
        }
    }

    fn enqueue(&self, claim: Option<NonceClaim>, events: Vec<AuditEvent>) -> Result<Outcome, StoreError> {
        let (sender, outcome) = oneshot::channel();
        let waiting = Waiting { claim, events, outcome: sender, store: Arc::clone(&self.inner) };
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
async fn write(group: Vec<Waiting>) {
    let Some(store) = group.first().map(|waiting| Arc::clone(&waiting.store)) else { return };
    let mut parts = vec![group];
    while let Some(mut part) = parts.pop() {
        match store.write_group(&part).await {
            Ok(fresh) => {
                for (waiting, fresh) in part.into_iter().zip(fresh) {
                    waiting.tell(Ok(fresh));
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

impl Waiting {
    /// The caller may have given up, which changes nothing.
    fn tell(self, outcome: Result<bool, StoreError>) {
        let _ = self.outcome.send(outcome);
    }
}

impl Inner {
    /// Commits a group, and returns for each call whether it was its first use.
    async fn write_group(&self, group: &[Waiting]) -> Result<Vec<bool>, StoreError> {
        begun_anew(&self.connections, || self.write_group_once(group)).await
    }

    async fn write_group_once(&self, group: &[Waiting]) -> Result<Vec<bool>, StoreError> {
        let transaction = self.connections.begin_group().await?;
        // Before the chain is taken: a claim may wait for another replica's, and changes need not wait with it.
        let claims: Vec<_> = group.iter().filter_map(|waiting| waiting.claim.as_ref()).collect();
        let mut claimed = nonce_rows::claim_all(&transaction, &claims).await?;
        // Of equal claims of one group the first one has it.
        let fresh =
            |waiting: &Waiting| waiting.claim.as_ref().is_none_or(|claim| claimed.remove(&claim.hash));
        let fresh: Vec<bool> = group.iter().map(fresh).collect();
        let events: Vec<&AuditEvent> = group
            .iter()
            .zip(&fresh)
            .filter(|(_, fresh)| **fresh)
            .flat_map(|(waiting, _)| &waiting.events)
            .collect();
        if events.is_empty() {
            transaction.commit().await.map_err(StoreError::at("commit"))?;
        } else {
            self.audit.append_and_commit(transaction, events).await?;
        }
        Ok(fresh)
    }

    fn blames_a_row(&self, error: &StoreError) -> bool {
        match error {
            StoreError::Unavailable { source, .. } => self.connections.dialect().blames_a_row(source),
            _ => false,
        }
    }
}
