//! GetUserMFAInfo: the MFA device of a user. There is no second factor yet, so that nobody has one.

use domain::actions::GetUserMFAInfo;
use domain::gate::{Granted, IdentityResource};
use domain::identity::{Entity, IdentityRefused, UserName};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use persistence::StoreError;

use crate::actions::ram::{about, caller_or};
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for GetUserMFAInfo {
    type Input = UserName;

    fn read(caller: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        caller_or(caller, request.user_name)
    }

    async fn locate(_: &Call<'_>, user: &Self::Input) -> Result<Located, ActionError> {
        Ok(about(IdentityResource::User(user.clone())))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        user: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let user = call.store.get_user(&granted, &user).await?;
        Err(StoreError::from(IdentityRefused::not_exist(Entity::MfaDevice, &user.name)).into())
    }
}
