//! `/agent/v1`: how agents enrol, learn their configuration, and deliver recordings (DECISIONS N1 to N4).

pub(crate) mod body;
mod call;
mod caller;
mod configuration;
mod document;
mod enrol;
mod examples;
mod grants;
mod link;
mod open;
mod own_recordings;
mod proof;
mod refusal;
mod reply;
mod reports;
mod seal;
mod segments;
mod single_use;
mod succession;
mod unrecorded;
mod uploads;

use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use agent_protocol::{AGENT_API_PREFIX, AgentErrorCode};
use domain::actions::{
    AcknowledgeSegment, Action as _, GrantUpload, OpenRecording, ReadAgentConfiguration,
    ReportUnrecordedSessions, SealRecording, TakeOverRecording,
};

pub use document::document;

use crate::Hansard;
use crate::road::Arrival;
use call::ActionOf;
use refusal::AgentRefusal;

/// Adds the routes of the agent API.
pub(crate) fn configure(app: &mut ServiceConfig) {
    let resource = |path: &str| web::resource(path.to_owned()).default_service(web::to(no_such_method));
    let of = |path: &str, action| resource(path).app_data(ActionOf(action));
    app.service(
        web::scope(AGENT_API_PREFIX)
            .service(resource("/enrol").route(web::post().to(enrol::post)))
            .service(
                of("/configuration", &ReadAgentConfiguration::ENTRY).route(web::get().to(configuration::get)),
            )
            .service(of("/link", &ReadAgentConfiguration::ENTRY).route(web::get().to(link::get)))
            .service(of("/recordings", &OpenRecording::ENTRY).route(web::post().to(open::post)))
            .service(
                of("/recordings/{token}/succession", &TakeOverRecording::ENTRY)
                    .route(web::post().to(succession::post)),
            )
            .service(
                of("/recordings/{token}/grants", &GrantUpload::ENTRY).route(web::post().to(grants::post)),
            )
            .service(
                of("/recordings/{token}/segments", &AcknowledgeSegment::ENTRY)
                    .route(web::post().to(segments::post)),
            )
            .service(of("/recordings/{token}/seal", &SealRecording::ENTRY).route(web::post().to(seal::post)))
            .service(
                of("/unrecorded-sessions", &ReportUnrecordedSessions::ENTRY)
                    .route(web::post().to(unrecorded::post)),
            )
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
    refuse(&request, &hansard, AgentErrorCode::MethodNotAllowed, "this call does not support this method")
}

fn refuse(request: &HttpRequest, hansard: &Hansard, code: AgentErrorCode, message: &str) -> HttpResponse {
    reply::refused(hansard, &Arrival::of(request), &AgentRefusal::new(code, message))
}

/// The refusal of a call before it comes to its resource.
pub(crate) fn refuse_as(
    request: &HttpRequest,
    hansard: &Hansard,
    why: impl Into<AgentRefusal>,
) -> HttpResponse {
    reply::refused(hansard, &Arrival::of(request), &why.into())
}
