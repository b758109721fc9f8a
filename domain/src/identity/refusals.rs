//! The refusals of changes in the identity store.

/// A kind of thing in the identity store, by the name that error codes give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Entity {
    /// A RAM user.
    User,
    /// An access key of a user.
    AccessKey,
    /// The console password of a user.
    LoginProfile,
    /// A group.
    Group,
    /// A user's membership in a group.
    Membership,
    /// A role.
    Role,
    /// A policy.
    Policy,
    /// A version of a custom policy.
    PolicyVersion,
    /// A control policy, which no call of the wire reaches.
    ControlPolicy,
    /// A policy's attachment to a user.
    UserPolicy,
    /// A policy's attachment to a group.
    GroupPolicy,
    /// A policy's attachment to a role.
    RolePolicy,
    /// The alias of an account.
    AccountAlias,
    /// The second factor of a user.
    MfaDevice,
}

impl Entity {
    /// The suffix of `EntityNotExist.` and similar codes on the wire.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::AccessKey => "User.AccessKey",
            Self::LoginProfile => "User.LoginProfile",
            Self::Group => "Group",
            Self::Membership => "User.Group",
            Self::Role => "Role",
            Self::Policy => "Policy",
            Self::PolicyVersion => "Policy.Version",
            Self::ControlPolicy => "ControlPolicy",
            Self::UserPolicy => "User.Policy",
            Self::GroupPolicy => "Group.Policy",
            Self::RolePolicy => "Role.Policy",
            Self::AccountAlias => "AccountAlias",
            Self::MfaDevice => "User.MFADevice",
        }
    }

    /// In a word, for messages.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::AccessKey => "access key",
            Self::LoginProfile => "login profile",
            Self::Group => "group",
            Self::Membership => "membership of the user in the group",
            Self::Role => "role",
            Self::Policy => "policy",
            Self::PolicyVersion => "policy version",
            Self::ControlPolicy => "control policy",
            Self::UserPolicy => "attachment of the policy to the user",
            Self::GroupPolicy => "attachment of the policy to the group",
            Self::RolePolicy => "attachment of the policy to the role",
            Self::AccountAlias => "account alias",
            Self::MfaDevice => "MFA device of the user",
        }
    }
}

/// A change of the identity store that its rules refuse. Nothing is changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityRefused {
    /// It is not there.
    #[error("there is no such {}: {name}", entity.noun())]
    NotExist {
        /// What was looked for.
        entity: Entity,
        /// As the caller named it.
        name: String,
    },
    /// The vendor has a system policy of this name, or may have; here it has no meaning.
    #[error(
        "there is no system policy {name} here: the system policies of this deployment are those that ListPolicies \
         shows, since one about another product would permit nothing"
    )]
    NoSystemPolicy {
        /// As the caller named it.
        name: String,
    },
    /// It is there already.
    #[error("there is such a {} already: {name}", entity.noun())]
    AlreadyExists {
        /// What was to be made.
        entity: Entity,
        /// As the caller named it.
        name: String,
    },
    /// The limit is reached.
    #[error("there may be at most {limit} {what}")]
    LimitExceeded {
        /// What stands behind `LimitExceeded.` on the wire: `User`, `User.AccessKey`, `Policy.Version`.
        code: &'static str,
        /// The plural, with what it is counted by: `access keys of one user`.
        what: &'static str,
        /// The most.
        limit: u64,
    },
    /// Something still depends on it.
    #[error("the {} cannot be deleted: {why}", entity.noun())]
    DeleteConflict {
        /// What was to be deleted.
        entity: Entity,
        /// What stands behind `DeleteConflict.` on the wire: `User.AccessKey`, `Policy.User`.
        code: &'static str,
        /// What is in the way, and what to do first.
        why: String,
    },
}

impl IdentityRefused {
    /// [`IdentityRefused::NotExist`].
    #[must_use]
    pub fn not_exist(entity: Entity, name: impl ToString) -> Self {
        Self::NotExist { entity, name: name.to_string() }
    }

    /// [`IdentityRefused::AlreadyExists`].
    #[must_use]
    pub fn already_exists(entity: Entity, name: impl ToString) -> Self {
        Self::AlreadyExists { entity, name: name.to_string() }
    }

    /// [`IdentityRefused::DeleteConflict`].
    #[must_use]
    pub fn delete_conflict(entity: Entity, code: &'static str, why: impl Into<String>) -> Self {
        Self::DeleteConflict { entity, code, why: why.into() }
    }
}

/// Why a change that was asked for over a state that its caller had seen is not made. Nothing is changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeRefused {
    /// A rule of the identity store refuses it.
    #[error(transparent)]
    Identity(#[from] IdentityRefused),
    /// The state has changed meanwhile.
    #[error("{what}: {why}")]
    ChangedMeanwhile {
        /// What changed, in a word.
        what: &'static str,
        /// What happened to it, and what to do.
        why: &'static str,
    },
}
