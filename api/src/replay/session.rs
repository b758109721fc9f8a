//! The replay session: a cookie that is valid for one recording, for at most an hour. Scripts cannot read it and
//! other sites cannot send it.

use actix_web::HttpRequest;
use actix_web::cookie::{Cookie, SameSite, time::Duration};
use domain::{TerminalSessionToken, Timestamp};
use openapi::error_codes::ErrorCode;
use serde::{Deserialize, Serialize};

use super::RECORDINGS_PATH;
use super::tickets::Viewer;
use crate::Hansard;
use crate::errors::ActionError;
use crate::signed_tokens::{self, Purpose};

/// How long a session lasts. It may outlive its recording: what has expired is refused as such at every read.
pub(crate) const SESSION_MILLIS: i64 = 3_600_000;

const COOKIE: &str = "hansard_replay";

/// A session's claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) viewer: Viewer,
}

impl Purpose for Session {
    const AUDIENCE: &'static str = "hansard-replay-session";
}

/// The cookie of a new session.
pub(crate) fn cookie(
    hansard: &Hansard,
    viewer: Viewer,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<Cookie<'static>, ActionError> {
    // No slash at the end: with one, browsers would not send it to the recording's own address.
    let path = format!("{RECORDINGS_PATH}/{}", viewer.recording);
    let signed = signed_tokens::issue(&hansard.keys, Session { viewer }, expires_at)
        .map_err(|error| ActionError::unexpected("sign a replay session", error))?;
    let seconds = (expires_at.as_millis() - now.as_millis()) / 1_000;
    Ok(Cookie::build(COOKIE, signed)
        .path(path)
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(hansard.settings.public_url.scheme() == "https")
        .max_age(Duration::seconds(seconds))
        .finish())
}

/// The session that the request's cookie stands for, for the recording in its path.
pub(crate) fn read(
    request: &HttpRequest,
    hansard: &Hansard,
    recording: &TerminalSessionToken,
) -> Result<Session, ActionError> {
    let required = || ActionError::from(ErrorCode::ReplaySessionRequired);
    let cookie = request.cookie(COOKIE).ok_or_else(required)?;
    let session: Session =
        signed_tokens::read(&hansard.keys, cookie.value(), hansard.now()).map_err(|_| required())?;
    if session.viewer.recording == *recording { Ok(session) } else { Err(required()) }
}
