//! ListAccessKeys: the access keys of a user.

use domain::actions::ListAccessKeys;
use domain::gate::Granted;
use domain::identity::{AccessKeyEntry, KeyOwner};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{AccessKeyItem, AccessKeyList, ListAccessKeysReply};

use crate::actions::ram::{about, key_owner};
use crate::actions::wire_time;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for ListAccessKeys {
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
        let keys = call.store.access_keys_of(&granted, &owner).await?;
        Ok(Done::read(ListAccessKeysReply {
            request_id: call.request_id().to_string(),
            access_keys: AccessKeyList { access_key: keys.iter().map(item).collect() },
        }))
    }
}

fn item(key: &AccessKeyEntry) -> AccessKeyItem {
    AccessKeyItem {
        access_key_id: key.id.to_string(),
        status: key.status.as_str().to_owned(),
        create_date: wire_time(key.created_at),
    }
}
