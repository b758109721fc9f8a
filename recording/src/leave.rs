//! The leave with which an agent's successor seals what the agent recorded: a statement of the control plane about one
//! recording, signed, that a manifest carries as `sealed_by`.

use serde::{Deserialize, Serialize};

use crate::chain::ChainValue;
use crate::ids::{AccountId, AgentId, InstanceId, TerminalSessionToken};
use crate::manifest::{Manifest, StartReference};
use crate::sealing::{SIGNATURE_BYTES, SealingPublicKey};
use crate::start::{InvalidDocument, Start, parse_document, to_document};
use crate::stream::Stream;
use crate::timestamp::Timestamp;

/// The bytes before a leave in what is signed, so that no signature for another purpose is valid here.
const SIGNATURE_CONTEXT: &[u8] = b"hansard-leave-v1\0";

/// The format of a leave.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaveFormat {
    /// The first version.
    #[default]
    #[serde(rename = "hansard-leave/1")]
    V1,
}

/// What the control plane states: that this agent may seal this recording in the place of the one that made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leave {
    /// The format of the document.
    pub format: LeaveFormat,
    /// Which recording.
    pub recording: TerminalSessionToken,
    /// Its account.
    pub account: AccountId,
    /// Its instance, which is that of both agents.
    pub instance: InstanceId,
    /// Its `start.json`.
    pub start: StartReference,
    /// The agent that made it, as `start.json` says.
    pub agent: AgentId,
    /// The agent that may seal it.
    pub successor: AgentId,
    /// The key with which that one seals.
    pub successor_sealing_key: SealingPublicKey,
    /// What of each stream had arrived when leave was given; all else was delivered by the successor.
    pub arrived: Vec<ArrivedBefore>,
    /// When leave was given, by the control plane's clock.
    pub issued_at: Timestamp,
}

/// Up to where a stream had arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrivedBefore {
    /// The stream.
    pub stream: Stream,
    /// How many segments; the last has one number less.
    pub segments: u32,
    /// The value of the chain after them.
    pub chain: ChainValue,
}

impl Leave {
    /// The exact bytes that are signed and carried.
    #[must_use]
    pub fn to_document(&self) -> Vec<u8> {
        to_document(self)
    }

    /// What a control plane signs: these bytes of a leave behind the name of their purpose.
    #[must_use]
    pub fn to_be_signed(document: &[u8]) -> Vec<u8> {
        [SIGNATURE_CONTEXT, document].concat()
    }

    /// Why this is no leave for a recording that begins so; `None` if it is.
    fn refusal(&self, start: &Start, start_document: &[u8]) -> Option<&'static str> {
        let theirs = (&start.recording, &start.account, &start.instance, &start.agent);
        if theirs != (&self.recording, &self.account, &self.instance, &self.agent) {
            return Some("its leave is for another recording, account, instance or agent");
        }
        (self.start != StartReference::of(start_document))
            .then_some("its leave is for a recording with another start.json")
    }

    /// Why a manifest is not one that this leave permits: what had arrived before must be in it, unchanged. `None` if it is.
    /// The chains of the manifest are those of its segments.
    #[must_use]
    pub fn refusal_of(&self, manifest: &Manifest, start_document: &[u8]) -> Option<String> {
        let lacks = |before: &&ArrivedBefore| {
            let segments = manifest.find_stream(before.stream).map_or(&[][..], |entry| &entry.segments);
            let chain = match before.segments.checked_sub(1) {
                None => Some(ChainValue::first(start_document, before.stream)),
                Some(last) => segments.get(last as usize).map(|segment| segment.chain),
            };
            chain != Some(before.chain)
        };
        let before = self.arrived.iter().find(lacks)?;
        Some(format!(
            "it does not begin with the {} segments of {} that had arrived when leave was given",
            before.segments, before.stream
        ))
    }
}

/// A leave as a manifest carries it: its exact bytes, and who signed them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedBy {
    /// The exact bytes of the leave.
    #[serde(with = "in_base64")]
    leave: Vec<u8>,
    /// The key of the control plane that signed.
    control_plane_key: SealingPublicKey,
    /// The Ed25519 signature over [`Leave::to_be_signed`].
    #[serde(with = "in_base64")]
    signature: Vec<u8>,
}

/// Text in a manifest is no leave.
#[derive(Debug, thiserror::Error)]
pub enum InvalidLeave {
    /// The signature is not that of the key that stands beside it.
    #[error("its leave is not signed by the key of the control plane that stands beside it")]
    BadSignature,
    /// It cannot be read.
    #[error("its leave cannot be read")]
    Document(#[source] InvalidDocument),
}

impl SealedBy {
    /// A signed leave.
    #[must_use]
    pub fn new(
        leave: Vec<u8>,
        control_plane_key: SealingPublicKey,
        signature: [u8; SIGNATURE_BYTES],
    ) -> Self {
        Self { leave, control_plane_key, signature: signature.to_vec() }
    }

    /// The key of the control plane that is said to have signed. Whether that is a trusted key is not known by this.
    #[must_use]
    pub fn control_plane_key(&self) -> &SealingPublicKey {
        &self.control_plane_key
    }

    /// The leave, if its signature is that of [`SealedBy::control_plane_key`].
    ///
    /// # Errors
    /// The signature is not valid, or it is no leave.
    pub fn open(&self) -> Result<Leave, InvalidLeave> {
        if !self.control_plane_key.verifies(&Leave::to_be_signed(&self.leave), &self.signature) {
            return Err(InvalidLeave::BadSignature);
        }
        parse_document("leave", &self.leave).map_err(InvalidLeave::Document)
    }

    /// The leave, if it is signed and for a recording that begins so; otherwise why not.
    ///
    /// # Errors
    /// Says why it is none.
    pub fn open_for(&self, start: &Start, start_document: &[u8]) -> Result<Leave, String> {
        let leave = self.open().map_err(|error| crate::verify::chain_of(&error))?;
        match leave.refusal(start, start_document) {
            Some(why) => Err(why.to_owned()),
            None => Ok(leave),
        }
    }
}

/// Bytes that stand in a document as base64 with padding.
mod in_base64 {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::{Deserialize as _, Error as _};
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map_err(|_| D::Error::custom("it is not base64 with padding"))
    }
}
