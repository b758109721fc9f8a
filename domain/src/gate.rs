//! The gate: the only place that can make a [`Granted`], which the store demands.
//!
//! Four callers ask it: dispatch, the replay exchange, the agent API, and jobs with `hansard admin`
//! (DECISIONS I3). Accounts and RAM users are decided by their policies; agents, jobs and operators by the
//! fixed rules in [`fixed_rule`].

use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::Arc;

use policies::{Context, Decision, DenyReason, Layers, Outcome, PolicyType};

use crate::actions::{Action, CatalogueEntry, Door, RAM_CODE};
use crate::principal::Principal;
use crate::{AccountId, InstanceId, Region, Timestamp};

/// What an action is asked about. The account of its ARN is the caller's own (DECISIONS I3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// One instance, in the region where it is stored; unknown ones take the deployment's region.
    Instance {
        /// The instance's region.
        region: Region,
        /// The instance.
        instance: InstanceId,
    },
    /// `*` in SetInstanceRecordConfig: every instance, `...:workbench/*`.
    AllInstances {
        /// The deployment's region.
        region: Region,
    },
    /// `*`: an operation without an instance, such as an unfiltered list.
    Everything,
}

impl Resource {
    /// The ARN that policies are asked about.
    #[must_use]
    pub fn arn(&self, account: &AccountId) -> String {
        match self {
            Self::Instance { region, instance } => format!("acs:{RAM_CODE}:{region}:{account}:workbench/{instance}"),
            Self::AllInstances { region } => format!("acs:{RAM_CODE}:{region}:{account}:workbench/*"),
            Self::Everything => "*".to_owned(),
        }
    }

    /// Whether a denial for any single instance must refuse the whole (DECISIONS I4).
    fn covers_many_instances(&self) -> bool {
        match self {
            Self::Instance { .. } => false,
            Self::AllInstances { .. } | Self::Everything => true,
        }
    }
}

/// What the request itself brings to a decision; from it come the context keys that are always set.
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
    by: String,
    action: PhantomData<A>,
}

// By hand, because a derive would demand that the (uninhabited) action itself be Clone.
impl<A: Action> Clone for Granted<A> {
    fn clone(&self) -> Self {
        Self {
            principal: self.principal.clone(),
            resource: self.resource.clone(),
            by: self.by.clone(),
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
            Resource::Instance { instance, .. } => Some(instance),
            Resource::AllInstances { .. } | Resource::Everything => None,
        }
    }

    /// The statement or fixed rule that permitted it, for audit.
    #[must_use]
    pub fn by(&self) -> &str {
        &self.by
    }
}

/// A refusal by policy, with what the caller may learn and what only audit may.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{principal} may not do {action} on {resource}")]
pub struct Denied {
    /// `ecs-workbench:<Action>`.
    pub action: String,
    /// The ARN, or `*`.
    pub resource: String,
    /// The caller.
    pub principal: Principal,
    /// Whether a statement denied it, or none allowed it.
    pub explicit: bool,
    /// Which kind of policy decided.
    pub policy_type: PolicyType,
    /// The statement that decided. For audit and for those who may explain; never for the caller.
    pub by: Option<String>,
}

/// Asks whether `principal` may do `A` on `resource`.
///
/// # Errors
/// [`Denied`] when a policy refuses or none allows; for `*`, also when an explicit Deny of the caller could
/// match a single instance, so that `*` is no way round it.
pub fn authorize<A: Action>(
    principal: &Principal,
    resource: Resource,
    policies: &PrincipalPolicies,
    facts: &RequestFacts,
) -> Result<Granted<A>, Denied> {
    let by = match principal {
        Principal::Account { .. } | Principal::User { .. } => ask_policies(&A::ENTRY, principal, &resource, policies, facts)?,
        Principal::Agent { .. } | Principal::System { .. } | Principal::Operator { .. } => {
            fixed_rule(&A::ENTRY, principal, &resource)?
        }
    };
    Ok(Granted { principal: principal.clone(), resource, by, action: PhantomData })
}

fn ask_policies(
    entry: &CatalogueEntry,
    principal: &Principal,
    resource: &Resource,
    policies: &PrincipalPolicies,
    facts: &RequestFacts,
) -> Result<String, Denied> {
    let action = entry.ram_action();
    let arn = resource.arn(principal.account());
    let denied = |explicit, policy_type, by: Option<String>| Denied {
        action: action.clone(),
        resource: arn.clone(),
        principal: principal.clone(),
        explicit,
        policy_type,
        by,
    };
    if !matches!(entry.door, Door::Wire | Door::Replay) {
        return Err(denied(false, PolicyType::AccountLevelIdentityBasedPolicy, Some("rule:door".to_owned())));
    }
    let principal_arn = principal.arn();
    let context = context(&principal_arn, facts);
    let request =
        policies::Request { principal: &principal_arn, action: &action, resource: &arn, context: &context };
    let layers = &policies.0;
    let decision = policies::evaluate(layers, &request);
    let by = match decision {
        Decision::Allow { by } => by.to_string(),
        Decision::Deny(reason) => {
            let explicit = reason.outcome() == Outcome::ExplicitDeny;
            let by = match &reason {
                DenyReason::ExplicitDeny { by } | DenyReason::CannotEvaluate { by, .. } => Some(by.to_string()),
                DenyReason::NothingAllows { .. } => None,
            };
            return Err(denied(explicit, reason.policy_type(), by));
        }
    };
    if resource.covers_many_instances() {
        if let Some(by) = policies::could_deny_instance(layers, &action, principal.account().as_str()) {
            return Err(denied(true, by.policy_type(), Some(by.to_string())));
        }
    }
    Ok(by)
}

/// The context keys that are set on every request (RAM.md, section 4, "always").
fn context(principal_arn: &str, facts: &RequestFacts) -> Context {
    let mut context = Context::new();
    context.insert("acs:CurrentTime", facts.now.to_rfc3339_seconds());
    context.insert("acs:SecureTransport", facts.secure_transport.to_string());
    context.insert("acs:MFAPresent", facts.multi_factor.to_string());
    context.insert("acs:PrincipalARN", principal_arn);
    if let Some(address) = facts.source_address {
        context.insert("acs:SourceIp", address.to_canonical().to_string());
    }
    context
}

/// Agents may do what comes through their door, on their own instance; jobs and operators what comes through
/// theirs.
fn fixed_rule(entry: &CatalogueEntry, principal: &Principal, resource: &Resource) -> Result<String, Denied> {
    let permitted = match (principal, entry.door, resource) {
        (Principal::Agent { instance: own, .. }, Door::AgentApi, Resource::Instance { instance, .. }) => own == instance,
        (Principal::System { .. }, Door::Job, _) | (Principal::Operator { .. }, Door::Administration, _) => true,
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
        action: entry.ram_action(),
        resource: resource.arn(principal.account()),
        principal: principal.clone(),
        explicit: false,
        policy_type: PolicyType::AccountLevelIdentityBasedPolicy,
        by: None,
    })
}
