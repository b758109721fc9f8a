//! The live links: which agents are connected to this replica, what is sent over their links, and how one of them is
//! closed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agent_protocol::bus::ChannelId;
use agent_protocol::link::ServerMessage;
use domain::agent::Agent;
use domain::{AccountId, AgentId, InstanceId};
use tokio::sync::{mpsc, watch};

use super::NotReached;
use super::relay::{Attachment, NotAttached, Relay};

/// How many messages may wait to be written to one link.
const MOST_UNSENT: usize = 16;

/// Why this side closes a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkClosed {
    /// The agent opened another one.
    Superseded,
    /// Another agent was enrolled for the instance, or the agent was removed.
    Retired,
    /// The control plane stops.
    Stopping,
}

/// What this side wants of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LinkEvent {
    /// Send this message to the agent.
    Say(ServerMessage),
    /// Close it.
    Close(LinkClosed),
}

/// The agents that are connected to this replica.
#[derive(Debug, Default)]
pub(crate) struct Registry(Mutex<State>);

#[derive(Debug, Default)]
struct State {
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
    relay: Arc<Relay>,
    messages: mpsc::Sender<ServerMessage>,
    /// The lease under which this replica holds it; nothing before it was taken.
    epoch: Option<u64>,
    knows_channels: bool,
}

/// One live link. Dropping it takes the link out of the registry.
#[derive(Debug)]
pub(crate) struct OpenLink<'a> {
    registry: &'a Registry,
    agent: AgentId,
    number: u64,
    closing: watch::Receiver<Option<LinkClosed>>,
    relay: Arc<Relay>,
    messages: mpsc::Receiver<ServerMessage>,
}

impl Registry {
    /// Registers a link. An older one of the same agent is closed: an agent that redials after its network changed
    /// must not wait until the old link is found dead.
    pub(crate) fn open(&self, agent: &Agent) -> OpenLink<'_> {
        let relay = Arc::<Relay>::default();
        let (messages, unsent) = mpsc::channel(MOST_UNSENT);
        let mut state = self.lock();
        state.opened += 1;
        let number = state.opened;
        let (closing, closed) = watch::channel(state.stopping.then_some(LinkClosed::Stopping));
        let link = LiveLink {
            number,
            account: agent.account.clone(),
            instance: agent.instance.clone(),
            closing,
            relay: Arc::clone(&relay),
            messages,
            epoch: None,
            knows_channels: false,
        };
        if let Some(older) = state.live.insert(agent.id.clone(), link) {
            older.closing.send_replace(Some(LinkClosed::Superseded));
            // Channels on it continue over the newer link at once.
            older.relay.end();
        }
        let agent = agent.id.clone();
        OpenLink { registry: self, agent, number, closing: closed, relay, messages: unsent }
    }

    /// Under which lease this replica holds the agent's link, if it does.
    pub(crate) fn epoch_of(&self, agent: &AgentId) -> Option<u64> {
        self.lock().live.get(agent)?.epoch
    }

    /// Attaches a channel to the link that is held under this lease.
    pub(crate) fn attach(
        &self,
        agent: &AgentId,
        epoch: u64,
        channel: ChannelId,
    ) -> Result<Attachment, NotReached> {
        let relay = self.with_link(agent, epoch, |link| {
            if link.knows_channels { Ok(Arc::clone(&link.relay)) } else { Err(NotReached::NoChannels) }
        })?;
        relay.attach(channel).map_err(|why| match why {
            NotAttached::LinkIsOver => NotReached::NotConnected,
            NotAttached::TooManyChannels => NotReached::TooManyChannels,
        })
    }

    /// Gives a message to the link that is held under this lease.
    pub(crate) fn send(&self, agent: &AgentId, epoch: u64, message: ServerMessage) -> Result<(), NotReached> {
        self.with_link(agent, epoch, |link| {
            link.messages.try_send(message).map_err(|refused| match refused {
                mpsc::error::TrySendError::Full(_) => NotReached::Busy,
                mpsc::error::TrySendError::Closed(_) => NotReached::NotConnected,
            })
        })
    }

    /// Closes the link that is held under this lease, because its agent was replaced or removed.
    pub(crate) fn close(&self, agent: &AgentId, epoch: u64) -> Result<(), NotReached> {
        self.with_link(agent, epoch, |link| {
            link.closing.send_replace(Some(LinkClosed::Retired));
            Ok(())
        })
    }

    fn with_link<T>(
        &self,
        agent: &AgentId,
        epoch: u64,
        then: impl FnOnce(&LiveLink) -> Result<T, NotReached>,
    ) -> Result<T, NotReached> {
        let state = self.lock();
        let link = state.live.get(agent).filter(|link| link.epoch == Some(epoch));
        then(link.ok_or(NotReached::NotConnected)?)
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
                link.closing.send_replace(Some(LinkClosed::Retired));
            }
        }
    }

    /// Closes the link of an agent that was removed.
    pub(crate) fn close_removed(&self, agent: &AgentId) {
        if let Some(link) = self.lock().live.get(agent) {
            link.closing.send_replace(Some(LinkClosed::Retired));
        }
    }

    /// Closes every link, and every later one.
    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        state.stopping = true;
        for link in state.live.values() {
            link.closing.send_replace(Some(LinkClosed::Stopping));
        }
    }

    // No change under the lock is left incomplete, so a panic elsewhere does not corrupt the registry.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenLink<'_> {
    /// The channels on it.
    pub(crate) fn relay(&self) -> &Arc<Relay> {
        &self.relay
    }

    /// This replica holds it under this lease now; the agent has said whether it knows channels.
    pub(crate) fn is_held(&self, epoch: u64, knows_channels: bool) {
        let mut state = self.registry.lock();
        if let Some(link) = state.live.get_mut(&self.agent).filter(|link| link.number == self.number) {
            link.epoch = Some(epoch);
            link.knows_channels = knows_channels;
        }
    }

    /// Waits until this side wants something of the link. Cancelling it loses nothing.
    pub(crate) async fn event(&mut self) -> LinkEvent {
        tokio::select! {
            biased;
            why = self.closing.wait_for(Option::is_some) => LinkEvent::Close(match why {
                Ok(why) => why.unwrap_or(LinkClosed::Superseded),
                // The sender lives in the registry until this link leaves it or a newer one takes its place.
                Err(_) => LinkClosed::Superseded,
            }),
            // None comes after its sender left the registry, as the other sender did.
            Some(message) = self.messages.recv() => LinkEvent::Say(message),
        }
    }
}

