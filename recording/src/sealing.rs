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

/// The bytes or the text are not an Ed25519 key. They are not repeated in the error.
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
    /// The bytes are not such a key.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_signs_the_same_after_it_was_kept() {
        let key = SealingKey::generate();
        let kept = SealingKey::from_pkcs8(&key.to_pkcs8()).unwrap();
        assert_eq!(kept.public_key(), key.public_key());
        let signature = kept.sign(b"file");
        assert!(key.public_key().verifies(b"file", &signature));
        assert!(!key.public_key().verifies(b"File", &signature));
        assert!(!key.public_key().verifies(b"file", &signature[1..]));
        assert!(!SealingKey::generate().public_key().verifies(b"file", &signature));
    }

    #[test]
    fn the_test_vector_of_rfc_8032_holds() {
        let bytes = |text: &str| hex::decode(text).unwrap();
        let seed = bytes("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
        let key = SealingKey::from_seed(&seed.try_into().unwrap());
        let public = bytes("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        assert_eq!(key.public_key().as_bytes(), public.as_slice());
        let signature = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";
        assert_eq!(hex::encode(key.sign(b"")), signature);
    }

    #[test]
    fn the_private_half_never_prints() {
        let seed = [0xa5; 32];
        let key = SealingKey::from_seed(&seed);
        let printed = format!("{key:?}");
        assert!(printed.contains(&key.public_key().to_string()));
        assert!(
            !printed.contains("a5a5") && !printed.contains("165, 165") && !printed.contains("paWl"),
            "{printed}"
        );
        let error = SealingKey::from_pkcs8(&seed).unwrap_err().to_string();
        assert!(error.contains("not an Ed25519 key"), "{error}");
    }

    #[test]
    fn a_public_key_is_32_bytes_in_base64() {
        let key = SealingKey::generate().public_key();
        assert_eq!(SealingPublicKey::parse(&key.to_string()).unwrap(), key);
        for text in ["", "AAAA", &key.to_string()[1..], &format!("{key}="), "\u{1b}[2J"] {
            let error = SealingPublicKey::parse(text).unwrap_err().to_string();
            assert!(error.contains("is not a sealing public key") && !error.contains('\u{1b}'), "{error}");
        }
    }
}
