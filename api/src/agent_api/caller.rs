//! An agent as one who calls.

use std::sync::Arc;

use domain::agent::Agent;
use domain::principal::Principal;

use crate::road::{Arrival, Caller};

/// The agent as one who calls.
pub(crate) fn of(arrival: Arc<Arrival>, agent: &Agent) -> Caller {
    Caller { arrival, principal: principal_of(agent), access_key: None }
}

/// Who an agent is to the gate.
pub(crate) fn principal_of(agent: &Agent) -> Principal {
    Principal::Agent {
        account: agent.account.clone(),
        agent: agent.id.clone(),
        instance: agent.instance.clone(),
    }
}
