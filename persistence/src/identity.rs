//! Users, access keys, roles and policies, as administration sees them.

use domain::Timestamp;
use domain::access_key::{AccessKeySecret, AccessKeyStatus};
use domain::gate::IdentityResource;
use domain::identity::{
    AccessKeyId, GroupId, GroupName, PolicyName, RoleId, RoleName, RoleSessionName, UserId, UserName,
};
use domain::password::PasswordHash;
use domain::policy_version::PolicyVersionId;
use domain::role::{MaxSessionDuration, SecurityToken};

/// A RAM user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its id, never reused.
    pub id: UserId,
    /// Its name, unique within the account.
    pub name: UserName,
    /// What is noted about it.
    pub profile: UserProfile,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub changed_at: Timestamp,
    /// When it last signed in to the console.
    pub last_login_at: Option<Timestamp>,
}

/// What is noted about a user. Nothing of it decides anything; each may be empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserProfile {
    /// The name that people see.
    pub display_name: String,
    /// The number of a mobile phone.
    pub mobile_phone: String,
    /// The address of a mailbox.
    pub email: String,
    /// Whatever else.
    pub comments: String,
}

/// What shall be otherwise about a user; what is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserChange {
    /// Another name.
    pub name: Option<UserName>,
    /// Another name for people to see.
    pub display_name: Option<String>,
    /// Another number.
    pub mobile_phone: Option<String>,
    /// Another address.
    pub email: Option<String>,
    /// Another note.
    pub comments: Option<String>,
}

/// A user that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUser {
    /// Its name.
    pub name: UserName,
    /// What is noted about it.
    pub profile: UserProfile,
}

impl From<&UserName> for NewUser {
    fn from(name: &UserName) -> Self {
        Self { name: name.clone(), profile: UserProfile::default() }
    }
}

/// Whom an access key stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyOwner {
    /// The account's owner.
    Root,
    /// A RAM user.
    User(UserName),
}

impl KeyOwner {
    /// As policies are asked about it.
    #[must_use]
    pub fn resource(&self) -> IdentityResource {
        match self {
            Self::Root => IdentityResource::Owner,
            Self::User(name) => IdentityResource::User(name.clone()),
        }
    }
}

/// An access key without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessKeyEntry {
    /// The public half.
    pub id: AccessKeyId,
    /// Whom it stands for.
    pub owner: KeyOwner,
    /// Whether it signs.
    pub status: AccessKeyStatus,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last signed; `None` when it never did. Up to a few seconds behind.
    pub last_used: Option<AccessKeyUse>,
}

/// A moment at which an access key signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessKeyUse {
    /// When.
    pub at: Timestamp,
    /// The RAM code of the product that was called; `None` when the call named none that is known.
    pub service: Option<String>,
}

/// How a user signs in to the console. Its password is never read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginProfile {
    /// Whether the next sign-in has to choose another password.
    pub password_reset_required: bool,
    /// Whether signing in needs a second factor.
    pub mfa_bind_required: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

/// How a user shall sign in to the console; what is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoginProfileChange {
    /// The hash of another password.
    pub password: Option<PasswordHash>,
    /// Whether the next sign-in has to choose another password.
    pub password_reset_required: Option<bool>,
    /// Whether signing in needs a second factor.
    pub mfa_bind_required: Option<bool>,
}

/// A group of users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its id, never reused.
    pub id: GroupId,
    /// Its name, unique within the account.
    pub name: GroupName,
    /// What is noted about it.
    pub comments: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub changed_at: Timestamp,
}

/// What shall be otherwise about a group; what is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupChange {
    /// Another name.
    pub name: Option<GroupName>,
    /// Another note.
    pub comments: Option<String>,
}

/// Something with the moment at which a user came into a group: the user, or the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined<T> {
    /// The user or the group.
    pub what: T,
    /// When.
    pub joined_at: Timestamp,
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

/// A role that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRole {
    /// Its name.
    pub name: RoleName,
    /// What it is for.
    pub description: String,
    /// Who may assume it.
    pub trust_policy: String,
    /// How long its sessions last at most.
    pub max_session_duration: MaxSessionDuration,
}

/// A role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its id, never reused.
    pub id: RoleId,
    /// Its name, unique within the account.
    pub name: RoleName,
    /// What it is for, in its maker's words.
    pub description: String,
    /// Who may assume it, as the document was given.
    pub trust_policy: String,
    /// How long its sessions last at most.
    pub max_session_duration: MaxSessionDuration,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub changed_at: Timestamp,
}

/// What is to change of a role; what is `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoleChange {
    /// Who may assume it from now on.
    pub trust_policy: Option<String>,
    /// Its description.
    pub description: Option<String>,
    /// How long its sessions last at most.
    pub max_session_duration: Option<MaxSessionDuration>,
}

/// A session of a role that somebody was permitted to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRoleSession {
    /// What its starter calls it.
    pub name: RoleSessionName,
    /// The document that narrows it, checked already.
    pub policy: Option<String>,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// What a session signs and is known by. Only here can secret and token be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionCredentials {
    /// The role's id.
    pub role: RoleId,
    /// The public half of its key.
    pub key: AccessKeyId,
    /// The secret that signs.
    pub secret: AccessKeySecret,
    /// What goes with every call.
    pub token: SecurityToken,
}
