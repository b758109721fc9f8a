//! The steps of an RPC call on the road of every call ([`crate::road`]): find the action, read its input once, locate
//! its resource, ask the gate, run it. No action can bypass these steps: an action is a type of the catalogue, only the
//! gate makes its grant, and the store demands that grant.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use domain::actions::{Access, Action, CatalogueEntry};
use domain::audit::{AuditDecision, AuditEvent};
use domain::gate::{
    self, Candidates, Granted, InstanceFacts, Listing, PrincipalPolicies, RequestFacts, Resource,
};
use domain::principal::Principal;
use domain::{InstanceId, TerminalSessionToken, Timestamp};
use futures_util::future::LocalBoxFuture;
use openapi::error_codes::WireError;
use openapi::operations::Operation;
use persistence::{Deciding, Store, StoreError};
use policies::PolicySet;

use crate::diagnostics::Denial;
use crate::errors::ActionError;
use crate::gateway::parameters::shown;
use crate::gateway::render::{self, Format};
use crate::http::request::RequestId;
use crate::road::{About, CallError as _, Caller, SingleUse};
use crate::state::Hansard;

pub(crate) use crate::road::Done;

/// An authenticated call.
pub(crate) struct Call<'h> {
    /// The control plane.
    pub(crate) hansard: &'h Hansard,
    /// The database, as this call uses it.
    pub(crate) store: &'h Store,
    /// Reads the facts that it is decided by.
    pub(crate) deciding: &'h Deciding<'h>,
    /// Who calls, and how the call came.
    pub(crate) caller: Caller,
    /// How the reply is written.
    pub(crate) format: Format,
}

/// One action of the wire. Implemented for the catalogue's own types, so that nothing outside it can be one.
pub(crate) trait RpcAction: Operation + Sized {
    /// What its parameters mean.
    type Input;

    /// Reads the parameters, once. An error that it returns is reported before policies are asked. An error that only a
    /// permitted caller may learn is part of the input, as [`Deferred`].
    fn read(caller: &Principal, request: Self::Request) -> Result<Self::Input, WireError>;

    /// Locates the call's resource, from its input alone or from what is stored about it.
    async fn locate(call: &Call<'_>, input: &Self::Input) -> Result<Located, ActionError>;

    /// The recording that the call names, for the audit row of a refusal too.
    fn recording(_: &Self::Input) -> Option<TerminalSessionToken> {
        None
    }

    /// Does it.
    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        input: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError>;
}

/// A part of an input that was read before the caller was permitted, and whose error is reported only after that
/// (DECISIONS G1).
pub(crate) type Deferred<T, E = WireError> = Result<T, E>;

/// What a call is about.
pub(crate) struct Located {
    /// As policies are asked about it.
    pub(crate) resource: Resource,
    /// The trust policy of the role that is to be assumed, which must allow it beside the caller's own policies.
    pub(crate) trust: Option<PolicySet>,
}

impl From<Resource> for Located {
    fn from(resource: Resource) -> Self {
        Self { resource, trust: None }
    }
}

impl Call<'_> {
    /// The call's id.
    pub(crate) fn request_id(&self) -> &RequestId {
        &self.caller.arrival.request_id
    }

    /// The call's present moment.
    pub(crate) fn now(&self) -> Timestamp {
        self.caller.now()
    }

    /// Who calls.
    pub(crate) fn principal(&self) -> &Principal {
        &self.caller.principal
    }

    /// What the call brings to a decision that is made from what was read until now.
    pub(crate) fn facts(&self) -> RequestFacts {
        RequestFacts { decided_under: self.deciding.under(), ..self.caller.facts() }
    }

    /// The instance as a resource: in the region where it is stored, else in the deployment's (DECISIONS I3).
    pub(crate) async fn instance(&self, instance: InstanceId) -> Result<Resource, ActionError> {
        Ok(Resource::Instance(self.instance_facts(instance).await?))
    }

    /// The instance, as policies are asked about it.
    pub(crate) async fn instance_facts(&self, instance: InstanceId) -> Result<InstanceFacts, ActionError> {
        let elsewhere = &self.hansard.settings.region;
        Ok(self.deciding.instance_facts(self.principal().account(), instance, elsewhere).await?)
    }

    /// The rows of a list as a resource: those of one instance, or of all.
    pub(crate) async fn list(
        &self,
        of: Option<InstanceId>,
        recordings: bool,
    ) -> Result<Resource, ActionError> {
        let of = match of {
            Some(instance) => Some(self.instance_facts(instance).await?),
            None => None,
        };
        let region = self.hansard.settings.region.clone();
        Ok(Resource::List(Listing { of, region, recordings, candidates: Candidates::default() }))
    }

