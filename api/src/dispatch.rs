//! The one road of every RPC call: find the action, read its parameters, locate what it is about, ask the gate, run
//! it, write one final audit row, reply. No action can leave it: an action is a type of the catalogue, only the gate
//! makes its grant, and the store demands that grant.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;

use actix_web::HttpResponse;
use domain::actions::{self, Action, CatalogueEntry, Product};
use domain::audit::{AuditDecision, AuditEvent};
use domain::gate::{
    self, Candidates, Granted, InstanceFacts, Listing, PrincipalPolicies, RequestFacts, Resource,
};
use domain::identity::AccessKeyId;
use domain::principal::Principal;
use domain::{InstanceId, TerminalSessionToken, Timestamp};
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use openapi::error_codes::{ErrorCode, WireError};
use persistence::StoreError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use validator::Validate;

use crate::actions::REGISTRY;
use crate::diagnostics::Denial;
use crate::errors::{ActionError, Refusal};
use crate::gateway::finish::panicked;
use crate::gateway::parameters::shown;
use crate::gateway::render::{self, Format};
use crate::request::RequestId;
use crate::state::Hansard;

/// An authenticated call.
pub(crate) struct Call<'h> {
    /// The control plane.
    pub(crate) hansard: &'h Hansard,
    /// The call's id.
    pub(crate) request_id: RequestId,
    /// When it arrived: its one present moment.
    pub(crate) arrived_at: Timestamp,
    /// Who calls.
    pub(crate) principal: Principal,
    /// The key that signed.
    pub(crate) access_key_id: AccessKeyId,
    /// Where it came from.
    pub(crate) source_address: Option<IpAddr>,
    /// Whether it came over TLS.
    pub(crate) secure_transport: bool,
    /// The caller's program, as it names itself.
    pub(crate) user_agent: String,
    /// How the reply is written.
    pub(crate) format: Format,
}

/// One action of the wire. Implemented for the catalogue's own types, so that nothing outside it can be one.
pub(crate) trait RpcAction: Action + Sized {
    /// Its parameters.
    type Request: DeserializeOwned + Validate;
    /// Its reply.
    type Reply: Serialize;

    /// Says what the call is about, from its parameters alone or from where the instance is known to be.
    async fn locate(call: &Call<'_>, asked: &Self::Request) -> Result<Resource, ActionError>;

    /// The recording that the call names, for the audit row of a refusal too.
    fn recording(_: &Self::Request) -> Option<TerminalSessionToken> {
        None
    }

    /// The policies that decide: the caller's, and where the call is about somebody else's too, those.
    async fn policies(call: &Call<'_>, _: &Resource) -> Result<PrincipalPolicies, ActionError> {
        Ok(call.hansard.store.policies_of(&call.principal).await?)
    }

    /// Does it.
    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Request,
    ) -> Result<Done<Self::Reply>, ActionError>;
}

/// What an action did.
pub(crate) struct Done<R> {
    reply: R,
    audited: bool,
    recording: Option<String>,
    how: &'static str,
}

impl<R> Done<R> {
    /// It changed nothing; dispatch writes the audit row.
    pub(crate) fn read(reply: R) -> Self {
        Self { reply, audited: false, recording: None, how: "" }
    }

    /// It changed something, and the audit row went with the change.
    pub(crate) fn changed(reply: R) -> Self {
        Self { audited: true, ..Self::read(reply) }
    }

    /// The audit row names the recording and how it was looked at.
    pub(crate) fn about(self, recording: impl ToString, how: &'static str) -> Self {
        Self { recording: Some(recording.to_string()), how, ..self }
    }
}

