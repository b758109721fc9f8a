//! Tokens that the control plane issues to itself: replay tickets, replay sessions and upload grants, which others
//! carry, and the tokens of internal calls between replicas. They are JWTs (HS256) with the deployment's `tickets` keys
//! or keys derived from them. Each purpose has its own audience, so that no token is accepted for another purpose.

use std::error::Error;

use domain::Timestamp;
use domain::server_keys::ServerKeys;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What a token is for.
pub(crate) trait Purpose: Serialize + DeserializeOwned {
    /// Its audience.
    const AUDIENCE: &'static str;
    /// What signs it.
    const KEYS: TokenKeys = TokenKeys::Tickets;
}

/// The keys that sign tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKeys {
    /// The keys for tokens that people and agents carry.
    Tickets,
    /// The keys for calls between replicas.
    Internal,
}

/// Why a token was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenRefused {
    /// It was not issued here, was changed, or is for another purpose.
    #[error("the token is not valid")]
    Invalid,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
}

#[derive(Serialize, Deserialize)]
struct Claims<T> {
    aud: String,
    exp: i64,
    #[serde(flatten)]
    rest: T,
}

/// Signs `rest` for its purpose, to hold until `expires_at` (whole seconds, rounded down).
pub(crate) fn issue<T: Purpose>(
    keys: &ServerKeys,
    rest: T,
    expires_at: Timestamp,
) -> Result<String, Box<dyn Error + Send + Sync>> {
    let (key_id, secret) = match T::KEYS {
        TokenKeys::Tickets => {
            let (key_id, secret) = keys.ticket_key();
            (key_id, secret.to_vec())
        }
        TokenKeys::Internal => {
            let (key_id, secret) = keys.internal_key();
            (key_id, secret.to_vec())
        }
    };
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some(key_id.to_owned());
    let claims = Claims { aud: T::AUDIENCE.to_owned(), exp: expires_at.as_millis().div_euclid(1_000), rest };
    Ok(jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(&secret))?)
}

/// Reads a token of purpose `T`, by the key that it names.
pub(crate) fn read<T: Purpose>(keys: &ServerKeys, token: &str, now: Timestamp) -> Result<T, TokenRefused> {
    let header = jsonwebtoken::decode_header(token).map_err(|_| TokenRefused::Invalid)?;
    let kid = header.kid.as_deref().ok_or(TokenRefused::Invalid)?;
    let secret = match T::KEYS {
        TokenKeys::Tickets => keys.ticket_key_by_id(kid).map(<[u8]>::to_vec),
        TokenKeys::Internal => keys.internal_key_by_id(kid).map(Vec::from),
    };
    let secret = secret.ok_or(TokenRefused::Invalid)?;
    let mut validation = Validation::new(Algorithm::HS256);
    // The library would read the wall clock itself; audience and time are checked below against the caller's clock.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let claims = jsonwebtoken::decode::<Claims<T>>(token, &DecodingKey::from_secret(&secret), &validation)
        .map_err(|_| TokenRefused::Invalid)?
        .claims;
    if claims.aud != T::AUDIENCE {
        return Err(TokenRefused::Invalid);
    }
    if claims.exp <= now.as_millis().div_euclid(1_000) {
        return Err(TokenRefused::Expired);
    }
    Ok(claims.rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Apple {
        weight: u32,
    }

    impl Purpose for Apple {
        const AUDIENCE: &'static str = "test-apple";
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Pear {
        weight: u32,
    }

    impl Purpose for Pear {
        const AUDIENCE: &'static str = "test-pear";
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct InternalApple {
        weight: u32,
    }

    impl Purpose for InternalApple {
        const AUDIENCE: &'static str = Apple::AUDIENCE;
        const KEYS: TokenKeys = TokenKeys::Internal;
    }

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn after(seconds: i64) -> Timestamp {
        Timestamp::from_millis(NOW.as_millis() + seconds * 1_000)
    }

    #[test]
    fn a_token_is_valid_for_its_purpose_and_its_lifetime() {
        let keys = ServerKeys::generate().unwrap();
        let token = issue(&keys, Apple { weight: 7 }, after(60)).unwrap();
        assert_eq!(read::<Apple>(&keys, &token, NOW), Ok(Apple { weight: 7 }));
        assert_eq!(read::<Apple>(&keys, &token, after(59)), Ok(Apple { weight: 7 }));
        assert_eq!(read::<Apple>(&keys, &token, after(60)), Err(TokenRefused::Expired));
        assert_eq!(read::<Pear>(&keys, &token, NOW), Err(TokenRefused::Invalid));
        assert_eq!(read::<Apple>(&ServerKeys::generate().unwrap(), &token, NOW), Err(TokenRefused::Invalid));
    }

    #[test]
    fn calls_between_replicas_have_their_own_keys() {
        let keys = ServerKeys::generate().unwrap();
        let token = issue(&keys, Apple { weight: 7 }, after(60)).unwrap();
        assert_eq!(read::<InternalApple>(&keys, &token, NOW), Err(TokenRefused::Invalid));
        let token = issue(&keys, InternalApple { weight: 7 }, after(60)).unwrap();
        assert_eq!(read::<Apple>(&keys, &token, NOW), Err(TokenRefused::Invalid));
        let rotated = keys.rotated(domain::server_keys::Purpose::Tickets).unwrap();
        assert_eq!(read::<InternalApple>(&rotated, &token, NOW), Ok(InternalApple { weight: 7 }));
        assert_eq!(
            read::<InternalApple>(&ServerKeys::generate().unwrap(), &token, NOW),
            Err(TokenRefused::Invalid)
        );
    }

    #[test]
    fn an_older_key_still_verifies_after_a_rotation() {
        let keys = ServerKeys::generate().unwrap();
        let token = issue(&keys, Apple { weight: 7 }, after(60)).unwrap();
        let rotated = keys.rotated(domain::server_keys::Purpose::Tickets).unwrap();
        assert!(read::<Apple>(&rotated, &token, NOW).is_ok());
        assert_ne!(keys.ticket_key().0, rotated.ticket_key().0);
    }

    #[test]
    fn a_token_changed_in_any_byte_is_refused() {
        let keys = ServerKeys::generate().unwrap();
        let token = issue(&keys, Apple { weight: 7 }, after(60)).unwrap();
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(read::<Apple>(&keys, &changed, NOW), Err(TokenRefused::Invalid), "byte {at}");
        }
    }
}
