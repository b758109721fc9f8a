//! The gate: the only code that can make a [`Granted`], which the store demands.
//!
//! Four callers ask it: dispatch, the replay exchange, the agent API, and jobs with `hansard admin`
//! (DECISIONS I3). Accounts and RAM users are decided by their policies; agents, jobs and operators by the
//! fixed rules in `fixed_rule`.

mod lists;
mod resource;
mod unmet;

use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::Arc;

use policies::{Context, ContextValue, Decision, Layers, Outcome, PolicySet, PolicyType, StatementId, keys};

pub use lists::{
    Admitted, Candidates, ListNeeds, ListScope, Listing, MAX_LISTED_CLASSES, MAX_LISTED_INSTANCES,
    MAX_LISTED_OWNERS, OwnerClass, RowClass, TooWide, list_needs,
};

pub use resource::{IdentityResource, InstanceFacts, Resource};
pub use unmet::UnmetCondition;

use crate::actions::{Action, CatalogueEntry, Door, Product};
use crate::condition_keys;
use crate::decided_under::DecidedUnder;
use crate::identity::AccessKeyId;
use crate::principal::Principal;
use crate::{AccountId, InstanceId, Timestamp, vocabulary};

/// The request's own facts for a decision, from which the context keys about the caller and the call are made.
#[derive(Debug, Clone)]
pub struct RequestFacts {
    /// The server's time of the request: `acs:CurrentTime`.
    pub now: Timestamp,
    /// The caller's address, where one is known: `acs:SourceIp`.
    pub source_address: Option<IpAddr>,
    /// Whether the call came over TLS: `acs:SecureTransport`.
    pub secure_transport: bool,
    /// Whether the caller signed in with a second factor: `acs:MFAPresent`.
    pub multi_factor: bool,
    /// The key that signed it: `acs:AccessId`.
    pub access_key: Option<AccessKeyId>,
    /// The caller's program, where it names itself: `acs:UserAgent`.
    pub user_agent: Option<String>,
    /// The revisions under which the policies and all other facts were read.
    pub decided_under: DecidedUnder,
}

impl RequestFacts {
    /// For what does not come over a network: the work of a job, or of an operator at the database.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self {
            now,
            source_address: None,
            secure_transport: true,
            multi_factor: false,
            access_key: None,
            user_agent: None,
            decided_under: DecidedUnder::default(),
        }
    }
}

/// The policies of one principal, as the store found them.
#[derive(Debug, Clone)]
pub struct PrincipalPolicies(Arc<Layers>);

impl PrincipalPolicies {
    /// Wraps what the store assembled.
    #[must_use]
    pub fn new(layers: Layers) -> Self {
        Self(Arc::new(layers))
    }

    /// The same with the trust policy of the role to assume, which must then allow it too.
    #[must_use]
    pub fn with_trust(self, trust: PolicySet) -> Self {
        Self::new(Layers { trust: Some(trust), ..Arc::unwrap_or_clone(self.0) })
    }

    /// What decides.
    #[must_use]
    pub fn layers(&self) -> &Layers {
        &self.0
    }

    /// For principals that fixed rules decide.
    #[must_use]
    pub fn none() -> Self {
        Self::new(Layers::default())
    }
}

/// Permission for one call of action `A`. Only [`authorize`] makes one; the store demands it, and takes the
/// account from it.
#[derive(Debug)]
pub struct Granted<A: Action> {
    principal: Principal,
    resource: Resource,
    scope: Option<ListScope>,
    by: String,
    decided_under: DecidedUnder,
    action: PhantomData<A>,
}

// By hand, because a derive would demand that the (uninhabited) action itself be Clone.
impl<A: Action> Clone for Granted<A> {
    fn clone(&self) -> Self {
        Self {
            principal: self.principal.clone(),
            resource: self.resource.clone(),
            scope: self.scope.clone(),
            by: self.by.clone(),
            decided_under: self.decided_under.clone(),
            action: PhantomData,
        }
    }
}

impl<A: Action> Granted<A> {
    /// The account on which the action may work.
    #[must_use]
    pub fn account(&self) -> &AccountId {
        self.principal.account()
    }