impl Drop for OpenLink<'_> {
    fn drop(&mut self) {
        {
            let mut state = self.registry.lock();
            if state.live.get(&self.agent).is_some_and(|link| link.number == self.number) {
                state.live.remove(&self.agent);
            }
        }
        self.relay.end();
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
            retired: None,
        }
    }

    #[tokio::test]
    async fn a_newer_link_closes_the_older_and_outlives_it() {
        let links = Registry::default();
        let agent = agent("i-one");
        assert!(!links.is_connected(&agent.id));
        let mut older = links.open(&agent);
        let newer = links.open(&agent);
        assert_eq!(older.event().await, LinkEvent::Close(LinkClosed::Superseded));
        drop(older);
        assert!(links.is_connected(&agent.id), "the older link's end must not hide the newer one");
        drop(newer);
        assert!(!links.is_connected(&agent.id));
    }

    #[tokio::test]
    async fn a_newcomer_closes_the_links_of_its_own_instance_only() {
        let links = Registry::default();
        let (replaced, other, newcomer) = (agent("i-one"), agent("i-two"), agent("i-one"));
        let mut link = links.open(&replaced);
        let other_link = links.open(&other);
        let new_link = links.open(&newcomer);
        links.close_replaced(&newcomer);
        assert_eq!(link.event().await, LinkEvent::Close(LinkClosed::Retired));
        assert_eq!(*other_link.closing.borrow(), None);
        assert_eq!(*new_link.closing.borrow(), None);
    }

    #[tokio::test]
    async fn the_removal_of_an_agent_closes_its_own_link_only() {
        let links = Registry::default();
        let (removed, other) = (agent("i-one"), agent("i-two"));
        let (mut link, other_link) = (links.open(&removed), links.open(&other));
        links.close_removed(&removed.id);
        assert_eq!(link.event().await, LinkEvent::Close(LinkClosed::Retired));
        assert_eq!(*other_link.closing.borrow(), None);
    }

    #[tokio::test]
    async fn stopping_closes_what_is_open_and_what_still_comes() {
        let links = Registry::default();
        let mut open = links.open(&agent("i-one"));
        links.stop();
        assert_eq!(open.event().await, LinkEvent::Close(LinkClosed::Stopping));
        assert_eq!(links.open(&agent("i-two")).event().await, LinkEvent::Close(LinkClosed::Stopping));
    }

    #[tokio::test]
    async fn a_link_is_reached_only_under_its_lease_and_by_channels_only_if_it_knows_them() {
        let registry = Registry::default();
        let agent = agent("i-one");
        let channel = ChannelId::generate().unwrap();
        let open = registry.open(&agent);
        assert!(matches!(registry.attach(&agent.id, 1, channel), Err(NotReached::NotConnected)));
        open.is_held(1, false);
        assert!(matches!(registry.attach(&agent.id, 1, channel), Err(NotReached::NoChannels)));
        open.is_held(1, true);
        assert!(matches!(registry.attach(&agent.id, 2, channel), Err(NotReached::NotConnected)));
        let attached = registry.attach(&agent.id, 1, channel).unwrap();
        // A newer link ends the paths over the older one, which has no lease any more.
        let newer = registry.open(&agent);
        assert_eq!(attached.next().await, None);
        open.is_held(2, true);
        assert_eq!(registry.epoch_of(&agent.id), None);
        newer.is_held(2, true);
        assert!(registry.close(&agent.id, 1).is_err());
        assert_eq!(*newer.closing.borrow(), None);
        registry.close(&agent.id, 2).unwrap();
        assert_eq!(*newer.closing.borrow(), Some(LinkClosed::Retired));
    }
}
