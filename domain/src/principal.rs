//! Who asks.

use std::fmt;

use crate::identity::{UserId, UserName};
use crate::{AccountId, AgentId, InstanceId};

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Principal {
    /// The account's owner, `acs:ram::<account>:root`.
    Account {
        /// The account.
        account: AccountId,
    },
    /// A RAM user.
    User {
        /// The account it belongs to.
        account: AccountId,
        /// Its id.
        user_id: UserId,
        /// Its name, as in its ARN.
        user_name: UserName,
    },
    /// The agent of one instance.
    Agent {
        /// The account it joined.
        account: AccountId,
        /// Its id.
        agent: AgentId,
        /// Its instance; it may touch no other.
        instance: InstanceId,
    },
    /// A job of the control plane.
    System {
        /// The account it works for.
        account: AccountId,
    },
    /// Somebody who runs `hansard admin` beside the database.
    Operator {
        /// The account that the command names.
        account: AccountId,
    },
}

impl Principal {
    /// The account on whose behalf everything happens.
    #[must_use]
    pub fn account(&self) -> &AccountId {
        match self {
            Self::Account { account }
            | Self::User { account, .. }
            | Self::Agent { account, .. }
            | Self::System { account }
            | Self::Operator { account } => account,
        }
    }

    /// The ARN that policies see as `acs:PrincipalARN`. Agents, jobs and operators are decided by fixed rules;
    /// theirs only name them in audit.
    #[must_use]
    pub fn arn(&self) -> String {
        match self {
            Self::Account { account } => format!("acs:ram::{account}:root"),
            Self::User { account, user_name, .. } => format!("acs:ram::{account}:user/{user_name}"),
            Self::Agent { account, agent, .. } => format!("acs:ecs-workbench::{account}:agent/{agent}"),
            Self::System { account } => format!("acs:ecs-workbench::{account}:system"),
            Self::Operator { account } => format!("acs:ecs-workbench::{account}:operator"),
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn())
    }
}
