//! Who signed a request, and whether they did: RPC signatures V3 (ACS3-HMAC-SHA256) and V1 (HMAC-SHA1), as the
//! vendor's SDKs make them (contract, section 4). Pure: the clock, the secret and the request are arguments.
//!
//! [`Claim::read`] finds out what a request claims; the checks that follow are called one by one, in the order of
//! DECISIONS G1. A claim of V3 can be read from the head, before there is a body: the signature covers its announced hash.

mod v1;
mod v3;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::Timestamp;
use domain::access_key::AccessKeySecret;
use domain::role::{SecurityToken, SessionValidity};
use md5::{Digest as _, Md5};
use openapi::error_codes::{ErrorCode, RetryAdvice, WireError};

use super::parameters::Channel;

/// How far a request's time may lie from ours, either way.
pub const WINDOW_MILLIS: i64 = 15 * 60 * 1_000;

/// A request's time that lies so far from ours comes from a wrong clock, and not from a slow way.
const CLOCK_IS_WRONG_MILLIS: i64 = 60 * 60 * 1_000;

/// The longest nonce that is accepted. SDKs send 32 or 64 characters.
const NONCE_MAX_CHARACTERS: usize = 256;

/// Longer strings to sign are not repeated in the refusal.
const ECHO_MAX_BYTES: usize = 64 * 1024;

/// The actions whose parameters hold passwords, private keys or words that a role's owner shared: their strings to sign
/// are never repeated.
const NEVER_ECHOED: [&str; 4] = ["LoginInstance", "CreateLoginProfile", "UpdateLoginProfile", "AssumeRole"];

/// A request as it was signed. Debug shows neither values nor the body, which may be secrets.
#[derive(Clone, Default)]
pub struct SignedRequest<'h> {
    /// `GET` or `POST`.
    pub method: &'h str,
    /// The path as sent.
    pub path: &'h str,
    /// The parameters of the query.
    pub query: Channel,
    /// The parameters of a form body; none when the body is something else.
    pub form: Channel,
    /// The headers in the order in which they came; names in lower case, values as sent.
    pub headers: Vec<(&'h str, &'h str)>,
    /// The body as it arrived, de-chunked.
    pub body: Vec<u8>,
}

impl fmt::Debug for SignedRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedRequest")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("query", &self.query)
            .field("form", &self.form)
            .finish_non_exhaustive()
    }
}

impl<'h> SignedRequest<'h> {
    /// The same with its body, whose parameters are read when it is a form.
    ///
    /// # Errors
    /// The form cannot be read.
    pub fn with_body(self, body: Vec<u8>, is_form: bool) -> Result<Self, WireError> {
        let form = if is_form { Channel::parse(&body, "body")? } else { Channel::default() };
        Ok(Self { form, body, ..self })
    }

    /// The values of a header, stripped at both ends.
    fn header_values(&self, name: &str) -> impl Iterator<Item = &'h str> {
        self.headers.iter().filter(move |(candidate, _)| *candidate == name).map(|(_, value)| strip(value))
    }

    /// The value of a header that may come once.
    fn header(&self, name: &'static str) -> Result<Option<&'h str>, WireError> {
        let mut values = self.header_values(name);
        let first = values.next();
        match values.next() {
            None => Ok(first),
            Some(_) => Err(WireError::with_message(
                ErrorCode::MalformedRequest,
                format!("The header {name} was sent more than once."),
            )),
        }
    }

    /// A parameter; the body's wins over the query's.
    fn parameter(&self, name: &str) -> Option<&str> {
        self.form.get(name).or_else(|| self.query.get(name))
    }
}

/// The white space that HTTP allows around a header's value.
fn strip(value: &str) -> &str {
    value.trim_matches([' ', '\t'])
}

/// The signature versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `ACS3-HMAC-SHA256` in the header Authorization.
    V3,
    /// HMAC-SHA1 in the parameter Signature.
    V1,
}

/// How a request is signed, as far as its head says so: with no scheme there, parameters of a form may still have one.
///
/// # Errors
/// The header Authorization was sent more than once.
pub fn scheme_in_head(head: &SignedRequest<'_>) -> Result<Option<Scheme>, WireError> {
    Ok(match head.header("authorization")? {
        Some(authorization) if authorization.starts_with("ACS3-") => Some(Scheme::V3),
        _ if head.query.get("AccessKeyId").is_some() || head.query.get("Signature").is_some() => {
            Some(Scheme::V1)
        }
        _ => None,
    })
}

