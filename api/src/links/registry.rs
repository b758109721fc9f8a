//! The live links: which agents are connected to this replica, and how one of them is closed.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::agent::Agent;
use domain::{AccountId, AgentId, InstanceId};
use tokio::sync::watch;

/// Why this side closes a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkClosed {
    /// The agent opened another one.
    Superseded,
    /// Another agent was enrolled for the instance.
    Replaced,
    /// The control plane stops.
    Stopping,
}

/// The agents that are connected to this replica.
#[derive(Debug, Default)]
pub(crate) struct Links(Mutex<Registry>);

#[derive(Debug, Default)]
struct Registry {
    live: HashMap<AgentId, LiveLink>,
    opened: u64,
    stopping: bool,
}

#[derive(Debug)]
struct LiveLink {
    number: u64,
    account: AccountId,
    instance: InstanceId,
    closing: watch::Sender<Option<LinkClosed>>,
}

/// One live link. Dropping it takes the link out of the registry.
#[derive(Debug)]
pub(crate) struct OpenLink<'a> {
    links: &'a Links,
    agent: AgentId,
    number: u64,
    closing: watch::Receiver<Option<LinkClosed>>,
}

impl Links {
    /// Registers a link. An older one of the same agent is closed: an agent that redials after its network changed
    /// must not wait until the old link is found dead.
    pub(crate) fn open(&self, agent: &Agent) -> OpenLink<'_> {
        let mut registry = self.lock();
        registry.opened += 1;
        let number = registry.opened;
        let (closing, closed) = watch::channel(registry.stopping.then_some(LinkClosed::Stopping));
        let link =
            LiveLink { number, account: agent.account.clone(), instance: agent.instance.clone(), closing };
        if let Some(older) = registry.live.insert(agent.id.clone(), link) {
            older.closing.send_replace(Some(LinkClosed::Superseded));
        }
        OpenLink { links: self, agent: agent.id.clone(), number, closing: closed }
    }

    /// Whether the agent is connected to this replica now.
    pub(crate) fn is_connected(&self, agent: &AgentId) -> bool {
        self.lock().live.contains_key(agent)
    }

    /// Closes the links of the agents whose place `newcomer` took.
    pub(crate) fn close_replaced(&self, newcomer: &Agent) {
        for (agent, link) in &self.lock().live {
            if *agent != newcomer.id && link.account == newcomer.account && link.instance == newcomer.instance
            {
                link.closing.send_replace(Some(LinkClosed::Replaced));
            }
        }
    }

    /// Closes every link, and every one that still comes.
    pub(crate) fn stop(&self) {
        let mut registry = self.lock();
        registry.stopping = true;
        for link in registry.live.values() {
            link.closing.send_replace(Some(LinkClosed::Stopping));
        }
    }

    // Nothing is left half-done under the lock, so a panic elsewhere does not spoil the registry.
    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenLink<'_> {
    /// Waits until this side wants the link closed.
    pub(crate) async fn closed(&mut self) -> LinkClosed {
        match self.closing.wait_for(Option::is_some).await {
            Ok(why) => why.unwrap_or(LinkClosed::Superseded),
            // The sender lives in the registry until this link leaves it or a newer one takes its place.
            Err(_) => LinkClosed::Superseded,
        }
    }
}

impl Drop for OpenLink<'_> {
    fn drop(&mut self) {
        let mut registry = self.links.lock();
        if registry.live.get(&self.agent).is_some_and(|link| link.number == self.number) {
            registry.live.remove(&self.agent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(instance: &str) -> Agent {
        Agent {
            id: AgentId::generate(),
            account: "1000000000000001".parse().unwrap(),
            instance: instance.parse().unwrap(),
            region: "cn-hangzhou".parse().unwrap(),
            authentication_key: vec![1; 32],
            sealing_key: vec![2; 32],
            hostname: String::new(),
            version: String::new(),
            capabilities: vec![],
            enrolled_at: domain::Timestamp::from_millis(0),
            last_seen_at: domain::Timestamp::from_millis(0),
            replaced_at: None,
        }
    }

    #[tokio::test]
    async fn a_newer_link_closes_the_older_and_outlives_it() {
        let links = Links::default();
        let agent = agent("i-one");
        assert!(!links.is_connected(&agent.id));
        let mut older = links.open(&agent);
        let newer = links.open(&agent);
        assert_eq!(older.closed().await, LinkClosed::Superseded);
        drop(older);
        assert!(links.is_connected(&agent.id), "the older link's end must not hide the newer one");
        drop(newer);
        assert!(!links.is_connected(&agent.id));
    }

    #[tokio::test]
    async fn a_newcomer_closes_the_links_of_its_own_instance_only() {
        let links = Links::default();
        let (replaced, other, newcomer) = (agent("i-one"), agent("i-two"), agent("i-one"));
        let mut link = links.open(&replaced);
        let other_link = links.open(&other);
        let new_link = links.open(&newcomer);
        links.close_replaced(&newcomer);
        assert_eq!(link.closed().await, LinkClosed::Replaced);
        assert_eq!(*other_link.closing.borrow(), None);
        assert_eq!(*new_link.closing.borrow(), None);
    }

    #[tokio::test]
    async fn stopping_closes_what_is_open_and_what_still_comes() {
        let links = Links::default();
        let mut open = links.open(&agent("i-one"));
        links.stop();
        assert_eq!(open.closed().await, LinkClosed::Stopping);
        assert_eq!(links.open(&agent("i-two")).closed().await, LinkClosed::Stopping);
    }
}
