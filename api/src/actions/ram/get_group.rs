//! GetGroup: one group.

use domain::actions::GetGroup;
use domain::gate::{Granted, IdentityResource, Resource};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{GetGroupRequest, GroupReply};

use super::list_groups::item;
use super::name;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for GetGroup {
    type Request = GetGroupRequest;
    type Input = Self::Request;
    type Reply = GroupReply;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(request)
    }

    async fn locate(_: &Call<'_>, asked: &Self::Input) -> Result<Located, ActionError> {
        Ok(Resource::Identity(vec![IdentityResource::Group(name("GroupName", &asked.group_name)?)]).into())
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let group = call.hansard.store.group(&granted, &name("GroupName", &asked.group_name)?).await?;
        Ok(Done::read(GroupReply { request_id: call.request_id().to_string(), group: item(&group) }))
    }
}
