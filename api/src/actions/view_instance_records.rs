//! ViewInstanceRecords: permits one view of one recording and returns its replay address.

use domain::actions::ViewInstanceRecords;
use domain::gate::{Granted, Resource};
use domain::principal::Principal;
use domain::{InstanceId, TerminalSessionToken};
use openapi::error_codes::{ErrorCode, WireError};
use openapi::workbench::{Envelope, ViewInstanceRecordsReply};

use super::wire_time;
use crate::dispatch::{Call, Deferred, Done, Located, RpcAction};
use crate::errors::ActionError;
use crate::replay::tickets;

impl RpcAction for ViewInstanceRecords {
    type Input = Input;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        let token = request.terminal_session_token.ok();
        Ok(Input { instance_id: request.instance_id, token })
    }

    /// The instance that the caller names, with what policies can ask about the recording. If the instance is denied,
    /// every token on it is denied. If only the recording is denied, the answer is that of an unknown token. Neither
    /// reveals what the caller may not see (DECISIONS I4).
    async fn locate(call: &Call<'_>, input: &Self::Input) -> Result<Located, ActionError> {
        let of = call.instance_facts(input.instance_id.clone()?).await?;
        let found = match &input.token {
            Some(token) => {
                let account = call.principal().account();
                call.store.recording_facts(account, &of.instance, token).await?
            }
            None => None,
        };
        Ok(Resource::Recording { of, found }.into())
    }

    fn recording(input: &Self::Input) -> Option<TerminalSessionToken> {
        input.token.clone()
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        input: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        // A malformed token, an unknown one, and one of another instance or account all get the same answer.
        let not_found = ErrorCode::RecordingNotFound;
        let token = input.token.ok_or(not_found)?;
        let recording = call.store.find_recording(&granted, &token).await?.ok_or(not_found)?;
        if recording.expired(call.now()) {
            return Err(ErrorCode::RecordingExpired.into());
        }
        let key = call.caller.access_key.as_ref();
        let key = key.ok_or_else(|| ActionError::unexpected("issue a ticket", "no key signed the call"))?;
        let replay = tickets::issue(call.hansard, granted.principal(), key, &recording)?;
        let reply = ViewInstanceRecordsReply {
            envelope: Envelope::ok(call.request_id().as_str()),
            root: true,
            replay_url: replay.url,
            replay_url_expire_time: wire_time(replay.expires_at),
        };
        Ok(Done::read(reply).about(&token, "ticket"))
    }
}

/// The recording that is wanted.
pub(crate) struct Input {
    /// It is read when the recording is located, after [`RpcAction::recording`], so that the audit row of a call with
    /// an invalid InstanceId has the token all the same.
    instance_id: Deferred<InstanceId>,
    /// `None` for a text that is no token.
    token: Option<TerminalSessionToken>,
}
