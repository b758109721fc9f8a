//! GetRole: one role.

use domain::actions::GetRole;
use domain::gate::{Granted, IdentityResource};
use domain::identity::RoleName;
use domain::principal::Principal;
use openapi::error_codes::WireError;

use super::create_role;
use crate::actions::ram::about;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for GetRole {
    type Input = RoleName;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        request.role_name
    }

    async fn locate(_: &Call<'_>, role: &Self::Input) -> Result<Located, ActionError> {
        Ok(about(IdentityResource::Role(role.clone())))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        role: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let role = call.store.get_role(&granted, &role).await?;
        Ok(Done::read(create_role::reply(call, &granted, &role)))
    }
}
