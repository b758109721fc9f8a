//! UpdateAccessKey: switches an access key on or off.

use domain::access_key::AccessKeyStatus;
use domain::actions::UpdateAccessKey;
use domain::gate::{Granted, Resource};
use domain::identity::AccessKeyId;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{DoneReply, UpdateAccessKeyRequest};

use super::{invalid, key_owner, name};
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for UpdateAccessKey {
    type Request = UpdateAccessKeyRequest;
    type Input = Self::Request;
    type Reply = DoneReply;

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
        let key: AccessKeyId = name("UserAccessKeyId", &asked.user_access_key_id)?;
        let status = AccessKeyStatus::parse(&asked.status)
            .ok_or_else(|| invalid("Status", "it is Active or Inactive"))?;
        let audit = call.audit_of_change(&granted, key.as_str()).with_more(status.as_str());
        call.hansard.store.set_access_key_status(&granted, &key, status, audit).await?;
        Ok(Done::changed(DoneReply { request_id: call.request_id().to_string() }))
    }
}
