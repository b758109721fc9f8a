//! The sender of a request before it is authenticated.

use std::sync::Arc;

use actix_web::HttpRequest;
use domain::AccountId;
use domain::identity::AccessKeyId;

use crate::Hansard;
use crate::errors::ActionError;
use crate::limits::tally::{Instance, TallyKey};
use crate::limits::throttle::Throttled;
use crate::road::Arrival;

/// The sender of a request, who is not authenticated yet.
pub(crate) struct UnauthenticatedCaller<'h> {
    hansard: &'h Hansard,
    arrival: Arc<Arrival>,
}

impl<'h> UnauthenticatedCaller<'h> {
    /// The sender of this request.
    pub(crate) fn of(request: &HttpRequest, hansard: &'h Hansard) -> Self {
        Self::new(Arrival::of(request), hansard)
    }

    /// The sender of what arrived.
    pub(crate) fn new(arrival: Arc<Arrival>, hansard: &'h Hansard) -> Self {
        Self { hansard, arrival }
    }

    /// The control plane that was asked.
    pub(crate) fn hansard(&self) -> &'h Hansard {
        self.hansard
    }

    /// Checks the rate limit of the address. This costs only memory, and comes before what costs more.
    pub(crate) fn admit(&self) -> Result<(), Throttled> {
        self.hansard.limits.throttle.by_address(self.arrival.source_address).inspect_err(|_| {
            self.count(TallyKey::unauthenticated(self.arrival.source_address), Throttled::CODE)
        })
    }

    /// The sender is authenticated: the call no longer counts against the limit of its address.
    pub(crate) fn mark_authenticated(&self) {
        self.hansard.limits.throttle.give_back(self.arrival.source_address);
    }

    /// Counts the refusal of a call and returns it. An internal error is not a refusal.
    pub(crate) fn refuse(&self, error: impl Into<ActionError>) -> ActionError {
        let error = error.into();
        if error.is_refusal() {
            self.count(TallyKey::unauthenticated(self.arrival.source_address), &error.wire().code_text());
        }
        error
    }

    /// As [`Self::refuse`], for a sender who named an access key of this account.
    pub(crate) fn refuse_key(
        &self,
        account: &AccountId,
        key: &AccessKeyId,
        error: ActionError,
    ) -> ActionError {
        if error.is_refusal() {
            self.count(
                TallyKey::of_key(account, key, self.arrival.source_address),
                &error.wire().code_text(),
            );
        }
        error
    }

    /// Counts a refusal with this code. `account` is the account of whatever the sender named.
    pub(crate) fn count_refusal(&self, account: Option<&AccountId>, action: &'static str, code: &str) {
        let key = match account {
            Some(account) => TallyKey::of_account(account, action, self.arrival.source_address),
            None => TallyKey::unauthenticated(self.arrival.source_address),
        };
        self.count(key, code);
    }

    /// Counts a call under this key.
    pub(crate) fn count(&self, key: TallyKey, code: &str) {
        let Arrival { request_id, source_address, at, .. } = &*self.arrival;
        let call = Instance { request_id, source_address: *source_address, at: *at, code };
        self.hansard.limits.tally.count(key, &call);
    }
}
