//! The lease on an agent's link: which replica holds it, so that every replica can reach the agent.
//!
//! Which replica holds a lease is decided by reading the row again, and never by how many rows a statement changed,
//! because databases count those differently.

use domain::actions::{ReachesAgents, WritesAgent};
use domain::agent::Agent;
use domain::agent_link::{AgentLink, ReplicaId};
use domain::gate::Granted;
use domain::{AgentId, Timestamp};

use super::{Revision, Scope, Store};
use crate::StoreError;
use crate::rows::{agent_link_rows, agent_rows};

/// A replica that takes over an agent's link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkTaken {
    /// The replica.
    pub replica: ReplicaId,
    /// The address at which other replicas reach it.
    pub internal_address: Option<String>,
    /// When the lease expires unless it is renewed.
    pub expires_at: Timestamp,
}

impl Store {
    /// Takes over the link of an agent of the grant's instance from its present holder, and returns the epoch of the new
    /// lease.
    ///
    /// # Errors
    /// [`StoreError::OutsideGrant`], [`StoreError::NotFound`], [`StoreError::AgentRetired`], [`StoreError::Unavailable`].
    pub async fn take_agent_link<A: WritesAgent>(
        &self,
        granted: &Granted<A>,
        agent: &Agent,
        taken: LinkTaken,
    ) -> Result<u64, StoreError> {
        let scope = Scope::of(granted);
        scope.admits("agent", &agent.account, &agent.instance)?;
        let (account, instance, id) = (agent.account.clone(), agent.instance.clone(), agent.id.clone());
        self.transact(scope.account, Revision::Kept, None, move |transaction| {
            Box::pin(async move {
                // Replicas that take the same agent's link take turns, even where there is no row for it yet.
                agent_rows::lock(transaction, &account, &id).await?;
                let before = agent_link_rows::find(transaction, &account, &id).await?;
                let epoch = before.as_ref().map_or(1, |before| before.epoch + 1);
                let LinkTaken { replica, internal_address, expires_at } = taken;
                let link =
                    AgentLink { agent: id, account, instance, replica, internal_address, epoch, expires_at };
                agent_link_rows::put(transaction, &link, before.is_none()).await?;
                Ok(epoch)
            })
        })
        .await
    }

    /// Extends a lease until this moment; `false` when another replica has taken it over. A moment in the past gives it
    /// back.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn renew_agent_link<A: WritesAgent>(
        &self,
        granted: &Granted<A>,
        agent: &AgentId,
        replica: &ReplicaId,
        epoch: u64,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let account = Scope::of(granted).account;
        let (agent, replica) = (agent.clone(), replica.clone());
        self.transact(account.clone(), Revision::Kept, None, move |transaction| {
            Box::pin(async move {
                agent_link_rows::set_end(transaction, &account, &agent, &replica, epoch, expires_at).await?;
                let link = agent_link_rows::find(transaction, &account, &agent).await?;
                Ok(link.is_some_and(|link| link.replica == replica && link.epoch == epoch))
            })
        })
        .await
    }

    /// The holder of the link of an agent that the grant admits; `None` when there is no holder, or the agent was
    /// replaced or removed.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::OutsideGrant`], [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn find_agent_link<A: ReachesAgents>(
        &self,
        granted: &Granted<A>,
        agent: &AgentId,
        now: Timestamp,
    ) -> Result<Option<AgentLink>, StoreError> {
        let reader = self.inner.connections.reader();
        let found = agent_rows::find(reader, agent).await?.ok_or(StoreError::NotFound { what: "agent" })?;
        Scope::of(granted).admits("agent", &found.account, &found.instance)?;
        if found.retired.is_some() {
            return Ok(None);
        }
        let link = agent_link_rows::find(reader, &found.account, agent).await?;
        Ok(link.filter(|link| link.expires_at > now))
    }

    /// The holders of the links of the agents that this agent, of the grant's instance, has replaced.
    ///
    /// # Errors
    /// [`StoreError::OutsideGrant`], [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn links_replaced_by<A: WritesAgent>(
        &self,
        granted: &Granted<A>,
        newcomer: &Agent,
        now: Timestamp,
    ) -> Result<Vec<AgentLink>, StoreError> {
        Scope::of(granted).admits("agent", &newcomer.account, &newcomer.instance)?;
        let reader = self.inner.connections.reader();
        let mut links =
            agent_link_rows::of_instance(reader, &newcomer.account, &newcomer.instance, now).await?;
        links.retain(|link| link.agent != newcomer.id);
        Ok(links)
    }
}
