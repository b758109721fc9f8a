//! What agents report about the recordings that wait in their spools.

use domain::AgentId;
use domain::actions::{Action, ListAgents, ListInstanceRecords, WritesAgent};
use domain::gate::Granted;
use domain::waiting::WaitingRecordings;

use super::{Revision, Scope, Store};
use crate::StoreError;
use crate::rows::waiting_rows;

/// Permission to see what waits in the spools of agents.
pub trait ListsWaiting: Action {}

impl ListsWaiting for ListAgents {}
impl ListsWaiting for ListInstanceRecords {}

impl Store {
    /// Notes what an agent of the grant's instance reports about the recordings that wait in its spool.
    ///
    /// # Errors
    /// [`StoreError::OutsideGrant`], [`StoreError::Unavailable`].
    pub async fn note_waiting<A: WritesAgent>(
        &self,
        granted: &Granted<A>,
        agent: &AgentId,
        waiting: Option<WaitingRecordings>,
    ) -> Result<(), StoreError> {
        let scope = Scope::of(granted);
        let (account, agent) = (scope.account.clone(), agent.clone());
        if let Some(waiting) = &waiting {
            scope.admits("agent", &account, &waiting.instance)?;
        }
        self.transact(account.clone(), Revision::Kept, None, move |transaction| {
            Box::pin(async move {
                match waiting {
                    Some(waiting) => waiting_rows::put(transaction, &account, &waiting).await,
                    None => waiting_rows::remove(transaction, &account, &agent).await,
                }
            })
        })
        .await
    }

    /// The agents with waiting recordings in their spools, by instance, for the instances all of whose recordings the
    /// grant shows.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn all_waiting<A: ListsWaiting>(
        &self,
        granted: &Granted<A>,
    ) -> Result<Vec<WaitingRecordings>, StoreError> {
        let Scope { account, instance, .. } = Scope::of(granted);
        let scope = granted.list_scope().ok_or(StoreError::OutsideGrant { what: "list" })?;
        waiting_rows::list(self.inner.connections.reader(), &account, instance.as_ref(), scope).await
    }
}
