//! Proof: whether a recording is what its agent sealed.

use std::io;

use crate::ids::AgentId;
use crate::manifest::RecordingEnd;
use crate::sealing::SealingPublicKey;
use crate::source::ObjectSource;
use crate::timestamp::Micros;

/// What was found out about a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// Whether it is complete.
    pub verdict: Verdict,
    /// Who sealed it.
    pub signer: Signer,
    /// How many segments agree with the chain from the start on, in all streams together.
    pub segments: u64,
    /// How the recording ended, by a manifest whose signature is good.
    pub end: Option<RecordingEnd>,
    /// Objects that a recording does not have, by their names below its folder. They prove and disprove nothing.
    pub unexpected: Vec<String>,
}

/// Whether a recording is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Everything that the winning manifest lists is there and unchanged.
    Complete {
        /// The winning manifest's number.
        manifest: u32,
    },
    /// What is there agrees, but not all is there.
    ProvenPrefix {
        /// The time of the last event that agrees; `None` when there is none.
        up_to: Option<Micros>,
        /// What is missing.
        why: String,
    },
    /// Something contradicts the rest.
    Inconsistent {
        /// The object, by its name below the recording's folder.
        object: String,
        /// What is wrong with it.
        why: String,
    },
}

/// Who sealed a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signer {
    /// There is no manifest with a good signature.
    Nobody,
    /// An agent has signed with the key that `start.json` names.
    Agent {
        /// The agent, by its own claim.
        agent: AgentId,
        /// Its key.
        key: SealingPublicKey,
        /// Whether the key is one of those that the caller trusts. Without, the signature proves only that
        /// somebody with this key has made the whole recording.
        trusted: bool,
    },
}

/// Checks a recording: the hash of `start.json`, the chain, the signature, and that every segment decodes and agrees
/// with its header and with the manifest. `trust` are the sealing keys that the caller trusts.
///
/// # Errors
/// The objects cannot be listed or read. What they hold is never an error but a verdict.
pub fn verify(_source: &dyn ObjectSource, _trust: Option<&[SealingPublicKey]>) -> io::Result<Verification> {
    todo!()
}
