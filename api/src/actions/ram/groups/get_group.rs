//! GetGroup: one group.

use domain::actions::GetGroup;
use domain::gate::{Granted, IdentityResource};
use domain::identity::GroupName;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::GroupReply;

use super::list_groups::item;
use crate::actions::ram::about;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for GetGroup {
    type Input = GroupName;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        request.group_name
    }

    async fn locate(_: &Call<'_>, group: &Self::Input) -> Result<Located, ActionError> {
        Ok(about(IdentityResource::Group(group.clone())))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        group: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let group = call.store.get_group(&granted, &group).await?;
        Ok(Done::read(GroupReply { request_id: call.request_id().to_string(), group: item(&group) }))
    }
}
