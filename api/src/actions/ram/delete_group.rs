//! DeleteGroup: deletes a group that nobody is in and nothing is attached to.

use domain::actions::DeleteGroup;
use domain::gate::{Granted, IdentityResource, Resource};
use openapi::ram::{DeleteGroupRequest, DoneReply};

use super::name;
use crate::dispatch::{Call, Done, RpcAction};
use crate::errors::ActionError;

impl RpcAction for DeleteGroup {
    type Request = DeleteGroupRequest;
    type Reply = DoneReply;

    async fn locate(_: &Call<'_>, asked: &Self::Request) -> Result<Resource, ActionError> {
        Ok(Resource::Identity(vec![IdentityResource::Group(name("GroupName", &asked.group_name)?)]))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Request,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let group = name("GroupName", &asked.group_name)?;
        let audit = call.audit_of_change(&granted, "");
        call.hansard.store.delete_group(&granted, &group, audit).await?;
        Ok(Done::changed(DoneReply { request_id: call.request_id().to_string() }))
    }
}
