//! What actions are asked on: the forms of resource names that policies see.

/// A form of resource name that an action is asked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// One instance.
    Instance,
    /// Every instance at once: `*` as an InstanceId.
    AllInstances,
    /// `*`: an operation without a resource of its own.
    Everything,
    /// The account's owner.
    Owner,
    /// One user.
    User,
    /// All users.
    Users,
    /// One group.
    Group,
    /// All groups.
    Groups,
    /// One role.
    Role,
    /// All roles.
    Roles,
    /// One policy, of the account or ready-made.
    Policy,
    /// All policies.
    Policies,
}

impl Form {
    /// In words, for tables.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Instance => "an instance",
            Self::AllInstances => "all instances",
            Self::Everything => "*",
            Self::Owner => "the owner",
            Self::User => "a user",
            Self::Users => "all users",
            Self::Group => "a group",
            Self::Groups => "all groups",
            Self::Role => "a role",
            Self::Roles => "all roles",
            Self::Policy => "a policy",
            Self::Policies => "all policies",
        }
    }

    /// The names of this form, as a pattern for any account.
    #[must_use]
    pub fn pattern(self) -> &'static str {
        match self {
            Self::Instance | Self::AllInstances => "acs:ecs-workbench:*:*:workbench/*",
            Self::Everything => "*",
            Self::Owner => "acs:ram:*:*:root",
            Self::User | Self::Users => "acs:ram:*:*:user/*",
            Self::Group | Self::Groups => "acs:ram:*:*:group/*",
            Self::Role | Self::Roles => "acs:ram:*:*:role/*",
            Self::Policy | Self::Policies => "acs:ram:*:*:policy/*",
        }
    }
}

/// What an action is asked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AskedOn {
    /// The alternatives, by what the call names. Of one with several forms each must be allowed.
    pub alternatives: &'static [&'static [Form]],
}

impl AskedOn {
    /// The forms of all alternatives.
    pub fn forms(self) -> impl Iterator<Item = Form> {
        self.alternatives.iter().copied().flatten().copied()
    }
}
