//! The token that proves one request of an agent: a JWT signed with the agent's authentication key, bound to method, path and body,
//! used once.

use aws_lc_rs::rand;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use recording::{AgentId, ContentHash};
use serde::{Deserialize, Serialize};

use crate::encoding::PublicKey;
use crate::keys::PrivateKey;

/// The audience of every agent token.
pub const AGENT_TOKEN_AUDIENCE: &str = "hansard-agent-api";

/// The longest life of a token.
pub const AGENT_TOKEN_SECONDS: i64 = 60;

/// How far ahead of the server an agent's clock may run.
pub const AGENT_TOKEN_LEEWAY_SECONDS: i64 = 5;

/// The claims of an agent's token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentClaims {
    /// Always `hansard-agent-api`.
    pub aud: String,
    /// When it was made, seconds since 1970.
    pub iat: i64,
    /// When it ends; at most 60 s later.
    pub exp: i64,
    /// A random name, used once.
    pub jti: String,
    /// The HTTP method of the request.
    pub method: String,
    /// The path and query as sent.
    pub path: String,
    /// The SHA-256 of the body.
    pub body_sha256: ContentHash,
}

/// Why a token is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimsRefused {
    /// Not a JWT of ours.
    #[error("the agent token is malformed")]
    Malformed,
    /// Signed by another key, or changed.
    #[error("the agent token's signature does not verify")]
    BadSignature,
    /// The time is not between `iat` and `exp`.
    #[error("the agent token is not valid now; the instance's clock may be wrong")]
    Expired,
    /// It lives longer than a token may.
    #[error("the agent token lives longer than {AGENT_TOKEN_SECONDS} s")]
    TooLong,
    /// It is for another request.
    #[error("the agent token is for another {what}")]
    OtherRequest {
        /// What differs: audience, method, path or body.
        what: &'static str,
    },
    /// The signer failed.
    #[error("the agent token could not be signed")]
    CannotSign,
}

impl AgentClaims {
    /// Claims for one request, made at `now_millis` by the agent's corrected clock.
    pub fn new(method: &str, path: &str, body: &[u8], now_millis: i64) -> Result<AgentClaims, ClaimsRefused> {
        let mut random = [0; 16];
        rand::fill(&mut random).map_err(|_| ClaimsRefused::CannotSign)?;
        let iat = now_millis.div_euclid(1000);
        Ok(AgentClaims {
            aud: AGENT_TOKEN_AUDIENCE.to_owned(),
            iat,
            exp: iat + AGENT_TOKEN_SECONDS,
            jti: hex::encode(random),
            method: method.to_owned(),
            path: path.to_owned(),
            body_sha256: ContentHash::of(body),
        })
    }

