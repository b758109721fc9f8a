//! CreateUser: makes a user.

use domain::actions::CreateUser;
use domain::gate::{Granted, IdentityResource, Resource};
use openapi::ram::{CreateUserRequest, UserReply};
use persistence::{NewUser, UserProfile};

use super::list_users::item;
use super::name;
use crate::dispatch::{Call, Done, RpcAction};
use crate::errors::ActionError;

impl RpcAction for CreateUser {
    type Request = CreateUserRequest;
    type Reply = UserReply;

    async fn locate(_: &Call<'_>, asked: &Self::Request) -> Result<Resource, ActionError> {
        Ok(Resource::Identity(vec![IdentityResource::User(name("UserName", &asked.user_name)?)]))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Request,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let new = NewUser {
            name: name("UserName", &asked.user_name)?,
            profile: UserProfile {
                display_name: asked.display_name.unwrap_or_default(),
                mobile_phone: asked.mobile_phone.unwrap_or_default(),
                email: asked.email.unwrap_or_default(),
                comments: asked.comments.unwrap_or_default(),
            },
        };
        let audit = call.audit_of_change(&granted, "");
        let user = call.hansard.store.create_user(&granted, new, call.now(), audit).await?;
        Ok(Done::changed(UserReply { request_id: call.request_id().to_string(), user: item(&user) }))
    }
}
