//! The account's policies.

use policies::{DocumentKind, InvalidPolicy, PolicyDocument};

use super::{
    BrokenRule, ChangeRefused, Entity, GroupName, IdentityRefused, InvalidName, PolicyBearers, PolicyName,
    PolicyVersion, RoleName, UserName, limits,
};
use crate::parameter::Word;
use crate::policy_version::PolicyVersionId;
use crate::{Timestamp, system_policies};

/// The kind of a policy: the deployment's own, which nobody can change, or the account's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PolicyKind {
    /// Ready-made (`crate::system_policies`), the same in every account.
    System,
    /// Of the account.
    Custom,
}

impl PolicyKind {
    /// The wire's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "System",
            Self::Custom => "Custom",
        }
    }
}

impl std::str::FromStr for PolicyKind {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let rule = "System or Custom";
        Self::of(text).ok_or(InvalidName { kind: "PolicyType", rule, broken: BrokenRule::Value })
    }
}

impl Word for PolicyKind {
    const ALL: &'static [Self] = &[Self::System, Self::Custom];

    fn word(self) -> &'static str {
        self.as_str()
    }
}

/// A policy by its kind and name: the two together are unique within an account.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyRef {
    /// Whose it is.
    pub kind: PolicyKind,
    /// Its name.
    pub name: PolicyName,
}

/// A policy of the account without its versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its name, unique within the account.
    pub name: PolicyName,
    /// What it is for.
    pub description: String,
    /// The version that decides.
    pub default_version: PolicyVersionId,
    /// The highest number that was ever used.
    pub last_version: PolicyVersionId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last got a version, another default version or another description.
    pub changed_at: Timestamp,
}

/// A policy that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPolicy {
    /// Its name.
    pub name: PolicyName,
    /// What it is for.
    pub description: String,
    /// The document of its first version, checked already.
    pub document: String,
}

/// A policy is made with its first version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyCreated {
    /// The policy.
    pub policy: Policy,
    /// Its first version, which is the default.
    pub version: PolicyVersion,
}

/// A policy may be deleted, with all its versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyDeleted {
    /// Its name.
    pub policy: PolicyName,
}

/// What happens to the other versions when a policy is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherVersions {
    /// They go with it.
    GoWithIt,
    /// There must be none.
    MustBeGone,
}

/// A policy without its documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySummary {
    /// Whose it is, and its name.
    pub policy: PolicyRef,
    /// What it is for.
    pub description: String,
    /// The version that decides.
    pub default_version: PolicyVersionId,
    /// How many users, groups and roles of the account have it.
    pub attachment_count: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last got a version or another default version.
    pub changed_at: Timestamp,
}

/// A policy and who has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyEntry {
    /// Its name, unique within the account.
    pub name: PolicyName,
    /// The document, as it was given.
    pub document: String,
    /// When it was first put.
    pub created_at: Timestamp,
    /// When it was last put.
    pub changed_at: Timestamp,
    /// The version that decides.
    pub default_version: PolicyVersionId,
    /// The users it is attached to, by name.
    pub attached_to: Vec<UserName>,
    /// The groups it is attached to, by name.
    pub attached_to_groups: Vec<GroupName>,
    /// The roles it is attached to, by name.
    pub attached_to_roles: Vec<RoleName>,
}

/// Reads the document of a policy.
///
/// # Errors
/// [`InvalidPolicy`] says what is wrong with it, and where.
pub fn check_policy_document(document: &str) -> Result<(), InvalidPolicy> {
    PolicyDocument::parse(document.as_bytes(), DocumentKind::Identity).map(drop)
}

