//! The gate: the only place that can make a [`Granted`], which the store demands.
//!
//! Four callers ask it: dispatch, the replay exchange, the agent API, and jobs with `hansard admin`
//! (DECISIONS I3). Accounts and RAM users are decided by their policies; agents, jobs and operators by the
//! fixed rules in [`fixed_rule`].

use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::Arc;

use policies::{
    Context, ContextValue, Decision, Layers, Outcome, PolicySet, PolicyType, ResourcePattern, StatementId,
    keys,
};

use crate::actions::{Action, CatalogueEntry, Door, Product};
use crate::identity::{GroupName, PolicyKind, PolicyRef, RoleName, UserName};
use crate::principal::Principal;
use crate::role::AssumableRole;
use crate::{AccountId, InstanceId, Region, Timestamp};

/// The condition key of AssumeRole's ExternalId.
const EXTERNAL_ID: &str = "sts:ExternalId";
/// The condition key of AssumeRole's SourceIdentity.
const SOURCE_IDENTITY: &str = "sts:SourceIdentity";

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
    /// Things of the identity store, all of which the caller must be allowed: a user, or a user and the policy that
    /// is attached to it.
    Identity(Vec<IdentityResource>),
}

/// One thing of the identity store, as policies are asked about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityResource {
    /// `root`: the account's owner, who has access keys too.
    Owner,
    /// `user/<name>`.
    User(UserName),
    /// `user/*`: all users.
    Users,
    /// `group/<name>`.
    Group(GroupName),
    /// `group/*`: all groups.
    Groups,
    /// `role/<name>`.
    Role(RoleName),
    /// `role/*`: all roles.
    Roles,
    /// `role/<name>` of the role that a session is to be of, in the role's own account.
    AssumableRole(AssumableRole),
    /// `policy/<name>`, of the account or of the system.
    Policy(PolicyRef),
    /// `policy/*`: all policies.
    Policies,
}

impl IdentityResource {
    /// What it is, in a word.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Owner => "account's owner",
            Self::User(_) | Self::Users => "user",
            Self::Group(_) | Self::Groups => "group",
            Self::Role(_) | Self::Roles | Self::AssumableRole(_) => "role",
            Self::Policy(_) | Self::Policies => "policy",
        }
    }

    fn arn(&self, account: &AccountId) -> String {
        let ram = Product::Ram.ram_code();
        match self {
            Self::Owner => format!("acs:{ram}::{account}:root"),
            Self::User(name) => format!("acs:{ram}::{account}:user/{name}"),
            Self::Users => format!("acs:{ram}::{account}:user/*"),
            Self::Group(name) => format!("acs:{ram}::{account}:group/{name}"),
            Self::Groups => format!("acs:{ram}::{account}:group/*"),
            Self::Role(name) => format!("acs:{ram}::{account}:role/{name}"),
            Self::Roles => format!("acs:{ram}::{account}:role/*"),
            Self::AssumableRole(role) => role.arn.to_string(),
            Self::Policy(PolicyRef { kind: PolicyKind::Custom, name }) => {
                format!("acs:{ram}::{account}:policy/{name}")
            }
            Self::Policy(PolicyRef { kind: PolicyKind::System, name }) => {
                format!("acs:{ram}::system:policy/{name}")
            }
            Self::Policies => format!("acs:{ram}::{account}:policy/*"),
        }
    }
}

impl Resource {
    /// The ARNs that policies are asked about; each must be allowed.
    #[must_use]
    pub fn arns(&self, account: &AccountId) -> Vec<String> {
        let workbench = Product::Workbench.ram_code();
        match self {
            Self::Instance { region, instance } => {
                vec![format!("acs:{workbench}:{region}:{account}:workbench/{instance}")]
            }
            Self::AllInstances { region } => {
                vec![format!("acs:{workbench}:{region}:{account}:workbench/*")]
            }
            Self::Everything => vec!["*".to_owned()],
            Self::Identity(things) => things.iter().map(|thing| thing.arn(account)).collect(),
        }
    }

