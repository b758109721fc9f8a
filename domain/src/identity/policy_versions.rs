//! The versions of a policy, and which of them is the default.

use super::{ChangeRefused, Entity, IdentityRefused, Policy, limits};
use crate::Timestamp;
use crate::policy_version::PolicyVersionId;

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

/// How a policy is given another version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NewPolicyVersion {
    /// Whether it becomes the default.
    pub as_default: bool,
    /// Whether the oldest version that is not the default is deleted if the limit is reached.
    pub rotate: bool,
}

/// A policy is given another version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyVersionAdded {
    /// The policy as it stands then.
    pub policy: Policy,
    /// The version that makes room.
    pub removed: Option<PolicyVersionId>,
    /// The version.
    pub version: PolicyVersion,
}

/// A version of a policy may be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicyVersionDeleted {
    /// The version.
    pub version: PolicyVersionId,
}

impl Policy {
    /// Gives the policy its next version, whose document is checked already. `standing` are the versions that there
    /// are, the oldest first.
    ///
    /// # Errors
    /// [`IdentityRefused::LimitExceeded`] where there is no room, and none may be made.
    pub fn add_version(
        mut self,
        document: String,
        standing: &[PolicyVersionId],
        how: NewPolicyVersion,
        now: Timestamp,
    ) -> Result<PolicyVersionAdded, IdentityRefused> {
        let removed = match limits::POLICY_VERSIONS.room_for_one_more(standing.len() as u64) {
            Ok(()) => None,
            Err(full) => {
                let oldest = standing.iter().copied().find(|version| *version != self.default_version);
                Some(oldest.filter(|_| how.rotate).ok_or(full)?)
            }
        };
        let id = self.last_version.next();
        self.last_version = id;
        if how.as_default {
            self.default_version = id;
        }
        self.changed_at = now;
        let version = PolicyVersion { id, document, is_default: how.as_default, created_at: now };
        Ok(PolicyVersionAdded { policy: self, removed, version })
    }

    /// The policy, when the version that decided as the caller looked still does; asked only where what comes decides.
    ///
    /// # Errors
    /// [`ChangeRefused::ChangedMeanwhile`] when by now another version than `seen` decides.
    pub fn before_another_decides(self, seen: Option<PolicyVersionId>) -> Result<Self, ChangeRefused> {
        if let Some(seen) = seen {
            self.still_decides(seen)?;
        }
        Ok(self)
    }

    /// Makes another version the default; `stands` says whether it exists.
    ///
    /// # Errors
    /// [`IdentityRefused::NotExist`] when there is none; [`ChangeRefused::ChangedMeanwhile`] when by now another version
    /// than `seen` decides.
    pub fn decide_by(
        self,
        id: PolicyVersionId,
        stands: bool,
        seen: Option<PolicyVersionId>,
        now: Timestamp,
    ) -> Result<Self, ChangeRefused> {
        if !stands {
            return Err(IdentityRefused::not_exist(Entity::PolicyVersion, id).into());
        }
        Ok(Self { default_version: id, changed_at: now, ..self.before_another_decides(seen)? })
    }

    /// Deletes a version that is not the default; `stands` says whether it exists.
    ///
    /// # Errors
    /// [`IdentityRefused::DeleteConflict`] when it decides; [`IdentityRefused::NotExist`].
    pub fn delete_version(
        &self,
        id: PolicyVersionId,
        stands: bool,
    ) -> Result<PolicyVersionDeleted, IdentityRefused> {
        if self.default_version == id {
            let why = format!("{id} is the default version; make another one the default first");
            let (entity, code) = (Entity::PolicyVersion, "Policy.Version.Default");
            return Err(IdentityRefused::delete_conflict(entity, code, why));
        }
        if !stands {
            return Err(IdentityRefused::not_exist(Entity::PolicyVersion, id));
        }
        Ok(PolicyVersionDeleted { version: id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::policies::tests::{at, policy};

    const FIVE: [u32; 5] = [1, 2, 3, 4, 5];

    fn version(number: u32) -> PolicyVersionId {
        PolicyVersionId::new(number).unwrap()
    }

    /// A policy of which the first version decides, and on whose last version others may follow.
    fn with_last(last: u32) -> Policy {
        Policy { last_version: version(last), ..policy() }
    }

    fn add(
        last: u32,
        standing: &[u32],
        how: NewPolicyVersion,
    ) -> Result<PolicyVersionAdded, IdentityRefused> {
        let standing: Vec<_> = standing.iter().map(|number| version(*number)).collect();
        with_last(last).add_version("{}".to_owned(), &standing, how, at(7))
    }

    #[test]
    fn a_number_is_never_used_twice() {
        // The third was deleted.
        let added = add(3, &[1, 2], NewPolicyVersion::default()).unwrap();
        assert_eq!((added.version.id, added.policy.last_version), (version(4), version(4)));
        assert_eq!((added.removed, added.policy.changed_at, added.version.created_at), (None, at(7), at(7)));
    }

    #[test]
    fn a_new_version_becomes_the_default_on_request() {
        let beside = add(1, &[1], NewPolicyVersion::default()).unwrap();
        assert_eq!((beside.policy.default_version, beside.version.is_default), (version(1), false));
        let deciding = add(1, &[1], NewPolicyVersion { as_default: true, rotate: false }).unwrap();
        assert_eq!((deciding.policy.default_version, deciding.version.is_default), (version(2), true));
    }

    #[test]
    fn the_oldest_version_besides_the_default_is_deleted_when_that_is_allowed() {
        let refused = add(5, &FIVE, NewPolicyVersion { as_default: true, rotate: false }).unwrap_err();
        assert!(
            matches!(refused, IdentityRefused::LimitExceeded { code: "Policy.Version", limit: 5, .. }),
            "{refused:?}"
        );
        let rotated = add(5, &FIVE, NewPolicyVersion { as_default: true, rotate: true }).unwrap();
        assert_eq!((rotated.removed, rotated.version.id), (Some(version(2)), version(6)));
        // If there is room, none is deleted.
        let room = add(5, &FIVE[..4], NewPolicyVersion { as_default: false, rotate: true }).unwrap();
        assert_eq!(room.removed, None);
    }

    #[test]
    fn another_version_becomes_the_default_only_over_the_one_that_was_seen() {
        let changed = with_last(2).decide_by(version(2), true, Some(version(1)), at(9)).unwrap();
        assert_eq!((changed.default_version, changed.changed_at), (version(2), at(9)));
        assert!(with_last(2).decide_by(version(2), true, None, at(9)).is_ok());
        let refused = with_last(2).decide_by(version(2), true, Some(version(2)), at(9)).unwrap_err();
        assert!(matches!(refused, ChangeRefused::ChangedMeanwhile { what: "policy", .. }), "{refused:?}");
        let absent = with_last(2).decide_by(version(2), false, Some(version(2)), at(9)).unwrap_err();
        assert_eq!(absent, IdentityRefused::not_exist(Entity::PolicyVersion, "v2").into());
    }

    #[test]
    fn the_default_version_is_not_deleted() {
        let policy = with_last(2);
        assert_eq!(policy.delete_version(version(2), true), Ok(PolicyVersionDeleted { version: version(2) }));
        let refused = policy.delete_version(version(1), true).unwrap_err();
        assert!(
            matches!(&refused, IdentityRefused::DeleteConflict { code: "Policy.Version.Default", .. }),
            "{refused:?}"
        );
        let absent = policy.delete_version(version(3), false).unwrap_err();
        assert_eq!(absent, IdentityRefused::not_exist(Entity::PolicyVersion, "v3"));
    }
}
