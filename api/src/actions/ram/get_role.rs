//! GetRole: one role.

use domain::actions::GetRole;
use domain::gate::{Granted, IdentityResource, Resource};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{GetRoleRequest, RoleReply};

use super::{create_role, name};
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for GetRole {
    type Request = GetRoleRequest;
    type Input = Self::Request;
    type Reply = RoleReply;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(request)
    }

    async fn locate(_: &Call<'_>, asked: &Self::Input) -> Result<Located, ActionError> {
        Ok(Resource::Identity(vec![IdentityResource::Role(name("RoleName", &asked.role_name)?)]).into())
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let role = call.hansard.store.role(&granted, &name("RoleName", &asked.role_name)?).await?;
        Ok(Done::read(create_role::reply(call, &granted, &role)))
    }
}
