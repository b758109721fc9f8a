//! SimulatePolicy: what a stored principal could do, or what draft documents would permit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::AccountId;
use domain::actions::{
    Action, CatalogueEntry, GetPolicy, ListPoliciesForGroup, ListPoliciesForRole, ListPoliciesForUser,
    SimulatePolicy,
};
use domain::gate::{self, Denied, Granted, IdentityResource, Resource};
use domain::parameter::Parameter;
use domain::policy_bearer::PolicyBearer;
use domain::principal::Principal;
use domain::vocabulary::vocabulary;
use openapi::error_codes::WireError;
use openapi::parameter_types::Written;
use openapi::parameters::refused_as;
use openapi::workbench::{
    DraftTexts, Envelope, Names, PolicySimulation, SimulatePolicyReply, SimulatePolicyRequest,
    StoredPrincipal,
};
use policies::{Draft, Drafts, Layers, NamedContext};

use crate::diagnostics::Denial;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;
use crate::limits::concurrency::LONGEST_WAIT;
use openapi::policy_tools::{self, ANYBODY, NotSimulated, SimulationQuestions};

/// The most questions that one call answers.
const MOST_QUESTIONS: usize = 10_000;
/// The most with explanations, which are much longer.
const MOST_EXPLAINED: usize = 100;
/// A simulation that takes longer is cancelled, as with large policies and many questions.
const LONGEST: Duration = Duration::from_secs(10);

impl RpcAction for SimulatePolicy {
    type Input = Input;

    fn read(caller: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        let stored = request.stored_principal.clone().transpose()?;
        Ok(Input { stored: stored.map(|stored| own(caller.account(), stored)).transpose()?, request })
    }

    /// The principal whose stored policies are asked. Drafts concern nothing that is stored here.
    async fn locate(_: &Call<'_>, input: &Self::Input) -> Result<Located, ActionError> {
        let resource = match &input.stored {
            Some(bearer) => Resource::Identity(vec![bearer.resource()]),
            None => Resource::Everything,
        };
        Ok(resource.into())
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        input: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let Input { stored: bearer, request } = input;
        let present = match &bearer {
            Some(bearer) => {
                may_read_policies(call, &granted, bearer).await?;
                Some(call.store.policies_of_bearer(&granted, bearer).await?.layers().clone())
            }
            None => None,
        };
        let asked_as = asked_as(granted.account(), &request, bearer.as_ref());
        let wanted = Wanted::default();
        let goes_on = Arc::clone(&wanted.0);
        let work = move || simulated(&request, asked_as, present, || goes_on.load(Ordering::Relaxed));
        // The time limit does not include the wait for other simulations.
        let permit = call.hansard.work.simulating.acquire_within(LONGEST_WAIT).await?;
        let outcome = tokio::time::timeout(LONGEST, permit.run(work)).await;
        let too_long = || {
            let rule =
                format!("the answers take more than {} s; ask fewer questions at once", LONGEST.as_secs());
            WireError::invalid("Actions", rule)
        };
        let root = outcome
            .map_err(|_| too_long())?
            .map_err(|panic| ActionError::unexpected("a simulation ended early", panic))??;
        Ok(Done::read(SimulatePolicyReply { envelope: Envelope::ok(call.request_id().as_str()), root }))
    }
}

/// What is to be simulated.
pub(crate) struct Input {
    /// The principal whose stored policies are asked.
    stored: Option<PolicyBearer>,
    /// The rest, which can be long: it is read once the call has a permit, where blocking is allowed.
    request: SimulatePolicyRequest,
}

/// Tells the work that its caller has left or has waited long enough.
struct Wanted(Arc<AtomicBool>);