    /// What it is about in one text, for audit: the ARN, `*`, or several ARNs with a blank between.
    #[must_use]
    pub fn arn(&self, account: &AccountId) -> String {
        self.arns(account).join(" ")
    }

    /// The role that a session is to be of, where the call is about one.
    #[must_use]
    pub fn assumable_role(&self) -> Option<&AssumableRole> {
        let Self::Identity(things) = self else { return None };
        things.iter().find_map(|thing| match thing {
            IdentityResource::AssumableRole(role) => Some(role),
            _ => None,
        })
    }

    /// Whether a denial for any single instance must refuse the whole (DECISIONS I4).
    fn covers_many_instances(&self) -> bool {
        match self {
            Self::Instance { .. } | Self::Identity(_) => false,
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

    /// The same with the trust policy of the role that is to be assumed, which must then allow it too.
    #[must_use]
    pub fn with_trust(self, trust: PolicySet) -> Self {
        Self::new(Layers { trust: Some(trust), ..Arc::unwrap_or_clone(self.0) })
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
            Resource::AllInstances { .. } | Resource::Everything | Resource::Identity(_) => None,
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
    /// The product whose words the refusal is told in.
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
    /// The statement or fixed rule that decided. For audit and for those who may explain; never for the caller.
    pub by: Option<String>,
    /// The statement, where it was one.
    pub statement: Option<Box<StatementId>>,
    /// What conditions were asked about: every key of the request with its values.
    pub context: Vec<(String, Vec<String>)>,
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
        Principal::Account { .. } | Principal::User { .. } | Principal::AssumedRole { .. } => {
            ask_policies(&A::ENTRY, principal, &resource, policies, facts)?
        }
        Principal::Agent { .. } | Principal::System { .. } | Principal::Operator { .. } => {
            fixed_rule(&A::ENTRY, principal, &resource)?
        }
    };
    Ok(Granted { principal: principal.clone(), resource, by, action: PhantomData })
}

/// What policies say of an action, in the same words as [`authorize`], without permitting it: for those who ask what
/// somebody could do.
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
    ask_policies(entry, principal, resource, policies, facts)
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
    let context = context(&principal_arn, resource, facts);
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
                return Err(denied(arn, explicit, reason.policy_type(), reason.statement().cloned()));
            }
        }
        if entry.product == Product::Workbench && resource.covers_many_instances() {
            let every_instance =
                format!("acs:{}:*:{}:workbench/*", Product::Workbench.ram_code(), principal.account());
            let every_instance = ResourcePattern::parse(&every_instance).expect("a well-formed ARN pattern");
            if let Some(by) = policies::could_deny(layers, &request, &every_instance) {
                return Err(denied(arn, true, by.layer.into(), Some(by)));
            }
        }
    }
    // A call about nothing at all is nobody's to permit.
    let by =
        allowed_by.ok_or_else(|| denied("", false, PolicyType::AccountLevelIdentityBasedPolicy, None))?;
    Ok(by)
}

/// The context keys that are set on every request (RAM.md, section 4, "always"), and those of AssumeRole.
fn context(principal_arn: &str, resource: &Resource, facts: &RequestFacts) -> Context {
    let mut context = Context::new();
    context.insert("acs:CurrentTime", facts.now.to_rfc3339_seconds());
    context.insert("acs:SecureTransport", facts.secure_transport.to_string());
    context.insert("acs:MFAPresent", facts.multi_factor.to_string());
    context.insert("acs:PrincipalARN", principal_arn);
    if let Some(address) = facts.source_address {
        context.insert("acs:SourceIp", address.to_canonical().to_string());
    }
    if let Some(role) = resource.assumable_role() {
        if let Some(external_id) = &role.external_id {
            context.insert(EXTERNAL_ID, external_id.as_str());
        }
        if let Some(source_identity) = &role.source_identity {
            context.insert(SOURCE_IDENTITY, source_identity.as_str());
        }
    }
    context
}

