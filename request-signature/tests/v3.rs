//! Signature V3, held against requests that the vendor's own Python SDK signed, and against itself.

// Clippy's own exception for tests does not reach the functions that tests share.
#![allow(clippy::unwrap_used)]

use aws_lc_rs::hmac;
use percent_encoding::percent_decode_str;
use proptest::prelude::*;
use request_signature::v3::{EMPTY_SHA256, Signable, content_sha256, signed_headers};
use serde::Deserialize;

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

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("vectors/v3_signatures.json")).unwrap()
}

/// What is signed of a request; each test changes some of it.
struct Request {
    method: String,
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    signed_headers: String,
    body: Vec<u8>,
}

impl Request {
    fn of(vector: &Vector) -> Self {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8().unwrap().into_owned();
        let pairs = vector.query.split('&').filter_map(|pair| pair.split_once('='));
        Self {
            method: vector.method.clone(),
            path: vector.path.clone(),
            query: pairs.map(|(name, value)| (decoded(name), decoded(value))).collect(),
            headers: vector
                .headers
                .iter()
                .map(|(name, value)| (name.to_lowercase(), value.clone()))
                .collect(),
            signed_headers: vector.signed_headers.clone(),
            body: vector.body.clone().into_bytes(),
        }
    }

    fn with<T>(&self, work: impl FnOnce(&Signable<'_>) -> T) -> T {
        fn borrowed(pairs: &[(String, String)]) -> Vec<(&str, &str)> {
            pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
        }
        work(&Signable {
            method: &self.method,
            path: &self.path,
            query: &borrowed(&self.query),
            headers: &borrowed(&self.headers),
            signed_headers: &self.signed_headers,
            content_sha256: &content_sha256(&self.body),
        })
    }

    fn authorization(&self, id: &str, secret: &str) -> String {
        self.with(|signable| signable.authorization(id, secret))
    }

    fn is_signed(&self, secret: &str, authorization: &str) -> bool {
        let (_, signature) = authorization.rsplit_once("Signature=").unwrap();
        self.with(|signable| {
            signable.verify(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), signature)
        })
        .is_ok()
    }
}

#[test]
fn the_hash_of_nothing_is_the_one_that_is_written_down() {
    assert_eq!(content_sha256(b""), EMPTY_SHA256);
}

#[test]
fn a_request_is_signed_as_the_vendors_sdk_signs_it() {
    assert!(vectors().len() >= 4);
    for vector in vectors() {
        let request = Request::of(&vector);
        let ours = request.authorization(&vector.access_key_id, &vector.access_key_secret);
        assert_eq!(ours, vector.authorization, "{}", vector.name);
        assert!(request.is_signed(&vector.access_key_secret, &ours), "{}", vector.name);
    }
}

#[test]
fn whatever_is_changed_the_signature_is_another() {
    type Change = (&'static str, fn(&mut Request));
    let changes: [Change; 6] = [
        ("method", |request| request.method.push('X')),
        ("path", |request| request.path.push('x')),
        ("query", |request| request.query.push(("A".to_owned(), String::new()))),
        ("a signed header", |request| request.headers[0].1.push('x')),
        ("the names of signed headers", |request| request.signed_headers.push_str(";x-acs-other")),
        ("body", |request| request.body.push(b'x')),
    ];
    for vector in vectors() {
        let secret = &vector.access_key_secret;
        for (what, change) in changes {
            let mut request = Request::of(&vector);
            request.headers.retain(|(name, _)| vector.signed_headers.split(';').any(|signed| signed == name));
            change(&mut request);
            assert!(!request.is_signed(secret, &vector.authorization), "{}: {what}", vector.name);
        }
        assert!(!Request::of(&vector).is_signed(&format!("{secret}x"), &vector.authorization));
        let mut request = Request::of(&vector);
        request.headers.push(("x-not-signed".to_owned(), "1".to_owned()));
        request.headers.reverse();
        assert!(request.is_signed(secret, &vector.authorization), "what is not signed does not count");
    }
}

/// Two requests whose names, unencoded, would read the same.
#[test]
fn a_name_does_not_pass_for_another_name_and_value() {
    let mut request = Request::of(&vectors()[0]);
    request.query = vec![("A".to_owned(), "1".to_owned()), ("B".to_owned(), "2".to_owned())];
    let authorization = request.authorization("id", "secret");
    request.query = vec![("A=1&B".to_owned(), "2".to_owned())];
    assert!(!request.is_signed("secret", &authorization));
}

proptest! {
    #[test]
    fn what_was_signed_verifies_and_nothing_else(
        query in prop::collection::btree_map("\\PC{1,8}", "\\PC{0,12}", 0..5),
        headers in prop::collection::btree_map("[a-z-]{1,12}", "[ -~]{0,20}", 1..5),
        body in prop::collection::vec(any::<u8>(), 0..50),
        secret in "[ -~]{1,30}",
    ) {
        let headers: Vec<(String, String)> = headers.into_iter().collect();
        let names: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut request = Request {
            method: "POST".to_owned(),
            path: "/".to_owned(),
            query: query.into_iter().collect(),
            signed_headers: signed_headers(&names),
            headers,
            body,
        };
        let authorization = request.authorization("id", &secret);
        prop_assert!(request.is_signed(&secret, &authorization));
        request.query.reverse();
        request.headers.reverse();
        prop_assert!(request.is_signed(&secret, &authorization), "orders do not count");
        let other = format!("{}x", secret);
        prop_assert!(!request.is_signed(&other, &authorization));
        request.body.push(0);
        prop_assert!(!request.is_signed(&secret, &authorization));
    }
}
