//! What happens to a session that must be recorded and cannot be.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What happens to a session whose recording cannot be kept.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailurePolicy {
    /// It is refused, or ended, with the reason.
    #[default]
    Strict,
    /// It goes on without a recording; the person and the control plane are told.
    BestEffort,
}

impl FailurePolicy {
    /// Every value.
    pub const ALL: [Self; 2] = [Self::Strict, Self::BestEffort];

    /// The value as `start.json`, configurations and the wire write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::BestEffort => "best_effort",
        }
    }
}

impl fmt::Display for FailurePolicy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The text is not a [`FailurePolicy`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{shown}\" is no failure policy; there are strict and best_effort")]
pub struct UnknownFailurePolicy {
    shown: String,
}

impl std::str::FromStr for FailurePolicy {
    type Err = UnknownFailurePolicy;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|policy| policy.as_str() == text);
        known.ok_or_else(|| UnknownFailurePolicy { shown: crate::ids::shown(text) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_and_texts_write_it_alike() {
        for policy in FailurePolicy::ALL {
            assert_eq!(policy.as_str().parse(), Ok(policy));
            assert_eq!(serde_json::to_value(policy).unwrap(), policy.as_str());
        }
        assert!("Strict".parse::<FailurePolicy>().is_err());
        assert_eq!(FailurePolicy::default(), FailurePolicy::Strict);
    }
}
