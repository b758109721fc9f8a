//! The token that authenticates a call of one replica to another: valid once, for this replica and this lease, for at
//! most 60 s, for exactly this method, path and body.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Mutex, PoisonError};

use domain::Timestamp;
use domain::agent_link::ReplicaId;
use domain::server_keys::ServerKeys;
use recording::ContentHash;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::signed_tokens::{self, Purpose, TokenKeys};

/// The lifetime of a token. The clocks of replicas may differ by what remains of the longest lifetime.
const HOLDS_SECONDS: i64 = 30;
/// The longest lifetime that is accepted.
const MOST_SECONDS: i64 = 60;
/// How many are remembered at once. Only whoever knows the key can make a token that is.
const MOST_REMEMBERED: usize = 100_000;

/// For whom a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Audience {
    /// The replica.
    pub(crate) replica: ReplicaId,
    /// The epoch of its lease on the agent's link.
    pub(crate) epoch: u64,
}

/// A token that is this deployment's and for this replica and request; whether its body is that of the request, and whether it was used
/// before, is asked last.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct InternalToken {
    replica: String,
    epoch: u64,
    method: String,
    path: String,
    body_sha256: ContentHash,
    jti: String,
    /// When it ends, as the token itself says, so that it is known for how long it is to be remembered.
    until: i64,
}

impl Purpose for InternalToken {
    const AUDIENCE: &'static str = "hansard-internal";
    const KEYS: TokenKeys = TokenKeys::Internal;
}

/// A call was not authenticated. The caller learns no reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotProven;

/// A call that was authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Proven {
    /// The epoch of the lease that the caller has read.
    pub(crate) epoch: u64,
}

impl InternalToken {
    /// A token for one request.
    pub(crate) fn issue(
        keys: &ServerKeys,
        audience: Audience,
        method: &str,
        path: &str,
        body: &[u8],
        now: Timestamp,
    ) -> Result<String, Box<dyn Error + Send + Sync>> {
        let until = now.as_millis().div_euclid(1_000) + HOLDS_SECONDS;
        let token = Self {
            replica: audience.replica.to_string(),
            epoch: audience.epoch,
            method: method.to_owned(),
            path: path.to_owned(),
            body_sha256: ContentHash::of(body),
            jti: Uuid::new_v4().simple().to_string(),
            until,
        };
        signed_tokens::issue(keys, token, Timestamp::from_millis(until * 1_000))
    }

    /// Reads a token that came with a request, before the body.
    pub(crate) fn read(
        keys: &ServerKeys,
        token: &str,
        replica: &ReplicaId,
        method: &str,
        path: &str,
        now: Timestamp,
    ) -> Result<Self, NotProven> {
        let token = signed_tokens::read::<Self>(keys, token, now).map_err(|_| NotProven)?;
        let seconds = now.as_millis().div_euclid(1_000);
        let in_time = token.until > seconds && token.until <= seconds + MOST_SECONDS;
        let for_this = token.replica == replica.as_str() && token.method == method && token.path == path;
        if in_time && for_this { Ok(token) } else { Err(NotProven) }
    }
}

/// The tokens that were used on this replica. No other replica needs to know them, because they are valid only here.
#[derive(Debug, Default)]
pub(crate) struct UsedTokens(Mutex<HashMap<String, i64>>);

impl UsedTokens {
    /// Takes a token for its request, once.
    pub(crate) fn claim(
        &self,
        token: InternalToken,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Proven, NotProven> {
        if token.body_sha256 != ContentHash::of(body) {
            return Err(NotProven);
        }
        let seconds = now.as_millis().div_euclid(1_000);
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() >= MOST_REMEMBERED {
            used.retain(|_, until| *until > seconds);
        }
        if used.len() >= MOST_REMEMBERED || used.contains_key(&token.jti) {
            return Err(NotProven);
        }
        used.insert(token.jti, token.until);
        Ok(Proven { epoch: token.epoch })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_764_000_000_000);

    fn after(seconds: i64) -> Timestamp {
        Timestamp::from_millis(NOW.as_millis() + seconds * 1_000)
    }

    struct World {
        keys: ServerKeys,
        replica: ReplicaId,
        used: UsedTokens,
    }

    impl World {
        fn new() -> Self {
            let keys = ServerKeys::generate().unwrap();
            Self { keys, replica: ReplicaId::generate(), used: UsedTokens::default() }
        }

        fn issue(&self) -> String {
            let audience = Audience { replica: self.replica.clone(), epoch: 7 };
            InternalToken::issue(&self.keys, audience, "POST", "/x", b"body", NOW).unwrap()
        }

        fn show(&self, token: &str, method: &str, path: &str, body: &[u8], now: Timestamp) -> Option<Proven> {
            let token = InternalToken::read(&self.keys, token, &self.replica, method, path, now).ok()?;
            self.used.claim(token, body, now).ok()
        }
    }

    #[test]
    fn a_token_is_valid_once_for_its_request_and_its_lifetime() {
        let world = World::new();
        let token = world.issue();
        for (method, path, body, now) in [
            ("GET", "/x", &b"body"[..], NOW),
            ("POST", "/y", b"body", NOW),
            ("POST", "/x", b"bodY", NOW),
            ("POST", "/x", b"", NOW),
            ("POST", "/x", b"body", after(30)),
            // Its lifetime is longer than any token may have.
            ("POST", "/x", b"body", after(-31)),
        ] {
            assert_eq!(world.show(&token, method, path, body, now), None, "{method} {path} {body:?} {now:?}");
        }
        // A refused token was not used up.
        assert_eq!(world.show(&token, "POST", "/x", b"body", after(29)), Some(Proven { epoch: 7 }));
        assert_eq!(world.show(&token, "POST", "/x", b"body", after(29)), None);
        assert!(world.show(&world.issue(), "POST", "/x", b"body", NOW).is_some());
    }

    #[test]
    fn a_token_is_for_one_replica_of_one_deployment() {
        let world = World::new();
        let token = world.issue();
        let other = ReplicaId::generate();
        assert!(InternalToken::read(&world.keys, &token, &other, "POST", "/x", NOW).is_err());
        let others = ServerKeys::generate().unwrap();
        assert!(InternalToken::read(&others, &token, &world.replica, "POST", "/x", NOW).is_err());
    }

    #[test]
    fn expired_tokens_are_forgotten_to_make_room() {
        let world = World::new();
        let remembered = |until| (0..MOST_REMEMBERED).map(move |number| (number.to_string(), until));
        let ended = NOW.as_millis() / 1_000;
        world.used.0.lock().unwrap().extend(remembered(ended + 1));
        let token = world.issue();
        assert_eq!(world.show(&token, "POST", "/x", b"body", NOW), None);
        assert!(world.show(&token, "POST", "/x", b"body", after(1)).is_some());
        assert_eq!(world.used.0.lock().unwrap().len(), 1);
    }
}
