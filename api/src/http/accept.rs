//! Whether a request is a person's visit with a browser. Such a visit gets a page where a program gets the wire's answer.

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap};

/// Whether a browser asks for a page: it reads, it proves nothing, and it lists HTML among what it accepts.
pub(crate) fn is_visit(request: &HttpRequest) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
        && !request.headers().contains_key(header::AUTHORIZATION)
        && lists_html(request.headers())
}

/// Whether HTML itself is accepted. A range such as `*/*`, which every program sends, does not count.
fn lists_html(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(header::ACCEPT).filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| parts(list, ',')).any(accepts_html)
}

fn accepts_html(range: &str) -> bool {
    let mut parts = parts(range, ';');
    let is_html = parts.next().is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case("text/html"));
    is_html && parts.all(|parameter| !refuses(parameter))
}

/// Whether a parameter of a range takes the range back: a weight of zero, or one that is no weight.
fn refuses(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return false };
    name.trim().eq_ignore_ascii_case("q") && !value.trim().parse::<f32>().is_ok_and(|weight| weight > 0.0)
}

/// The parts between separators that do not stand inside a quoted string.
fn parts(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    text.split(move |character: char| {
        let escaped = std::mem::take(&mut is_escaped);
        match character {
            '\\' if is_quoted && !escaped => is_escaped = true,
            '"' if !escaped => is_quoted = !is_quoted,
            _ => {}
        }
        character == separator && !is_quoted
    })
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn visit(accepts: &[&str]) -> bool {
        let request = accepts
            .iter()
            .fold(TestRequest::get(), |request, accept| request.append_header((header::ACCEPT, *accept)));
        is_visit(&request.to_http_request())
    }

    #[test]
    fn browsers_list_html() {
        for accepts in [
            &["text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"][..],
            &["TEXT/HTML"],
            &["application/json", "text/html"],
            &["application/json , text/html ; charset=utf-8 ; Q=0.001"],
            &["text/plain;note=\"a,b\", text/html"],
            &["text/html;q=0, text/html"],
        ] {
            assert!(visit(accepts), "{accepts:?}");
        }
    }

    #[test]
    fn programs_do_not() {
        for accepts in [
            &[][..],
            &[""],
            &["*/*"],
            &["text/*"],
            &["application/json"],
            &["text/html;q=0"],
            &["text/html; q=0.000", "application/json"],
            &["text/html;q=nonsense"],
            &["text/html;q=NaN"],
            &["text/htmlx, xtext/html"],
            &["text/plain;note=\"a, text/html\""],
            &["text/plain;note=\"a\\\", text/html\""],
        ] {
            assert!(!visit(accepts), "{accepts:?}");
        }
    }

    #[test]
    fn only_reading_without_a_proof_is_a_visit() {
        let request =
            |method| TestRequest::default().method(method).append_header((header::ACCEPT, "text/html"));
        assert!(is_visit(&request(Method::HEAD).to_http_request()));
        assert!(!is_visit(&request(Method::POST).to_http_request()));
        let proving = request(Method::GET).append_header((header::AUTHORIZATION, ""));
        assert!(!is_visit(&proving.to_http_request()));
    }
}
