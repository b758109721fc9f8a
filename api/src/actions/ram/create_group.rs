//! CreateGroup: makes a group.

use domain::actions::CreateGroup;
use domain::gate::{Granted, IdentityResource, Resource};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{CreateGroupRequest, GroupReply};

use super::list_groups::item;
use super::name;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for CreateGroup {
    type Request = CreateGroupRequest;
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
        let group = name("GroupName", &asked.group_name)?;
        let comments = asked.comments.unwrap_or_default();
        let audit = call.audit_of_change(&granted, "");
        let group = call.hansard.store.create_group(&granted, &group, comments, call.now(), audit).await?;
        Ok(Done::changed(GroupReply { request_id: call.request_id().to_string(), group: item(&group) }))
    }
}
