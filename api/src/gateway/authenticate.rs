//! From a claim to a principal, in the order of DECISIONS G1: key, date, signature, body, token, nonce. The first three
//! are known from the head, except where parameters in the form are what is signed.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use domain::access_key::{AccessKey, AccessKeyStatus};
use domain::actions::Product;
use domain::identity::AccessKeyId;
use domain::principal::Principal;
use domain::{AccountId, Timestamp};
use openapi::error_codes::{ErrorCode, WireError};
use persistence::{Deciding, NonceClaim};

use super::signature::Claim;
use crate::errors::ActionError;
use crate::road::single_use::SingleUse;
use crate::road::unauthenticated::UnauthenticatedCaller;

/// How long a nonce is remembered beyond its request's time (DECISIONS G1): the whole window, three times.
const NONCE_KEPT_FOR: Duration = Duration::from_secs(45 * 60);

/// Who calls, if the request was not used before.
pub(super) struct Authenticated<'c> {
    pub(super) principal: Principal,
    pub(super) access_key_id: AccessKeyId,
    pub(super) single_use: SingleUse<'c>,
}

/// A caller whose signature and time were checked. The rest of the request is not checked yet, and it may be a replay.
pub(super) struct Proven {
    key: Arc<AccessKey>,
    date: Timestamp,
}

impl Proven {
    /// The account of the key.
    pub(super) fn account(&self) -> &AccountId {
        self.key.principal.account()
    }

    /// Whose key it is.
    pub(super) fn principal(&self) -> &Principal {
        &self.key.principal
    }

    /// The key's id.
    pub(super) fn id(&self) -> &AccessKeyId {
        &self.key.id
    }
}

/// Checks key, date and signature, which the head contains.
pub(super) async fn prove(
    deciding: &Deciding<'_>,
    claim: &Claim<'_>,
    now: Timestamp,
    sender: &UnauthenticatedCaller<'_>,
) -> Result<Proven, ActionError> {
    // A malformed key id is not found either.
    let not_found = || sender.refuse(ErrorCode::AccessKeyNotFound);
    let id = AccessKeyId::parse(claim.access_key_id()).map_err(|_| not_found())?;
    let check = |key: &AccessKey| {
        if key.status != AccessKeyStatus::Active {
            return Err(WireError::new(ErrorCode::AccessKeyInactive));
        }
        let date = claim.check_date(now)?;
        claim.check_signature(&key.secret)?;
        Ok(date)
    };
    let mut key = deciding.find_access_key(&id).await?.ok_or_else(not_found)?;
    let mut checked = check(&key);
    // A refusal is written nowhere, so that nothing but this asks whether the key is still as it was kept.
    if checked.is_err() && !deciding.still_holds(key.principal.account()).await? {
        deciding.begin_again();
        key = deciding.find_access_key(&id).await?.ok_or_else(not_found)?;
        checked = check(&key);
    }
    // The key says which account it belongs to, whoever the caller is.
    let date = checked.map_err(|error| sender.refuse_key(key.principal.account(), &id, error.into()))?;
    Ok(Proven { key, date })
}

/// The body that was signed, and the token. The claim is that of the whole request. Last comes the nonce, so that nobody
/// can use up the nonces of somebody else's requests; it is still to be claimed.
pub(super) fn admit<'c>(
    claim: &Claim<'_>,
    proven: Proven,
    now: Timestamp,
    sender: &'c UnauthenticatedCaller<'c>,
) -> Result<Authenticated<'c>, ActionError> {
    check(claim, &proven, now)
        .map_err(|error| sender.refuse_key(proven.account(), proven.id(), error.into()))?;
    let Proven { key, date } = proven;
    let hash = nonce_hash(&key.id, claim.nonce());
    let nonce = NonceClaim { hash, expires_at: date.plus(NONCE_KEPT_FOR), now };
    let product = claim.version().ok().and_then(Product::of_version);
    let (principal, access_key_id) = (key.principal.clone(), key.id.clone());
    Ok(Authenticated { principal, access_key_id, single_use: SingleUse::new(sender, nonce, key, product) })
}

fn check(claim: &Claim<'_>, proven: &Proven, now: Timestamp) -> Result<(), WireError> {
    claim.check_body()?;
    claim.check_security_token(proven.key.session.as_ref(), now)
}

/// SHA-256 of the key id and the nonce. No key id holds a zero byte, so that no two pairs have the same bytes.
fn nonce_hash(id: &AccessKeyId, nonce: &str) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(id.as_str().as_bytes());
    context.update(b"\0");
    context.update(nonce.as_bytes());
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}