impl Call<'_> {
    /// What the call brings to a decision.
    pub(crate) fn facts(&self) -> RequestFacts {
        RequestFacts {
            now: self.arrived_at,
            source_address: self.source_address,
            secure_transport: self.secure_transport,
            multi_factor: false,
        }
    }

    /// The instance as a resource: in the region where it is stored, else in the deployment's (DECISIONS I3).
    pub(crate) async fn instance(&self, instance: InstanceId) -> Result<Resource, ActionError> {
        Ok(Resource::Instance(self.instance_facts(instance).await?))
    }

    /// The instance, as policies are asked about it.
    pub(crate) async fn instance_facts(&self, instance: InstanceId) -> Result<InstanceFacts, ActionError> {
        let elsewhere = &self.hansard.settings.region;
        Ok(self.hansard.store.instance_facts(self.principal.account(), instance, elsewhere).await?)
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

    /// A list with what the caller's policies tell apart among its rows; anything else as it is.
    async fn with_candidates(
        &self,
        entry: &CatalogueEntry,
        resource: Resource,
        policies: &PrincipalPolicies,
    ) -> Result<Resource, StoreError> {
        let Resource::List(mut listing) = resource else { return Ok(resource) };
        let needs = gate::list_needs(entry, &self.principal, &listing, policies);
        let of = listing.of.as_ref().map(|of| &of.instance);
        listing.candidates = self.hansard.store.list_candidates(self.principal.account(), of, needs).await?;
        Ok(Resource::List(listing))
    }

    /// The audit row of a change that is permitted and succeeds, for the change's own transaction.
    pub(crate) fn audit_of_change<A: Action>(&self, granted: &Granted<A>, how: &str) -> AuditEvent {
        AuditEvent {
            how: how.to_owned(),
            ..self.audit(A::ENTRY.name, &located(granted), allowed(granted), "OK")
        }
    }

    fn audit(&self, action: &str, resource: &str, decision: AuditDecision, result: &str) -> AuditEvent {
        AuditEvent {
            request_id: self.request_id.as_str().to_owned(),
            at: self.arrived_at,
            account: self.principal.account().clone(),
            principal: self.principal.arn(),
            access_key_id: Some(self.access_key_id.as_str().to_owned()),
            action: action.to_owned(),
            resource: resource.to_owned(),
            decision,
            result: result.to_owned(),
            source_address: self.source_address,
            user_agent: self.user_agent.clone(),
            recording: None,
            how: String::new(),
        }
    }

    /// Writes the audit row of a refused or failed call, and gives the refusal back. Were the row lost, the caller is
    /// told that and not the refusal.
    async fn refuse(&self, action: &str, about: &About, error: ActionError) -> ActionError {
        let row = self.audit(action, &about.resource, about.decision.clone(), &error.wire().code_text());
        let row = AuditEvent { recording: about.recording.clone(), ..row };
        match self.hansard.store.record_audit(row).await {
            Ok(()) => error,
            Err(lost) => lost.into(),
        }
    }
}

/// What is known of a call at some point of the road, for its audit row.
struct About {
    resource: String,
    decision: AuditDecision,
    recording: Option<String>,
}

impl About {
    fn nothing() -> Self {
        Self { resource: String::new(), decision: AuditDecision::NotAsked, recording: None }
    }
}

fn located<A: Action>(granted: &Granted<A>) -> String {
    granted.resource().arn(granted.account())
}

fn allowed<A: Action>(granted: &Granted<A>) -> AuditDecision {
    AuditDecision::Allowed { by: granted.by().to_owned() }
}

/// How an action is called, whatever its types.
type Runner = for<'c> fn(
    &'c Call<'c>,
    &'c BTreeMap<String, String>,
) -> LocalBoxFuture<'c, Result<HttpResponse, ActionError>>;

/// An action that dispatch can call. Its name comes from the catalogue.
pub(crate) struct Registered {
    pub(crate) entry: CatalogueEntry,
    runner: Runner,
}

impl Registered {
    /// Registers an action of the catalogue.
    pub(crate) const fn new<A: RpcAction>() -> Self {
        Self { entry: A::ENTRY, runner: |call, parameters| Box::pin(road::<A>(call, parameters)) }
    }
}

/// Answers an authenticated call.
pub(crate) async fn dispatch(
    call: &Call<'_>,
    version: Result<&str, WireError>,
    action: Result<&str, WireError>,
    parameters: &BTreeMap<String, String>,
) -> Result<HttpResponse, ActionError> {
    match find(version, action.as_deref()) {
        Ok(found) => (found.runner)(call, parameters).await,
        Err(error) => {
            let asked = action.map(shown).unwrap_or_default();
            Err(call.refuse(&asked, &About::nothing(), error.into()).await)
        }
    }
}

/// Finds an action: version first, then the name (DECISIONS G1), and only in the catalogue.
fn find(
    version: Result<&str, WireError>,
    action: Result<&str, &WireError>,
) -> Result<&'static Registered, WireError> {
    let version = version?;
    if Product::of_version(version).is_none() {
        return Err(ErrorCode::InvalidVersion.into());
    }
    let entry = actions::find(version, action.map_err(Clone::clone)?).ok_or(ErrorCode::ActionNotFound)?;
    REGISTRY
        .iter()
        .flat_map(|of_product| of_product.iter())
        .find(|registered| registered.entry == *entry)
        .ok_or_else(|| ErrorCode::ActionNotFound.into())
}

