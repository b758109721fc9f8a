//! Roles and the sessions that start from them.

use policies::{DocumentKind, InvalidPolicy, PolicyDocument};

use super::{AccessKeyId, ChangeRefused, Entity, IdentityRefused, RoleId, RoleName, RoleSessionName, limits};
use crate::Timestamp;
use crate::access_key::AccessKeySecret;
use crate::role::{AssumableRole, MaxSessionDuration, SecurityToken};

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

/// The changes of a role; `None` leaves a field as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoleChange {
    /// Who may assume it from now on.
    pub trust_policy: Option<String>,
    /// Its description.
    pub description: Option<String>,
    /// How long its sessions last at most.
    pub max_session_duration: Option<MaxSessionDuration>,
}

/// A role may be deleted. Its sessions end with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleDeleted {
    /// The role.
    pub role: Role,
}

/// A session of a role whose start was permitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRoleSession {
    /// Its name, which the caller chose.
    pub name: RoleSessionName,
    /// The document that narrows it, checked already.
    pub policy: Option<String>,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// The credentials of a session. This is the only place where the secret and the token can be read.
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

/// Reads a trust policy as it may be stored.
///
/// # Errors
/// [`InvalidPolicy`] says what is wrong with it, and where.
pub fn check_trust_policy(document: &str) -> Result<(), InvalidPolicy> {
    PolicyDocument::parse(document.as_bytes(), DocumentKind::Trust).map(drop)
}

impl NewRole {
    /// The role, in an account that has this many. The database checks whether its name is taken.
    ///
    /// # Errors
    /// [`IdentityRefused::LimitExceeded`].
    pub fn create(self, id: RoleId, standing: u64, now: Timestamp) -> Result<Role, IdentityRefused> {
        limits::ROLES.room_for_one_more(standing)?;
        let Self { name, description, trust_policy, max_session_duration } = self;
        Ok(Role {
            id,
            name,
            description,
            trust_policy,
            max_session_duration,
            created_at: now,
            changed_at: now,
        })
    }
}

impl Role {
    /// The role with its changes. The permissions of its sessions follow the change; a new trust policy counts from the
    /// next AssumeRole.
    #[must_use]
    pub fn change(self, change: RoleChange, now: Timestamp) -> Self {
        let RoleChange { trust_policy, description, max_session_duration } = change;
        // Never twice the same: a session starts only from the state that was asked about.
        let later = Timestamp::from_millis(self.changed_at.as_millis() + 1);
        Self {
            trust_policy: trust_policy.unwrap_or(self.trust_policy),
            description: description.unwrap_or(self.description),
            max_session_duration: max_session_duration.unwrap_or(self.max_session_duration),
            changed_at: now.max(later),
            ..self
        }
    }

    /// Deletes a role that has no policies.
    ///
    /// # Errors
    /// [`IdentityRefused::DeleteConflict`] says how many it has.
    pub fn delete(self, attached: usize) -> Result<RoleDeleted, IdentityRefused> {
        if attached > 0 {
            let why = format!("policies are attached to it ({attached}); detach them first");
            return Err(IdentityRefused::delete_conflict(Entity::Role, "Role.Policy", why));
        }
        Ok(RoleDeleted { role: self })
    }
}

