//! The policies of users, groups and roles.

use super::{
    Entity, GroupId, GroupName, IdentityRefused, PolicyKind, PolicyName, PolicyRef, RoleId, RoleName, UserId,
    UserName, limits,
};
use crate::parameter::Word;
use crate::policy_version::PolicyVersionId;
use crate::{Timestamp, system_policies};

/// A user, group or role that policies are attached to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AttachmentTarget {
    /// A RAM user.
    User(UserId),
    /// A group, for all its members.
    Group(GroupId),
    /// A role, for its sessions.
    Role(RoleId),
}

impl AttachmentTarget {
    /// The id, unique among all three kinds.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::User(id) => id.as_str(),
            Self::Group(id) => id.as_str(),
            Self::Role(id) => id.as_str(),
        }
    }

    /// What a policy's attachment to it is.
    #[must_use]
    pub const fn attachment(&self) -> Entity {
        match self {
            Self::User(_) => Entity::UserPolicy,
            Self::Group(_) => Entity::GroupPolicy,
            Self::Role(_) => Entity::RolePolicy,
        }
    }
}

/// One policy of one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Who has it.
    pub target: AttachmentTarget,
    /// The policy.
    pub policy: PolicyRef,
    /// Since when.
    pub attached_at: Timestamp,
}

/// A policy may be detached from one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyDetached {
    /// Who had it.
    pub target: AttachmentTarget,
    /// The policy.
    pub policy: PolicyRef,
}

/// A policy that somebody has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachedPolicy {
    /// Whose it is, and its name.
    pub policy: PolicyRef,
    /// What it is for.
    pub description: String,
    /// The version that decides.
    pub default_version: PolicyVersionId,
    /// Since when it is attached.
    pub attached_at: Timestamp,
}

/// Who has a policy, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyBearers {
    /// Users.
    pub users: Vec<BearingUser>,
    /// Groups.
    pub groups: Vec<BearingGroup>,
    /// Roles.
    pub roles: Vec<BearingRole>,
}

/// A user that has a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BearingUser {
    /// Its id.
    pub id: UserId,
    /// Its name.
    pub name: UserName,
    /// Its name for people.
    pub display_name: String,
    /// Since when it has the policy.
    pub attached_at: Timestamp,
}

/// A group that has a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BearingGroup {
    /// Its name.
    pub name: GroupName,
    /// What is said about it.
    pub comments: String,
    /// Since when it has the policy.
    pub attached_at: Timestamp,
}

/// A role that has a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BearingRole {
    /// Its id.
    pub id: RoleId,
    /// Its name.
    pub name: RoleName,
    /// What it is for.
    pub description: String,
    /// Since when it has the policy.
    pub attached_at: Timestamp,
}

/// How many users, groups or roles are named when a policy that they have cannot be deleted.
const NAMED_IN_A_CONFLICT: usize = 5;

impl PolicyBearers {
    /// The first kind of those who have the policy: its code, and the names of some. `None` when nobody has it.
    pub(super) fn told(&self) -> Option<(&'static str, String)> {
        let users = self.users.iter().map(|user| user.name.as_str()).collect::<Vec<_>>();
        let groups = self.groups.iter().map(|group| group.name.as_str()).collect::<Vec<_>>();
        let roles = self.roles.iter().map(|role| role.name.as_str()).collect::<Vec<_>>();
        let kinds = [
            ("Policy.User", "users", users),
            ("Policy.Group", "groups", groups),
            ("Policy.Role", "roles", roles),
        ];
        let (code, kind, names) = kinds.into_iter().find(|(_, _, names)| !names.is_empty())?;
        let shown = names.iter().take(NAMED_IN_A_CONFLICT).copied().collect::<Vec<_>>().join(", ");
        let more = names.len().saturating_sub(NAMED_IN_A_CONFLICT);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        Some((code, format!("{kind} {shown}{more}")))
    }
}

/// Which attachments a list shows; what is `None` selects nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AttachmentFilter {
    /// Those of policies of this kind.
    pub kind: Option<PolicyKind>,
    /// Those of policies of this name.
    pub policy: Option<PolicyName>,
    /// Those to this kind of bearer.
    pub bearer: Option<BearerKind>,
    /// Those to a bearer of this name.
    pub bearer_name: Option<String>,
}

/// A kind of who can have policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BearerKind {
    /// RAM users.
    User,
    /// Groups.
    Group,
    /// Roles.
    Role,
}

impl Word for BearerKind {
    const ALL: &'static [Self] = &[Self::User, Self::Group, Self::Role];

    /// As the vendor's lists of attachments write it.
    fn word(self) -> &'static str {
        match self {
            Self::User => "IMSUser",
            Self::Group => "IMSGroup",
            Self::Role => "ServiceRole",
        }
    }
}

/// An attachment as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedAttachment {
    /// The policy.
    pub policy: PolicyRef,
    /// What the policy is for.
    pub description: String,
    /// The kind of who has it.
    pub bearer: BearerKind,
    /// The name of who has it.
    pub bearer_name: String,
    /// When it was attached.
    pub attached_at: Timestamp,
}

impl PolicyRef {
    /// Whether there is such a policy; `custom` says whether the account has one of this name, which is asked for
    /// custom policies alone.
    fn stands(&self, custom: bool) -> bool {
        match self.kind {
            PolicyKind::System => system_policies::find(self.name.as_str()).is_some(),
            PolicyKind::Custom => custom,
        }
    }
}