async fn road<A: RpcAction>(
    call: &Call<'_>,
    parameters: &BTreeMap<String, String>,
) -> Result<HttpResponse, ActionError> {
    let name = A::ENTRY.name;
    let mut about = About::nothing();
    let asked = match openapi::parameters::read::<A::Request>(parameters) {
        Ok(asked) => asked,
        Err(error) => {
            return Err(call.refuse(name, &about, error.in_words_of(A::ENTRY.product).into()).await);
        }
    };
    about.recording = A::recording(&asked).map(|token| token.to_string());
    let resource = match A::locate(call, &asked).await {
        Ok(resource) => resource,
        Err(error) => return Err(call.refuse(name, &about, error).await),
    };
    about.resource = resource.arn(call.principal.account());
    let policies = match A::policies(call, &resource).await {
        Ok(policies) => policies,
        Err(error) => return Err(call.refuse(name, &about, error).await),
    };
    let resource = match call.with_candidates(&A::ENTRY, resource, &policies).await {
        Ok(resource) => resource,
        Err(error) => return Err(call.refuse(name, &about, error.into()).await),
    };
    let granted: Granted<A> = match gate::authorize(&call.principal, resource, &policies, &call.facts()) {
        Ok(granted) => granted,
        Err(denied) => {
            about.decision = AuditDecision::Denied { by: denied.by.clone() };
            let denial = Denial::sealed(denied, &call.hansard.keys);
            return Err(call.refuse(name, &about, denial.into()).await);
        }
    };
    about.decision = allowed(&granted);
    // A panic is an outcome like any other, so that it does not cost the audit row.
    let outcome = AssertUnwindSafe(A::run(call, granted, asked)).catch_unwind().await;
    let done = match outcome.unwrap_or_else(|panic| Err(ActionError::from(panicked(&*panic)))) {
        Ok(done) => done,
        Err(error) => {
            // An action can ask for a second permission.
            if let ActionError::Denied(denial) = &error {
                about.decision = AuditDecision::Denied { by: denial.denied.by.clone() };
            }
            return Err(call.refuse(name, &about, error).await);
        }
    };
    let reply = match render::success(call.format, name, &done.reply) {
        Ok(reply) => reply,
        // The row of a change stands already, and says that it was done.
        Err(error) if done.audited => return Err(error),
        Err(error) => return Err(call.refuse(name, &about, error).await),
    };
    if !done.audited {
        let row = call.audit(name, &about.resource, about.decision, "OK");
        let row = AuditEvent { recording: done.recording, how: done.how.to_owned(), ..row };
        call.hansard.store.record_audit(row).await?;
    }
    Ok(reply)
}

impl From<Refusal> for ActionError {
    fn from(refusal: Refusal) -> Self {
        Self::unexpected("an action panicked", refusal.chain.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use domain::actions::{CATALOGUE, Door};

    use super::*;

    #[test]
    fn every_action_of_the_wire_is_registered() {
        for entry in CATALOGUE.iter().filter(|entry| entry.door == Door::Wire) {
            let found = find(Ok(entry.product.version()), Ok(entry.name));
            assert!(found.is_ok_and(|found| found.entry == *entry), "{}", entry.name);
        }
    }

    #[test]
    fn what_is_not_in_the_catalogue_cannot_be_reached() {
        for registered in REGISTRY.iter().flat_map(|of_product| of_product.iter()) {
            let entry = registered.entry;
            let row = actions::find(entry.product.version(), entry.name);
            assert_eq!(row.expect("a registered action has its row").door, Door::Wire);
        }
        let refused = |version, action| find(Ok(version), Ok(action)).err().map(|error| error.code());
        let workbench = Product::Workbench.version();
        for entry in CATALOGUE.iter().filter(|entry| entry.door != Door::Wire) {
            let code = refused(entry.product.version(), entry.name);
            assert_eq!(code, Some(ErrorCode::ActionNotFound), "{}", entry.name);
        }
        for other in ["", "LoginInstance", "listagents", "ListAgents ", "Nothing"] {
            assert_eq!(refused(workbench, other), Some(ErrorCode::ActionNotFound), "{other:?}");
        }
        assert_eq!(refused(Product::Ram.version(), "ListAgents"), Some(ErrorCode::ActionNotFound));
        assert_eq!(refused("2015-05-02", "ListAgents"), Some(ErrorCode::InvalidVersion));
        assert_eq!(refused("", "Nothing"), Some(ErrorCode::InvalidVersion));
    }

    #[test]
    fn a_missing_version_is_told_before_a_missing_action() {
        let error = find(Err(WireError::missing("Version")), Err(&WireError::missing("Action"))).err();
        assert_eq!(error.map(|error| error.code_text()).as_deref(), Some("MissingVersion"));
    }
}
