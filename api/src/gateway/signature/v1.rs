//! RPC signature 1.0, HMAC-SHA1 (contract, section 4.2).

use domain::access_key::AccessKeySecret;
use openapi::error_codes::{ErrorCode, WireError};
use request_signature::v1;

use super::{Claim, Scheme, SignedRequest};
use crate::gateway::parameters::Channel;

pub(super) fn read<'r>(request: &'r SignedRequest<'r>) -> Result<Claim<'r>, WireError> {
    let mandatory = |name| request.parameter(name).ok_or_else(|| WireError::missing(name));
    // With a key pair or a bearer token this would name another kind of signature.
    if !request.parameter("SignatureType").unwrap_or_default().is_empty() {
        return Err(ErrorCode::SignatureMethod.into());
    }
    if mandatory("SignatureMethod")? != "HMAC-SHA1" {
        return Err(ErrorCode::SignatureMethod.into());
    }
    if mandatory("SignatureVersion")? != "1.0" {
        return Err(WireError::invalid("SignatureVersion", "it is 1.0"));
    }
    Ok(Claim {
        request,
        scheme: Scheme::V1,
        access_key_id: mandatory("AccessKeyId")?,
        date: mandatory("Timestamp")?,
        nonce: mandatory("SignatureNonce")?,
        signature: mandatory("Signature")?,
        security_token: request.parameter("SecurityToken"),
        signed_headers: "",
        body_sha256: "",
    })
}

pub(super) fn check_signature(claim: &Claim<'_>, secret: &AccessKeySecret) -> Result<(), WireError> {
    let parameters = Channel::merged(&claim.request.query, &claim.request.form);
    let pairs = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let to_sign = v1::string_to_sign(claim.request.method, pairs);
    if v1::verify(secret.reveal(), &to_sign, claim.signature) {
        return Ok(());
    }
    // The legacy SDK takes what stands behind the first colon for the string to sign, and compares it with its own to
    // tell a wrong secret from a broken request. So it stands there alone; and without a colon that SDK crashes.
    let mut message = ErrorCode::SignatureMismatchV1.row().message.to_owned();
    if claim.may_echo(&to_sign) {
        message.push_str(&to_sign);
    }
    Err(WireError::with_message(ErrorCode::SignatureMismatchV1, message))
}
