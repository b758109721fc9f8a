//! The pages for people and their assets, built from `console` and embedded in the program: the replay page, what a
//! browser sees at `/`, and what it sees where there is nothing. The last two are static and say nothing about this
//! deployment: no account, no version.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, EntityTag, HeaderValue, IfNoneMatch};
use actix_web::web::{self, Header, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use openapi::error_codes::ErrorCode;
use rust_embed::{Embed, EmbeddedFile};

use crate::errors::ActionError;
use crate::gateway::finish::REQUEST_ID;
use crate::http::accept::is_visit;
use crate::http::body;
use crate::http::request::Query;
use crate::http::shared_bytes::SharedBytes;
use crate::replay::PAGE_PATH;
use crate::road::Arrival;

#[derive(Embed)]
#[folder = "../console/dist"]
struct Console;

/// What the page may load: only what this server sends. The player's terminal model is WebAssembly inside its script.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; \
     font-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Registers the replay page and the assets of all pages.
pub(crate) fn configure(app: &mut ServiceConfig) {
    let replay = web::resource(format!("/{PAGE_PATH}/{{token}}"));
    app.service(replay.route(web::get().to(replay_page)).route(web::head().to(replay_page)));
    let assets = web::resource("/assets/{name}");
    app.service(assets.route(web::get().to(asset)).route(web::head().to(asset)));
}

/// The same page for every token, so that it tells nobody which recordings there are.
async fn replay_page() -> Result<HttpResponse, ActionError> {
    page("replay.html", StatusCode::OK)
}

/// What a person who opens the printed address sees; `None` for a call. A call has a query, a body or a proof, or comes
/// from a program, which does not list HTML.
pub(crate) fn first_page(request: &HttpRequest) -> Option<Result<HttpResponse, ActionError>> {
    let is_call = !Query::of(request).as_str().is_empty() || body::follows(request);
    (!is_call && is_visit(request)).then(|| page("welcome.html", StatusCode::OK))
}

/// Answers what no resource answers: a browser with a page, a program in the form of the wire.
pub(crate) async fn nothing_here(request: HttpRequest) -> Result<HttpResponse, ActionError> {
    if !is_visit(&request) {
        return Err(ErrorCode::ActionNotFound.into());
    }
    let mut page = page("not-found.html", StatusCode::NOT_FOUND)?;
    let arrival = Arrival::of(&request);
    let request_id = HeaderValue::from_str(arrival.request_id.as_str());
    // Without it, the reply would be rendered as a refusal of the wire.
    page.headers_mut().insert(
        REQUEST_ID,
        request_id.map_err(|error| ActionError::unexpected("could not name a request", error.to_string()))?,
    );
    Ok(page)
}

fn page(name: &str, status: StatusCode) -> Result<HttpResponse, ActionError> {
    let file =
        Console::get(name).ok_or_else(|| ActionError::unexpected("show a page", "it is not built in"))?;
    Ok(guarded(HttpResponse::build(status))
        .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(SharedBytes::from(file.data)))
}

/// Names of assets carry a hash of their content, so a browser may keep them for ever.
async fn asset(
    request: HttpRequest,
    name: Path<String>,
    known: Header<IfNoneMatch>,
) -> Result<HttpResponse, ActionError> {
    let found = Console::get(&format!("assets/{name}")).zip(content_type(&name));
    let Some((file, content_type)) = found else { return nothing_here(request).await };
    let tag = tag(&file);
    let unchanged = match &known.0 {
        IfNoneMatch::Any => false,
        IfNoneMatch::Items(tags) => tags.iter().any(|known| known.weak_eq(&tag)),
    };
    let mut reply = guarded(if unchanged { HttpResponse::NotModified() } else { HttpResponse::Ok() });
    reply
        .insert_header((header::ETAG, header::ETag(tag)))
        .insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .insert_header((header::CONTENT_TYPE, content_type));
    Ok(if unchanged { reply.finish() } else { reply.body(SharedBytes::from(file.data)) })
}

fn guarded(mut reply: HttpResponseBuilder) -> HttpResponseBuilder {
    reply
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header(("cross-origin-opener-policy", "same-origin"))
        .insert_header(("cross-origin-resource-policy", "same-origin"));
    reply
}

fn tag(file: &EmbeddedFile) -> EntityTag {
    EntityTag::new_strong(hex::encode(file.metadata.sha256_hash()))
}

fn content_type(name: &str) -> Option<&'static str> {
    Some(match name.rsplit_once('.')?.1 {
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    /// The headers of a reply that `console/README.md` does not list. An entity tag differs from build to build.
    fn unlisted(reply: &HttpResponse) -> Vec<String> {
        const README: &str = include_str!("../../console/README.md");
        let readme = README.to_lowercase();
        let headers = reply.headers().iter().filter(|(name, _)| **name != header::ETAG);
        let lines = headers.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
        lines.filter(|line| !readme.contains(&format!("`{}`", line.to_lowercase()))).collect()
    }

    #[actix_web::test]
    async fn the_console_readme_lists_every_header_of_the_pages_and_of_their_assets() {
        let pages: Vec<_> = Console::iter().filter(|path| path.ends_with(".html")).collect();
        assert_eq!(pages, ["not-found.html", "replay.html", "welcome.html"]);
        for name in pages {
            let page = page(&name, StatusCode::OK).unwrap();
            assert!(page.headers().contains_key(header::CONTENT_SECURITY_POLICY));
            assert_eq!(unlisted(&page), Vec::<String>::new(), "{name}");
        }
        let names: Vec<_> =
            Console::iter().filter_map(|path| path.strip_prefix("assets/").map(str::to_owned)).collect();
        assert!(!names.is_empty());
        for name in names {
            let request = TestRequest::get().to_http_request();
            let asset = asset(request, Path::from(name.clone()), Header(IfNoneMatch::Any)).await.unwrap();
            assert_eq!(unlisted(&asset), Vec::<String>::new(), "{name}");
        }
    }

    #[test]
    fn pages_hold_nothing_inline_and_load_nothing_from_elsewhere() {
        for name in Console::iter().filter(|path| path.ends_with(".html")) {
            let file = Console::get(&name).unwrap();
            let text = String::from_utf8(file.data.into_owned()).unwrap();
            for inline in ["<style", " style=", " onclick=", "javascript:", "http://", "https://"] {
                assert!(!text.contains(inline), "{name}: {inline}");
            }
            for script in text.split("<script").skip(1) {
                assert!(script.split_once('>').unwrap().0.contains(" src=\"/assets/"), "{name}: {script}");
            }
        }
    }

    #[test]
    fn a_header_that_the_readme_does_not_list_is_found() {
        let reply = HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-transform")).finish();
        assert_eq!(unlisted(&reply), ["cache-control: no-transform"]);
    }
}
