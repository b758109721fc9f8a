//! What is stored of a secret that is shown once.

use std::fmt;
use std::str::FromStr;

use recording::{ContentHash, InvalidHash};

/// The SHA-256 of a token. Tokens are random and long, so that nobody guesses one from its hash.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretHash(ContentHash);

impl SecretHash {
    pub(crate) fn of(secret: &str) -> Self {
        Self(ContentHash::of(secret.as_bytes()))
    }
}

impl fmt::Display for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretHash({self})")
    }
}

impl FromStr for SecretHash {
    type Err = InvalidHash;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        ContentHash::parse(text).map(Self)
    }
}
