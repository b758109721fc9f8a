//! Renders replies: as JSON, or as XML if the call asks for it. Both with the exact content types that SDKs look for.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpResponse, body::BoxBody};
use quick_xml::Writer;
use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};
use serde::Serialize;
use serde_json::Value;

use crate::errors::{ActionError, Refusal};
use crate::http::request::RequestId;

/// As many bytes as nearly every reply has room in, but for those of lists.
const USUAL_LENGTH: usize = 1024;

/// The format of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Format {
    /// The default.
    #[default]
    Json,
    /// `Format=XML`, in any case.
    Xml,
}

impl Format {
    /// Reads the parameter `Format`.
    pub(crate) fn of(parameter: Option<&str>) -> Self {
        match parameter {
            Some(format) if format.eq_ignore_ascii_case("xml") => Self::Xml,
            _ => Self::Json,
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json;charset=utf-8",
            Self::Xml => "text/xml;charset=utf-8",
        }
    }

    fn text(
        self,
        root: &str,
        reply: &impl Serialize,
    ) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
        match self {
            Self::Json => {
                let mut text = Vec::with_capacity(USUAL_LENGTH);
                serde_json::to_writer(&mut text, reply)?;
                Ok(text)
            }
            Self::Xml => xml(root, &serde_json::to_value(reply)?),
        }
    }
}

/// The reply to a call that succeeded.
pub(crate) fn success(
    format: Format,
    action: &str,
    reply: &impl Serialize,
) -> Result<HttpResponse, ActionError> {
    let body = format
        .text(&format!("{action}Response"), reply)
        .map_err(|source| ActionError::unexpected("could not write a reply", source))?;
    Ok(response(StatusCode::OK, format, body))
}

/// The reply to a call that did not.
pub(crate) fn refusal(
    format: Format,
    refusal: &Refusal,
    request_id: &RequestId,
    host_id: &str,
) -> HttpResponse {
    let status = StatusCode::from_u16(refusal.wire.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let reply = refusal.body(request_id, host_id);
    // A struct of strings and booleans can always be written; if not, the status says enough.
    let body = format.text("Error", &reply).unwrap_or_default();
    let mut response = response(status, format, body);
    for (name, value) in refusal.headers() {
        response.headers_mut().insert(name, value);
    }
    response
}

fn response(status: StatusCode, format: Format, body: Vec<u8>) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((CONTENT_TYPE, format.content_type()))
        .insert_header((CACHE_CONTROL, "no-store"))
        .message_body(BoxBody::new(body))
        .unwrap_or_else(|_| HttpResponse::new(status))
}

/// A JSON value as XML: objects are elements of their names, and a list is one element for each of its items, all of
/// the list's name (DECISIONS G3).
fn xml(root: &str, value: &Value) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let mut writer = Writer::new(br#"<?xml version="1.0" encoding="UTF-8"?>"#.to_vec());
    element(&mut writer, root, value)?;
    Ok(writer.into_inner())
}

fn element(writer: &mut Writer<Vec<u8>>, name: &str, value: &Value) -> std::io::Result<()> {
    if let Value::Array(items) = value {
        return items.iter().try_for_each(|item| element(writer, name, item));
    }
    if value.is_null() {
        return Ok(());
    }
    writer.write_event(Event::Start(BytesStart::new(name)))?;
    match value {
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| element(writer, name, value))?,
        Value::String(text) => writer.write_event(Event::Text(BytesText::new(&writable(text))))?,
        other => writer.write_event(Event::Text(BytesText::new(&other.to_string())))?,
    }
    writer.write_event(Event::End(BytesEnd::new(name)))
}

/// XML has no way to write most control characters.
fn writable(text: &str) -> String {
    let allowed = |c| matches!(c, '\t' | '\n' | ' '..='\u{fffd}' | '\u{10000}'..);
    text.chars().map(|c| if allowed(c) { c } else { '\u{fffd}' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn text(value: &Value) -> String {
        String::from_utf8(xml("Root", value).unwrap()).unwrap()
    }

    #[test]
    fn lists_repeat_their_name() {
        let value = json!({ "A": [{ "B": 1 }, { "B": true }], "C": [], "D": null, "E": "x" });
        let expected =
            r#"<?xml version="1.0" encoding="UTF-8"?><Root><A><B>1</B></A><A><B>true</B></A><E>x</E></Root>"#;
        assert_eq!(text(&value), expected);
    }

    #[test]
    fn text_is_escaped() {
        let written = text(&json!({ "A": "<b>&\"'\u{0}\u{1b}\u{ffff}你\n" }));
        assert!(written.contains("<A>&lt;b&gt;&amp;"), "{written}");
        assert!(written.contains("\u{fffd}\u{fffd}\u{fffd}你\n</A>"), "{written}");
    }

    #[test]
    fn the_format_is_read_in_any_case() {
        assert_eq!(Format::of(Some("xMl")), Format::Xml);
        for other in [None, Some("json"), Some("JSON"), Some(""), Some("yaml")] {
            assert_eq!(Format::of(other), Format::Json);
        }
    }
}
