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
    /// When it was made.
    pub created_at: Timestamp,
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
