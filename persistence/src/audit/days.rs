//! The days that exported files are named by, and the days that an operator says were archived.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use domain::Timestamp;

/// A UTC day, `2023-11-16`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Day(String);

impl Day {
    /// The day of a moment.
    pub(crate) fn of(moment: Timestamp) -> Self {
        let day = moment.date();
        Self(format!("{:04}-{:02}-{:02}", day.year, day.month, day.day))
    }

    /// Reads `2023-11-16`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let shape = text.len() == 10
            && text.bytes().enumerate().all(|(at, byte)| match at {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        shape.then(|| Self(text.to_owned()))
    }

    /// The day of `events-2023-11-16.log`.
    pub(crate) fn of_file(name: &str) -> Option<Self> {
        Self::parse(name.strip_prefix("events-")?.strip_suffix(".log")?)
    }

    /// `events-2023-11-16.log`.
    pub(crate) fn file_name(&self) -> String {
        format!("events-{}.log", self.0)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The next day; `None` when this one is not in the calendar.
    pub(crate) fn next(&self) -> Option<Self> {
        let begins = Timestamp::parse_rfc3339_seconds(&format!("{}T00:00:00Z", self.0)).ok()?;
        Some(Self::of(begins.plus(Duration::from_secs(24 * 60 * 60))))
    }

    /// Whether it is in the calendar, and not only formatted like a day.
    fn exists(&self) -> bool {
        Timestamp::parse_rfc3339_seconds(&format!("{}T00:00:00Z", self.0)).is_ok()
    }
}

/// Days whose files were archived: one, `2023-11-16`, or all from one through another, `2023-01-01..2023-11-16`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedDays {
    first: Day,
    last: Day,
}

/// A text that does not name days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidDays;

impl fmt::Display for InvalidDays {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(
            "it must be a UTC day such as 2023-11-16, or two of them, the earlier first: 2023-01-01..2023-11-16",
        )
    }
}

impl std::error::Error for InvalidDays {}

impl FromStr for ArchivedDays {
    type Err = InvalidDays;

    fn from_str(text: &str) -> Result<Self, InvalidDays> {
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        let day = |text| Day::parse(text).filter(Day::exists).ok_or(InvalidDays);
        let (first, last) = (day(first)?, day(last)?);
        if first <= last { Ok(Self { first, last }) } else { Err(InvalidDays) }
    }
}

/// Whether one of these ranges contains the day.
pub(crate) fn is_archived(archived: &[ArchivedDays], day: &Day) -> bool {
    archived.iter().any(|days| (&days.first..=&days.last).contains(&day))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_strictly() {
        let archived = ["2023-11-16".parse().unwrap(), "2023-12-30..2024-02-29".parse().unwrap()];
        for (day, expected) in [
            ("2023-11-16", true),
            ("2023-11-15", false),
            ("2023-12-30", true),
            ("2024-01-31", true),
            ("2024-03-01", false),
        ] {
            assert_eq!(is_archived(&archived, &Day::parse(day).unwrap()), expected, "{day}");
        }
        for wrong in [
            "",
            "2023-11",
            "2023-02-30",
            "2023-11-16..",
            "2023-11-16..2023-11-15",
            "2023-11-16 ",
            "..",
            "2023-1a-16",
        ] {
            assert_eq!(wrong.parse::<ArchivedDays>(), Err(InvalidDays), "{wrong}");
        }
        assert_eq!(Day::of_file("events-2023-11-16.log"), Day::parse("2023-11-16"));
        for other in ["events.log", "events-2023-11-16.log.gz", "events-2023-11-16x.log", "taken"] {
            assert_eq!(Day::of_file(other), None, "{other}");
        }
        assert_eq!(Day::of(Timestamp::from_millis(0)).file_name(), "events-1970-01-01.log");
    }
}
