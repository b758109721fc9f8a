//! Users, access keys and policies, as administration sees them.

use domain::Timestamp;
use domain::access_key::AccessKeyStatus;
use domain::identity::{AccessKeyId, PolicyName, UserId, UserName};

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
    /// The users it is attached to, by name.
    pub attached_to: Vec<UserName>,
}
