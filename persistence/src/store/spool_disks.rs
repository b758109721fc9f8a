//! What agents say of the disks of their spools.

use domain::AgentId;
use domain::actions::{ListsAgents, WritesAgent};
use domain::gate::Granted;
use domain::spool_disk::SpoolDisk;

use super::{Revision, Scope, Store};
use crate::StoreError;
use crate::rows::{agent_rows, spool_disk_rows};

impl Store {
    /// Notes what an agent of the grant's instance says of the disk of its spool.
    ///
    /// # Errors
    /// [`StoreError::OutsideGrant`], [`StoreError::Unavailable`].
    pub async fn note_spool_disk<A: WritesAgent>(
        &self,
        granted: &Granted<A>,
        disk: SpoolDisk,
    ) -> Result<(), StoreError> {
        let scope = Scope::of(granted);
        let account = scope.account.clone();
        self.transact(account.clone(), Revision::Kept, None, move |transaction| {
            Box::pin(async move {
                let agent = agent_rows::find(transaction, &disk.agent).await?;
                let agent = agent.ok_or(StoreError::NotFound { what: "agent" })?;
                scope.admits("agent", &agent.account, &agent.instance)?;
                spool_disk_rows::put(transaction, &account, &disk).await
            })
        })
        .await
    }

    /// What these agents, which the same grant lists, have said of the disks of their spools.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn spool_disks<A: ListsAgents>(
        &self,
        granted: &Granted<A>,
        agents: &[&AgentId],
    ) -> Result<Vec<SpoolDisk>, StoreError> {
        let Scope { account, .. } = Scope::of(granted);
        spool_disk_rows::of_agents(self.inner.connections.reader(), &account, agents).await
    }
}
