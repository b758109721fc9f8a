//! The gate: the only place that can make a [`Granted`], which the store demands.
//!
//! Four callers ask it: dispatch, the replay exchange, the agent API, and jobs with `hansard admin`
//! (DECISIONS I3). Accounts and RAM users are decided by their policies; agents, jobs and operators by the
//! fixed rules in [`fixed_rule`].

mod lists;

use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::Arc;

use policies::{Context, ContextValue, Decision, Layers, Outcome, PolicySet, PolicyType, StatementId, keys};

pub use lists::{
    Admitted, Candidates, ListNeeds, ListScope, Listing, MAX_LISTED_INSTANCES, MAX_LISTED_OWNERS, OwnerClass,
    RowClass, TooWide, list_needs,
};

use crate::actions::{Action, CatalogueEntry, Door, Product};
use crate::condition_keys::{self, RecordingFacts};
use crate::identity::{GroupName, PolicyKind, PolicyRef, RoleName, UserName};
use crate::instance_tags::InstanceTags;
use crate::principal::Principal;
use crate::role::AssumableRole;
use crate::{AccountId, InstanceId, Region, Timestamp};

/// The condition key of AssumeRole's ExternalId.
const EXTERNAL_ID: &str = "sts:ExternalId";
/// The condition key of AssumeRole's SourceIdentity.
const SOURCE_IDENTITY: &str = "sts:SourceIdentity";
/// An instance, as policies are asked about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceFacts {
    /// The region where it is stored; unknown ones take the deployment's region.
    pub region: Region,
    /// The instance.
    pub instance: InstanceId,
    /// Its tags.
    pub tags: InstanceTags,
}

impl InstanceFacts {
    /// An instance without tags, for principals that fixed rules decide: those ask for no tag.
    #[must_use]
    pub fn untagged(region: Region, instance: InstanceId) -> Self {
        Self { region, instance, tags: InstanceTags::default() }
    }

    fn arn(&self, account: &AccountId) -> String {
        let Self { region, instance, .. } = self;
        format!("acs:{}:{region}:{account}:workbench/{instance}", Product::Workbench.ram_code())
    }
}

/// What an action is asked about. The account of its ARN is the caller's own (DECISIONS I3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// One instance.
    Instance(InstanceFacts),
    /// One recording of an instance, found within the account and the instance; `None` when there is no such one.
    Recording {
        /// The instance that the caller names.
        of: InstanceFacts,
        /// The recording.
        found: Option<RecordingFacts>,
    },
    /// The rows of a list, those of one instance or of all.
    List(Listing),
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
            Self::Instance(of) | Self::Recording { of, .. } | Self::List(Listing { of: Some(of), .. }) => {
                vec![of.arn(account)]
            }
            Self::AllInstances { region } => {
                vec![format!("acs:{workbench}:{region}:{account}:workbench/*")]
            }
            Self::Everything | Self::List(Listing { of: None, .. }) => vec!["*".to_owned()],
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
            Self::Instance(_) | Self::Recording { .. } | Self::Identity(_) => false,
            // A list leaves out what is denied.
            Self::List(_) => false,
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
    /// What the caller is told.
    pub told: Told,
}

/// What the caller is told of a denial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// That it is denied.
    Denial,
    /// That there is no such recording: on this instance the caller may learn which tokens there are not, so a denial
    /// that only this recording meets would tell that it is there (DECISIONS I4).
    NoSuchRecording,
    /// That the list is too wide for what its policies ask of each row, and what to do about it.
    TooWide(TooWide),
}

/// Asks whether `principal` may do `A` on `resource`.
///
/// A list is permitted when some row of it could be shown, and then carries which ([`Granted::list_scope`]).
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
    Ok(Granted { principal: principal.clone(), resource, scope, by, action: PhantomData })
}

/// A recording that is there is decided by what it is. When that is a denial, the caller is told what it would be told
/// if there were no such recording: a denial where the instance alone is denied, and otherwise that there is none.
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
    match resource {
        Resource::List(listing) => lists::admit(entry, principal, listing, policies, facts).map(|(_, by)| by),
        Resource::Recording { of, found: Some(_) } => {
            ask_about_recording(entry, principal, resource, of, policies, facts)
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
                return Err(denied(arn, explicit, reason.policy_type(), reason.statement().cloned()));
            }
        }
        if entry.product == Product::Workbench && resource.covers_many_instances() {
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
    // A call about nothing at all is nobody's to permit.
    let by =
        allowed_by.ok_or_else(|| denied("", false, PolicyType::AccountLevelIdentityBasedPolicy, None))?;
    Ok(by)
}

