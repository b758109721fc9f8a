//! This replica's lease on one agent's link, as long as the link lives.

use domain::Timestamp;
use domain::actions::WritesAgent;
use domain::agent::Agent;
use domain::agent_link::LEASE_LASTS;
use domain::gate::Granted;
use persistence::{LinkLease, LinkTaken, Store, StoreError};

use super::{Links, OpenLink};

/// The lease on one link.
#[derive(Debug, Default)]
pub(crate) struct Lease {
    epoch: Option<u64>,
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

    /// The lease as it goes on from now; `None` if it was not taken.
    pub(crate) fn goes_on(&self, links: &Links) -> Option<LinkLease> {
        let expires_at = links.clock.now().plus(LEASE_LASTS);
        self.epoch.map(|epoch| LinkLease { replica: links.replica.clone(), epoch, expires_at })
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
