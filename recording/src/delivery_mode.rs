//! How far the delivery of a recording may be behind what the person is shown.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ledger::{Cause, StreamLedger};

/// How far the delivery of a recording may be behind what the person is shown.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryMode {
    /// Any time: what the control plane has not stored yet lies in the agent's spool.
    #[default]
    Async,
    /// A short time: while the control plane does not acknowledge what was shown, nothing more is shown.
    Sync,
}

impl DeliveryMode {
    /// Every value.
    pub const ALL: [Self; 2] = [Self::Async, Self::Sync];

    /// The value as documents, configurations and the wire write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Async => "async",
            Self::Sync => "sync",
        }
    }

    /// In which mode a recording was delivered at its end that began in this one: the ledgers of its streams say whether
    /// that was given up.
    #[must_use]
    pub fn at_end<'a>(self, ledgers: impl IntoIterator<Item = &'a StreamLedger>) -> Self {
        let mut entries = ledgers.into_iter().flat_map(StreamLedger::entries);
        if entries.any(|entry| entry.cause == Cause::DELIVERY_NOT_ACKNOWLEDGED) { Self::Async } else { self }
    }
}

impl fmt::Display for DeliveryMode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The text is not a [`DeliveryMode`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{shown}\" is no delivery mode; there are async and sync")]
pub struct UnknownDeliveryMode {
    shown: String,
}

impl std::str::FromStr for DeliveryMode {
    type Err = UnknownDeliveryMode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|mode| mode.as_str() == text);
        known.ok_or_else(|| UnknownDeliveryMode { shown: crate::ids::shown(text) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Shortfall, ShortfallKind};
    use crate::timestamp::Micros;

    #[test]
    fn the_ledger_says_whether_it_was_given_up() {
        let mut other = StreamLedger::default();
        other.add(Micros::new(1), &Shortfall::new(ShortfallKind::DegradedMode, Cause::OTHER, "why"));
        let mut given_up = other.clone();
        let cause = Cause::DELIVERY_NOT_ACKNOWLEDGED;
        given_up.add(Micros::new(2), &Shortfall::new(ShortfallKind::DegradedMode, cause, "why"));
        assert_eq!(DeliveryMode::Sync.at_end([&other]), DeliveryMode::Sync);
        assert_eq!(DeliveryMode::Sync.at_end([&other, &given_up]), DeliveryMode::Async);
        assert_eq!(DeliveryMode::Async.at_end([&other]), DeliveryMode::Async);
    }

    #[test]
    fn documents_and_texts_write_it_alike() {
        for mode in DeliveryMode::ALL {
            assert_eq!(mode.as_str().parse(), Ok(mode));
            assert_eq!(serde_json::to_value(mode).unwrap(), mode.as_str());
        }
        assert!("Sync".parse::<DeliveryMode>().is_err());
        assert_eq!(DeliveryMode::default(), DeliveryMode::Async);
    }
}
