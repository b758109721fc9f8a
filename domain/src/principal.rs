//! Who asks.

use std::fmt;

use crate::identity::{AccessKeyId, RoleId, RoleName, RoleSessionName, UserId, UserName};
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
    /// A session of a role.
    AssumedRole {
        /// The account that the role belongs to.
        account: AccountId,
        /// The role's id.
        role_id: RoleId,
        /// The role's name, as in its ARN.
        role_name: RoleName,
        /// The session's name, which the caller of AssumeRole chose.
        session_name: RoleSessionName,
        /// The session's own key: by it the session, and the policy that narrows it, is found.
        session_key: AccessKeyId,
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
    /// An operator who runs `hansard admin` at the database.
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
            | Self::AssumedRole { account, .. }
            | Self::Agent { account, .. }
            | Self::System { account }
            | Self::Operator { account } => account,
        }
    }

    /// The ARN that names the caller in replies and in audit; a role's session is named with its session name. Fixed
    /// rules decide for agents, jobs and operators; their ARNs only name them in the audit trail.
    #[must_use]
    pub fn arn(&self) -> String {
        match self {
            // Several times in each call, so not by the formatter.
            Self::Account { account } => ["acs:ram::", account.as_str(), ":root"].concat(),
            Self::User { account, user_name, .. } => {
                ["acs:ram::", account.as_str(), ":user/", user_name.as_str()].concat()
            }
            Self::AssumedRole { account, role_name, session_name, .. } => {
                let (role, session) = (role_name.as_str(), session_name.as_str());
                ["acs:ram::", account.as_str(), ":role/", role, "/", session].concat()
            }
            Self::Agent { account, agent, .. } => format!("acs:ecs-workbench::{account}:agent/{agent}"),
            Self::System { account } => format!("acs:ecs-workbench::{account}:system"),
            Self::Operator { account } => format!("acs:ecs-workbench::{account}:operator"),
        }
    }
}

impl Principal {
    /// The ARN that policies see as `acs:PrincipalARN`: of a role's session it is the role's (RAM.md, section 4).
    #[must_use]
    pub fn policy_arn(&self) -> String {
        match self {
            Self::AssumedRole { account, role_name, .. } => format!("acs:ram::{account}:role/{role_name}"),
            _ => self.arn(),
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn())
    }
}
