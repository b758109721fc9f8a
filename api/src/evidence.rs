//! Reads a recording's objects; no other part of the control plane does. Somebody who can write to the bucket can put
//! other bytes, or another recording's, under a name. So this returns only bytes that match the hash of what was
//! accepted.

use actix_web::web::Bytes;
use domain::recording_life::Recording;
use domain::store_location::StoreLocation;
use openapi::error_codes::ErrorCode;
use persistence::objects::ObjectError;
use recording::{ContentHash, EvidenceName, InvalidObjectName, Manifest, ObjectName, SealingPublicKey};

use crate::Hansard;
use crate::errors::ActionError;

/// No document of a recording is longer: a manifest comes in a call of at most 12 MiB.
const LONGEST_DOCUMENT: usize = 12 * 1024 * 1024;

/// Why there are no bytes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EvidenceError {
    /// The object is not there.
    #[error("the object is not there")]
    Missing,
    /// Other bytes are stored under its name.
    #[error("{0} is not the object that the recording consists of")]
    Changed(ObjectName),
    /// The object store.
    #[error("the object store failed")]
    Objects(#[from] ObjectError),
    /// Its name is not valid.
    #[error("an object of a recording cannot be named")]
    Name(#[from] InvalidObjectName),
}

impl From<EvidenceError> for ActionError {
    fn from(error: EvidenceError) -> Self {
        match error {
            EvidenceError::Missing => ErrorCode::ObjectNotFound.into(),
            EvidenceError::Changed(_) => ErrorCode::EvidenceChanged.into(),
            EvidenceError::Objects(error) => error.into(),
            EvidenceError::Name(error) => Self::unexpected("name an object of a recording", error),
        }
    }
}

/// The whole name of a piece of evidence.
pub(crate) fn name_of(
    recording: &Recording,
    evidence: EvidenceName,
) -> Result<ObjectName, InvalidObjectName> {
    recording.folder.join(&evidence.to_object_name())
}

/// The bytes of a piece of evidence, which have this SHA-256.
pub(crate) async fn read(
    hansard: &Hansard,
    recording: &Recording,
    evidence: EvidenceName,
    sha256: ContentHash,
) -> Result<Bytes, EvidenceError> {
    read_named(hansard, recording.target.location(), name_of(recording, evidence)?, sha256).await
}

/// The bytes of the object of this name, which have this SHA-256.
pub(crate) async fn read_named(
    hansard: &Hansard,
    location: &StoreLocation,
    name: ObjectName,
    sha256: ContentHash,
) -> Result<Bytes, EvidenceError> {
    let bytes = fetch(hansard, location, &name).await?;
    if ContentHash::of(&bytes) == sha256 { Ok(bytes) } else { Err(changed(name)) }
}

/// The bytes of the signature of the manifest that has this SHA-256. Only the keys of the agents that may have sealed it
/// show that they are the right ones.
pub(crate) async fn read_signature(
    hansard: &Hansard,
    recording: &Recording,
    number: u32,
    manifest_sha256: ContentHash,
    keys: &[SealingPublicKey],
) -> Result<Bytes, EvidenceError> {
    let manifest = read(hansard, recording, EvidenceName::Manifest(number), manifest_sha256).await?;
    let name = name_of(recording, EvidenceName::ManifestSignature(number))?;
    let signature = fetch(hansard, recording.target.location(), &name).await?;
    // A manifest that was accepted names the successor that sealed it, who may have been succeeded in its turn.
    let sealed_by = Manifest::parse(&manifest).ok().and_then(|manifest| manifest.sealed_by);
    let leave = sealed_by.and_then(|sealed_by| sealed_by.open().ok());
    let in_place = leave.map(|leave| leave.successor_sealing_key);
    let is_signed = keys.iter().chain(&in_place).any(|key| key.verifies(&manifest, &signature));
    if is_signed { Ok(signature) } else { Err(changed(name)) }
}

#[allow(clippy::disallowed_methods, reason = "both callers compare what comes")]
async fn fetch(
    hansard: &Hansard,
    location: &StoreLocation,
    name: &ObjectName,
) -> Result<Bytes, EvidenceError> {
    let most = hansard.settings.segment_limit_bytes.max(LONGEST_DOCUMENT);
    match hansard.stores.at(location).get(name, most).await {
        Ok(bytes) => Ok(bytes),
        Err(ObjectError::NotFound { .. }) => Err(EvidenceError::Missing),
        // Nothing this long was ever accepted.
        Err(ObjectError::TooLong { .. }) => Err(changed(name.clone())),
        Err(error) => Err(EvidenceError::Objects(error)),
    }
}

/// Changed evidence is also logged, for the operator.
fn changed(name: ObjectName) -> EvidenceError {
    tracing::error!(object = %name, "a stored object is not the one that was accepted");
    EvidenceError::Changed(name)
}
