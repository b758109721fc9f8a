//! GetAccessKeyLastUsed: when an access key last signed.

use domain::actions::{Action, GetAccessKeyLastUsed};
use domain::gate::Granted;
use domain::identity::{AccessKeyId, AccessKeyUse, KeyOwner};
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
        let noted = call.store.get_access_key(&granted, &key).await?.last_used;
        // Of the key that signs it, this call is the last use. It is noted only once the call is known not to be a repetition.
        let last_used = match &call.caller.access_key {
            Some(signer) if *signer == key => {
                let service = Some(Self::ENTRY.product.ram_code().to_owned());
                Some(AccessKeyUse { at: call.now(), service })
            }
            _ => noted,
        };
        Ok(Done::read(GetAccessKeyLastUsedReply {
            request_id: call.request_id().to_string(),
            access_key_last_used: AccessKeyLastUsed {
                last_used_date: last_used
                    .as_ref()
                    .map_or_else(|| "N/A".to_owned(), |used| wire_time(used.at)),
                service_name: last_used.and_then(|used| used.service),
            },
        }))
    }
}

/// The access key, and whose it is.
pub(crate) struct Input {
    owner: KeyOwner,
    key: Deferred<AccessKeyId>,
}