    /// Adds to a list what the caller's policies distinguish among its rows; leaves anything else as it is.
    async fn with_candidates(
        &self,
        entry: &CatalogueEntry,
        resource: Resource,
        policies: &PrincipalPolicies,
    ) -> Result<Resource, StoreError> {
        let Resource::List(mut listing) = resource else { return Ok(resource) };
        let needs = gate::list_needs(entry, self.principal(), &listing, policies);
        let of = listing.of.as_ref().map(|of| &of.instance);
        listing.candidates = self.deciding.candidates_of_list(self.principal().account(), of, needs).await?;
        Ok(Resource::List(listing))
    }

    /// The audit row of a change that is permitted and succeeds, for the change's own transaction. It does not compile
    /// for an action that only reads, whose single use is claimed when it has run.
    pub(crate) fn audit_of_change<A: Action>(&self, granted: &Granted<A>, how: &str) -> AuditEvent {
        const { assert!(matches!(A::ENTRY.access, Access::Write), "the catalogue says that it changes nothing") };
        self.caller.event_of_change(granted, None, how)
    }
}

/// How an action is called, whatever its types.
type Runner = for<'c> fn(
    &'c Call<'c>,
    &'c BTreeMap<String, String>,
    &'c SingleUse<'c>,
) -> LocalBoxFuture<'c, Result<HttpResponse, ActionError>>;

/// An action that dispatch can call. Its name comes from the catalogue.
pub(crate) struct Registered {
    pub(crate) entry: CatalogueEntry,
    runner: Runner,
}

impl Registered {
    /// Registers an action of the catalogue.
    pub(crate) const fn new<A: RpcAction>() -> Self {
        Self {
            entry: A::ENTRY,
            runner: |call, parameters, single_use| Box::pin(road::<A>(call, parameters, single_use)),
        }
    }
}

/// Answers an authenticated call with the action that was found under its name.
///
/// # Errors
/// Among others [`StoreError::Outdated`], and then it must be called again, with a caller who is authenticated again.
pub(crate) async fn dispatch<'c>(
    call: &'c Call<'c>,
    found: Result<&'static Registered, WireError>,
    action: Result<&str, WireError>,
    parameters: &'c BTreeMap<String, String>,
    single_use: &'c SingleUse<'c>,
) -> Result<HttpResponse, ActionError> {
    match found {
        Ok(found) => (found.runner)(call, parameters, single_use).await,
        Err(error) => {
            let (asked, error) = (action.map(shown).unwrap_or_default(), ActionError::from(error));
            let event = call.caller.event(&asked, About::default(), &error.code());
            single_use.settle(call.store, event, call.deciding.under()).await?;
            Err(error)
        }
    }
}

async fn road<A: RpcAction>(
    call: &Call<'_>,
    parameters: &BTreeMap<String, String>,
    single_use: &SingleUse<'_>,
) -> Result<HttpResponse, ActionError> {
    let name = A::ENTRY.name;
    let steps = async |about: &mut About| {
        let request = openapi::parameters::read::<A::Request>(parameters)?;
        let input = A::read(call.principal(), request)?;
        about.recording = A::recording(&input).map(|token| token.to_string());
        let Located { resource, trust } = A::locate(call, &input).await?;
        about.resource = resource.arn(call.principal().account());
        let policies = call.deciding.policies_of(call.principal()).await?;
        let policies = match trust {
            Some(trust) => policies.with_trust(trust),
            None => policies,
        };
        let resource = call.with_candidates(&A::ENTRY, resource, &policies).await?;
        let granted = call.caller.authorize_located::<A>(resource, &policies, &call.facts(), about);
        let granted = granted.map_err(|denied| Denial::sealed(denied, &call.hansard.keys))?;
        A::run(call, granted, input).await.inspect_err(|error| {
            // An action can ask for a second permission.
            if let ActionError::Denied(denial) = error {
                about.decision = AuditDecision::Denied { by: denial.denied.by.clone() };
            }
        })
    };
    let steps = async |about: &mut About| {
        steps(about).await.map_err(|error| match error {
            ActionError::Refused(wire) => wire.in_words_of(A::ENTRY.product).into(),
            other => other,
        })
    };
    let reply = |reply| render::success(call.format, name, &reply);
    // A request that was used before must change nothing.
    if matches!(A::ENTRY.access, Access::Write) {
        single_use.claim().await?;
    }
    let write = async |event| single_use.settle(call.store, event, call.deciding.under()).await;
    call.caller.run_and_write(write, name, About::default(), steps, reply).await
}
