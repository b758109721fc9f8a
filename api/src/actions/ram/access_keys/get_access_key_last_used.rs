//! GetAccessKeyLastUsed: when an access key last signed.

use domain::actions::GetAccessKeyLastUsed;
use domain::gate::Granted;
use domain::identity::{AccessKeyId, KeyOwner};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{AccessKeyLastUsed, GetAccessKeyLastUsedReply};

use crate::actions::ram::{about, key_owner};
use crate::actions::wire_time;
use crate::dispatch::{Call, Deferred, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for GetAccessKeyLastUsed {
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
        let key = call.hansard.store.get_access_key(&granted, &key).await?;
        Ok(Done::read(GetAccessKeyLastUsedReply {
            request_id: call.request_id().to_string(),
            access_key_last_used: AccessKeyLastUsed {
                last_used_date: key
                    .last_used
                    .as_ref()
                    .map_or_else(|| "N/A".to_owned(), |used| wire_time(used.at)),
                service_name: key.last_used.and_then(|used| used.service),
            },
        }))
    }
}

/// The access key, and whose it is.
pub(crate) struct Input {
    owner: KeyOwner,
    key: Deferred<AccessKeyId>,
}
