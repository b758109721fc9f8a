//! `POST /agent/v1/recordings/{token}/grants`: permission to write one segment, with its length and hash fixed.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use actix_web::web::Path;
use agent_protocol::recordings::{Grant, GrantReply, GrantRequest};
use agent_protocol::{AGENT_API_PREFIX, AgentErrorCode, MAXIMUM_OBJECT_BYTES};
use domain::actions::GrantUpload;
use domain::recording_life::{ArrivedStream, Recording};
use domain::unclaimed::UnclaimedObject;
use domain::{AccountId, AgentId, InstanceId, Region, TerminalSessionToken, Timestamp};
use persistence::UploadPermitted;
use persistence::objects::WriteGrant;
use recording::{ContentHash, EvidenceName, Stream};
use serde::{Deserialize, Serialize};

use super::call::{AgentCall, UnclaimedCall};
use super::own_recordings;
use super::refusal::AgentRefusal;
use crate::road::Done;
use crate::signed_tokens::{self, Purpose};

/// How long a grant holds.
const GRANT_MILLIS: i64 = 10 * 60 * 1_000;

/// How far ahead of the next expected segment one may be uploaded.
const AHEAD: u32 = 1_024;

/// The header that carries a grant.
pub(crate) const GRANT_HEADER: &str = "x-hansard-upload-grant";

/// What an upload through the control plane may write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UploadGrant {
    pub(crate) account: AccountId,
    pub(crate) region: Region,
    pub(crate) instance: InstanceId,
    pub(crate) agent: AgentId,
    pub(crate) recording: TerminalSessionToken,
    pub(crate) evidence: EvidenceName,
    pub(crate) length: u64,
    pub(crate) sha256: ContentHash,
}

impl Purpose for UploadGrant {
    const AUDIENCE: &'static str = "hansard-upload";
}

pub(crate) async fn post(UnclaimedCall(call): UnclaimedCall, path: Path<String>) -> HttpResponse {
    let token = own_recordings::token(&path);
    call.run::<GrantUpload, _>(token.as_ref().ok().cloned(), async move |call, granted| {
        let asked: GrantRequest = call.parse()?;
        let recording = own_recordings::find(call, granted, &token?).await?;
        let (stream, number) = check(call, &recording, &asked)?;
        let arrived = own_recordings::stream(call, granted, &recording, stream).await?;
        check_not_too_far_ahead(&arrived, number)?;
        let evidence = EvidenceName::Segment { stream, number };
        let unclaimed = own_recordings::unclaimed(&recording, evidence, asked.length)?;
        let grant = make(call, &recording, &unclaimed, asked.sha256).await?;
        let reply = GrantReply { request_id: call.request_id(), grant };
        // A segment that was claimed before may be uploaded again with the same bytes, in case its object was lost.
        if number < arrived.segments {
            call.note_heard(granted).await?;
            return Ok(Done::read(reply));
        }
        // The reply is sent only when this is committed, so that everything that can be written is counted.
        let permitted = UploadPermitted { object: unclaimed, at: call.now() };
        let audit = call.audit(granted, Some(&recording.token), "");
        call.apply(granted, permitted, vec![audit]).await??;
        Ok(Done::changed(reply))
    })
    .await
}

/// A grant that comes with the acknowledgement of the segment before: its object, which counts once it is handed out.
pub(crate) struct NextGrant {
    pub(crate) object: UnclaimedObject,
    pub(crate) grant: Grant,
}

/// The grant for the segment that follows `acknowledged` in its stream; `None` for any other segment, and if a request
/// for it would be refused. The agent learns the reason when it sends that request.
pub(crate) async fn next(
    call: &AgentCall,
    recording: &Recording,
    acknowledged: EvidenceName,
    asked: &GrantRequest,
) -> Option<NextGrant> {
    let (stream, number) = check(call, recording, asked).ok()?;
    let follows = |number: u32| EvidenceName::Segment { stream, number };
    if number.checked_sub(1).map(follows) != Some(acknowledged) {
        return None;
    }
    let object = own_recordings::unclaimed(recording, follows(number), asked.length).ok()?;
    let grant = make(call, recording, &object, asked.sha256).await.ok()?;
    Some(NextGrant { object, grant })
}

/// Makes the grant of a segment that may be written.
async fn make(
    call: &AgentCall,
    recording: &Recording,
    object: &UnclaimedObject,
    sha256: ContentHash,
) -> Result<Grant, AgentRefusal> {
    let expires_at = Timestamp::from_millis(call.now().as_millis() + GRANT_MILLIS);
    let (objects, length) = (call.hansard.objects_of(recording), object.length);
    match objects.write_grant(&object.name, length, &sha256, expires_at).await? {
        WriteGrant::Presigned { url, headers, expires_at } => Ok(grant(url, headers, expires_at)),
        WriteGrant::ThroughControlPlane => {
            let upload = UploadGrant {
                account: recording.account.clone(),
                region: call.agent.region.clone(),
                instance: recording.instance.clone(),
                agent: call.agent.id.clone(),
                recording: recording.token.clone(),
                evidence: object.evidence,
                length,
                sha256,
            };
            let secret = signed_tokens::issue(&call.hansard.keys, upload, expires_at)
                .map_err(AgentRefusal::internal)?;
            let url = format!("{AGENT_API_PREFIX}/uploads/{}/{}", recording.token, object.evidence);
            Ok(grant(url, BTreeMap::from([(GRANT_HEADER.to_owned(), secret)]), expires_at))
        }
    }
}

fn check_not_too_far_ahead(arrived: &ArrivedStream, number: u32) -> Result<(), AgentRefusal> {
    let expected = arrived.segments;
    if number > expected.saturating_add(AHEAD) {
        return Err(invalid(format!("segment {expected} is expected next; {number} is too far ahead")));
    }
    Ok(())
}

fn grant(url: String, headers: BTreeMap<String, String>, expires_at: Timestamp) -> Grant {
    Grant { method: "PUT".to_owned(), url, headers, expire_time: expires_at.to_rfc3339_seconds() }
}

/// Only a segment needs a grant: `start.json` and the manifest are sent in the calls that check them.
fn check(
    call: &AgentCall,
    recording: &Recording,
    asked: &GrantRequest,
) -> Result<(Stream, u32), AgentRefusal> {
    let refuse = |message: String| Err(invalid(message));
    let Some(evidence) = EvidenceName::parse(&asked.object_name) else {
        return refuse("ObjectName must name a segment, such as terminal/000000.cast.zst".to_owned());
    };
    let EvidenceName::Segment { stream, number } = evidence else {
        return refuse(
            "a grant is for a segment; start.json and the manifest are sent in the calls that open and seal"
                .to_owned(),
        );
    };
    if !stream.is_understood() {
        return refuse(format!("ObjectName must name a segment of terminal or events, not of {stream}"));
    }
    let most = MAXIMUM_OBJECT_BYTES.min(call.hansard.settings.segment_limit_bytes as u64);
    if !(1..=most).contains(&asked.length) {
        return refuse(format!("Length must be from 1 to {most} bytes, not {}", asked.length));
    }
    if !own_recordings::is_open(recording) {
        return Err(own_recordings::sealed());
    }
    Ok((stream, number))
}

fn invalid(message: String) -> AgentRefusal {
    AgentRefusal::new(AgentErrorCode::InvalidObjectName, message)
}
