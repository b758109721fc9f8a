//! Reading agents, and noting that one was heard.

use domain::agent::Capability;
use domain::actions::{ListsAgents, WritesAgent};
use domain::gate::Granted;
use domain::{AgentId, Timestamp};

use super::Store;
use crate::{AgentPage, PageRequest, StoreError};

impl Store {
    /// A part of the list of the agents that have not been replaced, the latest to join first.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`].
    pub async fn list_agents<A: ListsAgents>(&self, granted: &Granted<A>, page: PageRequest) -> Result<AgentPage, StoreError> {
        todo!()
    }

    /// Notes that an agent of the grant's instance was heard. Cheap to call often: the row is written at most once
    /// in five seconds.
    pub async fn mark_agent_seen<A: WritesAgent>(&self, granted: &Granted<A>, agent: &AgentId, at: Timestamp) -> Result<(), StoreError> {
        todo!()
    }

    /// Notes what an agent of the grant's instance says about itself when it greets.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn describe_agent<A: WritesAgent>(&self, granted: &Granted<A>, agent: &AgentId, version: &str, capabilities: &[Capability], at: Timestamp) -> Result<(), StoreError> {
        todo!()
    }
}
