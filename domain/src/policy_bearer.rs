//! Who can have policies, by name: what calls and commands say, before the store finds the id.

use std::fmt;

use crate::gate::IdentityResource;
use crate::identity::{Entity, GroupName, PolicyKind, PolicyName, PolicyRef, RoleName, UserName};

/// A user, a group or a role, as somebody to whom policies are attached.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PolicyBearer {
    /// A RAM user.
    User(UserName),
    /// A group, for all its members.
    Group(GroupName),
    /// A role, for its sessions.
    Role(RoleName),
}

impl PolicyBearer {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::User(name) => name.as_str(),
            Self::Group(name) => name.as_str(),
            Self::Role(name) => name.as_str(),
        }
    }

    /// What it is.
    #[must_use]
    pub fn entity(&self) -> Entity {
        match self {
            Self::User(_) => Entity::User,
            Self::Group(_) => Entity::Group,
            Self::Role(_) => Entity::Role,
        }
    }

    /// As policies are asked about it.
    #[must_use]
    pub fn resource(&self) -> IdentityResource {
        match self {
            Self::User(name) => IdentityResource::User(name.clone()),
            Self::Group(name) => IdentityResource::Group(name.clone()),
            Self::Role(name) => IdentityResource::Role(name.clone()),
        }
    }
}

/// `user/ana`, as in an ARN.
impl fmt::Display for PolicyBearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "user/{name}"),
            Self::Group(name) => write!(f, "group/{name}"),
            Self::Role(name) => write!(f, "role/{name}"),
        }
    }
}

impl From<&UserName> for PolicyBearer {
    fn from(name: &UserName) -> Self {
        Self::User(name.clone())
    }
}

impl From<&GroupName> for PolicyBearer {
    fn from(name: &GroupName) -> Self {
        Self::Group(name.clone())
    }
}

impl From<&RoleName> for PolicyBearer {
    fn from(name: &RoleName) -> Self {
        Self::Role(name.clone())
    }
}

impl From<&Self> for PolicyBearer {
    fn from(bearer: &Self) -> Self {
        bearer.clone()
    }
}

/// Of the account, where nothing else is said.
impl From<&PolicyName> for PolicyRef {
    fn from(name: &PolicyName) -> Self {
        Self { kind: PolicyKind::Custom, name: name.clone() }
    }
}

impl From<&Self> for PolicyRef {
    fn from(policy: &Self) -> Self {
        policy.clone()
    }
}

/// `policy/read-only`, as in an ARN; of a system policy with its kind.
impl fmt::Display for PolicyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            PolicyKind::Custom => write!(f, "policy/{}", self.name),
            PolicyKind::System => write!(f, "policy/{} of the system", self.name),
        }
    }
}
