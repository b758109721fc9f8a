//! `POST /replay/v1/recordings/{token}/exchange`: a ticket becomes a session, once.

use actix_web::dev;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use domain::{TerminalSessionToken, Timestamp};
use openapi::error_codes::{ErrorCode, WireError};
use persistence::NonceClaim;
use serde::{Deserialize, Serialize};

use super::session;
use super::tickets::Ticket;
use super::viewing::{Viewing, parse_token};
use crate::Hansard;
use crate::errors::ActionError;
use crate::http::body::NotReceived;
use crate::road::Arrival;
use crate::road::unauthenticated::UnauthenticatedCaller;
use crate::signed_tokens::{self, TokenRefused};

/// A ticket is a few hundred bytes.
const BODY_LIMIT_BYTES: usize = 16 * 1024;

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
    let arrival = Arrival::of(&request);
    let sender = UnauthenticatedCaller::new(arrival.clone(), &hansard);
    let shown = show(&request, &arrival, &path, payload.into_inner(), &hansard).await;
    let (token, ticket) = shown.map_err(|error| sender.refuse(error))?;
    let now = arrival.at;
    let claim = NonceClaim { hash: ticket.nonce_hash(), expires_at: Ticket::remembered_until(now), now };
    let viewing = Viewing::new(&request, &hansard, ticket.viewer)?;
    // The ticket is genuine, so its use gets an audit row, whoever holds it.
    if viewing.viewer().recording != token {
        return Err(viewing.refuse("exchange", ErrorCode::InvalidReplayTicket.into()).await);
    }
    match hansard.store.claim_nonce(claim).await {
        // Only once: a used ticket must not allow calls without a limit either.
        Ok(true) => sender.mark_authenticated(),
        Ok(false) => return Err(viewing.refuse("exchange", ErrorCode::ReplayTicketUsed.into()).await),
        Err(error) => return Err(viewing.refuse("exchange", error.into()).await),
    }
    viewing
        .look("exchange", async |viewing, _| {
            let expires_at = Timestamp::from_millis(now.as_millis() + session::SESSION_MILLIS);
            let cookie = session::cookie(&viewing.hansard, viewing.viewer().clone(), now, expires_at)?;
            Ok(HttpResponse::Ok().cookie(cookie).json(ExchangeReply {
                request_id: viewing.request_id(),
                expire_time: expires_at.to_rfc3339_seconds(),
            }))
        })
        .await
}

/// The recording of the path, and the ticket of the body, which is one of ours and has not lapsed.
async fn show(
    request: &HttpRequest,
    arrival: &Arrival,
    path: &str,
    payload: dev::Payload,
    hansard: &Hansard,
) -> Result<(TerminalSessionToken, Ticket), ActionError> {
    let token = parse_token(path)?;
    check_origin(request.headers(), hansard)?;
    let asked = read_body(request, arrival, payload, hansard).await?;
    let ticket =
        signed_tokens::read(&hansard.keys, &asked.ticket, arrival.at).map_err(|refused| match refused {
            TokenRefused::Invalid => ErrorCode::InvalidReplayTicket,
            TokenRefused::Expired => ErrorCode::ReplayTicketExpired,
        })?;
    Ok((token, ticket))
}

/// Only our own pages may exchange in a browser; programs name no origin.
fn check_origin(headers: &HeaderMap, hansard: &Hansard) -> Result<(), ActionError> {
    let foreign = || {
        ActionError::refused(
            ErrorCode::MalformedRequest,
            "Only pages of this deployment can exchange a ticket.",
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
    request: &HttpRequest,
    arrival: &Arrival,
    mut payload: dev::Payload,
    hansard: &Hansard,
) -> Result<ExchangeRequest, ActionError> {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    let media_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_json =
        media_type.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
    if !is_json {
        // A form on another site cannot send this type.
        return Err(ActionError::refused(
            ErrorCode::MalformedRequest,
            "The exchange takes a JSON object in application/json.",
        ));
    }
    let refused = |why| ActionError::refused(ErrorCode::MalformedRequest, why);
    let received = hansard
        .limits
        .unproven
        .receive(arrival.source_address, request, &mut payload, BODY_LIMIT_BYTES)
        .await;
    let (body, _held) = received.map_err(|not_received| match not_received {
        NotReceived::TooLong => ErrorCode::RequestEntityTooLarge.into(),
        NotReceived::Broken => refused("The body did not arrive whole."),
        NotReceived::TooSlow => refused("The body did not arrive in time."),
        NotReceived::NoRoom(full) => full.into(),
    })?;
    // The parser's message could repeat the ticket, so it is not passed on.
    serde_json::from_slice(&body).map_err(|_| WireError::missing("Ticket").into())
}
