//! The audit event of every call.

use std::net::IpAddr;
use std::sync::LazyLock;

use crate::actions::Product;
use crate::parameter::Word;
use crate::principal::Principal;
use crate::role::RoleArn;
use crate::{AccountId, InstanceId, Timestamp};

/// The account of the deployment itself, which nobody can have. It owns the events about callers whose account is
/// unknown. No account can read them; operators can, directly in the database.
pub static DEPLOYMENT_ACCOUNT: LazyLock<AccountId> =
    LazyLock::new(|| AccountId::parse("1000000000000000").expect("it must be an account id"));

/// The gate's decision, as the audit trail stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditDecision {
    /// It was permitted.
    Allowed {
        /// The statement, or the fixed rule, that permitted it.
        by: String,
    },
    /// It was refused by policy.
    Denied {
        /// The statement that refused it; `None` when nothing allowed it.
        by: Option<String>,
    },
    /// It was refused before a policy was asked: no such action, a malformed parameter.
    NotAsked,
}

/// How a call was decided, without the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecisionKind {
    /// It was permitted.
    Allowed,
    /// It was refused by policy.
    Denied,
    /// It was refused before a policy was asked.
    NotAsked,
}

impl Word for DecisionKind {
    const ALL: &'static [Self] = &[Self::Allowed, Self::Denied, Self::NotAsked];

    fn word(self) -> &'static str {
        match self {
            Self::Allowed => "Allowed",
            Self::Denied => "Denied",
            Self::NotAsked => "NotAsked",
        }
    }
}

/// One final row about one authenticated call, append-only. It never holds a secret, a token that is a credential, or a
/// query string. Calls that were refused before authentication, and throttled calls, are counted for a minute and
/// become one event together; its `how` has their number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// The call's RequestId.
    pub request_id: String,
    /// When the call arrived.
    pub at: Timestamp,
    /// The caller's account.
    pub account: AccountId,
    /// The caller's ARN.
    pub principal: String,
    /// The key that signed, where one did.
    pub access_key_id: Option<String>,
    /// The action's name, as asked.
    pub action: String,
    /// The resource that was asked about: an ARN or `*`; empty when it was never located.
    pub resource: String,
    /// What the gate said.
    pub decision: AuditDecision,
    /// The wire code of the outcome: `OK` or the error's code.
    pub result: String,
    /// Where the call came from.
    pub source_address: Option<IpAddr>,
    /// The caller's program, as it identified itself; cut at 256 characters.
    pub user_agent: String,
    /// The recording concerned, where one is.
    pub recording: Option<String>,
    /// How a recording was looked at (`ticket`, `exchange`, `replay`, `download`), or another short word about
    /// the call; empty otherwise.
    pub how: String,
}

/// Who did something, when, and from where: the common part of all events of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditOrigin {
    /// [`AuditEvent::request_id`].
    pub request_id: String,
    /// [`AuditEvent::at`].
    pub at: Timestamp,
    /// [`AuditEvent::account`].
    pub account: AccountId,
    /// [`AuditEvent::principal`].
    pub principal: String,
    /// [`AuditEvent::access_key_id`].
    pub access_key_id: Option<String>,
    /// [`AuditEvent::source_address`].
    pub source_address: Option<IpAddr>,
    /// [`AuditEvent::user_agent`].
    pub user_agent: String,
}

impl AuditOrigin {
    /// Of what this principal did, where no address, program and key are known: a job's, or that of a program on the
    /// server's own machine.
    #[must_use]
    pub fn new(request_id: String, at: Timestamp, principal: &Principal) -> Self {
        Self {
            request_id,
            at,
            account: principal.account().clone(),
            principal: principal.arn(),
            access_key_id: None,
            source_address: None,
            user_agent: String::new(),
        }
    }
}

