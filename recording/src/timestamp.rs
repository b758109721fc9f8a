//! Points in time, and times since the start of a recording. Nothing here reads a clock.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::format_description::FormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

const SECONDS: &[FormatItem<'_>] = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
const MILLISECONDS: &[FormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, within the years 0000 to 9999.
///
/// In documents it is RFC 3339 text with milliseconds, `2023-11-16T02:59:39.000Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(i64);

/// A day of the Gregorian calendar in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CivilDate {
    /// The year, 0 to 9999.
    pub year: u16,
    /// The month, 1 to 12.
    pub month: u8,
    /// The day of the month, 1 to 31.
    pub day: u8,
}

/// Text that is not a time in UTC as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{shown}\" is not a time in UTC such as {example}")]
pub struct InvalidTimestamp {
    shown: String,
    example: &'static str,
}

impl Timestamp {
    /// 0000-01-01T00:00:00Z, the earliest time.
    pub const MIN: Self = Self(-62_167_219_200_000);
    /// 9999-12-31T23:59:59.999Z, the latest time.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// The time so many milliseconds after (or before) 1970; beyond the years 0000 to 9999 the nearest time within.
    #[must_use]
    pub const fn from_millis(milliseconds: i64) -> Self {
        if milliseconds < Self::MIN.0 {
            Self::MIN
        } else if milliseconds > Self::MAX.0 {
            Self::MAX
        } else {
            Self(milliseconds)
        }
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// `2023-11-16T02:59:39Z`; milliseconds are cut off.
    #[must_use]
    pub fn to_rfc3339_seconds(self) -> String {
        self.civil().format(SECONDS).expect("every timestamp lies in the years 0000 to 9999")
    }

    /// `2023-11-16T02:59:39.123Z`.
    #[must_use]
    pub fn to_rfc3339_millis(self) -> String {
        self.civil().format(MILLISECONDS).expect("every timestamp lies in the years 0000 to 9999")
    }

    /// Reads `2023-11-16T02:59:39Z`: exactly this shape, in UTC.
    ///
    /// # Errors
    /// The text has another shape or names no real time.
    pub fn parse_rfc3339_seconds(text: &str) -> Result<Self, InvalidTimestamp> {
        Self::parse_as(text, SECONDS, Self::to_rfc3339_seconds, "2023-11-16T02:59:39Z")
    }

    /// Reads `2023-11-16T02:59:39.123Z`: exactly this shape, in UTC.
    ///
    /// # Errors
    /// The text has another shape or names no real time.
    pub fn parse_rfc3339_millis(text: &str) -> Result<Self, InvalidTimestamp> {
        Self::parse_as(text, MILLISECONDS, Self::to_rfc3339_millis, "2023-11-16T02:59:39.123Z")
    }

    /// Reads `2023-11-16T02:59:39Z`, in UTC, with a fraction of a second of one to nine digits or without. What is finer than a
    /// millisecond is cut off.
    ///
    /// # Errors
    /// The text has another shape or names no real time.
    pub fn parse_rfc3339(text: &str) -> Result<Self, InvalidTimestamp> {
        let Some((seconds, fraction)) = text.strip_suffix('Z').and_then(|text| text.split_once('.')) else {
            return Self::parse_rfc3339_seconds(text);
        };
        let invalid =
            || InvalidTimestamp { shown: crate::ids::shown(text), example: "2023-11-16T02:59:39.123Z" };
        if !(1..=9).contains(&fraction.len()) || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(invalid());
        }
        let seconds = Self::parse_rfc3339_seconds(&format!("{seconds}Z")).map_err(|_| invalid())?;
        let millis: i64 = format!("{fraction:0<3}")[..3].parse().map_err(|_| invalid())?;
        Ok(Self::from_millis(seconds.0 + millis))
    }

    /// This time and so much more, at most [`Timestamp::MAX`].
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self::from_millis(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This time and so much less, at least [`Timestamp::MIN`].
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self::from_millis(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How much later this is than `earlier`; nothing when it is not later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    /// The day in UTC.
    #[must_use]
    pub fn date(self) -> CivilDate {
        let date = self.civil().date();
        CivilDate {
            year: u16::try_from(date.year()).expect("every timestamp lies in the years 0000 to 9999"),
            month: date.month().into(),
            day: date.day(),
        }
    }

    fn civil(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .expect("every timestamp lies in the years 0000 to 9999")
    }

    fn parse_as(
        text: &str,
        shape: &[FormatItem<'_>],
        print: fn(Self) -> String,
        example: &'static str,
    ) -> Result<Self, InvalidTimestamp> {
        PrimitiveDateTime::parse(text, shape)
            .ok()
            .and_then(|civil| i64::try_from(civil.assume_utc().unix_timestamp_nanos() / 1_000_000).ok())
            .map(Self::from_millis)
            .filter(|parsed| print(*parsed) == text)
            .ok_or_else(|| InvalidTimestamp { shown: crate::ids::shown(text), example })
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_rfc3339_millis())
    }
}

impl TryFrom<String> for Timestamp {
    type Error = InvalidTimestamp;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse_rfc3339_millis(&text)
    }
}

impl From<Timestamp> for String {
    fn from(timestamp: Timestamp) -> Self {
        timestamp.to_rfc3339_millis()
    }
}

/// `2023/11/16`, as it stands in object names.
impl fmt::Display for CivilDate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:04}/{:02}/{:02}", self.year, self.month, self.day)
    }
}