/// What a request says about itself, not believed yet.
pub struct Claim<'r> {
    request: &'r SignedRequest<'r>,
    scheme: Scheme,
    access_key_id: &'r str,
    date: &'r str,
    nonce: &'r str,
    signature: &'r str,
    security_token: Option<&'r str>,
    /// V3 only: the names of the signed headers, as sent.
    signed_headers: &'r str,
    /// V3 only: the announced SHA-256 of the body.
    body_sha256: &'r str,
}

impl fmt::Debug for Claim<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, access_key_id, date, .. } = self;
        f.debug_struct("Claim")
            .field("scheme", scheme)
            .field("access_key_id", access_key_id)
            .field("date", date)
            .finish_non_exhaustive()
    }
}

impl<'r> Claim<'r> {
    /// Finds the signature, and everything without which it could not be one.
    ///
    /// # Errors
    /// Bearer and anonymous requests, other algorithms, and incomplete signatures.
    pub fn read(request: &'r SignedRequest<'r>) -> Result<Self, WireError> {
        let authorization = request.header("authorization")?;
        let claim = match authorization {
            Some(authorization) if authorization.starts_with("ACS3-") => v3::read(request, authorization)?,
            _ if request.parameter("AccessKeyId").is_some() || request.parameter("Signature").is_some() => {
                v1::read(request)?
            }
            _ => return Err(unsigned(request, authorization)),
        };
        if claim.nonce.is_empty() || claim.nonce.chars().count() > NONCE_MAX_CHARACTERS {
            return Err(WireError::invalid("SignatureNonce", "it has 1 to 256 characters"));
        }
        Ok(claim)
    }

    /// The same claim about a request whose body has arrived. It was read from the head alone, and is not read again.
    #[must_use]
    pub(crate) fn of_whole(self, request: &'r SignedRequest<'r>) -> Self {
        Self { request, ..self }
    }

