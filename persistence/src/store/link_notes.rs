//! What the holder of a link notes at each ping: that the agent was heard, and that the lease goes on. A replica has
//! thousands of links, and a commit for each of them would leave no room for calls: what comes within a moment is
//! committed together.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use domain::actions::WritesAgent;
use domain::agent::Agent;
use domain::agent_link::ReplicaId;
use domain::gate::Granted;
use domain::{AccountId, AgentId, Timestamp};
use tokio::sync::{mpsc, oneshot};

use super::{Inner, Scope, Store};
use crate::StoreError;
use crate::rows::{agent_link_rows, agent_rows};

/// How long notes are gathered. Nobody waits for one but the link itself, whose lease lasts much longer.
const GATHER: Duration = Duration::from_millis(200);
/// The most notes of one transaction, which names all their agents in one statement.
const MOST: usize = 1_000;
/// How many may wait; those beyond wait for room.
const MOST_WAITING: usize = 16_384;

/// The lease that a link goes on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkLease {
    /// The replica that holds it.
    pub replica: ReplicaId,
    /// Its number.
    pub epoch: u64,
    /// Until when it is to last.
    pub expires_at: Timestamp,
}

/// What became of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkNoted {
    /// It goes on.
    GoesOn,
    /// Another link of the agent has the lease.
    Superseded,
    /// The agent was replaced or removed.
    Retired,
}

/// The way to the task that writes.
pub(super) struct LinkNotes(mpsc::Sender<Waiting>);

struct Waiting {
    agent: AgentId,
    account: AccountId,
    heard_at: Timestamp,
    lease: Option<LinkLease>,
    outcome: oneshot::Sender<Result<LinkNoted, StoreError>>,
    /// Also keeps the store until this is written.
    store: Arc<Inner>,
}

impl LinkNotes {
    /// Starts the task, which ends with the store.
    pub(super) fn start() -> Self {
        let (waiting, mut receiver) = mpsc::channel(MOST_WAITING);
        tokio::spawn(async move {
            let mut group: Vec<Waiting> = Vec::new();
            while let Some(first) = receiver.recv().await {
                group.push(first);
                tokio::time::sleep(GATHER).await;
                while group.len() < MOST
                    && let Ok(next) = receiver.try_recv()
                {
                    group.push(next);
                }
                // In a task of its own, so that a panic costs this group and not those that follow.
                if let Err(ended) = tokio::spawn(write(std::mem::take(&mut group))).await {
                    tracing::error!(
                        error = &ended as &dyn std::error::Error,
                        "notes of links were not written"
                    );
                }
            }
        });
        Self(waiting)
    }
}

impl Store {
    /// Notes that an agent of the grant's instance was heard at this moment, and that its link's lease goes on, if it has
    /// one. What is noted of other links within a moment is committed with it.
    ///
    /// # Errors
    /// [`StoreError::OutsideGrant`], [`StoreError::CorruptRow`], [`StoreError::Unavailable`], [`StoreError::Stopping`].
    pub async fn note_link<A: WritesAgent>(
        &self,
        granted: &Granted<A>,
        agent: &Agent,
        heard_at: Timestamp,
        lease: Option<LinkLease>,
    ) -> Result<LinkNoted, StoreError> {
        Scope::of(granted).admits("agent", &agent.account, &agent.instance)?;
        let (outcome, told) = oneshot::channel();
        let (account, store) = (agent.account.clone(), Arc::clone(&self.inner));
        let waiting = Waiting { agent: agent.id.clone(), account, heard_at, lease, outcome, store };
        self.inner.link_notes.0.send(waiting).await.map_err(|_| StoreError::Stopping)?;
        told.await.unwrap_or(Err(StoreError::Stopping))
    }
}

async fn write(group: Vec<Waiting>) {
    let Some(inner) = group.first().map(|waiting| Arc::clone(&waiting.store)) else { return };
    match (Store { inner, held: None }).note_links(&group).await {
        Ok(noted) => {
            for (waiting, noted) in group.into_iter().zip(noted) {
                // The link may have ended, which changes nothing.
                let _ = waiting.outcome.send(Ok(noted));
            }
        }
        Err(error) => {
            for waiting in group {
                let _ = waiting.outcome.send(Err(error.for_another()));
            }
        }
    }
}

impl Store {
    /// In the transaction of a group of calls: what a link notes is one change more of those that agents make.
    async fn note_links(&self, group: &[Waiting]) -> Result<Vec<LinkNoted>, StoreError> {
        // In one order, so that replicas that write the same rows do not wait for each other in a circle.
        let agents: BTreeSet<&str> = group.iter().map(|waiting| waiting.agent.as_str()).collect();
        let agents: Vec<String> = agents.into_iter().map(str::to_owned).collect();
        // Of the moments of a group the first: none of the agents is said to be heard later than it was.
        let Some(heard_at) = group.iter().map(|waiting| waiting.heard_at).min() else {
            return Ok(Vec::new());
        };
        let mut leases = HashMap::<ReplicaId, (Timestamp, BTreeSet<String>)>::new();
        for waiting in group {
            if let Some(LinkLease { replica, expires_at, .. }) = &waiting.lease {
                let (until, of) = leases.entry(replica.clone()).or_insert((*expires_at, BTreeSet::new()));
                *until = (*until).min(*expires_at);
                of.insert(waiting.agent.as_str().to_owned());
            }
        }
        // Whichever: no row of an account is touched.
        let Some(account) = group.first().map(|waiting| waiting.account.clone()) else {
            return Ok(Vec::new());
        };
        let locks = agents.first().cloned().unwrap_or_default();
        let noting = self.transact_in_group_unhurried(account, locks, move |transaction| {
            Box::pin(async move {
                let agents: Vec<&str> = agents.iter().map(String::as_str).collect();
                agent_rows::mark_all_seen(transaction, &agents, heard_at).await?;
                for (replica, (until, of)) in &leases {
                    let of: Vec<&str> = of.iter().map(String::as_str).collect();
                    agent_link_rows::extend_all(transaction, replica, &of, *until).await?;
                }
                let present = agent_rows::present_of(transaction, &agents).await?;
                let holders = agent_link_rows::holders_of(transaction, &agents).await?;
                Ok((present, holders))
            })
        });
        let (present, holders) = noting.await?;
        let noted = group.iter().map(|Waiting { agent, lease, .. }| {
            if !present.contains(agent.as_str()) {
                return LinkNoted::Retired;
            }
            match lease {
                Some(LinkLease { replica, epoch, .. })
                    if holders.get(agent.as_str()) != Some(&(replica.clone(), *epoch)) =>
                {
                    LinkNoted::Superseded
                }
                _ => LinkNoted::GoesOn,
            }
        });
        Ok(noted.collect())
    }
}
