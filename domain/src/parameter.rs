//! What texts a value is read from. A type says it here, beside its check, for the documents of the API and for tests
//! that hold the two against each other.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::RangeInclusive;

use policies::DocumentKind;
use validator::{ValidateLength as _, ValidateRange as _};

use crate::identity::{BrokenRule, InvalidName};
use crate::{AgentId, InstanceId, InvalidIdentifier, Region, TerminalSessionToken, Timestamp};

/// A type that is read from the text of a parameter.
pub trait Parameter: Sized {
    /// The kinds of rules that a text can break.
    const BREAKS: &'static [BrokenRule] = &[BrokenRule::Value];

    /// The texts that it is read from.
    fn shape() -> Shape;

    /// Reads a text.
    ///
    /// # Errors
    /// [`Refused`] says what is allowed, and does not repeat the text.
    fn read(text: &str) -> Result<Self, Refused>;

    /// Checks a text as whoever reads it in the end does, which is not always [`Parameter::read`].
    ///
    /// # Errors
    /// [`Refused`].
    fn check(text: &str) -> Result<(), Refused> {
        Self::read(text).map(drop)
    }
}

/// The rule that a text broke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule}")]
pub struct Refused {
    /// Which kind of rule it is.
    pub broken: BrokenRule,
    /// What is allowed: `it must be a whole number from 1 to 100`.
    pub rule: Cow<'static, str>,
}

impl Refused {
    /// A text that breaks a rule of this kind.
    #[must_use]
    pub fn new(broken: BrokenRule, rule: impl Into<Cow<'static, str>>) -> Self {
        Self { broken, rule: rule.into() }
    }

    /// A text that breaks another rule than one that codes name.
    #[must_use]
    pub fn value(rule: impl Into<Cow<'static, str>>) -> Self {
        Self::new(BrokenRule::Value, rule)
    }
}

impl From<InvalidName> for Refused {
    fn from(invalid: InvalidName) -> Self {
        Self::new(invalid.broken, format!("it must be {}", invalid.rule))
    }
}

impl From<InvalidIdentifier> for Refused {
    fn from(invalid: InvalidIdentifier) -> Self {
        Self::value(format!("it is {}: {}", invalid.kind(), rule_of(&invalid)))
    }
}

/// The rule of an identifier, without its `it is`.
pub(crate) fn rule_of(invalid: &InvalidIdentifier) -> &'static str {
    let allowed = invalid.allowed();
    allowed.strip_prefix("it is ").unwrap_or(allowed)
}

/// The texts that a type is read from. Where it says less than the check, a test lists the type with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// `true` or `false`, in any case.
    Flag,
    /// Only `false`, in any case: what is not supported can be declined.
    OnlyFalse,
    /// A whole number.
    WholeNumber {
        /// The least.
        least: i64,
        /// The greatest.
        most: i64,
    },
    /// One of these words, exactly.
    OneOf(Vec<&'static str>),
    /// Any other text.
    Text(TextShape),
}

/// What is known of a text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TextShape {
    /// What it fits, as a regular expression (ECMA-262).
    pub pattern: Option<String>,
    /// How long it may be; `None` when there is no rule of its own.
    pub lengths: Option<RangeInclusive<usize>>,
    /// Whether the length is counted in bytes of UTF-8 and not in characters.
    pub in_bytes: bool,
    /// Its format in the words of OpenAPI: `date-time`, `password`.
    pub format: Option<&'static str>,
    /// Whether it is JSON.
    pub json: bool,
}

impl TextShape {
    /// A text that fits a regular expression.
    #[must_use]
    pub fn fitting(pattern: impl Into<String>) -> Self {
        Self { pattern: Some(pattern.into()), ..Self::default() }
    }

    /// A text of so many characters.
    #[must_use]
    pub fn of_length(lengths: RangeInclusive<usize>) -> Self {
        Self { lengths: Some(lengths), ..Self::default() }
    }

    /// A JSON text.
    #[must_use]
    pub fn json() -> Self {
        Self { json: true, ..Self::default() }
    }

    /// The same with so many characters.
    #[must_use]
    pub fn with_length(self, lengths: RangeInclusive<usize>) -> Self {
        Self { lengths: Some(lengths), ..self }
    }

    /// Whether a text is as long as it may be.
    #[must_use]
    pub fn has_length(&self, text: &str) -> bool {
        let Some(lengths) = &self.lengths else { return true };
        let [least, most] = [lengths.start(), lengths.end()].map(|length| u64::try_from(*length).ok());
        if self.in_bytes {
            text.as_bytes().validate_length(least, most, None)
        } else {
            text.validate_length(least, most, None)
        }
    }
}

impl Shape {
    /// A whole number of these.
    #[must_use]
    pub fn whole_number(numbers: RangeInclusive<i64>) -> Self {
        let (least, most) = numbers.into_inner();
        Self::WholeNumber { least, most }
    }
}