    /// The caller.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// What was asked about.
    #[must_use]
    pub fn resource(&self) -> &Resource {
        &self.resource
    }

    /// The one instance that the permission is for; `None` when it is for all of them.
    #[must_use]
    pub fn instance(&self) -> Option<&InstanceId> {
        match &self.resource {
            Resource::Instance(of) | Resource::Recording { of, .. } => Some(&of.instance),
            Resource::List(listing) => listing.of.as_ref().map(|of| &of.instance),
            Resource::AllInstances { .. } | Resource::Everything | Resource::Identity(_) => None,
        }
    }

    /// Which rows a list may show; `None` when no list was asked for.
    #[must_use]
    pub fn list_scope(&self) -> Option<&ListScope> {
        self.scope.as_ref()
    }

    /// The statement or fixed rule that permitted it, for audit.
    #[must_use]
    pub fn by(&self) -> &str {
        &self.by
    }

    /// The revisions under which it was decided. What it permits may be done only while they stand.
    #[must_use]
    pub fn decided_under(&self) -> &DecidedUnder {
        &self.decided_under
    }
}

/// A refusal by policy, with what the caller may learn and what only the audit trail may contain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{principal} may not do {action} on {resource}")]
pub struct Denied {
    /// The product whose error code is used for the refusal.
    pub product: Product,
    /// `<ram-code>:<permission>`.
    pub action: String,
    /// The ARN, or `*`: of several, the one that was refused.
    pub resource: String,
    /// The caller.
    pub principal: Principal,
    /// Whether a statement denied it, or none allowed it.
    pub explicit: bool,
    /// Which kind of policy decided.
    pub policy_type: PolicyType,
    /// The statement or fixed rule that decided. For the audit trail and for explanations; never for the caller.
    pub by: Option<String>,
    /// The statement, where it was one.
    pub statement: Option<Box<StatementId>>,
    /// What conditions were asked about: every key of the request with its values.
    pub context: Box<[(String, Vec<String>)]>,
    /// Where nothing allowed it: the conditions of statements that would otherwise have. Never for the caller.
    pub unmet: Box<[UnmetCondition]>,
    /// What the caller is told.
    pub told: Told,
}

/// What the caller learns about a denial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// That it is denied.
    Denial,
    /// That there is no such recording. On this instance the caller may learn which tokens do not exist, so that a
    /// denial of this recording alone would reveal that it exists (DECISIONS I4).
    NoSuchRecording,
    /// That the list is too wide for what its policies ask of each row, and what to do about it.
    TooWide(TooWide),
}

/// Asks whether `principal` may do `A` on `resource`.
///
/// A list is permitted when some row of it could be shown, and then carries which ([`Granted::list_scope`]).
///
/// # Errors
/// [`Denied`] when a policy refuses or none allows; an action on all instances (`*`) is also denied when an explicit
/// Deny of the caller could match a single instance, so that `*` does not get around it.
pub fn authorize<A: Action>(
    principal: &Principal,
    resource: Resource,
    policies: &PrincipalPolicies,
    facts: &RequestFacts,
) -> Result<Granted<A>, Denied> {
    let mut scope = None;
    let by = match principal {
        Principal::Account { .. } | Principal::User { .. } | Principal::AssumedRole { .. } => {
            if let Resource::List(listing) = &resource {
                let (admitted, by) = lists::admit(&A::ENTRY, principal, listing, policies, facts)?;
                scope = Some(admitted);
                by
            } else {
                would_permit(&A::ENTRY, principal, &resource, policies, facts)?
            }
        }
        Principal::Agent { .. } | Principal::System { .. } | Principal::Operator { .. } => {
            fixed_rule(&A::ENTRY, principal, &resource)?
        }
    };
    let (principal, decided_under) = (principal.clone(), facts.decided_under.clone());
    Ok(Granted { principal, resource, scope, by, decided_under, action: PhantomData })
}

