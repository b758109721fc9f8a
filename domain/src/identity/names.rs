//! Names and ids, and the rules that they keep to.

use std::fmt;
use std::ops::RangeInclusive;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};

use crate::parameter::{Parameter, Refused, Shape, TextShape};

/// An identifier or name that breaks its rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} must be {rule}")]
pub struct InvalidName {
    /// What was being parsed.
    pub kind: &'static str,
    /// The rule.
    pub rule: &'static str,
    /// Which kind of rule it is.
    pub broken: BrokenRule,
}

/// The kinds of rules that a text can break, as RAM's codes tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokenRule {
    /// It has characters that are not allowed.
    Characters,
    /// It is too short or too long.
    Length,
    /// It has another form.
    Format,
    /// It is a number outside of its range.
    Range,
    /// It is too easy to guess.
    Strength,
    /// Any other rule.
    Value,
}

impl BrokenRule {
    /// How RAM's codes name this kind; `None` where they do not tell.
    #[must_use]
    pub const fn in_codes(self) -> Option<&'static str> {
        match self {
            Self::Characters => Some("InvalidChars"),
            Self::Length => Some("Length"),
            Self::Format => Some("Format"),
            Self::Range => Some("Range"),
            Self::Strength => Some("TooWeak"),
            Self::Value => None,
        }
    }
}

macro_rules! checked_names {
    ($( $(#[$doc:meta])* $name:ident, $rule:literal, $lengths:expr, $allowed:expr; )*) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// Checks the rule.
            ///
            /// # Errors
            /// [`InvalidName`] says what is allowed.
            pub fn parse(text: &str) -> Result<Self, InvalidName> {
                let allowed: fn(u8) -> bool = $allowed;
                let broken = if !text.bytes().all(allowed) {
                    BrokenRule::Characters
                } else if !$lengths.contains(&text.len()) {
                    BrokenRule::Length
                } else {
                    return Ok(Self(text.to_owned()));
                };
                Err(InvalidName { kind: stringify!($name), rule: $rule, broken })
            }

            /// The rule as a regular expression (ECMA-262), for documents.
            #[must_use]
            pub fn pattern() -> String { pattern(&$lengths, $allowed) }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str { &self.0 }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> { Self::parse(text) }
        }

        impl Parameter for $name {
            const BREAKS: &'static [BrokenRule] = &[BrokenRule::Characters, BrokenRule::Length];
            fn shape() -> Shape {
                TextShape::fitting(Self::pattern()).with_length($lengths).into()
            }
            fn read(text: &str) -> Result<Self, Refused> { Ok(Self::parse(text)?) }
        }
    )* };
}

checked_names! {
    /// The public half of an access key, as a request names it.
    AccessKeyId, "1 to 128 letters, digits, '.', '_' or '-'",
        1..=128, |b| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    /// A RAM user's id: 18 digits, never reused.
    UserId, "18 digits", 18..=18, |b| b.is_ascii_digit();
    /// A RAM user's name, unique within its account.
    UserName, "1 to 64 letters, digits, '.', '_' or '-'",
        1..=64, |b| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    /// A policy's name, unique within its account.
    PolicyName, "1 to 128 letters, digits or '-'",
        1..=128, |b| b.is_ascii_alphanumeric() || b == b'-';
    /// A group's id: 18 digits, never reused.
    GroupId, "18 digits", 18..=18, |b| b.is_ascii_digit();
    /// A group's name, unique within its account.
    GroupName, "1 to 64 letters, digits, '.', '_' or '-'",
        1..=64, |b| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    /// A role's id: 18 digits, never reused.
    RoleId, "18 digits", 18..=18, |b| b.is_ascii_digit();
    /// A role's name, unique within its account; no underscore, as in the vendor's SDK.
    RoleName, "1 to 64 letters, digits, '.' or '-'",
        1..=64, |b| b.is_ascii_alphanumeric() || b".-".contains(&b);
    /// What the caller of AssumeRole calls the session.
    RoleSessionName, "2 to 64 letters, digits, '.', '@', '-' or '_'",
        2..=64, |b| b.is_ascii_alphanumeric() || b".@-_".contains(&b);
    /// What the caller of AssumeRole proves its trust relation with: `sts:ExternalId`.
    ExternalId, "2 to 1224 letters, digits, or any of _ + = , . @ : / -",
        2..=1_224, |b| b.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&b);
    /// Who stands behind a session of a role, as the first caller of AssumeRole says: `sts:SourceIdentity`.
    SourceIdentity, "2 to 64 letters, digits, '.', '@', '-', '_' or '='",
        2..=64, |b| b.is_ascii_alphanumeric() || b".@-_=".contains(&b);
}

