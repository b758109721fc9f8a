//! Keys: an agent's private ones, Ed25519, kept as PKCS#8 in PEM, so that standard tools can read them; and the control
//! plane's public ones.

use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::encoding::PublicKey;

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// An Ed25519 private key. It never shows itself in `Debug`.
pub struct PrivateKey {
    pkcs8: Vec<u8>,
    pair: Ed25519KeyPair,
}

/// A key of the control plane that signs configurations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ServerKey {
    /// The name by which signed configurations refer to the key.
    pub key_id: String,
    /// The Ed25519 public key.
    pub public_key: PublicKey,
}

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The random generator failed.
    #[error("the system's random generator gave no key")]
    Generate,
    /// Not a PEM block `PRIVATE KEY`.
    #[error("not a PEM file with one PRIVATE KEY block")]
    NotPem,
    /// Not an Ed25519 key in PKCS#8.
    #[error("not an Ed25519 key in PKCS#8")]
    NotEd25519,
}

/// A PKCS#8 document as PEM. A secret: for a file of mode 0600 only.
pub fn to_pem(pkcs8: &[u8]) -> String {
    format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode(pkcs8))
}

/// The PKCS#8 document in a PEM file.
pub fn from_pem(text: &str) -> Result<Vec<u8>, KeyError> {
    let body =
        text.trim().strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END)).ok_or(KeyError::NotPem)?;
    let compact: String = body.split_ascii_whitespace().collect();
    STANDARD.decode(compact).map_err(|_| KeyError::NotPem)
}

impl PrivateKey {
    /// A new key.
    pub fn generate() -> Result<PrivateKey, KeyError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::Generate)?;
        let pkcs8 = pair.to_pkcs8v1().map_err(|_| KeyError::Generate)?.as_ref().to_vec();
        Ok(PrivateKey { pkcs8, pair })
    }

    /// Reads a key from PEM.
    pub fn from_pem(text: &str) -> Result<PrivateKey, KeyError> {
        let pkcs8 = from_pem(text)?;
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).map_err(|_| KeyError::NotEd25519)?;
        Ok(PrivateKey { pkcs8, pair })
    }

    /// The key as PEM. A secret: for a file of mode 0600 only.
    pub fn to_pem(&self) -> String {
        to_pem(&self.pkcs8)
    }

    /// The public half.
    pub fn public_key(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        PublicKey(bytes)
    }

    /// Signs exactly these bytes.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.pair.sign(message).as_ref());
        signature
    }

    /// The key pair, for what signs with AWS-LC itself.
    pub fn pair(&self) -> &Ed25519KeyPair {
        &self.pair
    }

    pub(crate) fn encoding_key(&self) -> jsonwebtoken::EncodingKey {
        jsonwebtoken::EncodingKey::from_ed_der(&self.pkcs8)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey(of {})", self.public_key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_pem() {
        let key = PrivateKey::generate().unwrap();
        let again = PrivateKey::from_pem(&key.to_pem()).unwrap();
        assert_eq!(again.public_key(), key.public_key());
        assert!(key.public_key().verifies(b"message", &again.sign(b"message")));
        assert!(!key.public_key().verifies(b"massage", &again.sign(b"message")));
    }

    #[test]
    fn debug_keeps_the_secret() {
        let key = PrivateKey::generate().unwrap();
        let pem = key.to_pem();
        let secret = pem.lines().nth(1).unwrap();
        assert!(!format!("{key:?}").contains(secret));
    }

    #[test]
    fn other_files_are_no_keys() {
        assert_eq!(PrivateKey::from_pem("hello").unwrap_err(), KeyError::NotPem);
        let pem = format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode([1, 2, 3]));
        assert_eq!(PrivateKey::from_pem(&pem).unwrap_err(), KeyError::NotEd25519);
    }
}
