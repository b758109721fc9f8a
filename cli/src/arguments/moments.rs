//! Moments and durations on a command line: a time in UTC, or how long ago it is; and how long something lasts.

use std::time::Duration;

use domain::Timestamp;
use domain::clock::{Clock as _, SystemClock};

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

/// `90s`, `5m`, `2h`, `1d`, or seconds without a unit.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    const ALLOWED: &str = "it must be a whole number and s, m, h or d, such as 90s, 5m, 2h or 1d";
    let (digits, unit) = match text.as_bytes().last() {
        Some(b's') => (&text[..text.len() - 1], 1),
        Some(b'm') => (&text[..text.len() - 1], 60),
        Some(b'h') => (&text[..text.len() - 1], 3600),
        Some(b'd') => (&text[..text.len() - 1], 86_400),
        _ => (text, 1),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ALLOWED.into());
    }
    let seconds = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).ok_or(ALLOWED)?;
    Ok(Duration::from_secs(seconds))
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