/// So many of the allowed characters.
fn pattern(lengths: &RangeInclusive<usize>, allowed: fn(u8) -> bool) -> String {
    let mut class = String::new();
    let mut bytes = (0..=u8::MAX).filter(|byte| allowed(*byte)).peekable();
    while let Some(first) = bytes.next() {
        let mut last = first;
        while let Some(next) = bytes.next_if(|next| Some(*next) == last.checked_add(1)) {
            last = next;
        }
        for (place, byte) in [first, last].into_iter().enumerate() {
            match last - first {
                0 if place == 1 => continue,
                2.. if place == 1 => class.push('-'),
                _ => {}
            }
            if br"\]^-".contains(&byte) {
                class.push('\\');
            }
            class.push(char::from(byte));
        }
    }
    match (lengths.start(), lengths.end()) {
        (least, most) if least == most => format!("^[{class}]{{{most}}}$"),
        (least, most) => format!("^[{class}]{{{least},{most}}}$"),
    }
}

impl AccessKeyId {
    /// A fresh id of a long-term key: `LTAI` and 20 random letters and digits.
    #[must_use]
    pub fn generate() -> Self {
        Self(format!("LTAI{}", random_alphanumeric(20)))
    }

    /// A fresh id of a role session's key: `STS.` and 24 random letters and digits.
    #[must_use]
    pub fn generate_for_session() -> Self {
        Self(format!("{SESSION_KEY}{}", random_alphanumeric(24)))
    }

    /// Whether it looks like the id of a role session's key.
    #[must_use]
    pub fn is_of_session(&self) -> bool {
        self.0.starts_with(SESSION_KEY)
    }
}

impl UserId {
    /// A fresh id: 18 random digits, the first of which is 2, as the vendor's are.
    #[must_use]
    pub fn generate() -> Self {
        Self(format!("2{}", random_digits(17)))
    }
}

impl GroupId {
    /// A fresh id: 18 random digits, the first of which is 4, so that it is no user's and no role's.
    #[must_use]
    pub fn generate() -> Self {
        Self(format!("4{}", random_digits(17)))
    }
}

impl RoleId {
    /// A fresh id: 18 random digits, the first of which is 3, as the vendor's are.
    #[must_use]
    pub fn generate() -> Self {
        Self(format!("3{}", random_digits(17)))
    }
}

/// How the id of a role session's key begins.
const SESSION_KEY: &str = "STS.";

/// A fresh account id: 16 digits beginning with 1 (DECISIONS I1).
#[must_use]
pub fn generate_account_id() -> crate::AccountId {
    format!("1{}", random_digits(15)).parse().expect("16 digits beginning with 1")
}

/// `length` random letters and digits from the secure source.
#[must_use]
pub fn random_alphanumeric(length: usize) -> String {
    random_from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", length)
}

fn random_digits(length: usize) -> String {
    random_from(b"0123456789", length)
}

fn random_from(alphabet: &[u8], length: usize) -> String {
    let source = SystemRandom::new();
    // Bytes at or above the largest multiple of the alphabet are drawn again, so that no letter is favoured.
    let limit = 256 - 256 % alphabet.len();
    let mut text = String::with_capacity(length);
    let mut bytes = [0_u8; 64];
    while text.len() < length {
        source.fill(&mut bytes).expect("the operating system's random source works");
        for byte in bytes {
            if usize::from(byte) < limit && text.len() < length {
                text.push(char::from(alphabet[usize::from(byte) % alphabet.len()]));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_stated_as_they_are_checked() {
        assert_eq!(UserName::pattern(), r"^[\-.0-9A-Z_a-z]{1,64}$");
        assert_eq!(RoleName::pattern(), r"^[\-.0-9A-Za-z]{1,64}$");
        assert_eq!(PolicyName::pattern(), r"^[\-0-9A-Za-z]{1,128}$");
        assert_eq!(RoleSessionName::pattern(), r"^[\-.0-9@-Z_a-z]{2,64}$");
        assert_eq!(UserId::pattern(), "^[0-9]{18}$");
        assert_eq!(pattern(&(1..=2), |byte| br"\]^_`".contains(&byte)), r"^[\\-`]{1,2}$");
        assert_eq!(pattern(&(1..=2), |byte| b"ab-".contains(&byte)), r"^[\-ab]{1,2}$");
    }

    #[test]
    fn generated_names_obey_their_rules() {
        for _ in 0..100 {
            AccessKeyId::parse(AccessKeyId::generate().as_str()).unwrap();
            let session = AccessKeyId::parse(AccessKeyId::generate_for_session().as_str()).unwrap();
            assert!(session.is_of_session() && !AccessKeyId::generate().is_of_session());
            UserId::parse(UserId::generate().as_str()).unwrap();
            GroupId::parse(GroupId::generate().as_str()).unwrap();
            RoleId::parse(RoleId::generate().as_str()).unwrap();
            assert_eq!(generate_account_id().as_str().len(), 16);
        }
    }

    #[test]
    fn names_that_would_confuse_an_arn_are_refused() {
        for bad in ["", "a b", "a/b", "a:b", "ä", "*", &"x".repeat(65)] {
            assert!(UserName::parse(bad).is_err(), "{bad}");
        }
        assert!(PolicyName::parse("under_score").is_err());
        assert!(RoleName::parse("under_score").is_err() && RoleName::parse("a.b-c").is_ok());
        assert!(RoleSessionName::parse("a").is_err() && RoleSessionName::parse("ana@example").is_ok());
    }
}