impl From<TextShape> for Shape {
    fn from(text: TextShape) -> Self {
        Self::Text(text)
    }
}

/// A type whose values are a few words.
pub trait Word: Copy + 'static {
    /// All of them.
    const ALL: &'static [Self];

    /// The word.
    fn word(self) -> &'static str;

    /// The value of a word, exactly as it is written.
    #[must_use]
    fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|value| value.word() == word)
    }

    /// The words in a sentence: `System or Custom`.
    #[must_use]
    fn listed() -> String {
        let mut listed = String::new();
        for (place, value) in Self::ALL.iter().enumerate() {
            let between = match place {
                0 => "",
                _ if place + 1 == Self::ALL.len() => " or ",
                _ => ", ",
            };
            let _ = write!(listed, "{between}{}", value.word());
        }
        listed
    }
}

impl<T: Word> Parameter for T {
    fn shape() -> Shape {
        Shape::OneOf(T::ALL.iter().map(|value| value.word()).collect())
    }

    fn read(text: &str) -> Result<Self, Refused> {
        T::of(text).ok_or_else(|| Refused::value(format!("it must be {}", T::listed())))
    }
}

impl Word for DocumentKind {
    const ALL: &'static [Self] = &[Self::Identity, Self::Session, Self::Control, Self::Trust];

    fn word(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Session => "session",
            Self::Control => "control",
            Self::Trust => "trust",
        }
    }
}

impl Parameter for bool {
    fn shape() -> Shape {
        Shape::Flag
    }

    fn read(text: &str) -> Result<Self, Refused> {
        if text.eq_ignore_ascii_case("true") {
            Ok(true)
        } else if text.eq_ignore_ascii_case("false") {
            Ok(false)
        } else {
            Err(Refused::value("it must be true or false"))
        }
    }
}

/// Reads digits, with a minus sign where that makes sense; no plus sign, no spaces.
///
/// # Errors
/// The text is something else, or the number is not one of these.
pub fn whole_number(text: &str, numbers: RangeInclusive<i64>, unit: &str) -> Result<i64, Refused> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let well_formed = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let fits = |number: &i64| number.validate_range(Some(*numbers.start()), Some(*numbers.end()), None, None);
    let number = text.parse().ok().filter(|number| well_formed && fits(number));
    number.ok_or_else(|| {
        let (least, most) = numbers.into_inner();
        Refused::value(if most >= i64::from(i32::MAX) {
            format!("it must be a whole number{unit} from {least}")
        } else {
            format!("it must be a whole number{unit} from {least} to {most}")
        })
    })
}

macro_rules! identifiers {
    ($($name:ident)*) => { $(
        impl Parameter for $name {
            fn shape() -> Shape {
                TextShape::fitting($name::PATTERN).into()
            }

            fn read(text: &str) -> Result<Self, Refused> {
                Ok(Self::parse(text)?)
            }
        }
    )* };
}

identifiers! { AgentId InstanceId Region TerminalSessionToken }

impl Parameter for Timestamp {
    fn shape() -> Shape {
        let pattern = "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])\
                       T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?Z$";
        TextShape { format: Some("date-time"), ..TextShape::fitting(pattern) }.into()
    }

    fn read(text: &str) -> Result<Self, Refused> {
        Self::parse_rfc3339(text)
            .map_err(|_| Refused::value("it must be a time in UTC such as 2023-11-16T02:59:39Z"))
    }
}

/// A text without a character for which `char::is_control` holds.
pub const NO_CONTROL_CHARACTERS: &str = r"^[^\x00-\x1f\x7f-\x9f]*$";

/// A pattern without its anchors, as a part of another one.
pub(crate) fn part(pattern: &str) -> &str {
    pattern.strip_prefix('^').and_then(|rest| rest.strip_suffix('$')).unwrap_or(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_is_digits_within_its_range() {
        let read = |text| whole_number(text, 1..=100, "").ok();
        assert_eq!((read("1"), read("100"), read("007")), (Some(1), Some(100), Some(7)));
        for bad in
            ["", "0", "101", "-1", "+7", " 7", "7 ", "7.0", "0x7", "--1", "-", "７", "99999999999999999999"]
        {
            assert_eq!(read(bad), None, "{bad:?}");
        }
        let rule = |numbers| whole_number("x", numbers, " of seconds").unwrap_err().rule;
        assert_eq!(rule(1..=100), "it must be a whole number of seconds from 1 to 100");
        assert_eq!(rule(1..=i64::from(i32::MAX)), "it must be a whole number of seconds from 1");
    }

    #[test]
    fn lengths_are_counted_in_characters_or_in_bytes() {
        let characters = TextShape::of_length(1..=2);
        assert!(characters.has_length("ää") && !characters.has_length("äää") && !characters.has_length(""));
        let bytes = TextShape { in_bytes: true, ..characters };
        assert!(bytes.has_length("ä") && !bytes.has_length("ää"));
    }
}
