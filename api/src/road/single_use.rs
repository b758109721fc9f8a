//! A signed request is good for one use, on whichever replica, and whatever became of that use.

use domain::actions::Product;
use domain::audit::AuditEvent;
use domain::identity::AccessKeyId;
use domain::principal::Principal;
use openapi::error_codes::ErrorCode;
use persistence::NonceClaim;

use super::unauthenticated::UnauthenticatedCaller;
use crate::errors::ActionError;

/// The single use of a signed request, which is still to be claimed: before the call if that can change something, and
/// otherwise in the commit of its audit row. Either way the claim is on stable storage before the reply leaves, and a
/// request that was used before is answered as such, whatever its call would have been answered.
pub(crate) struct SingleUse<'c> {
    sender: &'c UnauthenticatedCaller<'c>,
    claim: NonceClaim,
    principal: Principal,
    key: AccessKeyId,
    product: Option<Product>,
}

impl<'c> SingleUse<'c> {
    /// The single use of a request that this key signed, which is one of the principal.
    pub(crate) fn new(
        sender: &'c UnauthenticatedCaller<'c>,
        claim: NonceClaim,
        principal: Principal,
        key: AccessKeyId,
        product: Option<Product>,
    ) -> Self {
        Self { sender, claim, principal, key, product }
    }

    /// Refuses a request that was found to be repeated before, so that it runs no more and costs its principal nothing.
    pub(crate) fn refuse_known(&self) -> Result<(), ActionError> {
        if self.sender.hansard().limits.repeated.knows(&self.claim) { Err(self.refused()) } else { Ok(()) }
    }

    /// Claims it. Nothing may be changed before.
    pub(crate) async fn claim(self) -> Result<(), ActionError> {
        let fresh = self.sender.hansard().store.claim_nonce(self.claim.clone()).await?;
        self.settled(fresh)
    }

    /// Claims it and writes the final audit row of a call that changed nothing, both or neither.
    pub(crate) async fn claim_with(self, event: AuditEvent) -> Result<(), ActionError> {
        let fresh = self.sender.hansard().store.record_audit_once(self.claim.clone(), event).await?;
        self.settled(fresh)
    }

    fn settled(self, fresh: bool) -> Result<(), ActionError> {
        let limits = &self.sender.hansard().limits;
        if !fresh {
            limits.repeated.note(&self.claim);
            // Whoever repeats a captured request must not use up what its principal may call.
            limits.throttle.give_back_to_principal(&self.principal);
            return Err(self.refused());
        }
        self.sender.hansard().store.note_key_used(&self.key, self.claim.now, self.product);
        Ok(())
    }

    fn refused(&self) -> ActionError {
        self.sender.refuse_key(self.principal.account(), &self.key, ErrorCode::SignatureNonceUsed.into())
    }
}
