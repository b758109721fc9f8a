//! What holds for an account as a whole: its alias, and what the passwords of its users must be.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::names::{BrokenRule, InvalidName};
use crate::parameter::{Parameter, Refused, Shape, TextShape, whole_number};

/// Another name of an account, unique within the deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountAlias(String);

impl AccountAlias {
    const LENGTHS: RangeInclusive<usize> = 3..=63;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountAlias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AccountAlias {
    type Err = InvalidName;

    /// Reads 3 to 63 lower-case letters and digits, with single hyphens between them.
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let plain = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        let broken = if !text.split('-').all(plain) {
            BrokenRule::Format
        } else if !Self::LENGTHS.contains(&text.len()) {
            BrokenRule::Length
        } else {
            return Ok(Self(text.to_owned()));
        };
        let rule = "3 to 63 lower-case letters and digits, with single hyphens between them";
        Err(InvalidName { kind: "AccountAlias", rule, broken })
    }
}

impl Parameter for AccountAlias {
    const BREAKS: &'static [BrokenRule] = &[BrokenRule::Format, BrokenRule::Length];

    fn shape() -> Shape {
        TextShape::fitting("^[a-z0-9]+(-[a-z0-9]+)*$").with_length(Self::LENGTHS).into()
    }

    fn read(text: &str) -> Result<Self, Refused> {
        Ok(text.parse::<Self>()?)
    }
}

/// The fewest characters that a password policy asks for: 8, which holds without a policy too, to 32, than which no password is
/// longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinimumPasswordLength(u8);

impl MinimumPasswordLength {
    const RANGE: RangeInclusive<i64> = 8..=32;

    /// `None` outside of 8 to 32.
    #[must_use]
    pub fn new(characters: i64) -> Option<Self> {
        let allowed = Some(characters).filter(|characters| Self::RANGE.contains(characters));
        allowed.and_then(|characters| u8::try_from(characters).ok()).map(Self)
    }

    /// The number.
    #[must_use]
    pub fn characters(self) -> u8 {
        self.0
    }
}

impl Parameter for MinimumPasswordLength {
    const BREAKS: &'static [BrokenRule] = &[BrokenRule::Range];

    fn shape() -> Shape {
        Shape::whole_number(Self::RANGE)
    }

    fn read(text: &str) -> Result<Self, Refused> {
        let refused = |Refused { rule, .. }| Refused::new(BrokenRule::Range, rule);
        let characters = whole_number(text, Self::RANGE, "").map_err(refused)?;
        Self::new(characters).ok_or_else(|| Refused::new(BrokenRule::Range, "it must be a whole number"))
    }
}

impl Default for MinimumPasswordLength {
    fn default() -> Self {
        Self(8)
    }
}

/// What the passwords of an account's users must be, beside the rule for all passwords. It is asked when a password is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PasswordPolicy {
    /// The fewest characters.
    pub minimum_length: MinimumPasswordLength,
    /// Whether a lower-case letter is needed.
    pub require_lowercase: bool,
    /// Whether an upper-case letter is needed.
    pub require_uppercase: bool,
    /// Whether a digit is needed.
    pub require_numbers: bool,
    /// Whether a character is needed that is neither a letter nor a digit.
    pub require_symbols: bool,
}

impl PasswordPolicy {
    /// Whether a password is as this policy wants it.
    ///
    /// # Errors
    /// [`InvalidName`] says the first thing that it lacks; it does not repeat the password.
    pub(crate) fn admits(self, password: &str) -> Result<(), InvalidName> {
        let has = |kind: fn(char) -> bool| password.chars().any(kind);
        let lacks = [
            (
                password.chars().count() < usize::from(self.minimum_length.characters()),
                "as long as the password policy of the account wants it",
            ),
            (
                self.require_lowercase && !has(char::is_lowercase),
                "with a lower-case letter, as the password policy of the account wants it",
            ),
            (
                self.require_uppercase && !has(char::is_uppercase),
                "with an upper-case letter, as the password policy of the account wants it",
            ),
            (
                self.require_numbers && !has(|character| character.is_ascii_digit()),
                "with a digit, as the password policy of the account wants it",
            ),
            (
                self.require_symbols && !has(|character| !character.is_alphanumeric()),
                "with a character that is neither letter nor digit, as the password policy of the account wants it",
            ),
        ];
        match lacks.into_iter().find(|(lacks, _)| *lacks) {
            Some((_, rule)) => Err(InvalidName { kind: "Password", rule, broken: BrokenRule::Strength }),
            None => Ok(()),
        }
    }
}

/// What is set of an account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccountSettings {
    /// Its alias.
    pub alias: Option<AccountAlias>,
    /// What its users' passwords must be.
    pub password_policy: PasswordPolicy,
}

/// What is to be set of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountSettingsChange {
    /// Another alias, or none.
    Alias(Option<AccountAlias>),
    /// Another password policy.
    PasswordPolicy(PasswordPolicy),
}

impl AccountSettings {
    /// The settings with what changes of them.
    #[must_use]
    pub fn change(self, change: AccountSettingsChange) -> Self {
        match change {
            AccountSettingsChange::Alias(alias) => Self { alias, ..self },
            AccountSettingsChange::PasswordPolicy(password_policy) => Self { password_policy, ..self },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_can_be_part_of_a_host_name() {
        for good in ["abc", "a-b", "team-1-prod", &"a".repeat(63)] {
            assert_eq!(good.parse::<AccountAlias>().unwrap().as_str(), good);
        }
        let broken = |text: &str| text.parse::<AccountAlias>().unwrap_err().broken;
        for bad in ["-ab", "ab-", "a--b", "A-b", "a_b", "ä-b", ""] {
            assert_eq!(broken(bad), BrokenRule::Format, "{bad}");
        }
        for bad in ["ab", &"a".repeat(64)] {
            assert_eq!(broken(bad), BrokenRule::Length, "{bad}");
        }
    }

    #[test]
    fn a_policy_asks_for_no_more_than_there_can_be() {
        assert_eq!(MinimumPasswordLength::default().characters(), 8);
        for length in [8, 32] {
            assert_eq!(i64::from(MinimumPasswordLength::new(length).unwrap().characters()), length);
        }
        for length in [-1, 0, 7, 33, 264] {
            assert_eq!(MinimumPasswordLength::new(length), None);
        }
    }

    #[test]
    fn each_demand_is_asked_for() {
        let none = PasswordPolicy::default();
        let cases = [
            (PasswordPolicy { minimum_length: MinimumPasswordLength(10), ..none }, "123456789", "1234567890"),
            (PasswordPolicy { require_lowercase: true, ..none }, "PASSWORD1!", "PASSWORd1!"),
            (PasswordPolicy { require_uppercase: true, ..none }, "password1!", "Password1!"),
            (PasswordPolicy { require_numbers: true, ..none }, "Password!", "Password1"),
            (PasswordPolicy { require_symbols: true, ..none }, "Password1", "Password 1"),
        ];
        for (policy, lacking, good) in cases {
            let refused = policy.admits(lacking).unwrap_err();
            assert_eq!(refused.broken, BrokenRule::Strength);
            assert!(!refused.to_string().contains(lacking), "{refused}");
            assert_eq!(policy.admits(good), Ok(()));
            assert_eq!(none.admits(lacking), Ok(()));
        }
    }
}
