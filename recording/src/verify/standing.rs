//! Who made a recording, and whether that claim can be trusted.

use crate::ids::AgentId;
use crate::leave::Leave;
use crate::manifest::Manifest;
use crate::sealing::SealingPublicKey;
use crate::start::Start;
use crate::timestamp::Timestamp;
use crate::trust::{ENROLMENT_LEEWAY, TrustedKey, TrustedKeys};

/// Which sealing keys are trusted.
#[derive(Debug, Clone, Copy)]
pub enum Trust<'a> {
    /// Those that the caller has.
    Given(&'a TrustedKeys),
    /// Those that the control plane names: the agent's, as it is enrolled, and its own.
    Enrolled(&'a TrustedKeys),
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
    /// Whether there is a manifest with a valid signature by that key, or by that of a successor.
    pub signed: bool,
    /// Whether the key is trusted for this recording; of one that a successor sealed, whether the key of the control plane
    /// is that gave leave.
    pub standing: Standing,
    /// Who sealed it in the agent's place, if somebody did.
    pub in_place: Option<SealedInPlace>,
}

/// A recording that an agent's successor sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedInPlace {
    /// What the control plane stated. Its signature is valid.
    pub leave: Leave,
    /// The key of the control plane.
    pub control_plane_key: SealingPublicKey,
}

impl SealedInPlace {
    pub(super) fn of(manifest: &Manifest) -> Option<Self> {
        let sealed_by = manifest.sealed_by.as_ref()?;
        let leave = sealed_by.open().ok()?;
        Some(Self { leave, control_plane_key: *sealed_by.control_plane_key() })
    }
}

/// Whether a key is trusted for a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is trusted; this is the matching trusted key.
    Trusted(TrustedKey),
    /// The control plane gave the agent's successor leave, and this key of the control plane is trusted.
    TrustedByLeave(SealingPublicKey),
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
            Trust::Given(keys) | Trust::Enrolled(keys) => keys.find(start, as_of).cloned(),
            Trust::Nothing => Err("no trusted keys are at hand".to_owned()),
            Trust::AnySigner => return Self::NotAsked,
        };
        found.map_or_else(|why| Self::Untrusted { why }, Self::Trusted)
    }

    /// Of a recording that was sealed with leave. The control plane's word replaces the agent's seal, and not the time for which
    /// its key is trusted: whoever has what the agent left behind could else invent what it recorded before and after that.
    pub(super) fn of_leave(
        in_place: &SealedInPlace,
        start: &Start,
        trust: Trust<'_>,
        as_of: Timestamp,
    ) -> Self {
        let keys = match trust {
            Trust::Given(keys) | Trust::Enrolled(keys) => keys,
            Trust::Nothing => return Self::Untrusted { why: "no trusted keys are at hand".to_owned() },
            Trust::AnySigner => return Self::NotAsked,
        };
        let why = if !keys.has_control_plane(&in_place.control_plane_key) {
            "it was sealed by its agent's successor, with the leave of a control plane whose key is not among the trusted ones"
                .to_owned()
        } else if start.started_at > in_place.leave.issued_at.plus(ENROLMENT_LEEWAY) {
            format!(
                "leave to seal it was given at {}, and the recording says that it started at {}",
                in_place.leave.issued_at.to_rfc3339_millis(),
                start.started_at.to_rfc3339_millis()
            )
        } else if let Some(why) = keys.refusal_of_key(start, as_of) {
            format!("it was sealed by its agent's successor, and {why}")
        } else {
            return Self::TrustedByLeave(in_place.control_plane_key);
        };
        Self::Untrusted { why }
    }
}
