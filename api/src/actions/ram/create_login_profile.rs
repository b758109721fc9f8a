//! CreateLoginProfile: gives a user a password for the console.

use domain::actions::CreateLoginProfile;
use domain::gate::{Granted, IdentityResource, Resource};
use openapi::ram::{CreateLoginProfileRequest, LoginProfileReply};
use persistence::LoginProfile;

use super::get_login_profile::item;
use super::{hashed, name};
use crate::dispatch::{Call, Done, RpcAction};
use crate::errors::ActionError;

impl RpcAction for CreateLoginProfile {
    type Request = CreateLoginProfileRequest;
    type Reply = LoginProfileReply;

    async fn locate(_: &Call<'_>, asked: &Self::Request) -> Result<Resource, ActionError> {
        Ok(Resource::Identity(vec![IdentityResource::User(name("UserName", &asked.user_name)?)]))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Request,
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
