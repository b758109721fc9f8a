//! `GET /replay/v1/recordings/{token}/objects` and the objects below it: the evidence itself, byte for byte, to be
//! verified or stored elsewhere. The list also names the trusted signer.

use actix_web::http::header;
use actix_web::web::{Bytes, Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use domain::Timestamp;
use domain::recording_life::Recording;
use openapi::error_codes::ErrorCode;
use recording::{ContentHash, EvidenceName, Manifest, SealingPublicKey, TrustedKey};
use serde::Serialize;

use super::viewing::{Seen, Viewing};
use crate::Hansard;
use crate::errors::ActionError;
use crate::evidence::{self, EvidenceError};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ObjectList {
    request_id: String,
    terminal_session_token: String,
    account_id: String,
    instance_id: String,
    /// The signer whose key this control plane enrolled.
    #[serde(skip_serializing_if = "Option::is_none")]
    signer: Option<EnrolledSigner>,
    /// The keys with which this control plane gives leave to seal in an agent's place, and the one with whose leave it accepted
    /// this recording; each 32 bytes in base64.
    leave_keys: Vec<SealingPublicKey>,
    objects: Vec<ListedObject>,
}

/// The agent of a recording as it was enrolled.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct EnrolledSigner {
    agent_id: String,
    account_id: String,
    instance_id: String,
    /// 32 bytes in base64.
    sealing_public_key: String,
    enrolled_at: String,
    /// When another agent took its instance over, or it was removed; absent while it is enrolled.
    #[serde(skip_serializing_if = "Option::is_none")]
    replaced_at: Option<String>,
}

