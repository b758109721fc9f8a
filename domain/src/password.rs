//! Passwords of the console. They are hashed with Argon2id and never stored, logged or shown.
//!
//! Hashing and checking take tens of milliseconds and 19 MiB by intent: call them where blocking is allowed.

use std::fmt;
use std::ops::RangeInclusive;

use argon2::password_hash::phc::PasswordHash as Phc;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};

use crate::identity::{BrokenRule, InvalidName, PasswordPolicy};
use crate::parameter::{NO_CONTROL_CHARACTERS, Parameter, Refused, Shape, TextShape};

/// How many characters a password has.
const LENGTHS: RangeInclusive<usize> = 8..=32;

/// What a new password must be.
const RULE: &str = "8 to 32 characters, none of them a control character";

/// Argon2id with 19 MiB, two passes and one lane, which is OWASP's advice. A stored hash carries its own parameters, so
/// that these may grow.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;

/// A new password, as its user chose it.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Takes a new password.
    ///
    /// # Errors
    /// [`InvalidName`] says what is allowed; it does not repeat the password.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let allowed = LENGTHS.contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if allowed {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName { kind: "Password", rule: RULE, broken: BrokenRule::Strength })
        }
    }

    /// Whether it is as the policy of its account wants it.
    ///
    /// # Errors
    /// [`InvalidName`] says what it lacks; it does not repeat the password.
    pub fn meets(&self, policy: PasswordPolicy) -> Result<(), InvalidName> {
        policy.admits(&self.0)
    }

    /// Its hash, with a salt of its own.
    #[must_use]
    pub fn hash(&self) -> PasswordHash {
        let mut salt = [0; SALT_BYTES];
        SystemRandom::new().fill(&mut salt).expect("the operating system's random source works");
        let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("the parameters are in range");
        let hashed: Phc = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_with_salt(self.0.as_bytes(), &salt)
            .expect("a short password and a salt of 16 bytes are hashed, if there are 19 MiB");
        PasswordHash(hashed.to_string())
    }
}

impl Parameter for Password {
    const BREAKS: &'static [BrokenRule] = &[BrokenRule::Strength];

    fn shape() -> Shape {
        let plain = TextShape::fitting(NO_CONTROL_CHARACTERS).with_length(LENGTHS);
        TextShape { format: Some("password"), ..plain }.into()
    }

    fn read(text: &str) -> Result<Self, Refused> {
        Ok(Self::parse(text)?)
    }
}

impl std::str::FromStr for Password {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::parse(text)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// What is stored of a password: a PHC string with the parameters and the salt in it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Reads a stored hash.
    ///
    /// # Errors
    /// [`InvalidName`] when it is none of Argon2id.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let read = Phc::new(text).ok().filter(|hash| hash.algorithm.as_str() == "argon2id");
        match read {
            Some(_) => Ok(Self(text.to_owned())),
            None => Err(InvalidName {
                kind: "PasswordHash",
                rule: "a PHC string of argon2id",
                broken: BrokenRule::Value,
            }),
        }
    }

    /// As it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the hash of what somebody presents.
    #[must_use]
    pub fn verify(&self, presented: &str) -> bool {
        Argon2::default().verify_password(presented.as_bytes(), self.0.as_str()).is_ok()
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash")
    }
}

impl std::str::FromStr for PasswordHash {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_admits_its_password_and_no_other() {
        let password = Password::parse("correct horse ü").unwrap();
        let (hash, again) = (password.hash(), password.hash());
        assert_ne!(hash, again, "each has a salt of its own");
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.as_str());
        let stored = PasswordHash::parse(hash.as_str()).unwrap();
        assert!(stored.verify("correct horse ü") && again.verify("correct horse ü"));
        assert!(!stored.verify("correct horse u") && !stored.verify(""));
        assert_eq!(format!("{password:?} {hash:?}"), "Password PasswordHash");
    }

    #[test]
    fn short_long_and_unprintable_passwords_are_refused_without_being_repeated() {
        for bad in ["", "1234567", "tab\tin password", &"x".repeat(33)] {
            let refused = Password::parse(bad).unwrap_err().to_string();
            assert_eq!(refused, format!("Password must be {RULE}"));
        }
        assert!(Password::parse("12345678").is_ok() && Password::parse(&"ü".repeat(32)).is_ok());
        for bad in ["", "hunter42", "$argon2d$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g"] {
            assert!(PasswordHash::parse(bad).is_err(), "{bad}");
        }
    }
}
