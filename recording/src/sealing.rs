//! Keys that seal manifests: Ed25519 over the exact bytes of a file.

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// The bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;

/// The private half of an agent's sealing key. It never prints.
pub struct SealingKey {
    pair: Ed25519KeyPair,
}

/// Bytes or text that are no Ed25519 key. What they were is not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSealingKey {
    /// The private key is not PKCS#8 of Ed25519.
    #[error("the sealing key is not an Ed25519 key in PKCS#8 (DER)")]
    NotPkcs8,
    /// The public key is not 32 bytes in base64.
    #[error("\"{shown}\" is not a sealing public key: it is 32 bytes in base64 with padding")]
    NotPublicKey {
        /// The text, escaped and cut.
        shown: String,
    },
}

impl SealingKey {
    /// A new key from the secure random source.
    #[must_use]
    pub fn generate() -> Self {
        Self { pair: Ed25519KeyPair::generate().expect("AWS-LC makes an Ed25519 key once it has started") }
    }

    /// The key of this seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self {
            pair: Ed25519KeyPair::from_seed_unchecked(seed).expect("every 32 bytes are a seed of Ed25519"),
        }
    }

    /// Reads a key as [`SealingKey::to_pkcs8`] wrote it.
    ///
    /// # Errors
    /// The bytes are no such key.
    pub fn from_pkcs8(document: &[u8]) -> Result<Self, InvalidSealingKey> {
        let pair = Ed25519KeyPair::from_pkcs8(document).map_err(|_| InvalidSealingKey::NotPkcs8)?;
        Ok(Self { pair })
    }

    /// The key as PKCS#8 (DER), to be kept in a file that only its owner reads.
    #[must_use]
    pub fn to_pkcs8(&self) -> Vec<u8> {
        self.pair.to_pkcs8().expect("an Ed25519 key has a PKCS#8 form").as_ref().to_vec()
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> SealingPublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        SealingPublicKey(bytes)
    }

    /// Signs the exact bytes of a file.
    #[must_use]
    pub fn sign(&self, file: &[u8]) -> [u8; SIGNATURE_BYTES] {
        let mut bytes = [0; SIGNATURE_BYTES];
        bytes.copy_from_slice(self.pair.sign(file).as_ref());
        bytes
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SealingKey(public {})", self.public_key())
    }
}

/// The public half of an agent's sealing key. It prints as base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SealingPublicKey([u8; 32]);

impl SealingPublicKey {
    /// The key of these 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads a key as it prints.
    ///
    /// # Errors
    /// The text is not 32 bytes in base64 with padding.
    pub fn parse(text: &str) -> Result<Self, InvalidSealingKey> {
        STANDARD
            .decode(text)
            .ok()
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
            .map(Self)
            .ok_or_else(|| InvalidSealingKey::NotPublicKey { shown: crate::ids::shown(text) })
    }

    /// Whether the signature is this key's over exactly these bytes.
    #[must_use]
    pub fn verifies(&self, file: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(file, signature).is_ok()
    }
}

impl fmt::Display for SealingPublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for SealingPublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SealingPublicKey({self})")
    }
}

impl std::str::FromStr for SealingPublicKey {
    type Err = InvalidSealingKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for SealingPublicKey {
    type Error = InvalidSealingKey;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<SealingPublicKey> for String {
    fn from(key: SealingPublicKey) -> Self {
        key.to_string()
    }
}