impl EnrolledSigner {
    fn of(trusted: TrustedKey) -> Option<Self> {
        let enrolment = trusted.enrolment?;
        Some(Self {
            agent_id: enrolment.agent.to_string(),
            account_id: enrolment.account.to_string(),
            instance_id: enrolment.instance.to_string(),
            sealing_public_key: trusted.key.to_string(),
            enrolled_at: enrolment.from.to_rfc3339_seconds(),
            replaced_at: enrolment.until.map(Timestamp::to_rfc3339_seconds),
        })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListedObject {
    /// Below the recording's folder, such as `terminal/000000.cast.zst`.
    name: String,
    length: u64,
    /// As the control plane checked it when it arrived; absent for signatures.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<ContentHash>,
}

pub(crate) async fn list(
    request: HttpRequest,
    path: Path<String>,
    hansard: Data<Hansard>,
) -> Result<HttpResponse, ActionError> {
    let viewing = Viewing::by_session(&request, &hansard, &path)?;
    viewing
        .look("facts", async |viewing, seen| {
            let recording = &seen.recording;
            let enrolled = viewing.hansard.store.find_enrolled_key(&seen.granted, &recording.token).await?;
            Ok(HttpResponse::Ok().json(ObjectList {
                request_id: viewing.request_id(),
                terminal_session_token: recording.token.to_string(),
                account_id: recording.account.to_string(),
                instance_id: recording.instance.to_string(),
                signer: enrolled.and_then(EnrolledSigner::of),
                leave_keys: leave_keys(viewing, seen).await?,
                objects: listed(viewing, seen).await?,
            }))
        })
        .await
}

/// The keys whose leave counts for this recording. Whoever takes an old key out of the file of server keys takes nothing from
/// what was accepted with its leave: the manifest is known by its hash, as the agent's key is known by its row.
async fn leave_keys(viewing: &Viewing, seen: &Seen) -> Result<Vec<SealingPublicKey>, ActionError> {
    let (hansard, recording) = (&viewing.hansard, &seen.recording);
    let mut keys = hansard.keys.leave_keys();
    if recording.succession.is_none() {
        return Ok(keys);
    }
    let sealed_with = hansard.store.find_manifest_sha256(&seen.granted, &recording.token).await?;
    let Some(sha256) = sealed_with else { return Ok(keys) };
    let manifest = match evidence::read(hansard, recording, EvidenceName::Manifest(0), sha256).await {
        Ok(manifest) => manifest,
        // Whoever verifies finds it missing, or changed.
        Err(EvidenceError::Missing | EvidenceError::Changed(_)) => return Ok(keys),
        Err(error) => return Err(error.into()),
    };
    let accepted = Manifest::parse(&manifest).ok().and_then(|manifest| manifest.sealed_by);
    keys.extend(accepted.map(|leave| *leave.control_plane_key()).filter(|key| !keys.contains(key)));
    Ok(keys)
}

/// What the recording has claimed, and what sealed it.
async fn listed(viewing: &Viewing, seen: &Seen) -> Result<Vec<ListedObject>, ActionError> {
    let (hansard, recording) = (&viewing.hansard, &seen.recording);
    // Read first: a sealed recording has all its segments, while an open one may claim another at this moment.
    let manifest = hansard.store.find_manifest_sha256(&seen.granted, &recording.token).await?;
    let mut objects = Vec::new();
    let start = Some(recording.start_sha256);
    objects.extend(stored(hansard, recording, EvidenceName::Start, start).await?);
    for row in hansard.store.segments_of_recording(&seen.granted, &recording.token).await? {
        let name = EvidenceName::Segment { stream: row.stream, number: row.number }.to_string();
        objects.push(ListedObject { name, length: row.length, sha256: Some(row.sha256) });
    }
    if let Some(manifest) = manifest {
        objects.extend(stored(hansard, recording, EvidenceName::Manifest(0), Some(manifest)).await?);
        objects.extend(stored(hansard, recording, EvidenceName::ManifestSignature(0), None).await?);
    }
    Ok(objects)
}

/// An accepted object is listed whether it still exists or not; a signature, which has no hash, only if it exists.
async fn stored(
    hansard: &Hansard,
    recording: &Recording,
    evidence: EvidenceName,
    sha256: Option<ContentHash>,
) -> Result<Option<ListedObject>, ActionError> {
    let name = evidence::name_of(recording, evidence).map_err(EvidenceError::from)?;
    let head = hansard.objects_of(recording).head(&name).await?;
    if head.is_none() && sha256.is_none() {
        return Ok(None);
    }
    let length = head.map_or(0, |head| head.length);
    Ok(Some(ListedObject { name: evidence.to_string(), length, sha256 }))
}

pub(crate) async fn get(
    request: HttpRequest,
    path: Path<(String, String)>,
    hansard: Data<Hansard>,
) -> Result<HttpResponse, ActionError> {
    let (token, name) = path.into_inner();
    let viewing = Viewing::by_session(&request, &hansard, &token)?;
    viewing
        .look("download", async |viewing, seen| {
            let evidence = EvidenceName::parse(&name).ok_or(ErrorCode::ObjectNotFound)?;
            let bytes = taken_in(viewing, seen, evidence).await?;
            Ok(HttpResponse::Ok()
                .insert_header((header::CONTENT_TYPE, "application/octet-stream"))
                .insert_header((header::CONTENT_DISPOSITION, "attachment"))
                .body(bytes))
        })
        .await
}

/// The bytes of a piece of evidence as the recording accepted it. An upload that was never claimed is not part of the
/// recording.
async fn taken_in(viewing: &Viewing, seen: &Seen, evidence: EvidenceName) -> Result<Bytes, ActionError> {
    let (hansard, recording) = (&viewing.hansard, &seen.recording);
    let (store, granted, token) = (&hansard.store, &seen.granted, &recording.token);
    let no_such = || ActionError::from(ErrorCode::ObjectNotFound);
    let sha256 = match evidence {
        EvidenceName::Start => recording.start_sha256,
        EvidenceName::Segment { stream, number } => {
            store.find_segment(granted, token, stream, number).await?.ok_or_else(no_such)?.sha256
        }
        EvidenceName::Manifest(0) | EvidenceName::ManifestSignature(0) => {
            store.find_manifest_sha256(granted, token).await?.ok_or_else(no_such)?
        }
        EvidenceName::Manifest(_) | EvidenceName::ManifestSignature(_) => return Err(no_such()),
    };
    if let EvidenceName::ManifestSignature(number) = evidence {
        let keys = store.find_sealing_keys(granted, token).await?;
        return Ok(evidence::read_signature(hansard, recording, number, sha256, &keys).await?);
    }
    Ok(evidence::read(hansard, recording, evidence, sha256).await?)
}
