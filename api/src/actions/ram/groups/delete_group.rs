//! DeleteGroup: deletes a group that nobody is in and nothing is attached to.

use domain::actions::DeleteGroup;
use domain::gate::{Granted, IdentityResource};
use domain::identity::GroupName;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::DoneReply;

use crate::actions::ram::about;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for DeleteGroup {
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
        let audit = call.audit_of_change(&granted, "");
        call.store.delete_group(&granted, &group, audit).await?;
        Ok(Done::changed(DoneReply { request_id: call.request_id().to_string() }))
    }
}