/// A context as texts, its keys in the spelling that people know.
fn shown(context: &Context) -> Vec<(String, Vec<String>)> {
    let spelled = [
        keys::CURRENT_TIME,
        keys::SECURE_TRANSPORT,
        keys::SOURCE_IP,
        keys::MFA_PRESENT,
        keys::PRINCIPAL_ARN,
        EXTERNAL_ID,
        SOURCE_IDENTITY,
    ];
    let key = |lower: &str| {
        let known = spelled.into_iter().find(|known| known.eq_ignore_ascii_case(lower));
        known.unwrap_or(lower).to_owned()
    };
    let texts = |values: &[ContextValue]| values.iter().map(|value| value.text().to_owned()).collect();
    context.iter().map(|(lower, values)| (key(lower), texts(values))).collect()
}

/// Agents may do what comes through their door, on their own instance; jobs and operators what comes through
/// theirs.
fn fixed_rule(entry: &CatalogueEntry, principal: &Principal, resource: &Resource) -> Result<String, Denied> {
    let permitted = match (principal, entry.door, resource) {
        (Principal::Agent { instance: own, .. }, Door::AgentApi, Resource::Instance { instance, .. }) => {
            own == instance
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
        context: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use policies::{DocumentKind, PolicyDocument, PolicySet};

    use super::*;
    use crate::actions::{
        GetInstanceRecordConfig, ListInstanceRecords, OpenRecording, SetInstanceRecordConfig,
        SweepRecordings, ViewInstanceRecords,
    };
    use crate::identity::{UserId, UserName};

    fn account() -> AccountId {
        "1609982529000000".parse().unwrap()
    }

    fn user() -> Principal {
        Principal::User {
            account: account(),
            user_id: UserId::parse("200000000000000001").unwrap(),
            user_name: UserName::parse("ana").unwrap(),
        }
    }

    fn policies(statements: &str) -> PrincipalPolicies {
        let text = format!(r#"{{"Version":"1","Statement":[{statements}]}}"#);
        let document = PolicyDocument::parse(text.as_bytes(), DocumentKind::Identity).unwrap();
        PrincipalPolicies::new(Layers {
            identity: PolicySet::new(vec![("test".into(), Arc::new(document))]),
            ..Layers::default()
        })
    }

    fn facts() -> RequestFacts {
        RequestFacts {
            now: Timestamp::from_millis(1_790_000_000_000),
            source_address: Some("10.1.2.3".parse().unwrap()),
            secure_transport: false,
            multi_factor: false,
        }
    }

    fn instance(id: &str) -> Resource {
        Resource::Instance { region: "cn-hangzhou".parse().unwrap(), instance: id.parse().unwrap() }
    }

    fn all() -> Resource {
        Resource::AllInstances { region: "cn-hangzhou".parse().unwrap() }
    }

    const ALLOW_ALL: &str = r#"{"Effect":"Allow","Action":"ecs-workbench:*","Resource":"*"}"#;

    #[test]
    fn the_account_comes_from_the_principal_and_the_statement_is_remembered() {
        let granted =
            authorize::<GetInstanceRecordConfig>(&user(), instance("i-1"), &policies(ALLOW_ALL), &facts())
                .unwrap();
        assert_eq!(granted.account(), &account());
        assert_eq!(granted.instance(), Some(&"i-1".parse().unwrap()));
        assert!(granted.by().ends_with("test#0"), "{}", granted.by());
    }

    #[test]
    fn a_star_is_no_way_round_a_deny_of_one_instance() {
        let deny = r#"{"Effect":"Deny","Action":"*:*InstanceRecord*","Resource":"acs:ecs-workbench:*:*:workbench/i-9*"}"#;
        let policies = policies(&format!("{ALLOW_ALL},{deny}"));
        let set = authorize::<SetInstanceRecordConfig>(&user(), all(), &policies, &facts()).unwrap_err();
        assert!(set.explicit && set.by.unwrap().ends_with("test#1"));
        authorize::<ListInstanceRecords>(&user(), Resource::Everything, &policies, &facts()).unwrap_err();
        authorize::<ListInstanceRecords>(&user(), instance("i-1"), &policies, &facts()).unwrap();
        authorize::<ListInstanceRecords>(&user(), instance("i-90"), &policies, &facts()).unwrap_err();
    }

    #[test]
    fn a_deny_elsewhere_leaves_the_star_alone() {
        let deny = r#"{"Effect":"Deny","Action":"*","Resource":"acs:ecs-workbench:*:1000000000000001:workbench/*"},
                      {"Effect":"Deny","Action":"*","Resource":"acs:ecs:*:*:instance/*"},
                      {"Effect":"Deny","Action":"ecs-workbench:View*","Resource":"acs:ecs-workbench:*:*:workbench/*"}"#;
        let policies = policies(&format!("{ALLOW_ALL},{deny}"));
        authorize::<SetInstanceRecordConfig>(&user(), all(), &policies, &facts()).unwrap();
        authorize::<ListInstanceRecords>(&user(), Resource::Everything, &policies, &facts()).unwrap();
    }

    #[test]
    fn an_allow_of_one_instance_does_not_cover_the_star() {
        let policies =
            policies(r#"{"Effect":"Allow","Action":"*","Resource":"acs:ecs-workbench:*:*:workbench/i-1"}"#);
        authorize::<ViewInstanceRecords>(&user(), instance("i-1"), &policies, &facts()).unwrap();
        let denied = authorize::<SetInstanceRecordConfig>(&user(), all(), &policies, &facts()).unwrap_err();
        assert!(!denied.explicit && denied.by.is_none());
        authorize::<ListInstanceRecords>(&user(), Resource::Everything, &policies, &facts()).unwrap_err();
    }

    #[test]
    fn the_context_keys_are_always_set() {
        let condition = r#""Condition":{"IpAddress":{"acs:SourceIp":"10.0.0.0/8"},
            "Bool":{"acs:SecureTransport":"false","acs:MFAPresent":"false"},
            "StringEquals":{"acs:PrincipalARN":"acs:ram::1609982529000000:user/ana"},
            "DateGreaterThan":{"acs:CurrentTime":"2026-01-01T00:00:00Z"}}"#;
        let policies = policies(&format!(r#"{{"Effect":"Allow","Action":"*","Resource":"*",{condition}}}"#));
        authorize::<GetInstanceRecordConfig>(&user(), instance("i-1"), &policies, &facts()).unwrap();
        let elsewhere = RequestFacts { source_address: Some("11.1.1.1".parse().unwrap()), ..facts() };
        authorize::<GetInstanceRecordConfig>(&user(), instance("i-1"), &policies, &elsewhere).unwrap_err();
    }

    #[test]
    fn fixed_rules_keep_each_principal_behind_its_own_door() {
        let agent = Principal::Agent {
            account: account(),
            agent: recording::AgentId::generate(),
            instance: "i-1".parse().unwrap(),
        };
        let none = PrincipalPolicies::none();
        authorize::<OpenRecording>(&agent, instance("i-1"), &none, &facts()).unwrap();
        authorize::<OpenRecording>(&agent, instance("i-2"), &none, &facts()).unwrap_err();
        authorize::<SetInstanceRecordConfig>(&agent, instance("i-1"), &none, &facts()).unwrap_err();
        authorize::<SweepRecordings>(&agent, instance("i-1"), &none, &facts()).unwrap_err();
        let system = Principal::System { account: account() };
        authorize::<SweepRecordings>(&system, Resource::Everything, &none, &facts()).unwrap();
        authorize::<ViewInstanceRecords>(&system, instance("i-1"), &none, &facts()).unwrap_err();
        // Not even the owner comes in by the agents' door.
        authorize::<OpenRecording>(&user(), instance("i-1"), &policies(ALLOW_ALL), &facts()).unwrap_err();
    }
}