/// The context keys that are set on every request (RAM.md, section 4, "always"), of AssumeRole, and of the resource.
fn context(principal: &Principal, principal_arn: &str, resource: &Resource, facts: &RequestFacts) -> Context {
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
fn shown(context: &Context) -> Vec<(String, Vec<String>)> {
    let spelled = [
        keys::CURRENT_TIME,
        keys::SECURE_TRANSPORT,
        keys::SOURCE_IP,
        keys::MFA_PRESENT,
        keys::PRINCIPAL_ARN,
        EXTERNAL_ID,
        SOURCE_IDENTITY,
        condition_keys::SESSION_OWNER,
        condition_keys::RECORDING_AGE,
        condition_keys::CAPTURE_KIND,
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
        context: Vec::new(),
        told: Told::Denial,
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
        Resource::Instance(InstanceFacts::untagged("cn-hangzhou".parse().unwrap(), id.parse().unwrap()))
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

    fn tagged(id: &str, tag: Option<(&str, &str)>) -> InstanceFacts {
        let tags = tag.map(|(key, value)| (key.parse().unwrap(), value.parse().unwrap()));
        let tags = InstanceTags::of(tags);
        InstanceFacts { region: "cn-hangzhou".parse().unwrap(), instance: id.parse().unwrap(), tags }
    }

    #[test]
    fn tags_are_asked_of_one_instance_and_a_star_is_no_way_round_them() {
        let set = |resource, statements: &str| {
            authorize::<SetInstanceRecordConfig>(&user(), resource, &policies(statements), &facts()).is_ok()
        };
        let one = |tag| Resource::Instance(tagged("i-1", tag));
        let deny = r#"{"Effect":"Deny","Action":"*","Resource":"*",
            "Condition":{"StringEquals":{"ecs-workbench:InstanceTag/Env":"prod"}}}"#;
        let careful = format!("{ALLOW_ALL},{deny}");
        assert!(!set(one(Some(("env", "prod"))), &careful), "keys compare without case");
        assert!(set(one(Some(("env", "Prod"))), &careful), "values do not");
        assert!(set(one(None), &careful));
        assert!(!set(all(), &careful), "an instance could have the tag");
        // Granted where the tag is not there, as every negated operator is (RAM.md, section 4), but not for all at once.
        let allow = r#"{"Effect":"Allow","Action":"*","Resource":"*",
            "Condition":{"StringNotEquals":{"ecs-workbench:InstanceTag/env":"prod"}}}"#;
        assert!(set(one(None), allow) && set(one(Some(("env", "test"))), allow));
        assert!(!set(one(Some(("env", "prod"))), allow));
        assert!(!set(all(), allow));
        assert!(set(all(), &format!("{allow},{ALLOW_ALL}")));
    }

    fn recording(owner: Option<&Principal>, age_days: i64) -> RecordingFacts {
        let now = facts().now.as_millis();
        RecordingFacts {
            token: crate::TerminalSessionToken::generate(),
            started_at: Timestamp::from_millis(now - age_days * condition_keys::DAY_MILLIS),
            owner: owner.and_then(condition_keys::SessionOwner::of),
            kind: "terminal".to_owned(),
        }
    }

    fn view(found: Option<RecordingFacts>, statements: &str) -> Result<Granted<ViewInstanceRecords>, Denied> {
        let resource = Resource::Recording { of: tagged("i-1", None), found };
        authorize(&user(), resource, &policies(statements), &facts())
    }

    #[test]
    fn a_denied_recording_is_told_as_one_that_is_not_there() {
        let other = Principal::Account { account: account() };
        let (own, foreign) = (recording(Some(&user()), 1), recording(Some(&other), 1));
        // Own sessions only: without a recording of one's own, nothing is allowed on the instance.
        let self_only = r#"{"Effect":"Allow","Action":"*","Resource":"*",
            "Condition":{"StringEquals":{"ecs-workbench:SessionOwner":"self"}}}"#;
        assert!(view(Some(own.clone()), self_only).is_ok());
        let absent = view(None, self_only).unwrap_err();
        assert_eq!(absent.told, Told::Denial);
        for denied in [Some(foreign.clone()), Some(recording(None, 1))] {
            assert_eq!(view(denied, self_only).unwrap_err(), absent);
        }
        // Everything but the old: the instance is allowed, so that what is denied is not found.
        let recent = format!(
            r#"{ALLOW_ALL},{{"Effect":"Deny","Action":"*","Resource":"*",
            "Condition":{{"NumericGreaterThanEquals":{{"ecs-workbench:RecordingAge":"30"}}}}}}"#
        );
        assert!(view(Some(recording(None, 29)), &recent).is_ok());
        assert!(view(None, &recent).is_ok(), "and then the store finds nothing");
        let old = view(Some(recording(None, 30)), &recent).unwrap_err();
        assert_eq!(old.told, Told::NoSuchRecording);
        assert!(old.by.unwrap().ends_with("test#1"), "audit has the true reason");
    }

    #[test]
    fn audit_has_the_reason_that_the_caller_is_not_told() {
        let deny_foreign = r#"{"Effect":"Deny","Action":"*","Resource":"*",
            "Condition":{"StringEquals":{"ecs-workbench:CaptureKind":"terminal"}}}"#;
        let absent = view(None, deny_foreign).unwrap_err();
        let found = view(Some(recording(None, 0)), deny_foreign).unwrap_err();
        assert!(!absent.explicit && absent.by.is_none());
        assert!(found.by.as_ref().unwrap().ends_with("test#0"));
        assert_eq!(Denied { by: None, ..found }, absent, "but for that, it is the same");
    }

    #[test]
    fn an_absent_owner_fails_positive_operators_and_fits_negated_ones() {
        let statement = |effect: &str, operator: &str| {
            format!(
                r#"{{"Effect":"{effect}","Action":"*","Resource":"*",
                "Condition":{{"{operator}":{{"ecs-workbench:SessionOwner":"self"}}}}}}"#
            )
        };
        let other = Principal::Account { account: account() };
        let allowed = |statements: &str| {
            [recording(Some(&user()), 0), recording(Some(&other), 0), recording(None, 0)]
                .map(|found| view(Some(found), statements).is_ok())
        };
        assert_eq!(allowed(&statement("Allow", "StringEquals")), [true, false, false]);
        assert_eq!(allowed(&statement("Allow", "StringNotEquals")), [false, true, true]);
        let but = |deny: String| format!("{ALLOW_ALL},{deny}");
        assert_eq!(allowed(&but(statement("Deny", "StringEquals"))), [false, true, true]);
        assert_eq!(allowed(&but(statement("Deny", "StringNotEquals"))), [true, false, false]);
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
