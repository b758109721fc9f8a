//! GetRole: one role.

use domain::actions::GetRole;
use domain::gate::{Granted, IdentityResource, Resource};
use openapi::ram::{GetRoleRequest, RoleReply};

use super::{create_role, name};
use crate::dispatch::{Call, Done, RpcAction};
use crate::errors::ActionError;

impl RpcAction for GetRole {
    type Request = GetRoleRequest;
    type Reply = RoleReply;

    async fn locate(_: &Call<'_>, asked: &Self::Request) -> Result<Resource, ActionError> {
        Ok(Resource::Identity(vec![IdentityResource::Role(name("RoleName", &asked.role_name)?)]))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Request,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let role = call.hansard.store.role(&granted, &name("RoleName", &asked.role_name)?).await?;
        Ok(Done::read(create_role::reply(call, &granted, &role)))
    }
}
