//! DeleteAccessKey: deletes an access key.

use domain::actions::DeleteAccessKey;
use domain::gate::{Granted, Resource};
use domain::identity::AccessKeyId;
use openapi::ram::{DeleteAccessKeyRequest, DoneReply};

use super::{key_owner, name};
use crate::dispatch::{Call, Done, RpcAction};
use crate::errors::ActionError;

impl RpcAction for DeleteAccessKey {
    type Request = DeleteAccessKeyRequest;
    type Reply = DoneReply;

    async fn locate(call: &Call<'_>, asked: &Self::Request) -> Result<Resource, ActionError> {
        Ok(Resource::Identity(vec![key_owner(call, asked.user_name.as_deref())?.resource()]))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Request,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let key: AccessKeyId = name("UserAccessKeyId", &asked.user_access_key_id)?;
        let audit = call.audit_of_change(&granted, key.as_str());
        call.hansard.store.delete_access_key(&granted, &key, audit).await?;
        Ok(Done::changed(DoneReply { request_id: call.request_id().to_string() }))
    }
}
