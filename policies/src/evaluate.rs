//! The evaluation order over all layers: the one truth table of this crate.

use crate::action::ActionName;
use crate::context::Context;
use crate::decision::{AllowedBy, Decision, DenyReason, Layer, StatementId};
use crate::policy_set::{PolicySet, Step};
use crate::principal::account_owned_by;
use crate::resource::{ResourceName, ResourcePattern};
use crate::statement::ParsedRequest;

/// Who asks for what.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// ARN of the principal, such as `acs:ram::1234567890123456:user/alice`.
    pub principal: &'a str,
    /// The action, such as `ecs-workbench:ListInstanceRecords`.
    pub action: &'a str,
    /// The resource, or `*` for an operation that has none.
    pub resource: &'a str,
    /// What else is known about the request.
    pub context: &'a Context,
}

impl<'a> Request<'a> {
    pub(crate) fn parsed(&self) -> ParsedRequest<'a> {
        ParsedRequest {
            principal: self.principal,
            action: ActionName::split(self.action),
            resource: ResourceName::split(self.resource),
            context: self.context,
        }
    }
}

/// All policies that bear on a principal.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// The principal is the account owner, `acs:ram::<account>:root`, proven as such. It has full control of the
    /// account's own resources and no other.
    pub owner: bool,
    /// Control policies, one set for each level above the account; each level must allow. Empty for the management
    /// account, for service-linked roles, and where there is no resource directory.
    pub control: Vec<PolicySet>,
    /// The policy of a role session that was created with one.
    pub session: Option<PolicySet>,
    /// The principal's own policies and those of its groups, or a role's own.
    pub identity: PolicySet,
    /// The trust policy of the role, for AssumeRole and its kin only; then the principal has to be named there too.
    pub trust: Option<PolicySet>,
}

impl Layers {
    pub(crate) fn owner_of(&self, principal: &str, resource: ResourceName<'_>) -> bool {
        let Some(account) = account_owned_by(principal).filter(|_| self.owner) else { return false };
        match resource {
            // The account in a request may be left out or be `*`; the server fills in the caller's own. `system` is
            // where ready-made policies stand, which are every account's to attach.
            ResourceName::Arn([_, _, of, _]) => of == account || of.is_empty() || of == "*" || of == "system",
            ResourceName::All => true,
            ResourceName::Malformed => false,
        }
    }
}

/// Decides a request. Nothing is read but the arguments, and nothing is allocated.
///
/// The layers are asked from the top; the first row that applies is the answer:
///
/// | layer          | it says        | answer                                                        |
/// |----------------|----------------|---------------------------------------------------------------|
/// | account owner  | own resource   | Allow, whatever the policies; but an owner assumes no role    |
/// | each control   | not Allow      | that result, of type ControlPolicy                            |
/// | session        | not Allow      | that result, of type SessionPolicy                            |
/// | identity       | Deny           | ExplicitDeny; also for AssumeRole                             |
/// | trust, if any  | Deny           | ExplicitDeny, of type AssumeRolePolicy                        |
/// | identity       | nothing allows | ImplicitDeny                                                  |
/// | trust, if any  | nothing allows | ImplicitDeny, of type AssumeRolePolicy                        |
/// | all            | Allow          | Allow by the identity policies' statement                     |
///
/// So a silent session policy beside a role that denies is an ImplicitDeny of the session policy. A Deny that cannot be
/// evaluated counts as a Deny everywhere.
pub fn evaluate(layers: &Layers, request: &Request<'_>) -> Decision {
    let parsed = request.parsed();
    if layers.owner_of(parsed.principal, parsed.resource) {
        return match layers.trust {
            None => Decision::Allow { by: AllowedBy::AccountOwner },
            Some(_) => Decision::Deny(DenyReason::NothingAllows { layer: Layer::Trust }),
        };
    }
    for level in &layers.control {
        if let Err(denied) = settle(level.ask(Layer::Control, &parsed), Layer::Control) {
            return Decision::Deny(denied);
        }
    }
    if let Some(session) = &layers.session
        && let Err(denied) = settle(session.ask(Layer::Session, &parsed), Layer::Session)
    {
        return Decision::Deny(denied);
    }
    let identity = settle(layers.identity.ask(Layer::Identity, &parsed), Layer::Identity);
    let Some(trust) = &layers.trust else { return decision(identity) };
    let trust = settle(trust.ask(Layer::Trust, &parsed), Layer::Trust);
    match (identity, trust) {
        // An explicit denial of either side wins, the identity policies' first.
        (Err(denied @ (DenyReason::ExplicitDeny { .. } | DenyReason::CannotEvaluate { .. })), _)
        | (_, Err(denied @ (DenyReason::ExplicitDeny { .. } | DenyReason::CannotEvaluate { .. }))) => {
            Decision::Deny(denied)
        }
        (identity @ Err(DenyReason::NothingAllows { .. }), _) => decision(identity),
        (Ok(_), Err(silent @ DenyReason::NothingAllows { .. })) => Decision::Deny(silent),
        (identity @ Ok(_), Ok(_)) => decision(identity),
    }
}

/// The smallest step: what one layer says, as an answer.
fn settle(step: Step, layer: Layer) -> Result<StatementId, DenyReason> {
    match step {
        Step::Deny(by) => Err(DenyReason::ExplicitDeny { by }),
        Step::UnreadableDeny(by, why) => Err(DenyReason::CannotEvaluate { by, why }),
        Step::Allow(by) => Ok(by),
        Step::Nothing => Err(DenyReason::NothingAllows { layer }),
    }
}

fn decision(result: Result<StatementId, DenyReason>) -> Decision {
    match result {
        Ok(by) => Decision::Allow { by: AllowedBy::Statement(by) },
        Err(denied) => Decision::Deny(denied),
    }
}

/// A Deny statement of the layers that could stop the request for some resource of `range`, whatever `request.resource`
/// says. None means that there certainly is none, so that a call on `*` does not get around a Deny.
///
/// Resource patterns are compared exactly; NotResource counts unless it surely spares the whole range. Conditions on
/// the caller and the call are evaluated with the request's context, since they come out the same for every resource;
/// all other conditions are taken as possibly true. An owner of the account is bound by no policy.
#[must_use]
pub fn could_deny(layers: &Layers, request: &Request<'_>, range: &ResourcePattern) -> Option<StatementId> {
    if layers.owner_of(request.principal, ResourceName::All) {
        return None;
    }
    let action = ActionName::split(request.action);
    let service = action.map(|action| action.service);
    let control = layers.control.iter().map(|level| (Layer::Control, level));
    let session = layers.session.iter().map(|set| (Layer::Session, set));
    control.chain(session).chain([(Layer::Identity, &layers.identity)]).find_map(|(layer, set)| {
        set.find_deny(layer, service, |statement| {
            statement.actions.cover(action)
                && statement.resources.as_ref().is_none_or(|resources| resources.could_cover(range))
                && statement.conditions.could_hold_for_some_resource(request.context)
        })
    })
}
