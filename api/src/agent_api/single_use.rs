//! The single use of an agent's token, which is still to be claimed: with the change that the call makes, in one commit, and
//! otherwise with its final audit row. Nothing is changed before; an answer leaves only when the claim is on stable storage.

use std::cell::Cell;

use agent_protocol::AgentErrorCode;
use persistence::NonceClaim;

use super::refusal::AgentRefusal;
use crate::Hansard;

/// The single use of one call.
pub(crate) struct SingleUse {
    claim: NonceClaim,
    state: Cell<State>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing was tried yet.
    Unclaimed,
    /// The call is the first use.
    Claimed,
    /// Whether it is the first use will not be known any more, or it is not.
    Lost,
}

impl SingleUse {
    pub(super) fn new(claim: NonceClaim) -> Self {
        Self { claim, state: Cell::new(State::Unclaimed) }
    }

    /// Refuses a token of which a use was refused before, so that it is read no further.
    pub(super) fn refuse_known(&self, hansard: &Hansard) -> Result<(), AgentRefusal> {
        if hansard.limits.repeated.knows(&self.claim) { Err(replayed()) } else { Ok(()) }
    }

    /// Claims it by itself, if it is not claimed yet.
    pub(super) async fn claim(&self, hansard: &Hansard) -> Result<(), AgentRefusal> {
        match self.take() {
            Some(claim) => self.settle(hansard, hansard.store.claim_nonce(claim).await?),
            None => Ok(()),
        }
    }

    /// The claim, for a commit that somebody makes. Whatever becomes of that, no other one has it.
    pub(super) fn take(&self) -> Option<NonceClaim> {
        let unclaimed = self.state.get() == State::Unclaimed;
        unclaimed.then(|| {
            self.state.set(State::Lost);
            self.claim.clone()
        })
    }

    /// What became of the claim that was taken.
    pub(super) fn settle(&self, hansard: &Hansard, is_first: bool) -> Result<(), AgentRefusal> {
        if is_first {
            self.state.set(State::Claimed);
            return Ok(());
        }
        hansard.limits.repeated.note(&self.claim);
        Err(replayed())
    }

    /// Whether the call is known to be the first use.
    pub(super) fn is_claimed(&self) -> bool {
        self.state.get() == State::Claimed
    }
}

fn replayed() -> AgentRefusal {
    AgentRefusal::new(
        AgentErrorCode::AgentTokenReplayed,
        "the agent token was used before; make a new one for each request",
    )
}
