//! The vendor's published limits.

use super::{AttachmentTarget, Entity, IdentityRefused, PolicyKind};

/// A limit, and how its error names what is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    most: u64,
    code: &'static str,
    what: &'static str,
}

/// RAM users of one account.
pub const USERS: Limit = Limit::new(5_000, Entity::User, "users of one account");
/// Groups of one account.
pub const GROUPS: Limit = Limit::new(300, Entity::Group, "groups of one account");
/// Roles of one account.
pub const ROLES: Limit = Limit::new(1_000, Entity::Role, "roles of one account");
/// Groups that one user is in.
pub const GROUPS_OF_USER: Limit = Limit::new(10, Entity::Membership, "groups of one user");
/// Access keys of one user, or of the account's owner.
pub const ACCESS_KEYS_OF_USER: Limit =
    Limit::new(2, Entity::AccessKey, "access keys of one user or of the account's owner");
/// Custom policies of one account.
pub const CUSTOM_POLICIES: Limit = Limit::new(1_500, Entity::Policy, "custom policies of one account");
/// Versions of one custom policy that stand at once.
pub const POLICY_VERSIONS: Limit = Limit::new(5, Entity::PolicyVersion, "versions of one custom policy");

/// Policies of this kind that are attached to one user, group or role.
#[must_use]
pub const fn attached(target: &AttachmentTarget, kind: PolicyKind) -> Limit {
    match kind {
        PolicyKind::System => {
            Limit::new(20, target.attachment(), "system policies attached to one user, group or role")
        }
        PolicyKind::Custom => {
            Limit::new(10, target.attachment(), "custom policies attached to one user, group or role")
        }
    }
}

impl Limit {
    const fn new(most: u64, of: Entity, what: &'static str) -> Self {
        Self { most, code: of.code(), what }
    }

    /// The most.
    #[must_use]
    pub const fn most(self) -> u64 {
        self.most
    }

    /// Refuses when the limit is reached.
    pub(super) fn room_for_one_more(self, standing: u64) -> Result<(), IdentityRefused> {
        let Self { most, code, what } = self;
        if standing < most { Ok(()) } else { Err(IdentityRefused::LimitExceeded { code, what, limit: most }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::UserId;

    #[test]
    fn a_limit_can_be_reached_and_not_exceeded() {
        let user = AttachmentTarget::User(UserId::generate());
        for (limit, most, code) in [
            (USERS, 5_000, "User"),
            (GROUPS, 300, "Group"),
            (ROLES, 1_000, "Role"),
            (GROUPS_OF_USER, 10, "User.Group"),
            (ACCESS_KEYS_OF_USER, 2, "User.AccessKey"),
            (CUSTOM_POLICIES, 1_500, "Policy"),
            (POLICY_VERSIONS, 5, "Policy.Version"),
            (attached(&user, PolicyKind::System), 20, "User.Policy"),
            (attached(&user, PolicyKind::Custom), 10, "User.Policy"),
        ] {
            assert_eq!(limit.most(), most, "{code}");
            assert_eq!(limit.room_for_one_more(most - 1), Ok(()), "{code}");
            for standing in [most, most + 1] {
                match limit.room_for_one_more(standing) {
                    Err(IdentityRefused::LimitExceeded { code: told, limit, .. }) => {
                        assert_eq!((told, limit), (code, most));
                    }
                    other => panic!("{code}: {other:?}"),
                }
            }
        }
    }
}
