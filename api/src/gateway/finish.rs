//! The outermost middleware. It gives every request its id, renders every refusal in the contract's shape (including
//! those of the web framework), catches panics, enforces the limit per address, and writes one line to the log. The
//! line names the resource by its pattern, because queries and the paths of upload grants hold secrets.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use actix_http::ConnectionType;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage, HttpResponse, ResponseError};
use futures_util::FutureExt as _;
use openapi::error_codes::{ErrorCode, WireError};

use super::render::{self, Format};
use super::throttled;
use crate::errors::{Refusal, text_of_panic};
use crate::http::request::RequestId;
use crate::limits::connections::Slot;
use crate::readiness::{self, WATCHED};
use crate::road::Arrival;
use crate::state::Hansard;

/// The header of every reply that says which request it answers. A resource that renders its refusals itself sets it.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-acs-request-id");

/// What an authenticated call asked for, for the log.
#[derive(Debug, Clone, Default)]
pub(crate) struct LoggedCall {
    /// Who.
    pub(crate) principal: String,
    /// Which action.
    pub(crate) action: String,
    /// The region that the caller named.
    pub(crate) region_id: String,
}

/// Wraps everything that the server answers.
pub(crate) async fn finish(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let began = Instant::now();
    let log = RequestLog { request_id: RequestId::generate(), method: request.method().clone(), began };
    let hansard = request.app_data::<Data<Hansard>>().cloned();
    let host_id = hansard.as_ref().map_or("", |hansard| hansard.settings.host_id.as_str());
    if let Some(hansard) = &hansard {
        Arrival::note(request.request(), hansard, log.request_id);
    }

    // From here on the connection counts as being answered.
    let answering = request.conn_data::<Arc<Slot>>().map(Slot::answer);
    if let Some(answering) = &answering {
        request.extensions_mut().insert(answering.take_query());
        let payload = answering.payload(request.take_payload());
        request.set_payload(payload);
    }
    let answered = |mut response: ServiceResponse| {
        if sends_away(&response) {
            response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
        }
        match answering {
            Some(answering) => response.map_body(|_, body| answering.body(body)),
            None => response,
        }
    };
    if let Some(refused) = throttled::refuse(request.request()) {
        return Ok(answered(log.finished(request.into_response(refused), host_id)));
    }
    if let Some(refused) = readiness::refuse(request.request()) {
        return Ok(answered(log.finished(request.into_response(refused), host_id)));
    }
    let outcome = AssertUnwindSafe(async move { next.call(request).await }).catch_unwind().await;
    let response = match outcome {
        Ok(Ok(response)) => response.map_into_boxed_body(),
        Ok(Err(error)) => {
            let refusal = refusal_of(&error.error_response(), Some(&error))
                .unwrap_or_else(|| ErrorCode::InternalError.into());
            return Err(log.broken(&refusal, host_id));
        }
        Err(panic) => {
            let refusal = Refusal { chain: Some(text_of_panic(&*panic)), ..ErrorCode::InternalError.into() };
            return Err(log.broken(&refusal, host_id));
        }
    };
    Ok(answered(log.finished(response, host_id)))
}

/// Whether this is the last reply on its connection, because this replica ends. Links have an end of their own.
fn sends_away(response: &ServiceResponse) -> bool {
    response.status() != StatusCode::SWITCHING_PROTOCOLS
        && response.request().app_data::<Data<Hansard>>().is_some_and(|hansard| hansard.sends_callers_away())
}

/// What the log says about a request.
struct RequestLog {
    request_id: RequestId,
    method: Method,
    began: Instant,
}

impl RequestLog {
    fn finished(&self, mut response: ServiceResponse, host_id: &str) -> ServiceResponse {
        let call = response.request().extensions_mut().remove::<LoggedCall>();
        // All calls have one resource, and it need not be looked for.
        let pattern = if call.is_some() { None } else { response.request().match_pattern() };
        let resource = call.as_ref().map(|_| super::RESOURCE).or(pattern.as_deref());
        let about = About { resource, call: call.as_ref() };
        // Resources that render their own refusals have added the id already.
        if response.headers().contains_key(&REQUEST_ID) {
            self.write(&about, response.status(), None);
            return response;
        }
        if let Some(refusal) = refusal_of(response.response(), response.response().error()) {
            let format = response.request().extensions().get::<Format>().copied().unwrap_or_default();
            let mut rendered = self.rendered(format, &refusal, host_id);
            self.write(&about, rendered.status(), Some(&refusal));
            // Headers that a resource sets on all its replies, such as those against caching, apply to refusals too.
            for (name, value) in response.headers() {
                if !rendered.headers().contains_key(name) {
                    rendered.headers_mut().append(name.clone(), value.clone());
                }
            }
            return response.into_response(rendered);
        }
        self.write(&about, response.status(), None);
        self.sign(response.response_mut());
        response
    }

    /// A request of which nothing but the refusal is left.
    fn broken(&self, refusal: &Refusal, host_id: &str) -> Error {
        let rendered = self.rendered(Format::Json, refusal, host_id);
        self.write(&About::default(), rendered.status(), Some(refusal));
        Broken(std::cell::RefCell::new(Some(rendered))).into()
    }

    fn rendered(&self, format: Format, refusal: &Refusal, host_id: &str) -> HttpResponse {
        let mut rendered = render::refusal(format, refusal, &self.request_id, host_id);
        self.sign(&mut rendered);
        rendered
    }

    fn sign(&self, response: &mut HttpResponse) {
        if let Ok(id) = HeaderValue::from_str(self.request_id.as_str()) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
    }

