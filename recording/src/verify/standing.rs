//! Who made a recording, and whether that claim can be trusted.

use crate::ids::AgentId;
use crate::sealing::SealingPublicKey;
use crate::start::Start;
use crate::timestamp::Timestamp;
use crate::trust::{TrustedKey, TrustedKeys};

/// Which sealing keys are trusted.
#[derive(Debug, Clone, Copy)]
pub enum Trust<'a> {
    /// Those that the caller has.
    Given(&'a TrustedKeys),
    /// The one that is enrolled according to the control plane.
    Enrolled(&'a TrustedKey),
    /// Nothing is known of any key, so none is trusted.
    Nothing,
    /// The caller does not check this: a signature proves only that somebody with this key made the whole recording.
    AnySigner,
}

/// Who made a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The agent that it names.
    pub agent: AgentId,
    /// The key that `start.json` names.
    pub key: SealingPublicKey,
    /// Whether there is a manifest with a valid signature by that key.
    pub signed: bool,
    /// Whether the key is trusted for this recording.
    pub standing: Standing,
}

/// Whether a key is trusted for a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is trusted; this is the matching trusted key.
    Trusted(TrustedKey),
    /// It is not trusted.
    Untrusted {
        /// Why.
        why: String,
    },
    /// Trust was not checked ([`Trust::AnySigner`]).
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