    /// The token for the `Authorization: Bearer` header.
    pub fn sign(&self, agent_id: &AgentId, key: &PrivateKey) -> Result<String, ClaimsRefused> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(agent_id.to_string());
        jsonwebtoken::encode(&header, self, &key.encoding_key()).map_err(|_| ClaimsRefused::CannotSign)
    }

    /// The agent that a token names. It is not authenticated yet: this only says which public key to look up.
    pub fn agent_id(token: &str) -> Result<AgentId, ClaimsRefused> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| ClaimsRefused::Malformed)?;
        if header.alg != Algorithm::EdDSA {
            return Err(ClaimsRefused::Malformed);
        }
        header.kid.and_then(|kid| AgentId::parse(&kid).ok()).ok_or(ClaimsRefused::Malformed)
    }

    /// Checks a token against the agent's public key and the request it came with. The caller must check that its `jti`
    /// is new.
    pub fn verify(
        token: &str,
        public_key: &PublicKey,
        method: &str,
        path: &str,
        body: &[u8],
        now_millis: i64,
    ) -> Result<AgentClaims, ClaimsRefused> {
        let mut validation = Validation::new(Algorithm::EdDSA);
        // The library would read the wall clock itself; times are checked below against the caller's clock.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let key = DecodingKey::from_ed_der(public_key.as_bytes());
        let claims = jsonwebtoken::decode::<AgentClaims>(token, &key, &validation)
            .map_err(|error| match error.kind() {
                jsonwebtoken::errors::ErrorKind::InvalidSignature => ClaimsRefused::BadSignature,
                _ => ClaimsRefused::Malformed,
            })?
            .claims;

        if claims.aud != AGENT_TOKEN_AUDIENCE {
            return Err(ClaimsRefused::OtherRequest { what: "audience" });
        }
        let lifetime = claims.exp.checked_sub(claims.iat).ok_or(ClaimsRefused::TooLong)?;
        if !(0..=AGENT_TOKEN_SECONDS).contains(&lifetime) {
            return Err(ClaimsRefused::TooLong);
        }
        let now = now_millis.div_euclid(1000);
        if claims.exp <= now || claims.iat > now.saturating_add(AGENT_TOKEN_LEEWAY_SECONDS) {
            return Err(ClaimsRefused::Expired);
        }
        if claims.method != method {
            return Err(ClaimsRefused::OtherRequest { what: "method" });
        }
        if claims.path != path {
            return Err(ClaimsRefused::OtherRequest { what: "path" });
        }
        if claims.body_sha256 != ContentHash::of(body) {
            return Err(ClaimsRefused::OtherRequest { what: "body" });
        }
        Ok(claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;
    const PATH: &str = "/agent/v1/recordings/ab/grants?x=1";

    fn agent() -> AgentId {
        AgentId::parse("agent-0123456789abcdef0123456789abcdef").unwrap()
    }

    fn token(key: &PrivateKey) -> String {
        AgentClaims::new("POST", PATH, b"body", NOW).unwrap().sign(&agent(), key).unwrap()
    }

    fn check(token: &str, key: &PrivateKey, now: i64) -> Result<AgentClaims, ClaimsRefused> {
        AgentClaims::verify(token, &key.public_key(), "POST", PATH, b"body", now)
    }

    #[test]
    fn a_token_is_valid_for_its_own_request() {
        let key = PrivateKey::generate().unwrap();
        let token = token(&key);
        assert_eq!(AgentClaims::agent_id(&token).unwrap(), agent());
        let claims = check(&token, &key, NOW).unwrap();
        assert_eq!(claims.exp - claims.iat, 60);
        assert_eq!(claims.jti.len(), 32);
        assert_eq!(claims.body_sha256, ContentHash::of(b"body"));
    }

    #[test]
    fn a_token_is_not_valid_for_another_request() {
        let key = PrivateKey::generate().unwrap();
        let public = key.public_key();
        let token = token(&key);
        let other = |what| Err(ClaimsRefused::OtherRequest { what });
        assert_eq!(AgentClaims::verify(&token, &public, "GET", PATH, b"body", NOW), other("method"));
        assert_eq!(AgentClaims::verify(&token, &public, "POST", "/agent/v1/x", b"body", NOW), other("path"));
        assert_eq!(AgentClaims::verify(&token, &public, "POST", PATH, b"bodY", NOW), other("body"));
        let stranger = PrivateKey::generate().unwrap();
        assert_eq!(check(&token, &stranger, NOW), Err(ClaimsRefused::BadSignature));
    }

    #[test]
    fn a_token_is_valid_only_for_its_lifetime() {
        let key = PrivateKey::generate().unwrap();
        let token = token(&key);
        assert!(check(&token, &key, NOW + 59_000).is_ok());
        assert_eq!(check(&token, &key, NOW + 60_000), Err(ClaimsRefused::Expired));
        assert!(check(&token, &key, NOW - 5_000).is_ok());
        assert_eq!(check(&token, &key, NOW - 6_000), Err(ClaimsRefused::Expired));

        let mut long = AgentClaims::new("POST", PATH, b"body", NOW).unwrap();
        long.exp += 1;
        assert_eq!(check(&long.sign(&agent(), &key).unwrap(), &key, NOW), Err(ClaimsRefused::TooLong));
        long.exp = i64::MIN;
        long.iat = i64::MAX;
        assert_eq!(check(&long.sign(&agent(), &key).unwrap(), &key, NOW), Err(ClaimsRefused::TooLong));
        let mut other = AgentClaims::new("POST", PATH, b"body", NOW).unwrap();
        other.aud = "hansard-replay".into();
        let refused = check(&other.sign(&agent(), &key).unwrap(), &key, NOW);
        assert_eq!(refused, Err(ClaimsRefused::OtherRequest { what: "audience" }));
    }

    #[test]
    fn a_token_changed_in_any_byte_is_refused() {
        let key = PrivateKey::generate().unwrap();
        let token = token(&key);
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(check(&changed, &key, NOW).is_err(), "byte {at} changed");
            let cut = &token[..at];
            assert!(check(cut, &key, NOW).is_err(), "cut at byte {at}");
        }
    }

    #[test]
    fn no_other_algorithm_is_accepted() {
        let key = PrivateKey::generate().unwrap();
        let claims = AgentClaims::new("POST", PATH, b"body", NOW).unwrap();
        // The public key as an HMAC secret: the classic confusion of algorithms.
        let secret = jsonwebtoken::EncodingKey::from_secret(key.public_key().as_bytes());
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(agent().to_string());
        let token = jsonwebtoken::encode(&header, &claims, &secret).unwrap();
        assert_eq!(check(&token, &key, NOW), Err(ClaimsRefused::Malformed));
        assert_eq!(AgentClaims::agent_id(&token), Err(ClaimsRefused::Malformed));

        let rest = self::token(&key);
        let rest = rest.split_once('.').unwrap().1;
        let none = "eyJhbGciOiJub25lIiwia2lkIjoiYSJ9"; // {"alg":"none","kid":"a"}
        assert!(check(&format!("{none}.{rest}"), &key, NOW).is_err());
    }
}
