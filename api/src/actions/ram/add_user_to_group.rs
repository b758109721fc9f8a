//! AddUserToGroup: puts a user into a group.

use domain::actions::AddUserToGroup;
use domain::gate::{Granted, Resource};
use openapi::ram::{AddUserToGroupRequest, DoneReply};

use super::{membership, name};
use crate::dispatch::{Call, Done, RpcAction};
use crate::errors::ActionError;

impl RpcAction for AddUserToGroup {
    type Request = AddUserToGroupRequest;
    type Reply = DoneReply;

    async fn locate(_: &Call<'_>, asked: &Self::Request) -> Result<Resource, ActionError> {
        membership(&asked.user_name, &asked.group_name)
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Request,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let (user, group) = (name("UserName", &asked.user_name)?, name("GroupName", &asked.group_name)?);
        let audit = call.audit_of_change(&granted, "");
        call.hansard.store.add_user_to_group(&granted, &user, &group, call.now(), audit).await?;
        Ok(Done::changed(DoneReply { request_id: call.request_id().to_string() }))
    }
}
