//! From HTTP to a [`SignedRequest`]: the head first, and then the body within its limit, once it is known whether it is
//! read and whose it is.

use std::net::IpAddr;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::{Method, header};
use actix_web::{HttpMessage, HttpRequest};
use domain::principal::Principal;
use openapi::error_codes::{ErrorCode, WireError};

use super::parameters::Channel;
use super::render::Format;
use super::signature::SignedRequest;
use crate::errors::ActionError;
use crate::http::body::{self, Length, NotReceived, Pace};
use crate::http::request::Query;
use crate::limits::in_flight::Held;
use crate::limits::unproven::Hold;
use crate::state::Hansard;

/// How long the body of an authenticated caller may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);

const FORM: &str = "application/x-www-form-urlencoded";

/// The head of a request, as one whose body is empty.
pub(super) fn head(http: &HttpRequest) -> Result<SignedRequest<'_>, WireError> {
    let query = read_query(http)?;
    if !matches!(*http.method(), Method::GET | Method::POST) {
        return Err(ErrorCode::UnsupportedHttpMethod.into());
    }
    Ok(SignedRequest {
        method: http.method().as_str(),
        path: http.path(),
        query,
        form: Channel::default(),
        headers: headers(http)?,
        body: Vec::new(),
    })
}

/// The parameters of the query. From here on refusals use the format that it asks for.
pub(super) fn read_query(http: &HttpRequest) -> Result<Channel, WireError> {
    let query = Channel::parse(Query::of(http).as_str().as_bytes(), "query")?;
    http.extensions_mut().insert(Format::of(query.get("Format")));
    Ok(query)
}

/// Reads the body of an authenticated caller, within the room for this principal.
pub(super) async fn body(
    http: &HttpRequest,
    payload: &mut Payload,
    hansard: &Hansard,
    principal: &Principal,
) -> Result<(Vec<u8>, Held), ActionError> {
    let length = Length::of(http, hansard.settings.call_limit_bytes);
    // All sessions of a role count as one, because the caller who assumes the role chooses their names.
    let room = hansard.limits.in_flight.room(&principal.policy_arn());
    let received = body::receive(payload, length, Pace::all_within(BODY_TIMEOUT), room, |_| {}).await;
    received.map_err(|not_received| refusal(not_received, length.most))
}

/// Reads a form whose parameters may identify the caller.
pub(super) async fn unauthenticated_form(
    http: &HttpRequest,
    address: Option<IpAddr>,
    payload: &mut Payload,
    hansard: &Hansard,
) -> Result<(Vec<u8>, Hold), ActionError> {
    let limit = hansard.settings.call_limit_bytes;
    let received = hansard.limits.unproven.receive(address, http, payload, limit).await;
    received.map_err(|not_received| refusal(not_received, limit))
}

fn refusal(not_received: NotReceived, limit: usize) -> ActionError {
    let (code, message) = match not_received {
        NotReceived::TooLong => {
            (ErrorCode::RequestEntityTooLarge, format!("The body is larger than {limit} bytes."))
        }
        NotReceived::Broken => (ErrorCode::MalformedRequest, "The body broke off.".to_owned()),
        NotReceived::TooSlow => (ErrorCode::MalformedRequest, "The body did not arrive in time.".to_owned()),
        NotReceived::NoRoom(full) => return full.into(),
    };
    ActionError::refused(code, message)
}

/// Whether the body holds parameters. Any other body is signed and otherwise ignored.
pub(super) fn is_form(http: &HttpRequest) -> bool {
    let content_type = http.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case(FORM))
}

fn headers(http: &HttpRequest) -> Result<Vec<(&str, &str)>, WireError> {
    let mut headers = Vec::with_capacity(http.headers().len());
    for (name, value) in http.headers() {
        let value = std::str::from_utf8(value.as_bytes()).map_err(|_| {
            let message = format!("The value of the header {name} is not UTF-8.");
            WireError::with_message(ErrorCode::MalformedRequest, message)
        })?;
        headers.push((name.as_str(), value));
    }
    Ok(headers)
}
