//! A signed request is good for one use, on whichever replica, and whatever became of that use.

use std::cell::Cell;
use std::sync::Arc;

use domain::access_key::AccessKey;
use domain::actions::Product;
use domain::audit::AuditEvent;
use domain::decided_under::DecidedUnder;
use openapi::error_codes::ErrorCode;
use persistence::{NonceClaim, Settled, Store, StoreError};

use super::unauthenticated::UnauthenticatedCaller;
use crate::errors::ActionError;

/// The single use of a signed request, which is still to be claimed: before the call if that can change something, and
/// otherwise in the commit of its audit row. Either way the claim is on stable storage before the reply leaves, and a
/// request that was used before is answered as such, whatever its call would have been answered.
pub(crate) struct SingleUse<'c> {
    sender: &'c UnauthenticatedCaller<'c>,
    claim: NonceClaim,
    key: Arc<AccessKey>,
    product: Option<Product>,
    /// A call that is decided again keeps its claim.
    claimed: Cell<bool>,
}

impl<'c> SingleUse<'c> {
    /// The single use of a request that this key signed.
    pub(crate) fn new(
        sender: &'c UnauthenticatedCaller<'c>,
        claim: NonceClaim,
        key: Arc<AccessKey>,
        product: Option<Product>,
    ) -> Self {
        Self { sender, claim, key, product, claimed: Cell::new(false) }
    }

    /// Refuses a request that was found to be repeated before, so that it runs no more and costs its principal nothing.
    pub(crate) fn refuse_known(&self) -> Result<(), ActionError> {
        if self.sender.hansard().limits.repeated.knows(&self.claim) { Err(self.refused()) } else { Ok(()) }
    }

    /// Claims it, if it is not claimed yet. Nothing may be changed before.
    pub(crate) async fn claim(&self) -> Result<(), ActionError> {
        if self.claimed.get() {
            return Ok(());
        }
        let fresh = self.sender.hansard().store.claim_nonce(self.claim.clone()).await?;
        self.settled(if fresh { Settled::Committed } else { Settled::NonceUsed })
    }

    /// Writes the final audit row of a call that changed nothing, and claims it if it is not claimed yet: both or neither,
    /// and only while the revisions stand under which the call was decided.
    pub(crate) async fn settle(
        &self,
        store: &Store,
        event: AuditEvent,
        decided_under: DecidedUnder,
    ) -> Result<(), ActionError> {
        let claim = (!self.claimed.get()).then(|| self.claim.clone());
        self.settled(store.settle(claim, event, decided_under).await?)
    }

    fn settled(&self, settled: Settled) -> Result<(), ActionError> {
        let limits = &self.sender.hansard().limits;
        match settled {
            Settled::Committed => {
                if !self.claimed.replace(true) {
                    self.sender.hansard().store.note_key_used(&self.key.id, self.claim.now, self.product);
                }
                Ok(())
            }
            Settled::NonceUsed => {
                limits.repeated.note(&self.claim);
                // Whoever repeats a captured request must not use up what its principal may call.
                limits.throttle.give_back_to_principal(&self.key.principal);
                Err(self.refused())
            }
            Settled::Stale => Err(StoreError::Outdated.into()),
        }
    }

    fn refused(&self) -> ActionError {
        self.sender.refuse_key(
            self.key.principal.account(),
            &self.key.id,
            ErrorCode::SignatureNonceUsed.into(),
        )
    }
}
