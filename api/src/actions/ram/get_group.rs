//! GetGroup: one group.

use domain::actions::GetGroup;
use domain::gate::{Granted, IdentityResource, Resource};
use openapi::ram::{GetGroupRequest, GroupReply};

use super::list_groups::item;
use super::name;
use crate::dispatch::{Call, Done, RpcAction};
use crate::errors::ActionError;

impl RpcAction for GetGroup {
    type Request = GetGroupRequest;
    type Reply = GroupReply;

    async fn locate(_: &Call<'_>, asked: &Self::Request) -> Result<Resource, ActionError> {
        Ok(Resource::Identity(vec![IdentityResource::Group(name("GroupName", &asked.group_name)?)]))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Request,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let group = call.hansard.store.group(&granted, &name("GroupName", &asked.group_name)?).await?;
        Ok(Done::read(GroupReply { request_id: call.request_id().to_string(), group: item(&group) }))
    }
}
