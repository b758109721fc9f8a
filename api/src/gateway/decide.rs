//! Deciding an authenticated call until the decision stands. Whatever decides it can be changed while it is decided; the
//! transaction that writes it down or makes its change finds that out, and then nothing was done.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::HttpResponse;
use domain::decided_under::DecidedUnder;
use persistence::{Deciding, Store};

use super::authenticate;
use super::render::Format;
use super::signature::Claim;
use crate::actions;
use crate::dispatch::{self, Call};
use crate::errors::ActionError;
use crate::road::unauthenticated::UnauthenticatedCaller;
use crate::road::{Arrival, CallError as _, Caller, SingleUse};
use crate::state::Hansard;

/// For how long a call is decided again each time that what decides it was changed. The vendor's SDKs give up after three
/// seconds, and should get an answer before.
const DECIDED_WITHIN: Duration = Duration::from_secs(2);
/// A call is decided inside a transaction when its decision was outdated this often, so that no rate of changes makes it fail.
const INSIDE_AFTER: u32 = 2;
/// How long others wait for a call that is decided inside a transaction, until it does something there.
const INSIDE_FOR: Duration = Duration::from_millis(500);

/// A call whose caller was authenticated and admitted.
pub(super) struct Admitted<'r> {
    pub(super) hansard: &'r Hansard,
    pub(super) sender: &'r UnauthenticatedCaller<'r>,
    pub(super) claim: &'r Claim<'r>,
    pub(super) caller: Caller,
    pub(super) format: Format,
    pub(super) parameters: &'r BTreeMap<String, String>,
    pub(super) single_use: SingleUse<'r>,
    /// The revisions that the last decision was made under which is outdated.
    pub(super) under: RefCell<DecidedUnder>,
}

impl Admitted<'_> {
    /// Answers the call. The caller was authenticated by facts that were read by `deciding`.
    pub(super) async fn answer(&self, deciding: &Deciding<'_>) -> Result<HttpResponse, ActionError> {
        let (store, since) = (&self.hansard.store, Instant::now());
        let mut outcome = self.dispatch(store, deciding, self.caller.clone()).await;
        let mut outdated = 0;
        // Once in any case: what takes long by itself is not refused for one change that was made meanwhile.
        while outcome.as_ref().is_err_and(ActionError::is_outdated)
            && (outdated == 0 || since.elapsed() < DECIDED_WITHIN)
        {
            outdated += 1;
            outcome = if outdated < INSIDE_AFTER {
                Box::pin(self.again(store)).await
            } else {
                Box::pin(self.inside()).await
            };
        }
        outcome
    }

    /// Decides while nobody can change what decides.
    async fn inside(&self) -> Result<HttpResponse, ActionError> {
        let under = self.under.borrow().clone();
        self.hansard.store.holding(&under, INSIDE_FOR, async |store: &Store| self.again(store).await).await?
    }

    /// Decides everything once more from what stands now, and at the present moment: the key too.
    async fn again(&self, store: &Store) -> Result<HttpResponse, ActionError> {
        let (deciding, at) = (store.deciding(), self.hansard.now());
        let arrival = Arc::new(Arrival { at, ..(*self.caller.arrival).clone() });
        let proven = authenticate::prove(&deciding, self.claim, at, self.sender).await?;
        let principal = authenticate::admit(self.claim, proven, at, self.sender)?.principal;
        self.dispatch(store, &deciding, Caller { arrival, principal, ..self.caller.clone() }).await
    }

    async fn dispatch(
        &self,
        store: &Store,
        deciding: &Deciding<'_>,
        caller: Caller,
    ) -> Result<HttpResponse, ActionError> {
        let action = self.claim.action();
        let found = actions::find(self.claim.version(), action.as_deref());
        let call = Call { hansard: self.hansard, store, deciding, caller, format: self.format };
        let outcome = dispatch::dispatch(&call, found, action, self.parameters, &self.single_use).await;
        // Nobody asks for them otherwise.
        if outcome.as_ref().is_err_and(ActionError::is_outdated) {
            *self.under.borrow_mut() = deciding.under();
        }
        outcome
    }
}
