//! Grants, each obtained from the gate itself.

use domain::AccountId;
use domain::InstanceId;
use domain::actions::{Action, AdministerIdentity, ReachAgents, SweepRecordings, ViewInstanceRecords};
use domain::agent::Agent;
use domain::gate::{
    Candidates, Granted, InstanceFacts, Listing, PrincipalPolicies, RequestFacts, Resource, authorize,
};
use domain::principal::Principal;
use domain::recording_life::Recording;
use policies::Layers;

use crate::names::{at, region};

/// The facts of a request that is made at the start of the tests' time.
#[must_use]
pub fn facts() -> RequestFacts {
    RequestFacts::at(at(0))
}

/// A grant of the account's owner.
#[must_use]
pub fn owner<A: Action>(account: &AccountId, resource: Resource) -> Granted<A> {
    let principal = Principal::Account { account: account.clone() };
    let policies = PrincipalPolicies::new(Layers { owner: true, ..Layers::default() });
    authorize(&principal, resource, &policies, &facts()).unwrap()
}

/// A grant of an agent on its own instance.
#[must_use]
pub fn as_agent<A: Action>(agent: &Agent) -> Granted<A> {
    let (account, instance) = (agent.account.clone(), agent.instance.clone());
    let resource = resource_of(Some(&instance));
    by_rule(&Principal::Agent { account, agent: agent.id.clone(), instance }, resource)
}

/// A grant of a background job.
#[must_use]
pub fn as_system(account: &AccountId) -> Granted<SweepRecordings> {
    by_rule(&Principal::System { account: account.clone() }, Resource::Everything)
}

/// A grant for what the control plane does with agents on its own initiative.
#[must_use]
pub fn reaching(account: &AccountId) -> Granted<ReachAgents> {
    by_rule(&Principal::System { account: account.clone() }, Resource::Everything)
}

/// A grant of `hansard admin`.
#[must_use]
pub fn as_operator(account: &AccountId) -> Granted<AdministerIdentity> {
    by_rule(&Principal::Operator { account: account.clone() }, Resource::Everything)
}

/// The owner's view of a recording.
#[must_use]
pub fn view(recording: &Recording) -> Granted<ViewInstanceRecords> {
    let of = InstanceFacts::untagged(region(), recording.instance.clone());
    owner(&recording.account, Resource::Recording { of, found: Some(recording.facts()) })
}

/// One instance, or everything.
#[must_use]
pub fn resource_of(of: Option<&InstanceId>) -> Resource {
    match of {
        Some(instance) => Resource::Instance(InstanceFacts::untagged(region(), instance.clone())),
        None => Resource::Everything,
    }
}

/// A list, of one instance or of all.
#[must_use]
pub fn list_of(of: Option<&InstanceId>) -> Resource {
    Resource::List(Listing {
        of: of.map(|instance| InstanceFacts::untagged(region(), instance.clone())),
        region: region(),
        recordings: true,
        candidates: Candidates::default(),
    })
}

/// A grant for a principal that no policy is evaluated for.
fn by_rule<A: Action>(principal: &Principal, resource: Resource) -> Granted<A> {
    authorize(principal, resource, &PrincipalPolicies::none(), &facts()).unwrap()
}
