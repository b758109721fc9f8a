//! The types of a decision: the outcome, and the statement that caused it.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::conditions::{ConditionError, as_text};

/// The layer of policies that a statement belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Layer {
    /// A level of control policies that apply to the account.
    Control,
    /// The policy of one role session.
    Session,
    /// The principal's own policies and those of its groups.
    Identity,
    /// The trust policy of the role to be assumed.
    Trust,
}

/// The policy type as a denial states it on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum PolicyType {
    /// Policies of users, groups and roles.
    AccountLevelIdentityBasedPolicy,
    /// The policy of a role session.
    SessionPolicy,
    /// Policies over an account.
    ControlPolicy,
    /// The trust policy of a role.
    AssumeRolePolicy,
}

impl PolicyType {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccountLevelIdentityBasedPolicy => "AccountLevelIdentityBasedPolicy",
            Self::SessionPolicy => "SessionPolicy",
            Self::ControlPolicy => "ControlPolicy",
            Self::AssumeRolePolicy => "AssumeRolePolicy",
        }
    }
}

impl From<Layer> for PolicyType {
    fn from(layer: Layer) -> Self {
        match layer {
            Layer::Control => Self::ControlPolicy,
            Layer::Session => Self::SessionPolicy,
            Layer::Identity => Self::AccountLevelIdentityBasedPolicy,
            Layer::Trust => Self::AssumeRolePolicy,
        }
    }
}

/// Identifies a statement: layer, name of the policy, and index in the document.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct StatementId {
    /// The layer in which the policy was evaluated.
    pub layer: Layer,
    /// The name of the policy.
    #[serde(serialize_with = "as_text")]
    pub policy: Arc<str>,
    /// Its index in the document's Statement, from 0.
    pub statement: usize,
}

impl fmt::Display for StatementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}#{}", PolicyType::from(self.layer).as_str(), self.policy, self.statement)
    }
}

/// Why a request is allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum AllowedBy {
    /// The principal owns the account of the resource, so no policy restricts the principal.
    AccountOwner,
    /// This statement of the identity policies allows it, and every other layer agrees.
    Statement(StatementId),
}

impl fmt::Display for AllowedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AccountOwner => f.write_str("AccountOwner"),
            Self::Statement(by) => by.fmt(f),
        }
    }
}

/// Why a request is denied.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error, Serialize)]
pub enum DenyReason {
    /// A Deny statement fits.
    #[error("denied by {by}")]
    ExplicitDeny {
        /// The statement.
        by: StatementId,
    },
    /// No statement in this layer allows it.
    #[error("nothing allows it ({})", PolicyType::from(*layer).as_str())]
    NothingAllows {
        /// The layer that ended the evaluation.
        layer: Layer,
    },
    /// A Deny statement may match, but its condition could not be evaluated. Such a Deny counts as matching.
    #[error("{by} may deny it: {why}")]
    CannotEvaluate {
        /// The statement.
        by: StatementId,
        /// What could not be read. This is a defect of the server that built the context.
        why: ConditionError,
    },
}

impl DenyReason {
    /// The layer that decided.
    #[must_use]
    pub fn layer(&self) -> Layer {
        match self {
            Self::ExplicitDeny { by } | Self::CannotEvaluate { by, .. } => by.layer,
            Self::NothingAllows { layer } => *layer,
        }
    }

    /// The policy type that decided, as a denial states it on the wire.
    #[must_use]
    pub fn policy_type(&self) -> PolicyType {
        self.layer().into()
    }

    /// The statement that decided, if one did.
    #[must_use]
    pub fn statement(&self) -> Option<&StatementId> {
        match self {
            Self::ExplicitDeny { by } | Self::CannotEvaluate { by, .. } => Some(by),
            Self::NothingAllows { .. } => None,
        }
    }

    /// Whether the denial is explicit or implicit.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::ExplicitDeny { .. } | Self::CannotEvaluate { .. } => Outcome::ExplicitDeny,
            Self::NothingAllows { .. } => Outcome::ImplicitDeny,
        }
    }
}

/// The three outcomes that RAM documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Outcome {
    /// Allowed.
    Allow,
    /// Denied because nothing allows it.
    ImplicitDeny,
    /// Denied by a statement.
    ExplicitDeny,
}

impl Outcome {
    /// The name, as in `NoPermissionType` on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "Allow",
            Self::ImplicitDeny => "ImplicitDeny",
            Self::ExplicitDeny => "ExplicitDeny",
        }
    }
}

/// The answer to a request, and its cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[must_use]
pub enum Decision {
    /// Allowed.
    Allow {
        /// What allows it.
        by: AllowedBy,
    },
    /// Denied.
    Deny(DenyReason),
}

impl Decision {
    /// The outcome without its reason.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Allow { .. } => Outcome::Allow,
            Self::Deny(reason) => reason.outcome(),
        }
    }

    /// Whether the request is allowed.
    #[must_use]
    pub fn is_allow(&self) -> bool {
        matches!(self, Self::Allow { .. })
    }

    /// The policy type that decided; `None` if the request is allowed because the principal owns the account.
    #[must_use]
    pub fn policy_type(&self) -> Option<PolicyType> {
        match self {
            Self::Allow { by: AllowedBy::AccountOwner } => None,
            Self::Allow { by: AllowedBy::Statement(by) } => Some(by.layer.into()),
            Self::Deny(reason) => Some(reason.policy_type()),
        }
    }
}
