//! GetAccessKeyLastUsed: when an access key last signed, to within a few seconds.

use domain::actions::GetAccessKeyLastUsed;
use domain::gate::{Granted, Resource};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{AccessKeyLastUsed, GetAccessKeyLastUsedReply, GetAccessKeyLastUsedRequest};

use super::{key_owner, name};
use crate::actions::wire_time;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for GetAccessKeyLastUsed {
    type Request = GetAccessKeyLastUsedRequest;
    type Input = Self::Request;
    type Reply = GetAccessKeyLastUsedReply;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(request)
    }

    async fn locate(call: &Call<'_>, asked: &Self::Input) -> Result<Located, ActionError> {
        Ok(Resource::Identity(vec![key_owner(call, asked.user_name.as_deref())?.resource()]).into())
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let key = name("UserAccessKeyId", &asked.user_access_key_id)?;
        let key = call.hansard.store.access_key(&granted, &key).await?;
        Ok(Done::read(GetAccessKeyLastUsedReply {
            request_id: call.request_id().to_string(),
            access_key_last_used: AccessKeyLastUsed {
                last_used_date: key.last_used.as_ref().map(|used| wire_time(used.at)),
                service_name: key.last_used.and_then(|used| used.service),
            },
        }))
    }
}
