//! `PUT /agent/v1/uploads/{token}/{name}`: the bytes of one segment, through the control plane. The grant is the only
//! credential: it names one object, its length and its hash. It travels in a header, because addresses are logged.

use std::sync::Arc;

use actix_web::web::{Bytes, Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use agent_protocol::AgentErrorCode;
use domain::actions::{Action as _, GrantUpload};
use domain::agent::Agent;
use domain::gate::{Granted, InstanceFacts, PrincipalPolicies, Resource};
use domain::principal::Principal;
use persistence::objects::ObjectError;
use serde::Serialize;
use utoipa::ToSchema;

use super::body::OF_AN_AGENT;
use super::grants::{GRANT_HEADER, UploadGrant};
use super::own_recordings;
use super::proof;
use super::refusal::AgentRefusal;
use super::reply;
use crate::Hansard;
use crate::http::body::{self, Length, NotReceived, Pace};
use crate::limits::in_flight::Held;
use crate::road::unauthenticated::UnauthenticatedCaller;
use crate::road::{About, Arrival, Caller, Done};
use crate::signed_tokens::{self, TokenRefused};

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
    let arrival = Arrival::of(&request);
    match upload(&hansard, &arrival, &request, &path, payload).await {
        Ok(()) => reply::ok(&arrival, &UploadReply { request_id: arrival.id() }),
        Err(refusal) => reply::refused(&hansard, &arrival, &refusal),
    }
}

async fn upload(
    hansard: &Data<Hansard>,
    arrival: &Arc<Arrival>,
    request: &HttpRequest,
    path: &(String, String),
    payload: Payload,
) -> Result<(), AgentRefusal> {
    let sender = UnauthenticatedCaller::new(arrival.clone(), hansard);
    let grant = read_grant(hansard, arrival, request).inspect_err(|refusal| {
        sender.count_refusal(None, "", refusal.code.code());
    })?;
    let caller = Caller { arrival: arrival.clone(), principal: principal_of(&grant), access_key: None };
    caller.admit(hansard).inspect_err(|_| sender.mark_authenticated())?;
    // From here on the grant identifies the caller, and every outcome is an audit row.
    let mut about = About {
        resource: resource_of(&grant).arn(&grant.account),
        recording: Some(grant.recording.to_string()),
        how: "upload".to_owned(),
        ..About::default()
    };
    let received = match permit(hansard, &caller, &grant, path, &mut about).await {
        Ok(granted) => {
            sender.mark_authenticated();
            receive(hansard, request, &grant, payload).await.map(|body| (granted, body))
        }
        Err(refusal) => Err(refusal),
    };
    let hansard = hansard.clone();
    // A separate task, so that a client that hangs up after sending its bytes does not leave an object without its row.
    let finished = actix_web::rt::spawn(async move {
        let steps = async |_: &mut About| {
            let (granted, (bytes, _held)) = received?;
            store(&hansard, &granted, &grant, bytes).await.map(Done::read)
        };
        caller.run_audited(&hansard.store, GrantUpload::ENTRY.name, about, steps, Ok).await
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

/// Whether the grant is still valid, and for this object.
async fn permit(
    hansard: &Hansard,
    caller: &Caller,
    grant: &UploadGrant,
    path: &(String, String),
    about: &mut About,
) -> Result<Granted<GrantUpload>, AgentRefusal> {
    if (grant.recording.as_str(), grant.evidence.to_string()) != (path.0.as_str(), path.1.clone()) {
        return Err(invalid_grant("the grant is for another object; ask for one for this object"));
    }
    match hansard.store.find_agent(&grant.agent).await? {
        None => return Err(proof::no_agent_any_more()),
        Some(Agent { retired: Some(how), .. }) => return Err(proof::retired(how)),
        Some(_) => {}
    }
    Ok(caller.authorize(resource_of(grant), &PrincipalPolicies::none(), &caller.facts(), about)?)
}

fn read_grant(
    hansard: &Hansard,
    arrival: &Arrival,
    request: &HttpRequest,
) -> Result<UploadGrant, AgentRefusal> {
    let secret = request.headers().get(GRANT_HEADER).and_then(|value| value.to_str().ok());
    let secret = secret.ok_or_else(|| {
        invalid_grant("the header with the grant is missing; send Headers as they were given")
    })?;
    signed_tokens::read(&hansard.keys, secret, arrival.at).map_err(|refused| match refused {
        TokenRefused::Invalid => {
            invalid_grant("this control plane did not issue the grant; ask for a new one")
        }
        TokenRefused::Expired => invalid_grant("the grant has expired; ask for a new one"),
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
    let Some(recording) = recording.filter(own_recordings::is_open) else {
        return Err(own_recordings::sealed());
    };
    // While the bytes came, another agent may have taken the recording over.
    if *recording.holder() != grant.agent {
        return Err(proof::no_agent_any_more());
    }
    let name = own_recordings::object(&recording, grant.evidence)?;
    match hansard.objects_of(&recording).put_once(&name, bytes).await {
        Ok(_) => Ok(()),
        Err(ObjectError::AlreadyExists { .. }) => Err(AgentRefusal::new(
            AgentErrorCode::ObjectAlreadyExists,
            "the bucket holds other bytes under this name; nothing can be uploaded there until they are removed",
        )),
        Err(error) => Err(error.into()),
    }
}

/// Reads exactly what was granted, hashing as it comes, and stops at the first byte too many.
async fn receive(
    hansard: &Hansard,
    request: &HttpRequest,
    grant: &UploadGrant,
    payload: Payload,
) -> Result<(Bytes, Held), AgentRefusal> {
    let mismatch = |message: String| AgentRefusal::new(AgentErrorCode::ObjectMismatch, message);
    let wrong_length =
        || mismatch(format!("the body must have exactly the {} bytes of the grant", grant.length));
    // The grant's length was checked against the limit when it was made.
    let most = usize::try_from(grant.length).map_err(AgentRefusal::internal)?;
    let length = Length::of(request, most);
    if length.announced.is_some_and(|announced| announced != most) {
        return Err(wrong_length());
    }
    let mut hash = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    let (room, pace) = (hansard.limits.in_flight.room(grant.agent.as_str()), Pace::all_within(OF_AN_AGENT));
    let mut payload = payload.into_inner();
    let received = body::receive(&mut payload, length, pace, room, |piece| hash.update(piece)).await;
    let (bytes, held) = received.map_err(|not_received| match not_received {
        NotReceived::TooLong => wrong_length(),
        NotReceived::Broken => mismatch("the body did not arrive whole".to_owned()),
        NotReceived::TooSlow => mismatch("the body took too long to arrive".to_owned()),
        NotReceived::NoRoom(_) => not_received.into(),
    })?;
    if bytes.len() != most {
        return Err(wrong_length());
    }
    if hash.finish().as_ref() != grant.sha256.as_bytes() {
        return Err(mismatch("the body's SHA-256 is not that of the grant".to_owned()));
    }
    Ok((bytes.into(), held))
}
