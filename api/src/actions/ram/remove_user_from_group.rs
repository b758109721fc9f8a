//! RemoveUserFromGroup: takes a user out of a group.

use domain::actions::RemoveUserFromGroup;
use domain::gate::Granted;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{DoneReply, RemoveUserFromGroupRequest};

use super::{membership, name};
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for RemoveUserFromGroup {
    type Request = RemoveUserFromGroupRequest;
    type Input = Self::Request;
    type Reply = DoneReply;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(request)
    }

    async fn locate(_: &Call<'_>, asked: &Self::Input) -> Result<Located, ActionError> {
        membership(&asked.user_name, &asked.group_name)
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let (user, group) = (name("UserName", &asked.user_name)?, name("GroupName", &asked.group_name)?);
        let audit = call.audit_of_change(&granted, "");
        call.hansard.store.remove_user_from_group(&granted, &user, &group, audit).await?;
        Ok(Done::changed(DoneReply { request_id: call.request_id().to_string() }))
    }
}
