//! This replica's lease on one agent's link, as long as the link lives.

use domain::Timestamp;
use domain::actions::WritesAgent;
use domain::agent::Agent;
use domain::agent_link::LEASE_LASTS;
use domain::gate::Granted;
use persistence::{LinkTaken, Store, StoreError};

use super::{Links, OpenLink};

/// The lease on one link.
#[derive(Debug, Default)]
pub(crate) struct Lease {
    epoch: Option<u64>,
    knows_channels: bool,
}

/// The state of a lease after a look at its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// It holds.
    Yes,
    /// Another replica has taken it: the agent has another link.
    No,
}

impl Lease {
    /// The agent has said hello: from now on only this replica holds its link.
    pub(crate) async fn take<A: WritesAgent>(
        &mut self,
        links: &Links,
        store: &Store,
        granted: &Granted<A>,
        agent: &Agent,
        open: &OpenLink<'_>,
        knows_channels: bool,
    ) -> Result<(), StoreError> {
        self.knows_channels = knows_channels;
        if let Some(epoch) = self.epoch {
            open.is_held(epoch, knows_channels);
            return Ok(());
        }
        let taken = LinkTaken {
            replica: links.replica.clone(),
            internal_address: links.settings.internal_address.as_ref().map(ToString::to_string),
            expires_at: links.clock.now().plus(LEASE_LASTS),
        };
        let epoch = store.take_agent_link(granted, agent, taken).await?;
        self.epoch = Some(epoch);
        open.is_held(epoch, knows_channels);
        Ok(())
    }

    /// Renews it, or takes it where that failed before.
    pub(crate) async fn renew<A: WritesAgent>(
        &mut self,
        links: &Links,
        store: &Store,
        granted: &Granted<A>,
        agent: &Agent,
        open: &OpenLink<'_>,
    ) -> Result<Held, StoreError> {
        let Some(epoch) = self.epoch else {
            let knows_channels = self.knows_channels;
            return self.take(links, store, granted, agent, open, knows_channels).await.map(|()| Held::Yes);
        };
        let until = links.clock.now().plus(LEASE_LASTS);
        let holds = store.renew_agent_link(granted, &agent.id, &links.replica, epoch, until).await?;
        Ok(if holds { Held::Yes } else { Held::No })
    }

    /// Releases it, so that nobody looks for the agent here any more.
    pub(crate) async fn give_back<A: WritesAgent>(
        self,
        links: &Links,
        store: &Store,
        granted: &Granted<A>,
        agent: &Agent,
    ) -> Result<(), StoreError> {
        let Some(epoch) = self.epoch else { return Ok(()) };
        let over = Timestamp::from_millis(0);
        store.renew_agent_link(granted, &agent.id, &links.replica, epoch, over).await.map(drop)
    }
}
