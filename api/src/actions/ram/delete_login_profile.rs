//! DeleteLoginProfile: takes the console from a user.

use domain::actions::DeleteLoginProfile;
use domain::gate::{Granted, IdentityResource, Resource};
use openapi::ram::{DeleteLoginProfileRequest, DoneReply};

use super::name;
use crate::dispatch::{Call, Done, RpcAction};
use crate::errors::ActionError;

impl RpcAction for DeleteLoginProfile {
    type Request = DeleteLoginProfileRequest;
    type Reply = DoneReply;

    async fn locate(_: &Call<'_>, asked: &Self::Request) -> Result<Resource, ActionError> {
        Ok(Resource::Identity(vec![IdentityResource::User(name("UserName", &asked.user_name)?)]))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Request,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let user = name("UserName", &asked.user_name)?;
        let audit = call.audit_of_change(&granted, "");
        call.hansard.store.delete_login_profile(&granted, &user, audit).await?;
        Ok(Done::changed(DoneReply { request_id: call.request_id().to_string() }))
    }
}
