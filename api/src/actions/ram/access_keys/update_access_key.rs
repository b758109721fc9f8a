//! UpdateAccessKey: switches an access key on or off.

use domain::access_key::AccessKeyStatus;
use domain::actions::UpdateAccessKey;
use domain::gate::Granted;
use domain::identity::{AccessKeyId, KeyOwner};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::DoneReply;

use crate::actions::ram::{about, key_owner};
use crate::dispatch::{Call, Deferred, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for UpdateAccessKey {
    type Input = Input;

    fn read(caller: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        let owner = key_owner(caller, request.user_name)?;
        let change = request.user_access_key_id.and_then(|key| Ok((key, request.status?)));
        Ok(Input { owner, change })
    }

    async fn locate(_: &Call<'_>, input: &Self::Input) -> Result<Located, ActionError> {
        Ok(about(input.owner.resource()))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        input: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let (key, status) = input.change?;
        let audit = call.audit_of_change(&granted, key.as_str()).with_more(status.as_str());
        call.store.set_access_key_status(&granted, &key, status, audit).await?;
        Ok(Done::changed(DoneReply { request_id: call.request_id().to_string() }))
    }
}

/// The access key and its new status, and whose it is.
pub(crate) struct Input {
    owner: KeyOwner,
    change: Deferred<(AccessKeyId, AccessKeyStatus)>,
}
