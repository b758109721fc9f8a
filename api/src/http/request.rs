//! What every request carries, whatever it asks for: its id, and its query.

use std::fmt;
use std::sync::Arc;

use actix_web::{HttpMessage, HttpRequest};
use uuid::Uuid;
use uuid::fmt::Hyphenated;

/// The id of one request: an upper-case UUID. The outermost middleware makes it; it is in every reply's
/// `RequestId` and `x-acs-request-id`, in the audit row and in the log.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RequestId([u8; Hyphenated::LENGTH]);

impl RequestId {
    /// A fresh one.
    #[must_use]
    pub(crate) fn generate() -> Self {
        let mut text = [0; Hyphenated::LENGTH];
        Uuid::new_v4().hyphenated().encode_upper(&mut text);
        Self(text)
    }

    /// The text.
    #[must_use]
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("an id is of ASCII characters")
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({self})")
    }
}

/// The query of a request, as it was sent. The web framework never sees it ([`crate::http::connection`]), and Debug does not
/// show it: it holds passwords, tokens and signatures.
#[derive(Clone, Default)]
pub(crate) struct Query(Option<Arc<str>>);

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Query")
    }
}

impl From<Option<String>> for Query {
    fn from(text: Option<String>) -> Self {
        Self(text.map(Into::into))
    }
}

impl Query {
    /// The query that came with this request.
    #[must_use]
    pub(crate) fn of(request: &HttpRequest) -> Self {
        request.extensions().get::<Self>().cloned().unwrap_or_default()
    }

    /// The text behind the `?`; empty where there is none.
    #[must_use]
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }

    /// The target of a request with this path, as it was sent.
    #[must_use]
    pub(crate) fn target(&self, path: &str) -> String {
        match &self.0 {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        }
    }
}
