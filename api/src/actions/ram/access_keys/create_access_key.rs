//! CreateAccessKey: makes an access key, whose secret is shown once.

use domain::access_key::AccessKeyStatus;
use domain::actions::CreateAccessKey;
use domain::gate::Granted;
use domain::identity::KeyOwner;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{CreateAccessKeyReply, CreatedAccessKey};

use crate::actions::ram::{about, key_owner};
use crate::actions::wire_time;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for CreateAccessKey {
    type Input = KeyOwner;

    fn read(caller: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        key_owner(caller, request.user_name)
    }

    async fn locate(_: &Call<'_>, owner: &Self::Input) -> Result<Located, ActionError> {
        Ok(about(owner.resource()))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        owner: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let audit = call.audit_of_change(&granted, "");
        let (id, secret) = call.store.create_access_key(&granted, &owner, call.now(), audit).await?;
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
