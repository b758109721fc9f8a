//! CreateAccessKey: makes an access key, whose secret is shown once.

use domain::access_key::AccessKeyStatus;
use domain::actions::CreateAccessKey;
use domain::gate::{Granted, Resource};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{CreateAccessKeyReply, CreateAccessKeyRequest, CreatedAccessKey};

use super::key_owner;
use crate::actions::wire_time;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for CreateAccessKey {
    type Request = CreateAccessKeyRequest;
    type Input = Self::Request;
    type Reply = CreateAccessKeyReply;

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
        let owner = key_owner(call, asked.user_name.as_deref())?;
        let audit = call.audit_of_change(&granted, "");
        let (id, secret) = call.hansard.store.create_access_key(&granted, &owner, call.now(), audit).await?;
        Ok(Done::changed(CreateAccessKeyReply {
            request_id: call.request_id().to_string(),
            access_key: CreatedAccessKey {
                access_key_id: id.to_string(),
                access_key_secret: secret.reveal().to_owned(),
                status: AccessKeyStatus::Active.as_str().to_owned(),
                create_date: wire_time(call.now()),
            },
        }))
    }
}
