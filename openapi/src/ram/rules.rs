//! Rules of RAM's parameters that are more than a length or a range. Their codes are those of [`crate::parameters`].

use std::borrow::Cow;

use validator::ValidationError;

fn broken(code: &'static str, rule: &'static str) -> ValidationError {
    ValidationError::new(code).with_message(Cow::Borrowed(rule))
}

/// A name for people: 1 to 128 characters, none of them a control character.
pub(super) fn display_name(text: &str) -> Result<(), ValidationError> {
    if text.chars().any(char::is_control) {
        return Err(broken("InvalidChars", "it must have no control characters"));
    }
    if text.chars().count() > 128 {
        return Err(broken("Length", "it must have at most 128 characters"));
    }
    Ok(())
}

/// The address of a mailbox. Nothing is sent to it, so it is checked for its form alone.
pub(super) fn email(text: &str) -> Result<(), ValidationError> {
    let plain = |part: &str| {
        !part.is_empty() && !part.chars().any(|character| character.is_whitespace() || character.is_control())
    };
    let parts = text.split_once('@');
    let well_formed =
        parts.is_some_and(|(mailbox, host)| plain(mailbox) && plain(host) && !host.contains('@'));
    if text.chars().count() <= 128 && well_formed {
        return Ok(());
    }
    Err(broken("Format", "it must be the address of a mailbox, of at most 128 characters"))
}

/// The number of a mobile phone. Nothing is sent to it, so it is checked for its form alone.
pub(super) fn mobile_phone(text: &str) -> Result<(), ValidationError> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let well_formed = digits.starts_with(|first: char| first.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    if text.len() <= 32 && well_formed {
        return Ok(());
    }
    Err(broken(
        "Format",
        "it must be the number of a phone such as 86-13800000000, of at most 32 digits and hyphens",
    ))
}

/// What something is for: at most 1,024 bytes.
pub(super) fn description(text: &str) -> Result<(), ValidationError> {
    if text.len() <= 1_024 { Ok(()) } else { Err(broken("Length", "it must have at most 1024 bytes")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(outcome: Result<(), ValidationError>) -> String {
        outcome.err().map(|error| error.code.into_owned()).unwrap_or_default()
    }

    #[test]
    fn addresses_and_numbers_have_their_form() {
        for good in ["ana@example.com", "a@b", "ana+x@例え.jp"] {
            assert_eq!(code(email(good)), "", "{good}");
        }
        for bad in ["ana", "@b", "a@", "a@b@c", "a b@c", "a@b\n", &format!("{}@b", "a".repeat(127))] {
            assert_eq!(code(email(bad)), "Format", "{bad}");
        }
        for good in ["1", "86-13800000000", "+49170000000"] {
            assert_eq!(code(mobile_phone(good)), "", "{good}");
        }
        for bad in ["", "+", "-1", "one", "1 2", &"1".repeat(33)] {
            assert_eq!(code(mobile_phone(bad)), "Format", "{bad}");
        }
    }

    #[test]
    fn lengths_are_counted_as_the_vendor_counts_them() {
        assert_eq!(code(display_name(&"ä".repeat(128))), "");
        assert_eq!(code(display_name(&"ä".repeat(129))), "Length");
        assert_eq!(code(display_name("a\nb")), "InvalidChars");
        assert_eq!(code(description(&"ä".repeat(512))), "");
        assert_eq!(code(description(&"ä".repeat(513))), "Length");
    }
}
