//! Control policies: the most that the users and roles of an account may do.

use policies::{DocumentKind, InvalidPolicy, PolicyDocument};

use super::{ChangeRefused, Entity, IdentityRefused, PolicyName};
use crate::Timestamp;

/// A control policy: the most that the users and roles of the account may do.
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

/// Reads the document of a control policy.
///
/// # Errors
/// [`InvalidPolicy`] says what is wrong with it, and where.
pub fn check_control_document(document: &str) -> Result<(), InvalidPolicy> {
    PolicyDocument::parse(document.as_bytes(), DocumentKind::Control).map(drop)
}

impl ControlPolicy {
    /// Puts the policy in the place of the one of its name, which was put last at `seen` when the caller looked; over
    /// `None` it is new.
    ///
    /// # Errors
    /// [`ChangeRefused::ChangedMeanwhile`] when somebody else put or deleted it meanwhile.
    pub fn put(self, standing: Option<&Self>, seen: Option<Timestamp>) -> Result<Self, ChangeRefused> {
        if standing.map(|standing| standing.changed_at) != seen {
            let why = "somebody else has changed it meanwhile; check it and try again";
            return Err(ChangeRefused::ChangedMeanwhile { what: "control policy", why });
        }
        Ok(Self { created_at: standing.map_or(self.created_at, |standing| standing.created_at), ..self })
    }

    /// The policy of this name, if there is one.
    ///
    /// # Errors
    /// [`IdentityRefused::NotExist`] when there is none.
    pub fn named(name: &PolicyName, standing: Option<Self>) -> Result<Self, IdentityRefused> {
        standing.ok_or_else(|| IdentityRefused::not_exist(Entity::ControlPolicy, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_policy_is_put_over_what_was_seen() {
        let at = Timestamp::from_millis;
        let put_at = |millis| ControlPolicy {
            name: "ceiling".parse().unwrap(),
            level: 1,
            document: "{}".to_owned(),
            created_at: at(millis),
            changed_at: at(millis),
        };
        let first = put_at(1).put(None, None).unwrap();
        let second = put_at(2).put(Some(&first), Some(at(1))).unwrap();
        assert_eq!((second.created_at, second.changed_at), (at(1), at(2)));
        for (standing, seen) in [(Some(&second), Some(at(1))), (Some(&second), None), (None, Some(at(2)))] {
            let refused = put_at(3).put(standing, seen).unwrap_err();
            assert!(
                matches!(refused, ChangeRefused::ChangedMeanwhile { what: "control policy", .. }),
                "{refused:?}"
            );
        }
        let name = &first.name;
        assert_eq!(ControlPolicy::named(name, Some(first.clone())), Ok(first.clone()));
        let absent = IdentityRefused::not_exist(Entity::ControlPolicy, name);
        assert_eq!(ControlPolicy::named(name, None), Err(absent));
    }
}
