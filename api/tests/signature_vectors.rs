//! The verifier against 45 requests of the vendor's own SDKs, recorded on the wire: the signed ones verify, each of
//! them fails if one byte of what is signed changes, and the unsigned ones are refused.

#![allow(clippy::unwrap_used, reason = "in a test program an unwrap is a check")]

use api::gateway::parameters::Channel;
use api::gateway::signature::{Claim, SignedRequest, WINDOW_MILLIS};
use domain::Timestamp;
use domain::access_key::AccessKeySecret;
use domain::role::{SecurityToken, SessionValidity};
use openapi::error_codes::{ErrorCode, WireError};
use serde::Deserialize;

/// When the SDKs made the requests.
const SIGNED_AT: &str = "2026-01-02T03:04:05Z";

#[derive(Deserialize)]
struct Document {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    access_key_id: Option<String>,
    access_key_secret: Option<String>,
    security_token: Option<String>,
    signature_version: String,
    request: Sent,
    expected_signature: Option<String>,
    canonical_request: Option<String>,
    string_to_sign: Option<String>,
}

#[derive(Deserialize, Clone)]
struct Sent {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: String,
}

/// A request as bytes, so that a test can change any of them.
#[derive(Clone)]
struct Raw {
    method: String,
    path: String,
    query: Vec<u8>,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl From<&Sent> for Raw {
    fn from(sent: &Sent) -> Self {
        let headers = sent.headers.iter();
        Self {
            method: sent.method.clone(),
            path: sent.path.clone(),
            query: sent.query.clone().into_bytes(),
            headers: headers.map(|(name, value)| (name.to_lowercase(), value.clone().into_bytes())).collect(),
            body: sent.body.clone().into_bytes(),
        }
    }
}

impl Raw {
    fn read(&self) -> Result<SignedRequest<'_>, WireError> {
        let content_type = self.headers.iter().find(|(name, _)| name == "content-type");
        let form =
            content_type.is_some_and(|(_, value)| value.starts_with(b"application/x-www-form-urlencoded"));
        let malformed = |_| WireError::new(ErrorCode::MalformedRequest);
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| Ok((name.as_str(), std::str::from_utf8(value).map_err(malformed)?)));
        Ok(SignedRequest {
            method: &self.method,
            path: &self.path,
            query: Channel::parse(&self.query, "query")?,
            form: if form { Channel::parse(&self.body, "body")? } else { Channel::default() },
            headers: headers.collect::<Result<_, WireError>>()?,
            body: self.body.clone(),
        })
    }
}

fn vectors() -> Vec<Vector> {
    let text = include_str!("vectors/signature_vectors.json");
    let vectors = serde_json::from_str::<Document>(text).expect("the vectors are well formed").vectors;
    assert_eq!(vectors.len(), 45);
    vectors
}

fn signed_at() -> Timestamp {
    Timestamp::parse_rfc3339_seconds(SIGNED_AT).unwrap()
}

fn signed() -> impl Iterator<Item = (Vector, AccessKeySecret)> {
    vectors().into_iter().filter(|vector| vector.expected_signature.is_some()).map(|vector| {
        let secret = AccessKeySecret::new(vector.access_key_secret.clone().unwrap());
        (vector, secret)
    })
}

/// All checks up to the signature, as the gateway makes them. Every vector was signed with the same key.
fn verify(request: &SignedRequest<'_>, secret: &AccessKeySecret, now: Timestamp) -> Result<(), WireError> {
    let claim = Claim::read(request)?;
    if claim.access_key_id() != "testAccessKeyId0001" {
        return Err(ErrorCode::AccessKeyNotFound.into());
    }
    claim.check_date(now)?;
    claim.check_body()?;
    claim.check_signature(secret)
}

