//! The limit per address, for every request, including those for unknown paths. Calls of authenticated agents and
//! viewers do not count in the end ([`UnauthenticatedCaller::mark_authenticated`]); calls at `/` do.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, ResponseError as _};
use agent_protocol::AGENT_API_PREFIX;

use super::read;
use crate::agent_api;
use crate::errors::ActionError;
use crate::readiness::WATCHED;
use crate::road::unauthenticated::UnauthenticatedCaller;
use crate::state::Hansard;

/// The refusal of a call from an address that calls too often, in the words of the door that it came to.
pub(super) fn refuse(request: &HttpRequest) -> Option<HttpResponse> {
    let hansard = request.app_data::<Data<Hansard>>()?;
    if WATCHED.contains(&request.path()) {
        return None;
    }
    let throttled = UnauthenticatedCaller::of(request, hansard).admit().err()?;
    if request.path().strip_prefix(AGENT_API_PREFIX).is_some_and(|rest| rest.starts_with('/')) {
        return Some(agent_api::refuse_as(request, hansard, throttled));
    }
    // A query that cannot be read asks for no format.
    let _ = read::read_query(request);
    Some(ActionError::from(throttled).error_response())
}
