//! GetLoginProfile: how a user signs in to the console.

use domain::actions::GetLoginProfile;
use domain::gate::{Granted, IdentityResource};
use domain::identity::{LoginProfile, UserName};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{LoginProfileItem, LoginProfileReply};

use crate::actions::ram::about;
use crate::actions::wire_time;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for GetLoginProfile {
    type Input = UserName;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        request.user_name
    }

    async fn locate(_: &Call<'_>, user: &Self::Input) -> Result<Located, ActionError> {
        Ok(about(IdentityResource::User(user.clone())))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        user: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let profile = call.store.get_login_profile(&granted, &user).await?;
        let login_profile = item(&user, &profile);
        Ok(Done::read(LoginProfileReply { request_id: call.request_id().to_string(), login_profile }))
    }
}

/// A login profile as replies show it.
pub(super) fn item(user: &UserName, profile: &LoginProfile) -> LoginProfileItem {
    LoginProfileItem {
        user_name: user.to_string(),
        password_reset_required: profile.password_reset_required,
        mfa_bind_required: profile.mfa_bind_required,
        create_date: wire_time(profile.created_at),
    }
}