impl NewPolicy {
    /// The policy with its first version, in an account that has so many. `present` is the one of its name, where
    /// there is one.
    ///
    /// # Errors
    /// [`IdentityRefused::AlreadyExists`] when the account or the system has a policy of this name;
    /// [`IdentityRefused::LimitExceeded`].
    pub fn create(
        self,
        present: Option<&Policy>,
        standing: u64,
        now: Timestamp,
    ) -> Result<PolicyCreated, IdentityRefused> {
        let Self { name, description, document } = self;
        // With two policies of one name, a list, a denial or an audit row would be ambiguous.
        if system_policies::find(name.as_str()).is_some() || present.is_some() {
            return Err(IdentityRefused::already_exists(Entity::Policy, name));
        }
        limits::CUSTOM_POLICIES.room_for_one_more(standing)?;
        let id = PolicyVersionId::FIRST;
        let policy = Policy {
            name,
            description,
            default_version: id,
            last_version: id,
            created_at: now,
            changed_at: now,
        };
        Ok(PolicyCreated {
            policy,
            version: PolicyVersion { id, document, is_default: true, created_at: now },
        })
    }
}

impl Policy {
    /// The policy that stands, when it is what the caller saw: this version decided, or, with `None`, there was no such
    /// policy.
    ///
    /// # Errors
    /// [`ChangeRefused::ChangedMeanwhile`] when another version is the default by now, or it was made or deleted meanwhile.
    pub fn as_seen(
        standing: Option<Self>,
        seen: Option<PolicyVersionId>,
    ) -> Result<Option<Self>, ChangeRefused> {
        match (standing, seen) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(changed_meanwhile("it was deleted meanwhile")),
            (Some(_), None) => Err(changed_meanwhile("somebody else has created it meanwhile")),
            (Some(policy), Some(seen)) => {
                policy.still_decides(seen)?;
                Ok(Some(policy))
            }
        }
    }

    /// The policy with another description.
    #[must_use]
    pub fn describe(self, description: String, now: Timestamp) -> Self {
        Self { description, changed_at: now, ..self }
    }

    /// Refuses if another version is the default by now.
    pub(super) fn still_decides(&self, seen: PolicyVersionId) -> Result<(), ChangeRefused> {
        if self.default_version == seen {
            return Ok(());
        }
        Err(changed_meanwhile("another version is the default by now; check it and try again"))
    }

    /// Deletes a policy that nobody has, of which so many versions stand.
    ///
    /// # Errors
    /// [`IdentityRefused::DeleteConflict`] names who has it, or counts the versions that must be gone.
    pub fn delete(
        self,
        bearers: &PolicyBearers,
        versions: usize,
        others: OtherVersions,
    ) -> Result<PolicyDeleted, IdentityRefused> {
        if let Some((code, who)) = bearers.told() {
            let why = format!("it is attached to the {who}; detach it first");
            return Err(IdentityRefused::delete_conflict(Entity::Policy, code, why));
        }
        if versions > 1 && others == OtherVersions::MustBeGone {
            let why = format!(
                "it has {} versions besides the default; delete them first, or with it by CascadingDelete",
                versions - 1
            );
            return Err(IdentityRefused::delete_conflict(Entity::Policy, "Policy.Version", why));
        }
        Ok(PolicyDeleted { policy: self.name })
    }
}

