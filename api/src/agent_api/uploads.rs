//! `PUT /agent/v1/uploads/{token}/{name}`: the bytes of one segment, through the control plane. The grant is the only
//! credential: it names one object, its length and its hash. It travels in a header, because addresses are logged.

use actix_web::http::header;
use actix_web::web::{Bytes, Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use agent_protocol::AgentErrorCode;
use domain::actions::{Action as _, GrantUpload};
use domain::audit::AuditDecision;
use domain::gate::{self, Granted, InstanceFacts, PrincipalPolicies, Resource};
use domain::principal::Principal;
use domain::storage_target::BucketName;
use persistence::objects::ObjectError;
use serde::Serialize;
use utoipa::ToSchema;

use super::body::{self, NotReceived};
use super::grants::{GRANT_HEADER, UploadGrant};
use super::place;
use super::refusal::AgentRefusal;
use super::reply::{self, Envelope};
use crate::Hansard;
use crate::signed_tokens::{self, TokenRefused};
use crate::stranger::Stranger;

/// The object is stored.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct UploadReply {
    /// The request's id.
    pub(crate) request_id: String,
}

pub(crate) async fn put(
    request: HttpRequest,
    path: Path<(String, String)>,
    payload: Payload,
    hansard: Data<Hansard>,
) -> HttpResponse {
    let envelope = Envelope::of(&request, &hansard);
    match upload(&hansard, &envelope, &request, &path, payload).await {
        Ok(()) => reply::ok(&envelope, &UploadReply { request_id: envelope.id() }),
        Err(refusal) => reply::refused(&envelope, &refusal),
    }
}

async fn upload(
    hansard: &Data<Hansard>,
    envelope: &Envelope,
    request: &HttpRequest,
    path: &(String, String),
    payload: Payload,
) -> Result<(), AgentRefusal> {
    let grant = read_grant(hansard, envelope, request).inspect_err(|refusal| {
        Stranger::of(request, hansard).count_refusal(None, "", refusal.code.code());
    })?;
    // From here on the grant says whose the call is, and every end of it is a row.
    let (decision, received) = match permit(hansard, envelope, &grant, path).await {
        Ok(granted) => {
            let decision = AuditDecision::Allowed { by: granted.by().to_owned() };
            (decision, receive(request, &grant, payload).await.map(|bytes| (granted, bytes)))
        }
        Err((decision, refusal)) => (decision, Err(refusal)),
    };
    let (hansard, envelope) = (hansard.clone(), envelope.clone());
    // A task of its own: a client that hangs up once its bytes are here must not leave an object without its row.
    let finished = tokio::spawn(async move {
        let outcome = match received {
            Ok((granted, bytes)) => store(&hansard, &granted, &grant, bytes).await,
            Err(refusal) => Err(refusal),
        };
        let result = outcome.as_ref().map_or_else(|refusal| refusal.code.code(), |()| "OK");
        let row = envelope.audit_event(
            &principal_of(&grant),
            GrantUpload::ENTRY.name,
            &resource_of(&grant),
            decision,
            result,
            Some(&grant.recording),
            "upload",
        );
        hansard.store.record_audit(row).await?;
        outcome
    });
    finished.await.map_err(AgentRefusal::internal)?
}

fn principal_of(grant: &UploadGrant) -> Principal {
    Principal::Agent {
        account: grant.account.clone(),
        agent: grant.agent.clone(),
        instance: grant.instance.clone(),
    }
}

fn resource_of(grant: &UploadGrant) -> Resource {
    Resource::Instance(InstanceFacts::untagged(grant.region.clone(), grant.instance.clone()))
}

