//! ListAccessKeys: the access keys of a user.

use domain::actions::ListAccessKeys;
use domain::gate::{Granted, Resource};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{AccessKeyItem, AccessKeyList, ListAccessKeysReply, ListAccessKeysRequest};
use persistence::AccessKeyEntry;

use super::key_owner;
use crate::actions::wire_time;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for ListAccessKeys {
    type Request = ListAccessKeysRequest;
    type Input = Self::Request;
    type Reply = ListAccessKeysReply;

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
        let keys = call.hansard.store.access_keys_of(&granted, &owner).await?;
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
