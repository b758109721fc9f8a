//! Somebody who knocks at a door that is open to everybody, before anybody knows who it is.

use std::sync::Arc;

use actix_web::HttpRequest;
use domain::AccountId;
use domain::identity::AccessKeyId;

use crate::Hansard;
use crate::errors::ActionError;
use crate::limits::tally::{Instance, TallyKey};
use crate::limits::throttle::Throttled;
use crate::road::Arrival;

/// A request whose sender is not authenticated yet.
pub(crate) struct Stranger<'h> {
    hansard: &'h Hansard,
    arrival: Arc<Arrival>,
}

impl<'h> Stranger<'h> {
    /// Who sent this request.
    pub(crate) fn of(request: &HttpRequest, hansard: &'h Hansard) -> Self {
        Self::new(Arrival::of(request), hansard)
    }

    /// Who sent what arrived so.
    pub(crate) fn new(arrival: Arc<Arrival>, hansard: &'h Hansard) -> Self {
        Self { hansard, arrival }
    }

    /// Asks whether this address may call again. It costs nothing but memory, and comes before what costs more.
    pub(crate) fn admit(&self) -> Result<(), Throttled> {
        self.hansard
            .limits
            .throttle
            .by_address(self.arrival.source_address)
            .inspect_err(|_| self.count(TallyKey::strangers(self.arrival.source_address), Throttled::CODE))
    }

    /// No stranger any more: the call does not count as one of its address.
    pub(crate) fn is_known(&self) {
        self.hansard.limits.throttle.give_back(self.arrival.source_address);
    }

    /// Counts the refusal of a call and gives it back. A fault of ours is no refusal.
    pub(crate) fn refuse(&self, error: impl Into<ActionError>) -> ActionError {
        let error = error.into();
        if error.is_refusal() {
            self.count(TallyKey::strangers(self.arrival.source_address), &error.wire().code_text());
        }
        error
    }

    /// As [`Self::refuse`], of somebody who named an access key of this account.
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

    /// Counts a refusal with this code; `account` is the one that the caller named something of.
    pub(crate) fn count_refusal(&self, account: Option<&AccountId>, action: &'static str, code: &str) {
        let key = match account {
            Some(account) => TallyKey::of_account(account, action, self.arrival.source_address),
            None => TallyKey::strangers(self.arrival.source_address),
        };
        self.count(key, code);
    }

    /// Counts a call under what it has in common with others.
    pub(crate) fn count(&self, key: TallyKey, code: &str) {
        let Arrival { request_id, source_address, at, .. } = &*self.arrival;
        let call = Instance { request_id, source_address: *source_address, at: *at, code };
        self.hansard.limits.tally.count(key, &call);
    }
}
