//! The typed values of conditions: exact decimals, instants and address blocks. Parsing never allocates, because the
//! same code parses a policy's values once and a request's values during decisions.

use std::cmp::Ordering;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Serialize;
use time::{Date, Month, Time, UtcOffset};

use crate::memory::Held;

/// The type that a condition operator compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum ValueType {
    /// Text.
    Text,
    /// A decimal number.
    Number,
    /// An instant.
    Instant,
    /// `true` or `false`.
    Boolean,
    /// An IP address.
    Address,
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Number => "a decimal number",
            Self::Instant => "a date and time with offset",
            Self::Boolean => "true or false",
            Self::Address => "an IP address",
        })
    }
}

/// A decimal number as its digits, so that comparison is exact at any length. The type parameter is `str` or
/// `Box<str>`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decimal<Text> {
    negative: bool,
    /// Without leading zeros; empty for zero.
    whole: Text,
    /// Without trailing zeros.
    fraction: Text,
}

impl Held for Decimal<Box<str>> {
    fn held(&self) -> usize {
        self.whole.held() + self.fraction.held()
    }
}

impl<'a> Decimal<&'a str> {
    /// Reads `[-]digits[.digits]`. Exponents, plus signs, blanks and separators are refused.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = match digits.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (digits, ""),
        };
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        let zero = whole.is_empty() && fraction.is_empty();
        Some(Self { negative: negative && !zero, whole, fraction })
    }

    pub(crate) fn owned(&self) -> Decimal<Box<str>> {
        Decimal { negative: self.negative, whole: self.whole.into(), fraction: self.fraction.into() }
    }
}

impl<Text: AsRef<str>> Decimal<Text> {
    /// The shortest spelling.
    pub(crate) fn text(&self) -> String {
        self.spelled("", self.fraction.as_ref())
    }

    fn spelled(&self, before: &str, fraction: &str) -> String {
        let sign = if self.negative { "-" } else { "" };
        let whole = format!("{before}{}", self.whole.as_ref());
        let whole = if whole.is_empty() { "0" } else { &*whole };
        let dot = if fraction.is_empty() { "" } else { "." };
        format!("{sign}{whole}{dot}{fraction}")
    }

    /// A number between this one and a greater one.
    pub(crate) fn between<Other: AsRef<str>>(&self, greater: &Decimal<Other>) -> String {
        let digits = self.fraction.as_ref().len().max(greater.fraction.as_ref().len());
        // One digit more than both fractions have, so that the smallest step away from zero does not reach the
        // neighbour.
        let step = |fraction: &str| format!("{fraction:0<digits$}1");
        let greater_is_zero = greater.whole.as_ref().is_empty() && greater.fraction.as_ref().is_empty();
        if !self.negative {
            self.spelled("", &step(self.fraction.as_ref()))
        } else if greater.negative {
            greater.spelled("", &step(greater.fraction.as_ref()))
        } else if greater_is_zero {
            format!("-0.{}", step(""))
        } else {
            "0".to_owned()
        }
    }

    /// A number less than this one if `less` is set, otherwise a greater one.
    pub(crate) fn beyond(&self, less: bool) -> String {
        match (less, self.negative) {
            // An additional leading digit moves it farther from zero.
            (true, true) | (false, false) => self.spelled("1", self.fraction.as_ref()),
            (true, false) => "-1".to_owned(),
            (false, true) => "0".to_owned(),
        }
    }

    pub(crate) fn compare<Other: AsRef<str>>(&self, other: &Decimal<Other>) -> Ordering {
        let (mine, theirs) = (self.whole.as_ref(), other.whole.as_ref());
        let size = mine
            .len()
            .cmp(&theirs.len())
            .then_with(|| mine.cmp(theirs))
            .then_with(|| self.fraction.as_ref().cmp(other.fraction.as_ref()));
        match (self.negative, other.negative) {
            (false, false) => size,
            (true, true) => size.reverse(),
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
        }
    }
}

/// Nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant(pub(crate) i128);

