//! The replay page and its assets, built from `console` and embedded in the program.

use actix_web::http::header::{self, EntityTag, IfNoneMatch};
use actix_web::web::{self, Header, Path, ServiceConfig};
use actix_web::{HttpResponse, HttpResponseBuilder};
use openapi::error_codes::ErrorCode;
use rust_embed::{Embed, EmbeddedFile};

use super::PAGE_PATH;
use crate::errors::ActionError;
use crate::http::shared_bytes::SharedBytes;

#[derive(Embed)]
#[folder = "../console/dist"]
struct Console;

/// What the page may load: only what this server sends. The player's terminal model is WebAssembly inside its script.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; \
     font-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

pub(super) fn configure(app: &mut ServiceConfig) {
    app.route(&format!("/{PAGE_PATH}/{{token}}"), web::get().to(page));
    app.route("/assets/{name}", web::get().to(asset));
}

/// The same page for every token, so that it tells nobody which recordings there are.
async fn page() -> Result<HttpResponse, ActionError> {
    let file = Console::get("replay.html")
        .ok_or_else(|| ActionError::unexpected("show the replay page", "it is not built in"))?;
    Ok(guarded(HttpResponse::Ok())
        .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(SharedBytes::from(file.data)))
}

/// Names of assets carry a hash of their content, so a browser may keep them for ever.
async fn asset(name: Path<String>, known: Header<IfNoneMatch>) -> Result<HttpResponse, ActionError> {
    let file = Console::get(&format!("assets/{name}")).ok_or(ErrorCode::ActionNotFound)?;
    let content_type = content_type(&name).ok_or(ErrorCode::ActionNotFound)?;
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
    use super::*;

    /// The headers of a reply that `console/README.md` does not list. An entity tag differs from build to build.
    fn unlisted(reply: &HttpResponse) -> Vec<String> {
        const README: &str = include_str!("../../../console/README.md");
        let readme = README.to_lowercase();
        let headers = reply.headers().iter().filter(|(name, _)| **name != header::ETAG);
        let lines = headers.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
        lines.filter(|line| !readme.contains(&format!("`{}`", line.to_lowercase()))).collect()
    }

    #[actix_web::test]
    async fn the_console_readme_lists_every_header_of_the_page_and_of_its_assets() {
        let page = page().await.unwrap();
        assert!(page.headers().contains_key(header::CONTENT_SECURITY_POLICY));
        assert_eq!(unlisted(&page), Vec::<String>::new());
        let names: Vec<_> =
            Console::iter().filter_map(|path| path.strip_prefix("assets/").map(str::to_owned)).collect();
        assert!(!names.is_empty());
        for name in names {
            let asset = asset(Path::from(name.clone()), Header(IfNoneMatch::Any)).await.unwrap();
            assert_eq!(unlisted(&asset), Vec::<String>::new(), "{name}");
        }
    }

    #[test]
    fn a_header_that_the_readme_does_not_list_is_found() {
        let reply = HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-transform")).finish();
        assert_eq!(unlisted(&reply), ["cache-control: no-transform"]);
    }
}