#[test]
fn the_42_signed_requests_verify() {
    let mut verified = 0;
    for (vector, secret) in signed() {
        let raw = Raw::from(&vector.request);
        let request = raw.read().unwrap();
        verify(&request, &secret, signed_at()).unwrap_or_else(|error| panic!("{}: {error}", vector.name));
        let claim = Claim::read(&request).unwrap();
        assert_eq!(Some(claim.access_key_id()), vector.access_key_id.as_deref(), "{}", vector.name);
        assert!(claim.version().is_ok_and(|version| version == "2022-02-20"), "{}", vector.name);
        assert!(claim.action().is_ok(), "{}", vector.name);
        let other = AccessKeySecret::new(format!("{}x", secret.reveal()));
        assert_eq!(
            verify(&request, &other, signed_at()).unwrap_err().code_text(),
            "SignatureDoesNotMatch",
            "{}",
            vector.name
        );
        verified += 1;
    }
    assert_eq!(verified, 42);
}

#[test]
fn the_3_unsigned_requests_are_refused() {
    let mut refused = 0;
    for vector in vectors().into_iter().filter(|vector| vector.expected_signature.is_none()) {
        let raw = Raw::from(&vector.request);
        let request = raw.read().unwrap();
        let error = Claim::read(&request).unwrap_err();
        assert_eq!(
            (error.code_text().as_str(), error.status()),
            ("IncompleteSignature", 400),
            "{}",
            vector.name
        );
        refused += 1;
    }
    assert_eq!(refused, 3);
}

#[test]
fn session_tokens_must_be_signed_and_belong_to_their_session() {
    let mut seen = 0;
    for (vector, secret) in signed().filter(|(vector, _)| vector.security_token.is_some()) {
        let raw = Raw::from(&vector.request);
        let request = raw.read().unwrap();
        let claim = Claim::read(&request).unwrap();
        claim.check_signature(&secret).unwrap();
        let refusal = |session: Option<&SessionValidity>, now| {
            claim.check_security_token(session, now).unwrap_err().code_text()
        };
        let sent = SecurityToken::presented(vector.security_token.as_deref().unwrap());
        let expires_at = Timestamp::from_millis(signed_at().as_millis() + 1);
        let session = SessionValidity { token_hash: sent.hash(), expires_at };
        claim.check_security_token(Some(&session), signed_at()).unwrap();
        assert_eq!(refusal(Some(&session), expires_at), "InvalidSecurityToken.Expired");
        let other = SessionValidity { token_hash: SecurityToken::generate().hash(), expires_at };
        assert_eq!(refusal(Some(&other), signed_at()), "InvalidSecurityToken.MismatchWithAccessKey");
        // A long-term key has no security token.
        assert_eq!(refusal(None, signed_at()), "InvalidSecurityToken.MismatchWithAccessKey");
        if vector.signature_version == "V3" {
            let mut unsigned = raw.clone();
            for (_, value) in unsigned.headers.iter_mut().filter(|(name, _)| name == "authorization") {
                *value = String::from_utf8(value.clone())
                    .unwrap()
                    .replace("x-acs-security-token;", "")
                    .into_bytes();
            }
            let unsigned = unsigned.read().unwrap();
            assert_eq!(
                Claim::read(&unsigned).unwrap_err().code_text(),
                "IncompleteSignature",
                "{}",
                vector.name
            );
        }
        seen += 1;
    }
    assert!(seen >= 5, "{seen}");
}

#[test]
fn a_session_without_its_token_gets_its_own_error() {
    let session = SessionValidity { token_hash: SecurityToken::generate().hash(), expires_at: signed_at() };
    for (vector, _) in signed().filter(|(vector, _)| vector.security_token.is_none()) {
        let raw = Raw::from(&vector.request);
        let request = raw.read().unwrap();
        let claim = Claim::read(&request).unwrap();
        claim.check_security_token(None, signed_at()).unwrap();
        let refused = claim.check_security_token(Some(&session), signed_at()).unwrap_err();
        assert_eq!(
            (refused.code_text().as_str(), refused.status()),
            ("MissingSecurityToken", 400),
            "{}",
            vector.name
        );
    }
}

