//! Resource names, `acs:<ram-code>:<region>:<account-id>:<relative-id>`, and patterns for them.
//!
//! Pattern and name are split at their first four colons and compared exactly, part by part. A wildcard never matches
//! beyond its part. Otherwise, `acs:x:cn-*:ME:y` would match `acs:x:cn-a:OTHER:z:ME:y`, sent by somebody who can
//! choose the relative-id.

use crate::glob::{Glob, LetterCase, MAX_PATTERN_BYTES};
use crate::invalid::Reason;
use crate::memory::Held;

/// The resource of a request. Wildcard characters in it are ordinary characters.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ResourceName<'a> {
    /// `*`: the operation has no resource of its own.
    All,
    Arn([&'a str; 4]),
    /// Not a resource name; only the pattern `*` matches it.
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

/// A pattern for resources: `*`, or a name in which `*` and `?` are wildcards within each part.
#[derive(Debug)]
pub struct ResourcePattern(Shape);

#[derive(Debug)]
enum Shape {
    Any,
    /// The parts, ordered by how well they distinguish resources: relative-id is last in the text and first here.
    Arn(Box<[Glob; 4]>),
}

/// A text that is not a resource pattern.
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
    /// Refuses a prefix other than `acs:`, missing parts (they are not padded), an empty ram-code or relative-id, and
    /// blanks before the relative-id: such a pattern would match nothing and hide a mistake.
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

    /// Whether some resource matches both patterns; exact.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Shape::Arn(mine), Shape::Arn(theirs)) => {
                mine.iter().zip(theirs.iter()).all(|(mine, theirs)| mine.overlaps(theirs))
            }
            _ => true,
        }
    }

    /// The patterns of ram-code, region, account and relative-id; `None` for `*`.
    pub(crate) fn parts(&self) -> Option<[&Glob; 4]> {
        match &self.0 {
            Shape::Any => None,
            Shape::Arn(globs) => {
                let [relative, service, account, region] = &**globs;
                Some([service, region, account, relative])
            }
        }
    }

    /// Whether this pattern covers every resource of `other`. `true` is proven; `false` may also mean "not known".
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
    /// Whether a Deny statement covers the resource.
    pub(crate) fn cover_for_deny(&self, resource: ResourceName<'_>) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(resource)) != self.negated
    }

    /// Whether an Allow statement covers the resource. An operation without a resource is checked on `*`, and the
    /// published rule is that only a Resource of `*` covers it. An Allow with NotResource therefore does not: an
    /// unfiltered list would show the very resources that the author of the statement excluded. A Deny with
    /// NotResource does cover `*`.
    pub(crate) fn cover_for_allow(&self, resource: ResourceName<'_>) -> bool {
        if self.negated && matches!(resource, ResourceName::All) {
            return false;
        }
        self.cover_for_deny(resource)
    }

    /// Whether a Deny statement could cover some resource of `range`. It is never false if the statement could.
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