    fn write(&self, about: &About<'_>, status: StatusCode, refusal: Option<&Refusal>) {
        let Self { request_id, method, began } = self;
        let method = method.as_str();
        let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (resource, status) = (about.resource.unwrap_or("none"), status.as_u16());
        let code = refusal.map(|refusal| refusal.wire.code_text()).unwrap_or_default();
        let chain = refusal.and_then(|refusal| refusal.chain.as_deref());
        let (principal, action, region_id) =
            about.call.map(|call| (&*call.principal, &*call.action, &*call.region_id)).unwrap_or_default();
        match chain {
            Some(chain) => {
                tracing::error!(%request_id, method, resource, principal, action, status, code, millis, chain, "failed");
            }
            // A caller who calls too often must not fill the log as well; the audit trail has the count.
            None if status == 429 => {
                tracing::debug!(%request_id, method, principal, action, status, code, millis, "answered");
            }
            // Health checks come every few seconds, and are not limited.
            None if status == 200 && WATCHED.contains(&resource) => {
                tracing::debug!(%request_id, method, resource, status, millis, "answered");
            }
            None if about.call.is_some() => {
                tracing::info!(%request_id, method, principal, action, region_id, status, code, millis, "answered");
            }
            None => tracing::info!(%request_id, method, resource, status, code, millis, "answered"),
        }
    }
}

/// What a line of the log is about.
#[derive(Default)]
struct About<'a> {
    /// The pattern of the resource.
    resource: Option<&'a str>,
    call: Option<&'a LoggedCall>,
}

/// The refusal that a response stands for; `None` for one that is no error.
fn refusal_of(response: &HttpResponse, error: Option<&Error>) -> Option<Refusal> {
    if let Some(refusal) = response.extensions().get::<Refusal>() {
        return Some(refusal.clone());
    }
    let status = response.status();
    let code = match status.as_u16() {
        ..400 => return None,
        404 => ErrorCode::ActionNotFound,
        405 => ErrorCode::UnsupportedHttpMethod,
        413 | 414 | 431 => ErrorCode::RequestEntityTooLarge,
        429 => ErrorCode::ThrottlingUser,
        503 => ErrorCode::ServiceUnavailable,
        400..500 => ErrorCode::MalformedRequest,
        _ => ErrorCode::InternalError,
    };
    let chain = status
        .is_server_error()
        .then(|| error.map_or_else(|| "a reply without a reason".to_owned(), ToString::to_string));
    Some(Refusal { chain, ..WireError::new(code).into() })
}

/// Carries a finished response through the framework's error path.
#[derive(Debug)]
struct Broken(std::cell::RefCell<Option<HttpResponse>>);

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the request could not be answered")
    }
}

impl ResponseError for Broken {
    fn error_response(&self) -> HttpResponse {
        self.0.take().unwrap_or_else(|| HttpResponse::new(StatusCode::INTERNAL_SERVER_ERROR))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::dev::Service;
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, call_service, init_service, read_body};
    use actix_web::{App, web};
    use serde_json::Value;

    use super::*;
    use crate::errors::ActionError;
    use crate::pages::nothing_here;

    async fn panics() -> HttpResponse {
        panic!("the secret reason")
    }

    async fn fails() -> Result<HttpResponse, ActionError> {
        Err(ActionError::unexpected("could not do it", "the secret reason"))
    }

    async fn takes_json(_: web::Json<Value>) -> HttpResponse {
        HttpResponse::Ok().finish()
    }

    async fn bare() -> HttpResponse {
        HttpResponse::BadGateway().body("the secret reason")
    }

    fn check(head: (u16, Option<&HeaderValue>), body: &[u8], status: u16, code: &str) {
        let body: Value = serde_json::from_slice(body).unwrap();
        assert_eq!((head.0, body["Code"].as_str()), (status, Some(code)));
        assert_eq!(head.1.and_then(|id| id.to_str().ok()), body["RequestId"].as_str());
        assert!(!body.to_string().contains("secret"), "{body}");
    }

    #[actix_web::test]
    async fn every_failure_has_the_contracts_shape_and_reveals_no_reason() {
        let app = App::new()
            .wrap(from_fn(finish))
            .service(web::resource("/panics").route(web::get().to(panics)))
            .service(web::resource("/fails").route(web::get().to(fails)))
            .service(web::resource("/json").route(web::post().to(takes_json)))
            .service(web::resource("/bare").route(web::get().to(bare)))
            .default_service(web::to(nothing_here));
        let app = init_service(app).await;
        for (request, status, code) in [
            (TestRequest::get().uri("/fails"), 500, "InternalError"),
            (TestRequest::get().uri("/bare"), 500, "InternalError"),
            (TestRequest::post().uri("/json").set_payload("{"), 400, "InvalidParameter"),
            (TestRequest::get().uri("/json"), 405, "UnsupportedHTTPMethod"),
            (TestRequest::get().uri("/elsewhere"), 404, "InvalidAction.NotFound"),
        ] {
            let response = call_service(&app, request.to_request()).await;
            let head = (response.status().as_u16(), response.headers().get(&REQUEST_ID).cloned());
            check((head.0, head.1.as_ref()), &read_body(response).await, status, code);
        }
        let error = app.call(TestRequest::get().uri("/panics").to_request()).await.map(|_| ()).unwrap_err();
        let response = error.error_response();
        let head = (response.status().as_u16(), response.headers().get(&REQUEST_ID).cloned());
        let body = actix_web::body::to_bytes(response.into_body()).await.unwrap();
        check((head.0, head.1.as_ref()), &body, 500, "InternalError");
    }
}