#[test]
fn the_window_is_a_quarter_of_an_hour_either_way() {
    for (vector, secret) in signed() {
        let raw = Raw::from(&vector.request);
        let request = raw.read().unwrap();
        let at =
            |offset: i64| verify(&request, &secret, Timestamp::from_millis(signed_at().as_millis() + offset));
        for inside in [-WINDOW_MILLIS, -WINDOW_MILLIS + 1, 0, WINDOW_MILLIS] {
            at(inside).unwrap_or_else(|error| panic!("{} at {inside}: {error}", vector.name));
        }
        for outside in [-WINDOW_MILLIS - 1, WINDOW_MILLIS + 1, 365 * 86_400_000] {
            assert_eq!(
                at(outside).unwrap_err().code_text(),
                "InvalidTimeStamp.Expired",
                "{} at {outside}",
                vector.name
            );
        }
    }
}

#[test]
fn the_refusal_repeats_what_should_have_been_signed_but_no_secret() {
    let wrong = AccessKeySecret::new("wrong".to_owned());
    let (mut repeated, mut withheld) = (0, 0);
    for (vector, _) in signed() {
        let raw = Raw::from(&vector.request);
        let request = raw.read().unwrap();
        let claim = Claim::read(&request).unwrap();
        let message = claim.check_signature(&wrong).unwrap_err().message();
        // Without a colon in the message, the legacy SDK crashes before it can raise the caller's exception.
        assert!(message.contains(':'), "{}", vector.name);
        let string_to_sign = vector.string_to_sign.as_deref().unwrap();
        if claim.action() == Ok("LoginInstance") {
            assert!(!message.contains("InstanceLoginInfo"), "{message}");
            withheld += 1;
        } else if vector.security_token.is_some() {
            withheld += 1;
        } else if vector.signature_version == "V1" {
            assert_eq!(message.split(':').nth(1), Some(string_to_sign), "{}", vector.name);
            assert!(message.ends_with(string_to_sign));
            repeated += 1;
        } else {
            assert!(message.contains(string_to_sign), "{}", vector.name);
            assert!(message.ends_with(vector.canonical_request.as_deref().unwrap()), "{}", vector.name);
            repeated += 1;
        }
        if let Some(token) = vector.security_token {
            assert!(!message.contains(&token), "{}", vector.name);
        }
    }
    assert!(repeated >= 25 && withheld >= 5, "{repeated} {withheld}");
}

#[test]
fn passwords_and_shared_words_are_not_repeated_however_they_were_signed() {
    let wrong = AccessKeySecret::new("wrong".to_owned());
    let mut withheld = 0;
    for action in ["CreateLoginProfile", "UpdateLoginProfile", "AssumeRole", "updateloginprofile"] {
        for (vector, _) in signed() {
            let mut raw = Raw::from(&vector.request);
            for (_, value) in raw.headers.iter_mut().filter(|(name, _)| name == "x-acs-action") {
                *value = action.as_bytes().to_vec();
            }
            for channel in [&mut raw.query, &mut raw.body] {
                let Ok(text) = String::from_utf8(channel.clone()) else { continue };
                let pairs = text.split('&').map(|pair| match pair.split_once('=') {
                    Some(("Action", _)) => format!("Action={action}"),
                    _ => pair.to_owned(),
                });
                *channel = pairs.collect::<Vec<_>>().join("&").into_bytes();
            }
            let more: &[u8] =
                if raw.query.is_empty() { b"ExternalId=Sw0rdfish" } else { b"&ExternalId=Sw0rdfish" };
            raw.query.extend_from_slice(more);
            let request = raw.read().unwrap();
            let claim = Claim::read(&request).unwrap();
            assert_eq!(claim.action(), Ok(action), "{}", vector.name);
            let message = claim.check_signature(&wrong).unwrap_err().message();
            assert!(!message.contains("Sw0rdfish"), "{}: {message}", vector.name);
            withheld += 1;
        }
    }
    assert_eq!(withheld, 4 * 42);
}

