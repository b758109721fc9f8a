//! Signature V3 (`ACS3-HMAC-SHA256`), the client's half (contract, section 4.1).

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;

/// The name of the algorithm, as it stands in `Authorization`.
const ALGORITHM: &str = "ACS3-HMAC-SHA256";

/// What a signature covers. `headers` have lower-case names; all of them are signed.
#[derive(Debug)]
pub(crate) struct Signable<'a> {
    /// The HTTP method.
    pub(crate) method: &'a str,
    /// The path as sent; `/` for every action.
    pub(crate) path: &'a str,
    /// The canonical query: sorted, encoded, without `?`.
    pub(crate) query: &'a str,
    /// The headers to sign, in any order.
    pub(crate) headers: &'a [(&'a str, &'a str)],
    /// The SHA-256 of the body in lower-case hexadecimal, which is the value of `x-acs-content-sha256` too.
    pub(crate) content_sha256: &'a str,
}

/// The value of the `Authorization` header.
pub(crate) fn authorization(access_key_id: &str, access_key_secret: &str, request: &Signable<'_>) -> String {
    let mut headers: Vec<(&str, &str)> =
        request.headers.iter().map(|(name, value)| (*name, value.trim())).collect();
    headers.sort_unstable();
    let signed_headers = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let block: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let Signable { method, path, query, content_sha256, .. } = request;
    let canonical = format!("{method}\n{path}\n{query}\n{block}\n{signed_headers}\n{content_sha256}");
    let to_sign = format!("{ALGORITHM}\n{}", content_hash(canonical.as_bytes()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, access_key_secret.as_bytes());
    let signature = hex::encode(hmac::sign(&key, to_sign.as_bytes()));
    format!("{ALGORITHM} Credential={access_key_id},SignedHeaders={signed_headers},Signature={signature}")
}

/// SHA-256 in lower-case hexadecimal.
pub(crate) fn content_hash(bytes: &[u8]) -> String {
    hex::encode(digest(&SHA256, bytes))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Vector {
        name: String,
        access_key_id: String,
        access_key_secret: String,
        method: String,
        path: String,
        query: String,
        headers: Vec<(String, String)>,
        signed_headers: String,
        body: String,
        authorization: String,
    }

    /// Requests that the vendor's own Python SDK signed.
    fn vectors() -> Vec<Vector> {
        serde_json::from_str(include_str!("../tests/vectors/v3_signatures.json")).unwrap()
    }

    fn sign(vector: &Vector, body: &str) -> String {
        let named: Vec<&str> = vector.signed_headers.split(';').collect();
        let lower: Vec<(String, &str)> =
            vector.headers.iter().map(|(name, value)| (name.to_lowercase(), value.as_str())).collect();
        let headers: Vec<(&str, &str)> = lower
            .iter()
            .map(|(name, value)| (name.as_str(), *value))
            .filter(|(name, _)| named.contains(name))
            .collect();
        let request = Signable {
            method: &vector.method,
            path: &vector.path,
            query: &vector.query,
            headers: &headers,
            content_sha256: &content_hash(body.as_bytes()),
        };
        authorization(&vector.access_key_id, &vector.access_key_secret, &request)
    }

    #[test]
    fn signs_as_the_vendors_sdk_does() {
        let vectors = vectors();
        assert!(vectors.len() >= 4);
        for vector in &vectors {
            assert_eq!(sign(vector, &vector.body), vector.authorization, "{}", vector.name);
        }
    }

    #[test]
    fn another_body_or_key_gives_another_signature() {
        for mut vector in vectors() {
            assert_ne!(sign(&vector, &format!("{}x", vector.body)), vector.authorization, "{}", vector.name);
            vector.access_key_secret.push('x');
            assert_ne!(sign(&vector, &vector.body), vector.authorization, "{}", vector.name);
        }
    }
}
