//! ACS3-HMAC-SHA256 (contract, section 4.1).

use domain::access_key::AccessKeySecret;
use openapi::error_codes::{ErrorCode, WireError};
use request_signature::v3::{ALGORITHM, EMPTY_SHA256, Mismatch, Signable, content_sha256};

use super::{Claim, Scheme, SignedRequest, incomplete};
use crate::gateway::parameters::shown;

/// These decide what a request means and when; unsigned they would mean nothing.
const MANDATORY: [&str; 6] =
    ["host", "x-acs-date", "x-acs-action", "x-acs-version", "x-acs-content-sha256", "x-acs-signature-nonce"];

pub(super) fn read<'r>(
    request: &'r SignedRequest<'r>,
    authorization: &'r str,
) -> Result<Claim<'r>, WireError> {
    let (algorithm, fields) = authorization.split_once(' ').unwrap_or((authorization, ""));
    if algorithm != ALGORITHM {
        return Err(ErrorCode::SignatureMethod.into());
    }
    let mut found = [None; 3];
    for field in fields.split(',') {
        let field = field.trim();
        let slot = match field.split_once('=') {
            Some(("Credential", value)) => Some((0, value)),
            Some(("SignedHeaders", value)) => Some((1, value)),
            Some(("Signature", value)) => Some((2, value)),
            _ => None,
        };
        let Some((slot, value)) = slot else {
            return Err(incomplete(
                "Authorization has a field other than Credential, SignedHeaders and Signature",
            ));
        };
        if found[slot].replace(value).is_some() {
            return Err(incomplete("Authorization has a field twice"));
        }
    }
    let [Some(access_key_id), Some(signed_headers), Some(signature)] = found else {
        return Err(incomplete("Authorization lacks Credential, SignedHeaders or Signature"));
    };
    check_signed_headers(request, signed_headers)?;
    check_content_type(request, signed_headers)?;
    if request.header("x-acs-accesskey-id")?.is_some_and(|id| id != access_key_id) {
        return Err(incomplete("x-acs-accesskey-id and the Credential of Authorization differ"));
    }
    let mandatory =
        |name| request.header(name)?.ok_or_else(|| incomplete(format_args!("the header {name} is missing")));
    Ok(Claim {
        request,
        scheme: Scheme::V3,
        access_key_id,
        date: mandatory("x-acs-date")?,
        nonce: mandatory("x-acs-signature-nonce")?,
        signature,
        security_token: request.header("x-acs-security-token")?,
        signed_headers,
        body_sha256: mandatory("x-acs-content-sha256")?,
    })
}

/// What must be signed is signed, and what is said to be signed is there.
fn check_signed_headers(request: &SignedRequest<'_>, signed_headers: &str) -> Result<(), WireError> {
    let mut names = Vec::with_capacity(request.headers.len());
    names.extend(signed_headers.split(';'));
    for name in &names {
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(incomplete("SignedHeaders must be in lower case"));
        }
        if request.header_values(name).next().is_none() {
            return Err(incomplete(format_args!("SignedHeaders names {}, which was not sent", shown(name))));
        }
    }
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    if names.len() != all {
        return Err(incomplete("SignedHeaders names a header twice"));
    }
    let present = request.headers.iter().map(|(name, _)| *name).filter(|name| name.starts_with("x-acs-"));
    for name in MANDATORY.into_iter().chain(present) {
        if names.binary_search(&name).is_err() {
            return Err(incomplete(format_args!("the header {} must be sent and signed", shown(name))));
        }
    }
    Ok(())
}

/// The type of a body says whether it holds parameters: unsigned, it could be added or taken away on the way, and they
/// would appear or vanish. The body itself has not arrived yet; its announced hash says whether there is one.
fn check_content_type(request: &SignedRequest<'_>, signed_headers: &str) -> Result<(), WireError> {
    let announced = request.header("x-acs-content-sha256")?;
    let bodiless = announced == Some(EMPTY_SHA256);
    if bodiless || signed_headers.split(';').any(|name| name == "content-type") {
        return Ok(());
    }
    Err(incomplete("the header content-type of a request with a body must be sent and signed"))
}

pub(super) fn check_body(claim: &Claim<'_>) -> Result<(), WireError> {
    let ours = content_sha256(&claim.request.body);
    if ours == claim.body_sha256 {
        return Ok(());
    }
    Err(WireError::with_message(
        ErrorCode::SignatureMismatchV3,
        format!(
            "Specified signature does not match our calculation. The body that arrived has the x-acs-content-sha256:{ours}"
        ),
    ))
}

pub(super) fn check_signature(claim: &Claim<'_>, secret: &AccessKeySecret) -> Result<(), WireError> {
    let request = claim.request;
    let query: Vec<_> = request.query.iter().collect();
    let signable = Signable {
        method: request.method,
        path: request.path,
        query: &query,
        headers: &request.headers,
        signed_headers: claim.signed_headers,
        content_sha256: claim.body_sha256,
    };
    let Err(Mismatch { canonical_request, string_to_sign }) =
        signable.verify(secret.hmac_sha256(), claim.signature)
    else {
        return Ok(());
    };
    let message = ErrorCode::SignatureMismatchV3.row().message;
    let message = if claim.may_echo(&canonical_request) {
        format!(
            "{message} server string to sign is:{string_to_sign}\nserver canonical request is:{canonical_request}"
        )
    } else {
        format!("{message} server string to sign is: not shown")
    };
    Err(WireError::with_message(ErrorCode::SignatureMismatchV3, message))
}
