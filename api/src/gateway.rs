//! The way in of the RPC wire: read, authenticate, dispatch, reply. `/` takes every call, by GET and POST. A person who
//! opens it with a browser sees a page.

mod authenticate;
mod decide;
pub(crate) mod finish;
pub mod parameters;
mod read;
pub(crate) mod render;
pub mod signature;
mod throttled;

use std::cell::RefCell;

use actix_web::web::{Data, Payload, ServiceConfig, resource, to};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};

use crate::errors::ActionError;
use crate::http::body;
use crate::pages;
use crate::readiness::NotReady;
use crate::road::unauthenticated::UnauthenticatedCaller;
use crate::road::{Arrival, Caller};
use crate::state::Hansard;
use authenticate::Authenticated;
use decide::Admitted;
use render::Format;
use signature::{Scheme, SignedRequest};

/// Where all calls come in.
const RESOURCE: &str = "/";

/// Registers it.
pub(crate) fn configure(config: &mut ServiceConfig) {
    config.service(resource(RESOURCE).route(to(answer)));
}

/// Answers one RPC call. An error is rendered by [`finish`], in the format that was asked for. A call that waits for a
/// database that is gone is given up: what it began there is finished or undone without it.
async fn answer(
    http: HttpRequest,
    payload: Payload,
    hansard: Data<Hansard>,
) -> Result<HttpResponse, ActionError> {
    let lost = hansard.reach.lost();
    tokio::select! {
        biased;
        answered = work(http, payload, hansard) => answered,
        () = lost => Err(NotReady::NoDatabase.into()),
    }
}

/// What only few calls do is boxed, here and in what this calls: the framework allocates and clears this future for each.
async fn work(
    http: HttpRequest,
    payload: Payload,
    hansard: Data<Hansard>,
) -> Result<HttpResponse, ActionError> {
    if let Some(page) = pages::first_page(&http) {
        return page;
    }
    let arrival = Arrival::of(&http);
    let arrived_at = arrival.at;
    let (sender, mut payload) = (UnauthenticatedCaller::new(arrival.clone(), &hansard), payload.into_inner());
    let deciding = hansard.store.deciding();
    let mut signed = read::head(&http).map_err(|error| sender.refuse(error))?;
    let has_form = body::follows(&http) && read::is_form(&http);
    let said_by_head = match signature::scheme_in_head(&signed).map_err(|error| sender.refuse(error))? {
        Some(Scheme::V3) => true,
        // It signs the parameters of a form.
        Some(Scheme::V1) => !has_form,
        None => false,
    };
    let mut held = None;
    if !said_by_head && has_form {
        // What was read from the head is dropped while an unauthenticated body arrives.
        drop(signed);
        let form =
            Box::pin(read::unauthenticated_form(&http, arrival.source_address, &mut payload, &hansard)).await;
        let (form, hold) = form.map_err(|error| sender.refuse(error))?;
        held = Some(hold);
        let whole = read::head(&http).and_then(|head| head.with_body(form, true));
        signed = whole.map_err(|error| sender.refuse(error))?;
        note_format(&http, &signed);
    }
    let mut claim = signature::Claim::read(&signed).map_err(|error| sender.refuse(error))?;
    let proven = authenticate::prove(&deciding, &claim, arrived_at, &sender).await?;
    drop(held);
    let whole;
    let (mut request, mut in_flight) = (&signed, None);
    // A body is read only for a caller who holds a key.
    if said_by_head && body::follows(&http) {
        let refuse = |error| sender.refuse_key(proven.account(), proven.id(), error);
        let body = Box::pin(read::body(&http, &mut payload, &hansard, proven.principal())).await;
        let (body, held) = body.map_err(refuse)?;
        in_flight = Some(held);
        whole = signed.clone().with_body(body, has_form).map_err(|error| refuse(error.into()))?;
        request = &whole;
        note_format(&http, request);
        claim = claim.of_whole(request);
    }
    let Authenticated { principal, access_key_id, single_use } =
        authenticate::admit(&claim, proven, arrived_at, &sender)?;
    single_use.refuse_known()?;
    let parameters = parameters::Channel::merged(&request.query, &request.form);
    let format = Format::of(parameters.get("Format").map(String::as_str));
    // RegionId selects nothing; here it is recorded.
    http.extensions_mut().insert(finish::LoggedCall {
        principal: principal.arn(),
        action: claim.action().map(parameters::shown).unwrap_or_default(),
        region_id: parameters.get("RegionId").map(|region| parameters::shown(region)).unwrap_or_default(),
    });
    let caller = Caller { arrival, principal, access_key: Some(access_key_id) };
    caller.admit(&hansard)?;
    let admitted = Admitted {
        hansard: &hansard,
        sender: &sender,
        claim: &claim,
        caller,
        format,
        parameters: &parameters,
        single_use,
        under: RefCell::default(),
    };
    let outcome = admitted.answer(&deciding).await;
    drop(in_flight);
    outcome
}

/// From here on refusals use the format that a form asks for.
fn note_format(http: &HttpRequest, signed: &SignedRequest<'_>) {
    if let Some(format) = signed.form.get("Format") {
        http.extensions_mut().insert(Format::of(Some(format)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A future of tens of kilobytes costs each call more than what it does.
    #[test]
    fn the_future_of_a_call_is_small() {
        fn bytes<A, B, C, F: Future>(_: impl Fn(A, B, C) -> F) -> usize {
            size_of::<F>()
        }
        let bytes = bytes(answer);
        assert!(bytes <= 6 * 1024, "{bytes}");
    }
}
