//! Limits on what callers can use of the server: connections, memory for requests, calls, concurrent work, audit rows.

pub(crate) mod concurrency;
pub(crate) mod connections;
pub(crate) mod in_flight;
pub(crate) mod network;
pub(crate) mod repeated;
pub(crate) mod room;
pub(crate) mod tally;
pub(crate) mod throttle;
mod unauthenticated_body;
pub(crate) mod unproven;

use std::sync::Arc;

use domain::clock::Clock;

use connections::{ConnectionLimits, Connections};
use in_flight::InFlight;
use repeated::Repeated;
use tally::Tally;
use throttle::{Throttle, ThrottleLimits};
use unproven::Unproven;

/// What callers use of this replica, and what is left.
pub(crate) struct Limits {
    /// How often callers may call.
    pub(crate) throttle: Throttle,
    /// Requests that were found to be repeated.
    pub(crate) repeated: Repeated,
    /// What is counted for the audit trail.
    pub(crate) tally: Tally,
    /// What is held for unauthenticated callers.
    pub(crate) unproven: Arc<Unproven>,
    /// What is being received from authenticated callers.
    pub(crate) in_flight: Arc<InFlight>,
    /// The connections that are open.
    pub(crate) connections: Arc<Connections>,
}

impl Limits {
    /// Nothing is taken yet.
    pub(crate) fn new(
        throttle: &ThrottleLimits,
        connections: ConnectionLimits,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let unproven = Arc::<Unproven>::default();
        Self {
            throttle: Throttle::new(throttle, clock),
            repeated: Repeated::default(),
            tally: Tally::default(),
            connections: Arc::new(Connections::new(connections, unproven.clone())),
            unproven,
            in_flight: Arc::default(),
        }
    }
}