impl AuditEvent {
    /// The event of an action on a resource, an ARN or `*`, that ended with `result`: `OK` or an error's code.
    #[must_use]
    pub fn new(
        origin: AuditOrigin,
        action: &str,
        resource: String,
        decision: AuditDecision,
        result: &str,
    ) -> Self {
        let AuditOrigin { request_id, at, account, principal, access_key_id, source_address, user_agent } =
            origin;
        Self {
            request_id,
            at,
            account,
            principal,
            access_key_id,
            action: action.to_owned(),
            resource,
            decision,
            result: result.to_owned(),
            source_address,
            user_agent,
            recording: None,
            how: String::new(),
        }
    }

    /// The same event with an addition to `how`, such as the id of what the call created.
    #[must_use]
    pub fn with_more(mut self, said: &str) -> Self {
        if !self.how.is_empty() {
            self.how.push_str(", ");
        }
        self.how.push_str(said);
        self
    }

    /// The one instance that the event is about: the one that its resource names in the event's own account. It follows
    /// from the row alone, so that a check of the trail can derive it again.
    #[must_use]
    pub fn instance(&self) -> Option<InstanceId> {
        instance_of(&self.resource, self.account.as_str())
    }
}

/// The event of a session's start in the trail of the role's account, where that is another than the caller's. It is
/// the only event that is written together with a change of another account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignRoleAssumed(AuditEvent);

impl ForeignRoleAssumed {
    /// What the caller's own event says, as the role's account may read it. `None` when the role is of the caller's
    /// account, whose trail has that event already.
    #[must_use]
    pub fn of(event: &AuditEvent, role: &RoleArn) -> Option<Self> {
        (role.account != event.account).then(|| {
            Self(AuditEvent {
                account: role.account.clone(),
                // The names of the caller's own policies are not for the other account to read.
                decision: AuditDecision::Allowed { by: "rule:trust-policy".to_owned() },
                ..event.clone()
            })
        })
    }

    /// The event.
    #[must_use]
    pub fn into_event(self) -> AuditEvent {
        self.0
    }
}

/// As [`AuditEvent::instance`], of a row's texts.
#[must_use]
pub fn instance_of(resource: &str, account: &str) -> Option<InstanceId> {
    let rest =
        resource.strip_prefix("acs:")?.strip_prefix(Product::Workbench.ram_code())?.strip_prefix(':')?;
    let (_region, rest) = rest.split_once(':')?;
    InstanceId::parse(rest.strip_prefix(account)?.strip_prefix(":workbench/")?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_of_a_foreign_role_learns_of_its_session_but_not_whose_policy_allowed_it() {
        let caller = Principal::Account { account: "1609982529000000".parse().unwrap() };
        let origin = AuditOrigin::new("request".to_owned(), Timestamp::from_millis(1), &caller);
        let decision = AuditDecision::Allowed { by: "policy/secret-plan".to_owned() };
        let event = AuditEvent::new(origin, "AssumeRole", "*".to_owned(), decision, "OK");
        let role = |account: &str| RoleArn::parse(&format!("acs:ram::{account}:role/auditor")).unwrap();
        assert_eq!(ForeignRoleAssumed::of(&event, &role("1609982529000000")), None);
        let told = ForeignRoleAssumed::of(&event, &role("1609982529000001")).unwrap().into_event();
        assert_eq!(told.account.as_str(), "1609982529000001");
        assert_eq!(told.decision, AuditDecision::Allowed { by: "rule:trust-policy".to_owned() });
        assert_eq!((told.principal, told.at), (event.principal, event.at));
    }

    #[test]
    fn the_instance_is_the_one_that_the_resource_names() {
        let of =
            |resource: &str| instance_of(resource, "1609982529000000").map(|instance| instance.to_string());
        let one = of("acs:ecs-workbench:cn-hangzhou:1609982529000000:workbench/i-web1");
        assert_eq!(one.as_deref(), Some("i-web1"));
        for other in [
            "",
            "*",
            "user/ana",
            "acs:ecs-workbench:cn-hangzhou:1609982529000000:workbench/*",
            "acs:ecs-workbench:cn-hangzhou:1609982529000001:workbench/i-web1",
            "acs:ecs-workbench:cn-hangzhou:1609982529000000:workbench/i-web1/x",
            "acs:ram::1609982529000000:user/i-web1",
            "acs:ecs-workbench:1609982529000000:workbench/i-web1",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