/// Whole microseconds since the start of a recording. In documents a number.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micros(u64);

impl Micros {
    /// The latest time that a recording may have: what fits into a signed number, as databases have them.
    pub const LATEST: Self = Self(i64::MAX as u64);

    /// The start itself.
    pub const ZERO: Self = Self(0);

    /// So many microseconds since the start.
    #[must_use]
    pub const fn new(microseconds: u64) -> Self {
        Self(microseconds)
    }

    /// The number of microseconds.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The time since the start as a duration.
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        Duration::from_micros(self.0)
    }

    /// How much later this is than `earlier`; nothing when it is not later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl From<Duration> for Micros {
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
    }
}

/// `S.UUUUUU`, as it stands in asciicast lines.
impl fmt::Display for Micros {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_print_as_on_the_wire() {
        let time = Timestamp::from_millis(1_700_103_579_123);
        assert_eq!(time.to_rfc3339_seconds(), "2023-11-16T02:59:39Z");
        assert_eq!(time.to_string(), "2023-11-16T02:59:39.123Z");
        assert_eq!(time.date().to_string(), "2023/11/16");
        assert_eq!(serde_json::to_string(&time).unwrap(), "\"2023-11-16T02:59:39.123Z\"");
        assert_eq!(
            Timestamp::parse_rfc3339_seconds("2023-11-16T02:59:39Z").unwrap().as_millis(),
            1_700_103_579_000
        );
        assert_eq!(Timestamp::MIN.to_string(), "0000-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn other_shapes_are_refused() {
        for text in [
            "",
            "2023-11-16",
            "2023-11-16T02:59:39",
            "2023-11-16T02:59:39+00:00",
            "2023-02-30T00:00:00Z",
            "2023-11-16 02:59:39Z",
            "2023-11-16T02:59:39.1Z",
            "2023-11-16T02:59:60Z",
            "2023-11-16T24:00:00Z",
            "-2023-11-16T02:59:39Z",
            "+2023-11-16T02:59:39Z",
            "2023-11-16T02:59:39Zx",
        ] {
            assert!(Timestamp::parse_rfc3339_seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_fraction_of_a_second_is_read_to_the_millisecond() {
        for (fraction, millis) in
            [("", 0), (".0", 0), (".036", 36), (".1", 100), (".0369", 36), (".123456789", 123)]
        {
            let text = format!("2023-11-16T02:59:39{fraction}Z");
            let read = Timestamp::parse_rfc3339(&text).unwrap();
            assert_eq!(read.as_millis(), 1_700_103_579_000 + millis, "{text}");
        }
        for fraction in [".", ".1234567890", ".-1", ".+1", ".1x", ".1.2", ",1", ".1Z"] {
            let text = format!("2023-11-16T02:59:39{fraction}Z");
            assert!(Timestamp::parse_rfc3339(&text).is_err(), "{text}");
        }
        for text in
            ["2023-11-16T02:59:39.123", "2023-11-16T02:59:60.123Z", "2023-02-30T00:00:00.000Z", ".123Z"]
        {
            assert!(Timestamp::parse_rfc3339(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sums_stop_at_the_ends() {
        assert_eq!(Timestamp::from_millis(i64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::MAX.plus(Duration::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.minus(Duration::from_secs(1)), Timestamp::MIN);
        let time = Timestamp::from_millis(5);
        assert_eq!(time.plus(Duration::from_secs(2)).since(time), Duration::from_secs(2));
        assert_eq!(time.since(time.plus(Duration::from_secs(2))), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn what_prints_parses_back(milliseconds in any::<i64>()) {
            let time = Timestamp::from_millis(milliseconds);
            prop_assert_eq!(Timestamp::parse_rfc3339_millis(&time.to_rfc3339_millis()).unwrap(), time);
            let seconds = Timestamp::parse_rfc3339_seconds(&time.to_rfc3339_seconds()).unwrap();
            prop_assert_eq!(seconds.as_millis().rem_euclid(1000), 0);
        }
    }
}
