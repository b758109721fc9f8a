//! The way in of the RPC wire: read, authenticate, dispatch, reply. `/` takes every call, by GET and POST.

mod authenticate;
pub(crate) mod finish;
pub mod parameters;
mod read;
pub(crate) mod render;
pub mod signature;

use actix_web::web::{Data, Payload, ServiceConfig, resource, to};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use domain::actions::Product;

use crate::dispatch::{self, Call};
use crate::errors::ActionError;
use crate::request::{self, RequestId};
use crate::state::Hansard;
use crate::stranger::Stranger;
use crate::tally::Alike;
use crate::throttle::Throttled;
use render::Format;

/// Registers `/`.
pub(crate) fn configure(config: &mut ServiceConfig) {
    config.service(resource("/").route(to(answer)));
}

/// Answers one RPC call. An error is rendered by [`finish`], in the format that was asked for.
async fn answer(
    http: HttpRequest,
    payload: Payload,
    hansard: Data<Hansard>,
) -> Result<HttpResponse, ActionError> {
    let arrived_at = hansard.now();
    let (stranger, limit) = (Stranger::of(&http, &hansard), hansard.settings.call_limit_bytes);
    if let Err(throttled) = stranger.admit() {
        read::discard(&http, payload, limit).await;
        return Err(throttled.into());
    }
    let signed = read::read(&http, payload, limit).await.map_err(|error| stranger.refuse(error))?;
    let parameters = parameters::Channel::merged(&signed.query, &signed.form);
    let format = Format::of(parameters.get("Format").map(String::as_str));
    http.extensions_mut().insert(format);
    let claim = signature::Claim::read(&signed).map_err(|error| stranger.refuse(error))?;
    let authenticated = authenticate::authenticate(&hansard, &claim, arrived_at, &stranger).await?;
    let product = claim.version().ok().and_then(Product::of_version);
    hansard.store.note_key_used(&authenticated.access_key_id, arrived_at, product);
    // RegionId selects nothing; here it is recorded.
    http.extensions_mut().insert(finish::Asked {
        principal: authenticated.principal.arn(),
        action: claim.action().map(parameters::shown).unwrap_or_default(),
        region_id: parameters.get("RegionId").map(|region| parameters::shown(region)).unwrap_or_default(),
    });
    if let Err(throttled) = hansard.throttle.by_principal(&authenticated.principal) {
        stranger.count(Alike::principal(&authenticated.principal), Throttled::CODE);
        return Err(throttled.into());
    }
    let call = Call {
        hansard: &hansard,
        request_id: RequestId::of(&http),
        arrived_at,
        principal: authenticated.principal,
        access_key_id: authenticated.access_key_id,
        source_address: request::source_address(&http),
        secure_transport: request::secure_transport(&http),
        user_agent: request::user_agent(&http),
        format,
    };
    dispatch::dispatch(&call, claim.version(), claim.action(), &parameters).await
}
