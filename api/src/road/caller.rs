//! An authenticated caller, with the arrival of its request.

use std::sync::Arc;

use domain::Timestamp;
use domain::actions::Action;
use domain::audit::{AuditDecision, AuditEvent, AuditOrigin};
use domain::gate::{self, Denied, Granted, PrincipalPolicies, RequestFacts, Resource};
use domain::identity::AccessKeyId;
use domain::principal::Principal;

use super::{About, Arrival};
use crate::limits::tally::TallyKey;
use crate::limits::throttle::Throttled;
use crate::road::unauthenticated::UnauthenticatedCaller;
use crate::state::Hansard;

/// Who calls, and how the call came.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// How the call came.
    pub(crate) arrival: Arc<Arrival>,
    /// Who calls.
    pub(crate) principal: Principal,
    /// The key that signed: this call, or the one that opened what it reads. An agent has none.
    pub(crate) access_key: Option<AccessKeyId>,
}

impl Caller {
    /// The call's present moment.
    pub(crate) fn now(&self) -> Timestamp {
        self.arrival.at
    }

    /// Checks the rate limit of this principal; a throttled call is counted.
    pub(crate) fn admit(&self, hansard: &Hansard) -> Result<(), Throttled> {
        hansard.limits.throttle.by_principal(&self.principal).inspect_err(|_| {
            let sender = UnauthenticatedCaller::new(self.arrival.clone(), hansard);
            sender.count(TallyKey::principal(&self.principal), Throttled::CODE);
        })
    }

    /// The facts of the call, for a decision.
    pub(crate) fn facts(&self) -> RequestFacts {
        RequestFacts { access_key: self.access_key.clone(), ..self.arrival.facts() }
    }

    /// Asks the gate, and notes what it is asked about and what it says.
    pub(crate) fn authorize<A: Action>(
        &self,
        resource: Resource,
        policies: &PrincipalPolicies,
        facts: &RequestFacts,
        about: &mut About,
    ) -> Result<Granted<A>, Denied> {
        about.resource = resource.arn(self.principal.account());
        self.authorize_located(resource, policies, facts, about)
    }

    /// As [`Caller::authorize`], about a resource that is noted already.
    pub(crate) fn authorize_located<A: Action>(
        &self,
        resource: Resource,
        policies: &PrincipalPolicies,
        facts: &RequestFacts,
        about: &mut About,
    ) -> Result<Granted<A>, Denied> {
        let asked = gate::authorize(&self.principal, resource, policies, facts);
        about.decision = match &asked {
            Ok(granted) => allowed(granted),
            Err(denied) => AuditDecision::Denied { by: denied.by.clone() },
        };
        asked
    }

    /// The audit row of a call that ended with this result.
    pub(crate) fn event(&self, action: &str, about: About, result: &str) -> AuditEvent {
        let arrival = &self.arrival;
        let origin = AuditOrigin {
            access_key_id: self.access_key.as_ref().map(|key| key.as_str().to_owned()),
            source_address: arrival.source_address,
            user_agent: arrival.user_agent.clone(),
            ..AuditOrigin::new(arrival.id(), arrival.at, &self.principal)
        };
        let About { resource, decision, recording, how } = about;
        AuditEvent { recording, how, ..AuditEvent::new(origin, action, resource, decision, result) }
    }

    /// The audit row of a change that is permitted and succeeds, for the change's own transaction.
    pub(crate) fn event_of_change<A: Action>(
        &self,
        granted: &Granted<A>,
        recording: Option<String>,
        how: &str,
    ) -> AuditEvent {
        let resource = granted.resource().arn(granted.account());
        let about = About { resource, decision: allowed(granted), recording, how: how.to_owned() };
        self.event(A::ENTRY.name, about, "OK")
    }
}

fn allowed<A: Action>(granted: &Granted<A>) -> AuditDecision {
    AuditDecision::Allowed { by: granted.by().to_owned() }
}