impl Instant {
    /// Reads `YYYY-MM-DDThh:mm:ss[.fraction](Z|±hh:mm)`. A date alone, or a time without an offset, is refused,
    /// because it does not identify an instant.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() < 20 {
            return None;
        }
        for (at, wanted) in [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')] {
            if bytes[at] != wanted {
                return None;
            }
        }
        let year: i32 = i32::from(two_digits(&bytes[0..2])?) * 100 + i32::from(two_digits(&bytes[2..4])?);
        let month = Month::try_from(two_digits(&bytes[5..7])?).ok()?;
        let date = Date::from_calendar_date(year, month, two_digits(&bytes[8..10])?).ok()?;
        let (nanosecond, rest) = fraction_of_second(&bytes[19..])?;
        let (hour, minute) = (two_digits(&bytes[11..13])?, two_digits(&bytes[14..16])?);
        let time = Time::from_hms_nano(hour, minute, two_digits(&bytes[17..19])?, nanosecond).ok()?;
        let offset = match rest {
            [b'Z'] => UtcOffset::UTC,
            [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
                let (hours, minutes) = (two_digits(&[*h1, *h2])?, two_digits(&[*m1, *m2])?);
                if hours > 23 || minutes > 59 {
                    return None;
                }
                let seconds = i32::from(hours) * 3600 + i32::from(minutes) * 60;
                UtcOffset::from_whole_seconds(if *sign == b'-' { -seconds } else { seconds }).ok()?
            }
            _ => return None,
        };
        // Computed as UTC first, because an offset at the very edge of the calendar would exceed the range of the
        // type.
        let local = date.with_time(time).assume_utc().unix_timestamp_nanos();
        Some(Self(local - i128::from(offset.whole_seconds()) * 1_000_000_000))
    }
}

fn two_digits(bytes: &[u8]) -> Option<u8> {
    match bytes {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => Some((tens - b'0') * 10 + (ones - b'0')),
        _ => None,
    }
}

/// Reads `.1` to `.123456789`, if there is a dot; returns the nanoseconds and the rest.
fn fraction_of_second(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let Some((b'.', rest)) = bytes.split_first() else { return Some((0, bytes)) };
    let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 || length > 9 {
        return None;
    }
    let digits = rest[..length].iter().fold(0u32, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    Some((digits * 10u32.pow(9 - length as u32), &rest[length..]))
}

/// An address block; a single address is a block of one address. Host bits are set to zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressBlock {
    /// A block of IPv4 addresses. It also contains the IPv6 addresses that are mapped to them.
    V4 {
        /// The first address.
        network: u32,
        /// The mask of the bits that all addresses have in common.
        mask: u32,
    },
    /// A block of IPv6 addresses.
    V6 {
        /// The first address.
        network: u128,
        /// The mask of the bits that all addresses have in common.
        mask: u128,
    },
}

impl AddressBlock {
    /// Reads `10.0.0.0/8`, `2001:db8::/32` or one address; `None` if the text is none of these.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(prefix_length(length)?)),
            None => (text, None),
        };
        match address.parse().ok()? {
            IpAddr::V4(address) => Self::v4(address, length.unwrap_or(32)),
            IpAddr::V6(address) => match (address.to_ipv4_mapped(), length.unwrap_or(128)) {
                // Contexts hold mapped addresses as IPv4, so a mapped block has to be converted to IPv4 as well.
                (Some(mapped), length @ 96..=128) => Self::v4(mapped, length - 96),
                (_, length) => Self::v6(address, length),
            },
        }
    }

    fn v4(address: Ipv4Addr, length: u32) -> Option<Self> {
        let mask = match length {
            0 => 0,
            1..=32 => u32::MAX << (32 - length),
            _ => return None,
        };
        Some(Self::V4 { network: address.to_bits() & mask, mask })
    }

    fn v6(address: Ipv6Addr, length: u32) -> Option<Self> {
        let mask = match length {
            0 => 0,
            1..=128 => u128::MAX << (128 - length),
            _ => return None,
        };
        Some(Self::V6 { network: address.to_bits() & mask, mask })
    }

    /// Whether the block contains `address`, which has to be canonical: an IPv4-mapped address is given as IPv4. An
    /// address of one family is never in a block of the other.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self, address) {
            (Self::V4 { network, mask }, IpAddr::V4(address)) => address.to_bits() & mask == *network,
            (Self::V6 { network, mask }, IpAddr::V6(address)) => address.to_bits() & mask == *network,
            _ => false,
        }
    }
}

/// Digits only, without a leading zero: other software would read `/08` and `/+8` differently.
fn prefix_length(text: &str) -> Option<u32> {
    let canonical = text == "0" || !text.starts_with('0');
    (canonical && text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())?
}

