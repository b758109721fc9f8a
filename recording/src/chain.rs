//! Hashes of stored bytes, and the chain that ties a stream's segments to each other and to `start.json`.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use crate::stream::Stream;

const DOMAIN: &[u8] = b"hansard-chain-v1";

/// The text is not 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{shown}\" is not a SHA-256 value: it has 64 lower-case hexadecimal digits")]
pub struct InvalidHash {
    shown: String,
}

macro_rules! hashes {
    ($($(#[$documentation:meta])+ $name:ident;)+) => {$(
        $(#[$documentation])+
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; 32]);

        impl $name {
            /// The value of these 32 bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// Reads 64 lower-case hexadecimal digits.
            ///
            /// # Errors
            /// The text is something else.
            pub fn parse(text: &str) -> Result<Self, InvalidHash> {
                let mut bytes = [0; 32];
                if hex::decode_to_slice(text, &mut bytes).is_ok() && hex::encode(bytes) == text {
                    Ok(Self(bytes))
                } else {
                    Err(InvalidHash { shown: crate::ids::shown(text) })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, concat!(stringify!($name), "({})"), hex::encode(self.0))
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidHash;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidHash;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(hash: $name) -> Self {
                hash.to_string()
            }
        }
    )+};
}

hashes! {
    /// The SHA-256 of an object's stored bytes.
    ContentHash;
    /// A link of a stream's chain.
    ChainValue;
}

impl ContentHash {
    /// The hash of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha256(&[bytes]))
    }
}

impl ChainValue {
    /// `chain_0`: the value before a stream's first segment.
    #[must_use]
    pub fn first(start_document: &[u8], stream: Stream) -> Self {
        Self(sha256(&[DOMAIN, start_document, stream.name().as_bytes()]))
    }

    /// `chain_{k+1}` from `chain_k` and segment k as it is stored.
    #[must_use]
    pub fn next(&self, number: u32, length: u64, object: &ContentHash) -> Self {
        Self(sha256(&[
            DOMAIN,
            &self.0,
            &u64::from(number).to_be_bytes(),
            &length.to_be_bytes(),
            object.as_bytes(),
        ]))
    }
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_print_and_parse_in_one_form() {
        let hash = ContentHash::of(b"abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!((hash.to_string().as_str(), ContentHash::parse(text)), (text, Ok(hash)));
        for other in [&text.to_uppercase(), &text[1..], &format!("{text}0"), "", "xyz"] {
            assert!(ContentHash::parse(other).is_err(), "{other}");
        }
    }

    #[test]
    fn every_part_of_a_link_counts() {
        let first = ChainValue::first(b"{}", Stream::Terminal);
        let object = ContentHash::of(b"object");
        let link = first.next(0, 6, &object);
        assert_ne!(link, first.next(1, 6, &object));
        assert_ne!(link, first.next(0, 7, &object));
        assert_ne!(link, first.next(0, 6, &ContentHash::of(b"Object")));
        assert_ne!(link, ChainValue::first(b"{ }", Stream::Terminal).next(0, 6, &object));
    }
}
