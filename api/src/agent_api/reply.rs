//! What every reply of the agent API carries: the request's id, the server's time, and for errors the
//! contract's shape with `Retryable`.

use std::net::IpAddr;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue, HttpDate};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use agent_protocol::ErrorReply;
use domain::audit::{AuditDecision, AuditEvent};
use domain::gate::{RequestFacts, Resource};
use domain::principal::Principal;
use domain::{TerminalSessionToken, Timestamp};
use serde::Serialize;

use super::refusal::AgentRefusal;
use crate::Hansard;
use crate::errors::chain_of;
use crate::request::{self, RequestId};
use crate::throttle::Throttled;

const REQUEST_ID_HEADER: HeaderName = HeaderName::from_static("x-acs-request-id");

/// What is known of a call before anybody is authenticated.
#[derive(Debug, Clone)]
pub(crate) struct Envelope {
    pub(crate) request_id: RequestId,
    pub(crate) host_id: String,
    pub(crate) arrived_at: Timestamp,
    source_address: Option<IpAddr>,
    secure_transport: bool,
    user_agent: String,
}

impl Envelope {
    pub(crate) fn of(request: &HttpRequest, hansard: &Hansard) -> Self {
        Self {
            request_id: RequestId::of(request),
            host_id: hansard.settings.host_id.clone(),
            arrived_at: hansard.now(),
            source_address: request::source_address(request),
            secure_transport: request::secure_transport(request),
            user_agent: request::user_agent(request),
        }
    }

    /// The id as replies carry it.
    pub(crate) fn id(&self) -> String {
        self.request_id.as_str().to_owned()
    }

    /// What the call brings to the gate.
    pub(crate) fn facts(&self) -> RequestFacts {
        RequestFacts {
            now: self.arrived_at,
            source_address: self.source_address,
            secure_transport: self.secure_transport,
            multi_factor: false,
        }
    }

    /// The final audit row of a call.
    #[allow(clippy::too_many_arguments)] // One row has that many columns; a struct would name them twice.
    pub(crate) fn audit_event(
        &self,
        principal: &Principal,
        action: &str,
        resource: &Resource,
        decision: AuditDecision,
        result: &str,
        recording: Option<&TerminalSessionToken>,
        how: &str,
    ) -> AuditEvent {
        AuditEvent {
            request_id: self.id(),
            at: self.arrived_at,
            account: principal.account().clone(),
            principal: principal.arn(),
            access_key_id: None,
            action: action.to_owned(),
            resource: resource.arn(principal.account()),
            decision,
            result: result.to_owned(),
            source_address: self.source_address,
            user_agent: self.user_agent.clone(),
            recording: recording.map(ToString::to_string),
            how: how.to_owned(),
        }
    }
}

/// A success.
pub(crate) fn ok(envelope: &Envelope, reply: &impl Serialize) -> HttpResponse {
    start(envelope, StatusCode::OK).json(reply)
}

/// A refusal. A fault of ours is written to the log with its whole chain, under the id that the agent sees.
pub(crate) fn refused(envelope: &Envelope, refusal: &AgentRefusal) -> HttpResponse {
    let status = StatusCode::from_u16(refusal.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status.is_server_error() {
        tracing::error!(request_id = %envelope.request_id, chain = %chain_of(refusal), "a call of an agent failed");
    }
    let mut response = start(envelope, status);
    for header in refusal.throttled.into_iter().flat_map(Throttled::headers) {
        response.insert_header(header);
    }
    response.json(ErrorReply {
        request_id: envelope.id(),
        host_id: envelope.host_id.clone(),
        code: refusal.code.code().to_owned(),
        message: refusal.message.clone(),
        success: false,
        retryable: refusal.code.retryable(),
        expected_number: refusal.expected_number,
    })
}

/// Gives a reply that is made elsewhere the id of its request.
pub(crate) fn identify(envelope: &Envelope, headers: &mut HeaderMap) {
    let id = HeaderValue::from_str(envelope.request_id.as_str()).expect("an id is a UUID");
    headers.insert(REQUEST_ID_HEADER, id);
}

/// `Date` is the time by which tokens are checked, so that an agent can correct its clock by it.
fn start(envelope: &Envelope, status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response
        .insert_header((REQUEST_ID_HEADER, envelope.id()))
        .insert_header((header::DATE, http_date(envelope.arrived_at)))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::CONTENT_TYPE, "application/json;charset=utf-8"));
    response
}

fn http_date(at: Timestamp) -> HttpDate {
    let millis = u64::try_from(at.as_millis()).unwrap_or(0);
    HttpDate::from(std::time::UNIX_EPOCH + std::time::Duration::from_millis(millis))
}
