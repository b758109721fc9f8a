//! `POST /replay/v1/recordings/{token}/exchange`: a ticket becomes a session, once.

use std::time::Duration;

use actix_web::dev;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use domain::{TerminalSessionToken, Timestamp};
use futures_util::StreamExt as _;
use openapi::error_codes::{ErrorCode, WireError};
use persistence::NonceClaim;
use serde::{Deserialize, Serialize};

use super::session;
use super::tickets::Ticket;
use super::viewing::{Viewing, parse_token};
use crate::Hansard;
use crate::agent_api::body;
use crate::errors::ActionError;
use crate::signed_tokens::{self, TokenRefused};
use crate::stranger::Stranger;

/// A ticket is a few hundred bytes.
const BODY_LIMIT_BYTES: usize = 16 * 1024;

/// A body that has not arrived by then will not.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ExchangeRequest {
    ticket: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ExchangeReply {
    request_id: String,
    /// When the session ends.
    expire_time: String,
}

pub(crate) async fn post(
    request: HttpRequest,
    path: Path<String>,
    payload: Payload,
    hansard: Data<Hansard>,
) -> Result<HttpResponse, ActionError> {
    let stranger = Stranger::of(&request, &hansard);
    let mut payload = payload.into_inner();
    if let Err(throttled) = stranger.admit() {
        body::discard(&mut payload, BODY_LIMIT_BYTES, BODY_TIMEOUT).await;
        return Err(throttled.into());
    }
    let shown = show(&request, &path, payload, &hansard).await;
    let (token, ticket) = shown.map_err(|error| stranger.refuse(error))?;
    let now = hansard.now();
    let claim = NonceClaim { hash: ticket.nonce_hash(), expires_at: Ticket::remembered_until(now), now };
    let viewing = Viewing::new(&request, &hansard, ticket.viewer)?;
    // The ticket is genuine: whoever holds it, the row says that it was shown.
    if viewing.viewer().recording != token {
        return Err(viewing.refuse("exchange", ErrorCode::InvalidReplayTicket.into()).await);
    }
    match hansard.store.claim_nonce(claim).await {
        Ok(true) => {}
        Ok(false) => return Err(viewing.refuse("exchange", ErrorCode::ReplayTicketUsed.into()).await),
        Err(error) => return Err(viewing.refuse("exchange", error.into()).await),
    }
    viewing
        .look("exchange", async |viewing, _| {
            let expires_at = Timestamp::from_millis(now.as_millis() + session::SESSION_MILLIS);
            let cookie = session::cookie(&viewing.hansard, viewing.viewer().clone(), now, expires_at)?;
            Ok(HttpResponse::Ok().cookie(cookie).json(ExchangeReply {
                request_id: viewing.request_id.as_str().to_owned(),
                expire_time: expires_at.to_rfc3339_seconds(),
            }))
        })
        .await
}

/// The recording of the path, and the ticket of the body, which is one of ours and has not lapsed.
async fn show(
    request: &HttpRequest,
    path: &str,
    payload: dev::Payload,
    hansard: &Hansard,
) -> Result<(TerminalSessionToken, Ticket), ActionError> {
    let token = parse_token(path)?;
    check_origin(request.headers(), hansard)?;
    let asked = read_body(request.headers(), payload, BODY_TIMEOUT).await?;
    let ticket =
        signed_tokens::read(&hansard.keys, &asked.ticket, hansard.now()).map_err(
            |refused| match refused {
                TokenRefused::Invalid => ErrorCode::InvalidReplayTicket,
                TokenRefused::Expired => ErrorCode::ReplayTicketExpired,
            },
        )?;
    Ok((token, ticket))
}

/// Only our own pages may exchange in a browser; programs name no origin.
fn check_origin(headers: &HeaderMap, hansard: &Hansard) -> Result<(), ActionError> {
    let foreign = || {
        ActionError::refused(
            ErrorCode::MalformedRequest,
            "The exchange is for pages of this deployment only.",
        )
    };
    if let Some(site) = headers.get("sec-fetch-site") {
        return if matches!(site.as_bytes(), b"same-origin" | b"none") { Ok(()) } else { Err(foreign()) };
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let ours = hansard.settings.public_url.origin().ascii_serialization();
    if origin.as_bytes() == ours.as_bytes() { Ok(()) } else { Err(foreign()) }
}

async fn read_body(
    headers: &HeaderMap,
    mut payload: dev::Payload,
    within: Duration,
) -> Result<ExchangeRequest, ActionError> {
    let media_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_json =
        media_type.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
    if !is_json {
        // A form of another site can send anything but this.
        return Err(ActionError::refused(
            ErrorCode::MalformedRequest,
            "The exchange takes a JSON object in application/json.",
        ));
    }
    let mut body = Vec::new();
    let whole = async {
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| {
                ActionError::refused(ErrorCode::MalformedRequest, "The body did not arrive whole.")
            })?;
            if body.len() + chunk.len() > BODY_LIMIT_BYTES {
                return Err(ErrorCode::RequestEntityTooLarge.into());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(())
    };
    tokio::time::timeout(within, whole).await.unwrap_or_else(|_| {
        Err(ActionError::refused(ErrorCode::MalformedRequest, "The body did not arrive in time."))
    })?;
    // The parser's words could repeat the ticket, so they are not passed on.
    serde_json::from_slice(&body).map_err(|_| WireError::missing("Ticket").into())
}

#[cfg(test)]
mod tests {
    use actix_web::error::PayloadError;
    use actix_web::http::header::HeaderValue;
    use actix_web::web::Bytes;
    use futures_util::stream;

    use super::*;

    #[tokio::test]
    async fn a_body_that_stalls_is_given_up() {
        let first = stream::iter([Ok::<_, PayloadError>(Bytes::from_static(b"{"))]);
        let payload: dev::Payload =
            dev::Payload::Stream { payload: Box::pin(first.chain(stream::pending())) };
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let outcome = read_body(&headers, payload, Duration::from_millis(20)).await;
        let Err(refused) = outcome else { panic!("it was read") };
        assert_eq!(refused.wire().code(), ErrorCode::MalformedRequest);
    }
}
