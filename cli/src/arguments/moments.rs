//! Moments on a command line: a time in UTC, or how long ago it is.

use domain::Timestamp;
use domain::clock::{Clock as _, SystemClock};

use super::client::parse_duration;

/// Reads `2023-11-16T02:59:39Z`, with a fraction of a second or without, or `2h`: two hours before now.
pub(crate) fn parse_moment(text: &str) -> Result<Timestamp, String> {
    parse_moment_at(SystemClock.now(), text)
}

fn parse_moment_at(now: Timestamp, text: &str) -> Result<Timestamp, String> {
    let has_unit = text.ends_with(['s', 'm', 'h', 'd']);
    if let (true, Ok(ago)) = (has_unit, parse_duration(text)) {
        return Ok(now.minus(ago));
    }
    Timestamp::parse_rfc3339(text).map_err(|_| {
        "it must be a time in UTC such as 2023-11-16T02:59:39Z, or how long ago, such as 2h or 3d".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_or_how_long_ago_it_is() {
        let now = Timestamp::parse_rfc3339("2026-11-30T12:00:00Z").unwrap();
        for (text, moment) in [
            ("2h", "2026-11-30T10:00:00Z"),
            ("3d", "2026-11-27T12:00:00Z"),
            ("90s", "2026-11-30T11:58:30Z"),
            ("15m", "2026-11-30T11:45:00Z"),
            ("2023-11-16T02:59:39Z", "2023-11-16T02:59:39Z"),
            ("2023-11-16T02:59:39.5Z", "2023-11-16T02:59:39.500Z"),
        ] {
            let expected = Timestamp::parse_rfc3339(moment).unwrap();
            assert_eq!(parse_moment_at(now, text), Ok(expected), "{text}");
        }
        for text in ["", "2", "h", "-2h", "2w", "2023-11-16", "yesterday", "2023-11-16T02:59:39+01:00"] {
            assert!(parse_moment_at(now, text).is_err(), "{text}");
        }
    }
}
