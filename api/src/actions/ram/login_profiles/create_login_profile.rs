//! CreateLoginProfile: gives a user a password for the console.

use domain::actions::CreateLoginProfile;
use domain::gate::{Granted, IdentityResource};
use domain::identity::{LoginProfile, UserName};
use domain::password::Password;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::LoginProfileReply;

use super::get_login_profile::item;
use crate::actions::ram::{about, chosen};
use crate::dispatch::{Call, Deferred, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for CreateLoginProfile {
    type Input = Input;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(Input {
            user: request.user_name?,
            password: request.password,
            password_reset_required: request.password_reset_required.unwrap_or(false),
            mfa_bind_required: request.mfa_bind_required.unwrap_or(false),
        })
    }

    async fn locate(_: &Call<'_>, input: &Self::Input) -> Result<Located, ActionError> {
        Ok(about(IdentityResource::User(input.user.clone())))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        input: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let Input { user, password, password_reset_required, mfa_bind_required } = input;
        let password = chosen(call, &granted, password?).await?;
        let profile = LoginProfile { password_reset_required, mfa_bind_required, created_at: call.now() };
        let login_profile = item(&user, &profile);
        let audit = call.audit_of_change(&granted, "");
        call.store.create_login_profile(&granted, &user, password, profile, audit).await?;
        Ok(Done::changed(LoginProfileReply { request_id: call.request_id().to_string(), login_profile }))
    }
}

/// The user, and how it signs in to the console.
pub(crate) struct Input {
    user: UserName,
    password: Deferred<Password>,
    password_reset_required: bool,
    mfa_bind_required: bool,
}
