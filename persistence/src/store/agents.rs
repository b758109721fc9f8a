//! Reading agents, and noting when one was heard.

use domain::actions::{ListsAgents, RemovesAgent, WritesAgent};
use domain::agent::{Agent, AgentRemoved, Capability, JoinTokenSecret, Retired};
use domain::agent_link::AgentLink;
use domain::audit::AuditEvent;
use domain::gate::Granted;
use domain::{AgentId, Timestamp};
use sea_orm::ConnectionTrait;

use super::begun_anew::begun_anew;
use super::{Revision, Scope, Store};
use crate::pages::{Cursor, Slice, next_token};
use crate::rows::agent_rows::Which;
use crate::rows::{agent_link_rows, agent_rows, join_token_rows, recording_list_rows};
use crate::{AgentPage, PageRequest, StoreError};

/// The shortest time between two writes of an agent's row only because it was heard.
const SEEN_AT_MOST_EVERY_MILLIS: i64 = 5_000;

/// An agent that was removed, and what its removal ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedAgent {
    /// The agent.
    pub agent: Agent,
    /// How many recordings it ended.
    pub recordings_ended: u64,
    /// Who held its link.
    pub link: Option<AgentLink>,
}

impl Store {
    /// Removes the agent of the grant's instance, or only the one that is named: from now on its requests are refused,
    /// and the recordings that it holds and that are not sealed have ended. Its row stays, with the key of the recordings that it has
    /// sealed. The audit row says which agent it was, and how many recordings ended.
    ///
    /// # Errors
    /// [`StoreError::NoSuchAgent`]; [`StoreError::OutsideGrant`].
    pub async fn remove_agent<A: RemovesAgent>(
        &self,
        granted: &Granted<A>,
        named: Option<&AgentId>,
        now: Timestamp,
        audit: AuditEvent,
    ) -> Result<RemovedAgent, StoreError> {
        let Scope { account, instance, .. } = Scope::of(granted);
        let instance = instance.ok_or(StoreError::OutsideGrant { what: "agent" })?;
        let (owner, named) = (account, named.cloned());
        let audit = move |removed: &RemovedAgent| {
            let ended = format!("{} recordings ended", removed.recordings_ended);
            vec![audit.clone().with_more(removed.agent.id.as_str()).with_more(&ended)]
        };
        self.transact_telling(granted, Revision::Bumped, audit, move |transaction| {
            Box::pin(async move {
                // Whatever the agent may still write takes this lock, or that of a recording that is closed below.
                let present = agent_rows::find_present_locked(transaction, &owner, &instance).await?;
                let removed = AgentRemoved::decide(present, named.as_ref(), now)?;
                let at = removed.at;
                agent_rows::retire(transaction, &owner, &instance, Retired::Removed { at }).await?;
                let recordings_ended = recording_list_rows::close(transaction, &owner, &removed).await?;
                let agent = removed.agent;
                let link = agent_link_rows::find(transaction, &owner, &agent.id).await?;
                let link = link.filter(|link| link.expires_at > at);
                Ok(RemovedAgent { agent, recordings_ended, link })
            })
        })
        .await
    }

    /// A part of the list of the agents that have been neither replaced nor removed, the latest to join first.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`].
    pub async fn list_agents<A: ListsAgents>(
        &self,
        granted: &Granted<A>,
        page: PageRequest,
    ) -> Result<AgentPage, StoreError> {
        self.list_which(granted, Which::Present, page).await
    }

    /// A part of the list of all agents that ever joined, the latest to join first: what a replaced or removed
    /// agent sealed while it was enrolled is still attributed to it.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`].
    pub async fn list_agents_ever<A: ListsAgents>(
        &self,
        granted: &Granted<A>,
        page: PageRequest,
    ) -> Result<AgentPage, StoreError> {
        self.list_which(granted, Which::Ever, page).await
    }

    async fn list_which<A: ListsAgents>(
        &self,
        granted: &Granted<A>,
        which: Which,
        page: PageRequest,
    ) -> Result<AgentPage, StoreError> {
        let Scope { account, instance, .. } = Scope::of(granted);
        let scope = granted.list_scope().ok_or(StoreError::OutsideGrant { what: "list" })?;
        let of_instance = instance.as_ref().map_or("*", |instance| instance.as_str());
        let question = match which {
            Which::Present => format!("agents {account} {of_instance}"),
            Which::Ever => format!("agents ever {account} {of_instance}"),
        };
        let slice = Slice::of(&page, &question)?;
        let snapshot = self.inner.connections.begin_snapshot().await?;
        let mut agents =
            agent_rows::list(&snapshot, &account, instance.as_ref(), which, scope, &slice).await?;
        let total_count = agent_rows::count(&snapshot, &account, instance.as_ref(), which, scope).await?;
        snapshot.end().await?;
        let more = slice.cut(&mut agents);
        let next_token = agents.last().filter(|_| more).map(|last| {
            let cursor = Cursor { at: last.enrolled_at.as_millis(), id: last.id.to_string() };
            next_token(&question, &cursor)
        });
        Ok(AgentPage { agents, total_count, next_token })
    }

    /// Notes that an agent of the grant's instance was heard. Cheap to call often: the row is written at most once
    /// in five seconds.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn mark_agent_seen<A: WritesAgent>(
        &self,
        granted: &Granted<A>,
        agent: &AgentId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let scope = Scope::of(granted);
        let connections = &self.inner.connections;
        begun_anew(connections, || note_heard(connections.writer(), &scope, agent, at)).await
    }

    /// Notes what an agent of the grant's instance states about itself when it connects.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn describe_agent<A: WritesAgent>(
        &self,
        granted: &Granted<A>,
        agent: &AgentId,
        version: &str,
        capabilities: &[Capability],
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let Scope { account, instance, .. } = Scope::of(granted);
        let (owner, agent) = (account.clone(), agent.clone());
        let (version, capabilities) = (version.to_owned(), capabilities.to_vec());
        self.transact(account, Revision::Kept, None, move |transaction| {
            Box::pin(async move {
                let instance = instance.as_ref();
                agent_rows::describe(transaction, &owner, instance, &agent, &version, &capabilities, at).await
            })
        })
        .await
    }

    /// The agent of the grant's instance that was enrolled with this join token, even if it has been replaced or removed
    /// since.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn find_agent_enrolled_with<A: WritesAgent>(
        &self,
        granted: &Granted<A>,
        presented: &JoinTokenSecret,
    ) -> Result<Option<Agent>, StoreError> {
        let reader = self.inner.connections.reader();
        let token = join_token_rows::find(reader, presented.hash()).await?;
        let Some(id) = token.and_then(|token| token.used_by) else { return Ok(None) };
        let (scope, agent) = (Scope::of(granted), agent_rows::find(reader, &id).await?);
        Ok(agent.filter(|agent| scope.admits("agent", &agent.account, &agent.instance).is_ok()))
    }
}

/// Notes that an agent within this scope was heard.
pub(super) async fn note_heard(
    connection: &impl ConnectionTrait,
    scope: &Scope,
    agent: &AgentId,
    at: Timestamp,
) -> Result<(), StoreError> {
    let (account, instance) = (&scope.account, scope.instance.as_ref());
    agent_rows::mark_seen(connection, account, instance, agent, at, SEEN_AT_MOST_EVERY_MILLIS).await
}

/// An agent that was heard last at this moment, or before, is noted to be heard again.
pub(super) fn seen_before(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_millis().saturating_sub(SEEN_AT_MOST_EVERY_MILLIS))
}
