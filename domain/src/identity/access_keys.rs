//! Access keys, as administration sees them.

use super::{AccessKeyId, IdentityRefused, UserId, UserName, limits};
use crate::Timestamp;
use crate::access_key::AccessKeyStatus;
use crate::gate::IdentityResource;

/// The owner of an access key.
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

/// An access key is made, for a user or, without one, for the account's owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessKeyCreated {
    /// The public half.
    pub id: AccessKeyId,
    /// The user; `None` is the account's owner.
    pub user: Option<UserId>,
    /// It signs at once.
    pub status: AccessKeyStatus,
    /// When.
    pub at: Timestamp,
}

/// Creates a key for an owner who has this many, active or not.
///
/// # Errors
/// [`IdentityRefused::LimitExceeded`].
pub fn create(
    id: AccessKeyId,
    user: Option<UserId>,
    standing: u64,
    now: Timestamp,
) -> Result<AccessKeyCreated, IdentityRefused> {
    limits::ACCESS_KEYS_OF_USER.room_for_one_more(standing)?;
    Ok(AccessKeyCreated { id, user, status: AccessKeyStatus::Active, at: now })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_and_the_owner_have_two_keys_at_most() {
        let now = Timestamp::from_millis(1);
        for user in [None, Some(UserId::generate())] {
            let id = AccessKeyId::generate();
            let made = create(id.clone(), user.clone(), 1, now).unwrap();
            assert_eq!(
                (made.id, made.user.clone(), made.status, made.at),
                (id, user, AccessKeyStatus::Active, now)
            );
            let refused = create(AccessKeyId::generate(), made.user, 2, now).unwrap_err();
            assert!(
                matches!(refused, IdentityRefused::LimitExceeded { code: "User.AccessKey", limit: 2, .. }),
                "{refused:?}"
            );
        }
    }
}