    /// The key that is said to have signed.
    #[must_use]
    pub fn access_key_id(&self) -> &'r str {
        self.access_key_id
    }

    /// The text that makes this request unique among those of its key.
    #[must_use]
    pub fn nonce(&self) -> &'r str {
        self.nonce
    }

    /// Whether the request's time lies within the window around `now`; gives that time.
    ///
    /// # Errors
    /// Another form than `YYYY-MM-DDTHH:MM:SSZ`, with a fraction of a second or without, or outside the window.
    pub fn check_date(&self, now: Timestamp) -> Result<Timestamp, WireError> {
        let date = Timestamp::parse_rfc3339(self.date).map_err(|_| ErrorCode::TimeStampFormat)?;
        let off = (now.as_millis() - date.as_millis()).abs();
        if off <= WINDOW_MILLIS {
            return Ok(date);
        }
        let row = ErrorCode::TimeStampExpired.row();
        let message = format!("{} The server's time is {}.", row.message, now.to_rfc3339_seconds());
        let expired = WireError::with_message(ErrorCode::TimeStampExpired, message);
        // Signing again with a clock that is so far off does not help.
        Err(if off >= CLOCK_IS_WRONG_MILLIS { expired.advised(RetryAdvice::AfterFix) } else { expired })
    }

    /// Whether the body is the one that was signed. V1 signs a form body's parameters and no other body.
    ///
    /// # Errors
    /// Another body.
    pub fn check_body(&self) -> Result<(), WireError> {
        if let Some(theirs) = self.request.header("content-md5")? {
            // It protects from accidents alone; what protects from people is the signature.
            let ours = STANDARD.encode(Md5::digest(&self.request.body));
            if theirs != ours {
                return Err(ErrorCode::ContentMd5NotMatched.into());
            }
        }
        match self.scheme {
            Scheme::V1 => Ok(()),
            Scheme::V3 => v3::check_body(self),
        }
    }

    /// Whether the secret made the signature.
    ///
    /// # Errors
    /// It did not; the message repeats what should have been signed, where that holds no secrets.
    pub fn check_signature(&self, secret: &AccessKeySecret) -> Result<(), WireError> {
        match self.scheme {
            Scheme::V1 => v1::check_signature(self, secret),
            Scheme::V3 => v3::check_signature(self, secret),
        }
    }

    /// Whether the token is that of the key's session, and the session lasts. A long-term key, whose `session` is `None`,
    /// has no token.
    ///
    /// # Errors
    /// There is no token, none that could be one, that of another key, or one whose session has ended.
    pub fn check_security_token(
        &self,
        session: Option<&SessionValidity>,
        now: Timestamp,
    ) -> Result<(), WireError> {
        let token = match self.security_token {
            None if session.is_none() => return Ok(()),
            None => return Err(WireError::missing("SecurityToken")),
            Some(token) if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) => {
                return Err(ErrorCode::SecurityTokenMalformed.into());
            }
            Some(token) => SecurityToken::presented(token),
        };
        match session {
            Some(session) if !session.has_token(&token) => Err(ErrorCode::SecurityTokenMismatch.into()),
            Some(session) if session.expired(now) => Err(ErrorCode::SecurityTokenExpired.into()),
            Some(_) => Ok(()),
            None => Err(ErrorCode::SecurityTokenMismatch.into()),
        }
    }

    /// The version that is asked for. Of a V1 request only a parameter says so, since nothing signs its headers.
    ///
    /// # Errors
    /// It is missing, or a header and a parameter differ.
    pub fn version(&self) -> Result<&'r str, WireError> {
        self.asked("x-acs-version", "Version")
    }

    /// The action that is asked for, found as the version is.
    ///
    /// # Errors
    /// It is missing, or a header and a parameter differ.
    pub fn action(&self) -> Result<&'r str, WireError> {
        self.asked("x-acs-action", "Action")
    }

    fn asked(&self, header: &'static str, parameter: &'static str) -> Result<&'r str, WireError> {
        let in_parameters = self.request.parameter(parameter);
        if self.scheme == Scheme::V1 {
            return in_parameters.ok_or_else(|| WireError::missing(parameter));
        }
        let in_header = self.request.header(header)?.ok_or_else(|| WireError::missing(parameter))?;
        match in_parameters {
            Some(other) if other != in_header => Err(WireError::invalid(
                parameter,
                format_args!("the header {header} and the parameter {parameter} differ"),
            )),
            _ => Ok(in_header),
        }
    }

    /// Whether what was signed may be repeated to the caller. A session's token is a secret, and it would be shown.
    fn may_echo(&self, text: &str) -> bool {
        let secret = |name: &str| NEVER_ECHOED.iter().any(|never| never.eq_ignore_ascii_case(name));
        let asked = self.request.parameter("Action").is_some_and(secret)
            || self.request.header_values("x-acs-action").any(secret);
        !asked && self.security_token.is_none() && text.len() <= ECHO_MAX_BYTES
    }
}

fn incomplete(what: impl fmt::Display) -> WireError {
    let message = format!("The request signature does not conform to Aliyun standards: {what}.");
    WireError::with_message(ErrorCode::IncompleteSignature, message)
}

/// The actions of STS that are unsigned by design, since an identity provider vouches for their callers.
const UNSIGNED_BY_DESIGN: [&str; 2] = ["AssumeRoleWithOIDC", "AssumeRoleWithSAML"];

fn unsigned(request: &SignedRequest<'_>, authorization: Option<&str>) -> WireError {
    let action = request.parameter("Action").or_else(|| request.header_values("x-acs-action").next());
    if let Some(action) = UNSIGNED_BY_DESIGN.iter().find(|unsigned| Some(**unsigned) == action) {
        let message = format!("The action {action} is not offered here: there are no identity providers.");
        return WireError::with_message(ErrorCode::ActionNotFound, message);
    }
    let bearer = request.header_values("x-acs-bearer-token").next().is_some()
        || request.parameter("BearerToken").is_some();
    incomplete(match authorization {
        _ if bearer => "bearer tokens are not accepted; sign with an access key",
        Some(_) => "the header Authorization must begin with ACS3-HMAC-SHA256",
        None => "the request is not signed; sign with an access key, signature V3 or V1",
    })
}