impl Default for Wanted {
    fn default() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// A simulation of stored policies reveals their content. A caller who may not list and read them must not learn it
/// here, and a permission for all of ecs-workbench does not include it.
async fn may_read_policies(
    call: &Call<'_>,
    granted: &Granted<SimulatePolicy>,
    bearer: &PolicyBearer,
) -> Result<(), ActionError> {
    let list: &CatalogueEntry = match bearer {
        PolicyBearer::User(_) => &ListPoliciesForUser::ENTRY,
        PolicyBearer::Group(_) => &ListPoliciesForGroup::ENTRY,
        PolicyBearer::Role(_) => &ListPoliciesForRole::ENTRY,
    };
    // Answers name statements, including those of groups' policies and of control policies.
    let all = Resource::Identity(vec![IdentityResource::Policies]);
    let policies = call.deciding.policies_of(call.principal()).await?;
    for (entry, resource) in [(list, granted.resource()), (&GetPolicy::ENTRY, &all)] {
        let asked = gate::would_permit(entry, call.principal(), resource, &policies, &call.facts());
        asked.map_err(|denied| {
            // The call belongs to ecs-workbench, and its refusals use that product's codes.
            let denied = Denied { product: SimulatePolicy::ENTRY.product, ..denied };
            Denial::sealed(denied, &call.hansard.keys)
        })?;
    }
    Ok(())
}

/// The stored principal, which must belong to the caller's account.
fn own(account: &AccountId, stored: StoredPrincipal) -> Result<PolicyBearer, WireError> {
    if stored.account.is_some_and(|named| named != *account) {
        return Err(WireError::invalid("StoredPrincipal", StoredPrincipal::RULE));
    }
    Ok(stored.bearer)
}

/// The ARN of the principal that the questions are about.
fn asked_as(account: &AccountId, request: &SimulatePolicyRequest, bearer: Option<&PolicyBearer>) -> String {
    match (&request.principal, bearer) {
        (Some(principal), _) => principal.as_str().to_owned(),
        (None, Some(PolicyBearer::User(name))) => format!("acs:ram::{account}:user/{name}"),
        (None, Some(PolicyBearer::Role(name))) => format!("acs:ram::{account}:role/{name}"),
        (None, Some(PolicyBearer::Group(_)) | None) => ANYBODY.to_owned(),
    }
}

fn simulated(
    request: &SimulatePolicyRequest,
    principal: String,
    present: Option<Layers>,
    wanted: impl Fn() -> bool,
) -> Result<PolicySimulation, WireError> {
    let drafts = drafts(request)?;
    let refused = |refused: policies::InvalidDraft| {
        let parameter = refused.name.split('[').next().unwrap_or_default().to_owned();
        WireError::invalid(parameter, refused)
    };
    let layers = match present {
        Some(present) => drafts.beside(present),
        None => drafts.layers(&principal),
    }
    .map_err(refused)?;
    let Names(actions) = meant("Actions", &request.actions)?;
    let actions = policy_tools::expanded(&actions, &vocabulary())
        .map_err(|wrong| WireError::invalid("Actions", wrong))?;
    let resources = match &request.resources {
        Some(resources) => meant("Resources", resources)?.0,
        None => vec!["*".to_owned()],
    };
    let contexts = contexts(request)?;
    let explain = request.explain.unwrap_or(false);
    let most = if explain { MOST_EXPLAINED } else { MOST_QUESTIONS };
    let questions = SimulationQuestions { principal, actions, resources, contexts, explain };
    policy_tools::simulate(&layers, questions, most, wanted).map_err(|refused| match refused {
        NotSimulated::TooManyQuestions { .. } | NotSimulated::Stopped => {
            WireError::invalid("Actions", refused)
        }
    })
}

fn drafts(request: &SimulatePolicyRequest) -> Result<Drafts, WireError> {
    let one = |name: &str, text: Option<&str>| {
        text.map(|text| Draft { name: name.to_owned(), text: text.as_bytes().to_owned() })
    };
    Ok(Drafts {
        identity: documents("PolicyDocuments", request.policy_documents.as_ref())?,
        session: one("SessionPolicy", request.session_policy.as_ref().map(Written::as_str)),
        control: documents("ControlPolicies", request.control_policies.as_ref())?,
        trust: one("TrustPolicy", request.trust_policy.as_ref().map(Written::as_str)),
    })
}

fn documents(
    parameter: &'static str,
    written: Option<&Written<DraftTexts>>,
) -> Result<Vec<Draft>, WireError> {
    let Some(written) = written else { return Ok(Vec::new()) };
    let named = meant(parameter, written)?.0.into_iter().enumerate();
    Ok(named
        .map(|(index, text)| Draft { name: format!("{parameter}[{index}]"), text: text.into_bytes() })
        .collect())
}

fn contexts(request: &SimulatePolicyRequest) -> Result<Vec<NamedContext>, WireError> {
    match (&request.context, &request.contexts) {
        (Some(_), Some(_)) => Err(WireError::invalid("Contexts", "it cannot be combined with Context")),
        (None, Some(several)) => Ok(meant("Contexts", several)?.0),
        (Some(one), None) => {
            Ok(vec![NamedContext { name: String::new(), context: meant("Context", one)?.0 }])
        }
        (None, None) => Ok(vec![NamedContext::default()]),
    }
}

/// What a long parameter means.
fn meant<T: Parameter>(parameter: &'static str, written: &Written<T>) -> Result<T, WireError> {
    written.meaning().map_err(|refused| refused_as(parameter, &refused))
}
