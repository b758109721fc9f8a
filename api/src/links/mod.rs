//! The agents' links as a bus: any replica can send a message to any agent, and open channels to its services,
//! whichever replica holds the agent's link (DECISIONS N4).
//!
//! A link's lease, which is a row ([`domain::agent_link`]), says which replica holds it. This replica's own links are
//! in the [`Registry`]; those of others are reached over their internal listeners ([`remote`]). The replica that opens
//! a channel has its end ([`opened`]); the holder of the link passes frames on ([`relay`]), and can be lost without
//! harm.

mod carried;
mod lane;
mod lease;
mod opened;
mod registry;
pub(crate) mod relay;
mod remote;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use agent_protocol::bus::{Channel, ChannelId, NoRandomness, Reset, ServiceName};
use agent_protocol::link::ServerMessage;
use domain::AgentId;
use domain::actions::ReachesAgents;
use domain::agent_link::{AgentLink, ReplicaId};
use domain::clock::Clock;
use domain::gate::Granted;
use domain::server_keys::ServerKeys;
use persistence::{Store, StoreError};
use tokio::time::timeout;
use url::Url;

pub(crate) use lease::Lease;
pub(crate) use registry::{LinkClosed, LinkEvent, OpenLink, Registry};

use opened::Way;
use remote::Remote;

use crate::errors::chain_of;

/// How often the holder of a link is looked up again, while the replica that the row names does not hold it.
const MOST_LOOKS: usize = 3;

/// How soon another replica must close the link of a retired agent.
const CLOSED_WITHIN: Duration = Duration::from_secs(10);

