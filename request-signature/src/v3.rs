//! Version 3: HMAC-SHA256 over the method, the path, the query, headers and the hash of the body.

use aws_lc_rs::{digest, hmac};

use crate::{encoded, equal};

/// The name of the algorithm, with which the header `Authorization` begins.
pub const ALGORITHM: &str = "ACS3-HMAC-SHA256";

/// [`content_sha256`] of an empty body.
pub const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What a signature covers.
#[derive(Debug, Clone, Copy)]
pub struct Signable<'a> {
    /// The HTTP method.
    pub method: &'a str,
    /// The path as sent; `/` for every action.
    pub path: &'a str,
    /// The parameters of the query, decoded, in any order.
    pub query: &'a [(&'a str, &'a str)],
    /// The request's headers in the order in which they were sent: names in lower case, values as sent. Headers that
    /// are not signed may be included.
    pub headers: &'a [(&'a str, &'a str)],
    /// The names of the signed headers, separated by `;`, in the order in which the request lists them.
    pub signed_headers: &'a str,
    /// The SHA-256 of the body in lower-case hexadecimal, which is also the value of `x-acs-content-sha256`.
    pub content_sha256: &'a str,
}

/// What should have been signed. Both fields contain everything in the request, including its secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The canonical request.
    pub canonical_request: String,
    /// The algorithm and the canonical request's hash.
    pub string_to_sign: String,
}

/// SHA-256 in lower-case hexadecimal.
#[must_use]
pub fn content_sha256(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

/// The value for the names of the signed headers if all headers are signed.
#[must_use]
pub fn signed_headers(headers: &[(&str, &str)]) -> String {
    let mut names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.dedup();
    names.join(";")
}

impl Signable<'_> {
    /// The value of the header `Authorization`.
    #[must_use]
    pub fn authorization(&self, access_key_id: &str, access_key_secret: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, access_key_secret.as_bytes());
        let signature = sign(&key, &string_to_sign(&self.canonical(Names::Encoded, ",")));
        format!(
            "{ALGORITHM} Credential={access_key_id},SignedHeaders={},Signature={signature}",
            self.signed_headers
        )
    }

    /// Whether the signature was made with this secret, which is the key of an HMAC-SHA256.
    ///
    /// # Errors
    /// It was not.
    pub fn verify(&self, access_key_secret: &hmac::Key, signature: &str) -> Result<(), Mismatch> {
        let mut tried = Vec::<Mismatch>::new();
        // One after another: nearly every request is signed as the first says, and each costs as much as all else here.
        for canonical_request in self.candidates() {
            if tried.iter().any(|before| before.canonical_request == canonical_request) {
                continue;
            }
            let string_to_sign = string_to_sign(&canonical_request);
            if equal(&sign(access_key_secret, &string_to_sign), signature) {
                return Ok(());
            }
            tried.push(Mismatch { canonical_request, string_to_sign });
        }
        Err(tried.into_iter().next().expect("there is at least one canonical request"))
    }

    /// The canonical requests that clients make of this request. They differ in whether names in the query are
    /// encoded and in how several headers of one name are joined; for nearly every request they are all the same.
    fn candidates(&self) -> impl Iterator<Item = String> {
        // If such a name were not encoded, it could be read as another name and value than those that were signed.
        let ambiguous = |name: &str| name.chars().any(|c| c == '&' || c == '=' || c.is_control());
        let as_sent = !self.query.iter().any(|(name, _)| ambiguous(name));
        let names = as_sent.then_some(Names::AsSent).into_iter().chain([Names::Encoded]);
        names
            .flat_map(|names| [",", ", "].map(|between| (names, between)))
            .map(|(names, between)| self.canonical(names, between))
    }

    fn canonical(&self, names: Names, between: &str) -> String {
        let Self { method, path, query, headers, signed_headers, content_sha256 } = *self;
        let mut pairs = query.to_vec();
        pairs.sort_unstable();
        let mut canonical = String::with_capacity(LENGTH);
        canonical.extend([method, "\n", path, "\n"]);
        for (number, (name, value)) in pairs.into_iter().enumerate() {
            canonical.push_str(if number == 0 { "" } else { "&" });
            match names {
                Names::AsSent => canonical.push_str(name),
                Names::Encoded => canonical.extend(encoded(name)),
            }
            canonical.push('=');
            canonical.extend(encoded(value));
        }
        canonical.push('\n');
        let mut values = Vec::new();
        for signed in signed_headers.split(';') {
            let named = headers.iter().filter(|(name, _)| *name == signed);
            values.clear();
            values.extend(named.map(|(_, value)| value.trim_matches([' ', '\t'])));
            values.sort_unstable();
            canonical.extend([signed, ":"]);
            for (number, value) in values.iter().enumerate() {
                canonical.extend([if number == 0 { "" } else { between }, value]);
            }
            canonical.push('\n');
        }
        canonical.extend(["\n", signed_headers, "\n", content_sha256]);
        canonical
    }
}

/// How names in a query are written.
#[derive(Debug, Clone, Copy)]
enum Names {
    AsSent,
    Encoded,
}

/// About as long as a canonical request is.
const LENGTH: usize = 1024;

fn string_to_sign(canonical_request: &str) -> String {
    format!("{ALGORITHM}\n{}", content_sha256(canonical_request.as_bytes()))
}

fn sign(access_key_secret: &hmac::Key, string_to_sign: &str) -> String {
    hex::encode(hmac::sign(access_key_secret, string_to_sign.as_bytes()))
}

// Written by hand, because a request may contain passwords.
impl std::fmt::Debug for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mismatch").field("string_to_sign", &self.string_to_sign).finish_non_exhaustive()
    }
}
