//! Groups of users, and who is in them.

use super::{Entity, GroupId, GroupName, IdentityRefused, User, UserId, limits};
use crate::Timestamp;

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

/// A group that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGroup {
    /// Its name.
    pub name: GroupName,
    /// What is noted about it.
    pub comments: String,
}

/// The changes of a group; `None` leaves a field as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupChange {
    /// Another name.
    pub name: Option<GroupName>,
    /// Another note.
    pub comments: Option<String>,
}

/// A user or a group, with the time at which the user joined the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined<T> {
    /// The user or the group.
    pub what: T,
    /// When.
    pub joined_at: Timestamp,
}

/// What keeps a group from being deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GroupBelongings {
    /// How many users are in it.
    pub users: u64,
    /// Whether policies are attached to it.
    pub has_policies: bool,
}

/// A group may be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDeleted {
    /// The group.
    pub group: GroupId,
}

/// A user joins a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserJoinedGroup {
    /// The user.
    pub user: UserId,
    /// The group.
    pub group: GroupId,
    /// When.
    pub at: Timestamp,
}

/// A user leaves a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserLeftGroup {
    /// The user.
    pub user: UserId,
    /// The group.
    pub group: GroupId,
}

impl NewGroup {
    /// The group, in an account that has this many. The database checks whether its name is taken.
    ///
    /// # Errors
    /// [`IdentityRefused::LimitExceeded`].
    pub fn create(self, id: GroupId, standing: u64, now: Timestamp) -> Result<Group, IdentityRefused> {
        limits::GROUPS.room_for_one_more(standing)?;
        let Self { name, comments } = self;
        Ok(Group { id, name, comments, created_at: now, changed_at: now })
    }
}

impl Group {
    /// The group with its changes.
    #[must_use]
    pub fn change(self, change: GroupChange, now: Timestamp) -> Self {
        let GroupChange { name, comments } = change;
        Self {
            name: name.unwrap_or(self.name),
            comments: comments.unwrap_or(self.comments),
            changed_at: now,
            ..self
        }
    }

    /// Deletes a group that nobody is in and no policy is attached to.
    ///
    /// # Errors
    /// [`IdentityRefused::DeleteConflict`] names the first thing in the way.
    pub fn delete(self, has: GroupBelongings) -> Result<GroupDeleted, IdentityRefused> {
        let conflict = |code, why| Err(IdentityRefused::delete_conflict(Entity::Group, code, why));
        if has.users > 0 {
            return conflict("Group.User", "users are in it; take them out first");
        }
        if has.has_policies {
            return conflict("Group.Policy", "policies are attached to it; detach them first");
        }
        Ok(GroupDeleted { group: self.id })
    }

    /// Puts a user into the group, who is in these groups already.
    ///
    /// # Errors
    /// [`IdentityRefused::AlreadyExists`] when it is in this one; [`IdentityRefused::LimitExceeded`].
    pub fn join(
        &self,
        user: &User,
        memberships: &[GroupId],
        now: Timestamp,
    ) -> Result<UserJoinedGroup, IdentityRefused> {
        if memberships.contains(&self.id) {
            return Err(IdentityRefused::already_exists(Entity::Membership, self.membership(user)));
        }
        limits::GROUPS_OF_USER.room_for_one_more(memberships.len() as u64)?;
        Ok(UserJoinedGroup { user: user.id.clone(), group: self.id.clone(), at: now })
    }

    /// Takes a user out of the group, who is in these groups.
    ///
    /// # Errors
    /// [`IdentityRefused::NotExist`] when it is not in this one.
    pub fn leave(&self, user: &User, memberships: &[GroupId]) -> Result<UserLeftGroup, IdentityRefused> {
        if !memberships.contains(&self.id) {
            return Err(IdentityRefused::not_exist(Entity::Membership, self.membership(user)));
        }
        Ok(UserLeftGroup { user: user.id.clone(), group: self.id.clone() })
    }

    /// In words, for refusals.
    fn membership(&self, user: &User) -> String {
        format!("{} in {}", user.name, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::NewUser;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn create(standing: u64) -> Result<Group, IdentityRefused> {
        let new = NewGroup { name: "readers".parse().unwrap(), comments: "who read".to_owned() };
        new.create(GroupId::generate(), standing, at(1))
    }

    fn ana() -> User {
        NewUser::from(&"ana".parse().unwrap()).create(UserId::generate(), 0, at(1)).unwrap()
    }

    #[test]
    fn an_account_has_as_many_groups_as_it_may_have() {
        let made = create(limits::GROUPS.most() - 1).unwrap();
        assert_eq!((made.comments.as_str(), made.created_at, made.changed_at), ("who read", at(1), at(1)));
        let refused = create(limits::GROUPS.most()).unwrap_err();
        assert!(
            matches!(refused, IdentityRefused::LimitExceeded { code: "Group", limit: 300, .. }),
            "{refused:?}"
        );
    }

    #[test]
    fn a_change_leaves_other_fields_as_they_are() {
        let group = create(0).unwrap();
        let renamed = GroupChange { name: Some("auditors".parse().unwrap()), comments: None };
        let expected = Group { name: "auditors".parse().unwrap(), changed_at: at(2), ..group.clone() };
        assert_eq!(group.clone().change(renamed, at(2)), expected);
        let noted = GroupChange { name: None, comments: Some("others".to_owned()) };
        let expected = Group { comments: "others".to_owned(), changed_at: at(3), ..group.clone() };
        assert_eq!(group.change(noted, at(3)), expected);
    }

    #[test]
    fn a_group_with_users_or_policies_is_not_deleted() {
        for (users, has_policies, expected) in
            [(1, true, "Group.User"), (1, false, "Group.User"), (0, true, "Group.Policy")]
        {
            let refused = create(0).unwrap().delete(GroupBelongings { users, has_policies }).unwrap_err();
            assert!(
                matches!(refused, IdentityRefused::DeleteConflict { entity: Entity::Group, code, .. } if code == expected),
                "{refused:?}"
            );
        }
        let group = create(0).unwrap();
        assert_eq!(group.clone().delete(GroupBelongings::default()), Ok(GroupDeleted { group: group.id }));
    }

    #[test]
    fn a_user_joins_a_group_once_and_ten_groups_at_most() {
        let (group, user) = (create(0).unwrap(), ana());
        let of = |count: usize| (0..count).map(|_| GroupId::generate()).collect::<Vec<_>>();
        let joined = group.join(&user, &of(9), at(2)).unwrap();
        assert_eq!((joined.user, joined.group, joined.at), (user.id.clone(), group.id.clone(), at(2)));
        let refused = group.join(&user, &of(10), at(2)).unwrap_err();
        assert!(
            matches!(refused, IdentityRefused::LimitExceeded { code: "User.Group", limit: 10, .. }),
            "{refused:?}"
        );
        // A user in ten groups, including this one, gets the error about this one.
        let mut memberships = of(9);
        memberships.push(group.id.clone());
        let refused = group.join(&user, &memberships, at(2)).unwrap_err();
        assert_eq!(refused, IdentityRefused::already_exists(Entity::Membership, "ana in readers"));
    }

    #[test]
    fn only_a_member_leaves_a_group() {
        let (group, user) = (create(0).unwrap(), ana());
        let left = group.leave(&user, std::slice::from_ref(&group.id)).unwrap();
        assert_eq!((left.user, left.group), (user.id.clone(), group.id.clone()));
        let refused = group.leave(&user, &[GroupId::generate()]).unwrap_err();
        assert_eq!(refused, IdentityRefused::not_exist(Entity::Membership, "ana in readers"));
    }
}