/// Why an agent was not reached.
#[derive(Debug, thiserror::Error)]
pub enum NotReached {
    /// No replica holds a link of it.
    #[error("the agent is not connected")]
    NotConnected,
    /// It is out of this replica's reach.
    #[error("the agent's link is held by a replica that has no internal listener (--internal-listen)")]
    NoInternalListener,
    /// The replica that holds its link does not answer, or not as one of this deployment.
    #[error("the replica that holds the agent's link cannot be reached")]
    HolderUnreachable {
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The agent is of a version that knows no channels.
    #[error("the agent is of a version that knows no channels")]
    NoChannels,
    /// The agent does not offer this service.
    #[error("the agent has no service {service}")]
    NoSuchService {
        /// The service that was asked for.
        service: ServiceName,
    },
    /// There are as many channels on its link as there may be.
    #[error("the agent's link has as many channels as it may have")]
    TooManyChannels,
    /// It is sent more than it reads.
    #[error("the agent reads messages more slowly than they are sent")]
    Busy,
    /// It did not accept the channel.
    #[error("the agent did not accept the channel")]
    NotAccepted(#[source] Reset),
    /// It did not say in time whether it accepts the channel.
    #[error("the agent did not answer in time")]
    NoAnswer,
    /// A channel cannot be given an id.
    #[error("a channel cannot be given an id")]
    NoRandomness(#[from] NoRandomness),
    /// The holder of its link cannot be read, or the caller may not know it.
    #[error("who holds the agent's link could not be read")]
    Store(#[from] StoreError),
}

/// What links need to know of the deployment.
#[derive(Debug, Clone)]
pub(crate) struct LinkSettings {
    /// Where other replicas reach this one.
    pub(crate) internal_address: Option<Url>,
    /// How long a channel waits to be resumed.
    pub(crate) resume_within: Duration,
    /// How soon an agent must answer.
    pub(crate) patience: Duration,
}

/// The agents' links, those of this replica and those of others.
pub(crate) struct Links {
    /// This process.
    pub(crate) replica: ReplicaId,
    pub(crate) settings: LinkSettings,
    pub(crate) here: Registry,
    store: Store,
    clock: Arc<dyn Clock>,
    remote: Remote,
}

impl Links {
    /// No agent is connected yet.
    pub(crate) fn new(
        store: Store,
        keys: Arc<ServerKeys>,
        clock: Arc<dyn Clock>,
        settings: LinkSettings,
    ) -> Self {
        let remote = Remote::new(keys, clock.clone());
        Self { replica: ReplicaId::generate(), settings, here: Registry::default(), store, clock, remote }
    }

    /// Sends a message to an agent. It does not wait until the agent acts on it; the agent reports that itself.
    pub(crate) async fn send<A: ReachesAgents>(
        &self,
        granted: &Granted<A>,
        agent: &AgentId,
        message: &ServerMessage,
    ) -> Result<(), NotReached> {
        let mut search = Search::default();
        let mut answer = Err(NotReached::NotConnected);
        while may_have_passed(&answer)
            && let Some(link) = self.look(granted, agent, &mut search).await?
        {
            answer = match Holder::of(&link, &self.replica) {
                Holder::Here(epoch) => self.here.send(agent, epoch, message.clone()),
                Holder::There(link) => self.remote.send(link, message).await,
            };
        }
        answer
    }

    /// Opens a channel to a service of an agent.
    pub(crate) async fn open_channel<A: ReachesAgents>(
        self: &Arc<Self>,
        granted: &Granted<A>,
        agent: &AgentId,
        service: &ServiceName,
    ) -> Result<Channel, NotReached> {
        opened::open(self, granted, agent, service).await
    }

    /// Closes the link of an agent that was replaced or removed, wherever it is held. Nobody waits for a replica that is
    /// down: a holder that is not told finds out itself, when it learns of the new revision, or with its next ping.
    pub(crate) async fn close_retired(&self, link: &AgentLink) {
        let closing = async {
            match Holder::of(link, &self.replica) {
                Holder::Here(epoch) => self.here.close(&link.agent, epoch),
                Holder::There(link) => self.remote.close(link).await,
            }
        };
        match timeout(CLOSED_WITHIN, closing).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::info!(agent = %link.agent, chain = %chain_of(&error), "the link of a retired agent is left to its holder");
            }
            Err(_) => {
                tracing::info!(agent = %link.agent, "the holder of a retired agent's link does not answer");
            }
        }
    }

    /// A way for a channel to the agent's link.
    async fn find_way<A: ReachesAgents>(
        &self,
        granted: &Granted<A>,
        agent: &AgentId,
        channel: ChannelId,
    ) -> Result<Way, NotReached> {
        let mut search = Search::default();
        let mut answer = Err(NotReached::NotConnected);
        while may_have_passed(&answer)
            && let Some(link) = self.look(granted, agent, &mut search).await?
        {
            answer = match Holder::of(&link, &self.replica) {
                Holder::Here(epoch) => self.here.attach(agent, epoch, channel).map(Way::Here),
                Holder::There(link) => {
                    self.remote.attach(link, channel).await.map(|forward| Way::There(Box::new(forward)))
                }
            };
        }
        answer
    }

    /// Whom to ask next; `None` when the present holder was asked already.
    async fn look<A: ReachesAgents>(
        &self,
        granted: &Granted<A>,
        agent: &AgentId,
        search: &mut Search,
    ) -> Result<Option<AgentLink>, StoreError> {
        if search.looks == MOST_LOOKS {
            return Ok(None);
        }
        search.looks += 1;
        let link = self.store.find_agent_link(granted, agent, self.clock.now()).await?;
        let link = link.filter(|link| search.asked != Some(link.epoch));
        search.asked = link.as_ref().map(|link| link.epoch);
        Ok(link)
    }
}

/// Between the look at the row and the question a link may pass from one replica to another: then that one is asked.
fn may_have_passed<T>(answer: &Result<T, NotReached>) -> bool {
    matches!(answer, Err(NotReached::NotConnected | NotReached::HolderUnreachable { .. }))
}

/// The holders that were asked for an agent so far.
#[derive(Debug, Default)]
struct Search {
    looks: usize,
    asked: Option<u64>,
}

/// Who holds a link.
#[derive(Debug, Clone, Copy)]
enum Holder<'a> {
    /// This replica, under the lease of this epoch.
    Here(u64),
    /// Another one.
    There(&'a AgentLink),
}

impl<'a> Holder<'a> {
    fn of(link: &'a AgentLink, this: &ReplicaId) -> Self {
        if link.replica == *this { Self::Here(link.epoch) } else { Self::There(link) }
    }
}
