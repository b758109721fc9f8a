//! DeleteRole: a role that has no policies goes, and its sessions end with it.

use domain::actions::DeleteRole;
use domain::gate::{Granted, IdentityResource, Resource};
use openapi::ram::{DeleteRoleRequest, DoneReply};

use super::name;
use crate::dispatch::{Call, Done, RpcAction};
use crate::errors::ActionError;

impl RpcAction for DeleteRole {
    type Request = DeleteRoleRequest;
    type Reply = DoneReply;

    async fn locate(_: &Call<'_>, asked: &Self::Request) -> Result<Resource, ActionError> {
        Ok(Resource::Identity(vec![IdentityResource::Role(name("RoleName", &asked.role_name)?)]))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Request,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let role = name("RoleName", &asked.role_name)?;
        let audit = call.audit_of_change(&granted, "");
        call.hansard.store.delete_role(&granted, &role, audit).await?;
        Ok(Done::changed(DoneReply { request_id: call.request_id().to_string() }))
    }
}
