//! Resource names, `acs:<ram-code>:<region>:<account-id>:<relative-id>`, and patterns for them.
//!
//! Pattern and name are cut at their first four colons and compared part by part, exactly. A wildcard never
//! leaves its part: matched as a whole, `acs:x:cn-*:ME:y` would take `acs:x:cn-a:OTHER:z:ME:y` from somebody who
//! chooses the relative-id.

use crate::glob::{Glob, LetterCase, MAX_PATTERN_BYTES};
use crate::invalid::Reason;
use crate::memory::Held;

/// The resource of a request. Wildcard characters in it are ordinary characters.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ResourceName<'a> {
    /// `*`: the operation has no resource of its own.
    All,
    Arn([&'a str; 4]),
    /// Not a resource name; only the pattern `*` covers it.
    Malformed,
}

impl<'a> ResourceName<'a> {
    pub(crate) fn split(text: &'a str) -> Self {
        if text == "*" {
            return Self::All;
        }
        split_arn(text).map_or(Self::Malformed, Self::Arn)
    }
}

/// The four parts after `acs:`.
fn split_arn(text: &str) -> Option<[&str; 4]> {
    let mut parts = text.strip_prefix("acs:")?.splitn(4, ':');
    Some([parts.next()?, parts.next()?, parts.next()?, parts.next()?])
}

/// Which resources: `*`, or a name in which `*` and `?` are wildcards within each part.
#[derive(Debug)]
pub struct ResourcePattern(Shape);

#[derive(Debug)]
enum Shape {
    Any,
    /// The parts in the order in which they tell resources apart best: relative-id last in the text, first here.
    Arn(Box<[Glob; 4]>),
}

/// A text that is no resource pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidResource {
    pub(crate) reason: Reason,
    message: String,
}

impl ResourcePattern {
    /// Reads `*` or `acs:<ram-code>:<region>:<account-id>:<relative-id>`.
    ///
    /// # Errors
    /// Refuses another prefix than `acs:`, missing parts (they are not padded), an empty ram-code or relative-id,
    /// and blanks before the relative-id: such a pattern would match nothing and hide a mistake.
    pub fn parse(text: &str) -> Result<Self, InvalidResource> {
        let refuse = |reason, message| Err(InvalidResource { reason, message });
        const FORM: &str = "acs:<ram-code>:<region>:<account-id>:<relative-id>";
        if text == "*" {
            return Ok(Self(Shape::Any));
        }
        if text.len() > MAX_PATTERN_BYTES {
            return refuse(
                Reason::TooLong,
                format!("a resource pattern may have at most {MAX_PATTERN_BYTES} bytes"),
            );
        }
        if !text.starts_with("acs:") {
            let hint = if text.starts_with("arn:") { " (this is an AWS name)" } else { "" };
            return refuse(
                Reason::InvalidArnPrefix,
                format!("{text:?} is not a resource{hint}; write {FORM}, or * alone"),
            );
        }
        let Some(parts) = split_arn(text) else {
            return refuse(
                Reason::InvalidArn,
                format!("{text:?} lacks parts; write {FORM} with * for any region or account"),
            );
        };
        let [service, _, _, relative] = parts;
        if service.is_empty() || relative.is_empty() {
            return refuse(
                Reason::InvalidArn,
                format!("{text:?} has an empty ram-code or relative-id; write {FORM}"),
            );
        }
        if parts[..3].iter().any(|part| part.contains(char::is_whitespace)) {
            return refuse(Reason::InvalidArn, format!("{text:?} has a blank in its first parts; remove it"));
        }
        let [service, region, account, relative] = parts.map(|part| Glob::new(part, LetterCase::Exact));
        Ok(Self(Shape::Arn(Box::new([relative, service, account, region]))))
    }

    pub(crate) fn matches(&self, resource: ResourceName<'_>) -> bool {
        match (&self.0, resource) {
            (Shape::Any, _) => true,
            (Shape::Arn(globs), ResourceName::Arn([service, region, account, relative])) => {
                globs.iter().zip([relative, service, account, region]).all(|(glob, part)| glob.matches(part))
            }
            (Shape::Arn(_), ResourceName::All | ResourceName::Malformed) => false,
        }
    }

    /// Whether some resource fits both patterns; exact.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Shape::Arn(mine), Shape::Arn(theirs)) => {
                mine.iter().zip(theirs.iter()).all(|(mine, theirs)| mine.overlaps(theirs))
            }
            _ => true,
        }
    }

    /// The patterns of ram-code, region, account and relative-id; None for `*`.
    pub(crate) fn parts(&self) -> Option<[&Glob; 4]> {
        match &self.0 {
            Shape::Any => None,
            Shape::Arn(globs) => {
                let [relative, service, account, region] = &**globs;
                Some([service, region, account, relative])
            }
        }
    }

    /// Whether this pattern surely covers every resource of `other`. False may also mean "not known".
    pub(crate) fn covers(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Shape::Any, _) => true,
            (Shape::Arn(_), Shape::Any) => false,
            (Shape::Arn(mine), Shape::Arn(theirs)) => {
                mine.iter().zip(theirs.iter()).all(|(mine, theirs)| mine.covers(theirs))
            }
        }
    }
}

/// `Resource` or `NotResource` of a statement.
#[derive(Debug)]
pub(crate) struct Resources {
    pub(crate) negated: bool,
    pub(crate) patterns: Box<[ResourcePattern]>,
    /// The patterns as the policy spells them.
    pub(crate) spelled: Box<[Box<str>]>,
}

impl Resources {
    /// What a Deny statement covers.
    pub(crate) fn cover_for_deny(&self, resource: ResourceName<'_>) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(resource)) != self.negated
    }

    /// What an Allow statement covers. An operation without a resource is asked on `*`, and the published rule is
    /// that only a Resource of `*` covers that. So an Allow with NotResource does not: it would show in an
    /// unfiltered list the very resources that its author left out. A Deny with NotResource does cover `*`.
    pub(crate) fn cover_for_allow(&self, resource: ResourceName<'_>) -> bool {
        if self.negated && matches!(resource, ResourceName::All) {
            return false;
        }
        self.cover_for_deny(resource)
    }

    /// Whether a Deny statement could cover some resource of `range`. Never false when it could.
    pub(crate) fn could_cover(&self, range: &ResourcePattern) -> bool {
        if self.negated {
            !self.patterns.iter().any(|pattern| pattern.covers(range))
        } else {
            self.patterns.iter().any(|pattern| pattern.overlaps(range))
        }
    }
}

impl Held for Resources {
    fn held(&self) -> usize {
        self.patterns.held() + self.spelled.held()
    }
}

impl Held for ResourcePattern {
    fn held(&self) -> usize {
        match &self.0 {
            Shape::Any => 0,
            Shape::Arn(globs) => globs.held(),
        }
    }
}