/// Reads `true` or `false`, without regard to case.
pub(crate) fn parse_boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(left: &str, right: &str) -> Ordering {
        Decimal::parse(left).expect(left).compare(&Decimal::parse(right).expect(right))
    }

    #[test]
    fn decimals_compare_exactly_whatever_their_spelling() {
        for (left, right, expected) in [
            ("9", "30", Ordering::Less),
            ("10", "10.0", Ordering::Equal),
            ("007", "7", Ordering::Equal),
            ("-0", "0.000", Ordering::Equal),
            ("-2", "-10", Ordering::Greater),
            ("-0.1", "0", Ordering::Less),
            ("0.1", "0.09", Ordering::Greater),
            ("0.1", "0.10000000000000000000000000000001", Ordering::Less),
            ("9007199254740993", "9007199254740992", Ordering::Greater),
            ("123456789012345678901234567890.5", "123456789012345678901234567890.50", Ordering::Equal),
        ] {
            assert_eq!(compare(left, right), expected, "{left} against {right}");
            assert_eq!(compare(right, left), expected.reverse(), "{right} against {left}");
        }
        for refused in
            ["", "-", ".5", "5.", "1e3", "+1", " 1", "1 ", "1,5", "0x10", "--1", "1.2.3", "１", "NaN"]
        {
            assert!(Decimal::parse(refused).is_none(), "{refused:?}");
        }
    }

    #[test]
    fn neighbours_of_decimals_lie_where_they_should() {
        let all = ["-10", "-2", "-1.99", "-0.01", "0", "0.001", "7", "7.5", "123456789012345678901234567890"];
        for pair in all.windows(2) {
            let [low, high] = [pair[0], pair[1]].map(|text| Decimal::parse(text).expect(text));
            let middle = low.between(&high);
            assert_eq!(compare(pair[0], &middle), Ordering::Less, "{pair:?}: {middle}");
            assert_eq!(compare(&middle, pair[1]), Ordering::Less, "{pair:?}: {middle}");
            assert_eq!(compare(&low.beyond(true), pair[0]), Ordering::Less);
            assert_eq!(compare(&low.beyond(false), pair[0]), Ordering::Greater);
            assert_eq!(compare(&low.text(), pair[0]), Ordering::Equal);
        }
    }

    #[test]
    fn instants_need_an_offset_and_compare_across_offsets() {
        let at = |text: &str| Instant::parse(text).unwrap_or_else(|| panic!("{text}"));
        assert_eq!(at("1970-01-01T00:00:01Z").0, 1_000_000_000);
        assert_eq!(at("2019-08-12T17:00:00+08:00"), at("2019-08-12T09:00:00Z"));
        assert_eq!(at("2019-08-12T17:00:00.5-00:30"), at("2019-08-12T17:30:00.500000000Z"));
        assert!(at("0000-01-01T00:00:00+23:59") < at("9999-12-31T23:59:59.999999999-23:59"));
        for refused in [
            "2019-08-12",
            "2019-08-12T17:00:00",
            "2019-08-12 17:00:00Z",
            "2019-08-12t17:00:00z",
            "2019-02-29T00:00:00Z",
            "2019-08-12T24:00:00Z",
            "2019-08-12T23:59:60Z",
            "2019-08-12T17:00:00.Z",
            "2019-08-12T17:00:00.1234567890Z",
            "2019-08-12T17:00:00+24:00",
            "2019-08-12T17:00:00+0800",
            "2019-08-12T17:00:00ZZ",
            "+019-08-12T17:00:00Z",
            "2019-08-12T17:00:0éZ",
            "",
        ] {
            assert!(Instant::parse(refused).is_none(), "{refused:?}");
        }
    }

    #[test]
    fn address_blocks_mask_host_bits_and_keep_the_families_apart() {
        let fits = |block: &str, address: &str| {
            let address: IpAddr = address.parse().expect("a test address");
            AddressBlock::parse(block).unwrap_or_else(|| panic!("{block}")).contains(address)
        };
        assert!(fits("10.0.0.1/8", "10.200.0.1"));
        assert!(fits("0.0.0.0/0", "203.0.113.5"));
        assert!(!fits("0.0.0.0/0", "2001:db8::1"));
        assert!(!fits("::/0", "203.0.113.5"));
        assert!(fits("::/0", "2001:db8::1"));
        assert!(fits("192.0.2.7/32", "192.0.2.7"));
        assert!(!fits("192.0.2.7", "192.0.2.8"));
        assert!(fits("2001:db8::/32", "2001:db8:1::7"));
        assert!(fits("::ffff:10.0.0.0/104", "10.1.2.3"));
        for refused in [
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/08",
            "10.0.0.0/+8",
            "10.0.0/8",
            "010.0.0.1",
            "10.0.0.*",
            "10.0.0.1-10.0.0.9",
            " 10.0.0.1",
            "node1.example.org",
            "fe80::1%eth0",
            "",
            "/8",
            "1.2.3.4/8/8",
        ] {
            assert!(AddressBlock::parse(refused).is_none(), "{refused:?}");
        }
    }
}
