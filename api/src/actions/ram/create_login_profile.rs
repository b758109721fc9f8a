//! CreateLoginProfile: gives a user a password for the console.

use domain::actions::CreateLoginProfile;
use domain::gate::{Granted, IdentityResource, Resource};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{CreateLoginProfileRequest, LoginProfileReply};
use persistence::LoginProfile;

use super::get_login_profile::item;
use super::{hashed, name};
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for CreateLoginProfile {
    type Request = CreateLoginProfileRequest;
    type Input = Self::Request;
    type Reply = LoginProfileReply;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(request)
    }

    async fn locate(_: &Call<'_>, asked: &Self::Input) -> Result<Located, ActionError> {
        Ok(Resource::Identity(vec![IdentityResource::User(name("UserName", &asked.user_name)?)]).into())
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let user = name("UserName", &asked.user_name)?;
        let password = hashed(call, &asked.password).await?;
        let profile = LoginProfile {
            password_reset_required: asked.password_reset_required.unwrap_or(false),
            mfa_bind_required: asked.mfa_bind_required.unwrap_or(false),
            created_at: call.now(),
        };
        let login_profile = item(&user, &profile);
        let audit = call.audit_of_change(&granted, "");
        call.hansard.store.create_login_profile(&granted, &user, password, profile, audit).await?;
        Ok(Done::changed(LoginProfileReply { request_id: call.request_id().to_string(), login_profile }))
    }
}
