//! RemoveUserFromGroup: takes a user out of a group.

use domain::actions::RemoveUserFromGroup;
use domain::gate::{Granted, Resource};
use openapi::ram::{DoneReply, RemoveUserFromGroupRequest};

use super::{membership, name};
use crate::dispatch::{Call, Done, RpcAction};
use crate::errors::ActionError;

impl RpcAction for RemoveUserFromGroup {
    type Request = RemoveUserFromGroupRequest;
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
        call.hansard.store.remove_user_from_group(&granted, &user, &group, audit).await?;
        Ok(Done::changed(DoneReply { request_id: call.request_id().to_string() }))
    }
}
