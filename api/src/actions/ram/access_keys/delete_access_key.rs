//! DeleteAccessKey: deletes an access key.

use domain::actions::DeleteAccessKey;
use domain::gate::Granted;
use domain::identity::{AccessKeyId, KeyOwner};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::DoneReply;

use crate::actions::ram::{about, key_owner};
use crate::dispatch::{Call, Deferred, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for DeleteAccessKey {
    type Input = Input;

    fn read(caller: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(Input { owner: key_owner(caller, request.user_name)?, key: request.user_access_key_id })
    }

    async fn locate(_: &Call<'_>, input: &Self::Input) -> Result<Located, ActionError> {
        Ok(about(input.owner.resource()))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        input: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let key = input.key?;
        let audit = call.audit_of_change(&granted, key.as_str());
        call.store.delete_access_key(&granted, &key, audit).await?;
        Ok(Done::changed(DoneReply { request_id: call.request_id().to_string() }))
    }
}

/// The access key, and whose it is.
pub(crate) struct Input {
    owner: KeyOwner,
    key: Deferred<AccessKeyId>,
}
