//! What describes and watches the service: its OpenAPI documents, Swagger UI from the program itself, and `/healthz`.

use std::collections::BTreeMap;
use std::iter;
use std::sync::Arc;

use actix_web::http::header;
use actix_web::web::{self, Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use domain::actions::Product;
use openapi::documents::{document_text, file_name};
use openapi::error_codes::ErrorCode;
use persistence::AuditExport;
use serde_json::json;
use utoipa_swagger_ui::{Config, Url};

use crate::agent_api;
use crate::errors::ActionError;
use crate::http::shared_bytes::SharedBytes;
use crate::pages;
use crate::state::Hansard;

/// The document of ecs-workbench, which is the API's heart; those of all products lie below `/openapi/`.
const WORKBENCH: &str = "/openapi.json";
/// The document of a product of the wire, by its file's name.
const PRODUCT: &str = "/openapi/{file}";
/// The document of the agents' API.
const AGENT: &str = "/openapi/agent-v1.json";

/// Swagger UI loads nothing from elsewhere. It styles its own elements, hence the exception.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Registers the documents, Swagger UI and `/healthz`.
pub(crate) fn configure(config: &mut ServiceConfig) {
    let urls = [
        Url::new("ecs-workbench 2022-02-20", "/openapi/ecs-workbench-2022-02-20.json"),
        Url::new("RAM 2015-05-01", "/openapi/ram-2015-05-01.json"),
        Url::new("STS 2015-04-01", "/openapi/sts-2015-04-01.json"),
        Url::new("agent API v1", AGENT),
    ];
    let texts = Texts {
        products: Product::ALL
            .iter()
            .copied()
            .map(|product| (file_name(product), document_text(product).into()))
            .collect(),
        agent: agent_api::document().into(),
    };
    // Swagger UI cannot sign a call, so that it offers none; the documents say how to make one.
    let swagger_ui =
        Config::new(urls).try_it_out_enabled(false).supported_submit_methods(iter::empty::<String>());
    config
        .app_data(Data::from(Arc::new(swagger_ui)))
        .app_data(Data::new(texts))
        .service(web::resource(WORKBENCH).route(web::get().to(workbench)))
        .service(web::resource(AGENT).route(web::get().to(agent)))
        .service(web::resource(PRODUCT).route(web::get().to(product)))
        .service(web::resource("/docs").route(web::get().to(swagger_without_slash)))
        .service(web::resource("/docs/{file:.*}").route(web::get().to(swagger)))
        .service(web::resource("/healthz").route(web::get().to(healthz)));
}

/// The documents, printed once.
struct Texts {
    /// By the name of the file.
    products: BTreeMap<&'static str, web::Bytes>,
    agent: web::Bytes,
}

impl Texts {
    fn of(&self, file: &str) -> Option<HttpResponse> {
        let text = self.products.get(file)?;
        Some(guarded().content_type("application/json").body(SharedBytes::from(text.clone())))
    }
}

async fn workbench(texts: Data<Texts>) -> Result<HttpResponse, ActionError> {
    texts.of(file_name(Product::Workbench)).ok_or_else(|| ErrorCode::ActionNotFound.into())
}

async fn product(
    request: HttpRequest,
    file: Path<String>,
    texts: Data<Texts>,
) -> Result<HttpResponse, ActionError> {
    match texts.of(&file) {
        Some(document) => Ok(document),
        None => pages::nothing_here(request).await,
    }
}

async fn agent(texts: Data<Texts>) -> HttpResponse {
    guarded().content_type("application/json").body(SharedBytes::from(texts.agent.clone()))
}

/// The page's own links are relative, so that it must be opened with the slash; nothing here redirects.
async fn swagger_without_slash() -> HttpResponse {
    guarded().content_type("text/html; charset=utf-8").body(
        "<!DOCTYPE html><title>Hansard</title><p>The API's documents are at <a href=\"/docs/\">/docs/</a>.",
    )
}

async fn swagger(
    request: HttpRequest,
    file: Path<String>,
    config: Data<Config<'static>>,
) -> Result<HttpResponse, ActionError> {
    let found = utoipa_swagger_ui::serve(&file, config.into_inner())
        .map_err(|error| ActionError::unexpected("could not serve Swagger UI", error.to_string()))?;
    let Some(found) = found else { return pages::nothing_here(request).await };
    let mut response = guarded();
    if found.gzpipped {
        response.insert_header((header::CONTENT_ENCODING, "gzip"));
    }
    Ok(response.content_type(found.content_type).body(SharedBytes::from(found.bytes)))
}

fn guarded() -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"));
    response
}

/// 200 while it serves, whatever becomes of the database, which `Database` says: to end a process whose database is gone
/// would end its agents' links and bring nothing back. `AuditExport` says whether exported audit files are up to date: `ok`,
/// `behind` while they cannot be written (calls go on, for the rows are in the database), or `off`.
async fn healthz(hansard: Data<Hansard>) -> HttpResponse {
    let database = if hansard.database_answers().await { "ok" } else { "not answering" };
    let audit_export = match hansard.store.audit_export() {
        AuditExport::Off => "off",
        AuditExport::Current => "ok",
        AuditExport::Behind => "behind",
    };
    let health = json!({ "Status": "ok", "Database": database, "AuditExport": audit_export });
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(health)
}
