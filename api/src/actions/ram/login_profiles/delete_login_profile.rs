//! DeleteLoginProfile: removes a user's password for the console.

use domain::actions::DeleteLoginProfile;
use domain::gate::{Granted, IdentityResource};
use domain::identity::UserName;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::DoneReply;

use crate::actions::ram::about;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for DeleteLoginProfile {
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
        let audit = call.audit_of_change(&granted, "");
        call.store.delete_login_profile(&granted, &user, audit).await?;
        Ok(Done::changed(DoneReply { request_id: call.request_id().to_string() }))
    }
}
