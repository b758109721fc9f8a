//! The client's side of both signatures, written independently of the verifier.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::Timestamp;

use crate::http::Request;

/// An access key.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: String,
}

/// A call before it is signed.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: &'static str,
    pub(crate) version: String,
    pub(crate) action: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) form: Vec<(String, String)>,
    pub(crate) at: Timestamp,
    /// A text to send instead of that of `at`.
    pub(crate) date: Option<String>,
    pub(crate) nonce: String,
    pub(crate) headers: Vec<(String, String)>,
    /// Whether the content type of a body is signed, and therefore sent, as every SDK does.
    pub(crate) signs_content_type: bool,
}

impl Call {
    /// A POST with its parameters in the body, as the official SDKs send it.
    pub(crate) fn new(action: &str, parameters: &[(&str, &str)], at: Timestamp) -> Self {
        static NONCES: AtomicU64 = AtomicU64::new(0);
        let nonce = format!("nonce-{}-{}", std::process::id(), NONCES.fetch_add(1, Ordering::Relaxed));
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            method: "POST",
            version: "2022-02-20".to_owned(),
            action: action.to_owned(),
            query: Vec::new(),
            form: parameters.iter().map(owned).collect(),
            at,
            date: None,
            nonce,
            headers: Vec::new(),
            signs_content_type: true,
        }
    }

    /// The text of the date: that of `date`, or otherwise that of `at`.
    fn date(&self) -> String {
        self.date.clone().unwrap_or_else(|| self.at.to_rfc3339_seconds())
    }

    /// The same as a GET with everything in the query.
    pub(crate) fn by_get(mut self) -> Self {
        self.method = "GET";
        self.query.append(&mut self.form);
        self
    }

    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn unsigned(&self, query: &[(String, String)]) -> Request {
        let query = encoded(query);
        let target = if query.is_empty() { "/".to_owned() } else { format!("/?{query}") };
        let mut request = Request::new(self.method, &target);
        request.body = encoded(&self.form).into_bytes();
        request
    }

    pub(crate) fn signed_v3(&self, key: &Key, address: SocketAddr) -> Request {
        let mut request = self.unsigned(&self.query);
        let hash = hex::encode(digest::digest(&digest::SHA256, &request.body));
        let mut headers = vec![
            ("host".to_owned(), address.to_string()),
            ("x-acs-action".to_owned(), self.action.clone()),
            ("x-acs-version".to_owned(), self.version.clone()),
            ("x-acs-date".to_owned(), self.date()),
            ("x-acs-signature-nonce".to_owned(), self.nonce.clone()),
            ("x-acs-content-sha256".to_owned(), hash.clone()),
        ];
        if !request.body.is_empty() && self.signs_content_type {
            headers.push(("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
        }
        headers.extend(self.headers.iter().cloned());
        headers.sort_unstable();
        let mut pairs = self.query.clone();
        pairs.sort_unstable();
        let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let names: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(";");
        let canonical = format!("{}\n/\n{}\n{lines}\n{names}\n{hash}", self.method, encoded(&pairs));
        let to_sign = format!(
            "ACS3-HMAC-SHA256\n{}",
            hex::encode(digest::digest(&digest::SHA256, canonical.as_bytes()))
        );
        let signing_key = hmac::Key::new(hmac::HMAC_SHA256, key.secret.as_bytes());
        let signature = hex::encode(hmac::sign(&signing_key, to_sign.as_bytes()));
        let authorization =
            format!("ACS3-HMAC-SHA256 Credential={},SignedHeaders={names},Signature={signature}", key.id);
        request.headers = headers;
        request.headers.push(("authorization".to_owned(), authorization));
        request
    }

    pub(crate) fn signed_v1(&self, key: &Key) -> Request {
        let mut query = self.query.clone();
        for (name, value) in [
            ("Action", self.action.as_str()),
            ("Version", self.version.as_str()),
            ("AccessKeyId", key.id.as_str()),
            ("Timestamp", &self.date()),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureVersion", "1.0"),
            ("SignatureType", ""),
            ("SignatureNonce", self.nonce.as_str()),
        ] {
            query.push((name.to_owned(), value.to_owned()));
        }
        // As the SDKs do it: one set of parameters, in which those of the body replace those of the query.
        let all: BTreeMap<_, _> = query.iter().chain(&self.form).cloned().collect();
        let all: Vec<_> = all.into_iter().collect();
        let to_sign = format!("{}&%2F&{}", self.method, encode(&encoded(&all)));
        let signing_key =
            hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, format!("{}&", key.secret).as_bytes());
        query.push(("Signature".to_owned(), STANDARD.encode(hmac::sign(&signing_key, to_sign.as_bytes()))));
        let mut request = self.unsigned(&query);
        if !self.form.is_empty() {
            request = request.header("content-type", "application/x-www-form-urlencoded");
        }
        request.headers.extend(self.headers.iter().cloned());
        request
    }
}

pub(crate) fn encode(text: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes()
        .map(|byte| if unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn encoded(pairs: &[(String, String)]) -> String {
    let pairs: Vec<_> =
        pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    pairs.join("&")
}