/// Whether the grant still holds, for this object.
async fn permit(
    hansard: &Hansard,
    envelope: &Envelope,
    grant: &UploadGrant,
    path: &(String, String),
) -> Result<Granted<GrantUpload>, (AuditDecision, AgentRefusal)> {
    let not_asked = |refusal| (AuditDecision::NotAsked, refusal);
    if (grant.recording.as_str(), grant.evidence.to_string()) != (path.0.as_str(), path.1.clone()) {
        let message = "the grant is for another object; ask for one for this object";
        return Err(not_asked(invalid_grant(message)));
    }
    let agent = hansard.store.find_agent(&grant.agent).await.map_err(|error| not_asked(error.into()))?;
    if agent.is_none_or(|agent| agent.replaced_at.is_some()) {
        return Err(not_asked(AgentRefusal::new(
            AgentErrorCode::AgentNotFound,
            "the agent of this grant was replaced; enrol it again",
        )));
    }
    let (principal, resource) = (principal_of(grant), resource_of(grant));
    gate::authorize(&principal, resource, &PrincipalPolicies::none(), &envelope.facts())
        .map_err(|denied| (AuditDecision::Denied { by: denied.by.clone() }, denied.into()))
}

fn read_grant(
    hansard: &Hansard,
    envelope: &Envelope,
    request: &HttpRequest,
) -> Result<UploadGrant, AgentRefusal> {
    let secret = request.headers().get(GRANT_HEADER).and_then(|value| value.to_str().ok());
    let secret = secret.ok_or_else(|| {
        invalid_grant("the header of the grant is missing; send Headers as they were given")
    })?;
    signed_tokens::read(&hansard.keys, secret, envelope.arrived_at).map_err(|refused| match refused {
        TokenRefused::Invalid => {
            invalid_grant("the grant is not one of this control plane's; ask for a new one")
        }
        TokenRefused::Expired => invalid_grant("the grant's time is over; ask for a new one"),
    })
}

fn invalid_grant(message: &str) -> AgentRefusal {
    AgentRefusal::new(AgentErrorCode::InvalidGrant, message)
}

async fn store(
    hansard: &Hansard,
    granted: &Granted<GrantUpload>,
    grant: &UploadGrant,
    bytes: Bytes,
) -> Result<(), AgentRefusal> {
    // A grant may outlive the seal, and nothing may be added to what is sealed.
    let recording = hansard.store.find_recording(granted, &grant.recording).await?;
    if !recording.as_ref().is_some_and(place::is_open) {
        return Err(place::sealed());
    }
    let bucket = BucketName::parse(&grant.bucket, &grant.account).map_err(AgentRefusal::internal)?;
    match hansard.objects.put_once(&bucket, &grant.object, bytes).await {
        Ok(_) => Ok(()),
        Err(ObjectError::AlreadyExists { .. }) => Err(AgentRefusal::new(
            AgentErrorCode::ObjectAlreadyExists,
            "other bytes stand under this name; a segment keeps its bytes once it was granted",
        )),
        Err(error) => Err(error.into()),
    }
}

/// Reads exactly what was granted, hashing as it comes, and stops at the first byte too many.
async fn receive(
    request: &HttpRequest,
    grant: &UploadGrant,
    payload: Payload,
) -> Result<Bytes, AgentRefusal> {
    let mismatch = |message: String| AgentRefusal::new(AgentErrorCode::ObjectMismatch, message);
    let wrong_length =
        || mismatch(format!("the body must have exactly the {} bytes of the grant", grant.length));
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|announced| announced != grant.length) {
        return Err(wrong_length());
    }
    // The grant's length was checked against the limit when it was made.
    let most = usize::try_from(grant.length).map_err(AgentRefusal::internal)?;
    let mut hash = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    let received =
        body::receive(&mut payload.into_inner(), most, body::OF_AN_AGENT, |piece| hash.update(piece)).await;
    let bytes = received.map_err(|not_received| match not_received {
        NotReceived::TooLong => wrong_length(),
        NotReceived::Broken => mismatch("the body did not arrive whole".to_owned()),
        NotReceived::TooSlow => mismatch("the body took too long to arrive".to_owned()),
    })?;
    if bytes.len() != most {
        return Err(wrong_length());
    }
    if hash.finish().as_ref() != grant.sha256.as_bytes() {
        return Err(mismatch("the body's SHA-256 is not that of the grant".to_owned()));
    }
    Ok(bytes)
}
