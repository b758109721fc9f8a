//! Renews this replica's lease, and takes from it what the replicas have in common: among how many the limits of
//! principals are shared, and the database's clock, with which this machine's is compared.

use std::num::NonZeroU32;
use std::time::Duration;

use domain::agent_link::ReplicaId;
use domain::replica_lease::{LiveReplicas, RENEWED_EVERY};

use tokio::time::{Instant, timeout};

use super::runner::Job;
use crate::Hansard;
use crate::clocks::{Clocks, apart};
use crate::errors::chain_of;

/// After how long without an answer the database counts as gone. The vendor's SDKs give up after three seconds, and should
/// hear of it before.
const GONE_AFTER: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(super) struct RenewLease {
    has_begun: bool,
    /// When it was renewed last.
    renewed_at: Option<Instant>,
    /// How many replicas there were when that was last logged.
    live: Option<NonZeroU32>,
    /// The other replica that is said to be at this one's address.
    namesake: Option<ReplicaId>,
}

impl Job for RenewLease {
    const NAME: &'static str = "renew this replica's lease";
    const EVERY: Duration = RENEWED_EVERY;
    const GIVES_UP: bool = true;

    async fn run(&mut self, hansard: &Hansard) {
        if !std::mem::replace(&mut self.has_begun, true)
            && let Err(error) = hansard.store.forget_replicas().await
        {
            tracing::debug!(chain = %chain_of(&error), "leases of replicas that have ended are left");
        }
        let (links, before) = (&hansard.links, hansard.now());
        let address = links.settings.internal_address.as_ref().map(ToString::to_string);
        let renewed = hansard.store.renew_replica(&links.replica, address.as_deref());
        let live = match timeout(GONE_AFTER, renewed).await {
            Ok(Ok(Some(live))) => live,
            Ok(Ok(None)) => return,
            Ok(Err(error)) => return self.tell_lost(hansard, &chain_of(&error)),
            Err(_) => return self.tell_lost(hansard, "it does not answer"),
        };
        self.renewed_at = Some(Instant::now());
        if hansard.reach.note(false) {
            tracing::info!("the database answers again");
        }
        if hansard.settings.compares_clocks {
            compare_clocks(hansard, apart(before, live.at, hansard.now()));
        }
        self.share(hansard, &live);
        self.tell_namesake(&links.replica, &live);
    }

    async fn end(&mut self, hansard: &Hansard) {
        if let Err(error) = hansard.store.end_replica(&hansard.links.replica).await {
            tracing::debug!(chain = %chain_of(&error), "this replica's lease is left to lapse");
        }
    }
}

impl RenewLease {
    /// What was last known of the other replicas stands meanwhile, for nothing is answered without the database.
    fn tell_lost(&self, hansard: &Hansard, why: &str) {
        let lost = self.renewed_at.is_none_or(|at| at.elapsed() >= GONE_AFTER);
        if lost && hansard.reach.note(true) {
            tracing::error!(why, "the database is gone: calls are refused until it answers, links go on");
        }
    }

    fn share(&mut self, hansard: &Hansard, live: &LiveReplicas) {
        let count = u32::try_from(live.replicas.len()).unwrap_or(u32::MAX);
        let count = NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        hansard.limits.throttle.share_among(count);
        if self.live.replace(count) != Some(count) {
            tracing::info!(live = count, "the limits of principals are shared among the replicas that live");
        }
    }

    fn tell_namesake(&mut self, this: &ReplicaId, live: &LiveReplicas) {
        let namesake = live.namesake_of(this);
        if let Some(other) = namesake
            && self.namesake.as_ref() != Some(&other.id)
        {
            tracing::error!(
                address = other.internal_address,
                other = %other.id,
                "two replicas say that others reach them at this address, and agents' links are not found behind \
                 it: give each its own --internal-address"
            );
        } else if namesake.is_none() && self.namesake.is_some() {
            tracing::info!("no other replica has this one's address any more");
        }
        self.namesake = namesake.map(|other| other.id.clone());
    }
}

fn compare_clocks(hansard: &Hansard, apart: Duration) {
    match hansard.compared_clocks.now(apart.into()) {
        None => {}
        Some(Clocks::Agree) => tracing::info!("this machine's clock agrees with the database's again"),
        Some(Clocks::Differ) => tracing::warn!(
            ?apart,
            "this machine's clock and the database's differ; beyond 30 s this replica answers nothing: set both \
             by a time server"
        ),
        Some(Clocks::TooFarApart) => tracing::error!(
            ?apart,
            "this machine's clock and the database's are too far apart; calls are refused until both are set by \
             a time server"
        ),
    }
}
