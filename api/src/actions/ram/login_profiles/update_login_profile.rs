//! UpdateLoginProfile: changes how a user signs in to the console.

use domain::actions::UpdateLoginProfile;
use domain::gate::{Granted, IdentityResource};
use domain::identity::{LoginProfileChange, UserName};
use domain::password::Password;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::DoneReply;

use crate::actions::ram::{about, chosen};
use crate::dispatch::{Call, Deferred, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for UpdateLoginProfile {
    type Input = Input;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(Input {
            user: request.user_name?,
            password: request.password.transpose(),
            password_reset_required: request.password_reset_required,
            mfa_bind_required: request.mfa_bind_required,
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
        let password = match password? {
            Some(password) => Some(chosen(call, &granted, password).await?),
            None => None,
        };
        let change = LoginProfileChange { password, password_reset_required, mfa_bind_required };
        let audit = call.audit_of_change(&granted, "");
        call.store.update_login_profile(&granted, &user, change, call.now(), audit).await?;
        Ok(Done::changed(DoneReply { request_id: call.request_id().to_string() }))
    }
}

/// The user, and what is to be changed; `None` leaves it unchanged.
pub(crate) struct Input {
    user: UserName,
    password: Deferred<Option<Password>>,
    password_reset_required: Option<bool>,
    mfa_bind_required: Option<bool>,
}
