//! UpdateLoginProfile: changes how a user signs in to the console.

use domain::actions::UpdateLoginProfile;
use domain::gate::{Granted, IdentityResource, Resource};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{DoneReply, UpdateLoginProfileRequest};
use persistence::LoginProfileChange;

use super::{hashed, name};
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for UpdateLoginProfile {
    type Request = UpdateLoginProfileRequest;
    type Input = Self::Request;
    type Reply = DoneReply;

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
        let password = match &asked.password {
            Some(password) => Some(hashed(call, password).await?),
            None => None,
        };
        let change = LoginProfileChange {
            password,
            password_reset_required: asked.password_reset_required,
            mfa_bind_required: asked.mfa_bind_required,
        };
        let audit = call.audit_of_change(&granted, "");
        call.hansard.store.update_login_profile(&granted, &user, change, call.now(), audit).await?;
        Ok(Done::changed(DoneReply { request_id: call.request_id().to_string() }))
    }
}
