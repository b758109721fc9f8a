//! `POST /agent/v1/recordings/{token}/succession`: an agent goes on with a recording of one that was on its instance before.
//!
//! Only who has what that agent left behind can do so: the request carries a proof by the key that `start.json` names. The
//! reply is the control plane's leave, which the manifest carries as `sealed_by`.

use recording::{AgentId, ContentHash, SealedBy, SealingKey, SealingPublicKey, TerminalSessionToken};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use crate::encoding::Base64Bytes;
use crate::recordings::OpenRecordingRequest;

/// The bytes before what the key of the earlier agent signs, so that no manifest is valid here.
const PROOF_CONTEXT: &[u8] = b"hansard-succession-v1\0";

/// `POST /agent/v1/recordings/{token}/succession`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct SuccessionRequest {
    /// What would open the recording: the control plane may never have heard of it.
    pub open: OpenRecordingRequest,
    /// The Ed25519 signature of the sealing key that `start.json` names over [`to_be_proven`].
    pub proof: Base64Bytes,
}

/// The recording is the caller's to deliver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct SuccessionReply {
    /// The request's id.
    pub request_id: String,
    /// The session's identifier.
    #[schema(value_type = String, pattern = "^[0-9a-f]{32}$")]
    pub terminal_session_token: TerminalSessionToken,
    /// Where the recording is kept.
    pub record_storage_target: String,
    /// The prefix of its objects' names.
    pub object_prefix: String,
    /// Of a recording that is sealed already: the SHA-256 of the manifest that sealed it. There is no leave then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, pattern = "^[0-9a-f]{64}$")]
    pub sealed_with: Option<ContentHash>,
    /// Leave to seal it, as its manifest carries it: it names both agents, and what had arrived of each stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = leave_schema, required = false)]
    pub leave: Option<SealedBy>,
}

/// As it stands in a manifest, and so with names as there.
fn leave_schema() -> Object {
    let member = |description: &str| {
        ObjectBuilder::new().schema_type(Type::String).description(Some(description.to_owned())).build()
    };
    ObjectBuilder::new()
        .description(Some("Leave to seal it, exactly as its manifest carries it in `sealed_by`."))
        .property("leave", member("The exact bytes of the leave, in base64."))
        .required("leave")
        .property("control_plane_key", member("The key that signed it: 32 bytes in base64."))
        .required("control_plane_key")
        .property("signature", member("The Ed25519 signature: 64 bytes in base64."))
        .required("signature")
        .build()
}

/// What the sealing key that `start.json` names signs, so that this agent may go on with the recording.
#[must_use]
pub fn to_be_proven(start_document: &[u8], successor: &AgentId) -> Vec<u8> {
    [PROOF_CONTEXT, ContentHash::of(start_document).as_bytes().as_slice(), successor.as_str().as_bytes()]
        .concat()
}

/// Proves to have the sealing key of the agent that made the recording.
#[must_use]
pub fn prove(start_document: &[u8], successor: &AgentId, key: &SealingKey) -> Base64Bytes {
    key.sign(&to_be_proven(start_document, successor)).to_vec().into()
}

/// Whether the proof is by this key, for this recording and this successor.
#[must_use]
pub fn is_proven(
    start_document: &[u8],
    successor: &AgentId,
    key: &SealingPublicKey,
    proof: &Base64Bytes,
) -> bool {
    key.verifies(&to_be_proven(start_document, successor), proof.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_for_one_recording_and_one_successor() {
        let key = SealingKey::from_seed(&[5; 32]);
        let (one, other) = (AgentId::generate(), AgentId::generate());
        let proof = prove(b"start", &one, &key);
        let proven =
            |start: &[u8], agent, key: &SealingKey| is_proven(start, agent, &key.public_key(), &proof);
        assert!(proven(b"start", &one, &key));
        assert!(!proven(b"other", &one, &key));
        assert!(!proven(b"start", &other, &key));
        assert!(!proven(b"start", &one, &SealingKey::generate()));
        assert!(!is_proven(b"start", &one, &key.public_key(), &key.sign(b"start").to_vec().into()));
    }
}
