//! For how many days a recording stays visible.

use std::fmt;

use crate::Timestamp;
use crate::parameter::{Parameter, Refused, Shape, whole_number};

/// Whole days, 1 to 3,650, after which a recording is hidden. It is counted from the recording's end and
/// never deletes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExpirationDays(u16);

/// The number lies outside 1..=3650.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("ExpirationDays must be a whole number from 1 to 3650, not {0}")]
pub struct ExpirationDaysRefused(pub i64);

impl ExpirationDays {
    /// What a Set that omits the parameter means (contract, section 0).
    pub const DEFAULT: Self = Self(7);
    /// The largest number accepted.
    pub const MAX: u16 = 3_650;

    /// Checks the range.
    ///
    /// # Errors
    /// [`ExpirationDaysRefused`] outside 1..=3650.
    pub fn new(days: i64) -> Result<Self, ExpirationDaysRefused> {
        match u16::try_from(days) {
            Ok(days @ 1..=Self::MAX) => Ok(Self(days)),
            _ => Err(ExpirationDaysRefused(days)),
        }
    }

    /// The number of days.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }

    /// The moment at which something that ended at `end` becomes hidden.
    #[must_use]
    pub fn counted_from(self, end: Timestamp) -> Timestamp {
        Timestamp::from_millis(end.as_millis().saturating_add(i64::from(self.0) * 86_400_000))
    }
}

impl Parameter for ExpirationDays {
    fn shape() -> Shape {
        Shape::whole_number(1..=Self::MAX.into())
    }

    fn read(text: &str) -> Result<Self, Refused> {
        let days = whole_number(text, 1..=Self::MAX.into(), "")?;
        Self::new(days).map_err(|error| Refused::value(error.to_string()))
    }
}

impl fmt::Display for ExpirationDays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
