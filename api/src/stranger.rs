//! Somebody who knocks at a door that is open to everybody, before anybody knows who it is.

use std::net::IpAddr;

use actix_web::HttpRequest;
use domain::AccountId;
use domain::Timestamp;
use domain::identity::AccessKeyId;

use crate::Hansard;
use crate::errors::ActionError;
use crate::request::{self, RequestId};
use crate::tally::{Alike, Instance};
use crate::throttle::Throttled;

/// A request whose sender is not authenticated yet.
pub(crate) struct Stranger<'h> {
    hansard: &'h Hansard,
    request_id: RequestId,
    source_address: Option<IpAddr>,
    arrived_at: Timestamp,
}

impl<'h> Stranger<'h> {
    /// Who sent this request.
    pub(crate) fn of(request: &HttpRequest, hansard: &'h Hansard) -> Self {
        Self {
            hansard,
            request_id: RequestId::of(request),
            source_address: request::source_address(request),
            arrived_at: hansard.now(),
        }
    }

    /// Asks whether this address may call again. It costs nothing but memory, and comes before what costs more; the
    /// caller reads the body of the refused away.
    pub(crate) fn admit(&self) -> Result<(), Throttled> {
        self.hansard
            .throttle
            .by_address(self.source_address)
            .inspect_err(|_| self.count(Alike::strangers(self.source_address), Throttled::CODE))
    }

    /// Counts the refusal of a call and gives it back. A fault of ours is no refusal.
    pub(crate) fn refuse(&self, error: impl Into<ActionError>) -> ActionError {
        let error = error.into();
        if error.is_refusal() {
            self.count(Alike::strangers(self.source_address), &error.wire().code_text());
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
            self.count(Alike::of_key(account, key, self.source_address), &error.wire().code_text());
        }
        error
    }

    /// Counts a refusal with this code; `account` is the one that the caller named something of.
    pub(crate) fn count_refusal(&self, account: Option<&AccountId>, action: &'static str, code: &str) {
        let alike = match account {
            Some(account) => Alike::of_account(account, action, self.source_address),
            None => Alike::strangers(self.source_address),
        };
        self.count(alike, code);
    }

    /// Counts a call under what it has in common with others.
    pub(crate) fn count(&self, alike: Alike, code: &str) {
        let Self { request_id, source_address, arrived_at, .. } = self;
        let call = Instance { request_id, source_address: *source_address, at: *arrived_at, code };
        self.hansard.tally.count(alike, &call);
    }
}