/// The meaning of the signed parts of a request: two spellings with the same meaning are the same request.
fn meaning(request: &SignedRequest<'_>, version: &str) -> String {
    if version == "V1" {
        return format!("{} {:?}", request.method, Channel::merged(&request.query, &request.form));
    }
    let value = |name: &str, value: &str| match name {
        // Spaces between the fields are not part of them.
        "authorization" => value.replace(' ', ""),
        _ => value.trim_matches([' ', '\t']).to_owned(),
    };
    let headers: Vec<_> = request.headers.iter().map(|(name, text)| (name, value(name, text))).collect();
    let mut query: Vec<_> = request.query.iter().collect();
    query.sort_unstable();
    format!("{} {} {query:?} {headers:?} {:?}", request.method, request.path, request.body)
}

/// Replaces each byte by other bytes: a neighbour, the other case, a separator, nothing, and garbage.
fn variants(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.len()).flat_map(move |at| {
        let with = move |byte: u8| {
            let mut changed = bytes.to_vec();
            changed[at] = byte;
            changed
        };
        let removed = [&bytes[..at], &bytes[at + 1..]].concat();
        let doubled = [&bytes[..=at], &bytes[at..]].concat();
        let byte = bytes[at];
        [byte ^ 1, byte ^ 0x20, byte.wrapping_add(1), b'&', b'=', 0xff]
            .map(with)
            .into_iter()
            .chain([removed, doubled])
    })
}

#[test]
fn a_request_fails_when_one_byte_of_what_is_signed_changes() {
    for (vector, secret) in signed() {
        let original = Raw::from(&vector.request);
        let version = vector.signature_version.as_str();
        let unchanged = meaning(&original.read().unwrap(), version);
        let mut tried = 0;
        let mut check = |changed: Raw, what: &str| {
            let Ok(request) = changed.read() else { return };
            if meaning(&request, version) == unchanged {
                return;
            }
            assert!(
                verify(&request, &secret, signed_at()).is_err(),
                "{}: {what} was changed to {request:?}",
                vector.name
            );
            tried += 1;
        };
        for method in ["GET", "POST", "get", "PUT", ""] {
            check(Raw { method: method.to_owned(), ..original.clone() }, "method");
        }
        for query in variants(&original.query) {
            check(Raw { query, ..original.clone() }, "query");
        }
        for body in variants(&original.body) {
            check(Raw { body, ..original.clone() }, "body");
        }
        check(
            Raw { query: [&original.query[..], b"&Extra=1"].concat(), ..original.clone() },
            "query, by a parameter",
        );
        check(
            Raw { body: [&original.body[..], b"&Extra=1"].concat(), ..original.clone() },
            "body, by a parameter",
        );
        if version == "V3" {
            check(Raw { path: "/x".to_owned(), ..original.clone() }, "path");
            let signed_headers = signed_headers(&original);
            for (at, (name, value)) in original.headers.iter().enumerate() {
                if !signed_headers.contains(name) && name != "authorization" {
                    continue;
                }
                for value in variants(value) {
                    let mut changed = original.clone();
                    changed.headers[at].1 = value;
                    check(changed, name);
                }
                let mut without = original.clone();
                without.headers.remove(at);
                check(without, name);
            }
            let mut more = original.clone();
            more.headers.push(("x-acs-extra".to_owned(), b"1".to_vec()));
            check(more, "headers, by an unsigned x-acs- one");
        }
        assert!(tried > 500, "{}: {tried}", vector.name);
    }
}

fn signed_headers(raw: &Raw) -> Vec<String> {
    let (_, authorization) = raw.headers.iter().find(|(name, _)| name == "authorization").unwrap();
    let authorization = String::from_utf8(authorization.clone()).unwrap();
    let names = authorization.split("SignedHeaders=").nth(1).unwrap().split(',').next().unwrap();
    names.split(';').map(str::to_owned).collect()
}

