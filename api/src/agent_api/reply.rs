//! What every reply of the agent API carries: the request's id, the server's time, and for errors the
//! contract's shape with `Retryable`.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue, HttpDate};
use actix_web::{HttpResponse, HttpResponseBuilder};
use agent_protocol::{AgentErrorCode, ErrorReply};
use domain::Timestamp;
use serde::Serialize;

use super::refusal::AgentRefusal;
use crate::Hansard;
use crate::errors::chain_of;
use crate::limits::throttle::Throttled;
use crate::road::Arrival;

const REQUEST_ID_HEADER: HeaderName = HeaderName::from_static("x-acs-request-id");

/// A success.
pub(crate) fn ok(arrival: &Arrival, reply: &impl Serialize) -> HttpResponse {
    start(arrival, StatusCode::OK).json(reply)
}

/// A refusal. An internal error is logged with its whole chain, under the id that the agent sees.
pub(crate) fn refused(hansard: &Hansard, arrival: &Arrival, refusal: &AgentRefusal) -> HttpResponse {
    let status = StatusCode::from_u16(refusal.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if refusal.code == AgentErrorCode::StorageTargetUnusable {
        tracing::warn!(request_id = %arrival.request_id, chain = %chain_of(refusal), "a recording waits in its agent's spool");
    } else if status.is_server_error() {
        tracing::error!(request_id = %arrival.request_id, chain = %chain_of(refusal), "a call of an agent failed");
    }
    let mut response = start(arrival, status);
    for header in refusal.throttled.into_iter().flat_map(Throttled::headers) {
        response.insert_header(header);
    }
    if let Some(pause) = refusal.retry_after {
        response.insert_header((header::RETRY_AFTER, pause.as_secs().max(1)));
    }
    response.json(ErrorReply {
        request_id: arrival.id(),
        host_id: hansard.settings.host_id.clone(),
        code: refusal.code.code().to_owned(),
        message: refusal.message.clone(),
        success: false,
        retryable: refusal.code.retryable(),
        expected_number: refusal.expected_number,
    })
}

/// Gives a reply that is made elsewhere the id of its request.
pub(crate) fn identify(arrival: &Arrival, headers: &mut HeaderMap) {
    let id = HeaderValue::from_str(arrival.request_id.as_str()).expect("an id is a UUID");
    headers.insert(REQUEST_ID_HEADER, id);
}

/// `Date` is the time by which tokens are checked, so that an agent can correct its clock by it.
fn start(arrival: &Arrival, status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response
        .insert_header((REQUEST_ID_HEADER, arrival.id()))
        .insert_header((header::DATE, http_date(arrival.at)))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::CONTENT_TYPE, "application/json;charset=utf-8"));
    response
}

fn http_date(at: Timestamp) -> HttpDate {
    let millis = u64::try_from(at.as_millis()).unwrap_or(0);
    HttpDate::from(std::time::UNIX_EPOCH + std::time::Duration::from_millis(millis))
}
