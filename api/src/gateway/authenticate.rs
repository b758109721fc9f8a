//! From a claim to a principal, in the order of DECISIONS G1: key, date, body hash, signature, token, nonce.

use std::time::Duration;

use aws_lc_rs::digest;
use domain::Timestamp;
use domain::access_key::{AccessKey, AccessKeyStatus};
use domain::identity::AccessKeyId;
use domain::principal::Principal;
use openapi::error_codes::ErrorCode;
use persistence::NonceClaim;

use super::signature::Claim;
use crate::errors::ActionError;
use crate::state::Hansard;
use crate::stranger::Stranger;

/// How long a nonce is remembered beyond its request's time (DECISIONS G1): the whole window, three times.
const NONCE_KEPT_FOR: Duration = Duration::from_secs(45 * 60);

/// Who calls.
pub(super) struct Authenticated {
    pub(super) principal: Principal,
    pub(super) access_key_id: AccessKeyId,
}

pub(super) async fn authenticate(
    hansard: &Hansard,
    claim: &Claim<'_>,
    now: Timestamp,
    stranger: &Stranger<'_>,
) -> Result<Authenticated, ActionError> {
    // What cannot be a key id is not found either.
    let not_found = || stranger.refuse(ErrorCode::AccessKeyNotFound);
    let id = AccessKeyId::parse(claim.access_key_id()).map_err(|_| not_found())?;
    let key = hansard.store.find_access_key(&id).await?.ok_or_else(not_found)?;
    // Whoever it is, the key says of which account.
    check(hansard, claim, now, &key)
        .await
        .map_err(|error| stranger.refuse_key(key.principal.account(), &id, error))?;
    Ok(Authenticated { principal: key.principal, access_key_id: id })
}

/// Everything that must hold of a claim to be the key's.
async fn check(
    hansard: &Hansard,
    claim: &Claim<'_>,
    now: Timestamp,
    key: &AccessKey,
) -> Result<(), ActionError> {
    if key.status != AccessKeyStatus::Active {
        return Err(ErrorCode::AccessKeyInactive.into());
    }
    let date = claim.check_date(now)?;
    claim.check_body()?;
    claim.check_signature(&key.secret)?;
    claim.check_security_token(key.session.as_ref(), now)?;
    // Only now: otherwise anybody could burn the nonces of somebody else's requests.
    let nonce =
        NonceClaim { hash: nonce_hash(&key.id, claim.nonce()), expires_at: date.plus(NONCE_KEPT_FOR), now };
    if !hansard.store.claim_nonce(nonce).await? {
        return Err(ErrorCode::SignatureNonceUsed.into());
    }
    Ok(())
}

/// SHA-256 of the key id and the nonce. No key id holds a zero byte, so that no two pairs run together.
fn nonce_hash(id: &AccessKeyId, nonce: &str) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(id.as_str().as_bytes());
    context.update(b"\0");
    context.update(nonce.as_bytes());
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}
