//! Access keys: a public id, a secret that signs, and a status.

use std::fmt;
use std::sync::OnceLock;

use aws_lc_rs::hmac;

use crate::identity::{AccessKeyId, random_alphanumeric};
use crate::parameter::Word;
use crate::principal::Principal;
use crate::role::SessionValidity;

/// The secret half of an access key. It must be recoverable, because a signature is an HMAC; it is stored sealed and
/// never printed.
#[derive(Clone)]
pub struct AccessKeySecret {
    text: String,
    /// Made from the text when it is asked for first.
    hmac_sha256: OnceLock<hmac::Key>,
}

impl AccessKeySecret {
    /// Takes a secret that an operator presets or that the store unsealed.
    #[must_use]
    pub fn new(secret: String) -> Self {
        Self { text: secret, hmac_sha256: OnceLock::new() }
    }

    /// A fresh secret: 40 random letters and digits (238 bits).
    #[must_use]
    pub fn generate() -> Self {
        Self::new(random_alphanumeric(40))
    }

    /// The readable secret: to compute a signature, to seal it, or to show it once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// The secret as a key of HMAC-SHA256. It is made once: to make one takes as long as to sign with it.
    #[must_use]
    pub fn hmac_sha256(&self) -> &hmac::Key {
        self.hmac_sha256.get_or_init(|| hmac::Key::new(hmac::HMAC_SHA256, self.text.as_bytes()))
    }
}

impl PartialEq for AccessKeySecret {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for AccessKeySecret {}

impl fmt::Debug for AccessKeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessKeySecret")
    }
}

/// Whether a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessKeyStatus {
    /// It signs.
    Active,
    /// It is refused with `InvalidAccessKeyId.Inactive`.
    Inactive,
}

impl AccessKeyStatus {
    /// The wire's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "Active",
            Self::Inactive => "Inactive",
        }
    }

    /// Reads the wire's word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::of(text)
    }
}

impl Word for AccessKeyStatus {
    const ALL: &'static [Self] = &[Self::Active, Self::Inactive];

    fn word(self) -> &'static str {
        self.as_str()
    }
}

/// A key with everything that authentication needs.
#[derive(Debug, Clone)]
pub struct AccessKey {
    /// The public id.
    pub id: AccessKeyId,
    /// The secret.
    pub secret: AccessKeySecret,
    /// Whether it signs.
    pub status: AccessKeyStatus,
    /// The principal that it belongs to: the account owner, a RAM user, or a session of a role.
    pub principal: Principal,
    /// For a session's key: its token and its end. A long-term key has neither.
    pub session: Option<SessionValidity>,
}
