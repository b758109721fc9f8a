//! Policies, their versions and who has them, as the store shows them.

use domain::Timestamp;
use domain::identity::{GroupName, PolicyName, PolicyRef, RoleId, RoleName, UserId, UserName};
use domain::policy_version::PolicyVersionId;

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
    /// When it was last given a version, or another version was made to decide.
    pub changed_at: Timestamp,
}

/// One version of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyVersion {
    /// Its number.
    pub id: PolicyVersionId,
    /// The document, as it was given.
    pub document: String,
    /// Whether it decides.
    pub is_default: bool,
    /// When it was made.
    pub created_at: Timestamp,
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

/// A control policy: what the users and roles of the account may do at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlPolicy {
    /// Its name, unique within the account.
    pub name: PolicyName,
    /// Its level, counted from 1. Each level must allow.
    pub level: u32,
    /// The document, as it was given.
    pub document: String,
    /// When it was first put.
    pub created_at: Timestamp,
    /// When it was last put.
    pub changed_at: Timestamp,
}
