//! How users sign in to the console.

use super::{Entity, IdentityRefused, UserName};
use crate::Timestamp;
use crate::password::PasswordHash;

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

/// The changes of a login profile; `None` leaves a field as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoginProfileChange {
    /// The hash of another password.
    pub password: Option<PasswordHash>,
    /// Whether the next sign-in has to choose another password.
    pub password_reset_required: Option<bool>,
    /// Whether signing in needs a second factor.
    pub mfa_bind_required: Option<bool>,
}

/// A login profile as it is stored: with the hash of its password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLoginProfile {
    /// What is shown of it.
    pub profile: LoginProfile,
    /// The hash of the password.
    pub password: PasswordHash,
    /// When it was last changed.
    pub changed_at: Timestamp,
}

impl LoginProfile {
    /// Gives a user the profile, who has this one already.
    ///
    /// # Errors
    /// [`IdentityRefused::AlreadyExists`] when it has one.
    pub fn create(
        self,
        user: &UserName,
        password: PasswordHash,
        standing: Option<&StoredLoginProfile>,
    ) -> Result<StoredLoginProfile, IdentityRefused> {
        match standing {
            Some(_) => Err(IdentityRefused::already_exists(Entity::LoginProfile, user)),
            None => Ok(StoredLoginProfile { changed_at: self.created_at, profile: self, password }),
        }
    }
}

impl StoredLoginProfile {
    /// The profile of a user, if it has one.
    ///
    /// # Errors
    /// [`IdentityRefused::NotExist`] when it has none.
    pub fn of(user: &UserName, standing: Option<Self>) -> Result<Self, IdentityRefused> {
        standing.ok_or_else(|| IdentityRefused::not_exist(Entity::LoginProfile, user))
    }

    /// The profile with what changes of it.
    #[must_use]
    pub fn change(self, change: LoginProfileChange, now: Timestamp) -> Self {
        let LoginProfileChange { password, password_reset_required, mfa_bind_required } = change;
        let profile = LoginProfile {
            password_reset_required: password_reset_required.unwrap_or(self.profile.password_reset_required),
            mfa_bind_required: mfa_bind_required.unwrap_or(self.profile.mfa_bind_required),
            created_at: self.profile.created_at,
        };
        Self { profile, password: password.unwrap_or(self.password), changed_at: now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::password::Password;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn ana() -> UserName {
        "ana".parse().unwrap()
    }

    fn hash(password: &str) -> PasswordHash {
        Password::parse(password).unwrap().hash()
    }

    fn create(standing: Option<&StoredLoginProfile>) -> Result<StoredLoginProfile, IdentityRefused> {
        let profile =
            LoginProfile { password_reset_required: true, mfa_bind_required: false, created_at: at(1) };
        profile.create(&ana(), hash("correct horse"), standing)
    }

    #[test]
    fn a_user_has_one_profile() {
        let made = create(None).unwrap();
        assert_eq!((made.profile.created_at, made.changed_at), (at(1), at(1)));
        let refused = create(Some(&made)).unwrap_err();
        assert_eq!(refused, IdentityRefused::already_exists(Entity::LoginProfile, "ana"));
        assert_eq!(StoredLoginProfile::of(&ana(), Some(made.clone())), Ok(made));
        let absent = StoredLoginProfile::of(&ana(), None).unwrap_err();
        assert_eq!(absent, IdentityRefused::not_exist(Entity::LoginProfile, "ana"));
    }

    #[test]
    fn a_change_leaves_other_fields_as_they_are() {
        let made = create(None).unwrap();
        let same = made.clone().change(LoginProfileChange::default(), at(2));
        assert_eq!(same, StoredLoginProfile { changed_at: at(2), ..made.clone() });
        let change = LoginProfileChange { mfa_bind_required: Some(true), ..LoginProfileChange::default() };
        let changed = made.clone().change(change, at(3));
        let profile = LoginProfile { mfa_bind_required: true, ..made.profile.clone() };
        assert_eq!(changed, StoredLoginProfile { profile, changed_at: at(3), ..made.clone() });
        let change = LoginProfileChange {
            password: Some(hash("battery staple")),
            password_reset_required: Some(false),
            mfa_bind_required: None,
        };
        let changed = made.change(change, at(4));
        assert!(changed.password.verify("battery staple") && !changed.password.verify("correct horse"));
        assert!(!changed.profile.password_reset_required);
    }
}
