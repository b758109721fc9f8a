//! RAM users.

use super::{Entity, IdentityRefused, UserId, UserName, limits};
use crate::Timestamp;

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

/// The descriptive fields of a user. They affect no decision; each may be empty.
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

/// The changes of a user; `None` leaves a field as it is.
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

/// What a user has that keeps it from being deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UserBelongings {
    /// How many access keys it has.
    pub access_keys: u64,
    /// In how many groups it is.
    pub groups: u64,
    /// Whether policies are attached to it.
    pub has_policies: bool,
    /// Whether it has a login profile.
    pub has_login_profile: bool,
}

/// A user may be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserDeleted {
    /// The user.
    pub user: UserId,
}

impl NewUser {
    /// The user, in an account that has this many. The database checks whether its name is taken.
    ///
    /// # Errors
    /// [`IdentityRefused::LimitExceeded`].
    pub fn create(self, id: UserId, standing: u64, now: Timestamp) -> Result<User, IdentityRefused> {
        limits::USERS.room_for_one_more(standing)?;
        let Self { name, profile } = self;
        Ok(User { id, name, profile, created_at: now, changed_at: now, last_login_at: None })
    }
}

impl User {
    /// The user with its changes.
    #[must_use]
    pub fn change(self, change: UserChange, now: Timestamp) -> Self {
        let UserChange { name, display_name, mobile_phone, email, comments } = change;
        let profile = UserProfile {
            display_name: display_name.unwrap_or(self.profile.display_name),
            mobile_phone: mobile_phone.unwrap_or(self.profile.mobile_phone),
            email: email.unwrap_or(self.profile.email),
            comments: comments.unwrap_or(self.profile.comments),
        };
        Self { name: name.unwrap_or(self.name), profile, changed_at: now, ..self }
    }

    /// Deletes a user that has nothing any more.
    ///
    /// # Errors
    /// [`IdentityRefused::DeleteConflict`] names the first thing in the way.
    pub fn delete(self, has: UserBelongings) -> Result<UserDeleted, IdentityRefused> {
        let conflict = |code, why| Err(IdentityRefused::delete_conflict(Entity::User, code, why));
        if has.access_keys > 0 {
            return conflict("User.AccessKey", "it has access keys; delete them first");
        }
        if has.groups > 0 {
            return conflict("User.Group", "it is in groups; take it out of them first");
        }
        if has.has_policies {
            return conflict("User.Policy", "policies are attached to it; detach them first");
        }
        if has.has_login_profile {
            return conflict("User.LoginProfile", "it has a login profile; delete it first");
        }
        Ok(UserDeleted { user: self.id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn ana() -> User {
        let profile = UserProfile {
            display_name: "Ana".to_owned(),
            mobile_phone: "1".to_owned(),
            email: "ana@example.com".to_owned(),
            comments: "first".to_owned(),
        };
        let new = NewUser { name: "ana".parse().unwrap(), profile };
        new.create(UserId::generate(), 0, at(1)).unwrap()
    }

    #[test]
    fn an_account_has_as_many_users_as_it_may_have() {
        let create =
            |standing| NewUser::from(&"ana".parse().unwrap()).create(UserId::generate(), standing, at(1));
        let made = create(limits::USERS.most() - 1).unwrap();
        assert_eq!((made.created_at, made.changed_at, made.last_login_at), (at(1), at(1), None));
        let refused = create(limits::USERS.most()).unwrap_err();
        assert!(
            matches!(refused, IdentityRefused::LimitExceeded { code: "User", limit: 5_000, .. }),
            "{refused:?}"
        );
    }

    #[test]
    fn a_change_leaves_other_fields_as_they_are() {
        let user = ana();
        let same = user.clone().change(UserChange::default(), at(2));
        assert_eq!(same, User { changed_at: at(2), ..user.clone() });
        let change = UserChange {
            name: Some("bo".parse().unwrap()),
            email: Some(String::new()),
            ..UserChange::default()
        };
        let changed = user.clone().change(change, at(3));
        let profile = UserProfile { email: String::new(), ..user.profile.clone() };
        assert_eq!(changed, User { name: "bo".parse().unwrap(), profile, changed_at: at(3), ..user.clone() });
        let change = UserChange {
            display_name: Some("A".to_owned()),
            mobile_phone: Some("2".to_owned()),
            comments: Some("second".to_owned()),
            ..UserChange::default()
        };
        let changed = user.clone().change(change, at(4)).profile;
        let told = (changed.display_name.as_str(), changed.mobile_phone.as_str(), changed.comments.as_str());
        assert_eq!((told, changed.email), (("A", "2", "second"), user.profile.email));
    }

    #[test]
    fn a_user_that_has_something_is_not_deleted() {
        let nothing = UserBelongings::default();
        for (has, expected) in [
            (
                UserBelongings { access_keys: 1, groups: 1, has_policies: true, has_login_profile: true },
                "User.AccessKey",
            ),
            (UserBelongings { groups: 1, has_policies: true, ..nothing }, "User.Group"),
            (UserBelongings { has_policies: true, has_login_profile: true, ..nothing }, "User.Policy"),
            (UserBelongings { has_login_profile: true, ..nothing }, "User.LoginProfile"),
        ] {
            let refused = ana().delete(has).unwrap_err();
            assert!(
                matches!(refused, IdentityRefused::DeleteConflict { entity: Entity::User, code, .. } if code == expected),
                "{refused:?}"
            );
        }
        let user = ana();
        assert_eq!(user.clone().delete(nothing), Ok(UserDeleted { user: user.id }));
    }
}
