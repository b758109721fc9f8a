//! What a list of recordings can be narrowed by.

use crate::Timestamp;
use crate::parameter::{Parameter, Refused, Shape, TextShape};
use crate::recording_life::WireStatus;

/// Which recordings a list holds: those that fit everything that is given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecordingFilter {
    /// Those that started at this moment or later, by the start that lists are sorted by.
    pub started_after: Option<Timestamp>,
    /// Those that started before this moment.
    pub started_before: Option<Timestamp>,
    /// Those with this status.
    pub status: Option<WireStatus>,
    /// Those of this user: proven to have opened the session, or claimed by the agent to be its user.
    pub user_name: Option<String>,
    /// Those whose token begins so.
    pub token_prefix: Option<TokenPrefix>,
}

impl RecordingFilter {
    /// Whether nothing is given, so that every recording fits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The beginning of a recording's token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenPrefix(String);

/// The text is not the beginning of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it must have 4 to 32 lower-case hexadecimal digits")]
pub struct InvalidTokenPrefix;

impl Parameter for TokenPrefix {
    fn shape() -> Shape {
        TextShape::fitting("^[0-9a-f]{4,32}$").with_length(4..=32).into()
    }

    fn read(text: &str) -> Result<Self, Refused> {
        Self::parse(text).map_err(|error| Refused::value(error.to_string()))
    }
}

impl TokenPrefix {
    /// Accepts 4 to 32 lower-case hexadecimal digits. Fewer would fit too many recordings to mean one.
    ///
    /// # Errors
    /// The text is something else.
    pub fn parse(text: &str) -> Result<Self, InvalidTokenPrefix> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if (4..=32).contains(&text.len()) && text.bytes().all(is_digit) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidTokenPrefix)
        }
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_has_4_to_32_lower_case_hexadecimal_digits() {
        for text in ["0000", "5f0c6", &"ab".repeat(16)] {
            assert_eq!(TokenPrefix::parse(text).unwrap().as_str(), text);
        }
        for text in ["", "5f0", "5F0C", "5f0g", "5f0%", "5f0 ", "٠٠٠٠", &"a".repeat(33)] {
            assert_eq!(TokenPrefix::parse(text), Err(InvalidTokenPrefix), "{text}");
        }
    }

    #[test]
    fn every_member_makes_a_filter_of_it() {
        assert!(RecordingFilter::default().is_empty());
        let at = Some(Timestamp::from_millis(1));
        for filter in [
            RecordingFilter { started_after: at, ..RecordingFilter::default() },
            RecordingFilter { started_before: at, ..RecordingFilter::default() },
            RecordingFilter { status: Some(WireStatus::Failed), ..RecordingFilter::default() },
            RecordingFilter { user_name: Some("ana".to_owned()), ..RecordingFilter::default() },
            RecordingFilter { token_prefix: TokenPrefix::parse("abcd").ok(), ..RecordingFilter::default() },
        ] {
            assert!(!filter.is_empty(), "{filter:?}");
        }
    }
}
