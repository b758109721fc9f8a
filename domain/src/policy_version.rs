//! The numbers of a policy's versions.

use std::fmt;
use std::str::FromStr;

use crate::identity::{BrokenRule, InvalidName};
use crate::parameter::{Parameter, Refused, Shape, TextShape};

/// Which version of a policy: `v1`, `v2`, ... A number is never used twice for one policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyVersionId(u32);

impl PolicyVersionId {
    /// The version that a policy is made with, and the only one of a system policy.
    pub const FIRST: Self = Self(1);

    /// The version of this number; `None` for 0, which no version has.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        if number == 0 { None } else { Some(Self(number)) }
    }

    /// The number behind the `v`.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for PolicyVersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

/// So many digits are read. A version has the next number, so that no policy ever has as many.
const MOST_DIGITS: usize = 9;

impl FromStr for PolicyVersionId {
    type Err = InvalidName;

    /// Reads `v` and a number from 1 without zeros before it, so that one version has one name.
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let invalid = || InvalidName {
            kind: "VersionId",
            rule: "v and a whole number from 1, such as v2",
            broken: BrokenRule::Format,
        };
        let digits = text.strip_prefix('v').filter(|digits| digits.len() <= MOST_DIGITS);
        let number = digits.and_then(|digits| digits.parse().ok()).and_then(Self::new);
        number.filter(|id| id.to_string() == text).ok_or_else(invalid)
    }
}

impl Parameter for PolicyVersionId {
    const BREAKS: &'static [BrokenRule] = &[BrokenRule::Format];

    fn shape() -> Shape {
        TextShape::fitting("^v[1-9][0-9]{0,8}$").into()
    }

    fn read(text: &str) -> Result<Self, Refused> {
        Ok(text.parse::<Self>()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_one_name() {
        for good in ["v1", "v2", "v999999999"] {
            assert_eq!(good.parse::<PolicyVersionId>().unwrap().to_string(), good);
        }
        for bad in ["", "v", "1", "v0", "v01", "V1", "v+1", "v-1", " v1", "v1 ", "v1000000000", "v1.0"] {
            assert!(bad.parse::<PolicyVersionId>().is_err(), "{bad:?}");
        }
        assert_eq!(PolicyVersionId::FIRST.next().to_string(), "v2");
    }
}
