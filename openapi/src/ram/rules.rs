//! Types of RAM's parameters that have a rule and no meaning of their own.

use std::ops::RangeInclusive;

use domain::identity::BrokenRule;
use domain::parameter::{NO_CONTROL_CHARACTERS, Parameter, Refused, Shape, TextShape, Word, whole_number};
use policies::{DocumentKind, PolicyDocument, Reason};

use crate::parameter_types::{not_supported, texts, texts_of_a_length};

const NAME_LENGTHS: RangeInclusive<usize> = 0..=128;

texts! {
    /// A name for people: none of its characters is a control character.
    DisplayName, TextShape::fitting(NO_CONTROL_CHARACTERS).with_length(NAME_LENGTHS), [Characters, Length], display_name;
    /// The address of a mailbox. Nothing is sent to it, so it is checked for its form alone.
    Email, TextShape::fitting(MAILBOX).with_length(NAME_LENGTHS), [Format], email;
    /// The number of a mobile phone. Nothing is sent to it, so it is checked for its form alone.
    MobilePhone, TextShape::fitting(PHONE).with_length(PHONE_LENGTHS), [Format], mobile_phone;
}

texts_of_a_length! {
    /// A comment.
    Comments, TextShape::of_length(0..=128), Length, "it must have at most 128 characters";
    /// What something is for.
    Description, TextShape { in_bytes: true, ..TextShape::of_length(0..=1_024) }, Length, "it must have at most 1024 bytes";
    /// The name of whoever has a policy.
    BearerName, TextShape::of_length(0..=64), Length, "it must have at most 64 characters";
}

not_supported! {
    /// A resource group. An attachment that is meant for one would apply to the whole account.
    NoResourceGroup, TextShape::of_length(0..=0).into(), str::is_empty,
        "there are no resource groups here; leave it out";
    /// Signing in to a console as a role.
    NoConsoleLogin, Shape::OnlyFalse, is_false, "roles cannot sign in to a console here; leave it out";
    /// Passwords that expire.
    NoHardExpiry, Shape::OnlyFalse, is_false, "passwords do not expire here; leave it out, or at false";
    /// The age at which passwords expire.
    NoPasswordAge, Shape::whole_number(0..=0), is_zero, "passwords do not expire here; leave it out, or at 0";
    /// How many earlier passwords are refused.
    NoReusePrevention, Shape::whole_number(0..=0), is_zero,
        "earlier passwords are not kept here; leave it out, or at 0";
    /// How many attempts to sign in are allowed.
    NoLoginAttempts, Shape::whole_number(0..=0), is_zero,
        "attempts to sign in are not counted here; leave it out, or at 0";
}

fn is_false(text: &str) -> bool {
    bool::read(text) == Ok(false)
}

fn is_zero(text: &str) -> bool {
    whole_number(text, 0..=0, "").is_ok()
}

/// Declares policy documents of a kind: their text, which is at most so long, is checked when it is stored.
macro_rules! policy_documents {
    ($( $(#[$doc:meta])* $name:ident, $kind:ident, [$($breaks:ident),+]; )*) => { $(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name(PolicyDocument);

        impl $name {
            /// The document.
            #[must_use]
            pub fn document(&self) -> &PolicyDocument {
                &self.0
            }
        }

        impl Parameter for $name {
            const BREAKS: &'static [BrokenRule] = &[$(BrokenRule::$breaks),+];

            fn shape() -> Shape {
                TextShape::json().with_length(0..=DocumentKind::$kind.max_characters()).into()
            }

            fn read(text: &str) -> Result<Self, Refused> {
                PolicyDocument::parse(text.as_bytes(), DocumentKind::$kind).map(Self).map_err(|why| {
                    let broken = if why.reason == Reason::TooLong { BrokenRule::Length } else { BrokenRule::Value };
                    Refused::new(broken, why.to_string())
                })
            }
        }
    )* };
}

policy_documents! {
    /// A policy of users, groups and roles.
    IdentityDocument, Identity, [Length];
    /// A policy that says who may assume a role.
    TrustDocument, Trust, [Value];
    /// A policy that narrows a session of a role.
    SessionDocument, Session, [Value];
}

/// What happens to the versions of a policy when there is no room for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotateStrategy {
    /// The new version is refused.
    None,
    /// The oldest one that is not the default is deleted.
    DeleteOldest,
}

impl Word for RotateStrategy {
    const ALL: &'static [Self] = &[Self::None, Self::DeleteOldest];

    fn word(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::DeleteOldest => "DeleteOldestNonDefaultVersionWhenLimitExceeded",
        }
    }
}

fn display_name(text: &str) -> Result<(), Refused> {
    if text.chars().any(char::is_control) {
        return Err(Refused::new(BrokenRule::Characters, "it must have no control characters"));
    }
    if !NAME_LENGTHS.contains(&text.chars().count()) {
        return Err(Refused::new(BrokenRule::Length, "it must have at most 128 characters"));
    }
    Ok(())
}

/// One `@`, with something before and after it, and no white space and no control character, as [`email`] checks it.
const MAILBOX: &str = "^[^@\\x00-\\x20\\x7f-\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]+\
                       @[^@\\x00-\\x20\\x7f-\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]+$";

fn email(text: &str) -> Result<(), Refused> {
    let plain = |part: &str| {
        !part.is_empty() && !part.chars().any(|character| character.is_whitespace() || character.is_control())
    };
    let parts = text.split_once('@');
    let well_formed =
        parts.is_some_and(|(mailbox, host)| plain(mailbox) && plain(host) && !host.contains('@'));
    if NAME_LENGTHS.contains(&text.chars().count()) && well_formed {
        return Ok(());
    }
    let rule = "it must be the address of a mailbox, of at most 128 characters";
    Err(Refused::new(BrokenRule::Format, rule))
}

const PHONE: &str = r"^\+?[0-9][0-9-]*$";
const PHONE_LENGTHS: RangeInclusive<usize> = 1..=32;

fn mobile_phone(text: &str) -> Result<(), Refused> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let well_formed = digits.starts_with(|first: char| first.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    if PHONE_LENGTHS.contains(&text.len()) && well_formed {
        return Ok(());
    }
    let rule = "it must be the number of a phone such as 86-13800000000, of at most 32 digits and hyphens";
    Err(Refused::new(BrokenRule::Format, rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(outcome: Result<(), Refused>) -> &'static str {
        outcome.err().and_then(|refused| refused.broken.in_codes()).unwrap_or_default()
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
        assert_eq!(code(Description::check(&"ä".repeat(512))), "");
        assert_eq!(code(Description::check(&"ä".repeat(513))), "Length");
    }
}