/// An existing recording is decided with its own attributes. If that is a denial, the caller gets the same answer as
/// for an unknown recording: a denial if the instance alone is denied, and otherwise that there is no such recording.
fn ask_about_recording(
    entry: &CatalogueEntry,
    principal: &Principal,
    recording: &Resource,
    of: &InstanceFacts,
    policies: &PrincipalPolicies,
    facts: &RequestFacts,
) -> Result<String, Denied> {
    let denied = match ask_policies(entry, principal, recording, policies, facts) {
        Ok(by) => return Ok(by),
        Err(denied) => denied,
    };
    let absent = Resource::Recording { of: of.clone(), found: None };
    match ask_policies(entry, principal, &absent, policies, facts) {
        Ok(_) => Err(Denied { told: Told::NoSuchRecording, ..denied }),
        Err(told) => Err(Denied { by: denied.by, ..told }),
    }
}

/// The trust policy of a role of another account decides too. If that is a denial, the caller gets the same answer as
/// for an unknown role: it may learn neither whom another account's role trusts nor whether the role exists.
fn ask_about_foreign_role(
    entry: &CatalogueEntry,
    principal: &Principal,
    role: &Resource,
    policies: &PrincipalPolicies,
    facts: &RequestFacts,
) -> Result<String, Denied> {
    let denied = match ask_policies(entry, principal, role, policies, facts) {
        Ok(by) => return Ok(by),
        Err(denied) => denied,
    };
    let trusts_nobody = policies.clone().with_trust(PolicySet::default());
    match ask_policies(entry, principal, role, &trusts_nobody, facts) {
        Ok(_) => Err(denied),
        Err(told) => Err(Denied { by: denied.by, ..told }),
    }
}

/// The policies' decision on an action, in the same form as [`authorize`], without permitting it: for callers who ask
/// what somebody could do.
///
/// # Errors
/// As [`authorize`].
pub fn would_permit(
    entry: &CatalogueEntry,
    principal: &Principal,
    resource: &Resource,
    policies: &PrincipalPolicies,
    facts: &RequestFacts,
) -> Result<String, Denied> {
    match resource {
        Resource::List(listing) => lists::admit(entry, principal, listing, policies, facts).map(|(_, by)| by),
        Resource::Recording { of, found: Some(_) } => {
            ask_about_recording(entry, principal, resource, of, policies, facts)
        }
        _ if resource.assumable_role().is_some_and(|role| role.arn.account != *principal.account()) => {
            ask_about_foreign_role(entry, principal, resource, policies, facts)
        }
        _ => ask_policies(entry, principal, resource, policies, facts),
    }
}

fn ask_policies(
    entry: &CatalogueEntry,
    principal: &Principal,
    resource: &Resource,
    policies: &PrincipalPolicies,
    facts: &RequestFacts,
) -> Result<String, Denied> {
    let action = entry.ram_action();
    let principal_arn = principal.policy_arn();
    let context = context(principal, &principal_arn, resource, facts);
    let denied = |resource: &str, explicit, policy_type, statement: Option<StatementId>| Denied {
        product: entry.product,
        action: action.clone(),
        resource: resource.to_owned(),
        principal: principal.clone(),
        explicit,
        policy_type,
        by: statement.as_ref().map(ToString::to_string),
        statement: statement.map(Box::new),
        context: shown(&context),
        unmet: Box::default(),
        told: Told::Denial,
    };
    let arns = resource.arns(principal.account());
    if !matches!(entry.door, Door::Wire | Door::Replay) {
        let nothing = denied(&arns.join(" "), false, PolicyType::AccountLevelIdentityBasedPolicy, None);
        return Err(Denied { by: Some("rule:door".to_owned()), ..nothing });
    }
    if !entry.needs_permission {
        return Ok("rule:needs-no-permission".to_owned());
    }
    let layers = &policies.0;
    let mut allowed_by = None;
    for arn in &arns {
        let request = policies::Request {
            principal: &principal_arn,
            action: &action,
            resource: arn,
            context: &context,
        };
        match policies::evaluate(layers, &request) {
            // Of several, the first is what the call is about.
            Decision::Allow { by } => allowed_by = allowed_by.or_else(|| Some(by.to_string())),
            Decision::Deny(reason) => {
                let explicit = reason.outcome() == Outcome::ExplicitDeny;
                let unmet = if explicit { Box::default() } else { unmet::unmet(layers, &request) };
                let denied = denied(arn, explicit, reason.policy_type(), reason.statement().cloned());
                return Err(Denied { unmet, ..denied });
            }
        }
        if resource.covers_many_instances() && vocabulary::is_about_instances(entry) {
            if !policies::allows_for_every_resource(layers, &request) {
                let by = Some("rule:condition-of-each-instance".to_owned());
                let nothing = denied(arn, false, PolicyType::AccountLevelIdentityBasedPolicy, None);
                return Err(Denied { by, ..nothing });
            }
            let every_instance = lists::every_instance(principal.account());
            if let Some(by) = policies::could_deny(layers, &request, &every_instance) {
                return Err(denied(arn, true, by.layer.into(), Some(by)));
            }
        }
    }
    // A call without a resource cannot be permitted.
    let by =
        allowed_by.ok_or_else(|| denied("", false, PolicyType::AccountLevelIdentityBasedPolicy, None))?;
    Ok(by)
}

