//! What every request carries, whatever it asks for: its id, and where it came from.

use std::fmt;
use std::future::{Ready, ready};
use std::net::IpAddr;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage, HttpRequest};

use crate::state::Hansard;
use crate::trusted_proxies::{Source, TrustedProxies};

/// The id of one request: an upper-case UUID. The outermost middleware makes it; it is in every reply's
/// `RequestId` and `x-acs-request-id`, in the audit row and in the log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RequestId(String);

impl RequestId {
    /// A fresh one.
    #[must_use]
    pub(crate) fn generate() -> Self {
        let mut buffer = uuid::Uuid::encode_buffer();
        Self(uuid::Uuid::new_v4().hyphenated().encode_upper(&mut buffer).to_owned())
    }

    /// The text.
    #[must_use]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The id that the outermost middleware gave to this request.
    #[must_use]
    pub(crate) fn of(request: &HttpRequest) -> Self {
        request.extensions().get::<Self>().cloned().unwrap_or_else(Self::generate)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromRequest for RequestId {
    type Error = std::convert::Infallible;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::of(request)))
    }
}

/// The address that the request comes from: the peer's, or what trusted proxies say.
pub(crate) fn source_address(request: &HttpRequest) -> Option<IpAddr> {
    source(request).address
}

/// The caller's program, as it names itself, cut at 256 characters; control characters become spaces.
pub(crate) fn user_agent(request: &HttpRequest) -> String {
    let text =
        request.headers().get(header::USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()));
    text.unwrap_or_default().chars().take(256).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Whether the request came over TLS, to us or to trusted proxies.
pub(crate) fn secure_transport(request: &HttpRequest) -> bool {
    source(request).secure_transport
}

fn source(request: &HttpRequest) -> Source {
    let peer = request.peer_addr().map(|address| address.ip());
    let secure = request.app_config().secure();
    match request.app_data::<Data<Hansard>>() {
        Some(hansard) => hansard.settings.trusted_proxies.source(peer, secure, request.headers()),
        None => TrustedProxies::default().source(peer, secure, request.headers()),
    }
}