impl AssumableRole {
    /// Lets a session start from the present role if that is the state for which the caller was permitted. After a
    /// change of the trust policy has been confirmed, no session that it refuses may start.
    ///
    /// # Errors
    /// [`IdentityRefused::NotExist`] when there is no such role any more; [`ChangeRefused::ChangedMeanwhile`].
    pub fn start_from(&self, standing: Option<&Role>) -> Result<RoleId, ChangeRefused> {
        let role = standing.filter(|role| Some(&role.id) == self.id.as_ref());
        let role = role.ok_or_else(|| IdentityRefused::not_exist(Entity::Role, &self.arn.name))?;
        if Some(role.changed_at) != self.changed_at {
            let why = "it was changed meanwhile; try again";
            return Err(ChangeRefused::ChangedMeanwhile { what: "role", why });
        }
        Ok(role.id.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::role::RoleArn;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn create(standing: u64) -> Result<Role, IdentityRefused> {
        let new = NewRole {
            name: "auditor".parse().unwrap(),
            description: "looks".to_owned(),
            trust_policy: "{}".to_owned(),
            max_session_duration: MaxSessionDuration::DEFAULT,
        };
        new.create(RoleId::generate(), standing, at(1))
    }

    fn assumable(role: &Role) -> AssumableRole {
        AssumableRole {
            arn: RoleArn { account: "1609982529000000".parse().unwrap(), name: role.name.clone() },
            id: Some(role.id.clone()),
            changed_at: Some(role.changed_at),
            max_session_duration: role.max_session_duration,
            external_id: None,
            source_identity: None,
        }
    }

    #[test]
    fn an_account_has_as_many_roles_as_it_may_have() {
        let made = create(limits::ROLES.most() - 1).unwrap();
        assert_eq!((made.created_at, made.changed_at), (at(1), at(1)));
        let refused = create(limits::ROLES.most()).unwrap_err();
        assert!(
            matches!(refused, IdentityRefused::LimitExceeded { code: "Role", limit: 1_000, .. }),
            "{refused:?}"
        );
    }

    #[test]
    fn a_change_leaves_other_fields_as_they_are() {
        let role = create(0).unwrap();
        let longest = MaxSessionDuration::from_seconds(7_200).unwrap();
        let change = RoleChange { max_session_duration: Some(longest), ..RoleChange::default() };
        let expected = Role { max_session_duration: longest, changed_at: at(9), ..role.clone() };
        assert_eq!(role.clone().change(change, at(9)), expected);
        let change = RoleChange {
            trust_policy: Some("[]".to_owned()),
            description: Some(String::new()),
            ..RoleChange::default()
        };
        let changed = role.change(change, at(9));
        assert_eq!((changed.trust_policy.as_str(), changed.description.as_str()), ("[]", ""));
        assert_eq!(changed.max_session_duration, MaxSessionDuration::DEFAULT);
    }

    #[test]
    fn each_change_of_a_role_has_a_moment_of_its_own() {
        let first = create(0).unwrap();
        let second = first.clone().change(RoleChange::default(), first.changed_at);
        let third = second.clone().change(RoleChange::default(), at(0));
        assert!(first.changed_at < second.changed_at && second.changed_at < third.changed_at);
    }

    #[test]
    fn a_role_with_policies_is_not_deleted() {
        let refused = create(0).unwrap().delete(2).unwrap_err();
        let why = "policies are attached to it (2); detach them first";
        assert_eq!(refused, IdentityRefused::delete_conflict(Entity::Role, "Role.Policy", why));
        let role = create(0).unwrap();
        assert_eq!(role.clone().delete(0), Ok(RoleDeleted { role }));
    }

    #[test]
    fn a_session_starts_only_from_the_state_that_was_asked_about() {
        let role = create(0).unwrap();
        let asked = assumable(&role);
        assert_eq!(asked.start_from(Some(&role)), Ok(role.id.clone()));
        let changed = role.clone().change(RoleChange::default(), at(1));
        let refused = asked.start_from(Some(&changed)).unwrap_err();
        assert!(matches!(refused, ChangeRefused::ChangedMeanwhile { what: "role", .. }), "{refused:?}");
        let gone = Err(IdentityRefused::not_exist(Entity::Role, "auditor").into());
        assert_eq!(asked.start_from(None), gone);
        let successor = Role { id: RoleId::generate(), ..role.clone() };
        assert_eq!(asked.start_from(Some(&successor)), gone);
        let never_there = AssumableRole { id: None, changed_at: None, ..asked };
        assert_eq!(never_there.start_from(Some(&role)), gone);
    }
}