impl AttachmentTarget {
    /// Attaches a policy to who has these already. `custom` says whether the account has a policy of this name, which
    /// is asked for custom policies alone.
    ///
    /// # Errors
    /// [`IdentityRefused::NotExist`] or [`IdentityRefused::NoSystemPolicy`] when there is no such policy;
    /// [`IdentityRefused::AlreadyExists`];
    /// [`IdentityRefused::LimitExceeded`].
    pub fn attach(
        self,
        policy: PolicyRef,
        custom: bool,
        attached: &[Attachment],
        now: Timestamp,
    ) -> Result<Attachment, IdentityRefused> {
        match policy.kind {
            _ if policy.stands(custom) => {}
            PolicyKind::System => {
                return Err(IdentityRefused::NoSystemPolicy { name: policy.name.to_string() });
            }
            PolicyKind::Custom => return Err(IdentityRefused::not_exist(Entity::Policy, policy.name)),
        }
        if attached.iter().any(|attached| attached.policy == policy) {
            return Err(IdentityRefused::already_exists(self.attachment(), policy.name));
        }
        let of_kind = attached.iter().filter(|attached| attached.policy.kind == policy.kind).count();
        limits::attached(&self, policy.kind).room_for_one_more(of_kind as u64)?;
        Ok(Attachment { target: self, policy, attached_at: now })
    }

    /// Detaches a policy from who has these.
    ///
    /// # Errors
    /// [`IdentityRefused::NotExist`] when it is not attached.
    pub fn detach(
        self,
        policy: PolicyRef,
        attached: &[Attachment],
    ) -> Result<PolicyDetached, IdentityRefused> {
        if attached.iter().all(|attached| attached.policy != policy) {
            return Err(IdentityRefused::not_exist(self.attachment(), policy.name));
        }
        Ok(PolicyDetached { target: self, policy })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn policy(kind: PolicyKind, name: &str) -> PolicyRef {
        PolicyRef { kind, name: name.parse().unwrap() }
    }

    fn having(target: &AttachmentTarget, kind: PolicyKind, count: u64) -> Vec<Attachment> {
        let attachment = |number| Attachment {
            target: target.clone(),
            policy: policy(kind, &format!("p{number}")),
            attached_at: at(1),
        };
        (0..count).map(attachment).collect()
    }

    fn targets() -> [(AttachmentTarget, Entity); 3] {
        [
            (AttachmentTarget::User(UserId::generate()), Entity::UserPolicy),
            (AttachmentTarget::Group(GroupId::generate()), Entity::GroupPolicy),
            (AttachmentTarget::Role(RoleId::generate()), Entity::RolePolicy),
        ]
    }

    #[test]
    fn an_unknown_policy_is_not_attached() {
        for (target, _) in targets() {
            let attach = |kind| target.clone().attach(policy(kind, "none"), false, &[], at(2)).unwrap_err();
            assert_eq!(attach(PolicyKind::Custom), IdentityRefused::not_exist(Entity::Policy, "none"));
            let refused = IdentityRefused::NoSystemPolicy { name: "none".to_owned() };
            assert_eq!(attach(PolicyKind::System), refused);
            // That the account has one of this name does not make one of the system.
            let system = policy(PolicyKind::System, "none");
            assert!(target.clone().attach(system, true, &[], at(2)).is_err());
            let system = policy(PolicyKind::System, "AdministratorAccess");
            let attached = target.clone().attach(system.clone(), false, &[], at(2)).unwrap();
            assert_eq!(attached, Attachment { target, policy: system, attached_at: at(2) });
        }
    }

    #[test]
    fn each_kind_of_policy_has_a_limit_of_its_own() {
        for (target, entity) in targets() {
            let custom = policy(PolicyKind::Custom, "new");
            let most = limits::attached(&target, PolicyKind::Custom).most();
            let full = having(&target, PolicyKind::Custom, most);
            let refused = target.clone().attach(custom.clone(), true, &full, at(2)).unwrap_err();
            assert!(
                matches!(refused, IdentityRefused::LimitExceeded { code, limit, .. } if code == entity.code() && limit == most),
                "{refused:?}"
            );
            assert!(target.clone().attach(custom.clone(), true, &full[1..], at(2)).is_ok());
            let system = having(&target, PolicyKind::System, 20);
            assert!(target.clone().attach(custom, true, &system, at(2)).is_ok());
            let another = policy(PolicyKind::System, "AdministratorAccess");
            assert!(target.clone().attach(another.clone(), false, &system, at(2)).is_err());
            assert!(target.attach(another, false, &full, at(2)).is_ok());
        }
    }

    #[test]
    fn a_policy_is_attached_once_and_detached_where_it_is() {
        for (target, entity) in targets() {
            let attached = having(&target, PolicyKind::Custom, 10);
            let first = policy(PolicyKind::Custom, "p0");
            // Who has as many as there may be is told that it has this one.
            let refused = target.clone().attach(first.clone(), true, &attached, at(2)).unwrap_err();
            assert_eq!(refused, IdentityRefused::already_exists(entity, "p0"));
            let detached = target.clone().detach(first.clone(), &attached).unwrap();
            assert_eq!(detached, PolicyDetached { target: target.clone(), policy: first.clone() });
            let refused = target.clone().detach(first, &attached[1..]).unwrap_err();
            assert_eq!(refused, IdentityRefused::not_exist(entity, "p0"));
            // One of the system of the same name is another policy.
            assert!(target.detach(policy(PolicyKind::System, "p0"), &attached).is_err());
        }
    }
}