fn changed_meanwhile(why: &'static str) -> ChangeRefused {
    ChangeRefused::ChangedMeanwhile { what: "policy", why }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::identity::{BearingGroup, BearingRole, BearingUser, RoleId, UserId};

    pub(crate) fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn new(name: &str) -> NewPolicy {
        NewPolicy { name: name.parse().unwrap(), description: "reads".to_owned(), document: "{}".to_owned() }
    }

    pub(crate) fn policy() -> Policy {
        new("readers").create(None, 0, at(1)).unwrap().policy
    }

    #[test]
    fn a_policy_is_created_with_a_first_version_as_its_default() {
        let PolicyCreated { policy, version } =
            new("readers").create(None, limits::CUSTOM_POLICIES.most() - 1, at(1)).unwrap();
        assert_eq!(
            (policy.default_version, policy.last_version),
            (PolicyVersionId::FIRST, PolicyVersionId::FIRST)
        );
        assert_eq!(
            (policy.description.as_str(), policy.created_at, policy.changed_at),
            ("reads", at(1), at(1))
        );
        let expected = PolicyVersion {
            id: PolicyVersionId::FIRST,
            document: "{}".to_owned(),
            is_default: true,
            created_at: at(1),
        };
        assert_eq!(version, expected);
    }

    #[test]
    fn there_is_one_policy_of_a_name_and_as_many_as_there_may_be() {
        let taken = new("readers").create(Some(&policy()), 1, at(2)).unwrap_err();
        assert_eq!(taken, IdentityRefused::already_exists(Entity::Policy, "readers"));
        let of_the_system = new("AdministratorAccess").create(None, 0, at(2)).unwrap_err();
        assert_eq!(of_the_system, IdentityRefused::already_exists(Entity::Policy, "AdministratorAccess"));
        let full = new("readers").create(None, limits::CUSTOM_POLICIES.most(), at(2)).unwrap_err();
        assert!(
            matches!(full, IdentityRefused::LimitExceeded { code: "Policy", limit: 1_500, .. }),
            "{full:?}"
        );
    }

    #[test]
    fn a_policy_is_put_over_what_was_seen() {
        let first = PolicyVersionId::FIRST;
        assert_eq!(Policy::as_seen(None, None), Ok(None));
        assert_eq!(Policy::as_seen(Some(policy()), Some(first)), Ok(Some(policy())));
        for (standing, seen, expected) in [
            (None, Some(first), "it was deleted meanwhile"),
            (Some(policy()), None, "somebody else has created it meanwhile"),
            (
                Some(policy()),
                Some(first.next()),
                "another version is the default by now; check it and try again",
            ),
        ] {
            assert_eq!(Policy::as_seen(standing, seen), Err(changed_meanwhile(expected)));
        }
    }

    #[test]
    fn an_attached_policy_is_not_deleted() {
        let user = |name: &str| BearingUser {
            id: UserId::generate(),
            name: name.parse().unwrap(),
            display_name: String::new(),
            attached_at: at(1),
        };
        let group =
            BearingGroup { name: "readers".parse().unwrap(), comments: String::new(), attached_at: at(1) };
        let role = BearingRole {
            id: RoleId::generate(),
            name: "auditor".parse().unwrap(),
            description: String::new(),
            attached_at: at(1),
        };
        let users = ["a", "b", "c", "d", "e", "f", "g"].map(user).to_vec();
        let nobody = PolicyBearers::default();
        for (bearers, expected_code, expected) in [
            (
                PolicyBearers { users, groups: vec![group.clone()], roles: vec![role.clone()] },
                "Policy.User",
                "it is attached to the users a, b, c, d, e and 2 more; detach it first",
            ),
            (
                PolicyBearers { groups: vec![group], roles: vec![role.clone()], ..nobody.clone() },
                "Policy.Group",
                "it is attached to the groups readers; detach it first",
            ),
            (
                PolicyBearers { roles: vec![role], ..nobody.clone() },
                "Policy.Role",
                "it is attached to the roles auditor; detach it first",
            ),
        ] {
            let refused = policy().delete(&bearers, 1, OtherVersions::GoWithIt).unwrap_err();
            assert_eq!(refused, IdentityRefused::delete_conflict(Entity::Policy, expected_code, expected));
        }
    }

    #[test]
    fn other_versions_are_deleted_with_a_policy_on_request() {
        let nobody = PolicyBearers::default();
        let deleted = Ok(PolicyDeleted { policy: policy().name });
        assert_eq!(policy().delete(&nobody, 1, OtherVersions::MustBeGone), deleted);
        assert_eq!(policy().delete(&nobody, 3, OtherVersions::GoWithIt), deleted);
        let refused = policy().delete(&nobody, 3, OtherVersions::MustBeGone).unwrap_err();
        let why = "it has 2 versions besides the default; delete them first, or with it by CascadingDelete";
        assert_eq!(refused, IdentityRefused::delete_conflict(Entity::Policy, "Policy.Version", why));
    }
}
