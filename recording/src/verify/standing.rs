//! Whose recording it is, and whether that is to be believed.

use crate::ids::AgentId;
use crate::sealing::SealingPublicKey;
use crate::start::Start;
use crate::timestamp::Timestamp;
use crate::trust::{TrustedKey, TrustedKeys};

/// Which sealing keys are trusted.
#[derive(Debug, Clone, Copy)]
pub enum Trust<'a> {
    /// Those that the caller holds.
    Given(&'a TrustedKeys),
    /// The one that the control plane says is enrolled.
    Enrolled(&'a TrustedKey),
    /// Nothing is known of any key, so that none is trusted.
    Nothing,
    /// The caller does not ask: a signature proves only that somebody with this key has made the whole recording.
    AnySigner,
}

/// Whose recording it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The agent, by its own claim.
    pub agent: AgentId,
    /// The key that `start.json` names.
    pub key: SealingPublicKey,
    /// Whether there is a manifest with a good signature by that key.
    pub signed: bool,
    /// Whether the key is trusted for this recording.
    pub standing: Standing,
}

/// Whether a key is trusted for a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// By this key of those that are trusted.
    Trusted(TrustedKey),
    /// It is not.
    Untrusted {
        /// Why.
        why: String,
    },
    /// [`Trust::AnySigner`]: nobody asked.
    NotAsked,
}

impl Standing {
    pub(super) fn of(start: &Start, trust: Trust<'_>, as_of: Timestamp) -> Self {
        let found = match trust {
            Trust::Given(keys) => keys.find(start, as_of).cloned(),
            Trust::Enrolled(key) => key.refusal(start, as_of).map_or_else(|| Ok(key.clone()), Err),
            Trust::Nothing => Err("no trusted keys are at hand".to_owned()),
            Trust::AnySigner => return Self::NotAsked,
        };
        found.map_or_else(|why| Self::Untrusted { why }, Self::Trusted)
    }
}