#[test]
fn one_parameter_cannot_be_made_to_look_like_two() {
    // V3 clients put names into the canonical query unencoded, so `A=1&B=2` and the one name `A=1&B` with the value 2
    // would look alike.
    let (vector, secret) = signed().find(|(vector, _)| vector.name == "py3-query-awkward").unwrap();
    let mut raw = Raw::from(&vector.request);
    let decoded = Channel::parse(&raw.query, "query").unwrap();
    let mut pairs: Vec<_> = decoded.iter().collect();
    pairs.sort_unstable();
    let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let (last_name, last_value) = pairs.pop().unwrap();
    let swallowed: Vec<_> =
        pairs.iter().map(|(name, value)| format!("{name}={}", canonical(value))).collect();
    raw.query = format!("{}={}", encode(&format!("{}&{last_name}", swallowed.join("&"))), encode(last_value))
        .into_bytes();
    let request = raw.read().unwrap();
    assert_eq!(request.query.iter().count(), 1);
    assert_eq!(verify(&request, &secret, signed_at()).unwrap_err().code_text(), "SignatureDoesNotMatch");
}

fn canonical(value: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    value
        .bytes()
        .map(|byte| if unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[test]
fn spaces_after_the_commas_of_authorization_are_tolerated() {
    let (vector, secret) = signed().find(|(vector, _)| vector.name == "py3-set-basic").unwrap();
    let mut raw = Raw::from(&vector.request);
    for (_, value) in raw.headers.iter_mut().filter(|(name, _)| name == "authorization") {
        *value = String::from_utf8(value.clone()).unwrap().replace(',', ", ").into_bytes();
    }
    verify(&raw.read().unwrap(), &secret, signed_at()).unwrap();
}

#[test]
fn v1_takes_action_and_version_from_its_parameters_alone() {
    let (vector, _) = signed().find(|(vector, _)| vector.name == "pop-post-list-paged").unwrap();
    let mut raw = Raw::from(&vector.request);
    for (name, value) in &mut raw.headers {
        match name.as_str() {
            "x-acs-action" => *value = b"SetInstanceRecordConfig".to_vec(),
            "x-acs-version" => *value = b"1999-01-01".to_vec(),
            _ => {}
        }
    }
    let request = raw.read().unwrap();
    let claim = Claim::read(&request).unwrap();
    assert_eq!((claim.action(), claim.version()), (Ok("ListInstanceRecords"), Ok("2022-02-20")));
}

#[test]
fn other_algorithms_and_half_signatures_are_named() {
    let (vector, _) = signed().find(|(vector, _)| vector.name == "py3-set-basic").unwrap();
    let raw = Raw::from(&vector.request);
    let with = |edit: &dyn Fn(&str) -> String| {
        let mut raw = raw.clone();
        for (_, value) in raw.headers.iter_mut().filter(|(name, _)| name == "authorization") {
            *value = edit(std::str::from_utf8(value).unwrap()).into_bytes();
        }
        let request = raw.read().unwrap();
        Claim::read(&request).err().map(|error| error.code_text())
    };
    assert_eq!(with(&|text| text.to_owned()), None);
    let code = |edit: &dyn Fn(&str) -> String| with(edit).unwrap();
    assert_eq!(code(&|text| text.replace("ACS3-HMAC-SHA256", "ACS3-HMAC-SM3")), "InvalidSignatureMethod");
    assert_eq!(code(&|text| text.replace("ACS3-HMAC-SHA256", "ACS3-RSA-SHA256")), "InvalidSignatureMethod");
    assert_eq!(code(&|_| "Basic dTpw".to_owned()), "IncompleteSignature");
    assert_eq!(code(&|_| "ACS3-HMAC-SHA256".to_owned()), "IncompleteSignature");
    assert_eq!(code(&|_| "ACS3-HMAC-SHA256 ".to_owned()), "IncompleteSignature");
    assert_eq!(code(&|text| text.split(",Signature").next().unwrap().to_owned()), "IncompleteSignature");
    assert_eq!(code(&|text| format!("{text},Signature=0")), "IncompleteSignature");
    assert_eq!(code(&|text| text.replace("host;", "")), "IncompleteSignature");
    assert_eq!(code(&|text| text.replace("x-acs-date;", "")), "IncompleteSignature");
    assert_eq!(code(&|text| text.replace("host;", "host;host;")), "IncompleteSignature");
    assert_eq!(code(&|text| text.replace("host;", "host;x-absent;")), "IncompleteSignature");

    let (vector, _) = signed().find(|(vector, _)| vector.name == "py1-set-basic").unwrap();
    let with = |from: &str, to: &str| {
        let mut raw = Raw::from(&vector.request);
        let query = String::from_utf8(raw.query.clone()).unwrap();
        assert!(query.contains(from), "{query}");
        raw.query = query.replace(from, to).into_bytes();
        let request = raw.read().unwrap();
        Claim::read(&request).unwrap_err().code_text()
    };
    assert_eq!(with("SignatureMethod=HMAC-SHA1", "SignatureMethod=SHA256withRSA"), "InvalidSignatureMethod");
    assert_eq!(
        with("SignatureMethod=HMAC-SHA1", "SignatureMethod=HMAC-SHA1&SignatureType=PRIVATEKEY"),
        "InvalidSignatureMethod"
    );
    assert_eq!(with("SignatureVersion=1.0", "SignatureVersion=2.0"), "InvalidSignatureVersion");
    assert_eq!(with("SignatureVersion=1.0", "A=b"), "MissingSignatureVersion");
    assert_eq!(with("Timestamp=", "A="), "MissingTimestamp");
    assert_eq!(with("SignatureNonce=", "A="), "MissingSignatureNonce");
    assert_eq!(with("AccessKeyId=", "A="), "MissingAccessKeyId");
}

#[test]
fn times_in_other_forms_are_refused() {
    let (vector, _) = signed().find(|(vector, _)| vector.name == "py3-set-basic").unwrap();
    for bad in ["", "2026-01-02 03:04:05", "2026-01-02T03:04:05+00:00", "2026-13-02T03:04:05Z", "1767323045"]
    {
        let mut raw = Raw::from(&vector.request);
        for (_, value) in raw.headers.iter_mut().filter(|(name, _)| name == "x-acs-date") {
            *value = bad.as_bytes().to_vec();
        }
        let request = raw.read().unwrap();
        let error = Claim::read(&request).unwrap().check_date(signed_at()).unwrap_err();
        assert_eq!(error.code_text(), "InvalidTimeStamp.Format", "{bad:?}");
    }
}

#[test]
fn the_content_type_of_every_body_is_signed() {
    let (mut with, mut without) = (0, 0);
    for (vector, secret) in signed().filter(|(vector, _)| vector.signature_version == "V3") {
        let mut raw = Raw::from(&vector.request);
        let bodiless = raw.body.is_empty();
        assert!(bodiless || signed_headers(&raw).contains(&"content-type".to_owned()), "{}", vector.name);
        for (_, value) in raw.headers.iter_mut().filter(|(name, _)| name == "authorization") {
            *value = String::from_utf8(value.clone()).unwrap().replace("content-type;", "").into_bytes();
        }
        let error = verify(&raw.read().unwrap(), &secret, signed_at()).err().map(|error| error.code_text());
        if bodiless {
            assert_ne!(error.as_deref(), Some("IncompleteSignature"), "{}", vector.name);
            without += 1;
        } else {
            assert_eq!(error.as_deref(), Some("IncompleteSignature"), "{}", vector.name);
            with += 1;
        }
    }
    assert!(with >= 10 && without >= 1, "{with} {without}");
}
