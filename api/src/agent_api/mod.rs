//! `/agent/v1`: how agents enrol, learn their configuration, and deliver recordings (DECISIONS N1 to N4).

mod body;
mod call;
mod configuration;
mod document;
mod enrol;
mod grants;
mod link;
mod open;
mod place;
mod proof;
mod refusal;
mod reply;
mod seal;
mod segments;
mod uploads;

use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use agent_protocol::{AGENT_API_PREFIX, AgentErrorCode};

pub use document::document;

use crate::Hansard;
use refusal::AgentRefusal;
use reply::Envelope;

/// Adds the routes of the agent API.
pub(crate) fn configure(app: &mut ServiceConfig) {
    let resource = |path: &str| web::resource(path.to_owned()).default_service(web::to(no_such_method));
    app.service(
        web::scope(AGENT_API_PREFIX)
            .service(resource("/enrol").route(web::post().to(enrol::post)))
            .service(resource("/configuration").route(web::get().to(configuration::get)))
            .service(resource("/link").route(web::get().to(link::get)))
            .service(resource("/recordings").route(web::post().to(open::post)))
            .service(resource("/recordings/{token}/grants").route(web::post().to(grants::post)))
            .service(resource("/recordings/{token}/segments").route(web::post().to(segments::post)))
            .service(resource("/recordings/{token}/seal").route(web::post().to(seal::post)))
            .service(resource("/uploads/{token}/{name:.*}").route(web::put().to(uploads::put)))
            .service(resource("/openapi.json").route(web::get().to(document::get)))
            .default_service(web::to(no_such_call)),
    );
}

async fn no_such_call(request: HttpRequest, hansard: Data<Hansard>) -> HttpResponse {
    refuse(
        &request,
        &hansard,
        AgentErrorCode::NotFound,
        "there is no such call; /agent/v1/openapi.json lists them",
    )
}

async fn no_such_method(request: HttpRequest, hansard: Data<Hansard>) -> HttpResponse {
    refuse(&request, &hansard, AgentErrorCode::MethodNotAllowed, "the call exists, but not with this method")
}

fn refuse(request: &HttpRequest, hansard: &Hansard, code: AgentErrorCode, message: &str) -> HttpResponse {
    reply::refused(&Envelope::of(request, hansard), &AgentRefusal::new(code, message))
}
