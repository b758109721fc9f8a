//! AddUserToGroup: puts a user into a group.

use domain::actions::AddUserToGroup;
use domain::gate::Granted;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{AddUserToGroupRequest, DoneReply};

use super::{membership, name};
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for AddUserToGroup {
    type Request = AddUserToGroupRequest;
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
        call.hansard.store.add_user_to_group(&granted, &user, &group, call.now(), audit).await?;
        Ok(Done::changed(DoneReply { request_id: call.request_id().to_string() }))
    }
}
