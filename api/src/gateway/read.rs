//! From HTTP to a [`SignedRequest`]: the body within its limit, the headers, the parameters of query and form.

use std::time::Duration;

use actix_web::http::{Method, header};
use actix_web::web::Payload;
use actix_web::{HttpMessage, HttpRequest};
use futures_util::StreamExt as _;
use openapi::error_codes::{ErrorCode, WireError};

use super::parameters::Channel;
use super::render::Format;
use super::signature::SignedRequest;
use crate::agent_api::body;

/// A body that has not arrived by then will not.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);

/// How much of a body that is too large is still read, so that its sender hears why it was refused instead of finding
/// the connection reset.
const DRAIN_LIMIT_BYTES: usize = 16 * 1024 * 1024;

const FORM: &str = "application/x-www-form-urlencoded";

pub(super) async fn read(
    http: &HttpRequest,
    payload: Payload,
    limit: usize,
) -> Result<SignedRequest, WireError> {
    let query = read_query(http);
    let body = tokio::time::timeout(BODY_TIMEOUT, read_body(payload, limit)).await.map_err(|_| {
        WireError::with_message(ErrorCode::MalformedRequest, "The body did not arrive in time.")
    })??;
    if !matches!(*http.method(), Method::GET | Method::POST) {
        return Err(ErrorCode::UnsupportedHttpMethod.into());
    }
    let form = if is_form(http) { Channel::parse(&body, "body")? } else { Channel::default() };
    Ok(SignedRequest {
        method: http.method().as_str().to_owned(),
        path: http.path().to_owned(),
        query: query?,
        form,
        headers: headers(http)?,
        body,
    })
}

/// The parameters of the query. Whatever is refused from here on is refused in the format that it asks for.
fn read_query(http: &HttpRequest) -> Result<Channel, WireError> {
    let query = Channel::parse(http.query_string().as_bytes(), "query")?;
    http.extensions_mut().insert(Format::of(query.get("Format")));
    Ok(query)
}

/// Reads away a call that is not looked at, so that its sender hears why, in the format that its query asks for.
pub(super) async fn discard(http: &HttpRequest, payload: Payload, limit: usize) {
    // One that cannot be read asks for no format.
    let _ = read_query(http);
    body::discard(&mut payload.into_inner(), limit, BODY_TIMEOUT).await;
}

async fn read_body(mut payload: Payload, limit: usize) -> Result<Vec<u8>, WireError> {
    let mut body = Vec::new();
    let mut total = 0_usize;
    while let Some(chunk) = payload.next().await {
        let chunk =
            chunk.map_err(|_| WireError::with_message(ErrorCode::MalformedRequest, "The body broke off."))?;
        total = total.saturating_add(chunk.len());
        if total <= limit {
            body.extend_from_slice(&chunk);
        } else if total > DRAIN_LIMIT_BYTES {
            break;
        }
    }
    if total > limit {
        let message = format!("The body is larger than {limit} bytes.");
        return Err(WireError::with_message(ErrorCode::RequestEntityTooLarge, message));
    }
    Ok(body)
}

/// Whether the body holds parameters. Any other body is signed and otherwise ignored.
fn is_form(http: &HttpRequest) -> bool {
    let content_type = http.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case(FORM))
}

fn headers(http: &HttpRequest) -> Result<Vec<(String, String)>, WireError> {
    let text = |(name, value): (&header::HeaderName, &header::HeaderValue)| {
        let value = std::str::from_utf8(value.as_bytes()).map_err(|_| {
            let message = format!("The value of the header {name} is not UTF-8.");
            WireError::with_message(ErrorCode::MalformedRequest, message)
        })?;
        Ok((name.as_str().to_owned(), value.to_owned()))
    };
    http.headers().iter().map(text).collect()
}
