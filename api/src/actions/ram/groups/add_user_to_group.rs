//! AddUserToGroup: puts a user into a group.

use domain::actions::AddUserToGroup;
use domain::gate::Granted;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::DoneReply;

use crate::actions::ram::Membership;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for AddUserToGroup {
    type Input = Membership;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Membership::read(request.user_name, request.group_name)
    }

    async fn locate(_: &Call<'_>, membership: &Self::Input) -> Result<Located, ActionError> {
        Ok(membership.located())
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        membership: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let Membership { user, group } = membership;
        let audit = call.audit_of_change(&granted, "");
        call.store.add_user_to_group(&granted, &user, &group, call.now(), audit).await?;
        Ok(Done::changed(DoneReply { request_id: call.request_id().to_string() }))
    }
}
