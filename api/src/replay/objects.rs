//! `GET /replay/v1/recordings/{token}/objects` and the objects below it: the evidence itself, byte for byte, to be
//! verified or kept elsewhere.

use actix_web::http::header;
use actix_web::web::{Bytes, Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use domain::recording_life::Recording;
use openapi::error_codes::ErrorCode;
use persistence::objects::ObjectError;
use recording::{EvidenceName, ObjectName, Stream};
use serde::Serialize;

use super::viewing::{Seen, Viewing};
use crate::Hansard;
use crate::errors::ActionError;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ObjectList {
    request_id: String,
    objects: Vec<ListedObject>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListedObject {
    /// Below the recording's folder, such as `terminal/000000.cast.zst`.
    name: String,
    length: u64,
    /// As the control plane checked it when it arrived; absent for signatures.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

pub(crate) async fn list(
    request: HttpRequest,
    path: Path<String>,
    hansard: Data<Hansard>,
) -> Result<HttpResponse, ActionError> {
    let viewing = Viewing::by_session(&request, &hansard, &path)?;
    viewing
        .look("facts", async |viewing, seen| {
            let request_id = viewing.request_id.as_str().to_owned();
            Ok(HttpResponse::Ok().json(ObjectList { request_id, objects: evidence(viewing, seen).await? }))
        })
        .await
}

/// What the recording has claimed, and what sealed it.
async fn evidence(viewing: &Viewing, seen: &Seen) -> Result<Vec<ListedObject>, ActionError> {
    let store = &viewing.hansard.store;
    let recording = &seen.recording;
    let mut objects = Vec::new();
    let start = Some(recording.start_sha256.clone());
    objects.extend(stored(&viewing.hansard, recording, EvidenceName::Start, start).await?);
    for row in store.list_segments(&seen.granted, &recording.token).await? {
        let name = EvidenceName::Segment { stream: Stream::Terminal, number: row.number }.to_string();
        objects.push(ListedObject { name, length: row.length, sha256: Some(row.sha256) });
    }
    if let Some(manifest) = store.find_manifest_sha256(&seen.granted, &recording.token).await? {
        objects.extend(stored(&viewing.hansard, recording, EvidenceName::Manifest(0), Some(manifest)).await?);
        objects.extend(stored(&viewing.hansard, recording, EvidenceName::ManifestSignature(0), None).await?);
    }
    Ok(objects)
}

async fn stored(
    hansard: &Hansard,
    recording: &Recording,
    evidence: EvidenceName,
    sha256: Option<String>,
) -> Result<Option<ListedObject>, ActionError> {
    let head = hansard.objects.head(recording.target.bucket(), &name_of(recording, evidence)?).await?;
    Ok(head.map(|head| ListedObject { name: evidence.to_string(), length: head.length, sha256 }))
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
            if let EvidenceName::Segment { number, .. } = evidence {
                // What was uploaded but never claimed is no part of the recording.
                if number >= seen.recording.arrived.segments {
                    return Err(ErrorCode::ObjectNotFound.into());
                }
            }
            let bytes = read(&viewing.hansard, &seen.recording, evidence).await?;
            Ok(HttpResponse::Ok()
                .insert_header((header::CONTENT_TYPE, "application/octet-stream"))
                .insert_header((header::CONTENT_DISPOSITION, "attachment"))
                .body(bytes))
        })
        .await
}

/// The bytes of a piece of evidence.
pub(crate) async fn read(
    hansard: &Hansard,
    recording: &Recording,
    evidence: EvidenceName,
) -> Result<Bytes, ActionError> {
    match hansard.objects.get(recording.target.bucket(), &name_of(recording, evidence)?).await {
        Ok(bytes) => Ok(bytes),
        Err(ObjectError::NotFound { .. }) => Err(ErrorCode::ObjectNotFound.into()),
        Err(error) => Err(error.into()),
    }
}

fn name_of(recording: &Recording, evidence: EvidenceName) -> Result<ObjectName, ActionError> {
    let name = recording.folder.join(&evidence.to_object_name());
    name.map_err(|error| ActionError::unexpected("name an object of a recording", error))
}
