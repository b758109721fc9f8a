//! Looking at a recording: the page, the exchange of a ticket for a session, and what the session may read
//! (DECISIONS P2, P3).
//!
//! ViewInstanceRecords issues a ticket ([`tickets`]). The page exchanges it, once, for a cookie that is valid for one
//! recording ([`exchange`]). Every read checks policies and expiry again ([`viewing`]) and is audited.

mod cast;
mod exchange;
mod facts;
mod objects;
mod session;
pub(crate) mod tickets;
mod viewing;

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::middleware::DefaultHeaders;
use actix_web::web::{self, ServiceConfig};
use openapi::error_codes::ErrorCode;

use crate::errors::ActionError;

/// Below this path lies everything about one recording.
pub(crate) const RECORDINGS_PATH: &str = "/replay/v1/recordings";
/// The replay page of a recording lies below this path.
pub(crate) const PAGE_PATH: &str = "view/instance/record/replay";

/// Says who ran the process that captured what a reply plays.
pub(crate) const RECORDER_HEADER: &str = "x-hansard-recorder";

/// Says whether more can arrive of what a reply plays: the recording's status, as lists have it.
pub(crate) const STATUS_HEADER: &str = "x-hansard-status";

/// Says which segment of what a reply plays is the first that has not arrived.
pub(crate) const NEXT_SEGMENT_HEADER: &str = "x-hansard-next-segment";

/// Says of each kind of shortfall how often it happened and when, as JSON without reasons; absent where that is not known.
pub(crate) const LEDGER_HEADER: &str = "x-hansard-ledger";

/// Adds the routes of replay.
pub(crate) fn configure(app: &mut ServiceConfig) {
    let resource = |path: &str| web::resource(path.to_owned()).default_service(web::to(no_such_method));
    let private = DefaultHeaders::new()
        .add((header::CACHE_CONTROL, "no-store"))
        .add((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .add((header::REFERRER_POLICY, "no-referrer"))
        .add((header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'; sandbox"));
    app.service(
        web::scope(RECORDINGS_PATH)
            .wrap(private)
            .service(resource("/{token}/exchange").route(web::post().to(exchange::post)))
            .service(resource("/{token}").route(web::get().to(facts::get)))
            .service(resource("/{token}/").route(web::get().to(facts::get)))
            .service(resource("/{token}/cast").route(web::get().to(cast::get_cast)))
            .service(resource("/{token}/cast/{first}").route(web::get().to(cast::get_cast_from)))
            .service(resource("/{token}/text").route(web::get().to(cast::get_text)))
            .service(resource("/{token}/events").route(web::get().to(cast::get_events)))
            .service(resource("/{token}/objects").route(web::get().to(objects::list)))
            .service(resource("/{token}/objects/{name:.*}").route(web::get().to(objects::get)))
            .default_service(web::to(no_such_call)),
    );
}

async fn no_such_call() -> Result<HttpResponse, ActionError> {
    Err(ErrorCode::ActionNotFound.into())
}

async fn no_such_method() -> Result<HttpResponse, ActionError> {
    Err(ErrorCode::UnsupportedHttpMethod.into())
}