/// The context keys of the caller and the call, of AssumeRole, and of the resource.
fn context(principal: &Principal, principal_arn: &str, resource: &Resource, facts: &RequestFacts) -> Context {
    let mut context = Context::new();
    context.insert(keys::CURRENT_TIME, facts.now.to_rfc3339_seconds());
    context.insert(keys::SECURE_TRANSPORT, facts.secure_transport);
    context.insert(keys::MFA_PRESENT, facts.multi_factor);
    context.insert(keys::PRINCIPAL_ARN, principal_arn);
    if let Some(address) = facts.source_address {
        context.insert(keys::SOURCE_IP, address);
    }
    if let Some(key) = &facts.access_key {
        context.insert(keys::ACCESS_ID, key.as_str());
    }
    if let Some(program) = &facts.user_agent {
        context.insert(keys::USER_AGENT, program.as_str());
    }
    if let Some(role) = resource.assumable_role() {
        if let Some(external_id) = &role.external_id {
            context.insert(condition_keys::EXTERNAL_ID, external_id.as_str());
        }
        if let Some(source_identity) = &role.source_identity {
            context.insert(condition_keys::SOURCE_IDENTITY, source_identity.as_str());
        }
    }
    match resource {
        Resource::Instance(of)
        | Resource::Recording { of, .. }
        | Resource::List(Listing { of: Some(of), .. }) => {
            condition_keys::insert_tags(&mut context, &of.tags);
        }
        _ => {}
    }
    if let Resource::Recording { found: Some(recording), .. } = resource {
        condition_keys::insert_recording(&mut context, recording, principal, facts.now);
    }
    context
}

/// A context as texts, its keys in the spelling that people know.
fn shown(context: &Context) -> Box<[(String, Vec<String>)]> {
    let texts = |values: &[ContextValue]| values.iter().map(|value| value.text().to_owned()).collect();
    context.iter().map(|(lower, values)| (vocabulary::spelled(lower), texts(values))).collect()
}

/// Agents may call the actions of their door, on their own instance; jobs and operators those of theirs.
fn fixed_rule(entry: &CatalogueEntry, principal: &Principal, resource: &Resource) -> Result<String, Denied> {
    let permitted = match (principal, entry.door, resource) {
        (Principal::Agent { instance: own, .. }, Door::AgentApi, Resource::Instance(of)) => {
            *own == of.instance
        }
        (Principal::System { .. }, Door::Job, _) | (Principal::Operator { .. }, Door::Administration, _) => {
            true
        }
        _ => false,
    };
    if permitted {
        return Ok(match principal {
            Principal::Agent { .. } => "rule:agent-own-instance",
            Principal::System { .. } => "rule:job",
            _ => "rule:operator",
        }
        .to_owned());
    }
    Err(Denied {
        product: entry.product,
        action: entry.ram_action(),
        resource: resource.arn(principal.account()),
        principal: principal.clone(),
        explicit: false,
        policy_type: PolicyType::AccountLevelIdentityBasedPolicy,
        by: None,
        statement: None,
        context: Box::default(),
        unmet: Box::default(),
        told: Told::Denial,
    })
}

#[cfg(test)]
mod tests;
